"""Structures of file systems and partition tables that lie where they say, or where others say that they lie.

An array that is read in a wrong shape has the same bytes in other places. So whoever finds, far from the start, what
the structures at the start announce for that place, has read the array as it was written. Only what also carries the
identity of its file system counts, or a checksum over it, so that leftovers of another one are passed over.

Sources: `ext4.h`, `xfs_format.h`, `btrfs_tree.h`, the UEFI specification. Nothing is followed further than one step.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.evidence import xfs_blocks
from raidfs.extents import Extents
from raidfs.partition import SECTOR_SIZES, read_partitions
from raidfs.superblock.crc32c import crc32c

_MOST_STARTS = 16
_MOST_SAMPLES = 64
"""Of one kind that are looked at; more would say the same."""
_MOST_GROUPS = 1 << 20
_ONES = 0xFFFFFFFF


@dataclass(frozen=True)
class Structure:
    """What was found.

    Attributes:
        position, length: [bytes of the source].
        what: it, in two or three words.
    """

    position: int
    length: int
    what: str


def structures_in(source: BlockSource, where: Extents) -> list[Structure]:
    """Find structures that lie where they should.

    Args:
        source: an array in one reading.
        where: only those that touch these bytes are looked for.

    Raises:
        SourceError: the source is gone.
    """
    partitions, _ = read_partitions(source, "")
    starts = dict.fromkeys([0, *(each.start for each in partitions)])
    found: dict[int, Structure] = {}
    for start in list(starts)[:_MOST_STARTS]:
        for finder in (_ext, _xfs, _btrfs):
            for expected in finder(source, start, where):
                found.setdefault(expected.position, expected)
    for expected in _gpt(source, where):
        found.setdefault(expected.position, expected)
    return sorted(found.values(), key=lambda each: each.position)


def _read(source: BlockSource, offset: int, length: int) -> bytes | None:
    """Read a range; None: it is not wholly there."""
    if not 0 <= offset <= source.size - length:
        return None
    data, lost = read_exact(source, offset, length)
    return None if lost else data


def _number(layout: str, data: bytes, offset: int) -> int:
    number: int = struct.unpack_from(layout, data, offset)[0]
    return number


def _confirmed(
    source: BlockSource, candidates: list[int], length: int, where: Extents, confirm: Callable[[int, bytes], str]
) -> Iterator[Structure]:
    """Look at some of the positions where something is expected.

    Args:
        source: the array.
        candidates: positions; the number of one is its index.
        length: of each.
        where: only those that touch these bytes count.
        confirm: (number, bytes) -> what it is; or '' where it is not there.
    """
    inside = [
        number
        for number, at in enumerate(candidates)
        if 0 <= at <= source.size - length and where.overlaps(at, at + length)
    ]
    for number in inside[:: max(1, -(-len(inside) // _MOST_SAMPLES))]:
        data = _read(source, candidates[number], length)
        what = "" if data is None else confirm(number, data)
        if what:
            yield Structure(candidates[number], length, what)


# ----------------------------------------------------------------------------------------------------------------- ext4


@dataclass(frozen=True)
class _Ext:
    """Fields of a superblock of ext2, 3 or 4 (`ext4.h: struct ext4_super_block`)."""

    start: int
    raw: bytes

    @property
    def block_size(self) -> int:
        return 1024 << _number("<I", self.raw, 24)

    @property
    def first_block(self) -> int:
        return _number("<I", self.raw, 20)

    @property
    def group_size(self) -> int:
        return _number("<I", self.raw, 32)

    @property
    def uuid(self) -> bytes:
        return self.raw[104:120]

    @property
    def incompat(self) -> int:
        return _number("<I", self.raw, 96)

    @property
    def n_blocks(self) -> int:
        high = _number("<I", self.raw, 0x150) if self.incompat & 0x80 else 0
        return _number("<I", self.raw, 4) | high << 32

    @property
    def n_groups(self) -> int:
        return -(-(self.n_blocks - self.first_block) // self.group_size)

    @property
    def descriptor_size(self) -> int:
        return _number("<H", self.raw, 254) if self.incompat & 0x80 else 32

    @property
    def has_checksums(self) -> bool:
        """Whether bitmaps have a checksum, in descriptors that lie together behind the first superblock."""
        return bool(_number("<I", self.raw, 100) & 0x400) and not self.incompat & 0x10

    @property
    def seed(self) -> int:
        return _number("<I", self.raw, 0x270) if self.incompat & 0x2000 else crc32c(_ONES, self.uuid)

    @property
    def makes_sense(self) -> bool:
        return (
            self.raw[56:58] == b"\x53\xef"
            and self.block_size <= 65536
            and self.first_block <= 1
            and 8 <= self.group_size <= 8 * self.block_size
            and 0 < self.n_groups <= _MOST_GROUPS
            and self.descriptor_size in (32, 64)
        )

    def offset_of(self, block: int) -> int:
        return self.start + block * self.block_size


def _ext(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    raw = _read(source, start + 1024, 1024)
    if raw is None or raw[56:58] != b"\x53\xef" or _number("<I", raw, 24) > 6 or not _number("<I", raw, 32):
        return
    ext = _Ext(start, raw)
    if not ext.makes_sense:
        return
    groups = sorted({1} | {base**power for base in (3, 5, 7) for power in range(1, 13)})
    groups = [group for group in groups if group < ext.n_groups]
    places = [ext.offset_of(ext.first_block + group * ext.group_size) for group in groups]

    def is_backup(number: int, data: bytes) -> str:
        same = data[56:58] == raw[56:58] and data[104:120] == ext.uuid
        return "ext4 superblock" if same and _number("<H", data, 90) == groups[number] & 0xFFFF else ""

    yield from _confirmed(source, places, 1024, where, is_backup)
    if ext.has_checksums:
        yield from _bitmaps(source, ext, where)


def _bitmaps(source: BlockSource, ext: _Ext, where: Extents) -> Iterator[Structure]:
    """Yield the bitmaps whose checksum is right."""
    size = ext.descriptor_size
    table = _read(source, ext.offset_of(ext.first_block + 1), ext.n_groups * size)
    if table is None:
        return
    rows = np.frombuffer(table, dtype=np.uint8).reshape(ext.n_groups, size)
    for kind, place, checksum, unused, count in (
        ("block", 0, 0x18, 0x2, ext.group_size),
        ("inode", 4, 0x1A, 0x1, _number("<I", ext.raw, 40)),
    ):
        length = count // 8
        if not 0 < length <= ext.block_size:
            continue
        blocks = _joined(rows, place, 0x20 + place, "<u4", 32)
        told = _joined(rows, checksum, checksum + 0x20, "<u2", 16)
        used = np.flatnonzero(~rows[:, 18] & unused)
        used = used[:: max(1, len(used) >> 16)]
        places = [ext.offset_of(int(blocks[group])) for group in used]

        def has_checksum(
            number: int,
            data: bytes,
            kind: str = kind,
            told: NDArray[np.uint64] = told,
            used: NDArray[np.intp] = used,
        ) -> str:
            if len(set(data)) < 2:
                return ""  # of groups that are empty or full there are many
            mask = _ONES if size == 64 else 0xFFFF
            return f"ext4 {kind} bitmap" if crc32c(ext.seed, data) & mask == int(told[used[number]]) else ""

        yield from _confirmed(source, places, length, where, has_checksum)


def _joined(rows: NDArray[np.uint8], low: int, high: int, kind: str, bits: int) -> NDArray[np.uint64]:
    """Return a field of each descriptor that is stored in two halves, of which short ones have only the lower."""
    width = np.dtype(kind).itemsize

    def half(at: int) -> NDArray[np.uint64]:
        values: NDArray[np.uint64] = np.ascontiguousarray(rows[:, at : at + width]).view(kind)[:, 0].astype(np.uint64)
        return values

    if rows.shape[1] < 64:
        return half(low)
    joined: NDArray[np.uint64] = half(low) | half(high) << np.uint64(bits)
    return joined


# ------------------------------------------------------------------------------------------------- XFS, btrfs, GPT


def _xfs(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    """Yield allocation groups whose headers say their number (`xfs_format.h: struct xfs_dsb, xfs_agf, xfs_agi`)."""
    raw = _read(source, start, 512)
    if raw is None or raw[:4] != b"XFSB":
        return
    block_size, ag_blocks, n_ags = _number(">I", raw, 4), _number(">I", raw, 84), _number(">I", raw, 88)
    sector = _number(">H", raw, 102)
    if not (512 <= block_size <= 65536 and 512 <= sector <= 32768 and ag_blocks and 0 < n_ags <= _MOST_GROUPS):
        return

    def is_group(number: int, data: bytes) -> str:
        agf, agi = data[sector : sector + 12], data[2 * sector : 2 * sector + 12]
        same = data[:4] == b"XFSB" and data[32:48] == raw[32:48]
        same = same and agf[:4] == b"XAGF" and agi[:4] == b"XAGI"
        return "XFS allocation group" if same and agf[8:] == agi[8:] == struct.pack(">I", number) else ""

    places = [start + number * ag_blocks * block_size for number in range(n_ags)]
    yield from _confirmed(source, places, 3 * sector, where, is_group)
    if block_size == xfs_blocks.BLOCK:
        inside = where.clip(start, start + n_ags * ag_blocks * block_size)
        for at in xfs_blocks.addressed_blocks(source, start, inside):
            yield Structure(at, block_size, "XFS metadata block")


def _btrfs(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    """Yield copies of the superblock, each of which says where it lies (`struct btrfs_super_block`)."""
    raw = _read(source, start + (64 << 10), 4096)
    if raw is None or raw[64:72] != b"_BHRfS_M":
        return
    offsets = [64 << 10, 64 << 20, 256 << 30]

    def is_copy(number: int, data: bytes) -> str:
        same = data[64:72] == raw[64:72] and data[32:48] == raw[32:48]
        return "btrfs superblock" if same and _number("<Q", data, 48) == offsets[number] else ""

    yield from _confirmed(source, [start + offset for offset in offsets], 4096, where, is_copy)


def _gpt(source: BlockSource, where: Extents) -> Iterator[Structure]:
    """Yield the backup of a GUID partition table, which says where it lies."""
    for unit in SECTOR_SIZES:
        raw = _read(source, unit, 92)
        if raw is None or raw[:8] != b"EFI PART" or _number("<Q", raw, 24) != 1:
            continue
        backup = _number("<Q", raw, 32)

        def is_backup(_number_: int, data: bytes, raw: bytes = raw, backup: int = backup) -> str:
            same = data[:8] == raw[:8] and data[56:72] == raw[56:72]
            return "backup partition table" if same and _number("<Q", data, 24) == backup else ""

        yield from _confirmed(source, [backup * unit], 92, where, is_backup)
