"""The superblock and the group descriptors of ext2/3/4: where inodes lie; backups step in for what is lost.

Source: `ext4.h: struct ext4_super_block, ext4_group_desc`; `super.c: descriptor_loc`; `balloc.c: ext4_bg_has_super`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.filesystem.entry import Device, Usage
from raidfs.superblock.crc32c import crc32c

_OFFSET = 1024
_MAGIC = 0xEF53
_BIGALLOC, _METADATA_CSUM, _GDT_CSUM, _SPARSE = 0x200, 0x400, 0x10, 0x1
_FILETYPE, _META_BG, _64BIT, _CSUM_SEED, _LARGE_DIR = 0x2, 0x10, 0x80, 0x2000, 0x4000
_UNREADABLE = {0x1: "it is compressed", 0x8: "it is a journal, not a file system"}


@dataclass(frozen=True, slots=True)
class Super:
    """What a superblock says, as far as reading needs it; sizes in bytes.

    Attributes:
        block_size, inode_size, descriptor_size: [bytes].
        first_block: the first that counts: 1 where blocks are 1 KiB.
        blocks_per_group, inodes_per_group, n_blocks, n_inodes: numbers.
        compat, incompat, ro_compat: feature bits.
        first_meta_group: block of descriptors from which on they lie in their groups.
        backups: the two groups with backups under `sparse_super2`.
        seed: of metadata checksums; None: there are none.
        uuid: of the file system: the older checksums of descriptors begin with it.
        usage: how full it is.
    """

    block_size: int
    inode_size: int
    descriptor_size: int
    first_block: int
    blocks_per_group: int
    inodes_per_group: int
    n_blocks: int
    n_inodes: int
    compat: int
    incompat: int
    ro_compat: int
    first_meta_group: int
    backups: tuple[int, int]
    seed: int | None
    uuid: bytes
    usage: Usage

    @property
    def has_types(self) -> bool:
        """Whether names come with the type of their inode."""
        return bool(self.incompat & _FILETYPE)

    @property
    def large_dir(self) -> bool:
        """Whether directories may have 4 GiB and more."""
        return bool(self.incompat & _LARGE_DIR)

    @property
    def n_groups(self) -> int:
        """Number of block groups."""
        return -(-(self.n_blocks - self.first_block) // self.blocks_per_group)

    def start_of(self, group: int) -> int:
        """Return the first block of a group."""
        return self.first_block + group * self.blocks_per_group

    def has_super(self, group: int) -> bool:
        """Tell whether a group begins with a superblock or a backup of it."""
        if group == 0:
            return True
        if self.compat & 0x200:
            return group in self.backups
        if group == 1 or not self.ro_compat & _SPARSE:
            return True
        return any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def read_super(device: Device) -> Super:
    """Read the superblock, or the first backup of it that can be read.

    Where none has a right checksum one counts that leads to a descriptor of the first block group with a right one.

    Raises:
        Unreadable: there is none, or it is of no file system that can be read.
    """
    why: Unreadable | None = None
    wrong: list[Super] = []
    for at in _places(device.size):
        try:
            raw = device.read(at, 1024)
            told = parse_super(raw)
        except Unreadable as error:
            why = why or error
            continue
        if told.seed is None or crc32c(0xFFFFFFFF, raw[:0x3FC]) == struct.unpack_from("<I", raw, 0x3FC)[0]:
            return told
        why = why or Damaged("the checksum of the superblock is wrong")
        wrong.append(told)
    for told in wrong:
        with suppress(Unreadable):
            if _is_intact(told, 0, _descriptor(device, told)):
                return told
    raise why or Damaged("the device is too small for a file system")


def _descriptor(device: Device, told: Super) -> bytes:
    """Read the descriptor of the first block group."""
    first = next(_descriptor_blocks(told, 0, told.block_size // told.descriptor_size))
    return device.read(first * told.block_size, told.descriptor_size)


def _places(size: int) -> Iterator[int]:
    """Yield where superblocks may be [bytes]: blocks of 1, 4, 2, ... KiB, as many in a group as one block has bits."""
    yield _OFFSET
    for block_size in (4096, 1024, 2048, 65536, 8192, 16384, 32768):
        for group in (1, 3, 5, 7, 9):
            at = (group * block_size * 8 + (block_size == 1024)) * block_size
            if at + 1024 <= size:
                yield at


def parse_super(raw: bytes) -> Super:
    """Read a superblock; its checksum is not looked at.

    Raises:
        Damaged: it is none, or makes no sense.
    """

    def u32(at: int) -> int:
        return int(struct.unpack_from("<I", raw, at)[0])

    def u16(at: int) -> int:
        return int(struct.unpack_from("<H", raw, at)[0])

    if u16(0x38) != _MAGIC:
        raise Damaged("the superblock has no magic number")
    compat, incompat, ro_compat = u32(0x5C), u32(0x60), u32(0x64)
    for bit, reason in _UNREADABLE.items():
        if incompat & bit:
            raise Damaged(reason)
    if u32(0x18) > 6:
        raise Damaged("the superblock has an impossible block size")
    block_size = 1024 << u32(0x18)
    wide = bool(incompat & _64BIT)
    inode_size = u16(0x58) if u32(0x4C) else 128
    descriptor_size = u16(0xFE) if wide and u16(0xFE) >= 32 else 32
    per_group, inodes_per_group = u32(0x20), u32(0x28)
    n_blocks = u32(4) | (u32(0x150) << 32 if wide else 0)
    seed = None
    if ro_compat & _METADATA_CSUM:
        seed = u32(0x270) if incompat & _CSUM_SEED else crc32c(0xFFFFFFFF, raw[0x68:0x78])
    if not (
        inode_size in (128, 256, 512, 1024, 2048, 4096)
        and inode_size <= block_size
        and descriptor_size in (32, 64, 128, 256, 512, 1024)
        and 0 < per_group
        and 0 < inodes_per_group
        and u32(0x14) < n_blocks
    ):
        raise Damaged("the superblock contradicts itself")
    free = u32(0xC) | (u32(0x158) << 32 if wide else 0)
    return Super(
        block_size=block_size,
        inode_size=inode_size,
        descriptor_size=descriptor_size,
        first_block=u32(0x14),
        blocks_per_group=per_group,
        inodes_per_group=inodes_per_group,
        n_blocks=n_blocks,
        n_inodes=u32(0),
        compat=compat,
        incompat=incompat,
        ro_compat=ro_compat,
        first_meta_group=u32(0x104) if incompat & _META_BG else 1 << 62,
        backups=(u32(0x24C), u32(0x250)),
        seed=seed,
        uuid=raw[0x68:0x78],
        usage=Usage(block_size, n_blocks, free, u32(0), u32(0x10)),
    )


def inode_table(device: Device, told: Super, group: int) -> int:
    """Return the first block of a group's table of inodes; of a descriptor that is lost or damaged a backup is read.

    Where inodes have checksums, which cover their numbers, a descriptor whose own is wrong is better than none. Where
    descriptors have no checksums, that is taken of which two copies tell: it never changes once a file system is made.

    Raises:
        Unreadable: the descriptor and all its backups are lost, or make no sense.
    """
    per_block = told.block_size // told.descriptor_size
    number, at = group // per_block, group % per_block * told.descriptor_size
    why: Unreadable | None = None
    doubtful: int | None = None
    told_by: list[int] = []  # copies without a checksum
    for block in _descriptor_blocks(told, number, per_block):
        try:
            raw = device.read(block * told.block_size + at, told.descriptor_size)
        except Lost as error:
            why = why or error
            continue
        table: int = struct.unpack_from("<I", raw, 8)[0]
        if told.descriptor_size >= 64:
            table |= struct.unpack_from("<I", raw, 0x28)[0] << 32
        if not told.first_block < table < told.n_blocks:
            why = why or Damaged(f"the descriptor of block group {group} makes no sense")
        elif told.seed is None and not told.ro_compat & _GDT_CSUM:
            if table in told_by:
                return table
            told_by.append(table)
        elif _is_intact(told, group, raw):
            return table
        else:
            why = why or Damaged(f"the checksum of the descriptor of block group {group} is wrong")
            doubtful = table if doubtful is None else doubtful
    if doubtful is not None and told.seed is not None:
        return doubtful
    if told_by:
        return told_by[0]
    raise why or Damaged(f"there is no block group {group}")


def _is_intact(told: Super, group: int, raw: bytes) -> bool:
    """Tell whether a descriptor has the checksum that it should have (`super.c: ext4_group_desc_csum`)."""
    written: int = struct.unpack_from("<H", raw, 0x1E)[0]
    number = struct.pack("<I", group)
    if told.seed is not None:
        return crc32c(told.seed, number + raw[:0x1E] + bytes(2) + raw[0x20:]) & 0xFFFF == written
    return _crc16(told.uuid + number + raw[:0x1E] + raw[0x20:]) == written


def _crc16(data: bytes) -> int:
    """Return the checksum of `lib/crc16.c` that begins with all bits set."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def _descriptor_blocks(told: Super, number: int, per_block: int) -> Iterator[int]:
    """Yield the block of descriptors of that number, and where its backups are."""
    if number >= told.first_meta_group:
        first = number * per_block
        for group in (first, first + 1, first + per_block - 1):
            if group < told.n_groups:
                yield told.start_of(group) + told.has_super(group)
        return
    yield _OFFSET // told.block_size + 1 + number
    for group in range(1, told.n_groups):
        if told.has_super(group):
            yield told.start_of(group) + 1 + number
