"""Inodes of XFS: their fields, and their two forks, which hold data or say where they lie.

    fields | data fork | attribute fork (from `forkoff` on)

A fork is the bytes themselves (local), a list of extents, or the root of a tree of such lists.
Source: `xfs_format.h: struct xfs_dinode, xfs_bmbt_rec, xfs_bmdr_block, xfs_btree_block`.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import UNKNOWN, Attributes, Run
from raidfs.filesystem.xfs_super import Super, check_place, checked
from raidfs.superblock.crc32c import crc32c_rows

DEVICE, LOCAL, EXTENTS, BTREE = 0, 1, 2, 3
_SUM = 100
"""Where the checksum lies [bytes of the inode]."""
_REALTIME = 0x1
_BIGTIME, _NREXT64 = 0x8, 0x10
_EPOCH = (1 << 31) * 1_000_000_000
_DEEPEST = 12
_LIST_V4, _LIST_V5 = b"BMAP", b"BMA3"


@dataclass(frozen=True, slots=True)
class Fork:
    """One fork: its format, its bytes in the inode, and how many extents it has."""

    format: int
    raw: bytes
    n_extents: int


@dataclass(frozen=True, slots=True)
class Inode:
    """One inode: what `stat` tells, its forks (attributes may have none), and whether its data lie elsewhere."""

    attributes: Attributes
    data: Fork
    extended: Fork | None
    is_realtime: bool


def are_right(raws: Sequence[bytes]) -> list[bool]:
    """Check the checksums of inodes of version 3, all of one length, at once: that is much faster for many of them."""
    if not raws:
        return []
    rows = np.frombuffer(b"".join(raws), dtype=np.uint8).reshape(len(raws), -1).copy()
    told = rows[:, _SUM : _SUM + 4].copy().view("<u4")[:, 0]
    rows[:, _SUM : _SUM + 4] = 0
    found: list[bool] = (crc32c_rows(0xFFFFFFFF, rows) == told ^ np.uint32(0xFFFFFFFF)).tolist()
    return found


def check_inode(number: int, raw: bytes) -> None:
    """Raise `Damaged` unless the checksum of an inode of version 3 is right."""
    checked(raw, _SUM, f"inode {number}")


def parse_inode(number: int, raw: bytes, told: Super) -> Inode:
    """Read an inode, whose checksum was checked.

    Raises:
        Damaged: it is not in use, or makes no sense.
    """
    version, kind = raw[4], raw[5]
    # of the file system's own version, or a flipped bit would have the checksum passed over (`xfs_dinode_good_version`)
    if raw[:2] != b"IN" or version not in ((3,) if told.version == 5 else (1, 2)):
        raise Damaged(f"inode {number} is none")
    if version == 3 and struct.unpack_from(">Q", raw, 152)[0] != number:
        raise Damaged(f"inode {number} is one that belongs elsewhere")
    (mode,) = struct.unpack_from(">H", raw, 2)
    if mode == 0:
        raise Damaged(f"inode {number} is not in use")
    start = 176 if version == 3 else 100
    flags2 = struct.unpack_from(">Q", raw, 120)[0] if version == 3 else 0
    old_links, uid, gid, links = struct.unpack_from(">HIII", raw, 6)
    size, n_blocks, _, n_extents, n_attributes = struct.unpack_from(">QQIIH", raw, 56)
    if flags2 & _NREXT64:
        n_attributes, (n_extents,) = n_extents, struct.unpack_from(">Q", raw, 24)
    offset, flags = start + 8 * raw[82], struct.unpack_from(">H", raw, 90)[0]
    end = offset if raw[82] else len(raw)
    if end > len(raw) or size >= 1 << 63:
        raise Damaged(f"inode {number} contradicts itself")
    times = (_time(raw[at : at + 8], bool(flags2 & _BIGTIME)) for at in (32, 40, 48))
    is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    device = struct.unpack_from(">I", raw, start)[0] if is_device and kind == DEVICE else 0
    attributes = Attributes(
        number,
        mode,
        old_links if version == 1 else links,
        uid,
        gid,
        (device >> 18 & 0x3FFF, device & 0x3FFFF),
        size,
        n_blocks * told.block_size,
        *times,
    )
    extended = Fork(raw[83], raw[offset:], n_attributes) if raw[82] else None
    return Inode(attributes, Fork(kind, raw[start:end], n_extents), extended, bool(flags & _REALTIME))


def _time(raw: bytes, is_big: bool) -> int:
    """Return [ns since 1970] of either form."""
    if is_big:
        return int(struct.unpack(">Q", raw)[0]) - _EPOCH
    seconds, nanoseconds = struct.unpack(">iI", raw)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


# ------------------------------------------------------------------------------------------------------------- extents

_Piece = tuple[int, int, int]
"""First block in the file, number of blocks, where they lie [bytes] or `UNKNOWN`; unwritten ones are left out."""


def runs_of(fork: Fork, told: Super, read: Callable[[int, int], bytes], stop: int) -> tuple[Run, ...]:
    """Return where the bytes of a fork lie.

    Args:
        fork: with extents.
        told: its file system.
        read: reads (place, length) [bytes] of the device; raises `Unreadable`.
        stop: number of blocks of interest; what lies behind is left out.
    """
    if fork.format == EXTENTS:
        pieces = _extents(fork.raw[: 16 * fork.n_extents], told, 0, stop)
        if 16 * fork.n_extents > len(fork.raw):
            raise Damaged("a fork has more extents than room for them")
    elif fork.format == BTREE:
        level, n_records = struct.unpack_from(">HH", fork.raw)
        most = (len(fork.raw) - 4) // 16
        if not (0 < level <= _DEEPEST and n_records <= most):
            raise Damaged("the root of a tree of extents makes no sense")
        keys = struct.unpack_from(f">{n_records}Q", fork.raw, 4)
        below = struct.unpack_from(f">{n_records}Q", fork.raw, 4 + 8 * most)
        pieces = _children(told, read, level - 1, keys, below, 0, stop)
    else:
        raise Damaged("a fork has no extents")
    return tuple(_joined(pieces, told.block_size, stop))


def _children(
    told: Super,
    read: Callable[[int, int], bytes],
    level: int,
    keys: tuple[int, ...],
    below: tuple[int, ...],
    start: int,
    stop: int,
) -> Iterator[_Piece]:
    """Yield what the blocks below a node tell."""
    at = start
    for number, key in enumerate(keys):
        end = keys[number + 1] if number + 1 < len(keys) else stop
        if key < at or end < key:
            yield at, stop - at, UNKNOWN
            return
        at = end
        if key >= stop:
            return
        try:
            place = told.place_of_block(below[number])
            raw = read(place, told.block_size)
            if told.version == 5:
                check_place(raw, 24, place)
            yield from _block(told, read, level, raw, key, min(end, stop))
        except Unreadable:
            yield key, min(end, stop) - key, UNKNOWN


def _block(
    told: Super, read: Callable[[int, int], bytes], level: int, raw: bytes, start: int, stop: int
) -> Iterator[_Piece]:
    """Yield what one block of the tree tells."""
    if told.version == 5:
        checked(raw, 64, "a block of extents")
    head = 72 if told.version == 5 else 24
    its_level, n_records = struct.unpack_from(">HH", raw, 4)
    most = (len(raw) - head) // 16
    if raw[:4] != (_LIST_V5 if told.version == 5 else _LIST_V4) or its_level != level or n_records > most:
        raise Damaged("a block of extents makes no sense")
    if level == 0:
        # all at once: what was said must not be taken back
        yield from list(_extents(raw[head : head + 16 * n_records], told, start, stop))
        return
    keys = struct.unpack_from(f">{n_records}Q", raw, head)
    below = struct.unpack_from(f">{n_records}Q", raw, head + 8 * most)
    yield from _children(told, read, level - 1, keys, below, start, stop)


def _extents(raw: bytes, told: Super, start: int, stop: int) -> Iterator[_Piece]:
    """Yield a list of extents; from the first on that makes no sense, `UNKNOWN`."""
    at = start
    for high, low in struct.iter_unpack(">QQ", raw):
        first, length = (high & (1 << 63) - 1) >> 9, low & 0x1FFFFF
        block = (high & 0x1FF) << 43 | low >> 21
        try:
            place = told.place_of_block(block)
            told.place_of_block(block + length - 1)
        except Damaged:
            place = UNKNOWN
        if first < at or length == 0 or place == UNKNOWN:
            yield at, max(0, stop - at), UNKNOWN
            return
        at = first + length
        if not high >> 63:
            yield first, length, place


def _joined(pieces: Iterator[_Piece], block_size: int, stop: int) -> Iterator[Run]:
    """Join neighbours, in bytes, up to the end."""
    last: Run | None = None
    for first, whole, place in pieces:
        length = min(whole, stop - first) * block_size
        if length <= 0:
            continue
        start = first * block_size
        if last is not None and last.start + last.length == start and _follows(last, place):
            last = Run(last.start, last.length + length, last.place)
            continue
        if last is not None:
            yield last
        last = Run(start, length, place)
    if last is not None:
        yield last


def _follows(last: Run, place: int) -> bool:
    if UNKNOWN in (place, last.place):
        return place == last.place
    return last.place + last.length == place
