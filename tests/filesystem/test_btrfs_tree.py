"""Trees of btrfs: whatever blocks are lost, what is in the others is found, and what is not is told."""

from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.errors import Damaged, Lost
from raidfs.filesystem.btrfs_tree import Block, Blocks, Gap, Item, Key, Pointer, Tree, block_of

GENERATION = 7
SIZE = 4096
HEADER = struct.Struct("<80xQ8xIB")

keys = st.tuples(st.integers(256, 262), st.sampled_from((1, 12, 24, 84, 96, 108)), st.integers(0, 9))


class Written:
    """A tree of blocks of a few items each, some of which cannot be read."""

    def __init__(self, items: dict[Key, bytes], per_block: int) -> None:
        """Write leaves, and nodes above them."""
        self.raw: dict[int, bytes] = {}
        self.holds: dict[int, list[Key]] = {}
        self.lost: set[int] = set()
        self.n_read: Counter[int] = Counter()
        self.n_asked = 0
        ordered = sorted(items)
        below = []
        for at in range(0, max(1, len(ordered)), per_block):
            part = ordered[at : at + per_block]
            below.append((part[0] if part else (0, 0, 0), self._add(leaf_of({key: items[key] for key in part}), part)))
        level = 0
        while len(below) > 1:
            level += 1
            parts = [below[at : at + per_block] for at in range(0, len(below), per_block)]
            below = [
                (part[0][0], self._add(node_of(part, level), [key for _, each in part for key in self.holds[each]]))
                for part in parts
            ]
        self.blocks = Blocks(self.read)
        self.tree = Tree(self.blocks, Pointer(below[0][1], GENERATION, level))

    def _add(self, raw: bytes, holds: list[Key]) -> int:
        address = (len(self.raw) + 1) * SIZE
        self.raw[address], self.holds[address] = raw, holds
        return address

    def read(self, pointer: Pointer) -> Block:
        """Return a block, or raise `Lost`."""
        if pointer.address in self.lost:
            raise Lost("lost")
        self.n_read[pointer.address] += 1
        return block_of(self.raw[pointer.address], pointer)


def leaf_of(items: dict[Key, bytes]) -> bytes:
    """Return a leaf."""
    raw = bytearray(SIZE)
    HEADER.pack_into(raw, 0, GENERATION, len(items), 0)
    end = SIZE - 101
    for number, (key, data) in enumerate(items.items()):
        end -= len(data)
        struct.pack_into("<QBQII", raw, 101 + 25 * number, *key, end, len(data))
        raw[101 + end : 101 + end + len(data)] = data
    return bytes(raw)


def node_of(children: list[tuple[Key, int]], level: int) -> bytes:
    """Return a node."""
    raw = bytearray(SIZE)
    HEADER.pack_into(raw, 0, GENERATION, len(children), level)
    for number, (key, address) in enumerate(children):
        struct.pack_into("<QBQQQ", raw, 101 + 33 * number, *key, address, GENERATION)
    return bytes(raw)


@given(st.sets(keys, max_size=60), st.integers(2, 5), keys, keys, st.data())
def test_a_walk_yields_what_can_be_read_and_where_something_cannot(
    chosen: set[Key], per_block: int, start: Key, stop: Key, data: st.DataObject
) -> None:
    items = {key: b"%d-%d-%d" % key for key in chosen}
    written = Written(items, per_block)
    written.lost = set(data.draw(st.lists(st.sampled_from(sorted(written.raw)), max_size=3)))
    hidden = {key for address in written.lost for key in written.holds[address]}
    for _ in range(2):  # the second time the last leaf is at hand
        found = list(written.tree.walk(start, stop))
        assert [each for each in found if isinstance(each, Item)] == [
            Item(key, items[key]) for key in sorted(chosen - hidden) if start <= key < stop
        ]
        gaps = [each for each in found if isinstance(each, Gap)]
        assert all(start <= gap.start and gap.stop <= stop for gap in gaps)
        for key in sorted(hidden):
            assert any(gap.start <= key < gap.stop for gap in gaps) == (start <= key < stop)
        for key in sorted(chosen - hidden):
            assert not any(gap.start <= key < gap.stop for gap in gaps)


@given(st.sets(keys, max_size=60), st.integers(2, 5), keys)
def test_the_last_key_until_another(chosen: set[Key], per_block: int, key: Key) -> None:
    written = Written(dict.fromkeys(chosen, b"x"), per_block)
    assert written.tree.last_until(key) == max((each for each in chosen if each <= key), default=None)
    assert written.tree.find(key) == (b"x" if key in chosen else None)


def test_neighbours_are_found_without_going_through_the_tree_again() -> None:
    items = {(number, kind, 0): b"%d" % number for number in range(1000) for kind in (1, 12)}
    written = Written(items, 20)
    asked: list[Pointer] = []
    get = written.blocks.get

    def counted(pointer: Pointer) -> Block:
        asked.append(pointer)
        return get(pointer)

    written.blocks.get = counted  # type: ignore[method-assign]  # to see who asks
    for number in range(1000):
        assert written.tree.find((number, 1, 0)) == b"%d" % number
        assert written.tree.find((number, 12, 0)) == b"%d" % number
    assert set(written.n_read.values()) == {1}
    # three or four for each of the 100 leaves
    assert len(asked) < 500


def test_a_block_that_was_written_before_is_not_the_one() -> None:
    raw = leaf_of({(256, 1, 0): b"old"})
    assert block_of(raw, Pointer(SIZE, GENERATION, 0)).rows
    for other in (Pointer(SIZE, GENERATION + 1, 0), Pointer(SIZE, GENERATION, 1)):
        with pytest.raises(Damaged, match="not the one"):
            block_of(raw, other)


@given(st.dictionaries(st.integers(80, 260), st.integers(1, 255), max_size=6))
def test_a_block_with_anything_in_it_is_damaged_or_yields_what_is_in_it(changed: dict[int, int]) -> None:
    raw = bytearray(leaf_of({(256, 1, number): b"data %d" % number for number in range(9)}))
    for place, mask in changed.items():
        raw[place] ^= mask
    generation, _, level = HEADER.unpack_from(raw)
    try:
        block = block_of(bytes(raw), Pointer(SIZE, generation, level))
    except Damaged:
        return
    if not level:
        found = list(block.items((0, 0, 0), (1 << 64, 0, 0)))
        assert len(found) == len(block.rows)
        assert [key for key, _ in found] == sorted(key for key, _ in found)
