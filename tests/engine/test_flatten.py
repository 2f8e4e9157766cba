"""The flat arrays of the kernels say what the charts say."""

from __future__ import annotations

import pytest

from raidfs.engine.chart import chart_sections
from raidfs.engine.flatten import flatten, make_work
from raidfs.kernels.plan import FIRST_SPAN, LAST_SPAN, N_SYMBOLS, ORIGIN, PERIOD, RECIPES, SYMBOL
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe


@pytest.mark.parametrize("name", SAMPLES)
def test_every_recipe_is_where_the_kernel_looks_for_it(name: str) -> None:
    description = describe(sample(name), without=(1,))
    charts = chart_sections(description, description.sources, ())
    flat = flatten(charts)
    assert len(flat.sections) == len(charts)
    lanes = 0
    for row, chart in zip(flat.sections, charts, strict=True):
        codewords = chart.codewords
        assert row[[ORIGIN, SYMBOL]].tolist() == [codewords.array_origin, codewords.symbol_size]
        assert row[[N_SYMBOLS, PERIOD]].tolist() == [codewords.n_symbols, codewords.period]
        assert flat.span_start[row[FIRST_SPAN] : row[LAST_SPAN]].tolist() == chart.span_start.tolist()
        assert flat.span_state[row[FIRST_SPAN] : row[LAST_SPAN]].tolist() == chart.span_state.tolist()
        for state, rows in enumerate(chart.recipes):
            for number, symbols in enumerate(rows):
                for symbol, recipe in enumerate(symbols):
                    index = row[RECIPES] + (state * row[PERIOD] + number) * row[N_SYMBOLS] + symbol
                    health, first, count = flat.recipes[index].tolist()
                    assert (health, count) == (recipe.health, len(recipe.terms))
                    expected = [[lanes + term.cell, term.coefficient] for term in recipe.terms]
                    assert flat.terms[first : first + count].tolist() == expected
        told = [[lane.source, lane.image_origin, lane.step] for lane in codewords.lanes]
        assert flat.lanes[lanes : lanes + len(told)].tolist() == told
        lanes += len(told)
    assert lanes == len(flat.lanes)


def test_there_is_room_for_a_megabyte_in_small_pieces() -> None:
    description = describe(sample("raid6"))
    chart = flatten(chart_sections(description, description.sources, ()))
    work = make_work(chart)
    assert min(len(work.reads), len(work.sums), len(work.losses), len(work.order)) >= 4096
    assert len(work.cell) == len(chart.lanes)
