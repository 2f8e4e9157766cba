"""How each data symbol of a codeword is obtained, given the trust in every lane: from a place of its own, or as a sum.

The order of design: what is sure first, then with unproven cells or redundancy, then with doubtful ones. The health of
a symbol is the worst that had to be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from raidfs.engine.codewords import ZERO, Pattern, Place, Way
from raidfs.engine.health import Health, Trust
from raidfs.erasure.linear_code import Term, determined_cells, recover


@dataclass(frozen=True)
class Recipe:
    """How one data symbol is obtained.

    Attributes:
        health: what the result is worth.
        terms: lanes and coefficients; empty where the symbol is lost.
    """

    health: Health
    terms: tuple[Term, ...]


_LOST = Recipe(Health.LOST, ())
_LESS = {Trust.UNPROVEN: Health.UNPROVEN, Trust.DOUBTFUL: Health.DOUBTFUL, Trust.LAST: Health.DOUBTFUL}
_BY_OWN_PLACE = {Trust.SURE: Health.GOOD, **_LESS}
_BY_REDUNDANCY = {Trust.SURE: Health.REBUILT, **_LESS}


def recipes_for(pattern: Pattern, lanes: Sequence[int], conditions: Sequence[int]) -> tuple[Recipe, ...]:
    """Find the best way to every data symbol of a codeword.

    Args:
        pattern: the ways of the codeword.
        lanes: trust in each lane (`Trust` values).
        conditions: trust in each condition.
    """
    found: dict[int, Recipe] = {}
    wanted = range(len(pattern[0].conditions))
    for trust in (Trust.SURE, Trust.UNPROVEN, Trust.DOUBTFUL, Trust.LAST):
        for way in pattern:
            if len(found) == len(wanted):
                break
            places = [_place(each, lanes, conditions, trust) for each in way.places]
            erased = frozenset(variable for variable, place in enumerate(places) if place is None)
            determined = determined_cells(way.code, erased) if erased else {}
            for symbol in wanted:
                if symbol in found or (symbol in erased and symbol not in determined):
                    continue
                if all(conditions[each] <= trust for each in way.conditions[symbol]):
                    recipe = _recipe(way, places, erased, symbol, trust)
                    if recipe is not None:
                        found[symbol] = recipe
    return tuple(found.get(symbol, _LOST) for symbol in wanted)


def _place(places: Sequence[Place], lanes: Sequence[int], conditions: Sequence[int], trust: Trust) -> Place | None:
    """Return the first place of a variable that is trusted enough."""
    for place in places:
        if (place.lane == ZERO or lanes[place.lane] <= trust) and all(
            conditions[each] <= trust for each in place.conditions
        ):
            return place
    return None


@lru_cache(maxsize=1 << 14)
def _read(health: Health, lane: int) -> Recipe:
    """Read a place as it is; one object for all that are alike, of which wide arrays have many."""
    return Recipe(health, (Term(lane, 1),))


def _recipe(
    way: Way, places: Sequence[Place | None], erased: frozenset[int], symbol: int, trust: Trust
) -> Recipe | None:
    """Obtain one symbol by one way, with the places that are trusted enough."""
    place = places[symbol]
    if place is not None:
        is_own = place.is_own and not way.conditions[symbol]
        return _read((_BY_OWN_PLACE if is_own else _BY_REDUNDANCY)[trust], place.lane)
    terms = recover(way.code, erased, symbol)
    if terms is None:
        return None
    held = [(places[term.cell], term.coefficient) for term in terms]
    return Recipe(
        _BY_REDUNDANCY[trust],
        tuple(Term(place.lane, coefficient) for place, coefficient in held if place is not None and place.lane != ZERO),
    )
