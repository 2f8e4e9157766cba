"""Partition tables: where the partitions lie, what is wrong with the table, and nothing where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.partition import Partition, read_partitions
from tests.support.disks import Slice, gpt_disk, mbr_disk, write_table

SIZE = 1 << 20
SLICES = (Slice(100, 200), Slice(400, 1000))


def found(disk: bytes | bytearray, lost: Extents | None = None) -> list[tuple[int, int, int]]:
    partitions, _ = read_partitions(MemorySource(disk, lost), "sda")
    return [(each.number, each.start, each.size) for each in partitions]


def said(disk: bytes | bytearray, lost: Extents | None = None) -> list[str]:
    return [finding.message for finding in read_partitions(MemorySource(disk, lost), "sda")[1]]


def test_the_entries_of_an_mbr() -> None:
    disk = mbr_disk([Slice(64, 1000), Slice(1100, 100), Slice(2000, 1000)], SIZE)
    assert {(1, 64 * 512, 1000 * 512), (2, 1100 * 512, 100 * 512)} <= set(found(disk))
    assert not any(start + size > SIZE for _, start, size in found(disk))


def test_logical_partitions_are_counted_from_five() -> None:
    disk = bytearray(SIZE)
    write_table(disk, 0, [(0x83, 10, 50), (0x05, 100, 1000)])
    write_table(disk, 100 * 512, [(0x83, 2, 100), (0x05, 300, 400)])
    write_table(disk, 400 * 512, [(0xFD, 2, 200)])
    assert {(1, 5120, 25600), (5, 102 * 512, 100 * 512), (6, 402 * 512, 200 * 512)} <= set(found(disk))


def test_a_loop_of_logical_partitions_ends() -> None:
    disk = bytearray(SIZE)
    write_table(disk, 0, [(0x0F, 100, 1000)])
    write_table(disk, 100 * 512, [(0x83, 2, 100), (0x05, 300, 400)])
    write_table(disk, 400 * 512, [(0x83, 2, 50), (0x05, 0, 400)])
    assert {(5, 102 * 512, 100 * 512), (6, 402 * 512, 50 * 512)} <= set(found(disk))


@pytest.mark.parametrize("sector", [512, 4096])
def test_the_entries_of_a_gpt(sector: int) -> None:
    disk = gpt_disk(SLICES, 2000, sector)
    assert found(disk) == [(1, 100 * sector, 200 * sector), (2, 400 * sector, 1000 * sector)]
    assert said(disk) == []


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        (slice(0, 8), "sda: the primary GPT is gone"),
        (slice(56, 72), "sda: the primary GPT is damaged: the checksum of its header is wrong"),
        (slice(88, 92), "sda: the primary GPT is damaged: the checksum of its header is wrong"),
    ],
)
def test_the_backup_counts_where_the_primary_is_damaged(where: slice, sentence: str, sector: int) -> None:
    disk = gpt_disk(SLICES, 2000, sector)
    head = slice(sector + where.start, sector + where.stop)
    disk[head] = b"x" * (where.stop - where.start)
    assert found(disk) == [(1, 100 * sector, 200 * sector), (2, 400 * sector, 1000 * sector)]
    assert said(disk) == [sentence, f"sda: the backup GPT at byte {1999 * sector} is used"]


def test_damaged_entries_are_told_from_whole_ones() -> None:
    disk = gpt_disk(SLICES, 2000)
    disk[1024 + 60] ^= 1
    assert len(found(disk)) == 2
    assert said(disk)[0] == "sda: the primary GPT is damaged: the checksum of its entries is wrong"
    unreadable = Extents.span(1024, 1536)
    assert said(gpt_disk(SLICES, 2000), unreadable)[0] == "sda: the primary GPT is damaged: its entries cannot be read"


def test_of_two_damaged_tables_the_first_is_used_and_both_are_named() -> None:
    disk = gpt_disk(SLICES, 2000)
    for place in (512, 1999 * 512):
        disk[place + 60] ^= 1
    assert len(found(disk)) == 2
    assert [sentence.split(":")[1] for sentence in said(disk)] == [
        " the primary GPT is damaged",
        " the backup GPT is damaged",
    ]


def test_a_partition_behind_the_end_is_named() -> None:
    disk = gpt_disk([Slice(100, 200), Slice(400, 1000), Slice(1300, 10)], 2000)[: 1200 * 512]
    partitions, _ = read_partitions(MemorySource(disk), "sda")
    assert partitions == (Partition(1, 100 * 512, 200 * 512), Partition(2, 400 * 512, 800 * 512, missing=200 * 512))
    assert "partition 2 ends at byte 716800, behind the end of the image (614400 bytes)" in said(disk)[0]
    assert "partition 3 ends" in said(disk)[1]


def test_a_reading_in_sectors_of_the_wrong_size_says_nothing() -> None:
    disk = mbr_disk([Slice(64, 100), Slice(1100, 900)], SIZE)
    assert said(disk) == []
    assert found(disk)[:2] == [(1, 64 * 512, 100 * 512), (2, 1100 * 512, 900 * 512)]
    large = bytearray(4096 * 2000)
    write_table(large, 0, [(0x83, 10, 50), (0x05, 100, 1000)])
    write_table(large, 100 * 4096, [(0x83, 2, 100)])
    assert said(large) == []
    assert found(large)[:2] == [(1, 10 * 4096, 50 * 4096), (5, 102 * 4096, 100 * 4096)]


def test_the_backup_is_found_also_where_the_image_goes_on_behind_it() -> None:
    padded = gpt_disk(SLICES, 2000) + bytes(100 * 512)
    damaged, gone = bytearray(padded), bytearray(padded)
    damaged[512 + 60] ^= 1
    gone[512:520] = bytes(8)
    for disk in (damaged, gone):
        assert found(disk) == [(1, 100 * 512, 200 * 512), (2, 400 * 512, 1000 * 512)]
        assert said(disk)[1] == f"sda: the backup GPT at byte {1999 * 512} is used"
    gone[446:512] = bytes(66)  # nothing tells where the disk ended
    assert found(gone) == []


def test_partitions_of_an_mbr_that_stands_before_a_gpt_are_read_too() -> None:
    disk = gpt_disk(SLICES, 2000)
    write_table(disk, 0, [(0x07, 700, 100), (0, 0, 0), (0, 0, 0), (0, 0, 0)])
    assert found(disk)[:3] == [(1, 700 * 512, 100 * 512), (1, 100 * 512, 200 * 512), (2, 400 * 512, 1000 * 512)]
    assert said(disk) == ["sda: its MBR has partitions of its own beside a GPT: members are looked for in both"]
    write_table(disk, 0, [(0xEE, 1, 1999), (0x07, 700, 100)])
    assert found(disk) == [(1, 100 * 512, 200 * 512), (2, 400 * 512, 1000 * 512)]


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ((0x05, 0, 400), "sda: the chain of logical partitions comes back to where it was, at byte 51200"),
        ((0x05, 250, 400), "sda: the chain of logical partitions leads to what is no table, at byte 179200"),
        (
            (0x05, 1 << 31, 400),
            f"sda: the chain of logical partitions leads to what is no table, at byte {512 * ((1 << 31) + 100)}",
        ),
    ],
)
def test_a_broken_chain_of_logical_partitions_is_named(link: tuple[int, int, int], sentence: str) -> None:
    disk = bytearray(SIZE)
    write_table(disk, 0, [(0x0F, 100, 1000)])
    write_table(disk, 100 * 512, [(0x83, 2, 100), link])
    assert found(disk)[0] == (5, 102 * 512, 100 * 512)
    assert sentence in said(disk)


def test_numbers_of_logical_partitions_go_on_over_two_chains() -> None:
    disk = bytearray(SIZE)
    write_table(disk, 0, [(0x05, 100, 200), (0x85, 500, 200)])
    write_table(disk, 100 * 512, [(0x83, 2, 100)])
    write_table(disk, 500 * 512, [(0x83, 2, 100)])
    assert found(disk)[:2] == [(5, 102 * 512, 100 * 512), (6, 502 * 512, 100 * 512)]


def test_a_chain_without_end_is_left() -> None:
    disk = bytearray(SIZE)
    write_table(disk, 0, [(0x05, 1, 2000)])
    for number in range(300):
        write_table(disk, 512 * (1 + number), [(0x83, 1, 1), (0x05, number + 1, 5)])
    assert len([number for number, _, size in found(disk) if size == 512]) == 128
    assert any("is too long" in sentence for sentence in said(disk))


def test_no_signature_or_boot_code_is_no_table() -> None:
    assert found(bytes(SIZE)) == []
    assert found(b"") == []
    assert found(mbr_disk([Slice(64, 1000)], SIZE, status=0x33)) == []
    assert found(mbr_disk([Slice(64, 1000)], SIZE), Extents.span(0, 512)) == []


@given(st.binary(min_size=66, max_size=66), st.binary(max_size=600), st.binary(max_size=300))
def test_any_bytes_give_ranges_within_the_disk(entries: bytes, more: bytes, tail: bytes) -> None:
    disk = bytearray(65536)
    disk[446:512] = entries[:64] + b"\x55\xaa"
    disk[512 : 512 + len(more)] = more
    disk[65024 : 65024 + len(tail)] = tail
    for _, start, size in found(disk):
        assert 0 < start < start + size <= len(disk)


@given(
    st.lists(st.tuples(st.sampled_from([0, 5, 15, 0x83, 0xEE]), st.integers(0, 200), st.integers(0, 200)), max_size=4),
    st.data(),
)
def test_any_chain_of_tables_gives_ranges_within_the_disk(
    first: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    disk = bytearray(65536)
    write_table(disk, 0, first)
    for at in data.draw(st.lists(st.integers(1, 127), max_size=20)):
        entries = st.tuples(st.sampled_from([0, 5, 15, 0x83]), st.integers(0, 127), st.integers(0, 200))
        write_table(disk, at * 512, data.draw(st.lists(entries, max_size=4)))
    ranges = found(disk)
    for _, start, size in ranges:
        assert 0 < start < start + size <= len(disk)
    assert len({each[1:] for each in ranges}) == len(ranges)


@given(st.data())
def test_a_gpt_with_any_bytes_changed_gives_ranges_within_the_disk(data: st.DataObject) -> None:
    disk = gpt_disk(SLICES, 2000)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.one_of(st.integers(0, 2048), st.integers(1999 * 512, 1999 * 512 + 100)))
        disk[at] = data.draw(st.integers(0, 255))
    for _, start, size in found(disk):
        assert 0 < start < start + size <= len(disk)
