"""Section charts -> the flat arrays of the planning kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raidfs.engine.chart import SectionChart
from raidfs.kernels.plan import Chart, Work

_MIN_ROOM = 4096
"""Reads, sums and losses that a plan has room for at least; a window of 1 MiB in 4 KiB chunks needs about 600."""


def flatten(charts: Sequence[SectionChart]) -> Chart:
    """Concatenate the sections; see `raidfs.kernels.plan.Chart` for the columns."""
    sections: list[tuple[int, ...]] = []
    recipes: list[tuple[int, int, int]] = []
    terms: list[tuple[int, int]] = []
    lanes: list[tuple[int, int, int]] = []
    n_spans = 0
    for chart in charts:
        codewords = chart.codewords
        sections.append(
            (
                *(chart.section.array_start, chart.section.array_stop, codewords.array_origin, codewords.symbol_size),
                *(codewords.n_symbols, codewords.period, n_spans, n_spans + len(chart.span_start), len(recipes)),
            )
        )
        n_spans += len(chart.span_start)
        for recipe in (recipe for state in chart.recipes for row in state for recipe in row):
            recipes.append((int(recipe.health), len(terms), len(recipe.terms)))
            terms += [(len(lanes) + term.cell, term.coefficient) for term in recipe.terms]
        lanes += [(lane.source, lane.image_origin, lane.step) for lane in codewords.lanes]
    return Chart(
        sections=np.array(sections, dtype=np.int64).reshape(-1, 9),
        span_start=np.concatenate([chart.span_start for chart in charts]),
        span_state=np.concatenate([chart.span_state for chart in charts]),
        recipes=np.array(recipes, dtype=np.int32).reshape(-1, 3),
        terms=np.array(terms, dtype=np.int64).reshape(-1, 2),
        lanes=np.array(lanes, dtype=np.int64).reshape(-1, 3),
    )


def make_work(chart: Chart) -> Work:
    """Allocate room for plans over a chart; for one thread."""
    room = _room_for(chart)
    return Work(
        reads=np.zeros((room, 4), dtype=np.int64),
        sums=np.zeros((room, 4), dtype=np.int64),
        terms=np.zeros((4 * room, 2), dtype=np.int64),
        losses=np.zeros((room, 3), dtype=np.int64),
        cell=np.zeros((len(chart.lanes), 2), dtype=np.int64),
        order=np.zeros(room, dtype=np.int64),
        iovec=np.zeros((512, 2), dtype=np.int64),
        used=np.zeros(6, dtype=np.int64),
    )


def fits(work: Work, chart: Chart) -> bool:
    """Tell whether there is room for plans over a chart."""
    return len(work.cell) >= len(chart.lanes) and len(work.reads) >= _room_for(chart)


def _room_for(chart: Chart) -> int:
    """Return how many reads must have room: a page, cut into sectors, each obtained by the longest sum."""
    return max(_MIN_ROOM, 32 * (1 + int(chart.recipes[:, 2].max(initial=0))))
