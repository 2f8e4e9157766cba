"""Extents behave like sets of integers, and have one form for each set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.extents import Extents

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])))
EXTENTS = RANGES.map(Extents)


def naive(ranges: Extents | list[tuple[int, int]]) -> set[int]:
    return {byte for start, stop in ranges for byte in range(start, stop)}


@given(RANGES)
def test_holds_the_bytes_of_its_ranges(ranges: list[tuple[int, int]]) -> None:
    extents = Extents(ranges)
    assert naive(extents) == naive(ranges)
    assert extents.total == len(naive(ranges))
    assert bool(extents) == bool(naive(ranges))


@given(RANGES)
def test_equal_sets_have_equal_arrays_and_hashes(ranges: list[tuple[int, int]]) -> None:
    one, other = Extents(ranges), Extents([(byte, byte + 1) for byte in naive(ranges)])
    assert one == other
    assert np.array_equal(one.array, other.array)
    assert hash(one) == hash(other)


@given(RANGES)
def test_is_sorted_and_neither_touches_nor_overlaps(ranges: list[tuple[int, int]]) -> None:
    array = Extents(ranges).array
    assert array.dtype == np.int64
    assert array.shape == (len(array), 2)
    assert (array[:, 0] < array[:, 1]).all()
    assert (array[:-1, 1] < array[1:, 0]).all()


@given(RANGES, RANGES, RANGES)
def test_combines_like_sets(
    first: list[tuple[int, int]], second: list[tuple[int, int]], third: list[tuple[int, int]]
) -> None:
    a, b, c = Extents(first), Extents(second), Extents(third)
    assert naive(a.union(b, c)) == naive(first) | naive(second) | naive(third)
    assert naive(a.intersection(b)) == naive(first) & naive(second)
    assert naive(a.difference(b)) == naive(first) - naive(second)


@given(EXTENTS, st.integers(0, 80), st.integers(0, 80))
def test_clips_and_asks_like_a_set(extents: Extents, start: int, stop: int) -> None:
    window = set(range(start, stop))
    assert naive(extents.clip(start, stop)) == naive(extents) & window
    assert extents.contains(start, stop) == (window <= naive(extents))
    assert extents.overlaps(start, stop) == bool(window & naive(extents))


@given(EXTENTS, st.integers(-100, 100))
def test_shifts_every_byte(extents: Extents, by: int) -> None:
    assert naive(extents.shift(by)) == {byte + by for byte in naive(extents)}
    assert extents.shift(by).shift(-by) == extents


@given(EXTENTS)
def test_boundaries_are_starts_and_stops_in_order(extents: Extents) -> None:
    assert extents.boundaries().tolist() == [edge for pair in extents for edge in pair]
    assert len(extents) == len(list(extents))


def test_a_span_is_empty_where_it_ends_before_it_starts() -> None:
    assert Extents.span(3, 9) == Extents([(3, 9)])
    assert Extents.span(9, 3) == Extents()


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        Extents([(5, 4)])


def test_cannot_be_changed() -> None:
    extents = Extents(np.array([[1, 2]], dtype=np.int64))
    with pytest.raises(ValueError, match="read-only"):
        extents.array[0, 0] = 0


def test_does_not_follow_the_array_that_it_was_made_from() -> None:
    ranges = np.array([[1, 2], [5, 9]], dtype=np.int64)
    extents = Extents(ranges)
    ranges[:] = 0
    assert extents == Extents([(1, 2), (5, 9)])


def test_shows_its_ranges_and_is_no_other_type() -> None:
    assert repr(Extents([(1, 2)])) == "Extents([(1, 2)])"
    assert Extents() != 0


def test_holds_positions_beyond_32_bits() -> None:
    assert Extents([(2**40, 2**62)]).total == 2**62 - 2**40
