"""What cannot be read is found to the unit, with few failures, and never at the cost of a dying disk."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.extents import Extents
from raidfs.image.isolate import Budget, Losses, MediaError, Medium, halves, pages_then_units, read_around

UNIT = 512
SIZE = 64 * 4096
DATA = random.Random(7).randbytes(SIZE)


class Disk:
    """Fails at bad sectors: in whole pages at the first level, as the page cache does, else in units.

    Attributes:
        now: its clock [seconds]; each failing read takes `patience`.
        failures: failing reads so far (start, stop).
        asked: all reads so far.
    """

    def __init__(self, bad: Extents, *, pages: bool = False, patience: float = 0.0) -> None:
        self._bad = bad
        self._pages = pages
        self._patience = patience
        self.now = 0.0
        self.failures: list[tuple[int, int]] = []
        self.asked: list[tuple[int, int]] = []

    def read(self, offset: int, target: memoryview, level: int) -> int:
        start, stop = offset, offset + len(target)
        self.asked.append((start, stop))
        if self._pages and level == 0:
            start, stop = start // 4096 * 4096, -(-stop // 4096) * 4096
        if self._bad.overlaps(start, stop):
            self.now += self._patience
            self.failures.append((start, stop))
            raise MediaError
        target[:] = DATA[offset : offset + len(target)]
        return len(target)

    def medium(self) -> Medium:
        return Medium(self.read, pages_then_units(UNIT) if self._pages else halves(UNIT), UNIT, SIZE)

    def budget(self, n_failures: int = 1 << 15, seconds: float = 600.0) -> Budget:
        return Budget(n_failures, seconds, lambda: self.now)


def read(disk: Disk, start: int, stop: int, budget: Budget | None = None) -> Losses:
    """Read and check that everything outside the losses is there."""
    target = bytearray(stop - start)
    lost = read_around(disk.medium(), start, stop, memoryview(target), budget or disk.budget())
    for low, high in Extents.span(start, stop).difference(lost.all):
        assert target[low - start : high - start] == DATA[low:high]
    return lost


sectors = st.lists(st.tuples(st.integers(0, SIZE // UNIT - 1), st.integers(1, 12)), max_size=6).map(
    lambda pairs: Extents([(first * UNIT, (first + count) * UNIT) for first, count in pairs]).clip(0, SIZE)
)


@given(sectors, st.integers(0, SIZE), st.integers(0, SIZE), st.booleans())
def test_exactly_the_bad_units_are_lost(bad: Extents, one: int, other: int, pages: bool) -> None:
    start, stop = sorted((one, other))
    lost = read(Disk(bad, pages=pages), start, stop)
    assert lost.bad.clip(start, stop) == bad.clip(start, stop)
    assert not lost.bad.difference(bad)
    assert not lost.unsplit
    assert not lost.ended


def test_a_bad_sector_of_a_device_fails_three_times_only() -> None:
    disk = Disk(Extents.span(21 * UNIT, 22 * UNIT), pages=True)
    assert read(disk, 0, 32 * 4096).bad == Extents.span(21 * UNIT, 22 * UNIT)
    assert disk.failures == [(0, 32 * 4096), (2 * 4096, 3 * 4096), (21 * UNIT, 22 * UNIT)]


def test_a_sector_that_fails_alone_is_not_tried_again_and_again() -> None:
    disk = Disk(Extents.span(UNIT, 2 * UNIT), pages=True)
    assert read(disk, UNIT + 10, 2 * UNIT).bad == Extents.span(UNIT, 2 * UNIT)
    assert len(disk.failures) == 2  # by way of the page cache, and directly


@pytest.mark.parametrize(("start", "stop"), [(0, 512), (700, 800), (0, 16 * 4096)])
@pytest.mark.parametrize("pages", [False, True])
def test_what_fails_once_is_not_lost(start: int, stop: int, pages: bool) -> None:
    disk = Disk(Extents(), pages=pages)
    medium = disk.medium()
    failures = iter([MediaError])

    def fail_once(offset: int, target: memoryview, level: int) -> int:
        for failure in failures:
            raise failure
        return disk.read(offset, target, level)

    target = bytearray(stop - start)
    assert not read_around(replace(medium, read=fail_once), start, stop, memoryview(target), disk.budget())
    assert target == DATA[start:stop]


def test_good_sectors_beside_a_bad_one_are_had_although_their_page_fails() -> None:
    disk = Disk(Extents.span(0, UNIT), pages=True)
    assert not read(disk, UNIT, 4096)


@given(sectors, st.integers(1, 12), st.booleans(), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_with_the_budget_used_up_nothing_is_split(bad: Extents, n: int, pages: bool, starts: list[int]) -> None:
    disk = Disk(bad, pages=pages)
    budget = disk.budget(n_failures=n)
    for start in starts:
        was_used_up, n_before = budget.is_used_up, len(disk.asked)
        lost = read(disk, start * 4096, start * 4096 + 3 * 4096, budget)
        assert not lost.all.difference(Extents.span(start * 4096, start * 4096 + 3 * 4096))
        assert not lost.bad.difference(bad)
        if was_used_up:
            assert len(disk.asked) == n_before + 1
            assert lost.all.total in (0, 3 * 4096)
    assert len(disk.failures) <= n + len(starts)


def test_the_time_spent_in_failing_reads_counts() -> None:
    disk = Disk(Extents.span(0, SIZE), pages=True, patience=7.0)
    budget = disk.budget(seconds=60.0)
    lost = read(disk, 0, 16 * 4096, budget)
    assert budget.is_used_up
    assert len(disk.failures) == 9
    assert lost.all == Extents.span(0, 16 * 4096)
    assert lost.bad.total == 7 * UNIT
    read(disk, 32 * 4096, 48 * 4096, budget)
    assert len(disk.failures) == 10


def test_time_spent_reading_well_is_free() -> None:
    disk = Disk(Extents())
    slow = iter(range(0, 10_000_000, 10_000))
    budget = Budget(clock=lambda: float(next(slow)))
    for _attempt in range(20):
        assert not read(disk, 0, SIZE, budget)
    assert not budget.is_used_up


def test_where_the_medium_ends_is_neither_bad_nor_retried() -> None:
    def read_at_most(offset: int, target: memoryview, _level: int) -> int:
        n = max(0, min(len(target), 1000 - offset))
        target[:n] = DATA[offset : offset + n]
        return n

    target = memoryview(bytearray(2048))
    lost = read_around(Medium(read_at_most, halves(UNIT), UNIT, 4096), 0, 2048, target, Budget())
    assert lost == Losses(ended=Extents.span(1000, 4096))
    assert bytes(target[:1000]) == DATA[:1000]


def test_what_was_isolated_later_is_no_longer_unsplit() -> None:
    first = Losses(unsplit=Extents.span(0, 4096))
    both = first.union(Losses(bad=Extents.span(512, 1024)))
    assert both == Losses(Extents.span(512, 1024), Extents([(0, 512), (1024, 4096)]))
    assert both.all == Extents.span(0, 4096)


@pytest.mark.parametrize("unit", [512, 4096, 16384])
def test_pieces_cover_what_failed(unit: int) -> None:
    cut = pages_then_units(unit)
    for start, stop in ((0, 65536), (700, 50_000), (unit - 1, unit + 1), (4096, 8192)):
        for level in (0, 1):
            pieces = cut(start, stop, level)
            if pieces:
                assert Extents(pieces) == Extents.span(start, stop)
                assert all(stop - start <= max(4096, unit) for start, stop in pieces)
        assert cut(start, stop, 2) == []
