"""Reading around what cannot be read: failures are isolated to the unit in which the medium fails, within a budget.

No I/O of its own: what reads is handed in. A failing read of a dying disk takes seconds and may be one of its last, so
every member has a budget of failures and of the time that they took. Once it is used up nothing is split any more: what
a failing read asked for counts as unreadable as a whole.

Threading: a `Budget` may be used from several threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from raidfs.extents import Extents
from raidfs.units import align_down, align_up

MOST_FAILURES = 1 << 15
"""Failing reads of one member after which it is not asked for details any more: enough to isolate some 3,000 scattered
sectors by bisection, or 8 MiB of nothing but bad ones. A member with more of them needs ddrescue."""
MOST_SECONDS = 600.0
"""Time spent in failing reads: a disk that gives up after 7 seconds has failed 85 times by then."""

PAGE = 4096
"""What the page cache reads of a device at least [bytes]: one bad sector takes seven good ones with it."""

Cut = Callable[[int, int, int], list[tuple[int, int]]]
"""(start, stop, how often it was cut before) of a range that failed -> pieces to be read one by one; none: give up."""


class MediaError(Exception):
    """The medium does not give these bytes; never leaves this package."""


class Budget:
    """How often, and for how long, a member may fail before we stop asking for details."""

    def __init__(
        self,
        n_failures: int = MOST_FAILURES,
        seconds: float = MOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the whole budget."""
        self.clock = clock
        self._lock = threading.Lock()
        self._failures_left = n_failures
        self._seconds_left = seconds

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left of it."""
        return self._failures_left <= 0 or self._seconds_left <= 0

    def charge(self, seconds: float) -> None:
        """Count one failing read that took so long."""
        with self._lock:
            self._failures_left -= 1
            self._seconds_left -= seconds


@dataclass(frozen=True)
class Losses:
    """What could not be read [bytes of the medium].

    Attributes:
        bad: isolated to the unit of the medium.
        unsplit: ranges of which some bytes may be good: the budget was used up.
        ended: the medium ends before these.
    """

    bad: Extents = Extents()
    unsplit: Extents = Extents()
    ended: Extents = Extents()

    @property
    def all(self) -> Extents:
        """Everything that is lost."""
        return self.bad.union(self.unsplit, self.ended)

    def union(self, other: Losses) -> Losses:
        """Return what is lost in either; what was isolated once is no longer unsplit."""
        bad = self.bad.union(other.bad)
        unsplit = self.unsplit.union(other.unsplit).difference(bad)
        return Losses(bad, unsplit, self.ended.union(other.ended))

    def __bool__(self) -> bool:
        """Tell whether anything is lost."""
        return bool(self.bad or self.unsplit or self.ended)


_NOTHING = Losses()


def halves(unit: int) -> Cut:
    """Cut by bisection: for files, whose errors tell nothing about where they come from, nor whether they will last.

    Whatever is given up failed twice.
    """

    def cut(start: int, stop: int, level: int) -> list[tuple[int, int]]:
        first, last = start // unit, (stop - 1) // unit
        middle = (first + last + 1) // 2 * unit
        if first == last:
            return [] if level else [(start, stop)]
        return [(start, middle), (middle, stop)]

    return cut


def pages_then_units(unit: int) -> Cut:
    """Cut into pages, and those that fail into units: for devices, where a failure costs seconds and a success nothing.

    One bad sector fails three times on the way, by bisection of 128 KiB nine times.
    """

    def cut(start: int, stop: int, level: int) -> list[tuple[int, int]]:
        size = max(PAGE, unit) if level == 0 else unit
        if level > 1 or (level == 1 and start // unit == (stop - 1) // unit):
            return []
        edges = [start, *range(align_down(start, size) + size, stop, size), stop]
        return list(pairwise(edges))

    return cut


@dataclass(frozen=True)
class Medium:
    """How to read, and in which units it fails.

    Attributes:
        read: reads (offset, target, how often the range was cut): number of bytes; 0 at the end. Raises `MediaError`.
        cut: how a failed range is cut.
        unit: in which the medium fails [bytes].
        size: [bytes].
    """

    read: Callable[[int, memoryview, int], int]
    cut: Cut
    unit: int
    size: int


def read_around(medium: Medium, start: int, stop: int, target: memoryview, budget: Budget) -> Losses:
    """Read [start, stop) into `target` as far as that is possible.

    Returns:
        What could not be read, in whole units but for what a partial read gave of one.
    """
    pending, read_to = [(start, stop, 0)], 0
    bad: list[tuple[int, int]] = []
    unsplit: list[tuple[int, int]] = []
    ended: list[tuple[int, int]] = []
    while pending:
        begin, end, level = pending.pop()
        here, failed = _read_while_possible(medium, (begin, end, level), target[begin - start : end - start], budget)
        read_to = here if here > begin else read_to
        if here == end:
            continue
        if not failed:
            ended.append((here, medium.size))
            continue
        lost = (max(align_down(here, medium.unit), read_to), min(align_up(end, medium.unit), medium.size))
        pieces = medium.cut(here, end, level)
        if pieces and not budget.is_used_up:
            pending += [(*piece, level + 1) for piece in reversed(pieces)]
            continue
        (unsplit if pieces else bad).append(lost)
        if budget.is_used_up:
            unsplit += [(first, last) for first, last, _ in pending]
            break
    return Losses(Extents(bad), Extents(unsplit), Extents(ended)) if bad or unsplit or ended else _NOTHING


def _read_while_possible(
    medium: Medium, piece: tuple[int, int, int], target: memoryview, budget: Budget
) -> tuple[int, bool]:
    """Read a piece (start, stop, how often it was cut) into `target`.

    Returns:
        How far it came, and, short of the end, whether the medium failed there; else it ends there.
    """
    begin, end, level = piece
    here = begin
    while here < end:
        since = budget.clock()
        try:
            n_read = medium.read(here, target[here - begin :], level)
        except MediaError:
            budget.charge(budget.clock() - since)
            return here, True
        if n_read == 0:
            return here, False
        here += n_read
    return here, False
