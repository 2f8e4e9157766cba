"""Where one array byte lives, how it is obtained and what it is worth: the plan for a single byte, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raidfs.engine.chart import SectionChart
from raidfs.engine.damage import Flaw, flaws_at
from raidfs.engine.health import Health
from raidfs.geometry.reshape import Side
from raidfs.geometry.table import symbol_name


@dataclass(frozen=True)
class Place:
    """One cell at the height of the byte.

    Attributes:
        symbol: `D0`, ..., `P`, `Q`.
        role: of the member.
        component_offset: [component bytes].
        source: index of the source, or None where the role is missing.
        image_offset: [image bytes], or None.
        flaws: what speaks against it, one clause each.
        coefficient: by which it enters the sum; 0: it is not used.
    """

    symbol: str
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
    zone = chart.section.zone
    stripe, rest = divmod(array_offset - zone.array_start, zone.stripe_size)
    symbol, inside = divmod(rest, zone.chunk_size)
    span = int(np.searchsorted(chart.span_start, stripe * zone.chunk_size + inside, side="right")) - 1
    recipe = chart.recipes[int(chart.span_state[span])][stripe % zone.table.period][symbol]
    coefficients = {term.cell: term.coefficient for term in recipe.terms}
    places = [_place(chart, flaws, stripe, cell, inside, coefficients.get(cell, 0)) for cell in range(zone.table.width)]
    return Explanation(
        array_offset=array_offset,
        side=chart.section.side,
        stripe_number=stripe,
        chunk_offset=inside,
        symbol=symbol_name(symbol, zone.table.n_data),
        own=places[symbol],
        used=tuple(place for place in places if place.coefficient),
        unused=tuple(place for place in places if not place.coefficient),
        health=recipe.health,
    )


def _place(chart: SectionChart, flaws: Sequence[Flaw], stripe: int, cell: int, inside: int, coefficient: int) -> Place:
    zone = chart.section.zone
    number = stripe % zone.table.period
    role = int(zone.table.role[number, cell])
    component = zone.cell_offset(stripe, cell) + inside
    lane = chart.lanes[role]
    source, image = (None, None) if lane is None else (lane[0], lane[1] + component)
    against: tuple[str, ...] = ("no image serves this role",)
    if source is not None and image is not None:
        against = tuple(flaw.reason for flaw in flaws_at(flaws, source, chart.section.side, image))
    symbol = symbol_name(int(zone.table.symbol[number, cell]), zone.table.n_data)
    return Place(symbol, role, component, source, image, against, coefficient)
