"""What a cell is worth and how it is had follows the definition, for any trust in any cell."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.health import Health, Trust
from raidfs.engine.recipes import codes_of, recipe_for
from raidfs.erasure.linear_code import Term, parity_code
from raidfs.geometry.parity import parity_table
from tests.oracle.layouts import Geometry
from tests.oracle.parity import combine, fill
from tests.support.simulated import GEOMETRIES, shape
from tests.support.worth import health

SMALL = [each for each in GEOMETRIES if each.raid_disks <= 7]
LIMITS = {Health.GOOD: 0, Health.REBUILT: 0, Health.UNPROVEN: 1, Health.DOUBTFUL: 2}


@settings(max_examples=400)
@given(st.data(), st.sampled_from(SMALL), st.integers(0, 20), st.integers(0, 3))
def test_recipes_follow_the_definition(data: st.DataObject, geometry: Geometry, row: int, redundancy: int) -> None:
    table = parity_table(shape(geometry))
    stripe = geometry.stripe(row)
    trusts = st.sampled_from([0, 0, 0, 1, 2, 3])
    by_role = tuple(data.draw(st.lists(trusts, min_size=geometry.raid_disks, max_size=geometry.raid_disks)))
    roles = table.role[row % table.period].tolist()
    cells = tuple(by_role[role] for role in roles)
    content = fill(stripe, [bytes([17 * k + 5, 3 * k]) for k in range(geometry.data_disks)])
    code = codes_of(table)[row % table.period]
    for symbol in range(geometry.data_disks):
        recipe = recipe_for(code, cells, redundancy, symbol)
        assert recipe.health == health(stripe, by_role, redundancy, roles[symbol])
        assert (recipe.health is Health.LOST) == (not recipe.terms)
        if recipe.terms:
            assert all(cells[term.cell] <= LIMITS[recipe.health] for term in recipe.terms)
            terms = {roles[term.cell]: term.coefficient for term in recipe.terms}
            assert combine(terms, content, 2) == content[roles[symbol]]


@pytest.mark.parametrize(
    ("cells", "redundancy", "expected"),
    [
        ((0, 0, 0), Trust.SURE, Health.GOOD),
        ((3, 0, 0), Trust.SURE, Health.REBUILT),
        ((3, 0, 0), Trust.UNPROVEN, Health.UNPROVEN),
        ((3, 0, 1), Trust.SURE, Health.UNPROVEN),
        ((2, 0, 0), Trust.SURE, Health.REBUILT),
        ((2, 0, 0), Trust.UNPROVEN, Health.UNPROVEN),
        ((2, 2, 0), Trust.SURE, Health.DOUBTFUL),
        ((3, 2, 0), Trust.SURE, Health.DOUBTFUL),
        ((3, 0, 0), Trust.NONE, Health.LOST),
        ((3, 0, 3), Trust.SURE, Health.LOST),
        ((1, 3, 3), Trust.NONE, Health.UNPROVEN),
    ],
)
def test_the_best_way_counts(cells: tuple[int, ...], redundancy: Trust, expected: Health) -> None:
    recipe = recipe_for(parity_code(2, 1, ()), cells, redundancy, 0)
    assert recipe.health is expected


def test_what_is_sure_is_read_from_its_own_place() -> None:
    assert recipe_for(parity_code(2, 1, ()), (0, 3, 3), Trust.NONE, 0).terms == (Term(0, 1),)
