"""CRC-32C has the published check values, and a byte-wise definition gives the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.superblock.crc32c import crc32c, crc32c_rows


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_check_values_with_inversion(data: bytes, value: int) -> None:
    assert crc32c(0xFFFFFFFF, data) ^ 0xFFFFFFFF == value


@given(st.integers(0, 2**32 - 1), st.binary(max_size=40))
def test_is_the_remainder_of_a_polynomial_division(seed: int, data: bytes) -> None:
    crc = seed
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    assert crc32c(seed, data) == crc


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_continues_where_it_stopped(first: bytes, second: bytes) -> None:
    assert crc32c(crc32c(7, first), second) == crc32c(7, first + second)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=8), st.integers(0, 5000))
def test_zeros_at_the_end_are_bytes_like_others(seed: int, data: bytes, n_zeros: int) -> None:
    whole = data + bytes(n_zeros) + b"\1"
    assert crc32c(crc32c(seed, data + bytes(n_zeros)), b"\1") == crc32c(seed, whole)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.binary(min_size=2, max_size=2))
def test_many_at_once_with_seeds_of_their_own(seeds: list[int], data: bytes) -> None:
    rows = np.frombuffer(data * len(seeds), dtype=np.uint8).reshape(len(seeds), 2)
    sums = crc32c_rows(np.array(seeds, dtype=np.uint32), rows)
    assert sums.tolist() == [crc32c(seed, data) for seed in seeds]
