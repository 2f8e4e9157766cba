"""The memory source keeps the contract; requests are checked; reading exactly returns what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource, check_requests, one_request, read_exact
from raidfs.extents import Extents
from tests.support.contract import assert_contract
from tests.support.superblocks import PlacedSource

DATA = bytes(range(256)) * 5


@pytest.mark.parametrize("losses", [Extents(), Extents([(0, 1)]), Extents([(3, 700), (900, 901), (1270, 1280)])])
def test_memory_source_keeps_the_contract(losses: Extents) -> None:
    assert_contract(MemorySource(DATA, losses), DATA, losses)


def test_memory_source_of_one_byte_keeps_the_contract() -> None:
    assert_contract(MemorySource(b"x"), b"x")
    assert_contract(MemorySource(b"x", Extents([(0, 1)])), b"x", Extents([(0, 1)]))


def test_source_with_bytes_at_places_keeps_the_contract() -> None:
    losses = Extents([(10, 30), (290, 310)])
    truth = bytes(20) + DATA[:100] + bytes(180) + b"end"
    assert_contract(PlacedSource(303, {20: DATA[:100], 300: b"end"}, losses.clip(0, 303)), truth, losses.clip(0, 303))


@given(st.integers(-5, 30), st.integers(-5, 30), st.integers(-5, 30))
def test_a_request_is_refused_exactly_when_it_leaves_source_or_buffer(offset: int, length: int, position: int) -> None:
    fits = length >= 0 and 0 <= offset <= 20 - length and 0 <= position <= 10 - length
    requests = np.array([[offset, length, position]], dtype=np.int64)
    if fits:
        check_requests(requests, 20, 10)
    else:
        with pytest.raises(ValueError, match="outside"):
            check_requests(requests, 20, 10)


def test_the_first_bad_request_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[7, 8, 0\]"):
        check_requests(np.array([[0, 1, 0], [7, 8, 0]], dtype=np.int64), 10, 100)


def test_one_request_goes_to_the_start_of_the_buffer() -> None:
    assert one_request(5, 7).tolist() == [[5, 7, 0]]


def test_read_exact_tells_what_is_lost_within_what_it_read() -> None:
    source = MemorySource(b"abcdef", Extents([(2, 4)]))
    assert read_exact(source, 1, 4) == (b"b\0\0e", Extents([(1, 3)]))
    assert read_exact(source, 6, 0) == (b"", Extents())
