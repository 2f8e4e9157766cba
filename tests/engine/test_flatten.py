"""The flat arrays of the kernels say what the charts say."""

from __future__ import annotations

import pytest

from raidfs.engine.chart import chart_sections
from raidfs.engine.flatten import flatten, make_work
from raidfs.kernels.plan import CHUNK, FIRST_SPAN, LAST_SPAN, N_DATA, PERIOD, RECIPES
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe


@pytest.mark.parametrize("name", SAMPLES)
def test_every_recipe_is_where_the_kernel_looks_for_it(name: str) -> None:
    description = describe(sample(name), without=(1,))
    charts = chart_sections(description, sorted(description.serving), ())
    flat = flatten(charts)
    assert len(flat.sections) == len(charts)
    lanes = 0
    for row, chart in zip(flat.sections, charts, strict=True):
        table = chart.section.zone.table
        assert (row[CHUNK], row[N_DATA], row[PERIOD]) == (chart.section.zone.chunk_size, table.n_data, table.period)
        assert flat.span_start[row[FIRST_SPAN] : row[LAST_SPAN]].tolist() == chart.span_start.tolist()
        assert flat.span_state[row[FIRST_SPAN] : row[LAST_SPAN]].tolist() == chart.span_state.tolist()
        for state, rows in enumerate(chart.recipes):
            for number, symbols in enumerate(rows):
                for symbol, recipe in enumerate(symbols):
                    index = row[RECIPES] + (state * row[PERIOD] + number) * row[N_DATA] + symbol
                    health, first, count = flat.recipes[index].tolist()
                    assert (health, count) == (recipe.health, len(recipe.terms))
                    expected = [
                        (lanes + int(table.role[number, term.cell]), number * row[CHUNK], term.coefficient)
                        for term in recipe.terms
                    ]
                    assert flat.terms[first : first + count].tolist() == [list(each) for each in expected]
        assert flat.lanes[lanes : lanes + len(chart.lanes)].tolist() == [list(lane or (-1, 0)) for lane in chart.lanes]
        lanes += len(chart.lanes)
    assert lanes == len(flat.lanes)


def test_there_is_room_for_a_megabyte_in_small_pieces() -> None:
    chart = flatten(chart_sections(describe(sample("raid6")), list(range(6)), ()))
    work = make_work(chart)
    assert min(len(work.reads), len(work.sums), len(work.losses), len(work.order)) >= 4096
    assert len(work.cell) == len(chart.lanes)
