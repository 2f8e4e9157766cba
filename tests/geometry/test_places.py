"""Arrays without parity: every table and zone says what the kernel's formulas say, and the inverse inverts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.shape import Shape, shape_of
from raidfs.errors import GeometryError, InconsistentDescription
from raidfs.geometry.doubts import differing
from raidfs.geometry.geometry import zones_of
from raidfs.geometry.zone import UNUSED, Zone
from tests.oracle.places import ALTERNATE, ORIGINAL, Copies, Linear, Mirrored, Place, Placement, Striped

CHUNK = 512
DISKS = range(2, 17)


def shape(placement: Placement) -> Shape:
    return shape_of(placement.level, placement.layout, placement.chunk, placement.raid_disks)


def cells_of(zone: Zone, array_offset: int) -> list[Place]:
    """All places of an array byte, as the table has them."""
    stripe, rest = divmod(array_offset - zone.array_start, zone.stripe_size)
    symbol, inside = divmod(rest, zone.chunk_size)
    row = stripe % zone.table.period
    return [
        (int(zone.table.role[row, cell]), zone.cell_offset(stripe, cell) + inside)
        for cell in np.flatnonzero(zone.table.symbol[row] == symbol).tolist()
    ]


def assert_agree(placement: Placement, component_sizes: list[int], step: int) -> None:
    """Compare every `step`-th byte of the array, and what every `step`-th byte of the members holds."""
    zones = zones_of(shape(placement), component_sizes)
    assert [zone.array_start for zone in zones] == [0, *(zone.array_stop for zone in zones[:-1])]
    assert zones[-1].array_stop == placement.size == shape(placement).array_size(component_sizes)
    held: dict[Place, int] = {}
    for zone in zones:
        offsets = range(zone.array_start + step // 2, zone.array_stop, step)
        located = zip(*(each.tolist() for each in zone.locate(np.array(offsets))), strict=True)
        for offset, own in zip(offsets, located, strict=True):
            expected = placement.places(offset)
            assert cells_of(zone, offset) == expected
            assert own == expected[0]
            held |= dict.fromkeys(expected, offset)
    for role, size in enumerate(component_sizes):
        for component_offset in range(step // 2, size, step):
            found = [zone.locate_inverse(role, component_offset) for zone in zones]
            told = held.get((role, component_offset))
            assert [each for each in found if each != UNUSED] == ([] if told is None else [told])


def every_raid10(raid_disks: int) -> Iterator[Copies]:
    """All layouts with up to four near and four far copies, also those that mdadm does not make."""
    for near in range(1, 5):
        for far in range(1, 5):
            for variant in (0, 1, 2) if far > 1 else (0,):
                for offset in (0, 1) if far > 1 else (0,):
                    if 1 < near * far <= raid_disks:
                        n_rows = far * (near + 1)  # more than a period
                        number = near | far << 8 | offset << 16 | variant << 17
                        yield Copies(number, raid_disks, CHUNK, n_rows * CHUNK + 100)


def collides(array: Copies) -> bool:
    """Whether the kernel would put two chunks, or two copies of one, on one place."""
    rows = array.raid_disks * array.near * array.far
    longer = Copies(array.layout, array.raid_disks, array.chunk, array.chunk * rows)
    places = [place for offset in range(0, longer.size, CHUNK) for place in longer.places(offset)]
    return len(set(places)) < len(places)


@pytest.mark.parametrize("raid_disks", DISKS)
def test_raid10_is_the_kernels_or_is_refused_where_that_collides(raid_disks: int) -> None:
    n_refused = 0
    for array in every_raid10(raid_disks):
        sizes = [array.component_size] * raid_disks
        if collides(array):
            n_refused += 1
            assert array.near > 1 or array.layout >> 17, "one that mdadm makes"
            with pytest.raises(GeometryError, match="layout"):
                zones_of(shape(array), sizes)
        else:
            assert_agree(array, sizes, CHUNK)
    assert n_refused or raid_disks not in (5, 7, 11, 13)


@settings(max_examples=100)
@given(st.data(), st.sampled_from([0x102, 0x103, 0x201, 0x10201, 0x40201, 0x50301]), st.integers(4, 16))
def test_huge_arrays(data: st.DataObject, layout: int, raid_disks: int) -> None:
    array = Copies(layout, raid_disks, 1 << 19, (1 << 44) + 12_345)
    (zone,) = zones_of(shape(array), [array.component_size] * raid_disks)
    for offset in data.draw(st.lists(st.integers(0, array.size - 1), min_size=1, max_size=20)):
        assert cells_of(zone, offset) == array.places(offset)
        (role,), (component_offset,) = zone.locate(np.array([offset]))
        assert (role, component_offset) == array.places(offset)[0]
        assert {zone.locate_inverse(*place) for place in array.places(offset)} == {offset}


@pytest.mark.parametrize("raid_disks", DISKS)
def test_two_copies_on_one_member_are_noticed(raid_disks: int) -> None:
    for array in every_raid10(raid_disks):
        if not collides(array):
            (zone,) = zones_of(shape(array), [array.component_size] * raid_disks)
            places = (array.places(offset) for offset in range(0, array.size, CHUNK))
            doubled = any(len({role for role, _ in each}) < len(each) for each in places)
            assert zone.table.has_copies_on_one_role == doubled


@pytest.mark.parametrize("raid_disks", DISKS)
def test_raid1(raid_disks: int) -> None:
    array = Mirrored(raid_disks, 10_240)
    assert_agree(array, [array.size] * raid_disks, 1024)
    (zone,) = zones_of(shape(array), [array.size] * raid_disks)
    assert zone.chunk_size == array.size, "no artificial chunks"


def sizes_of(raid_disks: int, seed: int) -> tuple[int, ...]:
    """Members of few different sizes, in no order, none a whole number of chunks."""
    return tuple(CHUNK * (2 + (seed * 5 + role * role * 3) % 4) + 7 * role for role in range(raid_disks))


@pytest.mark.parametrize("layout", [ORIGINAL, ALTERNATE])
@pytest.mark.parametrize("raid_disks", [1, *DISKS])
def test_raid0(raid_disks: int, layout: int) -> None:
    for seed in range(4):
        array = Striped(sizes_of(raid_disks, seed), CHUNK, layout)
        assert_agree(array, list(array.sizes), CHUNK)
    equal = Striped((5 * 1536,) * raid_disks, 1536, layout)  # the chunk need not be a power of two
    assert_agree(equal, list(equal.sizes), 512)
    assert len(zones_of(shape(equal), equal.sizes)) == 1


@pytest.mark.parametrize("raid_disks", [1, *DISKS])
def test_where_the_two_layouts_of_raid0_differ(raid_disks: int) -> None:
    for seed in range(8):
        sizes = sizes_of(raid_disks, seed)
        one, other = Striped(sizes, CHUNK, ORIGINAL), Striped(sizes, CHUNK, ALTERNATE)
        moved = [at for at in range(0, one.size, CHUNK) if one.places(at) != other.places(at)]
        found = differing(shape(one), shape(other), sizes)
        assert all(found.contains(at, at + CHUNK) for at in moved)
        assert bool(found) == bool(moved)
        if moved:
            (first, _), last = next(iter(found)), int(found.array[-1, 1])
            assert first <= moved[0]
            assert last >= moved[-1] + CHUNK


@pytest.mark.parametrize("rounding", [0, 4096])
@pytest.mark.parametrize("raid_disks", [1, *DISKS])
def test_linear(raid_disks: int, rounding: int) -> None:
    array = Linear(tuple(4096 + 1024 * (role * 7 % 5) for role in range(raid_disks)), rounding)
    assert_agree(array, list(array.sizes), 512)
    assert len(zones_of(shape(array), array.sizes)) == raid_disks


def test_a_member_too_small_for_a_chunk_gives_nothing() -> None:
    for array in (Striped((CHUNK * 3, CHUNK - 1, CHUNK * 2), CHUNK), Linear((8192, 4095, 4096), 4096)):
        assert_agree(array, list(array.sizes), 64)


@pytest.mark.parametrize(
    ("level", "layout", "raid_disks"),
    [(10, 0x103, 2), (10, 0x303, 8), (10, 0x201, 1), (10, 0x101, 4), (1, 0, 0), (0, 2, 0), (-1, 0, 0)],
)
def test_what_cannot_be_is_refused(level: int, layout: int, raid_disks: int) -> None:
    with pytest.raises(InconsistentDescription, match=f"raid_disks is {raid_disks}, too few|copies"):
        shape_of(level, layout, CHUNK, raid_disks)


@pytest.mark.parametrize(("layout", "n_chunks"), [(0x102, 0), (0x201, 1), (0x10301, 2)])
def test_a_component_too_small_for_all_copies_is_refused(layout: int, n_chunks: int) -> None:
    with pytest.raises(GeometryError, match="does not hold"):
        zones_of(shape_of(10, layout, CHUNK, 4), [n_chunks * CHUNK + 100] * 4)
