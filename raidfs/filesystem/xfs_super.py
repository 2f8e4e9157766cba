"""The superblock of XFS, and the two kinds of numbers that lead to places: of blocks and of inodes.

    block number    allocation group | block in the group
    inode number    allocation group | block in the group | inode in the block

Everything is big-endian but checksums. Source: `xfs_format.h: struct xfs_dsb`, `XFS_FSB_TO_AGNO`, `XFS_INO_TO_AGBNO`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import Device, Usage
from raidfs.superblock.crc32c import crc32c

_MAGIC = b"XFSB"
_FTYPE_V4, _FTYPE_V5 = 0x200, 0x1
_KNOWN_INCOMPAT = 0x1FF
_USUAL_BLOCK = 4096
_LARGEST_GROUP = 1 << 40
_NO_INODE = (1 << 64) - 1
_LARGEST_SECTOR = 32768


@dataclass(frozen=True, slots=True)
class Super:
    """What a superblock says, as far as reading needs it.

    Attributes:
        block_size, inode_size, directory_size: [bytes]; the last is the size of blocks of directories.
        group_blocks, n_groups, n_blocks: numbers.
        group_bits, inode_bits: bits of the block in its group, of the inode in its block.
        root: inode of the root.
        version: of the format, 4 or 5; only the latter has checksums.
        has_types: names come with the type of their inode.
        usage: how full it is.
    """

    block_size: int
    inode_size: int
    directory_size: int
    group_blocks: int
    n_groups: int
    n_blocks: int
    group_bits: int
    inode_bits: int
    root: int
    version: int
    has_types: bool
    usage: Usage

    def place_of_block(self, number: int) -> int:
        """Return where a block lies [bytes]; raises `Damaged` where there is none of that number."""
        group, block = number >> self.group_bits, number & ((1 << self.group_bits) - 1)
        if not (0 <= group < self.n_groups and block < self.group_blocks):
            raise Damaged(f"there is no block {number}")
        return (group * self.group_blocks + block) * self.block_size

    def place_of_inode(self, number: int) -> int:
        """Return where an inode lies [bytes]; raises `Damaged` where there can be none of that number."""
        block, index = number >> self.inode_bits, number & ((1 << self.inode_bits) - 1)
        return self.place_of_block(block) + index * self.inode_size


def checked(raw: bytes, at: int, what: str) -> bytes:
    """Return a block if its checksum, 4 bytes at `at`, is right; raises `Damaged` otherwise."""
    crc = crc32c(crc32c(crc32c(0xFFFFFFFF, raw[:at]), bytes(4)), raw[at + 4 :]) ^ 0xFFFFFFFF
    if crc != struct.unpack_from("<I", raw, at)[0]:
        raise Damaged(f"the checksum of {what} is wrong")
    return raw


def check_place(raw: bytes, at: int, place: int) -> None:
    """Raise `Damaged` unless a block says, in 8 bytes at `at`, that it lies where it does [bytes]."""
    if struct.unpack_from(">Q", raw, at)[0] != place // 512:
        raise Damaged(f"the block at byte {place} is one that belongs elsewhere")


def read_super(device: Device) -> Super:
    """Read the superblock, or one of the copies of it that every allocation group begins with.

    Raises:
        Unreadable: there is none, or it is of no file system that can be read.
    """
    try:
        return _super_at(device, 0)
    except Unreadable as error:
        why = error
    for size in group_sizes(device.size):
        try:
            told = _super_at(device, size)
            if told.group_blocks * told.block_size == size:
                return told if told.root != _NO_INODE else _with_root(device, told)
        except Unreadable:
            continue
    raise why


def _super_at(device: Device, at: int) -> Super:
    sector_size: int = struct.unpack_from(">H", device.read(at, 512), 102)[0]
    return parse_super(device.read(at, min(max(512, sector_size), _LARGEST_SECTOR)), device.size)


def _with_root(device: Device, told: Super) -> Super:
    """Return a copy that knows the root: mkfs tells it to those in the middle and at the end."""
    why: Unreadable = Damaged("no copy of the superblock that can be read knows the root")
    for group in ((told.n_groups - 1) // 2, told.n_groups - 1):
        try:
            other = _super_at(device, group * told.group_blocks * told.block_size)
        except Unreadable as error:
            why = error
            continue
        if other.root != _NO_INODE and other.group_blocks == told.group_blocks:
            return other
    raise why


def group_sizes(size: int) -> Iterator[int]:
    """Yield how large the allocation groups of a device of `size` bytes may be [bytes], likely ones first.

    mkfs makes 4, with stripes 8 to 32 of whole stripe units that do not all begin on one disk, and none over 1 TiB.
    """
    tried: set[int] = set()
    units = (_USUAL_BLOCK, *(16384 << step for step in range(9)))
    for shift in (2, 4, 5, 3):
        even = (size // _USUAL_BLOCK >> shift) * _USUAL_BLOCK
        for unit in units:
            down = even // unit * unit
            for each in (down, down + unit, down - unit, down + 2 * unit):
                if 0 < each < _LARGEST_GROUP and each not in tried:
                    tried.add(each)
                    yield each
    yield from (_LARGEST_GROUP - unit for unit in units)


def parse_super(raw: bytes, size: int) -> Super:
    """Read a superblock, as long as a sector, of a device of `size` bytes.

    Raises:
        Damaged: it is none, or makes no sense.
    """
    if raw[:4] != _MAGIC:
        raise Damaged("the superblock has no magic number")
    block_size, n_blocks = struct.unpack_from(">IQ", raw, 4)
    (root,) = struct.unpack_from(">Q", raw, 56)
    group_blocks, n_groups = struct.unpack_from(">II", raw, 84)
    version, _, inode_size, _ = struct.unpack_from(">HHHH", raw, 100)
    block_bits, inode_log, inode_bits, group_bits = raw[120], raw[122], raw[123], raw[124]
    inodes, free_inodes, free_blocks = struct.unpack_from(">QQQ", raw, 128)
    features2 = struct.unpack_from(">I", raw, 200)[0]
    incompat = struct.unpack_from(">I", raw, 216)[0]
    number = version & 0xF
    if number == 5:
        checked(raw, 224, "the superblock")
        if incompat & ~_KNOWN_INCOMPAT:
            raise Damaged(f"it has features that are not known (0x{incompat & ~_KNOWN_INCOMPAT:x})")
    if not (
        number in (4, 5)
        and block_bits in range(9, 17)
        and block_size == 1 << block_bits
        and inode_size == 1 << inode_log
        and 256 <= inode_size <= 2048
        and inode_bits == block_bits - inode_log
        and 0 < group_blocks <= 1 << group_bits <= 1 << 31
        and 0 < n_groups <= 1 << 24
        and raw[192] <= 7
        and n_blocks * block_size <= size + block_size * group_blocks
    ):
        raise Damaged("the superblock contradicts itself")
    return Super(
        block_size=block_size,
        inode_size=inode_size,
        directory_size=block_size << raw[192],
        group_blocks=group_blocks,
        n_groups=n_groups,
        n_blocks=n_blocks,
        group_bits=group_bits,
        inode_bits=inode_bits,
        root=root,
        version=number,
        has_types=bool(incompat & _FTYPE_V5 if number == 5 else features2 & _FTYPE_V4),
        usage=Usage(block_size, n_blocks, free_blocks, inodes, free_inodes),
    )
