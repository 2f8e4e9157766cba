"""CRC-32C by its definition, bit by bit."""

from __future__ import annotations


def crc32c(seed: int, data: bytes) -> int:
    """The remainder, continued from `seed`; nothing is inverted."""
    for byte in data:
        seed ^= byte
        for _bit in range(8):
            seed = seed >> 1 ^ 0x82F63B78 * (seed & 1)
    return seed


def standard(data: bytes) -> int:
    """The checksum as most formats have it: inverted before and after."""
    return crc32c(0xFFFFFFFF, data) ^ 0xFFFFFFFF
