"""The 64-bit xxHash."""

from __future__ import annotations

import pytest

from raidfs.filesystem.xxh64 import xxh64


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_known_values(data: bytes, value: int) -> None:
    assert xxh64(data) == value.to_bytes(8, "little")
