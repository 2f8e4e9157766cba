"""Array bytes to member bytes and back, against the oracle's plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.errors import GeometryError
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.zone import UNUSED
from tests.oracle.layouts import Geometry, inverse, locate
from tests.support.simulated import GEOMETRIES, name_of, shape

ROWS = 41
HUGE = 1 << 45


@settings(max_examples=150)
@given(st.data(), st.sampled_from(GEOMETRIES), st.sampled_from([4096, 65536, 1 << 20]))
def test_locate_is_the_oracles_and_its_inverse_inverts(data: st.DataObject, told: Geometry, chunk: int) -> None:
    geometry = Geometry(told.level, told.layout, told.raid_disks, chunk)
    zone = zone_of(shape(geometry), data.draw(st.sampled_from([ROWS * chunk, ROWS * chunk + 512, HUGE])))
    offsets = data.draw(st.lists(st.integers(0, zone.array_stop - 1), min_size=1, max_size=20))
    offsets += [0, chunk - 1, zone.stripe_size, zone.array_stop - 1]
    roles, components = zone.locate(np.array(offsets, dtype=np.int64))
    for offset, role, component in zip(offsets, roles.tolist(), components.tolist(), strict=True):
        assert (role, component) == locate(geometry, offset)
        assert zone.locate_inverse(role, component) == offset


@pytest.mark.parametrize("geometry", [each for each in GEOMETRIES if each.raid_disks in (4, 7)], ids=name_of)
def test_every_component_byte_holds_one_thing(geometry: Geometry) -> None:
    zone = zone_of(shape(geometry), ROWS * geometry.chunk)
    seen = []
    for row in range(ROWS):
        for role in range(geometry.raid_disks):
            component = row * geometry.chunk + 17
            held = inverse(geometry, role, component)
            expected = {"P": -2, "Q": -3}[held] if isinstance(held, str) else held
            assert zone.locate_inverse(role, component) == expected
            seen.append(expected)
    data = sorted(offset for offset in seen if offset >= 0)
    assert data == list(range(17, zone.array_stop, geometry.chunk))


@pytest.mark.parametrize("geometry", [each for each in GEOMETRIES if each.raid_disks == 5], ids=name_of)
def test_every_cell_is_where_the_oracle_has_it(geometry: Geometry) -> None:
    zone = zone_of(shape(geometry), ROWS * geometry.chunk)
    for row in range(ROWS):
        for cell in range(geometry.raid_disks):
            assert zone.cell_offset(row, cell) == row * geometry.chunk


def test_outside_the_zone_nothing_is_held() -> None:
    geometry = Geometry(5, 2, 4, 4096)
    zone = zone_of(shape(geometry), ROWS * 4096 + 3584)
    assert zone.array_stop == ROWS * geometry.stripe_size
    for role in range(4):
        assert zone.locate_inverse(role, -1) == UNUSED
        assert zone.locate_inverse(role, ROWS * 4096) == UNUSED
    assert zone.locate_inverse(4, 0) == UNUSED


def test_a_component_smaller_than_a_chunk_is_refused() -> None:
    with pytest.raises(GeometryError, match="does not hold one chunk of 4096 bytes"):
        zone_of(shape(Geometry(5, 2, 4, 4096)), 4095)
