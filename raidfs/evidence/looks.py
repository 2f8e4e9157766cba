"""What the look of a row tells: is it wholly new, wholly old, or torn?

The look of a row is what can be seen of it without knowing what it should hold: which cells are zero, which are equal,
and whether the equations of either geometry hold. Each look is possible only after certain subsets of the row's cells
were written. Which ones is found by trying all: every cell becomes a sum of symbols (array pages, or what lay on a
member before), every subset of the cells is taken as new and the rest as old, every subset of the symbols as zero.

The assumption: pages that are not zero have nothing to do with each other. `raidfs.evidence.votes` sees to it that
content which repeats itself proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raidfs.erasure.gf256 import products

NEW, OLD, TORN = 1, 2, 4
"""What a row may be; a set of them is their sum."""
ANYTHING = NEW | OLD | TORN
_MOST_BITS = 14
"""Cells and symbols of a row for which every subset is tried; with more symbols all of them count as not zero."""
_MOST_CELLS = 14
"""Cells of a row for which every subset is tried at all."""

Sum = tuple[tuple[int, int], ...]
"""A cell as a sum: (symbol, coefficient in GF(2^8)) each."""
Equation = tuple[int, ...]
"""Coefficients by cell; the sum of the cells is zero where it holds."""


@dataclass(frozen=True)
class RowForm:
    """What the cells of a row are, each by its members' order.

    Attributes:
        new: as new.
        old: as old.
        strangers: cells (by number) that never were of the old geometry: what lies in them may be anything, even a copy
            of another member.
        perhaps: (cell, sum) that strangers may hold after all: what the old geometry has a place for, since writes of
            users may have gone there; and what members held that are not looked at.
        new_equations: that hold in a row that is wholly new.
        old_equations: the same for the old geometry.
    """

    new: tuple[Sum, ...]
    old: tuple[Sum, ...]
    strangers: tuple[int, ...]
    perhaps: tuple[tuple[int, Sum], ...]
    new_equations: tuple[Equation, ...]
    old_equations: tuple[Equation, ...]


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of a row.

    Attributes:
        keys: uint64 (k,), ascending; see `look_keys`.
        may_be: uint8 (k,): what a row of that look may be.
    """

    keys: NDArray[np.uint64]
    may_be: NDArray[np.uint8]

    def find(self, keys: NDArray[np.uint64], holds_new: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Say what rows may be; a look that is not among these tells only whether they can be wholly new."""
        unknown = np.where(holds_new, np.uint8(ANYTHING), np.uint8(ANYTHING & ~NEW))
        if not len(self.keys):
            return unknown
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: NDArray[np.uint8] = np.where(self.keys[at] == keys, self.may_be[at], unknown)
        return found


def look_keys(
    cells: NDArray[np.uint64], holds_new: NDArray[np.bool_], holds_old: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    """Put the looks of rows into numbers.

    Args:
        cells: uint64 (..., n): something that is equal for equal cells, and 0 for cells of zeros.
        holds_new: bool (...): the new equations hold.
        holds_old: bool (...): the old equations hold; True where there are none.

    Returns:
        uint64 (...).
    """
    n = cells.shape[-1]
    first = np.zeros(cells.shape, dtype=np.uint64)
    for cell in range(n):
        for other in range(cell, -1, -1):
            first[..., cell] = np.where(cells[..., other] == cells[..., cell], np.uint64(other + 1), first[..., cell])
    first[cells == 0] = 0
    weights = np.random.default_rng(n).integers(1, 1 << 63, n + 2, dtype=np.uint64)
    key: NDArray[np.uint64] = (first * weights[:n]).sum(axis=-1, dtype=np.uint64)
    key += np.where(holds_new, weights[n], np.uint64(0)) + np.where(holds_old, weights[n + 1], np.uint64(0))
    return key


@lru_cache(maxsize=4096)
def looks_of(form: RowForm) -> Looks:
    """Find every look that a row of this form can have, and what it may be then."""
    n = len(form.new)
    if n > _MOST_CELLS:
        return Looks(np.zeros(0, np.uint64), np.zeros(0, np.uint8))
    keys, may_be = zip(*(_tried(form, old) for old in _befores(form)), strict=True)
    known, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    found = np.zeros(len(known), dtype=np.uint8)
    np.bitwise_or.at(found, inverse.reshape(-1), np.concatenate(may_be))
    return Looks(known, found)


def _befores(form: RowForm) -> Iterator[tuple[Sum, ...]]:
    """Yield what the row may have held before: as it is told, and with a stranger that holds something after all."""
    yield form.old
    for stranger, held in form.perhaps:
        yield tuple(held if cell == stranger else old for cell, old in enumerate(form.old))
    for stranger in form.strangers:
        for other in range(len(form.old)):
            if other > stranger or (other < stranger and other not in form.strangers):
                yield tuple(form.old[other] if cell == stranger else old for cell, old in enumerate(form.old))


def _tried(form: RowForm, before: tuple[Sum, ...]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Try all subsets of cells and of symbols; the looks, and what the row is then."""
    n = len(form.new)
    n_symbols = 1 + max((symbol for cell in (*form.new, *form.old) for symbol, _ in cell), default=-1)
    zeros = np.arange(1 << n_symbols if n + n_symbols <= _MOST_BITS else 1)
    present = (zeros[:, None] >> np.arange(n_symbols)) & 1 == 0
    new, old = (_values(cells, present)[:, None] for cells in (form.new, before))  # (zeros, 1, n)
    subsets = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 == 1
    cells = np.where(subsets, new, old)  # (zeros, subsets, n)
    may_be = (cells == new).all(axis=2) * np.uint8(NEW) + (cells == old).all(axis=2) * np.uint8(OLD)
    may_be[may_be == 0] = TORN
    keys = look_keys(cells, _hold(form.new_equations, cells), _hold(form.old_equations, cells))
    return keys.reshape(-1), may_be.reshape(-1).astype(np.uint8)


def multiply(coefficient: int, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply bytes by an element of GF(2^8)."""
    if coefficient == 1:
        return values
    product: NDArray[np.uint8] = products(coefficient)[values]
    return product


def _values(cells: Sequence[Sum], present: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Give every symbol eight random bytes, and sum the cells; uint64 (zeros, n)."""
    n_symbols = present.shape[1]
    symbols = np.random.default_rng(n_symbols).integers(0, 256, (n_symbols, 8), dtype=np.uint8)
    found = np.zeros((len(present), len(cells)), dtype=np.uint64)
    for number, cell in enumerate(cells):
        for symbol, coefficient in cell:
            value = multiply(coefficient, symbols[symbol]).view(np.uint64)
            found[:, number] ^= np.where(present[:, symbol], value, np.uint64(0))
    return found


def _hold(equations: Sequence[Equation], cells: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Tell where all equations hold; `cells` uint64 (..., n)."""
    holds = np.ones(cells.shape[:-1], dtype=np.bool_)
    for equation in equations:
        total = np.zeros(cells.shape[:-1], dtype=np.uint64)
        for number, coefficient in enumerate(equation):
            cell = np.ascontiguousarray(cells[..., number])
            if coefficient:
                total ^= multiply(coefficient, cell.view(np.uint8)).view(np.uint64)
        holds &= total == 0
    return holds
