"""What every byte of the array is worth, computed without reading a single one: totals, and runs in array order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.chart import SectionChart
from raidfs.engine.health import Health
from raidfs.extents import Extents

_CODEWORDS_AT_ONCE = 4096
"""Codewords for which runs are made together; bounds the memory."""


@dataclass(frozen=True)
class Account:
    """Array bytes by health; they sum to the array's size."""

    good: int
    rebuilt: int
    unproven: int
    doubtful: int
    lost: int

    @property
    def total(self) -> int:
        """Size of the array [bytes]."""
        return self.good + self.rebuilt + self.unproven + self.doubtful + self.lost

    @property
    def worst(self) -> Health:
        """Health of the worst byte."""
        values = (self.good, self.rebuilt, self.unproven, self.doubtful, self.lost)
        return max((health for health in Health if values[health]), default=Health.GOOD)


def account_of(charts: Sequence[SectionChart]) -> Account:
    """Add up all sections; takes time by the number of spans, not by the size of the array."""
    totals = np.zeros(len(Health), dtype=np.int64)
    for chart in charts:
        size, origin = chart.codewords.size, chart.codewords.array_origin
        first = -(-(chart.section.array_start - origin) // size)
        last = (chart.section.array_stop - origin) // size
        if first < last:
            totals += _whole_codewords(chart, first, last)
            ends = [
                (chart.section.array_start, origin + first * size),
                (origin + last * size, chart.section.array_stop),
            ]
        else:
            ends = [(chart.section.array_start, chart.section.array_stop)]
        for start, stop in ends:  # the cut codeword at a reshape position
            for run_start, run_stop, health in _section_runs(chart, start, stop, tuple(Health)):
                totals[health] += run_stop - run_start
    return Account(*totals.tolist())


def _whole_codewords(chart: SectionChart, first: int, last: int) -> NDArray[np.int64]:
    """Count the bytes of the codewords [first, last) by what they are worth; int64 (5,) by health."""
    size, period = chart.codewords.symbol_size, chart.codewords.period
    cuts = np.append(np.maximum(chart.span_start, first * size), last * size)
    cuts = np.minimum(np.maximum.accumulate(cuts), last * size)
    whole, rest = np.divmod(cuts[:, None], size * period)
    begin = np.arange(period, dtype=np.int64) * size
    below = whole * size + np.clip(rest - begin, 0, size)  # of each codeword of the period
    by_state = np.zeros((len(chart.states), period), dtype=np.int64)
    np.add.at(by_state, chart.span_state, np.diff(below, axis=0))
    worth = np.zeros((len(chart.states), period, len(Health)), dtype=np.int64)
    for state, rows in enumerate(chart.recipes):
        for number, row in enumerate(rows):
            for recipe in row:
                worth[state, number, recipe.health] += 1
    counted: NDArray[np.int64] = np.einsum("sp,sph->h", by_state, worth)
    return counted


def health_runs(charts: Sequence[SectionChart], start: int, stop: int) -> Iterator[tuple[int, int, Health]]:
    """Yield (start, stop, health) [array bytes] over [start, stop), ascending, gapless, equal neighbours merged."""
    for low, high, health in class_runs(charts, start, stop, tuple(Health)):
        yield low, high, Health(health)


def class_runs(
    charts: Sequence[SectionChart], start: int, stop: int, classes: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield (start, stop, class) as `health_runs` does, with healths taken together.

    A section of one class costs nothing, however large it is and however its healths alternate.

    Args:
        charts: the array's sections.
        start: [array bytes].
        stop: [array bytes].
        classes: by health, the number of its class.
    """
    held: tuple[int, int, int] | None = None
    for chart in charts:
        low, high = max(start, chart.section.array_start), min(stop, chart.section.array_stop)
        for run in _section_runs(chart, low, high, classes):
            if held is not None and held[1] == run[0] and held[2] == run[2]:
                held = (held[0], run[1], held[2])
                continue
            if held is not None:
                yield held
            held = run
    if held is not None:
        yield held


def extents_with(charts: Sequence[SectionChart], healths: frozenset[Health], start: int, stop: int) -> Extents:
    """Return the bytes of [start, stop) whose health is one of `healths` [array bytes]."""
    classes = [int(health in healths) for health in Health]
    return Extents([(low, high) for low, high, inside in class_runs(charts, start, stop, classes) if inside])


def _section_runs(chart: SectionChart, start: int, stop: int, classes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of one section, not merged across batches."""
    if start >= stop:
        return
    found = {classes[recipe.health] for state in chart.recipes for row in state for recipe in row}
    if len(found) == 1:
        yield start, stop, found.pop()
        return
    first, last = chart.codewords.numbers(start, stop)
    for low in range(first, last, _CODEWORDS_AT_ONCE):
        yield from _batch_runs(chart, low, min(low + _CODEWORDS_AT_ONCE, last), (start, stop), classes)


def _batch_runs(
    chart: SectionChart, first: int, last: int, clip: tuple[int, int], classes: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of the codewords [first, last), clipped to a range [array bytes]."""
    codewords, size = chart.codewords, chart.codewords.symbol_size
    inside = (chart.span_start > first * size) & (chart.span_start < last * size)
    cuts = np.unique(np.concatenate((np.arange(first, last, dtype=np.int64) * size, chart.span_start[inside])))
    ends = np.append(cuts[1:], last * size)
    state = chart.span_state[np.searchsorted(chart.span_start, cuts, side="right") - 1]
    worth = np.array(
        [[[classes[each.health] for each in row] for row in rows] for rows in chart.recipes], dtype=np.int64
    )
    number = cuts // size
    health = worth[state, number % codewords.period]  # (pieces, n_symbols)
    base = codewords.array_origin + number * codewords.size
    symbol = np.arange(codewords.n_symbols, dtype=np.int64) * size
    piece_start = (base + cuts - number * size)[:, None] + symbol
    piece_stop = piece_start + (ends - cuts)[:, None]
    order = np.argsort(piece_start.reshape(-1), kind="stable")
    flat_start = np.clip(piece_start.reshape(-1)[order], *clip)
    flat_stop = np.clip(piece_stop.reshape(-1)[order], *clip)
    flat_health = health.reshape(-1)[order]
    kept = flat_start < flat_stop
    flat_start, flat_stop, flat_health = flat_start[kept], flat_stop[kept], flat_health[kept]
    if not len(flat_start):
        return
    changes = np.flatnonzero(np.concatenate(([True], flat_health[1:] != flat_health[:-1])))
    stops = np.append(flat_start[changes[1:]], flat_stop[-1])
    yield from zip(flat_start[changes].tolist(), stops.tolist(), flat_health[changes].tolist(), strict=True)
