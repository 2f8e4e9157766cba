"""Partition tables: where the partitions lie, and nothing where there is no table."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.partition import partitions_of

SIZE = 1 << 20


def mbr(*entries: tuple[int, int, int], status: int = 0) -> bytearray:
    disk = bytearray(SIZE)
    for number, (kind, start, length) in enumerate(entries):
        struct.pack_into("<B3xB3xII", disk, 446 + 16 * number, status, kind, start, length)
    disk[510:512] = b"\x55\xaa"
    return disk


def test_the_entries_of_an_mbr() -> None:
    disk = mbr((0xFD, 64, 1000), (0x83, 1100, 100), (0x83, 2000, 1000))
    found = partitions_of(MemorySource(disk))
    assert (64 * 512, 1000 * 512) in found
    assert (1100 * 512, 100 * 512) in found
    assert not any(start + size > SIZE for start, size in found)


def test_the_entries_of_a_gpt() -> None:
    disk = mbr((0xEE, 1, 0xFFFFFFFF))
    disk[512:520] = b"EFI PART"
    struct.pack_into("<QII", disk, 512 + 72, 2, 128, 128)
    disk[1024:1040] = b"a partition type"
    struct.pack_into("<QQ", disk, 1024 + 32, 100, 199)
    assert partitions_of(MemorySource(disk)) == [(100 * 512, 100 * 512)]


def test_no_signature_or_boot_code_is_no_table() -> None:
    assert partitions_of(MemorySource(bytes(SIZE))) == []
    assert partitions_of(MemorySource(b"")) == []
    assert partitions_of(MemorySource(mbr((0xFD, 64, 1000), status=0x33))) == []


@given(st.binary(min_size=66, max_size=66), st.binary(max_size=600))
def test_any_bytes_give_ranges_within_the_disk(entries: bytes, more: bytes) -> None:
    disk = bytearray(65536)
    disk[446:512] = entries[:64] + b"\x55\xaa"
    disk[512 : 512 + len(more)] = more
    for start, size in partitions_of(MemorySource(disk)):
        assert 0 < start < start + size <= len(disk)
