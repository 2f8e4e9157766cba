"""Whether rows were rewritten further ahead than the recorded position of a reshape allows.

The kernel records its position before it goes further than `lag_limit`. Rows beyond that hold the old geometry, unless
something else wrote them: an earlier run of the same reshape, which was then begun anew from a lower position, or a
reshape to another geometry. What such a second run moves it takes from places that are overwritten already.

    |== recorded ==|.. may be written ..|## written all the same ##|-- old geometry --|
                   ^ recorded position  ^ the kernel's bound       ^ where the earlier run was

Only a few rows are looked at, ever further away, and others all over what is left. What content repeats, and what
parity that was never built says, is no evidence: it does not change on the way.

Rows before the bound may be written. But what they then hold is what their old places hold, as long as these lie beyond
the bound: else these were overwritten since, by what cannot have come so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.evidence.cells import Flags
from raidfs.evidence.edge import rows_in_flight
from raidfs.evidence.survey import NOWHERE, Surveyor
from raidfs.evidence.voices import SUPPORT
from raidfs.evidence.votes import votes_of
from raidfs.evidence.window import PAGE, Numbers, Window, window_of
from raidfs.units import align_down, align_up

_PROBED = 64
"""Rows that are looked at together."""
_SPREAD = 16
"""Places that are looked at all over the rows beyond the bound, and half as many before it."""
_MOST_TORN = 32
"""Rows that satisfy neither geometry, among those and with none that satisfies the old one, that tell of another."""


class _Look(Enum):
    """What some neighbouring rows are."""

    WRITTEN = "new"
    TORN = "neither"
    LEFT = "old"
    SILENT = "anything"


@dataclass(frozen=True)
class _Compared:
    """Some neighbouring rows before the bound, compared with what their old places beyond it hold.

    Attributes:
        start: the first, counted from the recorded position in the order of travel.
        n_written: how many hold something new.
        n_changed: how many hold something else.
        n_disproved: how many of these are new as a whole.
    """

    start: int
    n_written: int
    n_changed: int
    n_disproved: int


@dataclass(frozen=True)
class _Ahead:
    """The rows beyond the kernel's bound, counted from there in the order of travel."""

    window: Window
    surveyor: Surveyor

    @property
    def n_rows(self) -> int:
        """How many there are."""
        return self.window.after.n_rows - self.window.stop if self.window.forward else self.window.first

    def look(self, start: int) -> _Look:
        """Look at the rows from `start` on."""
        n = min(_PROBED, self.n_rows - start)
        first = self.window.stop + start if self.window.forward else self.window.first - start - n
        survey = self.surveyor.survey(first, first + n)
        votes = votes_of(survey)
        holds_something = ((survey.ids != 0) & survey.known).any(axis=1)
        old = survey.holds_old & (survey.n_old > 0) & holds_something
        if int(votes.any_written.sum()) >= SUPPORT and not votes.any_left.any():
            return _Look.WRITTEN
        # where a member was never copied rows are torn as well
        is_copied = (survey.varied | ~survey.known).all(axis=1)
        if int((votes.torn & is_copied).sum()) >= _MOST_TORN and not old.any():
            return _Look.TORN
        return _Look.LEFT if int(old.sum()) >= SUPPORT else _Look.SILENT

    def compare(self, start: int) -> _Compared:
        """Compare rows before the bound with their old places beyond it.

        Args:
            start: where some are looked at, counted from the recorded position in the order of travel.
        """
        window = self.window
        n = min(_PROBED, window.stop - window.first - start)
        first = window.first + start if window.forward else window.stop - start - n
        survey = self.surveyor.survey(first, first + n)
        votes = votes_of(survey)
        there = survey.old_place != NOWHERE
        travel = window.travel(np.where(there, survey.old_place, survey.rows[:, None]))
        is_left = there & (travel >= window.stop - window.first)
        changed = survey.unlike & is_left & (survey.new_page >= 0)
        changed[changed] = self._are_whole(survey.old_place[changed])
        rows = changed.any(axis=1)
        new = votes.written | votes.whole
        return _Compared(start, int(votes.any_written.sum()), int(rows.sum()), int((rows & new).sum()))

    def _are_whole(self, rows: Numbers) -> Flags:
        """Tell which rows are no damaged ones: they hold a geometry, or nothing but zeros."""
        found = np.zeros(len(rows), dtype=np.bool_)
        n_rows = self.window.after.n_rows
        for first in np.unique(rows // _PROBED * _PROBED).tolist():
            here = (rows >= first) & (rows < first + _PROBED)
            start, stop = max(0, first), min(n_rows, first + _PROBED)
            if start >= stop:
                continue
            survey = self.surveyor.survey(start, stop)
            whole = (survey.holds_new & (survey.n_new > 0)) | (survey.holds_old & (survey.n_old > 0))
            whole |= ((survey.ids == 0) & survey.known | survey.absent).all(axis=1)
            inside = here & (rows >= start) & (rows < stop)
            found[inside] = whole[rows[inside] - start]
        return found

    def array_offset(self, row: int) -> int:
        """Return where a reshape that came to a row stands [array bytes], in whole steps."""
        reshape = self.window.description.reshape
        assert reshape is not None
        step = max(shape.chunk_size for shape in (reshape.before, reshape.after)) * reshape.after.n_data
        if self.window.forward:
            return align_up((self.window.stop + row) * PAGE * reshape.after.n_data, step)
        return align_down((self.window.first - row) * PAGE * reshape.after.n_data, step)


def written_too_far(description: ArrayDescription, images: Mapping[int, BlockSource]) -> str:
    """Say that rows were rewritten which the recorded position of a reshape does not reach, one sentence; '': none.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    window, reshape = window_of(description), description.reshape
    if window is None or reshape is None:
        return ""
    ahead = _Ahead(window, Surveyor(window, images))
    looks = {start: ahead.look(start) for start in _starts(ahead.n_rows, _SPREAD)}
    written = [start for start, look in looks.items() if look is _Look.WRITTEN]
    told = [look for look in looks.values() if look is not _Look.SILENT]
    if written:
        reached = ahead.array_offset(_edge(ahead, looks, max(written)))
        return (
            f"rows that the reshape cannot have come to at its recorded position ({reshape.position}) are already in "
            f"the new geometry, up to about array byte {reached}: an earlier run came so far and it was begun anew, "
            "which moves data twice, or the recorded position is wrong"
        )
    if told[:1] == [_Look.TORN] and _Look.LEFT in told:
        return (
            f"rows that the reshape cannot have come to at its recorded position ({reshape.position}) satisfy neither "
            "geometry, while rows further on satisfy the old one: a reshape to another geometry came here before, or a "
            "member is out of date"
        )
    return _changed(ahead, reshape.position)


def out_of_order(description: ArrayDescription) -> str:
    """Say that rows are written behind others that are left, as no run of a reshape does it, one sentence; '': none.

    A second run leaves it so that has not come yet to where an earlier one was:

        |== second run ==|## earlier run, its old places written over ##|-- old geometry --|
                    left ^                                     written ^

    What the second run wrote last still lies at its old place, as where a reshape stands. But so does what the earlier
    one wrote last.

    Args:
        description: the array, with the front of its reshape.
    """
    reshape = description.reshape
    if reshape is None or reshape.front is None or not reshape.front.disorder:
        return ""
    ((start, stop),) = reshape.front.disorder
    return (
        f"the reshape stands at two places: ahead of its recorded position ({reshape.position}) rows were not written, "
        f"and others further on were, between the bytes {start} and {stop} of each member's data: an earlier run came "
        "so far and it was begun anew, which moves data twice, or a member is out of date"
    )


def _changed(ahead: _Ahead, position: int) -> str:
    """Say that rows before the bound are new, but not made of what their old places hold, one sentence; or ''."""
    window = ahead.window
    compared = [ahead.compare(start) for start in _starts(window.stop - window.first, _SPREAD // 2)]
    if sum(each.n_disproved for each in compared) >= SUPPORT:
        return (
            f"rows ahead of the recorded position ({position}) are in the new geometry, but do not hold what their old "
            "places hold, which the reshape cannot have come to: an earlier run went over these and it was begun anew, "
            "or the recorded position is wrong"
        )
    near = [each for each in compared[:1] if each.n_changed >= _PROBED // 2 and not each.n_written]
    in_flight = rows_in_flight(window.description)
    far = [each for each in compared if each.start > in_flight and each.n_written >= _PROBED // 2]
    if near and any(not each.n_changed for each in far):
        return (
            f"rows at the recorded position ({position}) do not hold what the reshape would have put there, while rows "
            "further on are in the new geometry: an earlier run came so far and it was begun anew, or the recorded "
            "position is wrong"
        )
    return ""


def _doubling(n_rows: int) -> list[int]:
    """Return rows ever further away."""
    starts = [0] if n_rows else []
    while starts and max(_PROBED, 2 * starts[-1]) < n_rows:
        starts.append(max(_PROBED, 2 * starts[-1]))
    return starts


def _starts(n_rows: int, n_spread: int) -> list[int]:
    """Return the rows from which on some are looked at, in order."""
    spread = range(0, n_rows, max(_PROBED, n_rows // n_spread))
    return sorted({*_doubling(n_rows), *spread})


def _edge(ahead: _Ahead, looks: Mapping[int, _Look], low: int) -> int:
    """Return about where the rows that are written end: a row behind `low`, which are written."""
    high = min((start for start in looks if start > low), default=ahead.n_rows)
    low += _PROBED
    while high - low > _PROBED:
        middle = (low + high) // 2
        if ahead.look(middle) is _Look.WRITTEN:
            low = middle + _PROBED
        else:
            high = middle
    return min(low, ahead.n_rows)
