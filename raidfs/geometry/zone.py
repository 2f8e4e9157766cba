"""From array bytes to member bytes and back, through tables.

    array bytes   |--- stripe 0 ---|--- stripe 1 ---|--- stripe 2 ---| ...
                    D0   D1   D2      D0   D1   D2
    component     chunk of each role at  (stripe // period) * rows_per_period + row   (times chunk_size)

*Component bytes* count from the data offset of a member; the data offset itself is added in `raidfs.engine`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import LARGEST
from raidfs.geometry.table import RowTable

UNUSED = -1
"""What `Zone.locate_inverse` gives for a component byte that holds no data symbol: -1 - its symbol, or this."""


@dataclass(frozen=True)
class Zone:
    """A run of the array with one table.

    Attributes:
        array_start, array_stop: [array bytes]; whole stripes.
        component_start: where its first row begins [component bytes].
        chunk_size: [bytes].
        region_size: distance between far-copy areas [component bytes]; 0 where there is only one.
        table: its layout.
    """

    array_start: int
    array_stop: int
    component_start: int
    chunk_size: int
    region_size: int
    table: RowTable

    @property
    def stripe_size(self) -> int:
        """Array bytes per stripe."""
        return self.chunk_size * self.table.n_data

    @property
    def component_stop(self) -> int:
        """Where its last row ends [component bytes], far copies aside."""
        n_stripes = -(-(self.array_stop - self.array_start) // self.stripe_size)
        n_periods, rest = divmod(n_stripes, self.table.period)
        rows = n_periods * self.table.rows_per_period + (int(self.table.row[:rest].max()) + 1 if rest else 0)
        return self.component_start + rows * self.chunk_size

    def cell_offset(self, stripe: int, cell: int) -> int:
        """Return where a cell of a stripe (counted from the zone's start) begins [component bytes]."""
        period, row = divmod(stripe, self.table.period)
        rows = period * self.table.rows_per_period + int(self.table.row[row, cell])
        return self.component_start + rows * self.chunk_size + int(self.table.region[row, cell]) * self.region_size

    def locate(self, array_offset: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the own place of array bytes; redundancy is not considered, the role may be missing.

        Args:
            array_offset: int64 (k,), [array bytes], in this zone.

        Returns:
            role: int64 (k,). component_offset: int64 (k,) [component bytes].
        """
        stripe, rest = np.divmod(array_offset - self.array_start, self.stripe_size)
        symbol, inside = np.divmod(rest, self.chunk_size)
        period, row = np.divmod(stripe, self.table.period)
        column = self.table.column_of_symbol[row, symbol]
        rows = period * self.table.rows_per_period + self.table.row[row, column]
        region = self.table.region[row, column].astype(np.int64)
        offset = self.component_start + rows * self.chunk_size + region * self.region_size
        return self.table.role[row, column].astype(np.int64), offset + inside

    def locate_inverse(self, role: int, component_offset: int) -> int:
        """Find what a component byte holds.

        Returns:
            The array byte, also of a copy; -2 - i for redundancy (-2: P, -3: Q); `UNUSED` where the zone holds nothing
            there.
        """
        if component_offset < self.component_start:
            return UNUSED
        region, rest = divmod(component_offset - self.component_start, self.region_size or LARGEST)
        row, inside = divmod(rest, self.chunk_size)
        period, row = divmod(row, self.table.rows_per_period)
        here = (self.table.role == role) & (self.table.row == row) & (self.table.region == region)
        stripe_row, column = np.nonzero(here)
        if not len(stripe_row):
            return UNUSED
        symbol = int(self.table.symbol[stripe_row[0], column[0]])
        stripe = period * self.table.period + int(stripe_row[0])
        start = self.array_start + stripe * self.stripe_size
        if start >= self.array_stop:
            return UNUSED
        if symbol >= self.table.n_data:
            return -2 - (symbol - self.table.n_data)
        return start + symbol * self.chunk_size + inside
