"""Directories of ext2/3/4, block by block, as the kernel's linear search reads them: indexes are empty entries to it.

    inode u32 | length u16 | length of the name u8 | type u8 | name

Source: `ext4.h: struct ext4_dir_entry_2`, `ext4_rec_len_from_disk`, `dir.c: __ext4_check_dir_entry`.
"""

from __future__ import annotations

import stat
import struct
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from raidfs.filesystem.entry import Name
from raidfs.superblock.crc32c import crc32c

_HEAD = struct.Struct("<IHBB")
_ROOT_ENTRIES, _NODE_ENTRIES = 32, 8
"""Where the entries of an index begin in its root, and in its other nodes [bytes]."""
_TYPES = (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFLNK)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How entries are to be read: whether they have types, and whether their names are encrypted."""

    has_types: bool
    is_encrypted: bool = False


def parse_names(block: bytes, dialect: Dialect) -> tuple[list[Name], int]:
    """Read one block of a directory.

    Returns:
        The names without `.` and `..`, and the number of bytes that make no sense: from the first such entry on.
    """
    found: list[Name] = []
    at, end = 0, len(block)
    while at < end:
        if end - at < 8:
            return found, end - at
        inode, length, n, kind = _HEAD.unpack_from(block, at)
        if end >= 1 << 16 and length in (0, (1 << 16) - 1):
            length = 1 << 16
        elif end >= 1 << 16:
            length = (length & 0xFFFC) | (length & 3) << 16
        if not dialect.has_types:
            n |= kind << 8  # one number of 16 bits in the first revision
            kind = 0
        if length < 8 + n or length % 4 or at + length > end or (inode and not n):
            return found, end - at
        name = block[at + 8 : at + 8 + n]
        if inode and name not in (b".", b".."):
            if dialect.is_encrypted:
                name = b"encrypted-" + urlsafe_b64encode(name).rstrip(b"=")[:240]
            if b"/" in name or b"\0" in name:
                return found, end - at
            found.append(Name(name, inode, _TYPES[kind & 7]))
        at += length
    return found, 0


def is_right(seed: int, block: bytes, *, is_root: bool) -> bool:
    """Tell whether a block of a directory has the checksum that it should have.

    Blocks of an index end with another one than lists of names; what looks like the one of a list in them may be from
    earlier. A list without any is right. Source: `namei.c: ext4_dirblock_csum_verify`, `ext4_dx_csum_verify`.

    Args:
        seed: of the directory's checksums.
        block: the block.
        is_root: it is the root of an index.
    """
    is_node = block[:6] == bytes(4) + (len(block) & 0xFFFF).to_bytes(2, "little")
    if is_root or is_node:
        entries = _ROOT_ENTRIES if is_root else _NODE_ENTRIES
        limit, count = struct.unpack_from("<HH", block, entries)
        tail = entries + 8 * limit
        if count > limit or tail + 8 > len(block):
            return False
        told = int.from_bytes(block[tail + 4 : tail + 8], "little")
        return crc32c(seed, block[: entries + 8 * count] + block[tail : tail + 4] + bytes(4)) == told
    # it looks like an empty entry of a type that does not exist
    if block[-12:-4] != b"\0\0\0\0\x0c\0\0\xde":
        return True
    return crc32c(seed, block[:-12]) == int.from_bytes(block[-4:], "little")
