"""Where the blocks of a file lie in ext2/3/4: the tree of extents, or the lists of blocks that it replaced.

    extents   header | index -> block with header | leaf: file block, length, device block
    lists     12 blocks | a block of blocks | a block of such blocks | one more level

What a lost or senseless block would tell is a run at `UNKNOWN`; an unwritten extent is a hole.
Source: `ext4_extents.h`, `inode.c: ext4_block_to_path`.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.errors import Unreadable
from raidfs.filesystem.entry import UNKNOWN, Run

_MAGIC = 0xF30A
_DEEPEST = 5
_LONGEST = 32768
"""Blocks of a written extent; longer ones are unwritten, by so much shorter."""

BlockRead = Callable[[int], bytes]
"""Reads a block by its number; raises `Unreadable`."""


@dataclass(frozen=True, slots=True)
class Space:
    """What blocks there can be: their size [bytes], the first and the number of them, and how they are read."""

    block_size: int
    first: int
    count: int
    read: BlockRead

    def holds(self, block: int, length: int = 1) -> bool:
        """Tell whether the file system has these blocks."""
        return self.first <= block and block + length <= self.count


def extent_runs(space: Space, root: bytes, n_blocks: int) -> tuple[Run, ...]:
    """Return the runs of a file with extents.

    Args:
        space: its file system.
        root: the 60 bytes of the inode.
        n_blocks: of the file; what lies behind is left out.
    """
    return tuple(_joined(_node(space, root, 0, n_blocks, _DEEPEST), space.block_size, n_blocks))


_Piece = tuple[int, int, int]
"""First block in the file, number of blocks, first block of the device or `UNKNOWN`."""


def _node(space: Space, node: bytes, start: int, stop: int, depth_limit: int) -> Iterator[_Piece]:
    """Yield what a node tells of the blocks [start, stop) of the file."""
    magic, n_entries, most, depth = struct.unpack_from("<HHHH", node)
    room = (len(node) - 12) // 12
    if magic != _MAGIC or n_entries > min(most, room) or depth > depth_limit:
        yield start, stop - start, UNKNOWN
        return
    at = start
    if depth == 0:
        for number in range(n_entries):
            first, length, high, low = struct.unpack_from("<IHHI", node, 12 + 12 * number)
            unwritten, block = length > _LONGEST, high << 32 | low
            length = length - _LONGEST if unwritten else length
            if first < at or length == 0 or not space.holds(block, length):
                yield at, stop - at, UNKNOWN
                return
            if not unwritten:
                yield first, length, block
            at = first + length
        return
    children = [struct.unpack_from("<IIH", node, 12 + 12 * number) for number in range(n_entries)]
    for number, (first, low, high) in enumerate(children):
        end = children[number + 1][0] if number + 1 < n_entries else stop
        if first < at or end < first:
            yield at, stop - at, UNKNOWN
            return
        at = end
        if first >= stop:
            return
        try:
            below = space.read(high << 32 | low) if space.holds(high << 32 | low) else b"\0" * 12
        except Unreadable:
            below = b"\0" * 12
        # a node one level down, or a loop could be built
        level = struct.unpack_from("<H", below, 6)[0]
        yield from _node(space, below if level == depth - 1 else b"\0" * 12, first, min(end, stop), depth - 1)


def _joined(pieces: Iterator[_Piece], block_size: int, n_blocks: int) -> Iterator[Run]:
    """Join neighbours, in bytes, up to the end of the file."""
    last: _Piece | None = None
    for first, whole, block in pieces:
        length = min(whole, n_blocks - first)
        if length <= 0:
            continue
        if last is not None and last[0] + last[1] == first and _follows(last, block):
            last = (last[0], last[1] + length, last[2])
            continue
        if last is not None:
            yield _run(last, block_size)
        last = (first, length, block)
    if last is not None:
        yield _run(last, block_size)


def _follows(piece: _Piece, block: int) -> bool:
    return (piece[2] == block == UNKNOWN) or (block != UNKNOWN != piece[2] and piece[2] + piece[1] == block)


def _run(piece: _Piece, block_size: int) -> Run:
    first, length, block = piece
    return Run(first * block_size, length * block_size, block if block == UNKNOWN else block * block_size)


def listed_runs(space: Space, root: bytes, n_blocks: int) -> tuple[Run, ...]:
    """Return the runs of a file with lists of blocks; see `extent_runs`."""
    direct = np.frombuffer(root, dtype="<u4").astype(np.int64)
    per_block = space.block_size // 4
    pieces: list[_Piece] = list(_blocks(space, direct[:12], 0))
    at = 12
    for level in (1, 2, 3):
        if at < n_blocks:
            pieces += _below(space, int(direct[11 + level]), at, level, n_blocks)
        at += per_block**level
    return tuple(_joined(iter(pieces), space.block_size, n_blocks))


def _below(space: Space, block: int, start: int, level: int, n_blocks: int) -> Iterator[_Piece]:
    """Yield what a list tells, which begins with block `start` of the file and has `level` levels."""
    per_block = space.block_size // 4
    if block == 0 or start >= n_blocks:
        return
    try:
        raw = space.read(block) if space.holds(block) else None
    except Unreadable:
        raw = None
    if raw is None:
        yield start, per_block**level, UNKNOWN
        return
    listed = np.frombuffer(raw, dtype="<u4").astype(np.int64)
    if level == 1:
        yield from _blocks(space, listed, start)
        return
    for number in np.flatnonzero(listed).tolist():
        yield from _below(space, int(listed[number]), start + number * per_block ** (level - 1), level - 1, n_blocks)


def _blocks(space: Space, listed: NDArray[np.int64], start: int) -> Iterator[_Piece]:
    """Yield the runs in one list; a block outside the file system is `UNKNOWN`."""
    used = np.flatnonzero(listed)
    if not len(used):
        return
    blocks = listed[used]
    outside = (blocks < space.first) | (blocks >= space.count)
    cuts = np.flatnonzero((np.diff(used) != 1) | (np.diff(blocks) != 1) | outside[1:] | outside[:-1]) + 1
    bounds = [0, *cuts.tolist(), len(used)]
    for begin, end in itertools.pairwise(bounds):
        yield start + int(used[begin]), end - begin, UNKNOWN if outside[begin] else int(blocks[begin])
