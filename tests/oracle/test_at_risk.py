"""The kernel's rule on known reshapes: when mdadm moves the data nothing is at risk, in place the start is."""

from __future__ import annotations

from tests.oracle.at_risk import Reshape, at_risk_data, at_risk_places, furthest_progress, overwritten
from tests.oracle.layouts import Geometry

K = 1024
THREE, FOUR = Geometry(5, 2, 3, 64 * K), Geometry(5, 2, 4, 64 * K)
SIZE = 64 * 64 * K


def reshape(
    before: Geometry, after: Geometry, position: int, move: int, *, backwards: bool = False, start: int = 1 << 20
) -> Reshape:
    roles = max(before.raid_disks, after.raid_disks)
    return Reshape(before, after, SIZE, position, backwards, dict.fromkeys(range(roles), (start, start + move)))


def test_in_place_growth_may_lag_fifteen_chunks_at_the_start() -> None:
    grow = reshape(THREE, FOUR, 0, 0)
    assert furthest_progress(grow) == 15 * 64 * K
    assert at_risk_data(grow) == [(0, 10 * 64 * K)]  # five rows of two data chunks


def test_growth_with_moved_data_risks_nothing() -> None:
    for position in range(0, 40 * FOUR.stripe_size, FOUR.stripe_size):
        grow = reshape(THREE, FOUR, position, -6 * 64 * K)
        assert at_risk_places(grow) == {}
        assert at_risk_data(grow) == []


def test_shrink_mirrors_growth() -> None:
    shrink = reshape(FOUR, THREE, THREE.capacity(SIZE), 6 * 64 * K, backwards=True)
    assert furthest_progress(shrink) < shrink.position
    assert at_risk_places(shrink) == {}
    near_the_end = reshape(FOUR, THREE, 6 * 64 * K, 0, backwards=True)
    assert furthest_progress(near_the_end) == 0
    assert at_risk_data(near_the_end) == [(0, 3 * 64 * K), (4 * 64 * K, 6 * 64 * K)]  # chunk 3 lies on role 3


def test_in_place_with_as_many_members_never_insists() -> None:
    doubled = Geometry(5, 2, 4, 128 * K)
    change = reshape(FOUR, doubled, 0, 0)
    assert furthest_progress(change) == FOUR.capacity(SIZE)
    assert at_risk_data(change) == [(0, FOUR.capacity(SIZE))]


def test_a_role_that_the_new_geometry_lacks_is_never_written() -> None:
    shrink = reshape(FOUR, THREE, 6 * 64 * K, 0, backwards=True)
    assert set(overwritten(shrink)) == {0, 1, 2}
    assert set(at_risk_places(shrink)) == {0, 1, 2}


def test_only_the_worst_move_counts() -> None:
    offsets = dict.fromkeys(range(3), (1 << 20, (1 << 20) - 6 * 64 * K)) | {3: (1 << 20, 1 << 20)}
    mixed = Reshape(THREE, FOUR, SIZE, 0, backwards=False, offsets=offsets)
    assert furthest_progress(mixed) == 15 * 64 * K
