"""Inodes of ext2, ext3 and ext4: their fields, and the device numbers and times in them.

Source: `ext4.h: struct ext4_inode`, `ext4_decode_extra_time`; `kdev_t.h` for device numbers.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raidfs.errors import Damaged
from raidfs.filesystem.entry import Attributes
from raidfs.superblock.crc32c import crc32c, crc32c_rows

_FIXED = struct.Struct("<HHIIIIIHHIII60sIIIIHHHHHH")
_FEW = 16
_EXTRA = struct.Struct("<IIIII")
_TYPES = {stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFBLK, stat.S_IFREG, stat.S_IFLNK, stat.S_IFSOCK}

ENCRYPTED, INDEX, HUGE_FILE, EXTENTS, EA_INODE, INLINE_DATA = 0x800, 0x1000, 0x40000, 0x80000, 0x200000, 0x10000000


@dataclass(frozen=True, slots=True)
class Inode:
    """One inode.

    Attributes:
        attributes: what `stat` tells.
        flags: see the constants of this module.
        block: the 60 bytes that hold the map, the target or the data.
        acl_block: block of further extended attributes, or 0.
        generation: part of the checksums of what belongs to it.
        extra: what follows the fields: extended attributes in the inode.
    """

    attributes: Attributes
    flags: int
    block: bytes
    acl_block: int
    generation: int
    extra: bytes


def parse_inode(number: int, raw: bytes, block_size: int, *, large_dir: bool = False) -> Inode:
    """Read an inode.

    Args:
        number: of the inode.
        raw: as long as inodes are in this file system.
        block_size: [bytes].
        large_dir: directories may have 4 GiB and more.

    Raises:
        Damaged: it is not in use, or makes no sense.
    """
    fields = _FIXED.unpack_from(raw)
    (mode, uid, size, atime, ctime, mtime, dtime, gid, links, blocks, flags, _, block) = fields[:13]
    generation, acl_block, size_high, _, blocks_high, acl_high, uid_high, gid_high, _, _ = fields[13:]
    if stat.S_IFMT(mode) not in _TYPES or (links == 0 and dtime):
        raise Damaged(f"inode {number} is not in use")
    extra_size = struct.unpack_from("<H", raw, 128)[0] if len(raw) > 128 else 0
    if extra_size % 4 or 128 + extra_size > len(raw):
        raise Damaged(f"inode {number} claims more fields than it has room for")
    later = raw[128 : 128 + extra_size].ljust(24, b"\0")
    ctime_extra, mtime_extra, atime_extra, _, _ = _EXTRA.unpack_from(later, 4)
    if stat.S_ISREG(mode) or large_dir:
        size |= size_high << 32
    blocks |= blocks_high << 32
    per_block = block_size // 4
    most = 1 << 32 if flags & EXTENTS else 12 + per_block + per_block**2 + per_block**3
    if stat.S_ISREG(mode) and size > most * block_size:
        raise Damaged(f"inode {number} contradicts itself: its size is more than its map can reach")
    is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    attributes = Attributes(
        inode=number,
        mode=mode,
        n_links=links,
        uid=uid | uid_high << 16,
        gid=gid | gid_high << 16,
        device=_device(block) if is_device else (0, 0),
        size=size,
        allocated=blocks * (block_size if flags & HUGE_FILE else 512),
        atime_ns=_time(atime, atime_extra),
        mtime_ns=_time(mtime, mtime_extra),
        ctime_ns=_time(ctime, ctime_extra),
    )
    return Inode(attributes, flags, block, acl_block | acl_high << 32, generation, raw[128 + extra_size :])


def are_right(seed: int, inodes: Sequence[tuple[int, bytes]]) -> list[bool]:
    """Check the checksums of inodes (`inode.c: ext4_inode_csum`); one of zeros is no inode, and not wrong.

    Args:
        seed: of the file system.
        inodes: (number, its bytes), all of one length.
    """
    if not inodes:
        return []
    rows = np.frombuffer(b"".join(raw for _, raw in inodes), dtype=np.uint8).reshape(len(inodes), -1).copy()
    has_high = np.zeros(len(rows), dtype=np.bool_)
    told = rows[:, 124:126].copy().view("<u2")[:, 0].astype(np.uint32)
    rows[:, 124:126] = 0
    if rows.shape[1] > 128:
        has_high = rows[:, 128:130].copy().view("<u2")[:, 0] >= 4
        told |= np.where(has_high, rows[:, 130:132].copy().view("<u2")[:, 0].astype(np.uint32) << np.uint32(16), 0)
        rows[has_high, 130:132] = 0
    numbers = np.array([number for number, _ in inodes], dtype="<u4").view(np.uint8).reshape(-1, 4)
    whole = np.concatenate((numbers, rows[:, 100:104], rows), axis=1)
    if len(rows) < _FEW:
        crc = np.array([crc32c(seed, row.tobytes()) for row in whole], dtype=np.uint32)
    else:
        crc = crc32c_rows(seed, whole)
    right = np.where(has_high, crc == told, (crc & np.uint32(0xFFFF)) == told) | ~rows.any(axis=1)
    return [bool(each) for each in right]


def _time(seconds: int, extra: int) -> int:
    """Return [ns since 1970]: 32 bits with a sign, two more bits of seconds, 30 bits of nanoseconds."""
    signed = seconds - (1 << 32) if seconds >= 1 << 31 else seconds
    return (signed + ((extra & 3) << 32)) * 1_000_000_000 + (extra >> 2)


def _device(block: bytes) -> tuple[int, int]:
    """Return major and minor; of two forms the older one counts where it is there."""
    old, new = struct.unpack_from("<II", block)
    if old:
        return old >> 8 & 0xFF, old & 0xFF
    return (new & 0xFFF00) >> 8, (new & 0xFF) | (new >> 12 & 0xFFF00)
