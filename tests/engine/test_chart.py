"""Flaws laid over stripes: few states, spans that cover each section, every lane at its own offset."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from raidfs.array.shape import Level
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.codewords import NOBODY
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Health, Trust
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side
from tests.engine.test_account import charts_of
from tests.support.crashes import Damaged, arrays, damages
from tests.support.samples import sample
from tests.support.simulated import describe, plain_description


@settings(max_examples=60)
@given(arrays().flatmap(damages))
def test_spans_cover_each_section(damaged: Damaged) -> None:
    for chart in charts_of(damaged):
        section, codewords = chart.section, chart.codewords
        first, last = codewords.numbers(section.array_start, section.array_stop)
        assert chart.span_start[0] == first * codewords.symbol_size
        assert chart.span_start[-1] < last * codewords.symbol_size
        assert (np.diff(chart.span_start) > 0).all()
        assert (np.diff(chart.span_state) != 0).all()
        assert len(chart.span_start) == len(chart.span_state)
        assert set(chart.span_state.tolist()) == set(range(len(chart.states)))
        assert len(np.unique(chart.states, axis=0)) == len(chart.states)
        assert chart.states.shape[1] == len(codewords.lanes) + len(codewords.conditions)
        shape = (len(chart.states), codewords.period, codewords.n_symbols)
        assert np.array([[[0 for _ in row] for row in rows] for rows in chart.recipes]).shape == shape


def test_each_side_has_its_own_offsets() -> None:
    array = sample("growing")
    description = describe(array, without=(1,))
    after, before = chart_sections(description, description.of_roles([0, 2, 3]), ())
    assert (after.section.side, before.section.side) == (Side.AFTER, Side.BEFORE)
    new, old = array.members[0].new_data_offset, array.members[0].data_offset
    assert _places(after) == {0: (0, new), 1: (NOBODY, 0), 2: (1, new), 3: (2, new)}
    assert _places(before) == {0: (0, old), 1: (NOBODY, 0), 2: (1, old)}


def _places(chart: SectionChart) -> dict[int, tuple[int, int]]:
    """Return source and image offset of codeword 0, by role."""
    return {lane.role: (lane.source, lane.image_origin) for lane in chart.codewords.lanes}


def test_many_flaws_make_many_spans_but_few_states() -> None:
    description = plain_description(Level.RAID6, "left-symmetric", 6, 65536, 4096)
    bad = [Extents([(65536 + at, 65536 + at + 512) for at in range(n * 512, 1 << 28, 1 << 16)]) for n in range(6)]
    flaws = [Flaw(source, extents, Trust.NONE, "bad") for source, extents in enumerate(bad)]
    (chart,) = chart_sections(description, description.sources, flaws)
    assert len(chart.span_start) > 20_000
    assert len(chart.states) == 7
    assert {recipe.health for state in chart.recipes for row in state for recipe in row} == {
        Health.GOOD,
        Health.REBUILT,
    }


def test_a_flaw_of_one_side_does_not_count_on_the_other() -> None:
    description = describe(sample("growing"))
    everything = Extents.span(0, 1 << 40)
    for side in (Side.BEFORE, Side.AFTER):
        charts = chart_sections(description, description.sources, [Flaw(0, everything, Trust.NONE, "bad", side)])
        trusts = {chart.section.side: set(chart.states[:, _lane_of(chart, 0)].tolist()) for chart in charts}
        assert trusts.pop(side) == {Trust.NONE}
        assert list(trusts.values()) == [{Trust.SURE}]


def _lane_of(chart: SectionChart, role: int) -> int:
    return next(number for number, lane in enumerate(chart.codewords.lanes) if lane.role == role)
