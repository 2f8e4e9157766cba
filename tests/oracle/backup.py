"""mdadm's backup of a reshape, written anew from its description (`Grow.c: struct mdp_backup_super`, `bsb_csum`)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SECTOR = 512
AHEAD = 4096
"""Where the data of a file begin [bytes]."""


def checksum(covered: bytes) -> int:
    """Mdadm's sum: each round adds the first byte, whatever follows it."""
    total = 0
    for _ in covered:
        total = (total << 3) + covered[0] & 0xFFFFFFFF
    return total


def header(
    array_uuid: bytes, parts: Sequence[tuple[int, int]], starts: Sequence[int], mtime: int = 1_600_000_000
) -> bytes:
    """Write the header.

    Args:
        array_uuid: 16 bytes, as the superblock has them.
        parts: (start, length) on the array, one or two [bytes].
        starts: where the copy of each begins [bytes].
        mtime: when [seconds].
    """
    (start, length), *more = parts
    magic = b"md_backup_data-2" if more else b"md_backup_data-1"
    first = struct.pack("<16s16s4Q", magic, array_uuid, mtime, *(n // SECTOR for n in (starts[0], start, length)))
    first += struct.pack("<II", checksum(first), 0)
    second = [(starts[1] - starts[0]) // SECTOR, *(n // SECTOR for n in more[0])] if more else [length // SECTOR, 0, 0]
    whole = first + struct.pack("<3Q", *second)
    return (whole + struct.pack("<I", checksum(whole) if more else 0)).ljust(SECTOR, b"\0")


def backup_file(array_uuid: bytes, parts: Sequence[tuple[int, bytes]], mtime: int = 1_600_000_000) -> bytes:
    """Write a backup file; parts: (start on the array [bytes], content)."""
    starts = [AHEAD, AHEAD + len(parts[0][1])]
    head = header(array_uuid, [(start, len(content)) for start, content in parts], starts, mtime)
    return head.ljust(AHEAD, b"\0") + b"".join(content for _, content in parts)


def put_on_member(image: bytearray, end: int, array_uuid: bytes, content: bytes, *, given_up: bool = False) -> None:
    """Write the backup of a growing array onto a disk that was added.

    Args:
        image: of the disk.
        end: of its component [bytes].
        array_uuid: as for `header`.
        content: of the array, from its start on.
        given_up: as mdadm leaves it when it is not needed any more.
    """
    start = end - 8 * SECTOR - len(content)
    head = header(array_uuid, [(0, len(content))], [start])
    image[start : start + len(content)] = content
    image[end - 8 * SECTOR : end - 7 * SECTOR] = head
    if given_up:
        head = header(array_uuid, [(0, 0)], [start], mtime=1_600_000_060)
        head = head[:72] + struct.pack("<Q", len(content) // SECTOR) + head[80:]
    image[start - 8 * SECTOR : start - 7 * SECTOR] = head
