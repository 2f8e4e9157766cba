"""Where the journal of an ext3 or ext4 file system lies, and how its superblock says that it must be replayed.

Source: `ext4.h: struct ext4_super_block, ext4_inode`; `ext4_extents.h`; `super.c: ext4_load_journal`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID

from raidfs.block import BlockSource, read_exact
from raidfs.filesystem.jbd2_format import Unusable
from raidfs.linear import LinearMap, Piece
from raidfs.superblock.crc32c import crc32c

SUPER_AT, SUPER_SIZE = 1024, 1024
_MAGIC = 0xEF53
_HAS_JOURNAL = 0x4
_RECOVER, _JOURNAL_DEVICE, _WIDE = 0x4, 0x8, 0x80
_METADATA_CSUM, _ORPHANS = 0x400, 0x10000
_EXTENTS = 0x80000
_EXTENT_MAGIC = 0xF30A
_DEEPEST = 5
_MOST_RUNS = 1 << 18


@dataclass(frozen=True)
class ExtSuper:
    """The superblock of an ext file system, as far as its journal needs it.

    Attributes:
        raw: its 1024 bytes.
        place: where it was found [bytes]; elsewhere than at 1024 it is a backup.
    """

    raw: bytes
    place: int

    def _u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.raw, at)[0])

    @property
    def block_size(self) -> int:
        """Size of blocks [bytes]."""
        return 1024 << self._u32(0x18)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self._u32(4) | (self._u32(0x150) << 32 if self._u32(0x60) & _WIDE else 0)

    @property
    def has_journal(self) -> bool:
        """Whether there is one, inside or elsewhere."""
        return bool(self._u32(0x5C) & _HAS_JOURNAL)

    @property
    def is_journal(self) -> bool:
        """Whether it is no file system, but a journal for another one."""
        return bool(self._u32(0x60) & _JOURNAL_DEVICE)

    @property
    def needs_recovery(self) -> bool:
        """Whether the journal must be replayed."""
        return bool(self._u32(0x60) & _RECOVER)

    @property
    def has_orphans(self) -> bool:
        """Whether files were deleted, or cut, while they were open: the kernel would finish that."""
        return bool(self._u32(0xE8) or self._u32(0x64) & _ORPHANS)

    @property
    def journal_inode(self) -> int:
        """Inode of the journal; 0: it lies on another device."""
        return self._u32(0xE0)

    @property
    def journal_uuid(self) -> UUID:
        """Identity of a journal on another device."""
        return UUID(bytes=self.raw[0xD0:0xE0])

    @cached_property
    def backup(self) -> bytes | None:
        """The 60 bytes of the journal's map and its size, as kept here."""
        if self.raw[0xFD] != 1:
            return None
        low, high = self._u32(0x10C + 64), self._u32(0x10C + 60)
        return self.raw[0x10C : 0x10C + 60] + struct.pack("<Q", low | high << 32)

    def replayed(self) -> bytes:
        """Return the superblock as it is once the journal was replayed."""
        raw = bytearray(self.raw)
        struct.pack_into("<I", raw, 0x60, self._u32(0x60) & ~_RECOVER)
        if self._u32(0x64) & _METADATA_CSUM:
            struct.pack_into("<I", raw, 0x3FC, crc32c(0xFFFFFFFF, bytes(raw[:0x3FC])))
        return bytes(raw)

    def inode_place(self, source: BlockSource, inode: int) -> int:
        """Return where an inode lies [bytes].

        Raises:
            Unusable: that cannot be told.
        """
        per_group, size = self._u32(0x28), struct.unpack_from("<H", self.raw, 0x58)[0] if self._u32(0x4C) else 128
        wide = struct.unpack_from("<H", self.raw, 0xFE)[0] if self._u32(0x60) & _WIDE else 32
        if not per_group or inode > per_group or wide < 32 or size < 128:
            raise Unusable(f"inode {inode}, which describes it, cannot be found")  # it is in group 0, always
        # behind the block with the superblock, which need not be the first that counts (`super.c: descriptor_loc`)
        at = (SUPER_AT // self.block_size + 1) * self.block_size
        raw = _read(source, at, min(wide, 64), "the descriptor of block group 0")
        table = struct.unpack_from("<I", raw, 8)[0]
        if wide >= 64:
            table |= struct.unpack_from("<I", raw, 0x28)[0] << 32
        return int(table * self.block_size + (inode - 1) * size)


def read_super(source: BlockSource) -> ExtSuper | None:
    """Find the superblock of an ext file system; where it is lost, or no superblock any more, a backup.

    Raises:
        SourceError: the source is gone.
    """
    for at in _super_places(source.size):
        raw, lost = read_exact(source, at, SUPER_SIZE)
        found = ExtSuper(raw, at)
        if lost or struct.unpack_from("<H", raw, 0x38)[0] != _MAGIC or struct.unpack_from("<I", raw, 0x18)[0] > 6:
            continue
        if struct.unpack_from("<I", raw, 0x64)[0] & _METADATA_CSUM:
            if crc32c(0xFFFFFFFF, raw[:0x3FC]) != struct.unpack_from("<I", raw, 0x3FC)[0]:
                continue
        elif at != SUPER_AT and (struct.unpack_from("<H", raw, 0x5A)[0] == 0 or at % found.block_size):
            continue
        return found
    return None


def _super_places(size: int) -> Iterator[int]:
    """Yield where superblocks may be [bytes]: a group has as many blocks as a block has bits."""
    places = [SUPER_AT]
    for block_size in (4096, 1024, 2048, 65536):
        places += [(group * block_size * 8 + (block_size == 1024)) * block_size for group in (1, 3, 5, 7)]
    return (at for at in places if at + SUPER_SIZE <= size)


@dataclass(frozen=True, eq=False)
class Journal:
    """A journal inside a file system.

    Attributes:
        parts: its bytes.
        place: where its first block lies [bytes of the file system].
        problem: what was wrong with its inode, a clause or ''.
    """

    parts: LinearMap
    place: int
    problem: str = ""


def journal_of(source: BlockSource, told: ExtSuper) -> Journal:
    """Find the journal of a file system.

    Raises:
        Unusable: neither its inode nor the copy of that in the superblock tells where it lies.
    """
    problem = ""
    try:
        at = told.inode_place(source, told.journal_inode)
        raw = _read(source, at, 128, f"inode {told.journal_inode}, which describes it,")
        flags, high = struct.unpack_from("<I", raw, 0x20)[0], struct.unpack_from("<I", raw, 0x6C)[0]
        size = struct.unpack_from("<I", raw, 4)[0] | high << 32
        return _mapped(source, told, raw[0x28:0x64], size, bool(flags & _EXTENTS))
    except Unusable as reason:
        problem = str(reason)
    if told.backup is None:
        raise Unusable(problem)
    root, size = told.backup[:60], struct.unpack_from("<Q", told.backup, 60)[0]
    is_tree = struct.unpack_from("<H", root)[0] == _EXTENT_MAGIC
    return replace(_mapped(source, told, root, size, is_tree), problem=f"{problem}; its copy in the superblock is used")


def _mapped(source: BlockSource, told: ExtSuper, root: bytes, size: int, is_tree: bool) -> Journal:
    block_size = told.block_size
    space = _Space(source, block_size, min(told.n_blocks, source.size // block_size))
    n_blocks = size // block_size
    runs = space.extents(root, _DEEPEST) if is_tree else space.listed(root, n_blocks)
    joined: list[list[int]] = []  # number of blocks, block
    n_found = 0
    for first, length, block in runs:
        if first != n_found or not block or len(joined) > _MOST_RUNS:  # a journal has no holes
            raise Unusable("its map makes no sense")
        if joined and sum(joined[-1]) == block:
            joined[-1][0] += length
        else:
            joined.append([length, block])
        n_found += length
        if n_found >= n_blocks:
            break
    if n_found < n_blocks or not n_blocks:
        raise Unusable("its map is shorter than it")
    pieces: list[Piece] = []
    for count, block in joined:
        start = pieces[-1].stop if pieces else 0
        length = min(count * block_size, n_blocks * block_size - start)
        pieces.append(Piece(start, length, source, block * block_size))
    parts = LinearMap(n_blocks * block_size, pieces)
    first_block, lost = read_exact(parts, 0, min(12, parts.size))
    if not lost and first_block[:4] != b"\xc0\x3b\x39\x98":
        raise Unusable("there is no journal where it should be")
    return Journal(parts, joined[0][1] * block_size)


@dataclass(frozen=True)
class _Space:
    """The blocks that there are."""

    source: BlockSource
    block_size: int
    count: int

    def read(self, block: int) -> bytes:
        if not 0 < block < self.count:
            raise Unusable("its map leads out of the file system")
        return _read(self.source, block * self.block_size, self.block_size, "its map")

    def extents(self, node: bytes, depth_limit: int) -> Iterator[tuple[int, int, int]]:
        """Yield (first block in the file, number of blocks, block) of a tree."""
        magic, n_entries, _, depth = struct.unpack_from("<HHHH", node)
        if magic != _EXTENT_MAGIC or n_entries > (len(node) - 12) // 12 or depth > depth_limit:
            raise Unusable("its map makes no sense")
        for number in range(n_entries):
            if depth:
                _, low, high = struct.unpack_from("<IIH", node, 12 + 12 * number)
                yield from self.extents(self.read(low | high << 32), depth - 1)
                continue
            first, length, high, low = struct.unpack_from("<IHHI", node, 12 + 12 * number)
            block = low | high << 32
            if not length or length > 32768 or block + length > self.count:
                raise Unusable("its map makes no sense")
            yield first, length, block

    def listed(self, root: bytes, n_blocks: int) -> Iterator[tuple[int, int, int]]:
        """Yield the same of a file with lists of blocks."""
        numbers = struct.unpack_from("<15I", root)
        first = 0
        for block in numbers[:12]:
            yield first, 1, self._checked(block)
            first += 1
        for level, block in zip((1, 2, 3), numbers[12:], strict=True):
            for leaf in self._leaves(block, level) if first < n_blocks else ():
                yield first, 1, self._checked(leaf)
                first += 1

    def _checked(self, block: int) -> int:
        if block >= self.count:
            raise Unusable("its map leads out of the file system")
        return block

    def _leaves(self, block: int, level: int) -> Iterator[int]:
        for number in struct.unpack(f"<{self.block_size // 4}I", self.read(block)):
            if level > 1:
                yield from self._leaves(number, level - 1)
            else:
                yield number


def _read(source: BlockSource, at: int, length: int, what: str) -> bytes:
    if at + length > source.size:
        raise Unusable(f"{what} lies behind the end")
    raw, lost = read_exact(source, at, length)
    if lost:
        raise Unusable(f"{what} cannot be read")
    return raw
