"""Partition tables, MBR and GPT: where the partitions of a whole-disk image lie.

Used to notice a superblock that belongs to a partition: with metadata 0.90, which does not record its own place, the
one of a last partition also lies where a member of the whole disk would have it.

Source: UEFI specification, "GUID Partition Table"; the MBR holds four entries of 16 bytes at byte 446.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from raidfs.block import BlockSource, read_exact

_SIGNATURE = b"\x55\xaa"
_GPT_SIGNATURE = b"EFI PART"
_PROTECTIVE = 0xEE
_EXTENDED = (0x05, 0x0F, 0x85)
_MOST_ENTRIES = 512


def partitions_of(source: BlockSource) -> list[tuple[int, int]]:
    """Return (start, size) [bytes] of each partition that lies within the source; empty: no table.

    Logical partitions are not looked for.

    Raises:
        SourceError: the source is gone.
    """
    head, lost = read_exact(source, 0, min(512, source.size))
    if lost or len(head) < 512 or head[510:512] != _SIGNATURE:
        return []
    entries = [struct.unpack_from("<B3xB3xII", head, 446 + 16 * number) for number in range(4)]
    if any(status not in (0x00, 0x80) for status, *_ in entries):
        return []  # not a table but the code of a boot sector
    found: list[tuple[int, int]] = []
    for unit in (512, 4096):
        if any(kind == _PROTECTIVE for _, kind, *_ in entries):
            found += _gpt(source, unit)
        found += [(start * unit, n * unit) for _, kind, start, n in entries if kind not in (0, _PROTECTIVE, *_EXTENDED)]
    inside = {(start, size) for start, size in found if start > 0 and size > 0 and start + size <= source.size}
    return sorted(inside)


def _gpt(source: BlockSource, unit: int) -> Iterator[tuple[int, int]]:
    """Yield the partitions of the primary GPT of a disk with sectors of `unit` bytes."""
    if source.size < 3 * unit:
        return
    head, _ = read_exact(source, unit, 92)
    if head[:8] != _GPT_SIGNATURE:
        return
    table, n_entries, size = struct.unpack_from("<QII", head, 72)
    length = min(n_entries, _MOST_ENTRIES) * size
    if not 128 <= size <= 4096 or table * unit > source.size - length:
        return
    raw, _ = read_exact(source, table * unit, length)
    for at in range(0, length, size):
        first, last = struct.unpack_from("<QQ", raw, at + 32)
        if raw[at : at + 16] != bytes(16) and first <= last:
            yield first * unit, (last - first + 1) * unit
