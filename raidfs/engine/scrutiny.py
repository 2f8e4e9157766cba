"""Nothing that looks as if it was never copied is believed before its rows were judged.

A copy may hold zeros, a hole or a fill pattern where its tool gave up, and no map that says so. Whoever serves bytes
asks here first whether the rows behind them are settled: judged, and what the judgement says against the members
learned. Judging goes in *units* of some 64 KiB per member, further ahead the longer it goes on in sequence, so that
large areas of honest zeros cost little; which units are settled is remembered, one byte for each.

A unit stays settled for good: bytes that were right do not become wrong, a member that changes is erased as a whole,
and what is learned later only takes trust away. Only where every read is to be checked units are forgotten when others
far away are asked about: what the page cache held when they were judged may be read anew by then.

Threads: whoever finds something unsettled waits until it is settled, one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.damage import Flaw
from raidfs.engine.fetch import PatientSource
from raidfs.engine.judgement import Judge
from raidfs.geometry.reshape import Section

UNIT = 64 << 10
"""Stripe bytes that are settled together, at least: what a disk reads in the time of a seek is much more."""
_MOST_UNITS = 1 << 24
"""Units of a section, at most; they are larger where these would be more."""
_MOST_AHEAD = 16 << 20
"""Stripe bytes that are judged together, at most, when they are asked for in sequence."""


@dataclass(frozen=True)
class Knowledge:
    """How scrutiny gets at what is known of the members; see `ArraySource`.

    Attributes:
        flaws: returns everything known against the sources.
        learn: takes flaws; from its return on nobody is served what they speak against.
        unchanged: returns False where a member was found changed just now, and is erased.
        sources: returns the members, ready to be read.
    """

    flaws: Callable[[], tuple[Flaw, ...]]
    learn: Callable[[Sequence[Flaw]], None]
    unchanged: Callable[[], bool]
    sources: Callable[[], Sequence[PatientSource]]


class Scrutiny:
    """Remembers which rows were judged, and has the others judged."""

    def __init__(self, judges: Iterable[tuple[Section, Judge]], knowledge: Knowledge, *, forgets: bool) -> None:
        """Begin with nothing settled but what nobody can judge.

        Args:
            judges: runs of the array, each in one geometry, and who judges it; they may overlap.
            knowledge: of the members.
            forgets: units stay settled only until others far away are asked about.
        """
        self._forgets = forgets
        self._wards = [_Ward(section, judge) for section, judge in judges]
        self._knowledge = knowledge
        self._settling = threading.Lock()

    def is_settled(self, start: int, stop: int) -> bool:
        """Tell whether all rows behind [start, stop) [array bytes] are settled; never waits."""
        return all(ward.is_settled(*units) for ward, units in self._units(start, stop))

    def settle(self, start: int, stop: int) -> None:
        """Have all rows behind [start, stop) [array bytes] judged, and let what is found be learned.

        Rows remain unsettled where a member did not answer in time: nothing is known of them then.
        """
        with self._settling:
            for ward, units in self._units(start, stop):
                if self._forgets:
                    ward.forget_all_but(*units)
                for first, last in ward.unsettled(*units):
                    self._judge(ward, first, ward.ahead(first, last))

    def _units(self, start: int, stop: int) -> Iterator[tuple[_Ward, tuple[int, int]]]:
        for ward in self._wards:
            low, high = max(start, ward.section.array_start), min(stop, ward.section.array_stop)
            if low < high:
                yield ward, ward.units(low, high)

    def _judge(self, ward: _Ward, first: int, last: int) -> None:
        known = self._knowledge
        while True:
            start, stop = ward.start + first * ward.unit, ward.start + last * ward.unit
            flaws = known.flaws()
            judgement = ward.judge.judge(flaws, known.sources(), start, stop)
            if not known.unchanged() or known.flaws() is not flaws:
                continue  # what was compared is not what it was; without those who changed it is another question
            if judgement.flaws:
                known.learn(judgement.flaws)
            if judgement.is_final:
                ward.note(first, last)  # not before it was learned: others look at this without the lock
            ward.judged = (first, last)
            return


class _Ward:
    """The units of one section.

    Attributes:
        section: it.
        judge: who judges it.
        start: where its first stripe begins [stripe bytes].
        unit: [stripe bytes].
        settled: bool (k,), by unit.
        judged: first and behind-last unit that was judged last.
    """

    def __init__(self, section: Section, judge: Judge) -> None:
        zone = section.zone
        first = (section.array_start - zone.array_start) // zone.stripe_size
        last = -(-(section.array_stop - zone.array_start) // zone.stripe_size)
        height = (last - first) * zone.chunk_size
        self.section = section
        self.judge = judge
        self.start = first * zone.chunk_size
        self.unit = UNIT
        while height > self.unit * _MOST_UNITS:
            self.unit *= 2
        self.settled: NDArray[np.bool_] = np.zeros(-(-height // self.unit), dtype=np.bool_)
        self.judged = (0, 0)
        self._noted = (len(self.settled), 0)  # all that is settled lies in it

    def units(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first and behind-last unit behind [start, stop) [array bytes], not empty, in the section."""
        zone = self.section.zone
        first, low = divmod(start - zone.array_start, zone.stripe_size)
        last, high = divmod(stop - 1 - zone.array_start, zone.stripe_size)
        inside = (0, zone.chunk_size - 1)
        if first == last and low // zone.chunk_size == high // zone.chunk_size:
            inside = (low % zone.chunk_size, high % zone.chunk_size)
        begin = first * zone.chunk_size + inside[0] - self.start
        end = last * zone.chunk_size + inside[1] - self.start
        return begin // self.unit, end // self.unit + 1

    def is_settled(self, first: int, last: int) -> bool:
        """Tell whether all units [first, last) are settled."""
        # asked at each read, of a few units: `all` takes several times as long
        return b"\0" not in self.settled[first:last].tobytes()

    def unsettled(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the runs of unsettled units in [first, last)."""
        steps = np.diff(np.concatenate(([True], self.settled[first:last], [True])).astype(np.int8))
        found: list[list[int]] = (first + np.flatnonzero(steps).reshape(-1, 2)).tolist()
        return [(low, high) for low, high in found]

    def note(self, first: int, last: int) -> None:
        """Take units [first, last) for settled."""
        self.settled[first:last] = True
        self._noted = (min(first, self._noted[0]), max(last, self._noted[1]))

    def forget_all_but(self, first: int, last: int) -> None:
        """Take all units for unsettled that are not near [first, last)."""
        near = max(1, _MOST_AHEAD // self.unit)
        low, high = self._noted
        begin, end = max(low, first - near), min(high, last + near)
        self.settled[low:begin] = False
        self.settled[max(low, end) : high] = False
        self._noted = (begin, end) if begin < end else (len(self.settled), 0)

    def ahead(self, first: int, last: int) -> int:
        """Return up to where a run of unsettled units is to be judged: further each time if all goes in sequence."""
        before, behind = self.judged
        if first != behind or behind == 0:
            return last
        wanted = first + min(2 * (behind - before), max(1, _MOST_AHEAD // self.unit))
        stop = min(max(last, wanted), len(self.settled))
        known = np.flatnonzero(self.settled[last:stop])
        return last + int(known[0]) if len(known) else stop
