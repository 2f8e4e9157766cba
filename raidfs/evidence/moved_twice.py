"""Whether a reshape was begun anew over rows that it may well have come to; see `raidfs.evidence.restarted`.

Pages are moved from old places, which are overwritten later. A second run finds at some of these what the first one put
there, moves that in their stead, and leaves it where it is:

    |..... new place of x .....|== recorded ==|..... old place of x: holds y now .....|## to here the first run came ##|
                y  <----------- the second run took it for x ------------'

So whoever holds the same at a page's new place and at its old one, although that was overwritten, was moved twice. In
one run that is chance: what is found there is another page. A few rows are compared, all over those before the recorded
position, and where the old places lie in rows beyond it that are proven to be written. What occurs in further places is
no evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from raidfs.array.description import ArrayDescription, Reshape
from raidfs.block import BlockSource
from raidfs.evidence.cells import Flags, Ids
from raidfs.evidence.survey import NOWHERE, Surveyor
from raidfs.evidence.window import PAGE, Numbers, Window, window_of
from raidfs.extents import Extents

_PROBED = 32
"""Rows that are looked at together."""
_SPREAD = 32
"""Places that are looked at all over the rows before the recorded position, and as many for rows beyond it."""
_SAMPLED = 1 << 12
"""Rows beyond the recorded position of which it is asked where their old content went."""
_ENOUGH = 8
"""Different contents at one place that are held twice, as are `_SHARE` of all there that could be."""
_SHARE = 0.75
_OFTEN = 2
"""Times that a content occurs where one page was put in the place of another."""


@dataclass(frozen=True, eq=False)
class _Place:
    """Neighbouring rows.

    Attributes:
        ids: uint64 (k,): what their pages hold that have their old places in rows that are written.
        moved: bool (k,): the old place holds the same.
    """

    ids: Ids
    moved: Flags

    def tells(self, often: Ids) -> bool:
        """Tell whether pages were moved twice here; `often`: contents that are no evidence."""
        once = ~np.isin(self.ids, often)
        found = self.ids[once & self.moved]
        return len(np.unique(found)) >= _ENOUGH and len(found) >= _SHARE * int(once.sum())


def moved_twice(description: ArrayDescription, images: Mapping[int, BlockSource]) -> str:
    """Say that pages before the recorded position of a reshape were moved from overwritten places, one sentence; or ''.

    Args:
        description: the array, with the front of its reshape.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    window, reshape = window_of(description), description.reshape
    if window is None or reshape is None:
        return ""
    behind = _behind(window, reshape)
    beyond = reshape.front.written if reshape.front is not None else Extents()
    written = beyond.union(Extents.span(behind.start * PAGE, behind.stop * PAGE))
    surveyor = Surveyor(window, images)
    rows = (range(start, min(start + _PROBED, behind.stop)) for start in _starts(window, behind, beyond))
    places = [_compare(window, surveyor, written, each) for each in rows]
    if not places:
        return ""
    contents, times = np.unique(np.concatenate([place.ids for place in places]), return_counts=True)
    if not any(place.tells(contents[times > _OFTEN]) for place in places):
        return ""
    return (
        f"pages before the recorded position ({reshape.position}) are what their old places hold since these were "
        "written over: an earlier run came so far and it was begun anew, which moves data twice, or the recorded "
        "position is wrong"
    )


def _behind(window: Window, reshape: Reshape) -> range:
    """Return the rows that were written as a whole before the position was recorded."""
    chunk = window.after.chunk
    stripe = reshape.after.n_data * chunk * PAGE
    if window.forward:
        return range(min(reshape.position // stripe * chunk, window.after.n_rows))
    return range(min(-(-reshape.position // stripe) * chunk, window.after.n_rows), window.after.n_rows)


def _starts(window: Window, behind: range, beyond: Extents) -> list[int]:
    """Return the rows from which on some are looked at, in order."""
    went = np.unique(_went_to(window, beyond))
    went = np.unique(went[(went >= behind.start) & (went < behind.stop)] - behind.start) // _PROBED
    numbers = {*_some(np.arange(-(-len(behind) // _PROBED), dtype=np.int64)), *_some(np.unique(went))}
    return [behind.start + number * _PROBED for number in sorted(numbers)]


def _some(numbers: Numbers, most: int = _SPREAD) -> Iterator[int]:
    """Yield some of the numbers, all over them."""
    which = np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(np.int64)
    yield from numbers[which].tolist()


def _went_to(window: Window, beyond: Extents) -> Numbers:
    """Return the rows to which went what some rows held in the old geometry."""
    spans = [np.arange(start // PAGE, stop // PAGE, dtype=np.int64) for start, stop in beyond]
    rows = np.array([*_some(np.concatenate(spans), _SAMPLED)] if spans else [], dtype=np.int64)
    pages = [window.before.page_of(role, rows + window.shift[role]) for role in window.old_roles]
    page = np.concatenate(pages) if pages else rows
    return window.after.cell_of(page[(page >= 0) & (page < window.n_pages)])[1]


def _compare(window: Window, surveyor: Surveyor, written: Extents, rows: range) -> _Place:
    """Compare pages with what lies at their old places, where that was written over."""
    survey = surveyor.survey(rows.start, rows.stop)
    there = survey.old_place != NOWHERE
    role = np.full(there.shape, -1, dtype=np.int64)
    role[there] = window.old_cell(survey.new_page[there])[0]
    # within a row two data pages are often equal, such as those of a form
    there &= survey.old_place != survey.rows[:, None]
    # what a member holds that is not in the new geometry is never written over
    there &= np.isin(role, window.old_roles) & survey.known & survey.varied
    there[there] = _are_in(written, survey.old_place[there])
    return _Place(survey.ids[there], survey.ids[there] == survey.at_old_place[there])


def _are_in(written: Extents, rows: Numbers) -> Flags:
    """Tell which rows are written."""
    if not written:
        return np.zeros(len(rows), dtype=np.bool_)
    start, stop = written.array[:, 0], written.array[:, 1]
    span = np.searchsorted(start, rows * PAGE, side="right") - 1
    found: Flags = (span >= 0) & (rows * PAGE < stop[span])
    return found
