"""From where a reshape takes each page, by whatever geometry it goes to: pages in their places, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.evidence.window import NOTHING, PAGE, Numbers
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.zone import Zone


@dataclass(frozen=True, eq=False)
class Side:
    """One geometry on the members.

    Attributes:
        zone: the geometry, without far copies.
        start: by role, where the component begins in it [member bytes].
    """

    zone: Zone
    start: Mapping[int, int]

    def places(self, pages: Numbers) -> tuple[Numbers, Numbers]:
        """Return role and offset [member bytes] of all copies of array pages [array bytes]; int64 (k, copies) each.

        A role that has no member counts its offsets from 0.
        """
        zone, table = self.zone, self.zone.table
        stripe, rest = np.divmod(pages - zone.array_start, zone.stripe_size)
        symbol, inside = np.divmod(rest, zone.chunk_size)
        period, row = np.divmod(stripe, table.period)
        columns = self._columns[row, symbol]
        at = period[:, None] * table.rows_per_period + table.row[row[:, None], columns]
        role = table.role[row[:, None], columns].astype(np.int64)
        return role, zone.component_start + at * zone.chunk_size + inside[:, None] + self._starts[role]

    def holds(self, role: Numbers, offset: Numbers) -> Numbers:
        """Return the array bytes that lie at places of members [member bytes]; below 0: none."""
        zone, table = self.zone, self.zone.table
        known = role < self._cells.shape[1]
        start = self._starts[np.where(known, role, 0)] + zone.component_start
        row, inside = np.divmod(offset - start, zone.chunk_size)
        period, row = np.divmod(row, table.rows_per_period)
        stripe, symbol = np.moveaxis(self._cells[row, np.where(known, role, 0)], -1, 0)
        found = ((period * table.period + stripe) * table.n_data + symbol) * zone.chunk_size + inside + zone.array_start
        is_data = known & (symbol >= 0) & (symbol < table.n_data) & (period >= 0) & (found < zone.array_stop)
        return np.where(is_data, found, NOTHING)

    @property
    def n_copies(self) -> int:
        """How often each array byte lies in its own places."""
        return int(self._columns.shape[2])

    @cached_property
    def _starts(self) -> Numbers:
        """`start` by number, also for roles that are in other geometries only."""
        found = np.zeros(max((int(self.zone.table.role.max()), *self.start)) + 1, dtype=np.int64)
        found[[*self.start]] = [*self.start.values()]
        return found

    @cached_property
    def _columns(self) -> Numbers:
        """By row of the table and data symbol, the cells that hold it; int64 (period, n_data, copies)."""
        table = self.zone.table
        order = np.argsort(table.symbol, axis=1, kind="stable")
        copies = int((table.symbol[0] == 0).sum())
        return order[:, : table.n_data * copies].reshape(table.period, table.n_data, copies)

    @cached_property
    def _cells(self) -> Numbers:
        """By row of a period and role, row of the table and symbol of the cell, or -1; int64 (rows, roles, 2)."""
        table = self.zone.table
        found = np.full((table.rows_per_period, int(table.role.max()) + 1, 2), -1, dtype=np.int64)
        line = np.broadcast_to(np.arange(table.period)[:, None], table.role.shape)
        found[table.row, table.role] = np.stack((line, table.symbol), axis=-1)
        return found


def goes_to(pages: Numbers, old: Side, new: Side) -> tuple[Numbers, Numbers]:
    """Say which page a reshape puts in the old place of each page.

    Returns:
        int64 (k, copies of the old geometry): its role, and the array byte, below 0: none.
    """
    role, offset = old.places(pages)
    return role, new.holds(role, offset)


def are_exchanged(pages: Numbers, old: Side, new: Side) -> NDArray[np.bool_]:
    """Tell which pages change places with another one: each is put where the other lay.

    Returns:
        bool (k,); False also of pages that stay where they are.
    """
    role, offset = old.places(pages)
    here = new.holds(role, offset)  # what is put in the old place of each
    role, offset = new.places(pages)
    there = old.holds(role, offset)  # what lay in the new place
    found: NDArray[np.bool_] = ((here == there) & (here >= 0) & (here != pages[:, None])).any(axis=1)
    return found


def come_from(pages: Numbers, old: Side, new: Side) -> Numbers:
    """Return the pages in whose old places pages are put [array bytes]."""
    role, offset = new.places(pages)
    found = old.holds(role.reshape(-1), offset.reshape(-1))
    return found[found >= 0]


def whole_pages(start: int, n: int, size: int) -> NDArray[np.int64]:
    """Return `n` pages from one on, that lie within an array of some size [array bytes]."""
    first = max(0, start) // PAGE * PAGE
    return np.arange(first, min(first + n * PAGE, size - PAGE + 1), PAGE, dtype=np.int64)


def equal_sides(description: ArrayDescription) -> tuple[Side, Side] | None:
    """Return the old and the new geometry of a reshape whose rows hold as many pages in both, beside parity.

    Of others a second run leaves pages twice, which tells better of it. Returns None for them.
    """
    reshape = description.reshape
    if reshape is None or reshape.before.n_data != reshape.after.n_data:
        return None
    if any(shape.chunk_size % PAGE or not shape.has_parity for shape in description.shapes):
        return None
    serving = description.serving.items()
    old, new = (zone_of(shape, description.component_size) for shape in (reshape.before, reshape.after))
    return (
        Side(old, {role: member.data_offset for role, member in serving}),
        Side(new, {role: member.new_data_offset for role, member in serving}),
    )
