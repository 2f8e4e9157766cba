"""Structures that lie where they say: found on real contents, nowhere else, and whatever the bytes are."""

from __future__ import annotations

import struct
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.evidence.structures import structures_in
from raidfs.extents import Extents
from raidfs.superblock.crc32c import crc32c
from tests.support.golden import golden_case

EVERYWHERE = Extents.span(0, 1 << 62)
REAL = {
    "k-r5-3to4-gpt": {
        "ext4 block bitmap": 1,
        "ext4 inode bitmap": 1,
        "ext4 inode block": 11,
        "XFS allocation group": 1,
        "XFS metadata block": 7,
        "backup partition table": 1,
    },
    "k-r5-3to4-xfs": {"XFS allocation group": 2, "XFS metadata block": 12},
    "k-r5-3to4-btrfs": {"btrfs superblock": 1},
    "s-r5-la": {"ext4 block bitmap": 1, "ext4 inode bitmap": 1, "ext4 inode block": 9},
}


@cache
def content(name: str) -> bytes:
    with open_array([str(path) for path in golden_case(name).members()]) as array:
        return read_exact(array.source, 0, array.source.size)[0]


def found(data: bytes, where: Extents = EVERYWHERE) -> list[tuple[int, str]]:
    return [(each.position, each.what) for each in structures_in(MemorySource(data), where)]


@pytest.mark.golden
@pytest.mark.parametrize("name", REAL)
def test_real_contents(name: str) -> None:
    there = found(content(name))
    words = [what for _, what in there]
    assert {word: words.count(word) for word in words} == REAL[name]
    last, what = there[-1]
    assert found(content(name), Extents.span(last + 5, last + 6)) == [(last, what)]
    assert found(content(name), Extents()) == []


@pytest.mark.golden
@pytest.mark.parametrize("name", REAL)
def test_what_is_moved_or_of_another_one_is_not_found(name: str) -> None:
    data = bytearray(content(name))
    last, what = found(bytes(data))[-1]
    if last > 65536:
        moved = data[:last] + bytes(65536) + data[last:]
        assert (last, what) not in found(bytes(moved))
    elif "btrfs" not in what:
        data[last + 3] ^= 1
        assert (last, what) not in found(bytes(data))


def ext4(n_groups: int, *, is_wide: bool) -> bytes:
    """A file system of groups of 64 blocks of 1 KiB, by the definitions of its format."""
    block, group, inodes, size = 1024, 64, 16, 64 if is_wide else 32
    uuid = bytes(range(16))
    data = bytearray((1 + n_groups * group) * block)
    seed = crc32c(0xFFFFFFFF, uuid)
    table = bytearray()
    for number in range(n_groups):
        first = 1 + number * group
        bitmaps = [bytes([number, 255]) + bytes(group // 8 - 2), bytes([number ^ 85, 1])]
        places = [first + 20, first + 21]
        sums = [crc32c(seed, each) for each in bitmaps]
        row = struct.pack("<IIIHHHHIHHHH", *places, first + 22, 0, 0, 0, 0, 0, *(each & 0xFFFF for each in sums), 0, 0)
        table += row + (
            struct.pack("<IIIHHHHIHHI", 0, 0, 0, 0, 0, 0, 0, 0, *(each >> 16 for each in sums), 0) if is_wide else b""
        )
        for place, each in zip(places, bitmaps, strict=True):
            data[place * block : place * block + len(each)] = each
    for number in {0, 1, 3, 5, 7, 9} & {*range(n_groups)}:
        sb = bytearray(1024)
        struct.pack_into("<II", sb, 0, n_groups * inodes, 1 + n_groups * group)
        struct.pack_into("<IIIIII", sb, 20, 1, 0, 0, group, group, inodes)
        struct.pack_into("<HH", sb, 56, 0xEF53, 1)
        struct.pack_into("<HIII", sb, 90, number, 0, 0x80 if is_wide else 0, 0x400)
        sb[104:120] = uuid
        struct.pack_into("<H", sb, 254, size)
        at = (1 + number * group) * block
        data[at : at + 1024] = sb
    data[2 * block : 2 * block + len(table)] = table
    return bytes(data)


@pytest.mark.parametrize("is_wide", [False, True])
def test_backups_and_bitmaps_of_ext4(is_wide: bool) -> None:
    data = ext4(12, is_wide=is_wide)
    there = found(data)
    group = 64 * 1024
    assert [at for at, what in there if what == "ext4 superblock"] == [1024 + n * group for n in (1, 3, 5, 7, 9)]
    assert [at for at, what in there if what == "ext4 block bitmap"] == [1024 + n * group + 20480 for n in range(12)]
    assert [at for at, what in there if what == "ext4 inode bitmap"] == [1024 + n * group + 21504 for n in range(12)]
    damaged = bytearray(data)
    damaged[1024 + 3 * group + 20480 + 3] ^= 1
    assert len(found(bytes(damaged))) == len(there) - 1
    swapped = data[: 5 * group] + data[6 * group : 7 * group] + data[5 * group : 6 * group] + data[7 * group :]
    inside = found(swapped, Extents.span(5 * group, 7 * group))
    assert inside == []


@pytest.mark.golden
@settings(max_examples=60)
@given(st.data())
def test_any_bytes(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*REAL, "made"]))
    raw = bytearray((ext4(12, is_wide=True) if name == "made" else content(name))[: 256 << 10])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.sampled_from([0, 512, 1024, 2048, 4096, 65536])) + data.draw(st.integers(0, 511))
        new = data.draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, bytes(8)]))
        raw[at : at + len(new)] = new
    assert all(at + 1 <= len(raw) for at, _ in found(bytes(raw)))
