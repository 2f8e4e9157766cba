"""The array as flat arrays, ready for the planning kernel, and the spans behind them for whoever counts.

The trust in every lane, as far as it is known, is laid over the codewords of each section: a *span* is a run of symbol
bytes (codeword number * symbol size + offset in the symbol) in which it is the same everywhere, a *state* one such
combination. States are few, whatever the number of spans; each has one recipe per data symbol of the period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.codewords import NOBODY, Codewords, Lane, Redundancy, codewords_of
from raidfs.engine.damage import NO_TRUST, Flaw, TrustMap, trust_map
from raidfs.engine.health import Health, Trust
from raidfs.engine.joint import joint_codewords
from raidfs.engine.recipes import Recipe, recipes_for
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, Side, sections_of


@dataclass(frozen=True, eq=False)
class SectionChart:
    """A run of the array with its codewords, spans and recipes.

    Attributes:
        section: where it lies, not necessarily at codeword borders, and the geometry in force.
        codewords: how they lie on the sources.
        span_start: int64 (m,): [symbol bytes], ascending, the first at or before the first codeword that is touched.
        span_state: int32 (m,): state from there on.
        states: uint8 (k, lanes + conditions): trust in each lane, then in each condition.
        recipes: by [state][codeword of the period][data symbol]; their terms count lanes.
    """

    section: Section
    codewords: Codewords
    span_start: NDArray[np.int64]
    span_state: NDArray[np.int32]
    states: NDArray[np.uint8]
    recipes: tuple[tuple[tuple[Recipe, ...], ...], ...]


def chart_sections(
    description: ArrayDescription, members: Sequence[Member], flaws: Sequence[Flaw]
) -> tuple[SectionChart, ...]:
    """Lay the flaws over the geometry.

    Where one geometry of a reshape does not suffice by itself, what the other one holds of it is used too.

    Args:
        description: the array.
        members: the member of each source; of several with one role the first is preferred.
        flaws: everything known against the sources.
    """
    known = Known(flaws)
    redundancy = redundancy_of(description)
    charts: list[SectionChart] = []
    for section in sections_of(description):
        chart = _chart(section, codewords_of(section, members, redundancy), known)
        charts += [chart] if section.side is Side.ONLY else _helped(description, members, chart, known)
    return tuple(charts)


def solved_with(charts: Sequence[SectionChart], start: int, stop: int) -> tuple[int, int]:
    """Widen [start, stop) [array bytes] by what is solved together with it in another geometry too, from other rows."""
    low, high = start, stop
    for chart in charts:
        here = max(start, chart.section.array_start), min(stop, chart.section.array_stop)
        if here[0] < here[1] and len(chart.codewords.patterns[0]) > 1:
            first, last = chart.codewords.numbers(*here)
            low = min(low, chart.codewords.array_origin + first * chart.codewords.size)
            high = max(high, chart.codewords.array_origin + last * chart.codewords.size)
    return low, high


def redundancy_of(description: ArrayDescription) -> Redundancy | None:
    """Return what the metadata say against all redundancy; None: nothing."""
    if not description.unsynced:
        return None
    trust = trust_map([(description.unsynced, Trust.UNPROVEN)])
    return Redundancy(trust, in_array_bytes=description.shape.counts_in_array_bytes)


def _helped(
    description: ArrayDescription, members: Sequence[Member], chart: SectionChart, known: Known
) -> list[SectionChart]:
    """Cut one side of a reshape where its geometry alone does not suffice, and chart both together there."""
    section = chart.section
    has_sure_copies = description.reshape is not None and bool(description.reshape.quiet)
    enough = Health.REBUILT if has_sure_copies else Health.UNPROVEN
    poor = _insufficient(chart, enough)
    if not poor:
        return [chart]
    joint = joint_codewords(description, members, section, chart.codewords, poor, redundancy_of(description))
    if joint is None:
        return [chart]
    codewords, where = joint
    pieces: list[SectionChart] = []
    done = section.array_start
    for start, stop in where:
        if done < start:
            pieces.append(_chart(replace(section, array_start=done, array_stop=start), chart.codewords, known))
        first, last = codewords.numbers(start, stop)
        piece = replace(section, array_start=start, array_stop=stop)
        pieces.append(_chart(piece, codewords.moved_to(first, last - first), known))
        done = stop
    if done == section.array_start:
        return [chart]
    if done < section.array_stop:
        pieces.append(_chart(replace(section, array_start=done), chart.codewords, known))
    return pieces


def _poor_states(chart: SectionChart, enough: Health) -> NDArray[np.bool_]:
    """Tell in which states some byte is worth less than `enough`."""
    return np.array(
        [any(recipe.health > enough for rows in state for recipe in rows) for state in chart.recipes], dtype=np.bool_
    )


def _insufficient(chart: SectionChart, enough: Health) -> Extents:
    """Return the codewords in which some byte is worth less than `enough` [array bytes]."""
    own = chart.codewords
    _, last = own.numbers(chart.section.array_start, chart.section.array_stop)
    stops = np.append(chart.span_start[1:], last * own.symbol_size)
    wanted = _poor_states(chart, enough)[chart.span_state]
    low = own.array_origin + chart.span_start[wanted] // own.symbol_size * own.size
    high = own.array_origin + -(-stops[wanted] // own.symbol_size) * own.size
    return Extents(np.stack((low, high), axis=1)).clip(chart.section.array_start, chart.section.array_stop)


@dataclass
class Known:
    """The trust in each source on each side [image bytes], laid together once."""

    flaws: Sequence[Flaw]
    _maps: dict[tuple[int, Side], TrustMap] = field(default_factory=dict)

    def of_lane(self, lane: Lane) -> TrustMap:
        """Return the trust in the bytes of a lane's source."""
        if lane.source == NOBODY:
            return NO_TRUST
        key = (lane.source, lane.side)
        if key not in self._maps:
            mine = [flaw for flaw in self.flaws if flaw.source == lane.source and flaw.side in (None, lane.side)]
            self._maps[key] = trust_map([(flaw.extents, flaw.trust) for flaw in mine])
        return self._maps[key]


def _chart(section: Section, codewords: Codewords, known: Known) -> SectionChart:
    """Lay what is known over the codewords of a run of the array."""
    start, states, span_state = spans_of(section, codewords, (known,))
    n_lanes = len(codewords.lanes)
    recipes = tuple(
        tuple(recipes_for(pattern, state[:n_lanes], state[n_lanes:]) for pattern in codewords.patterns)
        for state in states.tolist()
    )
    return SectionChart(section, codewords, start, span_state, states, recipes)


@dataclass(frozen=True, eq=False)
class _Column:
    """Trust along a lane or a condition.

    Attributes:
        trust: in a space of its own.
        origin: of byte 0 of codeword 0 in that space.
        step: from one codeword to the next in that space.
        held: nothing is trusted outside [in that space]; None: no bounds.
        at_best: the trust anywhere.
    """

    trust: TrustMap
    origin: int
    step: int
    held: Extents | None
    at_best: Trust = Trust.SURE

    def cuts(self, symbol_size: int, first: int, last: int) -> NDArray[np.int64]:
        """Return where the trust may change in the codewords [first, last), as symbol bytes."""
        low, high = self.origin + first * self.step, self.origin + last * self.step + symbol_size
        known = self.trust.start
        inside = known[np.searchsorted(known, low, side="right") : np.searchsorted(known, high)]
        if self.held is not None:
            inside = np.concatenate((inside, self.held.boundaries()))
        number, rest = np.divmod(inside - self.origin, self.step)
        cuts: NDArray[np.int64] = number * symbol_size + np.minimum(rest, symbol_size)
        return cuts

    def at(self, symbol_size: int, spans: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the trust at symbol bytes; uint8 (n,)."""
        number, rest = np.divmod(spans, symbol_size)
        position = self.origin + number * self.step + rest
        trust = np.maximum(self.trust.at(position), np.uint8(self.at_best))
        if self.held is not None:
            within = np.searchsorted(self.held.boundaries(), position, side="right") % 2 == 1
            trust = np.where(within, trust, np.uint8(Trust.NONE))
        return trust


def spans_of(
    section: Section, codewords: Codewords, known: Sequence[Known]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32]]:
    """Cut a run of codewords where any trust changes.

    Args:
        section: the run.
        codewords: how they lie on the sources.
        known: what is known against the sources; of several the states hold the lanes of each, one after the other.

    Returns:
        span_start, states (the lanes, then the conditions) and span_state; see `SectionChart`.
    """
    columns = [
        _Column(each.of_lane(lane), lane.image_origin, lane.step, lane.held, lane.at_best)
        for each in known
        for lane in codewords.lanes
    ]
    columns += [_Column(each.trust, each.origin, each.step, None) for each in codewords.conditions]
    size = codewords.symbol_size
    first, last = codewords.numbers(section.array_start, section.array_stop)
    cuts = np.concatenate([each.cuts(size, first, last) for each in columns])
    start = np.unique(np.concatenate(([first * size], cuts[(cuts > first * size) & (cuts < last * size)])))
    trust = np.stack([each.at(size, start) for each in columns], axis=1)
    changes = np.concatenate(([True], (trust[1:] != trust[:-1]).any(axis=1)))
    start, trust = start[changes], trust[changes]
    packed = np.ascontiguousarray(trust).view(np.dtype((np.void, trust.shape[1])))[:, 0]
    _, index, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return start, trust[index], inverse.astype(np.int32).reshape(-1)
