"""CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) as the kernel's `crc32c_le`: no inversion before or after."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78


def crc32c(seed: int, data: bytes) -> int:
    """Return the CRC of `data`, continued from `seed`.

    The standard checksum is `crc32c(0xffffffff, data) ^ 0xffffffff`.
    """
    crc = seed
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def _remainder(byte: int) -> int:
    """Return the CRC of one byte from seed 0."""
    for _bit in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_remainder(byte) for byte in range(256))
