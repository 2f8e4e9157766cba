"""The oracle's address maps prove themselves: cells disjoint, inverse inverts, the documented examples come out."""

from __future__ import annotations

import pytest

from tests.oracle.layouts import LAYOUT_NAMES, Geometry, inverse, locate

SHAPES = [
    (level, layout, raid_disks)
    for level, names in LAYOUT_NAMES.items()
    for layout in names
    for raid_disks in range(4 if level == 6 else 3, 9)
]


@pytest.mark.parametrize(("level", "layout", "raid_disks"), SHAPES)
def test_inverse_inverts(level: int, layout: int, raid_disks: int) -> None:
    geometry = Geometry(level, layout, raid_disks, 8)
    for offset in range(0, 4 * raid_disks * geometry.stripe_size, 5):
        assert inverse(geometry, *locate(geometry, offset)) == offset


@pytest.mark.parametrize(("level", "layout", "raid_disks"), SHAPES)
def test_every_cell_holds_one_thing(level: int, layout: int, raid_disks: int) -> None:
    geometry = Geometry(level, layout, raid_disks, 8)
    rows = 3 * raid_disks
    held = [inverse(geometry, role, row * 8) for row in range(rows) for role in range(raid_disks)]
    data = sorted(offset for offset in held if isinstance(offset, int))
    assert data == list(range(0, rows * geometry.stripe_size, 8))
    assert held.count("P") == rows
    assert held.count("Q") == (rows if level == 6 else 0)


@pytest.mark.parametrize(("level", "layout", "raid_disks"), [shape for shape in SHAPES if shape[0] == 6])
def test_exponents_are_distinct(level: int, layout: int, raid_disks: int) -> None:
    for row in range(2 * raid_disks):
        stripe = Geometry(level, layout, raid_disks, 8).stripe(row)
        assert len({*stripe.exponent}) == raid_disks - 2
        if layout in (8, 9, 10):
            assert stripe.exponent == stripe.data
        else:
            assert sorted(stripe.exponent) == list(range(raid_disks - 2))


def test_left_symmetric_examples() -> None:
    raid5 = [Geometry(5, 2, 5, 1).stripe(row) for row in range(3)]
    assert [(s.data, s.p) for s in raid5] == [((0, 1, 2, 3), 4), ((4, 0, 1, 2), 3), ((3, 4, 0, 1), 2)]
    raid6 = [Geometry(6, 2, 5, 1).stripe(row) for row in range(3)]
    assert [(s.data, s.p, s.q) for s in raid6] == [((1, 2, 3), 4, 0), ((0, 1, 2), 3, 4), ((4, 0, 1), 2, 3)]


def test_left_asymmetric_raid6_counts_exponents_from_behind_q() -> None:
    stripe = Geometry(6, 0, 5, 1).stripe(2)
    assert (stripe.p, stripe.q, stripe.data, stripe.exponent) == (2, 3, (0, 1, 4), (1, 2, 0))
