"""Sizes are read as users write them and printed as they know them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.errors import UsageError
from raidfs.units import align_down, align_up, format_numbers, format_offset, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("64K", 65536),
        ("64k", 65536),
        ("64KiB", 65536),
        ("64 kb", 65536),
        (" 1M ", 1 << 20),
        ("3G", 3 << 30),
        ("2T", 2 << 40),
        ("1P", 1 << 50),
        ("2048s", 1 << 20),
        ("8S", 4096),
        ("0x1000", 4096),
        ("0X10", 16),
        ("0x10s", 8192),
        ("7b", 7),
    ],
)
def test_reads_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5M", "1Q", "0x", "1 2", "0xg", "ten", "64K-"])
def test_refuses_what_is_no_size_and_says_what_is_one(text: str) -> None:
    with pytest.raises(UsageError, match="is no size; write bytes"):
        parse_size(text)


@given(st.integers(0, 2**64))
def test_reads_back_every_number_of_bytes(size: int) -> None:
    assert parse_size(str(size)) == parse_size(hex(size)) == size


@given(st.integers(0, 2**60))
def test_prints_a_number_that_is_right_to_two_places(size: int) -> None:
    number, unit = format_size(size).split()
    scale = 1 if unit == "bytes" else parse_size(f"1{unit}")
    assert abs(float(number) * scale - size) <= 0.005 * scale * (scale > 1)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 30, "1 GiB"), (-65536, "-64 KiB")],
)
def test_prints_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("offset", "text"),
    [(0, "0 bytes (sector 0)"), (4096, "4096 bytes (sector 8)"), (700, "700 bytes (sector 1 + 188)")],
)
def test_prints_offsets_in_bytes_and_sectors(offset: int, text: str) -> None:
    assert format_offset(offset) == text


@given(st.integers(0, 10**12), st.integers(1, 10**6))
def test_aligns_to_the_nearest_multiple_on_each_side(value: int, unit: int) -> None:
    down, up = align_down(value, unit), align_up(value, unit)
    assert down % unit == up % unit == 0
    assert down <= value <= up
    assert value - down < unit
    assert up - value < unit


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([], ""),
        ([3], "3"),
        ([0, 1, 2], "0, 1, 2"),
        ([0, 1, 2, 3, 5, 7, 8], "0-3, 5, 7, 8"),
        ([4, *range(9, 400)], "4, 9-399"),
    ],
)
def test_runs_of_numbers_are_told_by_their_ends(numbers: list[int], told: str) -> None:
    assert format_numbers(numbers) == told
