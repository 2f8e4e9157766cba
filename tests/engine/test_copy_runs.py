"""What the run of a filled sector shows: gaps of a copy are told from honest zeros in which one copy holds garbage."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import read_exact
from raidfs.engine import copy_runs, scrutiny
from raidfs.engine.account import Account, account_of, health_runs
from raidfs.engine.health import Health, Policy
from raidfs.extents import Extents
from tests.engine.test_copies_judge import CONTESTED, NEVER_COPIED, OPEN, opened, read
from tests.engine.test_mirrors import CHUNK, FAR2, LAYOUTS, NEAR2, OFFSET2, SECTOR, START, Bench, bench
from tests.support.fills import PATTERNS, filled
from tests.support.sources import BadSectors

PAGE = 8 * SECTOR
TWOFOLD = [each for each in LAYOUTS if each == (1, 0, 2) or each[1] in (NEAR2, FAR2, OFFSET2)]
"""Layouts with two copies."""
twofold = pytest.mark.parametrize(("level", "layout", "disks"), TWOFOLD)
every_mode = pytest.mark.parametrize("check", [False, True])


def zeros(level: int, layout: int, disks: int, rows: int = 32, chunk: int = CHUNK) -> Bench:
    """An array that holds nothing but zeros."""
    array = bench(level, layout, disks, rows=rows, chunk=chunk)
    for image in array.images.values():
        image[START:] = bytes(len(image) - START)
    return array


def garbage(array: Bench, role: int, offset: int, length: int) -> None:
    """Let a member hold something else."""
    array.images[role][offset : offset + length] = Random(offset).randbytes(length)


def account(array: Bench, policy: Policy) -> Account:
    with opened(array, policy) as source:
        read_exact(source, 0, source.size)
        return account_of(source.sight.charts)


@twofold
@every_mode
@pytest.mark.parametrize("n_sectors", [1, 3, 8])
def test_garbage_amid_zeros_is_never_taken_for_what_was_not_copied(
    level: int, layout: int, disks: int, check: bool, n_sectors: int
) -> None:
    array = zeros(level, layout, disks)
    length = n_sectors * SECTOR
    for role in range(disks):
        garbage(array, role, START + (8 + 3 * role) * CHUNK, length)  # at the edge of a chunk
    content, lost, learned = read(array, Policy(check=check))
    assert not lost
    assert NEVER_COPIED not in {reason for _, reason in learned}
    told = account(array, Policy(check=check))
    wrong = sum(content[at : at + SECTOR] != bytes(SECTOR) for at in range(0, len(content), SECTOR))
    assert told.rebuilt == 0
    assert told.unproven == wrong * SECTOR if check else told.unproven <= wrong * SECTOR
    assert bool(learned) == (wrong > 0 or not check)


@every_mode
@pytest.mark.parametrize(
    ("n_zeros", "n_garbage", "is_convincing"),
    [(7, 7, False), (8, 8, True), (15, 8, True), (16, 8, False), (1, 1, False), (16, 9, True)],
)
def test_a_run_convinces_if_most_of_a_page_or_more_has_data_elsewhere(
    n_zeros: int, n_garbage: int, is_convincing: bool, check: bool
) -> None:
    array = bench(1, 0, 2)
    for image in array.images.values():
        image[START + CHUNK : START + CHUNK + n_zeros * SECTOR] = bytes(n_zeros * SECTOR)
    garbage(array, 1, START + CHUNK, n_garbage * SECTOR)
    content, lost, learned = read(array, Policy(check=check))
    place = [(START + CHUNK, START + CHUNK + n_garbage * SECTOR)]
    assert learned == ({(0, NEVER_COPIED): place} if is_convincing else {(0, OPEN): place, (1, CONTESTED): place})
    assert (content, lost) == (bytes(array.images[1][START:]), Extents())  # it is all that may be left of the data


@pytest.mark.parametrize("pattern", PATTERNS)
def test_runs_of_other_sorts_beside_it_do_not_count(pattern: bytes) -> None:
    """What was not copied lies amid zeros that both copies hold."""
    array = zeros(1, 0, 2)
    garbage(array, 1, START + 8 * CHUNK, PAGE)
    array.images[0][START + 8 * CHUNK : START + 8 * CHUNK + PAGE] = filled(pattern, PAGE)
    _, _, learned = read(array, Policy(check=True))
    assert ((0, NEVER_COPIED) in learned) == (pattern != b"\0")


def test_a_mark_convinces_alone() -> None:
    array = bench(1, 0, 2)
    truth = array.content()
    array.images[0][START + SECTOR : START + 2 * SECTOR] = filled(b"BaDbLoCk", SECTOR)
    assert read(array, Policy(strict=True))[:2] == (truth, Extents())


@every_mode
def test_runs_go_on_from_chunk_to_chunk_of_a_member(check: bool) -> None:
    """Every second chunk of a member is a second copy; a gap of four sectors in one and the next is one of eight."""
    array = bench(10, OFFSET2, 4)
    truth = array.content()
    start = START + 4 * CHUNK - 4 * SECTOR
    array.images[2][start : start + PAGE] = bytes(PAGE)
    content, lost, learned = read(array, Policy(check=check))
    assert (content, lost) == (truth, Extents())
    assert learned.keys() == {(2, NEVER_COPIED)}
    array = bench(10, OFFSET2, 4)
    array.images[2][start : start + PAGE - SECTOR] = bytes(PAGE - SECTOR)
    assert (2, NEVER_COPIED) not in read(array, Policy(check=check))[2]


def test_what_cannot_be_read_convinces_nobody() -> None:
    """A page of garbage amid zeros that can be read no more, on either copy."""
    for role in range(2):
        array = zeros(1, 0, 2)
        middle = START + 8 * CHUNK
        garbage(array, 1, middle, PAGE)
        array.bad = {role: Extents([(START, middle), (middle + PAGE, len(array.images[0]))])}
        _, _, learned = read(array, Policy(check=True))
        assert NEVER_COPIED not in {reason for _, reason in learned}


def test_a_thousand_sectors_of_garbage_amid_zeros_are_all_unproven() -> None:
    random, array = Random(5), zeros(1, 0, 2, rows=4096)
    at = [START + sector * SECTOR for sector in sorted(random.sample(range(4096 * 8), 1000))]
    for offset in at:
        garbage(array, random.randrange(2), offset, SECTOR)
    told = account(array, Policy(check=True))
    assert (told.rebuilt, told.unproven, told.doubtful) == (0, 1000 * SECTOR, 0)


def test_an_unfinished_copy_of_data_is_rebuilt() -> None:
    """Gaps of whole pages, as a tool leaves them that goes on in clusters; zeros in a quarter of all sectors."""
    random, array = Random(6), bench(1, 0, 2, rows=4096)
    for offset in range(START, len(array.images[0]), SECTOR):
        if random.random() < 0.25:
            for image in array.images.values():
                image[offset : offset + SECTOR] = bytes(SECTOR)
    truth, gaps = array.content(), 0
    for offset in range(START, len(array.images[0]), 128 * SECTOR):
        if random.random() < 0.3:
            array.images[0][offset : offset + 128 * SECTOR] = bytes(128 * SECTOR)
            gaps += 128 * SECTOR
    content, lost, learned = read(array, Policy(strict=True))
    assert (content, lost) == (truth, Extents())
    assert learned.keys() == {(0, NEVER_COPIED)}
    assert 0.7 * gaps < account(array, Policy()).rebuilt < 0.8 * gaps


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(TWOFOLD), st.booleans(), st.integers(0, 1 << 20))
def test_what_is_said_does_not_depend_on_what_is_read(
    data: st.DataObject, which: tuple[int, int, int], check: bool, seed: int
) -> None:
    """Runs are longer than what is seen of them here."""
    random, array = Random(seed), bench(*which, rows=16, chunk=1024 << seed % 4)
    for role, image in array.images.items():
        for _ in range(random.randrange(4)):
            start = START + random.randrange((len(image) - START) // SECTOR) * SECTOR
            length = min(random.choice([8, 40, 100]) * SECTOR, len(image) - start)
            for other in array.images if random.random() < 0.5 else [role]:
                array.images[other][start : start + length] = bytes(length)
        if random.random() < 0.5:
            garbage(array, role, START + random.randrange(100) * SECTOR, random.choice([1, 8]) * SECTOR)
    edges = sorted(
        {0, array.description.size, *data.draw(st.lists(st.integers(0, array.description.size), max_size=6))}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy_runs, "_PIECE", 2)
        patch.setattr(copy_runs, "_FAR", 4 * 1024)
        whole = served(array, check, [(0, array.description.size)])
        patch.setattr(scrutiny, "UNIT", data.draw(st.sampled_from([512, 4096])))
        assert served(array, check, data.draw(st.permutations(list(pairwise(edges))))) == whole


def served(
    array: Bench, check: bool, ranges: list[tuple[int, int]]
) -> tuple[bytes, list[tuple[int, int]], list[tuple[int, int, Health]]]:
    """Read ranges that make up the array; returns its bytes, what is withheld, and what everything is worth then."""
    sources: list[BadSectors] = array.sources()
    with opened(array, Policy(check=check), sources) as source:
        found = {start: read_exact(source, start, stop - start) for start, stop in ranges}
        lost = Extents().union(*(each.shift(start) for start, (_, each) in found.items()))
        content = b"".join(content for _, (content, _) in sorted(found.items()))
        return content, list(lost), list(health_runs(source.sight.charts, 0, source.size))
