"""Tables of RAID1 and RAID10: each data chunk is a stripe of its own, whose cells are copies of it.

    RAID10 near=2, 3 members        far=2, 3 members                offset=2, 3 members
    row   0  1  2                   row      0  1  2                row   0  1  2
      0  C0 C0 C1                     0     C0 C1 C2                  0  C0 C1 C2
      1  C1 C2 C2                   far 0   C2 C0 C1                  1  C2 C0 C1

Source: `raid10.c: __raid10_find_phys`. The far copies of the far layout lie in another region of the members, as far
down as the first copies take room.
"""

from __future__ import annotations

from functools import cache
from math import gcd

import numpy as np

from raidfs.array.copies_layout import CopiesLayout, FarSets
from raidfs.array.drawn import Drawn
from raidfs.array.shape import Shape
from raidfs.geometry.table import RowTable

_Cell = tuple[int, int, int]
"""(role, row, region)."""


def mirror_table(raid_disks: int) -> RowTable:
    """Return the table of a RAID1: one symbol, held by every role."""
    return _table([[(role, 0, 0) for role in range(raid_disks)]], 1)


@cache
def copies_table(shape: Shape) -> RowTable:
    """Build the table of a RAID10.

    Raises:
        GeometryError: two copies collide (`near` with `offset` and odd numbers of members; buggy far sets).
    """
    if shape.table is not None:
        return _table(_cells_of_grid(shape.drawn), shape.drawn.height)
    layout = shape.copies
    period = shape.raid_disks // gcd(shape.raid_disks, layout.near)
    rows = period * layout.near // shape.raid_disks * (layout.far if layout.is_offset else 1)
    return _table([_cells(layout, shape.raid_disks, chunk) for chunk in range(period)], rows)


def region_size_of(shape: Shape, component_size: int) -> int:
    """Return the distance between far copies [component bytes]: the room that the first copies take (`setup_geo`)."""
    if shape.table is not None:
        n_regions = shape.drawn.n_regions
        return component_size // shape.chunk_size // n_regions * shape.chunk_size if n_regions > 1 else 0
    layout = shape.copies
    if layout.is_offset or layout.far == 1:
        return 0
    n_chunks = shape.array_size([component_size]) // shape.chunk_size
    used = -(-n_chunks * layout.near * layout.far // shape.raid_disks)
    return used // layout.far * shape.chunk_size


def _cells(layout: CopiesLayout, n: int, chunk: int) -> list[_Cell]:
    """Find all copies of a chunk, in the kernel's order."""
    row, role = divmod(chunk * layout.near, n)
    if layout.is_offset:
        row *= layout.far
    cells: list[_Cell] = []
    for _ in range(layout.near):
        cells.append((role, row, 0))
        other = role
        for copy in range(1, layout.far):
            other = _next_set(layout, n, other)
            cells.append((other, row + copy, 0) if layout.is_offset else (other, row, copy))
        role += 1
        if role == n:
            role, row = 0, row + 1
    return cells


def _cells_of_grid(drawn: Drawn) -> list[list[_Cell]]:
    """Find all copies of each chunk of a table, in the order of its rows."""
    cells: list[list[_Cell]] = [[] for _ in range(drawn.n_chunks)]
    for at, numbers in enumerate(drawn.rows):
        region, row = divmod(at, drawn.height)
        for role, number in enumerate(numbers):
            cells[number].append((role, row, region))
    return cells


def _next_set(layout: CopiesLayout, n: int, role: int) -> int:
    """Return the role of the next far copy; the last set takes the members that are left over."""
    size = {FarSets.NONE: n, FarSets.BUGGY: n // layout.far, FarSets.FIXED: layout.near * layout.far}[layout.far_sets]
    own_set = role // size
    moved = role + layout.near
    last_set_start = (n // size - 1) * size
    if n % size and moved > last_set_start:
        return (moved - last_set_start) % (size + n % size) + last_set_start
    return moved % size + size * own_set


def _table(stripes: list[list[_Cell]], rows_per_period: int) -> RowTable:
    """Make a table of stripes whose cells all hold the same."""
    cells = np.array(stripes, dtype=np.int16)
    return RowTable(
        n_data=1,
        role=cells[:, :, 0].copy(),
        row=cells[:, :, 1].copy(),
        region=cells[:, :, 2].copy(),
        symbol=np.zeros(cells.shape[:2], dtype=np.int16),
        exponent=np.zeros((len(stripes), 1), dtype=np.int16),
        rows_per_period=rows_per_period,
    )
