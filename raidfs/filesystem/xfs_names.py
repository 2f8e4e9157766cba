"""Directories of XFS: short ones in the inode, others in blocks of entries and gaps.

    block   head | inode u64, length u8, name, [type u8], tag u16, up to 8 bytes | 0xffff, length u16: a gap | ...

A directory of one block ends with its index; blocks of indexes of larger ones lie behind 32 GiB and are not needed.
Source: `xfs_da_format.h: struct xfs_dir2_sf_hdr, xfs_dir2_data_entry, xfs_dir2_block_tail`.
"""

from __future__ import annotations

import stat
import struct

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import Name
from raidfs.filesystem.xfs_super import Super, checked

NAMES_END = 1 << 35
"""Where names end and indexes begin [bytes of the directory]."""
_TYPES = (
    0,
    stat.S_IFREG,
    stat.S_IFDIR,
    stat.S_IFCHR,
    stat.S_IFBLK,
    stat.S_IFIFO,
    stat.S_IFSOCK,
    stat.S_IFLNK,
)
_DATA, _BLOCK = {4: b"XD2D", 5: b"XDD3"}, {4: b"XD2B", 5: b"XDB3"}
_HEAD = {4: 16, 5: 64}
_GAP = 0xFFFF


def short_names(fork: bytes, told: Super) -> list[Name]:
    """Read a directory that lies in its inode.

    Raises:
        Damaged: it makes no sense.
    """
    count, wide = fork[0], fork[1]
    width = 8 if wide else 4
    at = 2 + width
    found: list[Name] = []
    for _ in range(count):
        n = fork[at] if at < len(fork) else 0
        end = at + 3 + n + told.has_types + width
        if not n or end > len(fork):
            raise Damaged("a short directory is cut off")
        kind = fork[at + 3 + n] if told.has_types else 0
        found.append(_named(fork[at + 3 : at + 3 + n], int.from_bytes(fork[end - width : end], "big"), kind))
        at = end
    return found


def _named(name: bytes, inode: int, kind: int) -> Name:
    if b"/" in name or b"\0" in name:
        raise Damaged("a name has characters that no name can have")
    return Name(name, inode, _TYPES[kind] if kind < len(_TYPES) else 0)


def block_names(raw: bytes, told: Super) -> tuple[list[Name], int]:
    """Read one block of a directory, or what comes before the first sector of it that is lost.

    Each entry and each gap says at its end where it begins: so nothing else is taken for one.

    Returns:
        The names without `.` and `..`, and the number of bytes that make no sense: from the first such entry on.
    """
    found: list[Name] = []
    is_whole = len(raw) == told.directory_size
    try:
        if told.version == 5 and is_whole:
            checked(raw, 4, "a block of a directory")
    except Unreadable:
        return found, len(raw)
    end = len(raw)
    if raw[:4] == _BLOCK[told.version] and is_whole:
        end -= 8 + 8 * struct.unpack_from(">I", raw, end - 8)[0]
        if end < _HEAD[told.version]:
            return found, len(raw)
    elif raw[:4] not in (_DATA[told.version], _BLOCK[told.version]):
        return found, len(raw)
    at = _HEAD[told.version]
    while at < end:
        if end - at < 8:
            return found, end - at
        mark, gap = struct.unpack_from(">HH", raw, at)
        if mark == _GAP:
            if gap < 8 or gap % 8 or at + gap > end or not _begins(raw, at, gap):
                return found, end - at
            at += gap
            continue
        inode, n = struct.unpack_from(">QB", raw, at) if end - at >= 16 else (0, 0)
        length = (8 + 1 + n + told.has_types + 2 + 7) // 8 * 8
        name = raw[at + 9 : at + 9 + n]
        if not n or at + length > end or not _begins(raw, at, length) or b"/" in name or b"\0" in name:
            return found, end - at
        if name not in (b".", b".."):
            found.append(_named(name, inode, raw[at + 9 + n] if told.has_types else 0))
        at += length
    return found, 0


def _begins(raw: bytes, at: int, length: int) -> bool:
    """Tell whether an entry or a gap says that it begins here (`xfs_dir2_data_entry_tag_p`)."""
    return int.from_bytes(raw[at + length - 2 : at + length], "big") == at
