"""From a request to reads, sums and losses, over the flat arrays of a chart.

The walk goes stripe by stripe; inside a stripe the chunk height is cut where the request begins and ends and where the
trust in any member changes, so that in each *slice* one recipe per data symbol holds:

    request    ....[======================]......          o = offset inside the chunk
    stripe     D0        D1        D2                      slice 1: o in [0, b):      D1 D2
               |....====|=========|==......|               slice 2: o in [b, a):      D1
                    a              b                       slice 3: o in [a, chunk):  D0 D1

Positions are in the *arena*: the output first, scratch behind it. A cell that a sum needs and that the request wants
anyway is read once. Nothing here reads or allocates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import kernel

# columns of Chart.sections
ARRAY_START, ARRAY_STOP, ZONE_START, CHUNK, N_DATA, PERIOD, ROWS, COMPONENT_START, FIRST_SPAN, LAST_SPAN, RECIPES = (
    range(11)
)
# entries of Work.used
READS, SUMS, TERMS, LOSSES, SCRATCH, STAMP = range(6)


class Chart(NamedTuple):
    """Everything that the planner must know of an array, as flat arrays; immutable.

    Attributes:
        sections: int64 (s, 11), ascending by array bytes; columns as named above: array_start, array_stop, array start
        of
            the zone [array bytes]; chunk [bytes]; data symbols per stripe; stripes and rows per period; component start
            of the zone [component bytes]; first and behind-last span; first recipe.
        span_start: int64 (m,): where a span begins, in stripe bytes (stripe number * chunk + offset in the chunk).
        span_state: int32 (m,): state of its section that holds from there on.
        recipes: int32 (r, 3): health, first term, number of terms (0: lost). Index: first recipe of the section +
            (state * period + stripe % period) * n_data + symbol.
        terms: int64 (t, 3): lane, offset of the cell from the start of its period [component bytes], coefficient
        1..255.
        lanes: int64 (l, 2): source, image offset of component byte 0 [image bytes].
    """

    sections: NDArray[np.int64]
    span_start: NDArray[np.int64]
    span_state: NDArray[np.int32]
    recipes: NDArray[np.int32]
    terms: NDArray[np.int64]
    lanes: NDArray[np.int64]


class Work(NamedTuple):
    """Room for one plan; owned by one thread, overwritten by each plan.

    Attributes:
        reads: int64 (k, 4): source, offset [image bytes], length [bytes], position [arena bytes].
        sums: int64 (k, 4): position [arena bytes], length [bytes], first term, number of terms.
        terms: int64 (k, 2): position [arena bytes], coefficient.
        losses: int64 (k, 3): start, stop [arena bytes], health.
        cell: int64 (l, 2): per lane, the stamp of the slice it was read for and its position.
        order: int64 (k,): the reads, grouped by source.
        iovec: int64 (v, 2): address and length, for preadv.
        used: int64 (6,): how many of each are in use; see the names above.
    """

    reads: NDArray[np.int64]
    sums: NDArray[np.int64]
    terms: NDArray[np.int64]
    losses: NDArray[np.int64]
    cell: NDArray[np.int64]
    order: NDArray[np.int64]
    iovec: NDArray[np.int64]
    used: NDArray[np.int64]


@kernel
def _add_read(chart: Chart, work: Work, lane: int, component: int, length: int, position: int) -> None:
    """Note one read of a lane."""
    n = work.used[READS]
    work.reads[n, 0] = chart.lanes[lane, 0]
    work.reads[n, 1] = chart.lanes[lane, 1] + component
    work.reads[n, 2] = length
    work.reads[n, 3] = position
    work.used[READS] = n + 1
    work.cell[lane, 0] = work.used[STAMP]
    work.cell[lane, 1] = position


@kernel
def _add_sum(chart: Chart, work: Work, recipe: int, component: int, length: int, position: int) -> bool:
    """Note one sum, and the reads of its cells that the slice has not got yet; False: no room."""
    first, n_terms = chart.recipes[recipe, 1], chart.recipes[recipe, 2]
    if work.used[TERMS] + n_terms > len(work.terms) or work.used[READS] + n_terms > len(work.reads):
        return False
    n = work.used[SUMS]
    work.sums[n, 0] = position
    work.sums[n, 1] = length
    work.sums[n, 2] = work.used[TERMS]
    work.sums[n, 3] = n_terms
    work.used[SUMS] = n + 1
    for t in range(first, first + n_terms):
        lane = chart.terms[t, 0]
        if work.cell[lane, 0] != work.used[STAMP]:
            _add_read(chart, work, lane, component + chart.terms[t, 1], length, work.used[SCRATCH])
            work.used[SCRATCH] += length
        work.terms[work.used[TERMS], 0] = work.cell[lane, 1]
        work.terms[work.used[TERMS], 1] = chart.terms[t, 2]
        work.used[TERMS] += 1
    return True


@kernel
def _plan_slice(
    chart: Chart,
    work: Work,
    section: int,
    stripe: int,
    state: int,
    ranges: tuple[int, int, int, int],
    position: int,
    limit: int,
) -> bool:
    """Plan one slice.

    Args:
        chart: the array.
        work: where to note.
        section: index.
        stripe: number in the zone.
        state: of the section, in this slice.
        ranges: offset in the chunk: start, stop; data symbols: first, behind last.
        position: of byte 0 of the stripe's symbol 0 [arena bytes]; may be negative.
        limit: worst health that is served.

    Returns:
        False: no room.
    """
    start, stop, first, last = ranges
    row = chart.sections[section]
    n_data, chunk = row[N_DATA], row[CHUNK]
    period, number = divmod(stripe, row[PERIOD])
    base = row[RECIPES] + (state * row[PERIOD] + number) * n_data
    component = row[COMPONENT_START] + period * row[ROWS] * chunk + start
    length = stop - start
    n = last - first
    if (
        work.used[READS] + n > len(work.reads)
        or work.used[LOSSES] + n > len(work.losses)
        or work.used[SUMS] + n > len(work.sums)
    ):
        return False
    work.used[STAMP] += 1
    for symbol in range(first, last):
        recipe = chart.recipes[base + symbol]
        at = position + symbol * chunk + start
        if recipe[2] == 0 or recipe[0] > limit:
            n_losses = work.used[LOSSES]
            work.losses[n_losses, 0] = at
            work.losses[n_losses, 1] = at + length
            work.losses[n_losses, 2] = recipe[0]
            work.used[LOSSES] = n_losses + 1
        elif recipe[2] == 1 and chart.terms[recipe[1], 2] == 1:
            _add_read(chart, work, chart.terms[recipe[1], 0], component + chart.terms[recipe[1], 1], length, at)
    for symbol in range(first, last):
        recipe = chart.recipes[base + symbol]
        summed = recipe[2] > 1 or (recipe[2] == 1 and chart.terms[recipe[1], 2] != 1)
        at = position + symbol * chunk + start
        if summed and recipe[0] <= limit and not _add_sum(chart, work, base + symbol, component, length, at):
            return False
    return True


@kernel
def _plan_spans(
    chart: Chart, work: Work, section: int, stripe: int, ranges: tuple[int, int, int, int], position: int, limit: int
) -> bool:
    """Cut a slice where the state changes, and plan the pieces; arguments as in `_plan_slice`."""
    start, stop, first, last = ranges
    row = chart.sections[section]
    origin = stripe * row[CHUNK]
    low, high = row[FIRST_SPAN], row[LAST_SPAN]
    while high - low > 1:  # the span that holds the start
        middle = (low + high) // 2
        if chart.span_start[middle] <= origin + start:
            low = middle
        else:
            high = middle
    while start < stop:
        end = stop
        if low + 1 < row[LAST_SPAN]:
            end = min(stop, chart.span_start[low + 1] - origin)
        if not _plan_slice(
            chart, work, section, stripe, chart.span_state[low], (start, end, first, last), position, limit
        ):
            return False
        start = end
        low += 1
    return True


@kernel
def _plan_stripe(
    chart: Chart, work: Work, section: int, stripe: int, low: int, high: int, position: int, limit: int
) -> bool:
    """Plan the bytes [low, high) of one stripe, which begins at `position` [arena bytes]; False: no room."""
    chunk = chart.sections[section, CHUNK]
    first, a = divmod(low, chunk)
    last, b = divmod(high - 1, chunk)
    b += 1
    if first == last:
        return _plan_spans(chart, work, section, stripe, (a, b, first, last + 1), position, limit)
    cut, end = min(a, b), max(a, b)
    if cut > 0 and not _plan_spans(chart, work, section, stripe, (0, cut, first + 1, last + 1), position, limit):
        return False
    if cut < end:
        inner = (cut, end, first, last + 1) if a < b else (cut, end, first + 1, last)
        if inner[2] < inner[3] and not _plan_spans(chart, work, section, stripe, inner, position, limit):
            return False
    return end >= chunk or _plan_spans(chart, work, section, stripe, (end, chunk, first, last), position, limit)


@kernel
def plan_window(chart: Chart, work: Work, window: tuple[int, int, int], limit: int, scratch: tuple[int, int]) -> int:
    """Plan as much of a window as there is room for.

    Args:
        chart: the array.
        work: overwritten.
        window: start and stop [array bytes], and the position of the start [arena bytes].
        limit: worst health that is served; worse bytes become losses.
        scratch: start and stop of the scratch memory [arena bytes].

    Returns:
        Bytes planned, from the start of the window on, in whole stripes; 0: not even its first stripe fits.
    """
    start, stop, at = window
    for name in (READS, SUMS, TERMS, LOSSES):
        work.used[name] = 0
    work.used[SCRATCH] = scratch[0]
    section = 0
    done = start
    saved = work.used.copy()
    while done < stop:
        while chart.sections[section, ARRAY_STOP] <= done:
            section += 1
        row = chart.sections[section]
        size = row[CHUNK] * row[N_DATA]
        stripe = (done - row[ZONE_START]) // size
        begin = row[ZONE_START] + stripe * size
        end = min(stop, row[ARRAY_STOP], begin + size)
        fits = _plan_stripe(chart, work, section, stripe, done - begin, end - begin, at + begin - start, limit)
        if not fits or work.used[SCRATCH] > scratch[1]:
            for name in (READS, SUMS, TERMS, LOSSES, SCRATCH):
                work.used[name] = saved[name]
            break
        for name in (READS, SUMS, TERMS, LOSSES, SCRATCH):
            saved[name] = work.used[name]
        done = end
    return done - start
