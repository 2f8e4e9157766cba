"""Every table says what the kernel's formulas say, for every layout and number of members."""

from __future__ import annotations

import pytest

from raidfs.array.shape import LAYOUT_NAMES, Level
from raidfs.geometry.parity import LAYOUTS, parity_table
from tests.oracle.layouts import Geometry
from tests.support.simulated import GEOMETRIES, name_of, shape


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=name_of)
def test_places_and_exponents_are_the_oracles(geometry: Geometry) -> None:
    table = parity_table(shape(geometry))
    assert table.n_data == geometry.data_disks
    assert table.rows_per_period == table.period
    assert not table.region.any()
    for row in range(max(2 * table.period, 2 * geometry.raid_disks) + 1):
        stripe = geometry.stripe(row)
        number = row % table.period
        parity = (stripe.p,) if stripe.q is None else (stripe.p, stripe.q)
        assert table.role[number].tolist() == [*stripe.data, *parity]
        assert table.symbol[number].tolist() == list(range(geometry.raid_disks))
        assert set(table.row[number].tolist()) == {number}
        assert table.exponent[number].tolist() == list(stripe.exponent or [0] * geometry.data_disks)


def test_every_layout_that_has_a_name_has_a_table() -> None:
    assert set(LAYOUTS) == {Level.RAID4, Level.RAID5, Level.RAID6}
    for level in LAYOUTS:
        assert set(LAYOUTS[level]) == set(LAYOUT_NAMES[level].values())


@pytest.mark.parametrize("geometry", [each for each in GEOMETRIES if each.raid_disks in (4, 5)], ids=name_of)
def test_the_period_is_the_shortest(geometry: Geometry) -> None:
    table = parity_table(shape(geometry))
    for shorter in range(1, table.period):
        assert any(geometry.stripe(row) != geometry.stripe(row + shorter) for row in range(table.period))
