"""Copies of one geometry over the members: which lanes hold the same, and what each of them is worth.

Positions are *symbol bytes* (codeword * symbol size + offset in the symbol), as in `engine.chart`. The lanes of one
source whose cells lie side by side are a *band*, so that they can be read as one run:

    RAID10 near=2, 5 members     role 0     |C0|C2'|C5|C7'|...       lanes: C0 C5 ..., C2' C7' ...: one band
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import Member
from raidfs.engine.chart import Known, spans_of
from raidfs.engine.codewords import NOBODY, Codewords, Redundancy, codewords_of
from raidfs.engine.damage import Flaw
from raidfs.geometry.reshape import Section
from raidfs.units import SECTOR


@dataclass(frozen=True, eq=False)
class Mirrors:
    """Copies of one geometry over the sources.

    Attributes:
        section: where the geometry is in force.
        codewords: how the copies lie.
        lanes: by data symbol, its lanes, the preferred first.
        conditions: by data symbol: what its redundancy hangs on.
        span_start, span_state, states: trust; see `SectionChart`.
        bands: for each run of lanes that lie side by side, these.
        flaws: everything known against the sources.
    """

    section: Section
    codewords: Codewords
    lanes: tuple[tuple[int, ...], ...]
    conditions: tuple[tuple[int, ...], ...]
    span_start: NDArray[np.int64]
    span_state: NDArray[np.int32]
    states: NDArray[np.uint8]
    bands: tuple[tuple[int, ...], ...]
    flaws: tuple[Flaw, ...]

    @property
    def bounds(self) -> tuple[int, int]:
        """First and behind-last symbol byte of the codewords that the section touches."""
        first, last = self.codewords.numbers(self.section.array_start, self.section.array_stop)
        return first * self.codewords.symbol_size, last * self.codewords.symbol_size

    @property
    def n_cells(self) -> int:
        """Bytes that are read per symbol byte, if all members are there."""
        return sum(len(lanes) for lanes in self.bands)

    def trust_in(self, start: int, n: int) -> NDArray[np.uint8]:
        """Return the least trust in each of n sectors; uint8 (lanes + conditions, n), or (..., 1): the same in all."""
        stop = start + n * SECTOR
        first, last = (np.searchsorted(self.span_start, (start, stop - 1), side="right") - 1).tolist()
        if first == last:
            state: NDArray[np.uint8] = self.states[self.span_state[first]]
            return state[:, None]
        at = np.searchsorted(self.span_start, start + np.arange(n, dtype=np.int64) * SECTOR, side="right") - 1
        found = self.states[self.span_state[at]]
        inside = np.arange(first + 1, last + 1)
        inside = inside[(self.span_start[inside] - start) % SECTOR != 0]
        sectors = (self.span_start[inside] - start) // SECTOR
        np.maximum.at(found, sectors, self.states[self.span_state[inside]])
        return np.ascontiguousarray(found.T)

    def array_offset(self, symbol: int, position: int) -> int:
        """Return where a byte of a symbol lies [array bytes]."""
        number, rest = divmod(position, self.codewords.symbol_size)
        return self.codewords.array_origin + number * self.codewords.size + symbol * self.codewords.symbol_size + rest

    def image_offset(self, lane: int, position: int) -> int:
        """Return where a byte of a lane lies [image bytes]."""
        number, rest = divmod(position, self.codewords.symbol_size)
        return self.codewords.lanes[lane].image_origin + number * self.codewords.lanes[lane].step + rest


def mirrors_of(
    members: Sequence[Member], flaws: Sequence[Flaw], section: Section, redundancy: Redundancy | None
) -> Mirrors:
    """Lay copies over the members.

    Args:
        members: the member of each source; several may have one role.
        flaws: everything known against the sources.
        section: the geometry, whose stripes are copies of one symbol.
        redundancy: what is known against all copies but the first.
    """
    codewords = codewords_of(section, members, redundancy)
    start, states, span_state = spans_of(section, codewords, (Known(flaws),))
    ((way,),) = codewords.patterns  # where all copies lie at one height each member has one, and that is the period
    symbols = way.places[: codewords.n_symbols]
    bands: list[list[int]] = []
    served = [number for number, lane in enumerate(codewords.lanes) if lane.source != NOBODY]
    for number in sorted(served, key=lambda each: (codewords.lanes[each].source, codewords.lanes[each].image_origin)):
        lane, before = codewords.lanes[number], codewords.lanes[bands[-1][-1]] if bands else None
        adjoins = before is not None and before.image_origin + codewords.symbol_size == lane.image_origin
        if before is not None and before.source == lane.source and adjoins:
            bands[-1].append(number)
        else:
            bands.append([number])
    return Mirrors(
        section=section,
        codewords=codewords,
        lanes=tuple(tuple(place.lane for place in places) for places in symbols),
        conditions=tuple(
            tuple(sorted({condition for place in places for condition in place.conditions})) for places in symbols
        ),
        span_start=start,
        span_state=span_state,
        states=states,
        bands=tuple(map(tuple, bands)),
        flaws=tuple(flaws),
    )
