"""Flaws laid over stripes: few states, spans that cover each section, every lane at its own offset."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from raidfs.array.shape import Level
from raidfs.engine.chart import chart_sections
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
        section, zone = chart.section, chart.section.zone
        assert chart.span_start[0] <= section.array_start // zone.stripe_size * zone.chunk_size
        assert (np.diff(chart.span_start) > 0).all()
        assert (np.diff(chart.span_state) != 0).all()
        assert len(chart.span_start) == len(chart.span_state)
        assert set(chart.span_state.tolist()) == set(range(len(chart.states)))
        assert len(np.unique(chart.states, axis=0)) == len(chart.states)
        assert chart.states.shape[1] == section.raid_disks + 1
        shape = (len(chart.states), zone.table.period, zone.table.n_data)
        assert np.array([[len(row) for row in rows] for rows in chart.recipes]).shape == shape[:2]


def test_each_side_has_its_own_offsets() -> None:
    array = sample("growing")
    description = describe(array, without=(1,))
    after, before = chart_sections(description, [0, 2, 3], ())
    assert (after.section.side, before.section.side) == (Side.AFTER, Side.BEFORE)
    new, old = array.members[0].new_data_offset, array.members[0].data_offset
    assert after.lanes == ((0, new), None, (1, new), (2, new))
    assert before.lanes == ((0, old), None, (1, old))


def test_many_flaws_make_many_spans_but_few_states() -> None:
    description = plain_description(Level.RAID6, "left-symmetric", 6, 65536, 4096)
    bad = [Extents([(65536 + at, 65536 + at + 512) for at in range(n * 512, 1 << 28, 1 << 16)]) for n in range(6)]
    flaws = [Flaw(source, extents, Trust.NONE, "bad") for source, extents in enumerate(bad)]
    (chart,) = chart_sections(description, list(range(6)), flaws)
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
        charts = chart_sections(description, [0, 1, 2, 3], [Flaw(0, everything, Trust.NONE, "bad", side)])
        trusts = {chart.section.side: set(chart.states[:, 0].tolist()) for chart in charts}
        assert trusts.pop(side) == {Trust.NONE}
        assert list(trusts.values()) == [{Trust.SURE}]
