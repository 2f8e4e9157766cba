"""Runs of filled sectors of a member: where they begin and end, and whether something in them disagrees.

A fill that its tool left begins and ends where the rows begin and end to disagree; honest zeros beside which something
else is wrong do so by accident only. So what tells of a sector is the whole run that it lies in:

    rows        = = = x x x x = x x = =        =: agree, x: disagree
    a fill      . . . F F F F F F F . .        its ends disagree, the rows beside them do not: its borders are theirs
    zeros       . 0 0 0 0 0 0 0 0 0 0 0        somewhere within them something is wrong: this may be anybody

A run is seen as far as `Reach` says from each piece; so all that is said of a piece depends on nothing but the rows
within that distance, whoever asks, and in whichever order. Nothing here reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEVER = -(1 << 60)


@dataclass(frozen=True, eq=False)
class Reach:
    """How far is seen.

    Attributes:
        piece: int64 (n,), ascending: in which piece of the section each sector lies.
        n_pieces: runs are seen that many pieces before and behind the piece of a sector.
        starts: the first sector is the first of the section.
        ends: the last sector is its last.
    """

    piece: NDArray[np.int64]
    n_pieces: int
    starts: bool
    ends: bool


@dataclass(frozen=True, eq=False)
class RowSigns:
    """What n rows of r members say.

    Attributes:
        against: bool (r, n): the row speaks against what is filled.
        agrees: bool (n,): it agrees.
        known: bool (n,): it agrees, or does not, for sure.
    """

    against: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    known: NDArray[np.bool_]

    def flipped(self) -> RowSigns:
        """Return the same in reverse."""
        return RowSigns(self.against[:, ::-1], self.agrees[::-1], self.known[::-1])


@dataclass(frozen=True, eq=False)
class FilledRuns:
    """The runs of n sectors of r members.

    Attributes:
        filled: bool (r, n).
        reach: how far they are seen.
    """

    filled: NDArray[np.bool_]
    reach: Reach

    def any_in_run(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell of which filled sectors something in their run has a mark; bool (r, n), marks: bool (r, n)."""
        marks = marks & self.filled
        found: NDArray[np.bool_] = self._marked_before(marks) | self._flipped()._marked_before(marks[:, ::-1])[:, ::-1]
        return found

    def has_borders(self, rows: RowSigns) -> NDArray[np.bool_]:
        """Tell of which filled sectors the run begins and ends where the rows begin and end to disagree.

        One such border is enough where the other is out of sight; or where another run goes on there, and has such a
        border at its other end: fills may overlap.

        Returns:
            bool (r, n).
        """
        begin = self._begins(rows)
        end = self._flipped()._begins(rows.flipped()).flipped()
        found: NDArray[np.bool_] = begin.fits(end) | end.fits(begin)
        return found

    def length(self) -> NDArray[np.int64]:
        """Return how many sectors the run of each filled sector has, as far as they are given; int64 (r, n)."""
        n = self.filled.shape[1]
        return np.where(self.filled, n - self._flipped()._begin()[:, ::-1] - self._begin(), 0)

    def share_in_run(self, marks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return which share of the run of each filled sector has marks, as far as it is seen.

        Args:
            marks: bool (r, n).

        Returns:
            float64 (r, n), 0 where nothing is filled.
        """
        n, piece = self.filled.shape[1], self.reach.piece
        first = np.searchsorted(piece, piece - self.reach.n_pieces)
        behind = np.searchsorted(piece, piece + self.reach.n_pieces, side="right")
        start = np.maximum(self._begin(), first)
        stop = np.minimum(n - self._flipped()._begin()[:, ::-1], behind)
        total = np.concatenate((np.zeros((len(marks), 1), np.int64), np.cumsum(marks & self.filled, axis=1)), axis=1)
        row = np.arange(len(marks))[:, None]
        n_marked = total[row, stop] - total[row, np.minimum(start, n)]
        share: NDArray[np.float64] = np.where(self.filled, n_marked / np.maximum(stop - start, 1), 0.0)
        return share

    def _flipped(self) -> FilledRuns:
        reach = self.reach
        return FilledRuns(self.filled[:, ::-1], Reach(-reach.piece[::-1], reach.n_pieces, reach.ends, reach.starts))

    def _begin(self) -> NDArray[np.int64]:
        """Return where the run of each filled sector begins; int64 (r, n)."""
        n = self.filled.shape[1]
        free = np.where(self.filled, -1, np.arange(n, dtype=np.int64))
        begin: NDArray[np.int64] = np.maximum.accumulate(free, axis=1) + 1
        return begin

    def _is_near(self, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for each sector whether another one, before it, is within reach; int64 (r, n), negative: none is."""
        near: NDArray[np.bool_] = (at >= 0) & (
            self.reach.piece - self.reach.piece[np.maximum(at, 0)] <= self.reach.n_pieces
        )
        return near

    def _marked_before(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell for each filled sector whether it has a mark, or one before it in its run that is within reach."""
        n = marks.shape[1]
        last = np.maximum.accumulate(np.where(marks, np.arange(n, dtype=np.int64), _NEVER), axis=1)
        found: NDArray[np.bool_] = self.filled & (last >= self._begin()) & self._is_near(last)
        return found

    def _begins(self, rows: RowSigns) -> _Border:
        """Look at where the run of each filled sector begins; another run that goes on there within one piece only."""
        piece, begin = self.reach.piece, np.minimum(self._begin(), self.filled.shape[1] - 1)
        before = begin - 1
        is_edge = (before < 0) if self.reach.starts else np.zeros_like(self.filled)
        beside = np.where(is_edge, 0, before)
        is_seen = self._is_near(beside) & (is_edge | rows.known[before])
        is_first = self.filled & rows.against[np.arange(len(begin))[:, None], begin]
        is_sharp = is_first & (before >= 0) & rows.agrees[before]
        goes_on = (rows.against & (is_sharp | (is_first & is_edge)) & (piece[beside] == piece)).any(axis=0)
        return _Border(
            is_sharp=is_seen & is_sharp,
            is_edge=is_seen & is_first & is_edge,
            is_covered=is_seen & is_first & ~is_edge & goes_on[before],
            is_unseen=self.filled & ~(is_seen & (is_first | ~is_edge)),
        )


@dataclass(frozen=True, eq=False)
class _Border:
    """What lies at one end of the run of each filled sector; all bool (r, n).

    Attributes:
        is_sharp: the rows begin to disagree just there.
        is_edge: they disagree from where the section begins.
        is_covered: they go on to disagree, but there another run lies that has such a border at its other end.
        is_unseen: it is out of reach, or nothing is known of what lies there.
    """

    is_sharp: NDArray[np.bool_]
    is_edge: NDArray[np.bool_]
    is_covered: NDArray[np.bool_]
    is_unseen: NDArray[np.bool_]

    def flipped(self) -> _Border:
        """Return the same in reverse."""
        return _Border(*(each[:, ::-1] for each in (self.is_sharp, self.is_edge, self.is_covered, self.is_unseen)))

    def fits(self, other: _Border) -> NDArray[np.bool_]:
        """Tell whether this border and the one at the other end say that a fill begins and ends there."""
        may = other.is_sharp | other.is_edge | other.is_covered | other.is_unseen
        return (self.is_sharp & may) | (self.is_edge & other.is_covered)
