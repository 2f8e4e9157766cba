"""Copies of real arrays with zeros, holes and fill patterns that no map tells of: the truth, or nothing, and said."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, MemorySource, one_request
from raidfs.cli.export import _prepare, _save
from raidfs.cli.session import open_array
from raidfs.engine.account import health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Health, Policy
from raidfs.engine.scrutiny import Scrutiny
from raidfs.extents import Extents
from tests.oracle.ranges import Range
from tests.support.cli import mounted, raidfs
from tests.support.damaged import oracle_array
from tests.support.fill_rule import believed
from tests.support.fills import LONG_TEXTS, PATTERNS, filled, is_filled, located
from tests.support.golden import SECTOR, Case, golden_case
from tests.support.worth import UNPROVEN, Situation

pytestmark = pytest.mark.golden

CASES = [golden_case(name) for name in ("a-r5-3to4-12-64k-40", "s-r6-ls", "h-r6-4to6-12-64k")]
WINDOW = (3 << 20) - 512
NEVER_COPIED = "filled, and parity disagrees: this was never copied"
Ranges = list[tuple[int, int]]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def read_all(source: BlockSource) -> tuple[NDArray[np.uint8], Extents]:
    """Read a source from end to end: its bytes, and what is withheld."""
    content = np.zeros(source.size, dtype=np.uint8)
    lost = []
    for start in range(0, source.size, WINDOW):
        window = content[start : start + WINDOW]
        lost.append(source.read_into(one_request(start, len(window)), window).shift(start))
    return content, Extents().union(*lost)


@cache
def described(case: Case) -> ArrayDescription:
    with open_array([str(path) for path in case.members()]) as array:
        return array.description


@cache
def truth_of(case: Case) -> NDArray[np.uint8]:
    with open_array([str(path) for path in case.members()]) as array:
        content, lost = read_all(array.source)
    assert not lost
    return content


def data_sectors(case: Case) -> range:
    """The sectors of an image that hold data in both geometries."""
    members = described(case).serving.values()
    start = max(offset for member in members for offset in (member.data_offset, member.new_data_offset))
    stop = min(member.data_offset for member in members) + described(case).component_size
    return range(start // SECTOR, (stop - (1 << 20)) // SECTOR)


def random_ranges(case: Case, seed: int, n: int) -> Ranges:
    """Draw ranges of an image, some of one sector, some of many."""
    chance, places = random.Random(seed), data_sectors(case)
    ranges = []
    for _ in range(n):
        start = chance.choice(places)
        ranges.append((start * SECTOR, min(start + chance.choice([1, 2, 8, 100, 700]), places.stop) * SECTOR))
    return list(Extents(ranges))


def fill(path: Path, ranges: Ranges, how: str) -> None:
    """Put into a copy what its tool left there."""
    with path.open("r+b") as file:
        for start, stop in ranges:
            if how == "hole":
                subprocess.run(["fallocate", "-p", "-o", str(start), "-l", str(stop - start), path], check=True)
            else:
                file.seek(start)
                file.write(filled(b"BaDbLoCk" if how == "text" else b"\0", stop - start))


def expected(
    case: Case, images: Mapping[int, bytes], touched: Mapping[int, Collection[Range]], missing: Collection[int] = ()
) -> tuple[NDArray[np.uint8], Extents]:
    """By the rule: the bytes of the array, zeros where they are withheld, and what is withheld.

    Args:
        case: the array.
        images: as they are now, by role.
        touched: where they are not what they were [image bytes], by role.
        missing: roles that are not there.
    """
    whole = oracle_array(described(case), {})
    members = tuple(member for member in whole.members if member.role not in missing)
    array = type(whole)(whole.geometry, whole.component_size, members, whole.after, whole.position, whole.backwards)
    content, withheld = truth_of(case).copy(), []
    there = {role: ranges for role, ranges in touched.items() if role not in missing}
    for at, worth, block in believed(Situation(array), images, there):
        is_served = worth <= UNPROVEN
        content[at : at + SECTOR] = np.frombuffer(block if is_served else bytes(SECTOR), np.uint8)
        if not is_served:
            withheld.append((at, at + SECTOR))
    return content, Extents(withheld)


def images_of(case: Case, members: Sequence[Path]) -> dict[int, bytes]:
    paths = [str(path) for path in case.members()]
    return {role: members[paths.index(member.path)].read_bytes() for role, member in described(case).serving.items()}


@every_case
@pytest.mark.parametrize("how", ["zeros", "hole", "text"])
def test_one_copy_with_fills_gives_the_truth_wherever_it_can_be_told(case: Case, how: str, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    role = 1
    ranges = random_ranges(case, len(how), 60)
    paths = [str(path) for path in case.members()]
    chosen = members[paths.index(described(case).serving[role].path)]
    before = chosen.read_bytes()
    fill(chosen, ranges, how)
    content, withheld = expected(case, images_of(case, members), {role: ranges})
    assert case.level == "raid5" or not withheld  # RAID5 cannot tell which of several filled ones it is
    with open_array([str(path) for path in members]) as array:
        found, lost = read_all(array.source)
        assert np.array_equal(found, content)
        assert lost == withheld == array.source.known_losses(0, len(found))
        served = np.ones(len(found), dtype=np.bool_)
        for start, stop in lost:
            served[start:stop] = False
        assert np.array_equal(found[served], truth_of(case)[served])  # never a wrong byte
        named = Extents().union(*(flaw.extents for flaw in array.learned if flaw.reason == NEVER_COPIED))
        assert named
        assert not named.difference(Extents(ranges))
        changed = np.frombuffer(before, np.uint8) != np.frombuffer(chosen.read_bytes(), np.uint8)
        assert all(changed[start:stop].reshape(-1, SECTOR).any(axis=1).all() for start, stop in named)
        (start, stop), *_ = named
        told = [each.message for each in array.findings if NEVER_COPIED in each.message]
        assert len(told) == 1
        assert told[0].startswith(f"{chosen}: {named.total} bytes at {start}-{stop}, ")
        account = array.account()
        assert account.doubtful == lost.total
        assert account.rebuilt > 0


@contextmanager
def opened(
    case: Case, images: Mapping[int, bytes], missing: Collection[int], policy: Policy = Policy()
) -> Iterator[ArraySource]:
    """Look at an array whose images are these."""
    description = described(case)
    gone = [description.serving[role].path for role in missing]
    there = replace(description, members=tuple(each for each in description.members if each.path not in gone))
    source = ArraySource(
        there, [(member, MemorySource(images[role])) for role, member in sorted(there.serving.items())], policy
    )
    try:
        yield source
    finally:
        source.close()


@every_case
def test_an_aborted_copy(case: Case, tmp_path: Path) -> None:
    """The last quarter of one image was never written."""
    members = case.copies(tmp_path)
    role = max(described(case).serving)
    paths = [str(path) for path in case.members()]
    chosen = members[paths.index(described(case).serving[role].path)]
    size = chosen.stat().st_size
    start = size * 3 // 4 // SECTOR * SECTOR
    os.truncate(chosen, start)
    os.truncate(chosen, size)
    with open_array([str(path) for path in members]) as array:
        found, lost = read_all(array.source)
    assert case.level == "raid5" or not lost
    served = np.ones(len(found), dtype=np.bool_)
    for low, high in lost:
        served[low:high] = False
    assert np.array_equal(found[served], truth_of(case)[served])


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Case, dict[int, list[tuple[Range, bytes]]], frozenset[int]]:
    """Draw fills of several copies, near each other so that they meet; and members that are missing."""
    case = draw(st.sampled_from(CASES))
    roles = sorted(described(case).serving)
    places = draw(st.lists(st.sampled_from(data_sectors(case)[:-200]), min_size=1, max_size=6))
    pattern = st.sampled_from((b"\0", *PATTERNS))
    fills: dict[int, list[tuple[Range, bytes]]] = {}
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.sampled_from(places)) + draw(st.integers(0, 20))
        place = (start * SECTOR, (start + draw(st.sampled_from([1, 3, 16, 130]))) * SECTOR)
        fills.setdefault(draw(st.sampled_from(roles)), []).append((place, draw(pattern)))
    most = 2 if case.level == "raid6" else 1
    return case, fills, draw(st.frozensets(st.sampled_from(roles), max_size=draw(st.integers(0, most))))


def run_around(image: bytes, place: Range) -> Range:
    """A range, with what is filled on both sides of it: one run, of which one thing is said."""
    start, stop = place
    while start >= SECTOR and is_filled(image[start - SECTOR : start]):
        start -= SECTOR
    while stop < len(image) and is_filled(image[stop : stop + SECTOR]):
        stop += SECTOR
    return start, stop


@settings(max_examples=12)
@given(mixtures(), st.data())
def test_any_mixture_follows_the_rule(
    mixture: tuple[Case, dict[int, list[tuple[Range, bytes]]], frozenset[int]], data: st.DataObject
) -> None:
    case, fills, missing = mixture
    images = {role: bytearray(image) for role, image in images_of(case, case.members()).items()}
    for role, listed in fills.items():
        for (start, stop), pattern in listed:
            images[role][start:stop] = filled(pattern, stop - start)
    now = {role: bytes(image) for role, image in images.items()}
    touched = {role: [run_around(now[role], place) for place, _ in listed] for role, listed in fills.items()}
    content, withheld = expected(case, now, touched, missing)
    with opened(case, now, missing) as source:
        found, lost = read_all(source)
        assert not lost.difference(withheld)
        for start, stop in withheld.difference(lost):  # an old copy that a reshape left behind
            content[start:stop] = truth_of(case)[start:stop]
        assert np.array_equal(found, content)
    touched_at = [
        at
        for start, stop in Extents([place for ranges in touched.values() for place in ranges])
        for at in (start, stop)
    ]
    with opened(case, now, missing) as source:  # in another order, and in other pieces
        for at in data.draw(st.lists(st.integers(0, source.size - 1), max_size=8)) + touched_at:
            start = min(at, source.size - 1)
            stop = min(source.size, start + data.draw(st.sampled_from([1, 511, 4096, 70000])))
            piece = np.zeros(stop - start, dtype=np.uint8)
            assert source.read_into(one_request(start, stop - start), piece) == lost.clip(start, stop).shift(-start)
            assert np.array_equal(piece, found[start:stop])


@contextmanager
def changed(
    case: Case, change: Callable[[dict[int, bytearray], range], None], policy: Policy = Policy()
) -> Iterator[ArraySource]:
    """Look at an array after something was done to its images, in the sectors that hold data."""
    images = {role: bytearray(image) for role, image in images_of(case, case.members()).items()}
    change(images, data_sectors(case))
    with opened(case, {role: bytes(image) for role, image in images.items()}, (), policy) as source:
        yield source


def assert_true_where_served(case: Case, source: ArraySource, *, wrong: NDArray[np.bool_] | None = None) -> Extents:
    """Read all; what is served is the truth but where it was wrong before anybody asked. Returns what is withheld."""
    content, lost = read_all(source)
    is_right = content == truth_of(case)
    for start, stop in lost:
        is_right[start:stop] = True
    assert (is_right if wrong is None else is_right | wrong).all()
    return lost


TEXTS = [None, *LONG_TEXTS, b"BaDbLoCk", b"UNREADABLE "]


@every_case
@pytest.mark.parametrize("text", TEXTS, ids=["location data", *(str(len(text)) for text in TEXTS if text)])
def test_texts_of_any_tool_are_never_taken_for_data(case: Case, text: bytes | None) -> None:
    """In whole pages, as disks have them; `None`: what `ddrescue --fill-mode=l` writes."""

    def fill_pages(images: dict[int, bytearray], places: range) -> None:
        chance = random.Random(3)
        for _ in range(40):
            start = chance.randrange(places.start, places.stop - 600) // 8 * 4096
            length = chance.choice([1, 2, 16, 64]) * 4096
            images[1][start : start + length] = located(start, length) if text is None else filled(text, length)

    with changed(case, fill_pages) as source:
        lost = assert_true_where_served(case, source)
        assert any(flaw.reason == NEVER_COPIED for flaw in source.learned)
    assert case.level == "raid5" or not lost
    if text in (None, b"BaDbLoCk"):
        assert lost.total <= truth_of(case).size // 500  # these are known whatever lies beside them


@pytest.mark.parametrize("case", [CASES[0], golden_case("s-r5-la"), golden_case("s-r5-rs")], ids=lambda case: case.name)
@pytest.mark.parametrize("share", [2, 4])
def test_two_copies_that_end_at_the_same_height(case: Case, share: int) -> None:
    """Where all else is zeros their rows agree, zeros with zeros, whatever they held."""

    def abort(images: dict[int, bytearray], places: range) -> None:
        for role in (0, 1):
            end = (places.stop - len(places) // share) * SECTOR
            images[role][end:] = bytes(len(images[role]) - end)

    with changed(case, abort) as source:
        lost = assert_true_where_served(case, source)
    with changed(case, abort) as source:
        for start in reversed(range(0, source.size, 1 << 16)):
            stop = min(start + (1 << 16), source.size)
            piece = np.zeros(stop - start, dtype=np.uint8)
            assert source.read_into(one_request(start, stop - start), piece) == lost.clip(start, stop).shift(-start)


def spoil_pieces(seed: int, least: int = 1) -> Callable[[dict[int, bytearray], range], None]:
    """Put one random piece of random bytes into each 64 KiB of the members."""

    def spoil(images: dict[int, bytearray], places: range) -> None:
        chance = random.Random(seed)
        for start in range(places.start, places.stop - 128, 128):
            length = chance.choice([1, 1, 2, 8, 16, 60]) if least == 1 else least
            at = (start + chance.randrange(0, 129 - length)) * SECTOR
            images[chance.choice(sorted(images))][at : at + length * SECTOR] = chance.randbytes(length * SECTOR)

    return spoil


def naive(case: Case, change: Callable[[dict[int, bytearray], range], None]) -> NDArray[np.bool_]:
    """Which bytes are wrong where nobody asks; bool (size,)."""
    with pytest.MonkeyPatch.context() as patch, changed(case, change) as source:
        patch.setattr(Scrutiny, "is_settled", lambda *_: True)
        patch.setattr(Scrutiny, "settle", lambda *_: None)
        content, lost = read_all(source)
        assert not lost
        return np.repeat((content != truth_of(case)).reshape(-1, SECTOR).any(axis=1), SECTOR)


@pytest.mark.parametrize("seed", range(3))
def test_zeros_beside_something_that_is_silently_wrong_are_never_made_wrong(seed: int) -> None:
    """Where a few sectors of zeros have the very borders of what is wrong they are, but are not taken for certain."""
    case = golden_case("s-r5-la")
    change = spoil_pieces(seed)
    with changed(case, change) as source:
        read_all(source)
        wrong = naive(case, change)
        for start, stop, health in health_runs(source.sight.charts, 0, source.size):
            wrong[start:stop] |= health == Health.UNPROVEN
        lost = assert_true_where_served(case, source, wrong=wrong)
    assert lost.total < truth_of(case).size // 16


@pytest.mark.parametrize("least", [1, 8, 128])
@pytest.mark.parametrize("check", [False, True])
def test_on_raid6_nothing_is_withheld_beside_what_both_parities_name(least: int, check: bool) -> None:  # a case
    case = CASES[1]
    change = spoil_pieces(5, least)
    with changed(case, change, Policy(check=check)) as source:
        assert not assert_true_where_served(case, source, wrong=None if check else naive(case, change))


# As users see it ---------------------------------------------------------------------------------------------------

SIX = golden_case("s-r6-ls")
FIVE = golden_case("s-r5-la")


def rows_with_data(case: Case, n: int) -> Ranges:
    """Choose ranges of 4 KiB of which every sector differs from member to member, and holds data on all of them."""
    images = [np.frombuffer(image, np.uint8) for _, image in sorted(images_of(case, case.members()).items())]
    found: Ranges = []
    places = data_sectors(case)
    for start in range(places.start * SECTOR, places.stop * SECTOR, 3 * 65536 + 4096):
        here = [image[start : start + 4096].reshape(-1, SECTOR) for image in images]
        if all((each != each[:, :1]).any(axis=1).all() for each in here) and len(found) < n:
            found.append((start, start + 4096))
    assert len(found) == n
    return found


def test_export_says_which_ranges_it_did_not_believe(tmp_path: Path) -> None:
    members = SIX.copies(tmp_path)
    ranges = rows_with_data(SIX, 9)
    fill(members[1], ranges, "zeros")
    done = raidfs("export", "--map", tmp_path / "map", *members, tmp_path / "image")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "image").read_bytes() == truth_of(SIX).tobytes()
    told = ", ".join(f"{start}-{stop}" for start, stop in ranges[:8])
    more = f" and in 1 more ranges up to {ranges[-1][1]}"
    assert f"! {members[1]}: {9 * 4096} bytes at {told}{more}: {NEVER_COPIED}" in " ".join(done.stdout.split())


def test_what_is_open_is_left_out_and_in_the_map(tmp_path: Path) -> None:
    members = FIVE.copies(tmp_path)
    ranges = rows_with_data(FIVE, 2)
    fill(members[0], ranges, "zeros")
    fill(members[1], ranges, "hole")
    done = raidfs("export", "--map", tmp_path / "map", *members, tmp_path / "image")
    assert (done.returncode, done.stderr) == (4, "")
    assert "but others may be wrong there, too" in " ".join(done.stdout.split())
    rows = [line.split() for line in (tmp_path / "map").read_text().splitlines() if not line.startswith("#")][1:]
    doubtful = Extents([(int(at, 16), int(at, 16) + int(size, 16)) for at, size, status in rows if status == "/"])
    content = np.frombuffer((tmp_path / "image").read_bytes(), np.uint8)
    truth = truth_of(FIVE).copy()
    assert doubtful
    for start, stop in doubtful:
        truth[start:stop] = 0
    assert np.array_equal(content, truth)


def spoil(path: Path, at: int) -> None:
    """Change one byte of a copy."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("case", [FIVE, SIX], ids=lambda case: case.name)
def test_export_with_check(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    (place, _), *_ = rows_with_data(case, 1)
    spoil(members[0], place + 1000)
    whole = raidfs("export", "-q", *members, tmp_path / "unchecked")
    assert whole.returncode == 0
    done = raidfs("export", "--check", *members, tmp_path / "image")
    assert (done.returncode, done.stderr) == (4 if case is FIVE else 0, "")
    content = np.frombuffer((tmp_path / "image").read_bytes(), np.uint8)
    wrong = np.flatnonzero(content != truth_of(case))
    if case is SIX:
        assert not len(wrong)
        assert f"{members[0]}: 512 bytes at {place + 512}-{place + 1024}: wrong, as both parities tell" in " ".join(
            done.stdout.split()
        )
    else:
        assert not content[wrong].any()
        assert "the row disagrees with its parity, and nothing tells which member is wrong" in " ".join(
            done.stdout.split()
        )


def test_an_export_that_goes_on_remembers_what_it_did_not_believe(tmp_path: Path) -> None:
    members = FIVE.copies(tmp_path)
    ranges = rows_with_data(FIVE, 2)
    fill(members[0], ranges, "zeros")
    fill(members[1], ranges, "zeros")
    paths = [str(path) for path in members]
    with open_array(paths) as array, closing(_prepare(array, str(tmp_path / "image"), None, force=False)) as image:
        read_all(array.source)
        learned = array.learned
        assert learned
        _save(array, image)
    with open_array(paths) as array, closing(_prepare(array, str(tmp_path / "image"), None, force=False)):
        assert array.learned == learned


@pytest.mark.fuse
def test_a_mount_says_so_too(tmp_path: Path) -> None:
    members = SIX.copies(tmp_path)
    ranges = rows_with_data(SIX, 3)
    fill(members[2], ranges, "text")
    with mounted(members, tmp_path / "array") as tree:
        assert json.loads((tree / "status.json").read_text())["account"]["rebuilt"] == 0
        assert (tree / "array.img").read_bytes() == truth_of(SIX).tobytes()
        status = json.loads((tree / "status.json").read_text())
    assert status["account"]["rebuilt"] > 0
    (member,) = [each for each in status["members"] if each["path"] == str(members[2])]
    assert {"reason": NEVER_COPIED, "bytes": 3 * 4096} in member["damage"]
    told = [each["message"] for each in status["findings"] if NEVER_COPIED in each["message"]]
    assert told == [f"{members[2]}: 12288 bytes at {', '.join(f'{a}-{b}' for a, b in ranges)}: {NEVER_COPIED}"]


@pytest.mark.fuse
def test_a_mount_with_check(tmp_path: Path) -> None:
    members = FIVE.copies(tmp_path)
    (place, _), *_ = rows_with_data(FIVE, 1)
    spoil(members[0], place + 1000)
    with mounted(members, tmp_path / "array", "-o", "check") as tree:
        with (tree / "array.img").open("rb", buffering=0) as image:
            content, failed = np.zeros(FIVE.array_size, dtype=np.uint8), 0
            for at in range(0, FIVE.array_size, 4096):
                try:
                    content[at : at + 4096] = np.frombuffer(os.pread(image.fileno(), 4096, at), np.uint8)
                except OSError:
                    failed += 1
        status = json.loads((tree / "status.json").read_text())
    assert 0 < failed <= 3
    assert status["account"]["doubtful"] == failed * SECTOR
    wrong = np.flatnonzero(content != truth_of(FIVE))
    assert not content[wrong].any()
