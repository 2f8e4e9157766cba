"""The cells of a page row as sums of array pages, in either geometry, and the equations that bind them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from raidfs.erasure.gf256 import inverse, multiply, power
from raidfs.evidence.looks import Equation, RowForm, Sum
from raidfs.evidence.window import Layout, Window
from raidfs.geometry.table import RowTable


def form_of(window: Window, row: int, roles: Sequence[int]) -> RowForm:
    """Return the form of a page row.

    Args:
        window: the rows ahead of the position.
        row: of the new geometry.
        roles: whose cells are looked at, ascending.
    """
    new = _stripe_at(window.after, row, 0)
    assert new is not None, "the window lies within the geometry"
    n_old = window.before.symbol.shape[1]
    others = window.shift[window.old_roles[0]] if window.old_roles else 0
    gone = [role for role in range(n_old) if role not in roles]
    before = [
        _stripe_at(window.before, row + window.shift.get(role, others), new.first) if role < n_old else None
        for role in (*roles, *gone)
    ]
    reach = max(layout.zone.table.n_data * layout.chunk for layout in (window.after, window.before))
    far = sorted({stripe.first for stripe in before if stripe is not None and abs(stripe.first) > reach})
    firsts = {first: _FAR * (number + 1) for number, first in enumerate(far)}
    every = [stripe and replace(stripe, first=firsts.get(stripe.first, stripe.first)) for stripe in before]
    old, left = every[: len(roles)], [*zip(gone, every[len(roles) :], strict=True)]
    holders = tuple(role in window.old_roles for role in roles)
    old_row = old[holders.index(True)] if window.is_level and any(holders) else None
    lost = tuple((role, stripe) for role, stripe in left if stripe is not None)
    return _form(window.after, window.before, tuple(roles), replace(new, first=0), tuple(old), holders, old_row, lost)


@dataclass(frozen=True)
class _Stripe:
    """Where a page row lies in its stripe.

    Attributes:
        place: number of the stripe in its period.
        first: its first page at this height, counted from that of the new geometry; a multiple of `_FAR`: no page of
            its stripe is among those of the new one, and which they are does not matter.
    """

    place: int
    first: int


_FAR = 1 << 40
"""More than the pages of a stripe."""


def _stripe_at(layout: Layout, row: int, origin: int) -> _Stripe | None:
    """Return where a row lies; None: the geometry has no such row."""
    if not 0 <= row < layout.n_rows:
        return None
    stripe, inside = divmod(row, layout.chunk)
    table = layout.zone.table
    first = stripe * table.n_data * layout.chunk + inside - origin
    return _Stripe(stripe % table.period, first)


@lru_cache(maxsize=4096)
def _form(
    after: Layout,
    before: Layout,
    roles: tuple[int, ...],
    new: _Stripe,
    old: tuple[_Stripe | None, ...],
    holders: tuple[bool, ...],
    old_row: _Stripe | None,
    lost: tuple[tuple[int, _Stripe], ...],
) -> RowForm:
    """Return the form of a row, for the places of its cells in the stripes of either geometry.

    Args:
        after: the new geometry.
        before: the old one.
        roles: whose cells are looked at.
        new: where the row lies in the new geometry.
        old: by cell, where it would lie in the old one.
        holders: by cell, whether its member holds the old geometry.
        old_row: where all these cells lie, if they lie at one height.
        lost: roles of the old geometry that are not looked at, and where their cells would lie: a disk that was added
            may be one that failed before, and still hold what it held then.
    """
    numbers: dict[int, int] = {}
    new_cells = tuple(_sum_at(after, role, new, numbers) for role in roles)
    would = [None if at is None else _sum_at(before, role, at, numbers) for role, at in zip(roles, old, strict=True)]
    held = [cell if holds else None for cell, holds in zip(would, holders, strict=True)]
    strangers = tuple(number for number, cell in enumerate(held) if cell is None)
    copied = [_sum_at(before, role, at, numbers) for role, at in lost]
    perhaps = [(number, cell) for number, cell in enumerate(would) if cell is not None and number in strangers]
    perhaps += [(number, cell) for number in strangers for cell in copied]
    own = {number: len(numbers) + each for each, number in enumerate(strangers)}
    there = [number for number, cell in enumerate(held) if cell is not None]
    old_equations: tuple[Equation, ...] = ()
    if old_row is not None:
        told = _equations(before.zone.table, old_row.place, tuple(roles[number] for number in there))
        old_equations = tuple(_spread(each, there, len(roles)) for each in told)
    return RowForm(
        new=new_cells,
        old=tuple(((own[number], 1),) if cell is None else cell for number, cell in enumerate(held)),
        strangers=strangers,
        perhaps=tuple(dict.fromkeys(perhaps)),
        new_equations=_equations(after.zone.table, new.place, roles),
        old_equations=old_equations,
    )


def _sum_at(layout: Layout, role: int, stripe: _Stripe, numbers: dict[int, int]) -> Sum:
    """Return what a cell holds."""
    table = layout.zone.table
    pages = [numbers.setdefault(stripe.first + k * layout.chunk, len(numbers)) for k in range(table.n_data)]
    symbol = int(layout.symbol[stripe.place, role])
    if symbol < table.n_data:
        return ((pages[symbol], 1),)
    exponents = [0] * table.n_data if symbol == table.n_data else table.exponent[stripe.place].tolist()
    return tuple((page, power(exponent)) for page, exponent in zip(pages, exponents, strict=True))


def _spread(equation: Equation, cells: Sequence[int], n: int) -> Equation:
    """Count the coefficients of some cells by all of them."""
    known = dict(zip(cells, equation, strict=True))
    return tuple(known.get(cell, 0) for cell in range(n))


def terms_of(table: RowTable, place: int, role: int, roles: Sequence[int]) -> dict[int, int] | None:
    """Return a sum that gives the cell of one role: coefficients in GF(2^8) by role; None: the others do not tell.

    Args:
        table: of the geometry; its stripes each lie at one height.
        place: of the stripe in its period.
        role: whose cell is wanted.
        roles: whose cells are known.
    """
    every = (role, *(each for each in roles if each != role))
    for own, *others in _equations(table, place, every):
        if own:
            factor = inverse(own)
            terms = zip(every[1:], others, strict=True)
            return {other: multiply(value, factor) for other, value in terms if value}
    return None


@lru_cache(maxsize=4096)
def _equations(table: RowTable, place: int, roles: tuple[int, ...]) -> tuple[Equation, ...]:
    """Return the equations of a stripe that need no other roles than these."""
    n_roles = table.role.shape[1]
    column = {int(role): number for number, role in enumerate(table.role[place])}
    rows = []
    for parity in range(table.n_data, int(table.symbol[place].max()) + 1):
        row = [0] * n_roles
        for role, number in column.items():
            symbol = int(table.symbol[place, number])
            if symbol < table.n_data:
                row[role] = 1 if parity == table.n_data else power(int(table.exponent[place, symbol]))
            elif symbol == parity:
                row[role] = 1
        rows.append(row)
    return tuple(tuple(row[role] for role in roles) for row in _without(rows, set(range(n_roles)) - set(roles)))


def _without(rows: list[list[int]], gone: Collection[int]) -> list[list[int]]:
    """Combine equations so that none needs a cell that is gone."""
    for cell in sorted(gone):
        pivot = next((row for row in rows if row[cell]), None)
        if pivot is None:
            continue
        factor = inverse(pivot[cell])
        rows = [_reduced(row, pivot, multiply(row[cell], factor)) for row in rows if row is not pivot]
    return rows


def _reduced(row: list[int], pivot: list[int], factor: int) -> list[int]:
    return [value ^ multiply(factor, other) for value, other in zip(row, pivot, strict=True)]


def form_runs(window: Window, start: int, stop: int) -> list[tuple[int, int]]:
    """Cut rows into runs of one form: at the chunks of either geometry."""
    shifts = {0, *(window.shift[role] for role in window.old_roles)}
    cuts = [np.array([start, stop])]
    for layout, moves in ((window.after, {0}), (window.before, shifts)):
        for move in moves:
            first = -(-(start + move) // layout.chunk) * layout.chunk - move
            cuts.append(np.arange(first, stop, layout.chunk))
    edges = np.unique(np.concatenate(cuts))
    edges = edges[(edges >= start) & (edges <= stop)]
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
