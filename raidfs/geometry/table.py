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

import numpy as np
from numpy.typing import NDArray

from raidfs.errors import GeometryError


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
        places = np.stack((self.role, self.row, self.region), axis=-1).reshape(-1, 3)
        if len(np.unique(places, axis=0)) != len(places):
            raise GeometryError("two cells of the layout lie on the same member bytes")
        for roles, symbols in zip(self.role.tolist(), self.symbol.tolist(), strict=True):
            if len(set(roles)) < len(roles) and len(set(symbols)) > 1:
                raise GeometryError("a stripe of the layout has two cells on one role")
            if not set(range(self.n_data)) <= set(symbols):
                raise GeometryError("a data symbol of the layout has no cell")
        if self.row.min() < 0 or self.row.max() >= self.rows_per_period:
            raise GeometryError("a cell of the layout lies outside its period")
        for row in self.exponent:
            if self.has_q and len(set(row.tolist())) != len(row):
                raise GeometryError("two data symbols share an exponent in Q")

    @property
    def period(self) -> int:
        """Stripes after which the layout repeats."""
        return int(self.role.shape[0])

    @property
    def width(self) -> int:
        """Cells per stripe."""
        return int(self.role.shape[1])

    @property
    def has_copies_on_one_role(self) -> bool:
        """Whether some symbol is held twice by one member (far sets may do that): losing that member loses both."""
        return any(len(set(roles)) < len(roles) for roles in self.role.tolist())

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


def symbol_name(symbol: int, n_data: int) -> str:
    """Name a symbol: `D0`, `D1`, ..., `P`, `Q`."""
    return f"D{symbol}" if symbol < n_data else "PQ"[symbol - n_data]
