"""The rows ahead of a recorded reshape position, page by page, and what each of their cells is in either geometry.

    members (roles)      0     1     2     3
    page row r        | m0  | m1  | m2  | m3  |    as new: D7 D8 P D6       as old: P D4 D5 -
    page row r + 1    |     |     |     |     |

The kernel writes pages: a *page row* is one page of each member of the new geometry at the same component offset, and
of a row under way any of its cells may have been written. A *cell* is one of these pages. Everything is counted in
pages here; array pages are numbered from the start of the array.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction, State
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import lag_limit
from raidfs.geometry.zone import Zone

PAGE = 4096
"""The kernel's unit: one stripe of its cache is a page high [bytes]."""
NOTHING = -1
"""In the place of an array page: a cell holds nothing of that geometry."""
PARITY = -2
"""The same for P; PARITY - 1 for Q."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """One geometry in pages.

    Attributes:
        zone: the geometry; its stripes each lie at one height.
        symbol: int64 (period, roles): which symbol a role holds.
    """

    zone: Zone
    symbol: Numbers

    @property
    def chunk(self) -> int:
        """Pages per chunk."""
        return self.zone.chunk_size // PAGE

    @property
    def n_rows(self) -> int:
        """Page rows of the geometry."""
        return self.zone.component_stop // PAGE

    def page_of(self, role: int, row: Numbers) -> Numbers:
        """Return the array page that a role holds in each row; NOTHING, PARITY or PARITY - 1 where it holds none."""
        stripe, inside = np.divmod(row, self.chunk)
        symbol = self.symbol[stripe % len(self.symbol), role]
        n_data = self.zone.table.n_data
        page = (stripe * n_data + symbol) * self.chunk + inside
        page = np.where(symbol >= n_data, PARITY - (symbol - n_data), page)
        return np.where((row >= 0) & (row < self.n_rows), page, NOTHING)

    def cell_of(self, page: Numbers) -> tuple[Numbers, Numbers]:
        """Return role and row of array pages (>= 0)."""
        role, offset = self.zone.locate(page * PAGE)
        return role, offset // PAGE


@dataclass(frozen=True, eq=False)
class Window:
    """The page rows that the recorded position leaves open.

    Attributes:
        description: the array, in a reshape.
        after, before: the geometries.
        shift: by role: row of the old geometry less row of the new one, at the same place.
        old_roles: roles whose members hold cells of the old geometry that the new one overwrites.
        first, stop: rows of the new geometry.
    """

    description: ArrayDescription
    after: Layout
    before: Layout
    shift: Mapping[int, int]
    old_roles: tuple[int, ...]
    first: int
    stop: int

    @property
    def forward(self) -> bool:
        """Whether the reshape goes from low rows to high ones."""
        assert self.description.reshape is not None
        return self.description.reshape.direction is Direction.FORWARD

    @property
    def n_roles(self) -> int:
        """Roles of the new geometry."""
        return int(self.after.symbol.shape[1])

    @property
    def n_pages(self) -> int:
        """Whole pages of the array."""
        return self.description.size // PAGE

    @cached_property
    def is_level(self) -> bool:
        """Whether a row of the old geometry lies at one height of all members, so that its parity can be summed."""
        return len({self.shift[role] for role in self.old_roles}) <= 1

    def travel(self, row: Numbers) -> Numbers:
        """Count rows in the order of travel, from 0 at the recorded position."""
        return row - self.first if self.forward else self.stop - 1 - row

    def old_cell(self, page: Numbers) -> tuple[Numbers, Numbers]:
        """Return role and row, counted as rows of the new geometry, of the old places of array pages."""
        role, row = self.before.cell_of(page)
        moves = np.array([self.shift.get(each, 0) for each in range(self.before.symbol.shape[1])], dtype=np.int64)
        return role, row - moves[role]


def window_of(description: ArrayDescription) -> Window | None:
    """Return the rows that the recorded position leaves open; None: there are none that could be looked at.

    Rows are looked at where all is in whole pages, as the kernel wants it for RAID4, RAID5 and RAID6.
    """
    reshape = description.reshape
    if reshape is None:
        return None
    shapes, serving = (reshape.before, reshape.after), description.serving
    moves = {role: member.new_data_offset - member.data_offset for role, member in serving.items()}
    if not all(shape.has_parity for shape in shapes):
        return None  # RAID10 records its position before it destroys anything
    in_bytes = (*(shape.chunk_size for shape in shapes), *moves.values())
    if any(each % PAGE for each in in_bytes):
        return None
    low, high = sorted((reshape.position, lag_limit(description)))
    n_data = reshape.after.n_data
    after = _layout(zone_of(reshape.after, description.component_size))
    common = range(min(reshape.before.raid_disks, reshape.after.raid_disks))
    return Window(
        description=description,
        after=after,
        before=_layout(zone_of(reshape.before, description.component_size)),
        shift={role: move // PAGE for role, move in moves.items()},
        old_roles=tuple(role for role in common if role in serving and serving[role].state is not State.RECOVERING),
        first=low // n_data // PAGE,
        stop=min(high // n_data // PAGE, after.n_rows),
    )


def _layout(zone: Zone) -> Layout:
    table = zone.table
    symbol = np.zeros((table.period, int(table.role.max()) + 1), dtype=np.int64)
    np.put_along_axis(symbol, table.role.astype(np.int64), table.symbol.astype(np.int64), axis=1)
    return Layout(zone, symbol)
