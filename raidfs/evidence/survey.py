"""Reads page rows and says what is seen of each: its look, and how its cells compare with their counterparts.

Every cell of a row is compared with two others: as a page of the new geometry with that page's old place, and as a page
of the old one with that page's new place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource
from raidfs.evidence.cells import N_SAMPLES, SECTORS, CellReader, Flags, Ids, Sampled, page_ids, samples_of, sector_ids
from raidfs.evidence.expected import are_unlike, would_be
from raidfs.evidence.forms import form_of, form_runs
from raidfs.evidence.looks import ANYTHING, RowForm, look_keys, looks_of, multiply
from raidfs.evidence.mixed import more_mixed
from raidfs.evidence.window import NOTHING, PAGE, PARITY, Numbers, Window


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen of k rows with n cells each.

    Attributes:
        rows: int64 (k,), ascending, of the new geometry.
        ids: uint64 (k, n): content of each cell, 0 where it is zeros.
        known: bool (k, n): it could be read.
        varied: bool (k, n): it is no repetition of one sector.
        formed: bool (k, n): it is much like another page near it, as if both came from one form; sums of such pages
            can agree by chance.
        may_be: uint8 (k,): what the row's look leaves open, see `raidfs.evidence.looks`.
        holds_new: bool (k,): all equations of the new geometry hold; True where there are none.
        holds_old: bool (k,): the same for the old one.
        n_new: int64 (k,): how many equations of the new geometry could be summed.
        n_old: int64 (k,): the same for the old one.
        new_page: int64 (k, n): the cell's page of the new geometry, below 0: none.
        old_page: int64 (k, n): the same for the old geometry.
        old_place: int64 (k, n): row in which the new page has its old place; NOWHERE: none that could be read.
        new_place: int64 (k, n): row in which the old page has its new place; NOWHERE as well.
        old_row, new_row: the same whether they could be read or not.
        old_ahead: bool (k, n): the reshape comes to the old place of the new page later than to the row.
        new_behind: bool (k, n): it came to the new place of the old page earlier.
        at_old_place: uint64 (k, n): content there.
        at_new_place: uint64 (k, n): content there.
        is_same: bool (k, n): new and old page are one page: its old place is its new one.
        unlike: bool (k, n): no sector of the cell is what it would be if it had been written, by what the old places
            of the row's new pages hold.
        absent: bool (k, n): nobody has this role.
        sum_new: bool (k,): by how mixed its cells are, the parity of the new geometry is the sum of the others; only
            asked where the members are the same, see `raidfs.evidence.mixed`.
        sum_old: bool (k,): the same for the old one.
        new_stripe: int64 (k,): the row's stripe of the new geometry.
        old_stripe: int64 (k,): the same for the old one, by the first of its members.
    """

    rows: Numbers
    ids: Ids
    known: Flags
    varied: Flags
    formed: Flags
    may_be: NDArray[np.uint8]
    holds_new: Flags
    holds_old: Flags
    n_new: Numbers
    n_old: Numbers
    new_page: Numbers
    old_page: Numbers
    old_place: Numbers
    new_place: Numbers
    old_row: Numbers
    new_row: Numbers
    old_ahead: Flags
    new_behind: Flags
    at_old_place: Ids
    at_new_place: Ids
    is_same: Flags
    unlike: Flags
    absent: Flags
    sum_new: Flags
    sum_old: Flags
    new_stripe: Numbers
    old_stripe: Numbers


NOWHERE = np.iinfo(np.int64).min
"""In the place of a row: there is no counterpart, or it could not be read."""


@dataclass(frozen=True, eq=False)
class _Counterparts:
    """The other places of the cells of some rows: their rows, roles, contents and samples; (k, n) each.

    `place` is the row where it could be read.
    """

    row: Numbers
    place: Numbers
    role: Numbers
    pages: Sampled


class Surveyor:
    """Looks at rows of an array in a reshape."""

    def __init__(self, window: Window, images: Mapping[int, BlockSource]) -> None:
        """Prepare; `images`: by role."""
        self._window = window
        self._reader = CellReader(window, images)

    def survey(self, start: int, stop: int) -> Survey:
        """Look at the rows [start, stop)."""
        window, n = self._window, self._window.n_roles
        rows = np.arange(start, stop, dtype=np.int64)
        sectors = np.zeros((len(rows), n, SECTORS), dtype=np.uint64)
        known = np.zeros((len(rows), n), dtype=np.bool_)
        data = np.zeros((n, len(rows), PAGE), dtype=np.uint8)
        for role in self._reader.roles:
            known[:, role] = self._reader.read(role, rows, data[role])
            sectors[:, role] = sector_ids(data[role])
        looked = self._looks(start, stop, data, sectors, known)
        new_page = np.stack([window.after.page_of(role, rows) for role in range(n)], axis=1)
        old_page = np.full_like(new_page, -1)
        for role in window.old_roles:
            old_page[:, role] = window.before.page_of(role, rows + window.shift[role])
        old = self._counterparts(new_page, window.old_cell)
        new = self._counterparts(old_page, window.after.cell_of)
        sum_new, sum_old = self._sums(data, known, looked, (new_page, old_page))
        samples = samples_of(np.moveaxis(data, 0, 1), sectors)
        expected, is_expected = would_be(
            window.after, rows, old.pages.samples, (old.place != NOWHERE) & np.isin(old.role, window.old_roles)
        )
        return Survey(
            rows=rows,
            ids=page_ids(sectors),
            known=known,
            varied=(sectors != sectors[:, :, :1]).any(axis=2),
            formed=_formed(Sampled(page_ids(sectors), samples), (old.pages, new.pages)),
            **looked,
            new_page=new_page,
            old_page=old_page,
            old_place=old.place,
            new_place=new.place,
            old_row=old.row,
            new_row=new.row,
            old_ahead=(old.row != NOWHERE) & (window.travel(old.row) > window.travel(rows)[:, None]),
            new_behind=(new.row != NOWHERE) & (window.travel(new.row) < window.travel(rows)[:, None]),
            at_old_place=old.pages.ids,
            at_new_place=new.pages.ids,
            is_same=(new_page >= 0) & (old.place == rows[:, None]) & (old.role == np.arange(n)),
            unlike=known & is_expected & are_unlike(samples, expected),
            absent=np.broadcast_to(~np.isin(np.arange(n), self._reader.roles), known.shape),
            sum_new=sum_new,
            sum_old=sum_old,
            new_stripe=rows // window.after.chunk,
            old_stripe=(rows + (window.shift[window.old_roles[0]] if window.old_roles else 0)) // window.before.chunk,
        )

    def _looks(
        self, start: int, stop: int, data: NDArray[np.uint8], sectors: Ids, known: Flags
    ) -> dict[str, NDArray[Any]]:
        """Judge the rows of a batch by their looks."""
        k, roles = stop - start, self._reader.roles
        may_be = np.full(k, ANYTHING, dtype=np.uint8)
        holds = np.ones((2, k, SECTORS), dtype=np.bool_)
        summed = np.zeros((2, k), dtype=np.int64)
        for form, rows in _by_form(self._window, start, stop, roles).items():
            for number, equations in enumerate((form.new_equations, form.old_equations)):
                summed[number, rows] = len(equations)
                for equation in equations:
                    holds[number, rows] &= _is_zero(data, roles, rows, equation)
            cells = np.moveaxis(sectors[rows][:, roles], 1, 2)
            keys = look_keys(cells, holds[0, rows], holds[1, rows])
            may_be[rows] = np.bitwise_and.reduce(looks_of(form).find(keys, holds[0, rows]), axis=1)
        unread = ~known[:, roles].all(axis=1)
        may_be[unread] = ANYTHING
        summed[:, unread] = 0
        whole: Flags = np.asarray(holds.all(axis=2)) | unread
        return {"may_be": may_be, "holds_new": whole[0], "holds_old": whole[1], "n_new": summed[0], "n_old": summed[1]}

    def _sums(
        self, data: NDArray[np.uint8], known: Flags, looked: dict[str, NDArray[Any]], pages: tuple[Numbers, Numbers]
    ) -> tuple[Flags, Flags]:
        """Tell which cell is the sum of the others in rows that satisfy the one equation of both geometries."""
        found = np.zeros((2, len(known)), dtype=np.bool_)
        is_new, is_old = (each == PARITY for each in pages)
        asked = known.all(axis=1) & looked["holds_new"] & looked["holds_old"]
        asked &= (looked["n_new"] == 1) & (looked["n_old"] == 1) & (pages[1] != NOTHING).all(axis=1)
        asked &= is_new.any(axis=1) & is_old.any(axis=1) & ~(is_new & is_old).any(axis=1)
        if self._window.is_level and set(self._window.old_roles) == set(range(self._window.n_roles)):
            here = np.flatnonzero(asked)
            cells = np.moveaxis(data[:, here], 0, 1)
            found[:, here] = more_mixed(cells, is_new[here].argmax(axis=1), is_old[here].argmax(axis=1))
        return found[0], found[1]

    def _counterparts(self, page: Numbers, cell_of: Callable[[Numbers], tuple[Numbers, Numbers]]) -> _Counterparts:
        """Find and read the other places of pages; int64 (k, n)."""
        row = np.full(page.shape, NOWHERE, dtype=np.int64)
        role = np.full(page.shape, -1, dtype=np.int64)
        ids = np.zeros(page.shape, dtype=np.uint64)
        samples = np.zeros((*page.shape, N_SAMPLES), dtype=np.uint8)
        wanted = (page >= 0) & (page < self._window.n_pages)
        role[wanted], row[wanted] = cell_of(page[wanted])
        place = row.copy()
        for each in np.unique(role[wanted]).tolist():
            mine = role == each
            found, readable = self._reader.contents(each, place[mine])
            ids[mine], samples[mine] = found.ids, found.samples
            place[mine] = np.where(readable, place[mine], NOWHERE)
        return _Counterparts(row, place, role, Sampled(ids, samples))


_ALIKE = 0.4
"""Pages are alike where this share of the bytes that are not zero in both of them is equal: of texts it is 0.06."""


def _formed(cells: Sampled, counterparts: Sequence[Sampled]) -> Flags:
    """Tell which cells are much like another one near them, but not equal to it.

    Args:
        cells: (k, n).
        counterparts: what lies at other places of their pages; (k, n).
    """
    k, n = cells.ids.shape
    found = np.zeros((k, n), dtype=np.bool_)
    for other in counterparts:
        found |= _alike(cells, other)
    below = _alike(cells[1:], cells[:-1])
    found[1:] |= below
    found[:-1] |= below
    for left in range(n):
        for right in range(left):
            alike = _alike(cells[:, left], cells[:, right])
            found[:, left] |= alike
            found[:, right] |= alike
    return found


def _alike(left: Sampled, right: Sampled) -> Flags:
    """Tell which pages are alike, but not equal."""
    found = np.zeros(left.ids.shape, dtype=np.bool_)
    asked = (left.ids != right.ids) & (left.ids != 0) & (right.ids != 0)
    one, other = left.samples[asked], right.samples[asked]
    both = (one != 0) & (other != 0)
    n_both, n_equal = both.sum(axis=-1), (both & (one == other)).sum(axis=-1)
    found[asked] = n_equal > _ALIKE * n_both
    return found


def joined(surveys: Sequence[Survey]) -> Survey:
    """Put surveys of neighbouring rows together, in ascending order."""
    ordered = sorted(surveys, key=lambda each: int(each.rows[0]))
    return Survey(
        **{field.name: np.concatenate([getattr(each, field.name) for each in ordered]) for field in fields(Survey)}
    )


def _by_form(window: Window, start: int, stop: int, roles: Sequence[int]) -> dict[RowForm, Numbers]:
    """Sort rows by their form; their numbers count from `start`."""
    runs: dict[RowForm, list[Numbers]] = {}
    for low, high in form_runs(window, start, stop) if roles else ():
        runs.setdefault(form_of(window, low, roles), []).append(np.arange(low - start, high - start))
    return {form: np.concatenate(rows) for form, rows in runs.items()}


def _is_zero(data: NDArray[np.uint8], roles: Sequence[int], rows: Numbers, equation: Sequence[int]) -> Flags:
    """Tell in which sectors of some rows an equation over some roles holds; bool (rows, 8)."""
    total = np.zeros((len(rows), PAGE), dtype=np.uint8)
    for role, coefficient in zip(roles, equation, strict=True):
        if coefficient:
            total ^= multiply(coefficient, data[role, rows])
    words = total.view(np.uint64).reshape(len(total), SECTORS, -1)
    found: Flags = (words == 0).all(axis=2)
    return found
