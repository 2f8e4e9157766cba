"""Structures of ext4 that lie where its superblock and its group descriptors say, and carry its identity.

Reference: `ext4.h`, `bitmap.c: ext4_inode_bitmap_csum_set`, `inode.c: ext4_inode_csum`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource
from raidfs.evidence.announced import Structure, confirmed, number_at, read_whole
from raidfs.extents import Extents
from raidfs.superblock.crc32c import crc32c, crc32c_rows

_MOST_GROUPS = 1 << 20
_ONES = 0xFFFFFFFF
_NO_INODES = 0x1
"""Flag of a group none of whose inodes was ever used."""
_MOST_PLACES = 1 << 16
"""Blocks of inodes that are thought of; more would say the same."""
_PIECE = 4096
"""Of tables of inodes that is looked at together, unless blocks are smaller [bytes]."""


@dataclass(frozen=True)
class _Ext:
    """Fields of a superblock of ext2, 3 or 4 (`ext4.h: struct ext4_super_block`)."""

    start: int
    raw: bytes

    @property
    def block_size(self) -> int:
        return 1024 << number_at("<I", self.raw, 24)

    @property
    def first_block(self) -> int:
        return number_at("<I", self.raw, 20)

    @property
    def group_size(self) -> int:
        return number_at("<I", self.raw, 32)

    @property
    def group_inodes(self) -> int:
        return number_at("<I", self.raw, 40)

    @property
    def inode_size(self) -> int:
        return number_at("<H", self.raw, 88)

    @property
    def uuid(self) -> bytes:
        return self.raw[104:120]

    @property
    def incompat(self) -> int:
        return number_at("<I", self.raw, 96)

    @property
    def n_blocks(self) -> int:
        high = number_at("<I", self.raw, 0x150) if self.incompat & 0x80 else 0
        return number_at("<I", self.raw, 4) | high << 32

    @property
    def n_groups(self) -> int:
        return -(-(self.n_blocks - self.first_block) // self.group_size)

    @property
    def descriptor_size(self) -> int:
        return number_at("<H", self.raw, 254) if self.incompat & 0x80 else 32

    @property
    def has_checksums(self) -> bool:
        """Whether bitmaps have a checksum, in descriptors that lie together behind the first superblock."""
        return bool(number_at("<I", self.raw, 100) & 0x400) and not self.incompat & 0x10

    @property
    def seed(self) -> int:
        return number_at("<I", self.raw, 0x270) if self.incompat & 0x2000 else crc32c(_ONES, self.uuid)

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


def ext_structures(source: BlockSource, start: int, where: Extents) -> Iterator[Structure]:
    """Yield what lies right of an ext4 that starts somewhere; nothing where none does.

    Args:
        source: what it lies on.
        start: of the file system [bytes].
        where: only what touches these bytes is looked for.

    Raises:
        SourceError: the source is gone.
    """
    raw = read_whole(source, start + 1024, 1024)
    if raw is None or raw[56:58] != b"\x53\xef" or number_at("<I", raw, 24) > 6 or not number_at("<I", raw, 32):
        return
    ext = _Ext(start, raw)
    if not ext.makes_sense:
        return
    groups = sorted({1} | {base**power for base in (3, 5, 7) for power in range(1, 13)})
    groups = [group for group in groups if group < ext.n_groups]
    places = [ext.offset_of(ext.first_block + group * ext.group_size) for group in groups]

    def is_backup(number: int, data: bytes) -> str:
        same = data[56:58] == raw[56:58] and data[104:120] == ext.uuid
        return "ext4 superblock" if same and number_at("<H", data, 90) == groups[number] & 0xFFFF else ""

    yield from confirmed(source, places, 1024, where, is_backup)
    rows = _descriptors(source, ext) if ext.has_checksums else None
    if rows is not None:
        yield from _bitmaps(source, ext, rows, where)
        yield from _inodes(source, ext, rows, where)


def _descriptors(source: BlockSource, ext: _Ext) -> NDArray[np.uint8] | None:
    """Return the descriptors of all groups, uint8 (groups, bytes of each); None: they cannot be read."""
    table = read_whole(source, ext.offset_of(ext.first_block + 1), ext.n_groups * ext.descriptor_size)
    return None if table is None else np.frombuffer(table, dtype=np.uint8).reshape(ext.n_groups, -1)


def _bitmaps(source: BlockSource, ext: _Ext, rows: NDArray[np.uint8], where: Extents) -> Iterator[Structure]:
    """Yield the bitmaps whose checksum is right."""
    size = ext.descriptor_size
    for kind, place, checksum, unused, count in (
        ("block", 0, 0x18, 0x2, ext.group_size),
        ("inode", 4, 0x1A, _NO_INODES, ext.group_inodes),
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

        yield from confirmed(source, places, length, where, has_checksum)


def _inodes(source: BlockSource, ext: _Ext, rows: NDArray[np.uint8], where: Extents) -> Iterator[Structure]:
    """Yield blocks of inodes in use whose checksums, which include their numbers, are right."""
    size, piece = ext.inode_size, min(ext.block_size, _PIECE)
    if size < 256 or piece % size or not 0 < ext.group_inodes <= 8 * ext.block_size:
        return  # shorter ones have but half a checksum
    tables = _joined(rows, 8, 0x28, "<u4", 32)
    unused = _joined(rows, 0x1C, 0x32, "<u2", 16)
    n_used = np.where(rows[:, 18] & _NO_INODES, 0, np.maximum(ext.group_inodes - unused.astype(np.int64), 0))
    groups = np.flatnonzero(n_used)
    groups = groups[:: max(1, -(-len(groups) * size * ext.group_inodes // piece // _MOST_PLACES))]
    places: list[int] = []
    first: list[int] = []
    for group in groups.tolist():
        pieces = range(-(-int(n_used[group]) * size // piece))
        places += [ext.offset_of(int(tables[group])) + each * piece for each in pieces]
        first += [group * ext.group_inodes + 1 + each * piece // size for each in pieces]

    def are_inodes(number: int, data: bytes) -> str:
        inodes = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
        used = np.flatnonzero(inodes[:, :2].any(axis=1) & (inodes[:, 26:28].any(axis=1)))  # a mode, and links
        right = _has_inode_checksum(ext.seed, first[number] + used, inodes[used])
        return "ext4 inode block" if len(used) and right.all() else ""

    yield from confirmed(source, places, piece, where, are_inodes)


def _has_inode_checksum(seed: int, numbers: NDArray[np.int64], inodes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of inodes of 256 bytes or more whether their checksum is right (`inode.c: ext4_inode_csum`)."""
    told = inodes[:, 124:126].copy().view("<u2")[:, 0].astype(np.uint32)
    told |= inodes[:, 130:132].copy().view("<u2")[:, 0].astype(np.uint32) << np.uint32(16)
    bare = inodes.copy()
    bare[:, 124:126] = bare[:, 130:132] = 0
    named = np.concatenate((numbers.astype("<u4").view(np.uint8).reshape(-1, 4), bare[:, 100:104], bare), axis=1)
    is_long = inodes[:, 128:130].copy().view("<u2")[:, 0] >= 4
    right: NDArray[np.bool_] = is_long & (crc32c_rows(seed, named) == told)
    return right


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
