"""From a request to reads, sums and losses, over the flat arrays of a chart.

The walk goes codeword by codeword; inside one the symbol's height is cut where the request begins and ends and where
the trust in any lane changes, so that in each *slice* one recipe per data symbol holds:

    request    ....[======================]......          o = offset inside the symbol
    codeword   D0        D1        D2                      slice 1: o in [0, b):       D1 D2
               |....====|=========|==......|               slice 2: o in [b, a):       D1
                    a              b                       slice 3: o in [a, symbol):  D0 D1

Positions are in the *arena*: the output first, scratch behind it. A cell that a sum needs and that the request wants
anyway is read once. Nothing here reads or allocates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import kernel

# columns of Chart.sections
ARRAY_START, ARRAY_STOP, ORIGIN, SYMBOL, N_SYMBOLS, PERIOD, FIRST_SPAN, LAST_SPAN, RECIPES = range(9)
# entries of Work.used
READS, SUMS, TERMS, LOSSES, SCRATCH, STAMP = range(6)


class Chart(NamedTuple):
    """Everything that the planner must know of an array, as flat arrays; immutable.

    Attributes:
        sections: int64 (s, 9), ascending by array bytes; columns as named above: array_start, array_stop, where
            codeword 0 begins [array bytes]; symbol size [bytes]; data symbols per codeword; codewords per period; first
            and behind-last span; first recipe.
        span_start: int64 (m,): where a span begins, in symbol bytes (codeword number * symbol size + offset in it).
        span_state: int32 (m,): state of its section that holds from there on.
        recipes: int32 (r, 3): health, first term, number of terms (0: lost). Index: first recipe of the section +
            (state * period + codeword % period) * n_symbols + symbol.
        terms: int64 (t, 2): lane, coefficient 1..255.
        lanes: int64 (l, 3): source, image offset of byte 0 of codeword 0, step per codeword [image bytes].
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
def _add_read(chart: Chart, work: Work, lane: int, codeword: int, start: int, length: int, position: int) -> None:
    """Note one read of a lane: `length` bytes of the cell of a codeword, from `start` on."""
    n = work.used[READS]
    work.reads[n, 0] = chart.lanes[lane, 0]
    work.reads[n, 1] = chart.lanes[lane, 1] + codeword * chart.lanes[lane, 2] + start
    work.reads[n, 2] = length
    work.reads[n, 3] = position
    work.used[READS] = n + 1
    work.cell[lane, 0] = work.used[STAMP]
    work.cell[lane, 1] = position


@kernel
def _add_sum(chart: Chart, work: Work, recipe: int, codeword: int, start: int, length: int, position: int) -> bool:
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
            _add_read(chart, work, lane, codeword, start, length, work.used[SCRATCH])
            work.used[SCRATCH] += length
        work.terms[work.used[TERMS], 0] = work.cell[lane, 1]
        work.terms[work.used[TERMS], 1] = chart.terms[t, 1]
        work.used[TERMS] += 1
    return True


@kernel
def _plan_slice(
    chart: Chart,
    work: Work,
    section: int,
    codeword: int,
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
        codeword: number in the section.
        state: of the section, in this slice.
        ranges: offset in the symbol: start, stop; data symbols: first, behind last.
        position: of byte 0 of the codeword's symbol 0 [arena bytes]; may be negative.
        limit: worst health that is served.

    Returns:
        False: no room.
    """
    start, stop, first, last = ranges
    row = chart.sections[section]
    base = row[RECIPES] + (state * row[PERIOD] + codeword % row[PERIOD]) * row[N_SYMBOLS]
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
        at = position + symbol * row[SYMBOL] + start
        if recipe[2] == 0 or recipe[0] > limit:
            n_losses = work.used[LOSSES]
            work.losses[n_losses, 0] = at
            work.losses[n_losses, 1] = at + length
            work.losses[n_losses, 2] = recipe[0]
            work.used[LOSSES] = n_losses + 1
        elif recipe[2] == 1 and chart.terms[recipe[1], 1] == 1:
            _add_read(chart, work, chart.terms[recipe[1], 0], codeword, start, length, at)
    for symbol in range(first, last):
        recipe = chart.recipes[base + symbol]
        summed = recipe[2] > 1 or (recipe[2] == 1 and chart.terms[recipe[1], 1] != 1)
        at = position + symbol * row[SYMBOL] + start
        if summed and recipe[0] <= limit and not _add_sum(chart, work, base + symbol, codeword, start, length, at):
            return False
    return True


@kernel
def _plan_spans(
    chart: Chart, work: Work, section: int, codeword: int, ranges: tuple[int, int, int, int], position: int, limit: int
) -> bool:
    """Cut a slice where the state changes, and plan the pieces; arguments as in `_plan_slice`."""
    start, stop, first, last = ranges
    row = chart.sections[section]
    origin = codeword * row[SYMBOL]
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
            chart, work, section, codeword, chart.span_state[low], (start, end, first, last), position, limit
        ):
            return False
        start = end
        low += 1
    return True


@kernel
def _plan_codeword(
    chart: Chart, work: Work, section: int, codeword: int, low: int, high: int, position: int, limit: int
) -> bool:
    """Plan the bytes [low, high) of one codeword, which begins at `position` [arena bytes]; False: no room."""
    size = chart.sections[section, SYMBOL]
    first, a = divmod(low, size)
    last, b = divmod(high - 1, size)
    b += 1
    if first == last:
        return _plan_spans(chart, work, section, codeword, (a, b, first, last + 1), position, limit)
    cut, end = min(a, b), max(a, b)
    if cut > 0 and not _plan_spans(chart, work, section, codeword, (0, cut, first + 1, last + 1), position, limit):
        return False
    if cut < end:
        inner = (cut, end, first, last + 1) if a < b else (cut, end, first + 1, last)
        if inner[2] < inner[3] and not _plan_spans(chart, work, section, codeword, inner, position, limit):
            return False
    return end >= size or _plan_spans(chart, work, section, codeword, (end, size, first, last), position, limit)


@kernel
def _section_of(chart: Chart, array_offset: int) -> int:
    """Return the section that holds an array byte."""
    low, high = 0, len(chart.sections)
    while high - low > 1:
        middle = (low + high) // 2
        if chart.sections[middle, ARRAY_START] <= array_offset:
            low = middle
        else:
            high = middle
    return low


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
        Bytes planned, from the start of the window on, in whole codewords; 0: not even its first one fits.
    """
    start, stop, at = window
    for name in (READS, SUMS, TERMS, LOSSES):
        work.used[name] = 0
    work.used[SCRATCH] = scratch[0]
    section = _section_of(chart, start)
    done = start
    saved = work.used.copy()
    while done < stop:
        while chart.sections[section, ARRAY_STOP] <= done:
            section += 1
        row = chart.sections[section]
        size = row[SYMBOL] * row[N_SYMBOLS]
        codeword = (done - row[ORIGIN]) // size
        begin = row[ORIGIN] + codeword * size
        end = min(stop, row[ARRAY_STOP], begin + size)
        fits = _plan_codeword(chart, work, section, codeword, done - begin, end - begin, at + begin - start, limit)
        if not fits or work.used[SCRATCH] > scratch[1]:
            for name in (READS, SUMS, TERMS, LOSSES, SCRATCH):
                work.used[name] = saved[name]
            break
        for name in (READS, SUMS, TERMS, LOSSES, SCRATCH):
            saved[name] = work.used[name]
        done = end
    return done - start
