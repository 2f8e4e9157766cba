"""Structures of file systems and partition tables that lie where they say, or where others say that they lie.

An array that is read in a wrong shape has the same bytes in other places. So whoever finds, far from the start, what
the structures at the start announce for that place, has read the array as it was written. Only what also carries the
identity of its file system counts, or a checksum over it, so that leftovers of another one are passed over.

Sources: `ext4.h`, `xfs_format.h`, `btrfs_tree.h`, the UEFI specification. Nothing is followed further than one step.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from raidfs.block import BlockSource
from raidfs.evidence import xfs_blocks
from raidfs.evidence.announced import Structure, confirmed, number_at, read_whole
from raidfs.evidence.ext_blocks import ext_structures
from raidfs.extents import Extents
from raidfs.partition import SECTOR_SIZES, read_partitions

_MOST_STARTS = 16
_MOST_GROUPS = 1 << 20


def structures_in(source: BlockSource, where: Extents, searched: Extents | None = None) -> list[Structure]:
    """Find structures that lie where they should.

    Args:
        source: an array in one reading.
        where: only those that touch these bytes are looked for.
        searched: of these what is searched for blocks that no other announces; None: all.

    Raises:
        SourceError: the source is gone.
    """
    partitions, _ = read_partitions(source, "")
    starts = dict.fromkeys([0, *(each.start for each in partitions)])
    found: dict[int, Structure] = {}
    for start in list(starts)[:_MOST_STARTS]:
        for finder in (ext_structures, _xfs, _btrfs):
            for expected in finder(source, start, where):
                found.setdefault(expected.position, expected)
        for expected in _xfs_blocks(source, start, where if searched is None else searched):
            found.setdefault(expected.position, expected)
    for expected in _gpt(source, where):
        found.setdefault(expected.position, expected)
    return sorted(found.values(), key=lambda each: each.position)


def _xfs(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    """Yield allocation groups whose headers say their number (`xfs_format.h: struct xfs_dsb, xfs_agf, xfs_agi`)."""
    raw = read_whole(source, start, 512)
    if raw is None or raw[:4] != b"XFSB":
        return
    block_size, ag_blocks, n_ags = number_at(">I", raw, 4), number_at(">I", raw, 84), number_at(">I", raw, 88)
    sector = number_at(">H", raw, 102)
    if not (512 <= block_size <= 65536 and 512 <= sector <= 32768 and ag_blocks and 0 < n_ags <= _MOST_GROUPS):
        return

    def is_group(number: int, data: bytes) -> str:
        agf, agi = data[sector : sector + 12], data[2 * sector : 2 * sector + 12]
        same = data[:4] == b"XFSB" and data[32:48] == raw[32:48]
        same = same and agf[:4] == b"XAGF" and agi[:4] == b"XAGI"
        return "XFS allocation group" if same and agf[8:] == agi[8:] == struct.pack(">I", number) else ""

    places = [start + number * ag_blocks * block_size for number in range(n_ags)]
    yield from confirmed(source, places, 3 * sector, where, is_group)


def _xfs_blocks(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    """Yield blocks that say where they lie, see `raidfs.evidence.xfs_blocks`."""
    raw = read_whole(source, start, 512)
    if raw is None or raw[:4] != b"XFSB" or number_at(">I", raw, 4) != xfs_blocks.BLOCK:
        return
    inside = where.clip(start, start + number_at(">I", raw, 88) * number_at(">I", raw, 84) * xfs_blocks.BLOCK)
    for at in xfs_blocks.addressed_blocks(source, start, inside):
        yield Structure(at, xfs_blocks.BLOCK, "XFS metadata block")


def _btrfs(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    """Yield copies of the superblock, each of which says where it lies (`struct btrfs_super_block`)."""
    raw = read_whole(source, start + (64 << 10), 4096)
    if raw is None or raw[64:72] != b"_BHRfS_M":
        return
    offsets = [64 << 10, 64 << 20, 256 << 30]

    def is_copy(number: int, data: bytes) -> str:
        same = data[64:72] == raw[64:72] and data[32:48] == raw[32:48]
        return "btrfs superblock" if same and number_at("<Q", data, 48) == offsets[number] else ""

    yield from confirmed(source, [start + offset for offset in offsets], 4096, where, is_copy)


def _gpt(source: BlockSource, where: Extents) -> Iterator[Structure]:
    """Yield the backup of a GUID partition table, which says where it lies."""
    for unit in SECTOR_SIZES:
        raw = read_whole(source, unit, 92)
        if raw is None or raw[:8] != b"EFI PART" or number_at("<Q", raw, 24) != 1:
            continue
        backup = number_at("<Q", raw, 32)

        def is_backup(_number_: int, data: bytes, raw: bytes = raw, backup: int = backup) -> str:
            same = data[:8] == raw[:8] and data[56:72] == raw[56:72]
            return "backup partition table" if same and number_at("<Q", data, 24) == backup else ""

        yield from confirmed(source, [backup * unit], 92, where, is_backup)
