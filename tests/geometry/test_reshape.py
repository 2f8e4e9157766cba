"""The array is cut at the position, and what the cut cannot tell for sure is what the kernel's rule says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from raidfs.geometry.reshape import (
    Side,
    at_risk_bytes,
    lag_limit,
    rows_of_reshape,
    sections_of,
    undecided_by_front,
)
from tests.oracle.at_risk import Reshape, at_risk_data, at_risk_places
from tests.oracle.layouts import Geometry
from tests.oracle.ranges import contains, merged
from tests.support.reshapes import described, furthest, reshapes, windows
from tests.support.simulated import plain_description

K = 1024
THREE, FOUR = Geometry(5, 2, 3, 4 * K), Geometry(5, 2, 4, 4 * K)
COMPONENT = 96 * K
NEW_STRIPE = FOUR.stripe_size
MOVED = dict.fromkeys(range(4), (256 * K, 160 * K))
GROWING = Reshape(THREE, FOUR, COMPONENT, 0, False, MOVED)
SHRINKING = Reshape(FOUR, THREE, COMPONENT, 0, True, dict.fromkeys(range(4), (256 * K, 352 * K)))
IN_PLACE = dict.fromkeys(range(4), (256 * K, 256 * K))


def cuts(reshape: Reshape) -> list[tuple[int, int, Side]]:
    return [(each.array_start, each.array_stop, each.side) for each in sections_of(described(reshape))]


def test_without_a_reshape_there_is_one_section() -> None:
    description = plain_description()
    (section,) = sections_of(description)
    assert (section.array_start, section.array_stop, section.side) == (0, description.size, Side.ONLY)
    assert section.raid_disks == 4
    assert rows_of_reshape(description) is None
    assert not undecided_by_front(description)
    assert not at_risk_bytes(description)
    assert lag_limit(description) == description.size


def test_forward_the_new_geometry_lies_below_the_position() -> None:
    size = GROWING.size
    assert cuts(GROWING) == [(0, size, Side.BEFORE)]
    middle = replace(GROWING, position=5 * NEW_STRIPE)
    assert cuts(middle) == [(0, 5 * NEW_STRIPE, Side.AFTER), (5 * NEW_STRIPE, size, Side.BEFORE)]
    for beyond in (size, size + NEW_STRIPE, FOUR.capacity(COMPONENT)):
        assert beyond % NEW_STRIPE == 0
        assert cuts(replace(GROWING, position=beyond)) == [(0, size, Side.AFTER)]


def test_backward_the_new_geometry_lies_above_the_position() -> None:
    size, stripe = SHRINKING.size, THREE.stripe_size
    assert cuts(SHRINKING) == [(0, size, Side.AFTER)]
    middle = replace(SHRINKING, position=5 * stripe)
    assert cuts(middle) == [(0, 5 * stripe, Side.BEFORE), (5 * stripe, size, Side.AFTER)]
    assert cuts(replace(SHRINKING, position=size)) == [(0, size, Side.BEFORE)]
    assert cuts(replace(SHRINKING, position=size + 2 * stripe)) == [(0, size, Side.BEFORE)]


def test_each_section_has_its_own_geometry() -> None:
    after, before = sections_of(described(replace(GROWING, position=5 * NEW_STRIPE)))
    assert (after.raid_disks, after.zone.stripe_size) == (4, NEW_STRIPE)
    assert (before.raid_disks, before.zone.stripe_size) == (3, THREE.stripe_size)
    assert after.zone.array_start == before.zone.array_start == 0
    assert before.zone.array_stop == THREE.capacity(COMPONENT)


@settings(max_examples=150)
@given(reshapes())
def test_sections_cover_the_array_once(reshape: Reshape) -> None:
    found = cuts(reshape)
    edges = [0, *(stop for _, stop, _ in found)]
    assert [start for start, _, _ in found] == edges[:-1]
    assert edges[-1] == reshape.size
    for start, _, side in found:
        assert (side is Side.AFTER) == (start >= reshape.position if reshape.backwards else start < reshape.position)


@settings(max_examples=200)
@given(reshapes())
def test_the_limit_of_the_lag_is_the_kernels(reshape: Reshape) -> None:
    description = described(reshape)
    limit = furthest(reshape)
    assert lag_limit(description) == limit
    low, high = sorted((reshape.position, limit))
    disks = reshape.after.data_disks
    rows = rows_of_reshape(description)
    assert rows is not None
    assert list(rows.open) == merged([(low // disks, high // disks)])
    for role, (start, stop) in windows(reshape).items():
        assert list(rows.open.shift(reshape.offsets[role][1])) == [(start, stop)]


@settings(max_examples=200)
@given(reshapes())
def test_what_the_oracle_calls_at_risk_is_at_risk(reshape: Reshape) -> None:
    undecided = list(at_risk_bytes(described(reshape)))
    assert all(contains(undecided, start, stop) for start, stop in at_risk_data(reshape))
    if any(at_risk_places(reshape).values()):  # parity counts too
        assert undecided
    ahead = (0, reshape.position) if reshape.backwards else (reshape.position, reshape.size)
    assert all(ahead[0] <= start and stop <= ahead[1] for start, stop in undecided)


@settings(max_examples=100)
@given(reshapes())
def test_where_nothing_is_at_risk_no_old_place_is(reshape: Reshape) -> None:
    description = described(reshape)
    if not at_risk_bytes(description):
        assert not at_risk_places(reshape)
        assert not at_risk_data(reshape)


@settings(max_examples=100)
@given(reshapes())
def test_rewritten_rows_are_those_behind_the_position(reshape: Reshape) -> None:
    front = reshape.position // reshape.after.data_disks
    expected = (front, reshape.component_size) if reshape.backwards else (0, front)
    rows = rows_of_reshape(described(reshape))
    assert rows is not None
    assert list(rows.written) == merged([expected])


def test_a_growth_in_place_has_its_known_critical_section() -> None:
    in_place = replace(GROWING, offsets=IN_PLACE)
    description = described(in_place)
    assert lag_limit(description) == 15 * THREE.chunk  # observed: 15 chunks from position 0 for 3 -> 4 members
    assert at_risk_bytes(description)


@pytest.mark.parametrize("units", [-2, 2])
def test_a_change_of_layout_in_place_is_never_sure(units: int) -> None:
    backwards = units < 0
    relaid = Reshape(FOUR, replace(FOUR, layout=1), COMPONENT, 4 * NEW_STRIPE, backwards, IN_PLACE)
    assert lag_limit(described(relaid)) == (0 if backwards else relaid.size)


def test_members_that_are_missing_do_not_count() -> None:
    description = described(replace(GROWING, position=5 * NEW_STRIPE))
    empty = replace(description, members=())
    assert lag_limit(empty) >= 5 * NEW_STRIPE
    assert not at_risk_bytes(empty)


def test_a_limit_far_ahead_is_found() -> None:
    """More than 2**16 steps of the kernel's loop away."""
    offsets = dict.fromkeys(range(4), (1 << 30, (1 << 30) + 40000 * FOUR.chunk))
    growing = Reshape(THREE, FOUR, 140_000 * FOUR.chunk, 4 * NEW_STRIPE, False, offsets)
    assert (1 << 16) * NEW_STRIPE < furthest(growing) < FOUR.capacity(growing.component_size)
    assert lag_limit(described(growing)) == furthest(growing)
