"""Redundancy as a linear code: every stripe satisfies check equations, and what is missing is solved from them.

A stripe's cells c_0 .. c_(w-1) satisfy, for every check row h:  sum h_i * c_i = 0  over GF(2^8). RAID5 has one row
(all ones), RAID6 a second one (g ** exponent of each data symbol, 0 for P, 1 for Q), a mirror one row per further copy.
Recovering a cell = a combination of rows that is zero at all other erased cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from raidfs.erasure.gf256 import inverse, multiply, power, products


@dataclass(frozen=True)
class Term:
    """One summand: `coefficient` times the content of `cell`."""

    cell: int
    coefficient: int


Equation = tuple[tuple[int, int], ...]
"""A check row: (cell, coefficient) of every cell that takes part, cells ascending; coefficients are not 0."""

_Row = dict[int, int]
"""The same while it is worked with."""
_MANY = 64
"""Equations from which on all cells that they determine are solved for together."""


@dataclass(frozen=True)
class LinearCode:
    """Check equations of a stripe.

    Attributes:
        equations: those that need fewer multiplications first.
    """

    equations: tuple[Equation, ...]

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[int]]) -> LinearCode:
        """Make one of rows that have a coefficient for every cell."""
        return cls(tuple(tuple((cell, c) for cell, c in enumerate(row) if c) for row in rows))

    def __hash__(self) -> int:
        """Hash the equations, once: those of both geometries of a reshape are many."""
        return self._hash

    @cached_property
    def cells(self) -> tuple[frozenset[int], ...]:
        """By equation, the cells that take part."""
        return tuple(frozenset(cell for cell, _ in equation) for equation in self.equations)

    @cached_property
    def equations_of(self) -> Mapping[int, tuple[int, ...]]:
        """By cell, the numbers of the equations that it takes part in, ascending."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, cells in enumerate(self.cells):
            for cell in cells:
                found[cell].append(number)
        return {cell: tuple(numbers) for cell, numbers in found.items()}

    @cached_property
    def _hash(self) -> int:
        return hash(self.equations)


@lru_cache(maxsize=1 << 12)
def code_of(equations: tuple[Equation, ...]) -> LinearCode:
    """Return the code of some equations, the same object for the same ones: what it knows of itself is kept."""
    return LinearCode(equations)


@lru_cache(maxsize=1 << 12)
def parity_code(n_data: int, n_parity: int, exponents: tuple[int, ...]) -> LinearCode:
    """Return the code of a stripe of `n_data` data symbols, then P, then Q if `n_parity` is 2.

    Args:
        n_data: data symbols per stripe.
        n_parity: 0 (nothing, or copies), 1 or 2.
        exponents: of each data symbol in Q; unused where there is no Q.
    """
    if n_parity == 0:
        return LinearCode(())
    p_row = (1,) * (n_data + 1)
    if n_parity == 1:
        return LinearCode.of_rows([p_row])
    return LinearCode.of_rows([p_row, (*(power(exponent) for exponent in exponents), 0, 1)])


def recover(code: LinearCode, erased: frozenset[int], wanted: int) -> tuple[Term, ...] | None:
    """Solve for one erased cell.

    Args:
        code: the stripe's equations.
        erased: cells that have no content; `wanted` is one of them.
        wanted: the cell to compute.

    Returns:
        Terms over cells that are not erased, whose sum is the wanted cell; None: the equations do not determine it.
    """
    found = determined_cells(code, erased).get(wanted)
    if found is None:
        return None
    return found.terms or _solved(code, erased, wanted, found.equations)


@dataclass(frozen=True)
class Determined:
    """How a cell is determined.

    Attributes:
        equations: numbers of those that can take part.
        terms: whose sum it is, where they are known already.
    """

    equations: tuple[int, ...]
    terms: tuple[Term, ...] = ()


@lru_cache(maxsize=1 << 16)
def _solved(
    code: LinearCode, erased: frozenset[int], wanted: int, equations: tuple[int, ...]
) -> tuple[Term, ...] | None:
    """Solve for a cell that is determined by these equations."""
    unknowns = {cell for number in equations for cell in code.cells[number] & erased} - {wanted}
    rows = _without([dict(code.equations[number]) for number in equations], sorted(unknowns))
    row = next((row for row in rows if wanted in row), None)
    if row is None:
        return None
    scale = inverse(row[wanted])
    return tuple(Term(cell, multiply(scale, c)) for cell, c in sorted(row.items()) if cell != wanted)


@lru_cache(maxsize=1 << 12)
def determined_cells(code: LinearCode, erased: frozenset[int]) -> Mapping[int, Determined]:
    """Return the erased cells that can be recovered, and how."""
    found: dict[int, Determined] = {}
    left = {cell for cell in erased if cell in code.equations_of}
    while left:
        equations, cells = _connected(code, erased, min(left))
        left -= cells
        rows = [dict(code.equations[number]) for number in equations]
        if len(rows) > _MANY:
            found |= {cell: Determined(equations, terms) for cell, terms in _solved_together(rows, cells)}
            continue
        alone = [row.keys() & cells for row in _reduced(rows, sorted(cells))]
        found |= {next(iter(each)): Determined(equations) for each in alone if len(each) == 1}
    return found


def _solved_together(rows: Sequence[_Row], erased: AbstractSet[int]) -> Iterator[tuple[int, tuple[Term, ...]]]:
    """Solve many equations at once by Gauss-Jordan elimination; yields the cells that they determine, and how."""
    cells = [*sorted(erased), *sorted({cell for row in rows for cell in row} - erased)]
    column_of = {cell: column for column, cell in enumerate(cells)}
    matrix = np.zeros((len(rows), len(cells)), dtype=np.uint8)
    for number, row in enumerate(rows):
        matrix[number, [column_of[cell] for cell in row]] = [*row.values()]
    done = 0
    for column in range(len(erased)):
        there = np.flatnonzero(matrix[done:, column])
        if not len(there):
            continue
        matrix[[done, done + there[0]]] = matrix[[done + there[0], done]]
        pivot = products(inverse(int(matrix[done, column])))[matrix[done]]
        matrix[done] = 0
        for number in np.flatnonzero(matrix[:, column]).tolist():
            matrix[number] ^= products(int(matrix[number, column]))[pivot]
        matrix[done] = pivot
        done += 1
    for row in matrix[:done]:
        (own, *others) = np.flatnonzero(row).tolist()
        if not others or others[0] >= len(erased):
            yield cells[own], tuple(Term(cells[each], int(row[each])) for each in others)


def _connected(code: LinearCode, erased: frozenset[int], first: int) -> tuple[tuple[int, ...], set[int]]:
    """Return the equations of an erased cell and of the erased cells that these bring in, and all these cells."""
    equations: set[int] = set()
    reached, new = {first}, [first]
    while new:
        for number in code.equations_of[new.pop()]:
            if number not in equations:
                equations.add(number)
                brought = (code.cells[number] & erased) - reached
                reached |= brought
                new += brought
    return tuple(sorted(equations)), reached


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
    rows = _without([dict(equation) for equation in code.equations], sorted(gone - {wanted}))
    done = _reduced(rows, sorted(missing | {wanted}))
    reached = {wanted}
    grown = True
    while grown:
        found = {cell for row in done if not reached.isdisjoint(row) for cell in missing & row.keys()} - reached
        reached |= found
        grown = bool(found)
    return frozenset(reached - {wanted})


def _without(rows: list[_Row], unknowns: Iterable[int]) -> list[_Row]:
    """Gaussian elimination: return combinations of the rows in which none of the unknowns is left."""
    for unknown in unknowns:
        pivot = next((row for row in rows if unknown in row), None)
        if pivot is not None:
            rows = [_cancel(row, pivot, unknown) if unknown in row else row for row in rows if row is not pivot]
    return rows


def _reduced(rows: list[_Row], columns: Iterable[int]) -> list[_Row]:
    """Gauss-Jordan elimination: return the rows of the columns that have one; no other of these holds the column."""
    done: list[_Row] = []
    for column in columns:
        pivot = next((row for row in rows if column in row), None)
        if pivot is not None:
            rows = [_cancel(row, pivot, column) if column in row else row for row in rows if row is not pivot]
            done = [*(_cancel(row, pivot, column) if column in row else row for row in done), pivot]
        if not rows:
            break
    return done


def _cancel(row: _Row, pivot: _Row, column: int) -> _Row:
    """Add the multiple of `pivot` that makes `row` zero at `column`."""
    factor = multiply(row[column], inverse(pivot[column]))
    found = dict(row)
    for cell, c in pivot.items():
        value = found.get(cell, 0) ^ (c if factor == 1 else multiply(factor, c))
        if value:
            found[cell] = value
        else:
            del found[cell]
    return found
