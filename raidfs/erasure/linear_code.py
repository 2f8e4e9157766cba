"""Redundancy as a linear code: every stripe satisfies check equations, and what is missing is solved from them.

A stripe's cells c_0 .. c_(w-1) satisfy, for every check row h:  sum h_i * c_i = 0  over GF(2^8). RAID5 has one row
(all ones), RAID6 a second one (g ** exponent of each data symbol, 0 for P, 1 for Q), a mirror one row per further copy.
Recovering a cell = a combination of rows that is zero at all other erased cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from raidfs.erasure.gf256 import inverse, multiply, power


@dataclass(frozen=True)
class Term:
    """One summand: `coefficient` times the content of `cell`."""

    cell: int
    coefficient: int


@dataclass(frozen=True)
class LinearCode:
    """Check equations of a stripe.

    Attributes:
        checks: one row per equation, one coefficient per cell; rows that need fewer multiplications first.
    """

    checks: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Number of cells."""
        return len(self.checks[0]) if self.checks else 0


def parity_code(n_data: int, n_parity: int, exponents: tuple[int, ...]) -> LinearCode:
    """Return the code of a stripe of `n_data` data symbols, then P, then Q if `n_parity` is 2.

    Args:
        n_data: data symbols per stripe.
        n_parity: 0 (nothing, or copies), 1 or 2.
        exponents: of each data symbol in Q; unused where there is no Q.
    """
    if n_parity == 0:
        return LinearCode(())
    p_row = (1,) * n_data + (1,) + (0,) * (n_parity - 1)
    if n_parity == 1:
        return LinearCode((p_row,))
    return LinearCode((p_row, (*(power(exponent) for exponent in exponents), 0, 1)))


@lru_cache(maxsize=1 << 16)
def recover(code: LinearCode, erased: frozenset[int], wanted: int) -> tuple[Term, ...] | None:
    """Solve for one erased cell.

    Args:
        code: the stripe's equations.
        erased: cells that have no content; `wanted` is one of them.
        wanted: the cell to compute.

    Returns:
        Terms over cells that are not erased, whose sum is the wanted cell; None: the equations do not determine it.
    """
    checks = _connected(code, erased, wanted)
    unknowns = sorted({cell for check in checks for cell, c in enumerate(check) if c} & erased - {wanted})
    rows = _without([list(check) for check in checks], unknowns)
    row = next((row for row in rows if row[wanted]), None)
    if row is None:
        return None
    scale = inverse(row[wanted])
    return tuple(Term(cell, multiply(scale, c)) for cell, c in enumerate(row) if c and cell != wanted)


@lru_cache(maxsize=1 << 14)
def companions(code: LinearCode, gone: frozenset[int], missing: frozenset[int], wanted: int) -> frozenset[int]:
    """Say which missing cells may help to determine one: those of any smallest set that, found again, determines it.

    The smallest sets are circuits of a matroid; two cells share one if and only if they lie in one component of it, and
    the components are those of the reduced equations.

    Args:
        code: the stripe's equations.
        gone: cells that have no content and never will have.
        missing: cells that have none now.
        wanted: the cell to compute; in one of the two.

    Returns:
        Cells out of `missing - {wanted}`; none where the equations determine the wanted cell as it is, or never do.
    """
    rows = _without([list(check) for check in code.checks], sorted(gone - {wanted}))
    done: list[list[int]] = []
    for column in sorted(missing | {wanted}):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is not None:
            rows = [_cancel(row, pivot, column) for row in rows if row is not pivot]
            done = [*(_cancel(row, pivot, column) for row in done), pivot]
    reached = {wanted}
    grown = True
    while grown:
        found = {cell for row in done if any(row[cell] for cell in reached) for cell in missing if row[cell]} - reached
        reached |= found
        grown = bool(found)
    return frozenset(reached - {wanted})


def _connected(code: LinearCode, erased: frozenset[int], wanted: int) -> list[tuple[int, ...]]:
    """Return the equations that can take part: those of the wanted cell, and of erased cells that they bring in."""
    left = list(code.checks)
    reached = {wanted}
    taken: list[tuple[int, ...]] = []
    grown = True
    while grown:
        now = [check for check in left if any(check[cell] for cell in reached)]
        left = [check for check in left if check not in now]
        taken += now
        grown = bool(now)
        reached |= {cell for check in now for cell in erased if check[cell]}
    return [check for check in code.checks if check in taken]


def _without(rows: list[list[int]], unknowns: Iterable[int]) -> list[list[int]]:
    """Gaussian elimination: return combinations of the rows in which none of the unknowns is left."""
    for unknown in unknowns:
        pivot = next((row for row in rows if row[unknown]), None)
        if pivot is not None:
            rows = [_cancel(row, pivot, unknown) for row in rows if row is not pivot]
    return rows


def _cancel(row: list[int], pivot: list[int], column: int) -> list[int]:
    """Add the multiple of `pivot` that makes `row` zero at `column`."""
    if not row[column]:
        return row
    factor = multiply(row[column], inverse(pivot[column]))
    return [a ^ multiply(factor, b) for a, b in zip(row, pivot, strict=True)]
