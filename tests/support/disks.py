"""Whole disks with partition tables, written by the formats' definitions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slice:
    """A partition to be.

    Attributes:
        start, length: in sectors. content: its first bytes.
    """

    start: int
    length: int
    content: bytes = b""


def gpt_disk(slices: Sequence[Slice], n_sectors: int, sector: int = 512) -> bytearray:
    """Return a disk with a protective MBR, a GPT and its backup."""
    disk = bytearray(n_sectors * sector)
    struct.pack_into("<B3xB3xII", disk, 446, 0, 0xEE, 1, min(n_sectors - 1, 0xFFFFFFFF))
    disk[510:512] = b"\x55\xaa"
    entries = bytearray(128 * 128)
    for number, each in enumerate(slices):
        struct.pack_into("<16s16sQQ", entries, 128 * number, b"a partition type", bytes([number + 1]) * 16, 0, 0)
        struct.pack_into("<QQ", entries, 128 * number + 32, each.start, each.start + each.length - 1)
        disk[each.start * sector : each.start * sector + len(each.content)] = each.content
    room = -(-len(entries) // sector)
    for mine, other, place in ((1, n_sectors - 1, 2), (n_sectors - 1, 1, n_sectors - 1 - room)):
        disk[place * sector : place * sector + len(entries)] = entries
        first, last = 2 + room, n_sectors - 2 - room
        head = bytearray(92)
        struct.pack_into("<8sIIIIQQQQ16s", head, 0, b"EFI PART", 0x10000, 92, 0, 0, mine, other, first, last, b"d" * 16)
        struct.pack_into("<QIII", head, 72, place, 128, 128, zlib.crc32(entries))
        struct.pack_into("<I", head, 16, zlib.crc32(head))
        disk[mine * sector : mine * sector + 92] = head
    return disk


def mbr_disk(slices: Sequence[Slice], size: int, *, kind: int = 0xFD, status: int = 0) -> bytearray:
    """Return a disk of 512-byte sectors with up to four primary partitions."""
    disk = bytearray(size)
    write_table(disk, 0, [(kind, each.start, each.length) for each in slices], status=status)
    for each in slices:
        disk[each.start * 512 : each.start * 512 + len(each.content)] = each.content
    return disk


def write_table(disk: bytearray, at: int, entries: Sequence[tuple[int, int, int]], *, status: int = 0) -> None:
    """Write the (kind, start, length) entries of an MBR or of a link of an extended partition; `at` [bytes]."""
    for number, (kind, start, length) in enumerate(entries):
        struct.pack_into("<B3xB3xII", disk, at + 446 + 16 * number, status, kind, start, length)
    disk[at + 510 : at + 512] = b"\x55\xaa"
