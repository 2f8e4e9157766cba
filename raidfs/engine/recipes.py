"""How each data symbol of a stripe is obtained, given the trust in every cell: from its own place, or as a sum.

The order of design: what is sure first, then with unproven cells or redundancy, then with doubtful ones. The health of
a symbol is the worst that had to be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from raidfs.engine.health import Health, Trust
from raidfs.erasure.linear_code import LinearCode, Term, parity_code, recover
from raidfs.geometry.table import RowTable


@dataclass(frozen=True)
class Recipe:
    """How one data symbol is obtained.

    Attributes:
        health: what the result is worth.
        terms: cells and coefficients; empty where the symbol is lost.
    """

    health: Health
    terms: tuple[Term, ...]


_LOST = Recipe(Health.LOST, ())
_BY_OWN_PLACE = {Trust.SURE: Health.GOOD, Trust.UNPROVEN: Health.UNPROVEN, Trust.DOUBTFUL: Health.DOUBTFUL}
_BY_SUM = {Trust.SURE: Health.REBUILT, Trust.UNPROVEN: Health.UNPROVEN, Trust.DOUBTFUL: Health.DOUBTFUL}


@lru_cache(maxsize=1 << 16)
def recipe_for(code: LinearCode, cells: tuple[int, ...], redundancy: int, wanted: int) -> Recipe:
    """Find the best way to a cell.

    Args:
        code: the stripe's equations.
        cells: trust in each cell (`Trust` values).
        redundancy: trust in the equations.
        wanted: the cell.
    """
    for trust in (Trust.SURE, Trust.UNPROVEN, Trust.DOUBTFUL):
        if cells[wanted] <= trust:
            return Recipe(_BY_OWN_PLACE[trust], (Term(wanted, 1),))
        if redundancy > trust:
            continue
        erased = frozenset(cell for cell, value in enumerate(cells) if value > trust)
        terms = recover(code, erased, wanted)
        if terms is not None:
            return Recipe(_BY_SUM[trust], terms)
    return _LOST


def codes_of(table: RowTable) -> list[LinearCode]:
    """Return the equations of each stripe of a period, over the table's columns."""
    n_parity = table.width - table.n_data
    return [parity_code(table.n_data, n_parity, tuple(row.tolist())) for row in table.exponent]
