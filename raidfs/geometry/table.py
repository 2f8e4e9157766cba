"""A layout is a small table: which symbol of a stripe sits on which role, how many rows down, in which region.

    RAID5 left-symmetric, 4 members
    stripe   D0  D1  D2   P
         0    0   1   2   3        (entries: role of the member)
         1    3   0   1   2
         2    2   3   0   1
         3    1   2   3   0

A **stripe** is one codeword: `n_data` data symbols and the redundancy that belongs to them. Every md layout is
periodic, so one period of stripes tells everything. The constructor proves that the table is possible, for every layout
at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from raidfs.errors import GeometryError

_ORDER = 255
"""Exponents of 2 that differ by this give the same in GF(2^8)."""


@dataclass(frozen=True, eq=False)
class RowTable:
    """One period of a layout.

    Attributes:
        n_data: data symbols per stripe, numbered 0 .. n_data - 1. Symbol n_data is P (their sum), n_data + 1 is Q
        (their
            sum weighted with 2 ** exponent in GF(2^8), polynomial 0x11d).
        role: int16 (period, width): role of each cell.
        row: int16 (period, width): rows (chunk heights) below the start of the period.
        region: int16 (period, width): far-copy area of the member.
        symbol: int16 (period, width): which symbol the cell holds.
        exponent: int16 (period, n_data): of each data symbol in Q; zeros where there is no Q.
        rows_per_period: rows of a member that one period takes.

    Raises:
        GeometryError: two cells share a place, two symbols of a stripe lie on one role, or a data symbol has no cell.
    """

    n_data: int
    role: NDArray[np.int16]
    row: NDArray[np.int16]
    region: NDArray[np.int16]
    symbol: NDArray[np.int16]
    exponent: NDArray[np.int16]
    rows_per_period: int

    def __post_init__(self) -> None:
        """Prove the invariants."""
        n_rows, n_regions = int(self.row.max() - self.row.min()) + 1, int(self.region.max()) + 1
        places = (self.role.astype(np.int64) * n_rows + self.row - self.row.min()) * n_regions + self.region
        if _has_twice(places.reshape(1, -1)).any():
            raise GeometryError("two cells of the layout lie on the same member bytes")
        several = self.symbol.min(axis=1) < self.symbol.max(axis=1)
        if (_has_twice(self.role) & several).any():
            raise GeometryError("a stripe of the layout has two cells on one role")
        if _n_different(self.symbol, self.n_data).min() < self.n_data:
            raise GeometryError("a data symbol of the layout has no cell")
        if self.row.min() < 0 or self.row.max() >= self.rows_per_period:
            raise GeometryError("a cell of the layout lies outside its period")
        if self.has_q and _has_twice(self.exponent % _ORDER).any():
            raise GeometryError("two data symbols share an exponent in Q")

    @property
    def period(self) -> int:
        """Stripes after which the layout repeats."""
        return int(self.role.shape[0])

    @property
    def width(self) -> int:
        """Cells per stripe."""
        return int(self.role.shape[1])

    @cached_property
    def column_of_symbol(self) -> NDArray[np.int64]:
        """int64 (period, n_data): the first column that holds each data symbol."""
        columns = np.zeros((self.period, self.n_data + self.n_parity), dtype=np.int64)
        for column in reversed(range(self.width)):
            columns[np.arange(self.period), self.symbol[:, column]] = column
        return columns[:, : self.n_data]

    @property
    def has_copies_on_one_role(self) -> bool:
        """Whether some symbol is held twice by one member (far sets may do that): losing that member loses both."""
        return bool(_has_twice(self.role).any())

    @property
    def n_parity(self) -> int:
        """Redundant symbols per stripe: 0 (none, or copies), 1 (P) or 2 (P and Q)."""
        return int(self.symbol.max()) + 1 - self.n_data

    @property
    def has_copies(self) -> bool:
        """Whether data symbols are held more than once."""
        return self.width > self.n_data + self.n_parity

    @property
    def has_q(self) -> bool:
        """Whether stripes have a Q."""
        return bool((self.symbol == self.n_data + 1).any())

    def symbol_names(self) -> list[str]:
        """Name of each column's symbol: `D0`, `D1`, ..., `P`, `Q`."""
        return [symbol_name(symbol, self.n_data) for symbol in self.symbol[0].tolist()]

    def render(self) -> str:
        """Print the table, as in the documentation: the role of each symbol, and the exponents of Q if it has one."""
        names = self.symbol_names()
        head = "stripe  " + " ".join(f"{name:>3}" for name in names)
        if self.has_q:
            head += "   exponent of D0.. in Q"
        lines = [head]
        for stripe in range(self.period):
            line = f"{stripe:>6}  " + " ".join(f"{role:>3}" for role in self.role[stripe].tolist())
            if self.has_q:
                line += "   " + " ".join(str(each) for each in self.exponent[stripe].tolist())
            lines.append(line)
        return "\n".join(lines)


def _has_twice(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Tell of each row of values whether one occurs twice; bool (rows,)."""
    ordered = np.sort(values, axis=1)
    twice: NDArray[np.bool_] = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return twice


def _n_different(values: NDArray[np.integer], below: int) -> NDArray[np.int64]:
    """Count the different values in [0, below) of each row; int64 (rows,)."""
    ordered = np.sort(values, axis=1)
    is_first = np.concatenate((np.ones_like(ordered[:, :1], dtype=bool), ordered[:, 1:] != ordered[:, :-1]), axis=1)
    found: NDArray[np.int64] = (is_first & (ordered >= 0) & (ordered < below)).sum(axis=1)
    return found


@lru_cache(maxsize=1 << 13)
def symbol_name(symbol: int, n_data: int) -> str:
    """Name a symbol: `D0`, `D1`, ..., `P`, `Q`."""
    return f"D{symbol}" if symbol < n_data else "PQ"[symbol - n_data]
