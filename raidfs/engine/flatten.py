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
    terms: list[tuple[int, int, int]] = []
    lanes: list[tuple[int, int]] = []
    n_spans = 0
    for chart in charts:
        section, zone, table = chart.section, chart.section.zone, chart.section.zone.table
        sections.append(
            (
                *(section.array_start, section.array_stop, zone.array_start, zone.chunk_size),
                *(table.n_data, table.period, table.rows_per_period, zone.component_start),
                *(n_spans, n_spans + len(chart.span_start), len(recipes)),
            )
        )
        n_spans += len(chart.span_start)
        for state in chart.recipes:
            for number, row in enumerate(state):
                for recipe in row:
                    recipes.append((int(recipe.health), len(terms), len(recipe.terms)))
                    for term in recipe.terms:
                        lane = len(lanes) + int(table.role[number, term.cell])
                        shift = int(table.row[number, term.cell]) * zone.chunk_size
                        shift += int(table.region[number, term.cell]) * zone.region_size
                        terms.append((lane, shift, term.coefficient))
        lanes += [lane or (-1, 0) for lane in chart.lanes]
    return Chart(
        sections=np.array(sections, dtype=np.int64).reshape(-1, 11),
        span_start=np.concatenate([chart.span_start for chart in charts]),
        span_state=np.concatenate([chart.span_state for chart in charts]),
        recipes=np.array(recipes, dtype=np.int32).reshape(-1, 3),
        terms=np.array(terms, dtype=np.int64).reshape(-1, 3),
        lanes=np.array(lanes, dtype=np.int64).reshape(-1, 2),
    )


def make_work(chart: Chart) -> Work:
    """Allocate room for plans over a chart; for one thread."""
    room = max(_MIN_ROOM, 32 * len(chart.lanes))
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
