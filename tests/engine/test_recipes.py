"""What a cell is worth and how it is had follows the definition, for any trust in any cell."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.codewords import Place, Redundancy, Way, codewords_of
from raidfs.engine.damage import trust_map
from raidfs.engine.health import Health, Trust
from raidfs.engine.recipes import recipes_for
from raidfs.erasure.linear_code import LinearCode, Term
from raidfs.extents import Extents
from raidfs.geometry.reshape import sections_of
from tests.oracle.layouts import Geometry
from tests.oracle.parity import combine, fill
from tests.support.simulated import GEOMETRIES, plain_description, shape
from tests.support.worth import health

TRUSTS = (Trust.SURE, Trust.UNPROVEN, Trust.DOUBTFUL, Trust.NONE)
"""What the definition calls 0 to 3."""
SMALL = [each for each in GEOMETRIES if each.raid_disks <= 7]
LIMITS = {Health.GOOD: 0, Health.REBUILT: 0, Health.UNPROVEN: 1, Health.DOUBTFUL: 2}


@settings(max_examples=400)
@given(st.data(), st.sampled_from(SMALL), st.integers(0, 20), st.integers(0, 3))
def test_recipes_follow_the_definition(data: st.DataObject, geometry: Geometry, row: int, redundancy: int) -> None:
    told = shape(geometry)
    description = plain_description(told.level, told.layout, told.raid_disks)
    (section,) = sections_of(description)
    doubted = Redundancy(trust_map([(Extents.span(0, 1 << 62), TRUSTS[redundancy])]))
    codewords = codewords_of(section, description.sources, doubted)
    trusts = st.sampled_from([0, 0, 0, 1, 2, 3])
    by_role = tuple(data.draw(st.lists(trusts, min_size=geometry.raid_disks, max_size=geometry.raid_disks)))
    roles = [lane.role for lane in codewords.lanes]
    stripe = geometry.stripe(row)
    content = fill(stripe, [bytes([17 * k + 5, 3 * k]) for k in range(geometry.data_disks)])
    pattern = codewords.patterns[row % codewords.period]
    conditions = [TRUSTS[redundancy]] * len(codewords.conditions)
    recipes = recipes_for(pattern, [TRUSTS[by_role[role]] for role in roles], conditions)
    assert len(recipes) == geometry.data_disks
    for symbol, recipe in enumerate(recipes):
        assert recipe.health == health(stripe, by_role, redundancy, stripe.data[symbol])
        assert (recipe.health is Health.LOST) == (not recipe.terms)
        if recipe.terms:
            assert all(by_role[roles[term.cell]] <= LIMITS[recipe.health] for term in recipe.terms)
            terms = {roles[term.cell]: term.coefficient for term in recipe.terms}
            assert combine(terms, content, 2) == content[stripe.data[symbol]]


def way(checks: tuple[tuple[int, ...], ...], places: Sequence[Sequence[Place]]) -> Way:
    """One data symbol and some redundancy."""
    return Way(LinearCode.of_rows(checks), tuple(tuple(each) for each in places), ("D0",) * len(places), ((),))


PARITY = way(((1, 1, 1),), [[Place(0)], [Place(1)], [Place(2, (0,))]])
"""D0, D1 and their sum on three lanes; only D0 is asked for, and the sum hangs on the redundancy."""


@pytest.mark.parametrize(
    ("lanes", "redundancy", "expected"),
    [
        ((0, 0, 0), Trust.SURE, Health.GOOD),
        ((4, 0, 0), Trust.SURE, Health.REBUILT),
        ((4, 0, 0), Trust.UNPROVEN, Health.UNPROVEN),
        ((4, 0, 1), Trust.SURE, Health.UNPROVEN),
        ((2, 0, 0), Trust.SURE, Health.REBUILT),
        ((2, 0, 0), Trust.UNPROVEN, Health.UNPROVEN),
        ((2, 2, 0), Trust.SURE, Health.DOUBTFUL),
        ((4, 2, 0), Trust.SURE, Health.DOUBTFUL),
        ((4, 0, 0), Trust.NONE, Health.LOST),
        ((4, 0, 4), Trust.SURE, Health.LOST),
        ((3, 2, 0), Trust.SURE, Health.DOUBTFUL),
        ((4, 3, 0), Trust.SURE, Health.DOUBTFUL),
        ((1, 4, 4), Trust.NONE, Health.UNPROVEN),
    ],
)
def test_the_best_way_counts(lanes: tuple[int, ...], redundancy: Trust, expected: Health) -> None:
    (recipe,) = recipes_for((PARITY,), lanes, (redundancy,))
    assert recipe.health is expected


def test_what_is_sure_is_read_from_its_own_place() -> None:
    (recipe,) = recipes_for((PARITY,), (0, 3, 3), (Trust.NONE,))
    assert recipe.terms == (Term(0, 1),)


@pytest.mark.parametrize(
    ("lanes", "expected", "lane"),
    [
        ((0, 0, 0), Health.GOOD, 0),
        ((4, 0, 0), Health.REBUILT, 1),
        ((3, 3, 0), Health.GOOD, 2),
        ((1, 4, 4), Health.UNPROVEN, 0),
        ((1, 0, 0), Health.REBUILT, 1),
        ((2, 2, 3), Health.DOUBTFUL, 0),
    ],
)
def test_of_several_places_the_first_that_is_good_enough_is_read(
    lanes: tuple[int, ...], expected: Health, lane: int
) -> None:
    mirror = way((), [[Place(0), Place(1, is_own=False), Place(2)]])
    (recipe,) = recipes_for((mirror,), lanes, ())
    assert (recipe.health, recipe.terms) == (expected, (Term(lane, 1),))


def test_a_second_way_comes_after_all_of_the_first_on_the_same_trust() -> None:
    copy = Way(LinearCode(()), ((Place(3),),), ("D0",), ((1,),))
    (recipe,) = recipes_for((PARITY, copy), (3, 0, 0, 0), (Trust.SURE, Trust.SURE))
    assert {term.cell for term in recipe.terms} == {1, 2}
    (recipe,) = recipes_for((PARITY, copy), (3, 3, 0, 0), (Trust.SURE, Trust.SURE))
    assert (recipe.health, recipe.terms) == (Health.REBUILT, (Term(3, 1),))
    (recipe,) = recipes_for((PARITY, copy), (3, 3, 0, 0), (Trust.SURE, Trust.DOUBTFUL))
    assert (recipe.health, recipe.terms) == (Health.DOUBTFUL, (Term(3, 1),))
