"""The trees of btrfs: looked up and walked by key, around the blocks of them that cannot be read.

The cursor of dissect.btrfs makes objects of all keys that it passes, begins at the root for each item, and ends at the
first block that is lost; here each block is taken apart once. Shapes as in `include/uapi/linux/btrfs_tree.h`.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from raidfs.errors import Damaged, Unreadable

Key = tuple[int, int, int]
"""Of an item: object (of a file, its inode), kind, offset."""

_HEADER = struct.Struct("<80xQ8xIB")
"""`struct btrfs_header`: generation, number of items, level."""
_SIZE = 101
_ITEM, _POINTER = struct.Struct("<QBQII"), struct.Struct("<QBQQQ")
"""A key, then place and size [bytes] of its data; or address and generation of a block."""
_FIRST: Key = (0, 0, 0)
_BEHIND: Key = (1 << 64, 0, 0)
_MOST_LEVELS = 8
_MOST_KEPT = 16 << 20
"""Bytes of the blocks that are kept; their keys take a few times as much."""


class Item(NamedTuple):
    """An item of a tree."""

    key: Key
    data: bytes


class Gap(NamedTuple):
    """Items with keys in [start, stop) that may be there and cannot be read, and why not."""

    start: Key
    stop: Key
    why: Unreadable


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a block of a tree lies, and which one has to lie there."""

    address: int
    generation: int
    level: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a tree.

    Attributes:
        raw: all of it.
        rows: of a leaf: keys, each with place and size of its data; else: with address and generation of a block.
    """

    raw: bytes
    rows: list[tuple[int, ...]]

    def items(self, start: Key, stop: Key) -> Iterator[Item]:
        """Yield the items of a leaf with keys in [start, stop)."""
        rows, raw = self.rows, self.raw
        for index in range(bisect_left(rows, start), len(rows)):
            owner, kind, offset, place, size = rows[index]
            key = owner, kind, offset
            if key >= stop:
                return
            yield Item(key, raw[_SIZE + place : _SIZE + place + size])


def block_of(raw: bytes, pointer: Pointer) -> Block:
    """Take a block apart.

    Raises:
        Damaged: it is not the one that a pointer leads to, or makes no sense.
    """
    generation, n_rows, level = _HEADER.unpack_from(raw)
    if (generation, level) != (pointer.generation, pointer.level):
        raise Damaged(f"the block of a tree at {pointer.address} is not the one that was written there last")
    shape = _POINTER if level else _ITEM
    end = _SIZE + n_rows * shape.size
    rows = list(shape.iter_unpack(raw[_SIZE:end])) if end <= len(raw) else []
    is_within = level or all(_SIZE + place + size <= len(raw) for *_, place, size in rows)
    if len(rows) < n_rows or not is_within or rows != sorted(rows):
        raise Damaged(f"the block of a tree at {pointer.address} makes no sense")
    return Block(raw, rows)


class Blocks:
    """The blocks of all trees of a file system; the last ones are kept."""

    def __init__(self, read: Callable[[Pointer], Block]) -> None:
        """Get blocks from `read`, which raises `Unreadable`."""
        self._read = read
        self._kept: OrderedDict[Pointer, Block] = OrderedDict()
        self._n_bytes = 0

    def get(self, pointer: Pointer) -> Block:
        """Return a block."""
        found = self._kept.get(pointer)
        if found is None:
            found = self._kept[pointer] = self._read(pointer)
            self._n_bytes += len(found.raw)
            while self._n_bytes > _MOST_KEPT and len(self._kept) > 1:
                self._n_bytes -= len(self._kept.popitem(last=False)[1].raw)
        else:
            self._kept.move_to_end(pointer)
        return found


class Tree:
    """One tree."""

    def __init__(self, blocks: Blocks, root: Pointer) -> None:
        """Begin at `root`; nothing is read yet."""
        if not 0 <= root.level < _MOST_LEVELS:
            raise Damaged("the root of a tree has a level that there cannot be")
        self._blocks = blocks
        self._root = root
        self._last: tuple[Key, Key, Block] | None = None

    def walk(self, start: Key, stop: Key) -> Iterator[Item | Gap]:
        """Yield the items with keys in [start, stop), in order; and what cannot be read, in its place."""
        if self._last is not None and self._last[0] <= start and stop <= self._last[1]:
            return self._last[2].items(start, stop)
        return self._walk(self._root, start, stop, _FIRST, _BEHIND)

    def items(self, start: Key, stop: Key) -> Iterator[Item]:
        """Do the same; raises `Unreadable` where something cannot be read."""
        for each in self.walk(start, stop):
            if isinstance(each, Gap):
                raise each.why
            yield each

    def find(self, key: Key) -> bytes | None:
        """Return the data of an item; None: there is none; raises `Unreadable`."""
        return next((data for _, data in self.items(key, _behind(key))), None)

    def last_until(self, key: Key) -> Key | None:
        """Return the last key that is not behind `key`; raises `Unreadable`."""
        pointer, end = self._root, _behind(key)
        while True:
            rows = self._blocks.get(pointer).rows
            index = bisect_left(rows, end) - 1
            if index < 0:
                return None
            if not pointer.level:
                return _key_of(rows[index])
            pointer = Pointer(rows[index][3], rows[index][4], pointer.level - 1)

    def _walk(self, pointer: Pointer, start: Key, stop: Key, first: Key, behind: Key) -> Iterator[Item | Gap]:
        """Walk what is below a block, which holds keys in [first, behind)."""
        try:
            block = self._blocks.get(pointer)
        except Unreadable as why:
            yield Gap(max(start, first), min(stop, behind), why)
            return
        if not pointer.level:
            self._last = first, behind, block
            yield from block.items(start, stop)
            return
        rows = block.rows
        for index in range(max(0, bisect_left(rows, _behind(start)) - 1), len(rows)):
            key = _key_of(rows[index]) if index else first
            if key >= stop:
                return
            end = _key_of(rows[index + 1]) if index + 1 < len(rows) else behind
            yield from self._walk(Pointer(rows[index][3], rows[index][4], pointer.level - 1), start, stop, key, end)


def _behind(key: Key) -> Key:
    return key[0], key[1], key[2] + 1


def _key_of(row: tuple[Any, ...]) -> Key:
    return row[0], row[1], row[2]
