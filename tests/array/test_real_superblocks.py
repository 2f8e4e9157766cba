"""Assembly from the images themselves: crashes in the middle of updates, members that fell out, strangers, copies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from raidfs.array.description import State
from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.errors import AmbiguousArray, AssemblyError, NoSuperblock, UsageError
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array

K = 1024
THREE, FOUR = Geometry(5, 2, 3, 4 * K), Geometry(5, 2, 4, 4 * K)
SIZE = 96 * K
START, MOVED = 256 * K, 160 * K


def growing(rows: int, metadata: str = "1.2", seed: int = 0) -> Simulation:
    """An array that grows from three to four members, `rows` new rows done and recorded."""
    position = rows * FOUR.stripe_size
    return write_array(
        THREE,
        SIZE,
        after=FOUR,
        position=position,
        data_offset=START,
        new_data_offset=MOVED,
        metadata=metadata,
        seed=seed,
    )


def words(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths]


def states(paths: Iterable[Path], options: Options = Options()) -> dict[str, State]:
    with open_array(words(paths), options) as array:
        return {Path(member.path).name: member.state for member in array.description.members}


def assert_true(paths: Iterable[Path], truth: bytes, options: Options = Options()) -> None:
    with open_array(words(paths), options) as array:
        assert read_exact(array.source, 0, array.description.size) == (truth, Extents())


@pytest.mark.parametrize("updated", [(0,), (1, 2), (3,), (0, 1, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("missing", [(), (0,), (3,)])
def test_half_updated_superblocks_the_freshest_position_counts(
    updated: tuple[int, ...], missing: tuple[int, ...], tmp_path: Path
) -> None:
    """The machine crashed while it wrote superblocks: some members have the new position, some the old one."""
    array = growing(5)
    for row in array._new_rows(array.position, 7 * FOUR.stripe_size):
        array._write_stripe("new", row, 0, FOUR.chunk)
    array.position = array.progress = 7 * FOUR.stripe_size
    array.checkpoint(only=updated)
    paths = array.save(tmp_path, without=missing)
    fresh = set(updated) - set(missing)
    with open_array(words(paths)) as opened:
        reshape = opened.description.reshape
        assert reshape is not None
        assert reshape.position == (7 if fresh else 5) * FOUR.stripe_size
        assert len(opened.description.serving) == 4 - len(missing)
        assert read_exact(opened.source, 0, array.size) == (array.truth, Extents())


def test_a_member_that_fell_out_is_faulty_for_the_others(tmp_path: Path) -> None:
    array = growing(3)
    array.fail(1)
    array.advance(9 * FOUR.stripe_size)
    paths = array.save(tmp_path)
    assert states(paths)["disk1.img"] is State.FAULTY
    assert_true(paths, array.truth)


def test_a_member_alone_speaks_for_an_array_that_is_degraded(tmp_path: Path) -> None:
    array = growing(3)
    (first, *_) = array.save(tmp_path)
    with open_array([str(first)]) as opened:
        assert opened.description.missing_roles == (1, 2, 3)
        assert 0 < opened.account().lost < array.size


def test_spares_and_members_of_other_arrays(tmp_path: Path) -> None:
    mine, other = growing(5), growing(2, seed=1)
    paths = mine.save(tmp_path)
    (tmp_path / "other").mkdir()
    theirs = other.save(tmp_path / "other")
    with pytest.raises(AmbiguousArray, match="2 arrays"):
        states([*paths, theirs[1]])
    uuid = ":".join(mine.array_uuid.hex()[at : at + 8] for at in range(0, 32, 8))
    chosen = Options(uuid=uuid)
    stranger = tmp_path / "stranger.img"
    shutil.copy(theirs[1], stranger)
    assert states([*paths, stranger], chosen)["stranger.img"] is State.FOREIGN
    assert_true([stranger, *paths], mine.truth, chosen)
    assert_true([stranger, *paths], mine.truth, Options(uuid=uuid[:6]))
    with pytest.raises(AssemblyError, match="no array here"):
        states(paths, Options(uuid="nobody"))


def test_copies_of_a_member(tmp_path: Path) -> None:
    array = growing(5)
    paths = array.save(tmp_path)
    copy = tmp_path / "copy.img"
    shutil.copy(paths[2], copy)
    assert states([*paths, copy])["copy.img"] is State.DUPLICATE
    assert_true([copy, *paths], array.truth)
    os.truncate(copy, START + 5000)
    assert states([copy, *paths])["copy.img"] is State.DUPLICATE
    assert_true([copy, *paths], array.truth)
    with pytest.raises(UsageError, match="is given twice"):
        states([*paths, paths[1]])


def test_a_superblock_with_a_wrong_checksum_serves_only_doubtful_bytes(tmp_path: Path) -> None:
    array = growing(5)
    paths = array.save(tmp_path)
    with paths[1].open("r+b") as file:
        file.seek(4096 + 216)
        file.write(b"\0\0\0\0")
    assert states(paths)["disk1.img"] is State.DAMAGED
    assert_true(paths, array.truth)
    with open_array(words(paths)) as opened:
        assert opened.account().good < array.size
        about = [finding.message for finding in opened.findings if finding.subject == str(paths[1])]
        assert any("sb_csum is 0x00000000, its bytes give 0x" in message for message in about)
    gone = [path for path in paths if path.name != "disk3.img"]
    with open_array(words(gone)) as opened:
        assert opened.account().doubtful > 0
        _, lost = read_exact(opened.source, 0, array.size)
        assert lost.total == opened.account().doubtful


@pytest.mark.parametrize("metadata", ["0.90", "1.0", "1.1", "1.2"])
def test_every_format(metadata: str, tmp_path: Path) -> None:
    offset = 0 if metadata == "0.90" else 65536
    array = write_array(FOUR, SIZE, data_offset=offset, metadata=metadata)
    paths = array.save(tmp_path)
    for left in (paths, paths[1:], paths[::-1]):
        assert_true(left, array.truth)
    with open_array(words(paths)) as opened:
        assert opened.description.metadata == metadata


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_reshape_in_the_oldest_format(order: str, tmp_path: Path) -> None:
    array = write_array(
        THREE,
        SIZE,
        after=FOUR,
        position=12 * FOUR.stripe_size,
        data_offset=0,
        metadata="0.90",
        order="<" if order == "<" else ">",
    )
    paths = array.save(tmp_path)
    with open_array(words(paths)) as opened:
        content, lost = read_exact(opened.source, 0, array.size)
        served = Extents.span(0, array.size).difference(lost)
        assert served.contains(0, array.position)
        assert all(content[start:stop] == array.truth[start:stop] for start, stop in served)


def test_images_that_are_none(tmp_path: Path) -> None:
    array = growing(5)
    paths = array.save(tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("no member\n" * 1000)
    with open_array(words([*paths, text])) as opened:
        assert any(f"{text} holds no md superblock and is left out" in each.message for each in opened.findings)
        assert read_exact(opened.source, 0, array.size) == (array.truth, Extents())
    with pytest.raises(NoSuperblock, match="is it a member image"):
        states([text])


def test_bad_blocks_are_read_on_request_only(tmp_path: Path) -> None:
    array = write_array(FOUR, SIZE, data_offset=START)
    array.spoil(0, START, START + 1024)
    paths = array.save(tmp_path)
    assert_true(paths, array.truth)
    with open_array(words(paths), Options(ignore_bad_block_log=True)) as opened:
        content, lost = read_exact(opened.source, 0, array.size)
        assert lost == Extents()
        assert content[:1024] == bytes(array.roles[0].image[START : START + 1024]) != array.truth[:1024]
        assert content[1024:] == array.truth[1024:]
        assert any("is ignored as asked" in finding.message for finding in opened.findings)


def test_a_log_that_names_places_behind_the_end_of_a_cut_image_is_still_right(tmp_path: Path) -> None:
    """Its entries were true of the whole member; what is left of the image is as good as before."""
    array = write_array(FOUR, SIZE, data_offset=START)
    array.spoil(1, START + 50 * K, START + 51 * K)
    paths = array.save(tmp_path)
    os.truncate(paths[1], START + 40 * K)
    assert states(paths)["disk1.img"] is State.IN_SYNC
    with open_array(words(paths)) as opened:
        assert opened.account().doubtful == 0
        assert read_exact(opened.source, 0, array.size) == (array.truth, Extents())
