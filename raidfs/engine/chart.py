"""The array as flat arrays, ready for the planning kernel, and the spans behind them for whoever counts.

The trust in every member, as far as it is known, is laid over the stripes of each section: a *span* is a run of stripe
bytes (stripe number * chunk + offset in the chunk) in which it is the same everywhere, a *state* one such combination.
States are few, whatever the number of spans; each has one recipe per data symbol of the period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.engine.damage import NO_TRUST, Flaw, TrustMap, trust_map
from raidfs.engine.health import Trust
from raidfs.engine.recipes import Recipe, codes_of, recipe_for
from raidfs.geometry.reshape import Section, Side, sections_of


@dataclass(frozen=True, eq=False)
class SectionChart:
    """One section with its spans and recipes.

    Attributes:
        section: where it lies and its geometry.
        lanes: by role: (source, image offset of component byte 0), or None where no source serves the role.
        span_start: int64 (m,): [stripe bytes], ascending, the first at or before the section's first stripe.
        span_state: int32 (m,): state from there on.
        states: uint8 (k, raid_disks + 1): trust in each role, then in the redundancy.
        recipes: by [state][stripe of the period][data symbol].
    """

    section: Section
    lanes: tuple[tuple[int, int] | None, ...]
    span_start: NDArray[np.int64]
    span_state: NDArray[np.int32]
    states: NDArray[np.uint8]
    recipes: tuple[tuple[tuple[Recipe, ...], ...], ...]


def chart_sections(
    description: ArrayDescription, roles: Sequence[int], flaws: Sequence[Flaw]
) -> tuple[SectionChart, ...]:
    """Lay the flaws over the geometry.

    Args:
        description: the array.
        roles: role of each source.
        flaws: everything known against the sources.
    """
    return tuple(_chart_section(section, description, roles, flaws) for section in sections_of(description))


def _chart_section(
    section: Section, description: ArrayDescription, roles: Sequence[int], flaws: Sequence[Flaw]
) -> SectionChart:
    lanes: list[tuple[int, int] | None] = [None] * section.raid_disks
    serving = description.serving
    for source, role in enumerate(roles):
        if role < section.raid_disks:
            member = serving[role]
            lanes[role] = (source, member.new_data_offset if section.side is Side.AFTER else member.data_offset)
    maps = [_lane_map(lane, section.side, flaws) for lane in lanes]
    redundancy = trust_map([(description.unsynced, Trust.UNPROVEN)])
    span_start, states, span_state = _spans(section, [*maps, redundancy])
    return SectionChart(section, tuple(lanes), span_start, span_state, states, _recipes(section, states))


def _lane_map(lane: tuple[int, int] | None, side: Side, flaws: Sequence[Flaw]) -> TrustMap:
    """Trust in one role [component bytes]."""
    if lane is None:
        return NO_TRUST
    source, data_offset = lane
    mine = [flaw for flaw in flaws if flaw.source == source and flaw.side in (None, side)]
    return trust_map([(flaw.extents.shift(-data_offset), flaw.trust) for flaw in mine])


def _spans(
    section: Section, maps: Sequence[TrustMap]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32]]:
    """Cut the section's stripes where any trust changes.

    All cells of a stripe lie at the same height of their members here, so stripe bytes are component bytes less the
    start of the zone.
    """
    zone = section.zone
    first = (section.array_start - zone.array_start) // zone.stripe_size * zone.chunk_size
    last = -(-(section.array_stop - zone.array_start) // zone.stripe_size) * zone.chunk_size
    cuts = np.concatenate([each.start for each in maps]) - zone.component_start
    start = np.unique(np.concatenate(([first], cuts[(cuts > first) & (cuts < last)])))
    trust = np.stack([each.at(start + zone.component_start) for each in maps], axis=1)
    changes = np.concatenate(([True], (trust[1:] != trust[:-1]).any(axis=1)))
    start, trust = start[changes], trust[changes]
    packed = np.ascontiguousarray(trust).view(np.dtype((np.void, trust.shape[1])))[:, 0]
    _, index, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return start, trust[index], inverse.astype(np.int32).reshape(-1)


def _recipes(section: Section, states: NDArray[np.uint8]) -> tuple[tuple[tuple[Recipe, ...], ...], ...]:
    """Find every recipe of every state."""
    table = section.zone.table
    codes = codes_of(table)
    rows = [row.tolist() for row in table.role]
    return tuple(
        tuple(
            tuple(
                recipe_for(code, tuple(state[role] for role in row), state[-1], symbol)
                for symbol in range(table.n_data)
            )
            for code, row in zip(codes, rows, strict=True)
        )
        for state in states.tolist()
    )
