"""CRC-32C has the published check values, and a byte-wise definition gives the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.superblock.crc32c import crc32c


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
