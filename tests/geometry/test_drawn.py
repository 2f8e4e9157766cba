"""Layouts without a name: a table that somebody drew is read as what it says, and as well as md's own."""

from __future__ import annotations

import numpy as np
import pytest

from raidfs.array.drawn import Rows
from raidfs.array.shape import Level, Shape
from raidfs.errors import InconsistentDescription
from raidfs.geometry.geometry import zone_of, zones_of
from raidfs.geometry.parity import parity_table
from raidfs.geometry.zone import Zone
from tests.oracle.layouts import Geometry
from tests.oracle.places import Copies
from tests.support.simulated import GEOMETRIES, name_of, shape

CHUNK = 4096


def drawn(geometry: Geometry) -> Shape:
    """The layout of an array as it would be drawn: by asking where each chunk of many stripes is."""
    n = geometry.raid_disks
    stripes = [geometry.stripe(row) for row in range(n * (n - 1))]
    table = tuple((*each.data, each.p, *(() if each.q is None else (each.q,))) for each in stripes)
    exponents = tuple(tuple(each.exponent) for each in stripes) if geometry.level == 6 else None
    return Shape(Level(geometry.level), "table", geometry.chunk, n, table, exponents)


@pytest.mark.parametrize("geometry", [each for each in GEOMETRIES if each.raid_disks < 8], ids=name_of)
def test_a_drawn_layout_is_the_named_one(geometry: Geometry) -> None:
    named, own = parity_table(shape(geometry)), parity_table(drawn(geometry))
    for row in range(own.period):
        assert own.role[row].tolist() == named.role[row % named.period].tolist()
        assert own.exponent[row].tolist() == named.exponent[row % named.period].tolist()
    assert drawn(geometry).array_size([CHUNK * 7] * geometry.raid_disks) == geometry.capacity(CHUNK * 7)


def test_exponents_are_those_of_md_where_they_are_not_drawn() -> None:
    for number in (0, 2, 5, 16):
        geometry = Geometry(6, number, 6, CHUNK)
        own = drawn(geometry)
        without = Shape(own.level, own.layout, own.chunk_size, own.raid_disks, own.table)
        assert np.array_equal(parity_table(without).exponent, parity_table(own).exponent)


def places(zone: Zone, array_offset: int) -> tuple[int, int]:
    role, component_offset = zone.locate(np.array([array_offset], dtype=np.int64))
    return int(role[0]), int(component_offset[0])


def grid(layout: int, raid_disks: int, n_rows: int, n_regions: int) -> Rows:
    """Draw a RAID10 by asking where each of its chunks is, over the first rows of each region."""
    array = Copies(layout, raid_disks, CHUNK, 64 * n_rows * n_regions * CHUNK)
    height = array.stride // CHUNK if n_regions > 1 else 0
    cells: dict[tuple[int, int], int] = {}
    for chunk in range(array.size // CHUNK):
        for role, at in array.places(chunk * CHUNK):
            cells[at // CHUNK, role] = chunk
    rows = [region * height + row for region in range(n_regions) for row in range(n_rows)]
    return tuple(tuple(cells[row, role] for role in range(raid_disks)) for row in rows)


@pytest.mark.parametrize(
    ("layout", "raid_disks", "n_rows", "n_regions"),
    [(0x102, 4, 1, 1), (0x102, 5, 2, 1), (0x103, 5, 3, 1), (0x10201, 4, 2, 1), (0x10201, 5, 2, 1), (0x201, 5, 1, 2)],
)
def test_a_drawn_raid10_is_the_named_one(layout: int, raid_disks: int, n_rows: int, n_regions: int) -> None:
    table = grid(layout, raid_disks, n_rows, n_regions)
    own = Shape(Level.RAID10, "table", CHUNK, raid_disks, table, regions=n_regions if n_regions > 1 else None)
    for n_chunks in (n_rows * n_regions * 7, n_rows * n_regions * 7 + n_regions):
        array = Copies(layout, raid_disks, CHUNK, n_chunks * CHUNK)
        zone = zone_of(own, n_chunks * CHUNK)
        assert own.n_copies == array.near * array.far
        assert array.size - raid_disks * CHUNK <= zone.array_stop <= array.size
        for chunk in range(zone.array_stop // CHUNK):
            expected = array.places(chunk * CHUNK)
            assert places(zone, chunk * CHUNK) in expected
            for role, component_offset in expected:
                assert zone.locate_inverse(role, component_offset) == chunk * CHUNK


def test_a_drawn_raid0_begins_anew_in_each_zone_without_those_that_have_ended() -> None:
    own = Shape(Level.RAID0, "table", CHUNK, 3, ((2, 0, 1), (0, 1, 2)))
    zones = zones_of(own, [CHUNK * 2, CHUNK * 5, CHUNK * 4])
    found = [places(zone, at) for zone in zones for at in range(zone.array_start, zone.array_stop, CHUNK)]
    rows = [(2, 0), (0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2), (1, 2), (1, 3), (2, 3), (1, 4)]
    assert found == [(role, row * CHUNK) for role, row in rows]


@pytest.mark.parametrize(
    ("level", "raid_disks", "table", "beside", "says"),
    [
        ("RAID5", 3, ((0, 1, 2), (1, 2)), {}, "row 1 of the table has 2 entries, but the array 3 roles"),
        ("RAID5", 3, ((0, 1, 2), (1, 2, 1)), {}, "row 1 of the table has role 1 twice"),
        ("RAID5", 3, ((0, 1, 3),), {}, "row 0 of the table has role 3, but the array has the roles 0 to 2"),
        ("RAID5", 3, (), {}, "the table has 0 rows, which cannot be"),
        ("RAID5", 0, ((),), {}, "raid_disks is 0, too few for a raid5"),
        ("RAID5", 1, ((0,),), {}, "raid_disks is 1, too few for a raid5"),
        ("RAID1", 2, ((0, 1),), {}, "a raid1 has only one layout, so there is no table of it"),
        ("RAID5", 3, ((0, 1, 2),), {"exponents": ((0, 1),)}, "exponents are for a raid6: a raid5 has no Q"),
        ("RAID5", 3, ((0, 1, 2),), {"regions": 2}, "regions are for a raid10, not for a raid5"),
        ("RAID6", 4, ((0, 1, 2, 3),), {"exponents": ()}, "exponents has 0 rows, but the table 1"),
        ("RAID6", 4, ((0, 1, 2, 3),), {"exponents": ((5, 5),)}, "row 0 of exponents is [5, 5], not 2 different"),
        ("RAID6", 4, ((0, 1, 2, 3),), {"exponents": ((5, 255),)}, "row 0 of exponents is [5, 255]"),
        ("RAID10", 3, ((0, 0, 1), (1, 3, 3)), {}, "data chunk 2 is not in the table, but later ones are"),
        ("RAID10", 2, ((0, 1), (1, 2)), {}, "data chunk 0 is 1 times in the table; all must be as often"),
        ("RAID10", 2, ((0, -1),), {}, "row 0 of the table has data chunk -1, which cannot be"),
        ("RAID10", 2, ((0, 10**9),), {}, "row 0 of the table has data chunk 1000000000, which cannot be"),
        ("RAID10", 2, ((0, 0),), {"regions": 2}, "regions is 2, but 1 rows are no multiple of it"),
        ("RAID10", 2, ((0, 0),), {"regions": 0}, "regions is 0, but 1 rows are no multiple of it"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be(
    level: str, raid_disks: int, table: Rows, beside: dict[str, Rows | int], says: str
) -> None:
    with pytest.raises(InconsistentDescription) as caught:
        Shape(Level[level], "table", CHUNK, raid_disks, table, **beside)  # type: ignore[arg-type]  # by name
    assert says in str(caught.value)


def test_a_layout_has_a_name_or_a_table() -> None:
    for layout, table in (("left-symmetric", ((0, 1, 2),)), ("table", None)):
        with pytest.raises(InconsistentDescription, match=r"layout is .* there is (a|no) table"):
            Shape(Level.RAID5, layout, CHUNK, 3, table)
    with pytest.raises(InconsistentDescription, match="exponents go with a table, and there is none"):
        Shape(Level.RAID6, "left-symmetric", CHUNK, 4, exponents=((0, 1),))


def test_a_drawn_raid10_is_never_reshaped() -> None:
    own = Shape(Level.RAID10, "table", CHUNK, 4, ((0, 0, 1, 1),))
    assert "not reshaped" in own.obstacle_to(Shape(Level.RAID10, "near=2", CHUNK, 4))
    assert "not reshaped" in Shape(Level.RAID10, "near=2", CHUNK, 4).obstacle_to(own)
