"""Where one array byte lives, how it is obtained and what it is worth: the plan for a single byte, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raidfs.engine.chart import SectionChart
from raidfs.engine.codewords import NOBODY, ZERO, Lane, Pattern
from raidfs.engine.damage import Flaw, flaws_at
from raidfs.engine.health import Health, Trust
from raidfs.geometry.reshape import Side
from raidfs.geometry.table import symbol_name


@dataclass(frozen=True)
class Place:
    """One cell at the height of the byte.

    Attributes:
        symbol: `D0`, ..., `P`, `Q`.
        side: the geometry to which it belongs.
        role: of the member.
        component_offset: [component bytes].
        source: index of the source, or None where the role is missing.
        image_offset: [image bytes], or None.
        flaws: what speaks against it, one clause each.
        coefficient: by which it enters the sum; 0: it is not used.
    """

    symbol: str
    side: Side
    role: int
    component_offset: int
    source: int | None
    image_offset: int | None
    flaws: tuple[str, ...]
    coefficient: int


@dataclass(frozen=True)
class Explanation:
    """All about one array byte.

    Attributes:
        array_offset: [array bytes].
        side: geometry in force.
        stripe_number: in that geometry.
        chunk_offset: offset in the chunk [bytes].
        symbol: which data symbol of the stripe it is.
        own: its own place.
        used: the places it is obtained from; empty: none suffice.
        unused: the other cells of the stripe.
        health: what it is worth.
    """

    array_offset: int
    side: Side
    stripe_number: int
    chunk_offset: int
    symbol: str
    own: Place
    used: tuple[Place, ...]
    unused: tuple[Place, ...]
    health: Health


def explain_byte(charts: Sequence[SectionChart], flaws: Sequence[Flaw], array_offset: int) -> Explanation:
    """Explain one byte.

    Args:
        charts: the array's sections.
        flaws: everything known against the sources.
        array_offset: [array bytes], within the array.
    """
    chart = next(each for each in charts if array_offset < each.section.array_stop)
    codewords, zone = chart.codewords, chart.section.zone
    number, rest = divmod(array_offset - codewords.array_origin, codewords.size)
    symbol, inside = divmod(rest, codewords.symbol_size)
    span = int(np.searchsorted(chart.span_start, number * codewords.symbol_size + inside, side="right")) - 1
    pattern = codewords.patterns[number % codewords.period]
    recipe = chart.recipes[int(chart.span_state[span])][number % codewords.period][symbol]
    coefficients = {term.cell: term.coefficient for term in recipe.terms}
    names = _names(pattern)
    places = {
        lane: _place(codewords.lanes[lane], flaws, number, inside, names[lane], coefficients.get(lane, 0))
        for lane in dict.fromkeys((*_lanes_of_stripe(pattern, symbol), *coefficients))
    }
    stripe, rest = divmod(array_offset - zone.array_start, zone.stripe_size)
    return Explanation(
        array_offset=array_offset,
        side=chart.section.side,
        stripe_number=stripe,
        chunk_offset=rest % zone.chunk_size,
        symbol=symbol_name(rest // zone.chunk_size, zone.table.n_data),
        own=places[pattern[0].places[symbol][0].lane],
        used=tuple(place for place in places.values() if place.coefficient),
        unused=tuple(place for place in places.values() if not place.coefficient),
        health=recipe.health,
    )


def _names(pattern: Pattern) -> dict[int, str]:
    """Return what the cell of each lane holds."""
    return {
        place.lane: name
        for way in reversed(pattern)
        for name, places in zip(way.names, way.places, strict=True)
        for place in places
        if place.lane != ZERO
    }


def _lanes_of_stripe(pattern: Pattern, symbol: int) -> list[int]:
    """Return the lanes of the symbol itself, and of everything that shares an equation of the first way with it."""
    first = pattern[0]
    sharing = {cell for number in first.code.equations_of.get(symbol, ()) for cell in first.code.cells[number]}
    lanes = [place.lane for variable in sorted({symbol, *sharing}) for place in first.places[variable]]
    return lanes + [place.lane for way in pattern[1:] for place in way.places[symbol]]


def _place(lane: Lane, flaws: Sequence[Flaw], codeword: int, inside: int, name: str, coefficient: int) -> Place:
    moved = codeword * lane.step + inside
    component = lane.component_origin + moved
    if lane.source == NOBODY:
        return Place(name, lane.side, lane.role, component, None, None, ("no image serves this role",), coefficient)
    image = lane.image_origin + moved
    against = tuple(flaw.reason for flaw in flaws_at(flaws, lane.source, lane.side, image))
    if lane.held is not None and not lane.held.overlaps(image, image + 1):
        against = ("does not hold this geometry here, or may have been rewritten without record", *against)
    if lane.at_best > Trust.SURE:
        against = ("Linux may have put this copy elsewhere", *against)
    return Place(name, lane.side, lane.role, component, lane.source, image, against, coefficient)
