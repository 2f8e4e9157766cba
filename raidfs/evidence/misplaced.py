"""Whether structures of file systems lie where only a second run of a reshape puts them.

A second run takes for page k what the first one put in the old place of k, and moves it on. So each page is read at
another address than its own, which follows from the two geometries alone:

    array page        5            6
    after one run     X5           X6
    after two runs    X6           X5      page 6 lies in the old place of page 5, and the other way round

Where X5 says itself that it is page 5, or others announce it with a checksum, one can ask for it at both addresses. It
tells of rows whose parity stays in its place, too, of which nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, Requests
from raidfs.evidence.announced import Structure, counted
from raidfs.evidence.moves import Side, equal_sides
from raidfs.evidence.structures import structures_in
from raidfs.evidence.window import NOTHING, PAGE, Numbers
from raidfs.extents import Extents
from raidfs.geometry.reshape import lag_limit, undecided_by_front
from raidfs.geometry.standing import new_side
from raidfs.units import align_down, align_up

_ENOUGH = 3
"""Structures one after the other that lie where only a second run puts them, and none between that lies right."""
_SEARCHED = 16
"""Places that are searched for blocks that no other announces."""
_AT_ONCE = 512 << 10
"""How much is searched at each [bytes]."""


def misplaced(description: ArrayDescription, served: BlockSource) -> str:
    """Say that file systems lie as a second run of a reshape leaves them, one sentence; or ''.

    Args:
        description: the array, with the front of its reshape.
        served: its bytes, as it is described.

    Raises:
        SourceError: the array is gone.
    """
    sides = equal_sides(description)
    if sides is None:
        return ""
    where = new_side(description, lag_limit(description)).difference(undecided_by_front(description))
    if not where:
        return ""
    searched = _some_of(where)
    again = _MovedTwice(served, *sides, where)
    elsewhere = [each for each in structures_in(again, where, searched) if again.is_elsewhere(each)]
    if len(elsewhere) < _ENOUGH:
        return ""
    right = [each for each in structures_in(served, where, searched) if again.is_elsewhere(each)]
    found = _longest_run(elsewhere, right)
    if len(found) < _ENOUGH:
        return ""
    return (
        f"{counted(found)} lie where they would after two runs of the reshape, and not where they belong: an earlier "
        "run came so far and it was taken up again from before that, which moves data twice"
    )


@dataclass(frozen=True, eq=False)
class _MovedTwice:
    """An array with each page from where two runs of its reshape put it.

    Attributes:
        served: the array as it is.
        old, new: its geometries.
        where: what is read in the new one [array bytes]; all else is as it is.
    """

    served: BlockSource
    old: Side
    new: Side
    where: Extents

    @property
    def size(self) -> int:
        """Size of the array [bytes]."""
        return self.served.size

    def known_losses(self, start: int, stop: int) -> Extents:
        """Nothing is known beforehand."""
        return Extents()

    def places(self, pages: Numbers) -> Numbers:
        """Return where pages are read [array bytes]; below 0: nowhere."""
        places = self.old.holds(*(each[:, 0] for each in self.new.places(pages)))
        there = (places >= 0) & self._is_moved(places)
        return np.where(self._is_moved(pages), np.where(there, places, NOTHING), pages)

    def is_elsewhere(self, structure: Structure) -> bool:
        """Tell whether two runs leave a structure at another address than one."""
        page = align_down(structure.position, PAGE)
        return int(self.places(np.array([page], dtype=np.int64))[0]) != page

    def read_into(self, requests: Requests, out: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Extents:
        """Fill parts of `out`, see `BlockSource`."""
        lost: list[tuple[int, int]] = []
        for offset, length, at in requests.tolist():
            first = align_down(offset, PAGE)
            content = np.zeros(align_up(offset + length, PAGE) - first, dtype=np.uint8)
            places = self.places(np.arange(first, first + len(content), PAGE, dtype=np.int64))
            there = (places >= 0) & (places + PAGE <= self.size)
            gone = Extents([(number * PAGE, number * PAGE + PAGE) for number in np.flatnonzero(~there).tolist()])
            gone = gone.union(self.served.read_into(_requests(places, there), content))
            low = offset - first
            out[at : at + length] = content[low : low + length]
            lost += gone.clip(low, low + length).shift(at - low)
        return Extents(lost)

    def _is_moved(self, pages: Numbers) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        start, stop = self.where.array.T
        span = np.searchsorted(start, pages, side="right") - 1
        found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (span >= 0) & (pages + PAGE <= stop[span])
        return found


def _requests(places: Numbers, there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Requests:
    """Return requests for pages that go to where they stand in a row; neighbours together."""
    number = np.flatnonzero(there)
    begins = np.flatnonzero((np.diff(number, prepend=-2) != 1) | (np.diff(places[number], prepend=-1) != PAGE))
    length = np.diff(begins, append=len(number)) * PAGE
    found: Requests = np.stack((places[number[begins]], length, number[begins] * PAGE), axis=1).astype(np.int64)
    return found


def _some_of(where: Extents) -> Extents:
    """Return pieces all over some bytes."""
    low, high = int(where.array[0, 0]), int(where.array[-1, 1])
    step = max(_AT_ONCE, (high - low) // _SEARCHED)
    return where.intersection(Extents([(start, start + _AT_ONCE) for start in range(low, high, step)]))


def _longest_run(elsewhere: list[Structure], right: list[Structure]) -> list[Structure]:
    """Return those structures that lie elsewhere, one after the other, of which there are most."""
    ends = sorted(each.position for each in right)
    runs: dict[int, list[Structure]] = {}
    for each in elsewhere:
        runs.setdefault(int(np.searchsorted(ends, each.position)), []).append(each)
    return max(runs.values(), key=len, default=[])
