"""What each row says: written, left, or neither; by its look, and by pages that are held twice.

Content that occurs elsewhere proves nothing, for what would lie in a place by another history could look the same. A
page speaks only if it is found in no rows but its own and that of its other place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.evidence.cells import Flags, Ids
from raidfs.evidence.looks import ANYTHING, NEW, OLD, TORN
from raidfs.evidence.survey import NOWHERE, Survey
from raidfs.evidence.voices import SILENT, Claims, claims, distances, of_stripes
from raidfs.evidence.window import PARITY, Numbers

_SUM = 3
"""Cells that hold something, from which on their sum is more than that two of them are equal."""


_TELL_PAIRS = 2
"""Equations that no two equal data pages satisfy in the place of a data page and its parity."""


_FEW = 2
"""Cells that hold something, up to which a row may hold nothing but a page twice, and its Q."""


@dataclass(frozen=True, eq=False)
class Votes:
    """What is said of each surveyed row, by kind of evidence; bool (k,) each.

    Attributes:
        whole: by its look it is wholly new.
        clear: by its look no cell of it was written.
        written: by its look some cell was.
        incomplete: by its look some cell was not.
        pair_written: some cell was, unless the cells that are equal are two equal data pages, and none is parity.
        pair_left: some cell was not, with the same reserve.
        sound: it holds something that speaks and satisfies the equations of a geometry, so that it is hardly torn.
        busy: it holds something.
        torn: it satisfies the equations of neither geometry.
        blind: the old geometry has no equation by which it could be told from a row that is written in part.
        unlike: a cell of it is not what a write would have put there, see `raidfs.evidence.unlike`.
        moved, kept: a structure of a file system lies there that belongs there in the new geometry, or the old one, see
            `raidfs.evidence.belonging`.
        sum_new, sum_old: by how mixed its cells are, the parity of that geometry is in its place, see
            `raidfs.evidence.mixed`.
        sum_whole, sum_clear: so it is wholly new, or no cell of it was written.
        copied_by: int64 (k, n): whose voice says (`raidfs.evidence.voices`) that a cell of it is equal to the old place
            of its new page, which only a write can have done.
        spared_by: int64 (k, n): the same of a cell that is equal to the new place of its old page, so that nothing has
            been written over it.
        old_stripe, new_stripe: int64 (k,): where the row lies.
    """

    whole: Flags
    clear: Flags
    written: Flags
    incomplete: Flags
    pair_written: Flags
    pair_left: Flags
    sound: Flags
    busy: Flags
    torn: Flags
    blind: Flags
    unlike: Flags
    moved: Flags
    kept: Flags
    sum_new: Flags
    sum_old: Flags
    sum_whole: Flags
    sum_clear: Flags
    copied_by: Numbers
    spared_by: Numbers
    old_stripe: Numbers
    new_stripe: Numbers

    @property
    def copied(self) -> Flags:
        """Rows with a cell that is equal to the old place of its new page."""
        found: Flags = (self.copied_by != SILENT).any(axis=1)
        return found

    @property
    def spared(self) -> Flags:
        """Rows with a cell that is equal to the new place of its old page."""
        found: Flags = (self.spared_by != SILENT).any(axis=1)
        return found

    @property
    def alone_written(self) -> Flags:
        """Rows that say by themselves that some cell of them is new."""
        return self.whole | self.written

    @property
    def alone_left(self) -> Flags:
        """Rows that say by themselves that some cell of them was not written."""
        return self.clear | self.incomplete

    @property
    def any_written(self) -> Flags:
        """Rows with some cell that is new for sure."""
        return self.alone_written | self.copied | self.sum_new

    @property
    def any_left(self) -> Flags:
        """Rows with some cell that was not written for sure."""
        return self.alone_left | self.spared | self.sum_old

    @property
    def seem_written(self) -> Flags:
        """Rows with some cell that is new, or seems so."""
        return self.any_written | self.pair_written

    @property
    def seem_left(self) -> Flags:
        """Rows with some cell that was not written, or seems so."""
        return self.any_left | self.pair_left

    def claims_written(self, at: Numbers, *, seeming: bool) -> Claims:
        """Return who says that something was written; `at`: numbers of the rows; seeming: hints count, too."""
        pairs = self.pair_written & seeming
        voices = np.column_stack((self.copied_by, of_stripes(self.sum_new, self.old_stripe)))
        return claims(at, self.alone_written, voices, pairs, self.old_stripe)

    def claims_left(self, at: Numbers, *, seeming: bool) -> Claims:
        """Return who says that something was not written; see `claims_written`."""
        voices = np.column_stack((self.spared_by, of_stripes(self.sum_old, self.new_stripe)))
        return claims(at, self.alone_left, voices, self.pair_left & seeming, self.new_stripe)


def votes_of(survey: Survey) -> Votes:
    """Let the rows speak."""
    occurs = _Occurrences(survey)
    twice_new = _occur_elsewhere(survey, occurs, survey.new_page, survey.old_place)
    once_new = ~twice_new.any(axis=1)
    once_old = ~_occur_elsewhere(survey, occurs, survey.old_page, survey.new_place).any(axis=1)
    holds_new, holds_old = survey.holds_new & (survey.n_new > 0), survey.holds_old & (survey.n_old > 0)
    fails_old = ~survey.holds_old & (survey.n_old > 0)
    n_cells = ((survey.ids != 0) & survey.known).sum(axis=1)
    # one sum of three pages or more may vanish by chance, if they are all of one form; two sums do not
    chance = (n_cells >= _SUM) & (survey.formed & survey.known).any(axis=1)
    by_equations = np.where(survey.holds_new, ANYTHING, ANYTHING & ~NEW).astype(np.uint8)
    speaks_new, speaks_old = once_new & (~chance | (survey.n_new > 1)), once_old & (~chance | (survey.n_old > 1))
    seen = survey.may_be
    seen = np.where((seen & OLD == 0) & ~speaks_new, by_equations, seen)
    seen = np.where((seen & NEW == 0) & ~speaks_old, seen | by_equations, seen)
    seen = np.where(seen == 0, by_equations, seen)
    # of equal cells one is parity, or else users wrote the same twice; a second equation tells. Of two of them one may
    # be on a member that is not here
    paired = _has_equal_cells(survey) | (survey.absent.any(axis=1) & (n_cells <= _FEW))
    by_pair_new, by_pair_old = paired & (survey.n_new < _TELL_PAIRS), paired & (survey.n_old < _TELL_PAIRS)
    not_old, not_new = seen & OLD == 0, seen & NEW == 0
    sure_new = _are_bound(survey, twice_new, chance)
    # then nothing but a whole row satisfies the equation
    untorn = (survey.may_be & TORN == 0) & once_new & once_old & ~chance
    return Votes(
        whole=((seen == NEW) & holds_new & ~by_pair_new) | ((survey.may_be == NEW) & fails_old & sure_new),
        clear=(seen == OLD) & holds_old & ~by_pair_old,
        written=holds_new & (fails_old | (not_old & ~by_pair_new)),
        incomplete=not_new & ~(survey.holds_new & by_pair_old),
        pair_written=holds_new & not_old & by_pair_new,
        pair_left=not_new & survey.holds_new & by_pair_old,
        sound=((holds_new & once_new) | (holds_old & once_old) | sure_new) & (n_cells > 0),
        busy=n_cells > 0,
        torn=fails_old & ~survey.holds_new,
        blind=survey.n_old == 0,
        unlike=np.zeros(len(survey.rows), dtype=np.bool_),
        moved=np.zeros(len(survey.rows), dtype=np.bool_),
        kept=np.zeros(len(survey.rows), dtype=np.bool_),
        sum_new=survey.sum_new,
        sum_old=survey.sum_old,
        sum_whole=survey.sum_new & untorn,
        sum_clear=survey.sum_old & untorn,
        copied_by=_tell(survey, occurs, survey.new_page, survey.at_old_place, survey.old_place),
        spared_by=_tell(survey, occurs, survey.old_page, survey.at_new_place, survey.new_place),
        old_stripe=survey.old_stripe,
        new_stripe=survey.new_stripe,
    )


def agreed_pages(survey: Survey) -> tuple[Numbers, Numbers]:
    """Return the array pages that are equal at both places: those that say so for sure, and all of them."""
    occurs = _Occurrences(survey)
    found_sure, found = [], []
    for page, content, place in (
        (survey.new_page, survey.at_old_place, survey.old_place),
        (survey.old_page, survey.at_new_place, survey.new_place),
    ):
        equal = (page >= 0) & survey.known & (place != NOWHERE) & (survey.ids == content)
        found.append(page[equal])
        twins = _twins(survey, occurs, page, content, place)
        found_sure.append(page[(twins | survey.is_same) & survey.known & (page >= 0)])
    return np.unique(np.concatenate(found_sure)), np.unique(np.concatenate(found))


class _Occurrences:
    """In how many rows each content occurs, counterparts included."""

    def __init__(self, survey: Survey) -> None:
        rows = np.broadcast_to(survey.rows[:, None], survey.ids.shape)
        ids, at = [survey.ids[survey.known]], [rows[survey.known]]
        for content, place in (
            (survey.at_old_place, survey.old_place),
            (survey.at_new_place, survey.new_place),
        ):
            there = place != NOWHERE
            ids.append(content[there])
            at.append(place[there])
        pairs = np.unique(np.stack((np.concatenate(ids), np.concatenate(at).astype(np.uint64))), axis=1)
        self._ids, first, self._counts = np.unique(pairs[0], return_index=True, return_counts=True)
        sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(pairs[1].astype(np.int64))))
        self._sums = sums[first + self._counts] - sums[first]

    def elsewhere(self, ids: Ids, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Return for contents that occur in given rows: in how many other rows, and the other one if it is one."""
        if not len(self._ids):  # nothing could be read
            return np.zeros(ids.shape, dtype=np.int64), np.zeros(ids.shape, dtype=np.int64)
        at = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        return self._counts[at] - 1, self._sums[at] - rows


def _has_equal_cells(survey: Survey) -> Flags:
    """Tell in which rows two cells hold the same, but not zeros."""
    ids = np.sort(np.where(survey.known, survey.ids, 0), axis=1)
    found: Flags = ((ids[:, 1:] == ids[:, :-1]) & (ids[:, 1:] != 0)).any(axis=1)
    return found


def _occur_elsewhere(survey: Survey, occurs: _Occurrences, page: Numbers, place: Numbers) -> Flags:
    """Tell which cells hold what occurs elsewhere, and not at the other places of the row's pages only; never zeros."""
    rows = np.broadcast_to(survey.rows[:, None], survey.ids.shape)
    others, where = occurs.elsewhere(survey.ids, rows)
    allowed = np.where(page >= 0, place, NOWHERE)
    at_other_place = (others == 1) & (where[:, :, None] == allowed[:, None, :]).any(axis=2)
    once = survey.varied & ((others == 0) | at_other_place)
    found: Flags = ~(once | (survey.ids == 0) | ~survey.known)
    return found


def _are_bound(survey: Survey, twice: Flags, chance: Flags) -> Flags:
    """Tell which rows satisfy both equations of the new geometry, of which one without a cell that occurs elsewhere.

    Of such a row that cell is what the others say, wherever it came from. If it is Q, the sum of the others is left.
    Zeros are not counted as others: equations are easily satisfied with them.

    Args:
        survey: the rows.
        twice: bool (k, n): what the cell holds occurs elsewhere.
        chance: bool (k,): a sum may vanish by chance.
    """
    told = survey.known & (survey.ids != 0) & ~twice
    n_data = survey.ids.shape[1] - 2
    is_q = (twice & (survey.new_page == PARITY - 1)).any(axis=1)
    found: Flags = survey.holds_new & (survey.n_new > 1) & (told.sum(axis=1) > n_data) & ~(is_q & chance)
    return found


def _tell(survey: Survey, occurs: _Occurrences, page: Numbers, content: Ids, place: Numbers) -> Numbers:
    """Tell by whose voice a cell is equal to its counterpart."""
    twins = _twins(survey, occurs, page, content, place)
    otherwise = survey.old_page if page is survey.new_page else survey.new_page
    return distances(otherwise, page, twins, survey.ids)


def _twins(survey: Survey, occurs: _Occurrences, page: Numbers, content: Ids, place: Numbers) -> Flags:
    """Tell which cells are equal to their counterpart, and to nothing else.

    Where two rows exchange pages, some being in the one by their new place and in the other by their old one and some
    the other way round, what both rows hold may be parity of the others: it tells nothing. Nor does it where one of
    these pages is on a member that is not here. In the same row the counterpart may be the cell's parity. And a page
    whose old place is written first is the same at both by accident, or because writes overtook each other.
    """
    rows = np.broadcast_to(survey.rows[:, None], survey.ids.shape)
    others, where = occurs.elsewhere(survey.ids, rows)
    equal = (page >= 0) & survey.known & survey.varied & (place != NOWHERE) & (survey.ids == content)
    alone: NDArray[np.bool_] = (others == 0) | ((others == 1) & (where == place))
    in_order = survey.old_ahead if place is survey.old_place else survey.new_behind
    reverse = survey.new_row if place is survey.old_place else survey.old_row
    exchanged = (reverse[:, None, :] == place[:, :, None]).any(axis=2)
    found: Flags = equal & alone & in_order & ~survey.is_same & (survey.ids != 0) & ~exchanged
    return found
