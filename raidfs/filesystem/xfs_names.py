"""Directories of XFS: short ones in the inode, others in blocks of entries and gaps.

    block   head | inode u64, length u8, name, [type u8], tag u16, up to 8 bytes | 0xffff, length u16: a gap | ...

Each entry and each gap says at its end where it begins, so nothing else is taken for one. A directory of one block ends
with its index; blocks of indexes of larger ones lie behind 32 GiB and are not needed.
Source: `xfs_da_format.h: struct xfs_dir2_sf_hdr, xfs_dir2_data_entry, xfs_dir2_block_tail`.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import Name
from raidfs.filesystem.xfs_super import Super, checked
from raidfs.units import SECTOR

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
_NONE: frozenset[int] = frozenset()


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
    """Read one block of a directory.

    Returns:
        The names without `.` and `..`, and the number of bytes that make no sense: from the first such entry on.
    """
    try:
        if told.version == 5:
            checked(raw, 4, "a block of a directory")
    except Unreadable:
        return [], len(raw)
    end = _end_of_names(raw) if raw[:4] == _BLOCK[told.version] else len(raw)
    if raw[:4] not in (_DATA[told.version], _BLOCK[told.version]) or end < _HEAD[told.version]:
        return [], len(raw)
    found, stop = _from(_Block(raw, _NONE, end, told), _HEAD[told.version])
    return found, end - stop


def torn_names(raw: bytes, gone: frozenset[int], told: Super) -> tuple[list[Name], int]:
    """Read a block of a directory of which some sectors are lost.

    Where an entry begins is not known behind them, and within gaps lie whole entries of files that were deleted. But
    from none of those does one entry after the other lead to the end: a gap ends with the place where the gap begins,
    so the last one of them is none.

    Args:
        raw: the block; lost sectors are anything.
        gone: the numbers of the lost sectors.
        told: its file system.

    Returns:
        The names without `.` and `..`, and the number of bytes between them that are lost or make no sense.
    """
    magic = None if 0 in gone else raw[:4]
    if magic not in (None, _DATA[told.version], _BLOCK[told.version]):
        return [], len(raw)
    ends = [] if magic == _BLOCK[told.version] else [len(raw)]
    if magic != _DATA[told.version] and len(raw) // SECTOR - 1 not in gone:
        ends.append(_end_of_names(raw))
    # a damaged tail, or none, may tell anything: then the names may go on to the end of the block; an index has two
    # entries at least
    ends = [end for end in ends if end == len(raw) or _HEAD[told.version] <= end <= len(raw) - 24] or [len(raw)]
    found: list[Name] = []
    stop = 0
    for end in ends:
        block = _Block(raw, gone, end, told)
        found, stop = ([], 0) if magic is None else _from(block, _HEAD[told.version])
        start = _first_that_leads_to_the_end(block, stop)
        if start < end:
            return found + _from(block, start)[0], start - stop
    return found, ends[0] - stop


@dataclass(frozen=True)
class _Block:
    """A block of a directory: its bytes, which sectors of it are lost, and where its names end."""

    raw: bytes
    gone: frozenset[int]
    end: int
    told: Super

    def has(self, start: int, stop: int) -> bool:
        """Tell whether these bytes are known."""
        return not self.gone or self.gone.isdisjoint(range(start // SECTOR, (stop - 1) // SECTOR + 1))


def _end_of_names(raw: bytes) -> int:
    """Return where the names of a block end that has its index (`xfs_dir2_block_tail`)."""
    return len(raw) - 8 - 8 * int.from_bytes(raw[-8:-4], "big")


def _first_that_leads_to_the_end(block: _Block, after: int) -> int:
    """Return the first place, not before `after`, from which one entry after the other leads to the end."""
    lead_there = {block.end}
    for at in range(block.end - 8, after - 1, -8):
        item = _item(block, at)
        if item is not None and at + item[0] in lead_there:
            lead_there.add(at)
    return min(lead_there)


def _from(block: _Block, start: int) -> tuple[list[Name], int]:
    """Read entries and gaps one after the other; return the names, and where they stop making sense, or the end."""
    found: list[Name] = []
    at = start
    while at < block.end:
        item = _item(block, at)
        if item is None:
            break
        length, name = item
        if name is not None and name.name not in (b".", b".."):
            found.append(name)
        at += length
    return found, at


def _item(block: _Block, at: int) -> tuple[int, Name | None] | None:
    """Read an entry or a gap: its length [bytes], and the name if it is an entry; None: at `at` begins none."""
    raw, end, told = block.raw, block.end, block.told
    if end - at < 8 or not block.has(at, at + 8):
        return None
    mark, gap = struct.unpack_from(">HH", raw, at)
    if mark == _GAP:
        makes_sense = gap >= 8 and gap % 8 == 0 and at + gap <= end and block.has(at + gap - 2, at + gap)
        return (gap, None) if makes_sense and _begins(raw, at, gap) else None
    inode, n = struct.unpack_from(">QB", raw, at) if end - at >= 16 else (0, 0)
    length = (8 + 1 + n + told.has_types + 2 + 7) // 8 * 8
    name = raw[at + 9 : at + 9 + n]
    if not n or at + length > end or not block.has(at, at + length) or not _begins(raw, at, length):
        return None
    if b"/" in name or b"\0" in name:
        return None
    return length, _named(name, inode, raw[at + 9 + n] if told.has_types else 0)


def _begins(raw: bytes, at: int, length: int) -> bool:
    """Tell whether an entry or a gap says that it begins here (`xfs_dir2_data_entry_tag_p`)."""
    return int.from_bytes(raw[at + length - 2 : at + length], "big") == at
