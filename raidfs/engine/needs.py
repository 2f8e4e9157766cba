"""Which unreadable sectors matter: those whose rescue turns bytes that are withheld into bytes that are served.

A disk that dies should be read where it helps and nowhere else. A bad sector that the redundancy makes up for is not
worth the wear; nor is one whose codeword stays lost whatever is rescued of it. A lane *matters* to a codeword if there
is a set of other curable lanes (perhaps none) such that, with these rescued, rescuing it too serves one symbol more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.chart import Known, SectionChart, spans_of
from raidfs.engine.codewords import ZERO, Codewords, Pattern, Place
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.erasure.linear_code import companions, recover
from raidfs.extents import Extents


@dataclass(frozen=True)
class Need:
    """What should be rescued of one source.

    Attributes:
        source: index.
        extents: [image bytes].
        unreadable: everything of it that is curable [image bytes].
    """

    source: int
    extents: Extents
    unreadable: Extents


def needs_of(charts: Sequence[SectionChart], flaws: Sequence[Flaw]) -> list[Need]:
    """Find what of each source should be rescued; sources of which nothing should be are in the list too.

    Args:
        charts: the array's sections.
        flaws: everything known against the sources.
    """
    cured = Known([flaw for flaw in flaws if not flaw.curable])
    found: dict[int, list[NDArray[np.int64]]] = {flaw.source: [] for flaw in flaws if flaw.curable}
    for chart in charts:
        for source, ranges in _needed(chart, Known(flaws), cured):
            found[source].append(ranges)
    needs = []
    for source, pieces in sorted(found.items()):
        unreadable = Extents().union(*(flaw.extents for flaw in flaws if flaw.source == source and flaw.curable))
        wanted = Extents(np.concatenate(pieces)) if pieces else Extents()
        needs.append(Need(source, wanted.intersection(unreadable), unreadable))
    return needs


@dataclass(frozen=True)
class _Window:
    """Codewords of which a section holds the same symbols at the same offsets.

    Attributes:
        first, last: codewords [first, last).
        low, high: offsets in the symbol [low, high).
        symbols: what the section holds of them.
    """

    first: int
    last: int
    low: int
    high: int
    symbols: frozenset[int]


def _windows(chart: SectionChart) -> Iterator[_Window]:
    """Cut a section into whole codewords, and what it holds of those at its ends."""
    codewords, size = chart.codewords, chart.codewords.symbol_size
    start = chart.section.array_start - codewords.array_origin
    stop = chart.section.array_stop - codewords.array_origin
    first, last = -(-start // codewords.size), stop // codewords.size
    if first < last:
        yield _Window(first, last, 0, size, frozenset(range(codewords.n_symbols)))
    for number in {start // codewords.size, stop // codewords.size} - set(range(first, last)):
        held = max(0, start - number * codewords.size), min(codewords.size, stop - number * codewords.size)
        cuts = sorted({0, size, *(edge % size for edge in held)})
        for low, high in pairwise(cuts):
            symbols = frozenset(i for i in range(codewords.n_symbols) if held[0] <= i * size + low < held[1])
            if symbols:
                yield _Window(number, number + 1, low, high, symbols)


def _needed(chart: SectionChart, known: Known, cured: Known) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (source, int64 (k, 2) ranges [image bytes]): cells of a section that should be rescued."""
    codewords, size = chart.codewords, chart.codewords.symbol_size
    span_start, states, span_state = spans_of(chart.section, codewords, (known, cured))
    _, last = codewords.numbers(chart.section.array_start, chart.section.array_stop)
    stops = np.append(span_start[1:], last * size)
    for window in _windows(chart):
        matters = [_lanes_that_matter(codewords, state, window.symbols) for state in states.tolist()]
        wanted = np.array([any(rows) for rows in matters], dtype=np.bool_)[span_state]
        wanted &= (stops > window.first * size) & (span_start < window.last * size)
        for start, stop, state in zip(
            span_start[wanted].tolist(), stops[wanted].tolist(), span_state[wanted].tolist(), strict=True
        ):
            yield from _cells(codewords, window, (start, stop), matters[state])


def _cells(
    codewords: Codewords, window: _Window, span: tuple[int, int], matters: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (source, ranges) of what matters of one span, as far as the window goes; see `_needed`."""
    size = codewords.symbol_size
    first, last = max(span[0] // size, window.first), min(-(-span[1] // size), window.last)
    numbers = np.arange(first, last, dtype=np.int64)
    low = np.maximum(span[0] - numbers * size, window.low)
    high = np.minimum(span[1] - numbers * size, window.high)
    for lane in sorted({lane for lanes in matters for lane in lanes}):
        whose = np.array([lane in lanes for lanes in matters], dtype=np.bool_)[numbers % codewords.period]
        whose &= low < high
        origin = codewords.lanes[lane].image_origin + numbers[whose] * codewords.lanes[lane].step
        yield codewords.lanes[lane].source, np.stack((origin + low[whose], origin + high[whose]), axis=1)


def _lanes_that_matter(codewords: Codewords, state: Sequence[int], symbols: frozenset[int]) -> list[tuple[int, ...]]:
    """Return the lanes that matter to some symbols in a state, by codeword of the period."""
    n = len(codewords.lanes)
    now, then, conditions = state[:n], state[n : 2 * n], state[2 * n :]
    curable = [lane for lane in range(n) if then[lane] < now[lane]]
    if not curable:
        return [()] * codewords.period
    return [_matter(pattern, symbols, (now, then, conditions), curable) for pattern in codewords.patterns]


def _matter(
    pattern: Pattern,
    symbols: frozenset[int],
    trust: tuple[Sequence[int], Sequence[int], Sequence[int]],
    curable: Sequence[int],
) -> tuple[int, ...]:
    """Return the lanes that matter in one codeword.

    Args:
        pattern: its ways; the last one knows all equations that any other does.
        symbols: those that count.
        trust: in each lane; the same once everything was rescued; in each condition.
        curable: lanes that are worth more then.
    """
    now, then, conditions = trust
    way = pattern[-1]
    held = [_good(places, now, conditions) for places in way.places]
    cured = [_good(places, then, conditions) for places in way.places]
    gone = frozenset(variable for variable, places in enumerate(cured) if not places)
    missing = frozenset(variable for variable, places in enumerate(held) if not places) - gone
    helpful: set[int] = set()
    for symbol in symbols & (missing | gone):
        if recover(way.code, gone | missing, symbol) is None:
            helpful |= companions(way.code, gone, missing, symbol) | ({symbol} & missing)
    return tuple(sorted({place.lane for variable in helpful for place in cured[variable]} & set(curable)))


def _good(places: Sequence[Place], lanes: Sequence[int], conditions: Sequence[int]) -> list[Place]:
    """Return the places from which a variable is served by default."""
    return [
        place
        for place in places
        if (place.lane == ZERO or lanes[place.lane] <= Trust.UNPROVEN)
        and all(conditions[each] <= Trust.UNPROVEN for each in place.conditions)
    ]
