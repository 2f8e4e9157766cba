"""Arrays without parity, from images to bytes: every level and layout, members missing, reshapes, what is left open."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from raidfs.array.description import State
from raidfs.array.shape import Level
from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.copied import Array, Written, write_copied
from tests.oracle.layouts import Geometry
from tests.oracle.places import ALTERNATE, ORIGINAL, Copies, Linear, Mirrored, Striped
from tests.oracle.ranges import difference
from tests.oracle.writer import write_array

K = 1024
CHUNK = 4 * K
OFFSET = 1 << 16
ZONES = (20 * K, 48 * K + 512, 32 * K)
LINEAR = (24 * K, 16 * K, 40 * K)


def copies(layout: int, raid_disks: int, n_rows: int = 12, chunk: int = CHUNK) -> Copies:
    return Copies(layout, raid_disks, chunk, n_rows * chunk + 1024)


ARRAYS: dict[str, tuple[Array, tuple[int, ...]]] = {
    "linear": (Linear(LINEAR), LINEAR),
    "linear-rounded": (Linear((17 * K, 23 * K), 8 * K), (17 * K, 23 * K)),
    "raid0": (Striped((32 * K,) * 3, CHUNK), (32 * K,) * 3),
    "raid0-original": (Striped(ZONES, CHUNK, ORIGINAL), ZONES),
    "raid0-alternate": (Striped(ZONES, 3 * K, ALTERNATE), ZONES),
    "raid1-2": (Mirrored(2, 40 * K), (40 * K,) * 2),
    "raid1-3": (Mirrored(3, 40 * K), (40 * K,) * 3),
    **{
        f"raid10-{layout:#x}-{n}": (copies(layout, n), (copies(layout, n).component_size,) * n)
        for layout, n in [
            (0x102, 4),
            (0x102, 5),
            (0x103, 5),
            (0x201, 4),
            (0x201, 3),
            (0x301, 5),
            (0x40201, 4),
            (0x40201, 5),
            (0x10201, 4),
            (0x10201, 5),
            (0x10301, 4),
            (0x202, 4),
        ]
    },
}

every_array = pytest.mark.parametrize("name", ARRAYS)


def opened_as(array: OpenArray) -> tuple[bytes, Extents]:
    return read_exact(array.source, 0, array.description.size)


def assert_served(written: Written, folder: Path, without: Collection[int] = (), policy: Policy = Policy()) -> None:
    """What has a copy left is read, whatever is missing, and nothing else."""
    paths = written.save(folder, without=without)
    with open_array([str(path) for path in paths], Options(policy=policy)) as array:
        content, lost = opened_as(array)
        account = array.account()
        serving = set(array.description.serving)
    expected = written.lost_without({*range(len(written.component_sizes))} - serving)
    assert list(lost) == expected or (policy.doubtful and not lost.difference(Extents(expected)))
    assert len(content) == written.size
    for start, stop in difference([(0, written.size)], expected):
        assert content[start:stop] == written.truth[start:stop]
    assert account.lost + (0 if policy.doubtful else account.doubtful) == lost.total


@every_array
@pytest.mark.parametrize("metadata", ["1.0", "1.1", "1.2"])
def test_every_level_in_every_format(name: str, metadata: str, tmp_path: Path) -> None:
    array, sizes = ARRAYS[name]
    written = write_copied(array, sizes, data_offset=OFFSET, metadata=metadata)
    paths = written.save(tmp_path)
    with open_array([str(path) for path in reversed(paths)]) as opened:
        assert opened_as(opened) == (written.truth, Extents())
        assert opened.account().good == array.size
        assert opened.findings == ()
        assert (opened.description.shape.level.value, opened.description.metadata) == (array.level, metadata)


@pytest.mark.parametrize(
    ("array", "size"),
    [
        (Linear((128 * K, 64 * K)), None),
        (Striped((128 * K, 64 * K, 64 * K), CHUNK, ORIGINAL), None),
        (Mirrored(3, 40 * K), 40 * K),
        (copies(0x10201, 5), copies(0x10201, 5).component_size),
        (copies(0x201, 4), copies(0x201, 4).component_size),
    ],
    ids=["linear", "raid0", "raid1", "offset", "far"],
)
def test_the_oldest_format(array: Linear | Striped | Mirrored | Copies, size: int | None, tmp_path: Path) -> None:
    """A RAID0 of it never declares its layout; what the other one puts elsewhere is read on request only."""
    sizes = array.sizes if isinstance(array, Linear | Striped) else (size or 0,) * array.raid_disks
    written = write_copied(array, sizes, data_offset=0, metadata="0.90")
    paths = [str(path) for path in written.save(tmp_path)]
    with open_array(paths, Options(policy=Policy(doubtful=True))) as opened:
        assert opened_as(opened) == (written.truth, Extents())
    with open_array(paths) as opened:
        assert opened.account().good == array.size


@every_array
def test_whoever_is_missing_what_has_a_copy_left_is_read(name: str, tmp_path: Path) -> None:
    array, sizes = ARRAYS[name]
    if len(set(sizes)) > 1:
        sizes = sizes[:1] * len(sizes)  # of these nobody knows what is where, see below
        array = replace(array, sizes=sizes) if isinstance(array, Striped) else Linear(sizes)
    if isinstance(array, Linear):
        return assert_served(write_copied(array, sizes, data_offset=OFFSET), tmp_path, (array.raid_disks - 1,))
    written = write_copied(array, sizes, data_offset=OFFSET)
    for n in range(1, min(array.raid_disks, 4)):
        for number, without in enumerate(combinations(range(array.raid_disks), n)):
            folder = tmp_path / f"{n}-{number}"
            folder.mkdir()
            assert_served(written, folder, without)
    return None


# What the metadata leave open --------------------------------------------------------------------------------------


def sentences(array: OpenArray) -> str:
    return "\n".join(finding.message for finding in array.findings)


@pytest.mark.parametrize("layout", [ORIGINAL, ALTERNATE])
def test_an_undeclared_raid0_has_two_readings(layout: int, tmp_path: Path) -> None:
    """Members of 5, 12 and 8 chunks: the second zone differs, the third has but one member."""
    written = write_copied(Striped(ZONES, CHUNK, layout), ZONES, data_offset=OFFSET)
    written.features.clear()
    with open_array([str(path) for path in written.save(tmp_path)]) as opened:
        description = opened.description
        assert description.shape.layout == "undeclared"
        _, lost = opened_as(opened)
        assert list(lost) == [(15 * CHUNK, 21 * CHUNK)]
        assert opened.account().doubtful == lost.total
        assert "the layout of this raid0 is not declared" in sentences(opened)
        for shape, told in [(description.shape, ORIGINAL), (description.alternatives[0].shape, ALTERNATE)]:
            chosen = ArraySource(description.taken_as(shape), opened.sources)
            content, left_out = read_exact(chosen, 0, description.size)
            assert left_out == Extents()
            assert (content == written.truth) == (told == layout)


def test_an_undeclared_raid0_of_equal_members_has_one_reading(tmp_path: Path) -> None:
    array, sizes = ARRAYS["raid0"]
    written = write_copied(array, sizes, data_offset=OFFSET)
    written.features.clear()
    with open_array([str(path) for path in written.save(tmp_path)]) as opened:
        assert opened_as(opened) == (written.truth, Extents())
        assert opened.findings == ()


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_what_follows_a_missing_member_of_a_linear_array_may_lie_elsewhere(missing: int, tmp_path: Path) -> None:
    """Nothing records how large it was: the largest of the others is assumed, and its bytes are lost."""
    written = write_copied(Linear(LINEAR), LINEAR, data_offset=OFFSET)
    paths = written.save(tmp_path, without=(missing,))
    known = sum(LINEAR[:missing])
    with open_array([str(path) for path in paths]) as opened:
        content, lost = opened_as(opened)
        assert list(lost) == [(known, opened.description.size)]
        assert content[:known] == written.truth[:known]
        assert opened.account().doubtful == sum(LINEAR[missing + 1 :])
        assert f"nothing records how much the members of the missing roles ({missing}) gave" in sentences(opened)
        assert ("may lie elsewhere" in sentences(opened)) == (missing < 2)


def test_a_missing_member_of_a_raid0_may_change_every_zone(tmp_path: Path) -> None:
    written = write_copied(Striped(ZONES, CHUNK), ZONES, data_offset=OFFSET)
    with open_array([str(path) for path in written.save(tmp_path, without=(2,))]) as opened:
        assert opened_as(opened)[1].total == opened.description.size
        assert "the missing members (role 2) gave to this raid0, so the bytes of the others" in sentences(opened)


@pytest.mark.parametrize("layout", [ORIGINAL, ALTERNATE])
@pytest.mark.parametrize("sizes", [(64 * K, 128 * K), (128 * K, 64 * K), (128 * K, 128 * K, 64 * K)])
def test_equal_members_of_a_raid0_with_zones_do_not_tell_how_large_a_missing_one_is(
    sizes: tuple[int, ...], layout: int, tmp_path: Path
) -> None:
    """Its layout is declared, which mdadm does only where members differ."""
    written = write_copied(Striped(sizes, CHUNK, layout), sizes, data_offset=OFFSET)
    paths = [str(path) for path in written.save(tmp_path, without=(sizes.index(64 * K),))]
    with open_array(paths) as opened:
        size = opened.description.size
        assert list(opened_as(opened)[1]) == [(0, size)]
        assert (opened.account().good, opened.account().doubtful) == (0, size - 128 * K)
        assert "may lie elsewhere" in sentences(opened)
    with open_array(paths, Options(policy=Policy(doubtful=True))) as opened:
        assert opened_as(opened)[1].total == 128 * K


@pytest.mark.parametrize(("metadata", "likely"), [("1.2", True), ("1.0", True), ("0.90", False)])
def test_a_missing_member_of_a_raid0_without_zones_leaves_the_others_unproven(
    metadata: str, likely: bool, tmp_path: Path
) -> None:
    """An older mdadm declared no layout whatever the sizes, and 0.90 cannot: what is only likely is never good."""
    sizes = (128 * K,) * 2
    written = write_copied(
        Striped(sizes, CHUNK), sizes, data_offset=0 if metadata == "0.90" else OFFSET, metadata=metadata
    )
    paths = [str(path) for path in written.save(tmp_path, without=(1,))]
    with open_array(paths) as opened:
        account = opened.account()
        assert (account.good, account.unproven, account.doubtful) == ((0, 128 * K, 0) if likely else (0, 0, 128 * K))
        assert ("are unproven" in sentences(opened)) == likely
        assert "parity" not in sentences(opened)
    with open_array(paths, Options(policy=Policy(strict=True))) as opened:
        assert list(opened_as(opened)[1]) == [(0, opened.description.size)]


def test_an_array_that_needs_all_members_ran_with_all_of_them(tmp_path: Path) -> None:
    """So a superblock that lags by much was only not written."""
    for name in ("linear", "raid0-alternate"):
        array, sizes = ARRAYS[name]
        written = write_copied(array, sizes, data_offset=OFFSET)
        with open_array([str(path) for path in written.save(tmp_path, events=(9, 3, 9))]) as opened:
            assert opened_as(opened) == (written.truth, Extents())
            assert "lags by 6 events (3, the freshest has 9), but the array cannot have run without it" in sentences(
                opened
            )
    mirror, sizes = ARRAYS["raid1-3"]
    with open_array([str(path) for path in write_copied(mirror, sizes).save(tmp_path, events=(9, 3, 9))]) as opened:
        assert opened.description.members[1].state is State.STALE


# More than one member of a role, and mirrors that lag --------------------------------------------------------------


def test_a_replacement_holds_the_beginning_of_its_role(tmp_path: Path) -> None:
    array, sizes = ARRAYS["raid10-0x102-4"]
    written = write_copied(array, sizes, data_offset=OFFSET)
    half = 6 * CHUNK
    written.add_replacement(1, half)
    for without, n_lost in (((), 0), ((0,), 0), ((1,), 0), ((0, 1), sizes[0] // CHUNK * CHUNK - half)):
        with open_array([str(path) for path in written.save(tmp_path, without=without)]) as opened:
            content, lost = opened_as(opened)
            assert lost.total == n_lost
            assert all(
                content[start:stop] == written.truth[start:stop]
                for start, stop in Extents.span(0, array.size).difference(lost)
            )
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_replacement_alone_is_a_member_under_recovery(tmp_path: Path) -> None:
    array, sizes = ARRAYS["raid1-2"]
    written = write_copied(array, sizes, data_offset=OFFSET)
    written.add_replacement(1, 16 * K)
    with open_array([str(path) for path in written.save(tmp_path, without=(0, 1))]) as opened:
        assert list(opened_as(opened)[1]) == [(16 * K, array.size)]
        (member,) = opened.description.serving.values()
        assert (member.state, member.recovered_to) == (State.RECOVERING, 16 * K)


@pytest.mark.parametrize("mostly", [0, 1, 2])
def test_a_write_mostly_member_is_read_last(mostly: int, tmp_path: Path) -> None:
    """With write-behind it may lag; that it differs here shows who is read."""
    array, sizes = ARRAYS["raid1-3"]
    written = write_copied(array, sizes, data_offset=OFFSET)
    start = written.data_offsets[mostly]
    written.images[mostly][start : start + array.size] = bytes(array.size)
    written.device_flags[mostly] = 1
    paths = [str(path) for path in written.save(tmp_path)]
    with open_array(paths) as opened:
        assert opened_as(opened) == (written.truth, Extents())
    with open_array([paths[mostly]]) as opened:
        assert opened_as(opened) == (bytes(array.size), Extents())


# Reshapes ----------------------------------------------------------------------------------------------------------

GROW, SHRINK, CHUNKS, TO_OFFSET, TO_NEAR, ODD = (
    (copies(0x102, 4), copies(0x102, 6), False),
    (copies(0x102, 6), copies(0x102, 4), True),
    (copies(0x102, 4, 24), Copies(0x102, 4, 2 * CHUNK, copies(0x102, 4, 24).component_size), False),
    (copies(0x102, 4, 24), copies(0x10201, 4, 24), True),
    (copies(0x10201, 4, 24), copies(0x102, 4, 24), False),
    (copies(0x103, 5), copies(0x10301, 7), False),
)


@pytest.mark.parametrize(("before", "after", "backwards"), [GROW, SHRINK, CHUNKS, TO_OFFSET, TO_NEAR, ODD])
@pytest.mark.parametrize("percent", [0, 1, 37, 99, 100, 140])
def test_a_raid10_in_the_middle_of_a_reshape(
    before: Copies, after: Copies, backwards: bool, percent: int, tmp_path: Path
) -> None:
    """The position may be any sector, also beyond what the array held before it grew.

    Linux is known to put copies of an offset layout elsewhere (`raidfs.array.strays`); here they are where they belong.
    """
    policy = Policy(doubtful=after.far_offset and not before.far_offset)
    size = min(before.size, after.size)
    if percent > 100 and (backwards or after.size < size * 1.4):
        percent = 100
    position = size * percent // 100 // 512 * 512
    sizes = (before.component_size,) * max(before.raid_disks, after.raid_disks)
    written = write_copied(
        before,
        sizes,
        after=after,
        position=position,
        backwards=backwards,
        data_offset=4 * OFFSET,
        new_data_offset=(5 if backwards else 3) * OFFSET,
    )
    assert_served(written, tmp_path, policy=policy)
    for number, without in enumerate([(0,), (1,), (3,), (len(sizes) - 1,), (0, 1), (1, 2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert_served(written, folder, without, policy)


@pytest.mark.parametrize("rows", [0, 3, 7, 16])
@pytest.mark.parametrize("level", [4, 5])
def test_a_raid0_that_grows(level: int, rows: int, tmp_path: Path) -> None:
    """It does so as a RAID4 (or RAID5) without its parity member, whose role a new data member takes."""
    before = Geometry(level, 5, 4, CHUNK)
    after = Geometry(level, 5, 5, CHUNK)
    array = write_array(before, 16 * CHUNK, data_offset=4 * OFFSET, new_data_offset=3 * OFFSET)
    array.fail(3)
    array.start_reshape(after, [3 * OFFSET] * 5, fill=(3,))
    array.fail(4)
    array.advance(rows * after.stripe_size)
    with open_array([str(path) for path in array.save(tmp_path)]) as opened:
        assert opened_as(opened) == (array.truth, Extents())
        assert opened.description.missing_roles == (4,)
        assert opened.account().good == array.size


@pytest.mark.parametrize("rows", [0, 5, 12, 24])
def test_a_raid0_that_becomes_a_raid5(rows: int, tmp_path: Path) -> None:
    """With the new member in the role of the parity that the old geometry never had; its data disks stay three.

    A reshape of as many data disks may be further than it says: what that leaves open is read on request only.
    """
    before, after = Geometry(5, 5, 4, CHUNK), Geometry(5, 2, 4, CHUNK)
    array = write_array(before, 24 * CHUNK, data_offset=4 * OFFSET, new_data_offset=3 * OFFSET)
    array.fail(3)
    array.start_reshape(after, [3 * OFFSET] * 4, fill=(3,))
    array.advance(rows * after.stripe_size)
    paths = [str(path) for path in array.save(tmp_path)]
    with open_array(paths, Options(policy=Policy(doubtful=True))) as opened:
        assert opened_as(opened) == (array.truth, Extents())
    for without in (0, 1, 4):  # device 4 is the new one
        left = [path for path in paths if not path.endswith(f"disk{without}.img")]
        with open_array(left) as opened:
            content, lost = opened_as(opened)
        assert lost.clip(0, array.position) == Extents()
        assert all(content[a:b] == array.truth[a:b] for a, b in Extents.span(0, array.size).difference(lost))


def test_a_raid0_that_stopped_half_way_to_another_level(tmp_path: Path) -> None:
    array = write_array(Geometry(4, 0, 4, CHUNK), 16 * CHUNK, data_offset=OFFSET)
    array.fail(3)
    with open_array([str(path) for path in array.save(tmp_path)]) as opened:
        assert opened_as(opened) == (array.truth, Extents())
        assert opened.account().good == array.size
        assert opened.description.shape.level is Level.RAID4


@pytest.mark.parametrize("raid_disks", [2, 3])
def test_a_raid5_of_two_members_is_a_mirror(raid_disks: int, tmp_path: Path) -> None:
    """A RAID1 becomes one at once, and may be on its way to three members."""
    two = Geometry(5, 2, 2, CHUNK)
    array = write_array(two, 24 * CHUNK, data_offset=4 * OFFSET, new_data_offset=3 * OFFSET)
    if raid_disks > 2:
        array.start_reshape(Geometry(5, 2, raid_disks, CHUNK), [3 * OFFSET] * raid_disks)
        array.advance(10 * CHUNK)
    for without in ((), (0,), (1,), (raid_disks - 1,)):
        with open_array([str(path) for path in array.save(tmp_path, without=without)]) as opened:
            content, lost = opened_as(opened)
            assert (content, lost) == (array.truth, Extents()), without
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("layout", [2, 18])
def test_a_raid5_on_its_way_to_raid6(layout: int, tmp_path: Path) -> None:
    """As a RAID6 whose Q is on a member that the reshape (or, where the layout stays, a recovery) fills."""
    before, after = Geometry(6, 18, 5, CHUNK), Geometry(6, layout, 5, CHUNK)
    array = write_array(before, 24 * CHUNK, data_offset=4 * OFFSET, new_data_offset=3 * OFFSET)
    array.fail(4)
    if layout == 18:
        array.replace(4, 4 * OFFSET, 10 * CHUNK)
    else:
        array.start_reshape(after, [3 * OFFSET] * 5, fill=(4,))
        array.advance(10 * after.stripe_size)
    for left_out in (None, 0, 2, 5):  # the old member of role 4 is device 4, the new one 5
        without = (4,) if left_out is None else (4, left_out)
        with open_array([str(path) for path in array.save(tmp_path, without=without)]) as opened:
            assert opened_as(opened) == (array.truth, Extents()), left_out
        for path in tmp_path.iterdir():
            path.unlink()


def test_far_sets_that_put_both_copies_on_one_member_are_named(tmp_path: Path) -> None:
    """Only the variant that Linux itself calls buggy does."""
    buggy = copies(0x20201, 3)
    written = write_copied(buggy, (buggy.component_size,) * 3, data_offset=OFFSET)
    with open_array([str(path) for path in written.save(tmp_path)]) as opened:
        assert opened_as(opened) == (written.truth, Extents())
        assert "puts two copies of some chunks on one member: without it both go" in sentences(opened)
    (tmp_path / "less").mkdir()
    assert written.lost_without((1,))
    assert_served(written, tmp_path / "less", (1,))
