"""CRC-32C by its definition."""

from __future__ import annotations


def _of_byte(value: int) -> int:
    for _bit in range(8):
        value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value


_OF_BYTE = [_of_byte(value) for value in range(256)]


def crc32c(seed: int, data: bytes) -> int:
    """The remainder, continued from `seed`; nothing is inverted."""
    for byte in data:
        seed = _OF_BYTE[seed & 0xFF ^ byte] ^ seed >> 8
    return seed


def standard(data: bytes) -> int:
    """The checksum as most formats have it: inverted before and after."""
    return crc32c(0xFFFFFFFF, data) ^ 0xFFFFFFFF
