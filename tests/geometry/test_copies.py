"""Every table of copies and stripes without parity says what the kernel's formulas say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.shape import CopiesLayout, FarSets, Level, Shape, layout_name, shape_of
from raidfs.errors import GeometryError, InconsistentDescription
from raidfs.geometry.geometry import zones_of
from raidfs.geometry.plain import layouts_differ
from raidfs.geometry.zone import UNUSED
from tests.oracle.copies import Raid10, concatenated, striped

CHUNK = 4096
ROWS = 24


def layouts(n: int) -> list[int]:
    """Every layout number that could be meant for n members, with up to four copies each way."""
    found = []
    for near in range(1, 5):
        for far in range(1, 5):
            for is_offset in (0, 1):
                for far_sets in (0, 1, 2):
                    if 2 <= near * far <= n and not (far == 1 and (is_offset or far_sets)):
                        found.append(near | far << 8 | is_offset << 16 | far_sets << 17)
    return found


def collides(oracle: Raid10) -> bool:
    """Whether the kernel's own formula puts two things in one place."""
    places = [place for chunk in range(oracle.n_chunks) for place in oracle.copies(chunk)]
    return len(set(places)) < len(places)


@pytest.mark.parametrize("n", range(2, 17))
def test_every_copy_is_where_the_kernel_puts_it(n: int) -> None:
    seen = 0
    for layout in layouts(n):
        oracle = Raid10(layout, n, CHUNK, ROWS * CHUNK)
        shape = shape_of(10, layout, CHUNK, n)
        sizes = [ROWS * CHUNK] * n
        if collides(oracle):
            with pytest.raises(GeometryError):
                zones_of(shape, sizes)
            continue
        (zone,) = zones_of(shape, sizes)
        assert zone.array_stop == oracle.n_chunks * CHUNK
        for chunk in range(oracle.n_chunks):
            number = chunk % zone.table.period
            places = [
                (int(zone.table.role[number, cell]), zone.cell_offset(chunk, cell)) for cell in range(zone.table.width)
            ]
            assert places == oracle.copies(chunk)
            for role, component in places:
                assert zone.locate_inverse(role, component + 17) == chunk * CHUNK + 17
            seen += 1
        offsets = np.arange(0, zone.array_stop, CHUNK, dtype=np.int64)
        roles, components = zone.locate(offsets)
        firsts = [oracle.copies(chunk)[0] for chunk in range(oracle.n_chunks)]
        assert list(zip(roles.tolist(), components.tolist(), strict=True)) == firsts
    assert seen


@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_what_no_copy_uses_is_unused(n: int) -> None:
    for layout in layouts(n):
        oracle = Raid10(layout, n, CHUNK, ROWS * CHUNK)
        if collides(oracle):
            continue
        (zone,) = zones_of(shape_of(10, layout, CHUNK, n), [ROWS * CHUNK] * n)
        held = {place for chunk in range(oracle.n_chunks) for place in oracle.copies(chunk)}
        for role in range(n):
            for row in range(ROWS + 2):
                is_held = (role, row * CHUNK) in held
                assert (zone.locate_inverse(role, row * CHUNK) != UNUSED) == is_held


@settings(max_examples=200)
@given(st.data(), st.sampled_from([1, 2]), st.sampled_from([512, 4096, 12288]))
def test_zones_are_the_kernels(data: st.DataObject, layout: int, chunk: int) -> None:
    sizes = data.draw(st.lists(st.integers(1, 12).map(lambda n: n * chunk), min_size=1, max_size=6))
    sizes = [size + data.draw(st.integers(0, chunk - 1)) // 512 * 512 for size in sizes]
    shape = shape_of(0, layout, chunk, len(sizes))
    zones = zones_of(shape, sizes)
    assert zones[0].array_start == 0
    assert zones[-1].array_stop == shape.array_size(sizes) == sum(size // chunk * chunk for size in sizes)
    for zone in zones:
        offsets = np.arange(zone.array_start, zone.array_stop, 512, dtype=np.int64)
        roles, components = zone.locate(offsets)
        for offset, role, component in zip(offsets.tolist(), roles.tolist(), components.tolist(), strict=True):
            assert (role, component) == striped(sizes, chunk, layout, offset)
            assert zone.locate_inverse(role, component) == offset


@settings(max_examples=100)
@given(st.lists(st.integers(1, 9).map(lambda n: n * 4096), min_size=1, max_size=6))
def test_where_the_two_raid0_layouts_differ(sizes: list[int]) -> None:
    told = layouts_differ(shape_of(0, 0, 4096, len(sizes)), sizes)
    differing = [
        offset
        for offset in range(0, sum(sizes), 4096)
        if striped(sizes, 4096, 1, offset) != striped(sizes, 4096, 2, offset)
    ]
    assert (told is None) == (not differing)
    if told is not None:
        assert told[0] <= differing[0] <= differing[-1] < told[1]


@settings(max_examples=100)
@given(st.lists(st.integers(1, 40).map(lambda n: n * 512), min_size=1, max_size=6), st.sampled_from([0, 512, 4096]))
def test_members_of_a_linear_array_follow_each_other(sizes: list[int], rounding: int) -> None:
    shape = Shape(Level.LINEAR, "concatenated", rounding, len(sizes))
    if not shape.array_size(sizes):
        return
    for zone in zones_of(shape, sizes):
        for offset in (zone.array_start, zone.array_stop - 1):
            roles, components = zone.locate(np.array([offset], dtype=np.int64))
            assert (int(roles[0]), int(components[0])) == concatenated(sizes, rounding, offset)
            assert zone.locate_inverse(int(roles[0]), int(components[0])) == offset


def test_every_member_of_a_mirror_holds_everything() -> None:
    (zone,) = zones_of(Shape(Level.RAID1, "mirrored", 0, 3), [99 * 512] * 3)
    for role in range(3):
        for offset in (0, 5000, 99 * 512 - 1):
            assert zone.locate_inverse(role, offset) == offset
        assert zone.locate_inverse(role, 99 * 512) == UNUSED


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x102, "near=2"),
        (0x103, "near=3"),
        (0x201, "far=2"),
        (0x301, "far=3"),
        (0x10201, "offset=2"),
        (0x202, "near=2, far=2"),
        (0x20201, "far=2, buggy far sets"),
        (0x40201, "far=2, far sets"),
        (0x101, "near=1"),
    ],
)
def test_names_and_numbers_of_raid10_layouts(number: int, name: str) -> None:
    copies = CopiesLayout.from_number(number)
    assert copies is not None
    assert (copies.name, copies.number) == (name, number)
    assert CopiesLayout.from_name(name) == copies
    assert layout_name(Level.RAID10, number) == name


@pytest.mark.parametrize("number", [0, 0x100, 0x002, 0x80102, -1, 0x60201])
def test_numbers_that_are_no_layout(number: int) -> None:
    assert CopiesLayout.from_number(number) is None


@given(st.text(alphabet="nearfofset=, 0123456789buggy ", max_size=20))
def test_any_name_is_a_layout_or_none(name: str) -> None:
    found = CopiesLayout.from_name(name)
    assert found is None or found.name == name


def test_more_copies_than_members_cannot_be() -> None:
    with pytest.raises(InconsistentDescription, match=r"a raid10 \(near=3\) of 2 members cannot be"):
        Shape(Level.RAID10, "near=3", CHUNK, 2)


def test_far_sets_may_put_copies_on_one_member() -> None:
    shape = Shape(Level.RAID10, CopiesLayout(1, 2, far_sets=FarSets.BUGGY).name, CHUNK, 3)
    try:
        (zone,) = zones_of(shape, [ROWS * CHUNK] * 3)
    except GeometryError:
        return
    assert zone.table.has_copies_on_one_role
