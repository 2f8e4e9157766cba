"""The bad-block log of a real member, and of damaged ones."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.superblock import claim_of, scan
from raidfs.superblock.bad_blocks import read_bad_blocks
from raidfs.superblock.claim import BadBlockLog, MemberClaim
from tests.support.superblocks import PlacedSource, block, capture

SIZE = 1 << 22


def claim_of_capture(name: str) -> MemberClaim:
    return claim_of(scan(capture(name).source(), "sda").found[0])


def log_of(*entries: int, size: int = 4096) -> bytes:
    return struct.pack(f"<{len(entries)}Q", *entries).ljust(size, b"\xff")


def member(log: bytes, losses: Extents = Extents()) -> PlacedSource:
    return PlacedSource(SIZE, {8192: log}, losses)


def claim_with_log(shift: int = 0, offset: int = 8192, size: int = 4096) -> MemberClaim:
    claim = claim_of_capture("bad-blocks")
    whole = SIZE - claim.data_offset
    return replace(claim, bad_block_log=BadBlockLog(offset, size, shift), data_size=whole)


def test_the_log_of_an_image_that_was_cut_is_still_right() -> None:
    claim = replace(claim_with_log(), data_size=SIZE)
    bad = read_bad_blocks(member(log_of(SIZE // 512 << 10 | 1)), claim, "sda")
    assert bad.extents == Extents([(SIZE, SIZE + 512)])
    assert bad.complete


def test_log_of_a_real_member_names_what_was_set() -> None:
    taken = capture("bad-blocks")
    log = block("bad-blocks-log", fill=0xFF)
    bad = read_bad_blocks(
        PlacedSource(taken.size, {4096: taken.raw, 12288: log}), claim_of_capture("bad-blocks"), "sda"
    )
    assert bad.extents == Extents([(31008 * 512, 31024 * 512)])
    assert bad.complete
    assert [(finding.severity, finding.subject) for finding in bad.findings] == [(Severity.WARNING, "sda")]
    assert "names 8192 bytes in 1 ranges" in bad.findings[0].message
    assert "sectors 31008 to 31024" in bad.findings[0].evidence


def test_without_a_log_nothing_is_bad() -> None:
    bad = read_bad_blocks(member(log_of(1 << 10 | 1)), claim_of_capture("grow-1.2"), "sda")
    assert (bad.extents, bad.findings, bad.complete) == (Extents(), (), True)


def test_entries_count_in_their_unit_from_the_start_of_the_member() -> None:
    bad = read_bad_blocks(member(log_of(100 << 10 | 3, 7 << 10 | 512)), claim_with_log(shift=3), "sda")
    assert bad.extents == Extents([(7 * 4096, 519 * 4096)])
    bad = read_bad_blocks(member(log_of(100 << 10 | 3, 7 << 10 | 512)), claim_with_log(), "sda")
    assert bad.extents == Extents([(7 * 512, 519 * 512)])


def test_the_list_ends_at_all_ones() -> None:
    bad = read_bad_blocks(member(log_of(1 << 10 | 1, 2**64 - 1, 9 << 10 | 1)), claim_with_log(), "sda")
    assert bad.extents == Extents([(512, 1024)])


def test_entries_beyond_the_member_are_cut() -> None:
    bad = read_bad_blocks(member(log_of(SIZE // 512 - 1 << 10 | 8)), claim_with_log(), "sda")
    assert bad.extents == Extents([(SIZE - 512, SIZE)])
    assert bad.complete


@pytest.mark.parametrize("entry", [0, 5 << 10, SIZE // 512 << 10 | 1])
def test_entries_without_sense_are_named(entry: int) -> None:
    bad = read_bad_blocks(member(log_of(1 << 10 | 1, entry, 3 << 10 | 1)), claim_with_log(), "sda")
    assert bad.extents == Extents([(512, 1024), (1536, 2048)])
    assert not bad.complete
    assert bad.findings[0].severity == Severity.ERROR
    assert f"1 entries make no sense, the first is {entry:#018x}" in bad.findings[0].message


def test_unreadable_part_of_the_log_is_an_error_and_the_rest_counts() -> None:
    entries = [n * 4 << 10 | 1 for n in range(1, 100)]
    bad = read_bad_blocks(member(log_of(*entries), Extents([(8192, 8704)])), claim_with_log(), "sda")
    assert len(bad.extents) == 99 - 64
    assert not bad.complete
    assert "512 of its bytes are unreadable" in bad.findings[0].message


@pytest.mark.parametrize(
    ("offset", "size", "shift"), [(-8192, 4096, 0), (SIZE - 512, 4096, 0), (8192, 0, 0), (8192, 4096, 60)]
)
def test_impossible_place_or_unit_is_an_error(offset: int, size: int, shift: int) -> None:
    bad = read_bad_blocks(member(log_of()), claim_with_log(shift, offset, size), "sda")
    assert (bad.extents, bad.complete) == (Extents(), False)
    assert "is impossible in an image of 4194304 bytes" in bad.findings[0].message


def test_of_a_longer_log_what_md_reads_counts() -> None:
    bad = read_bad_blocks(member(log_of(1 << 10 | 1, size=8192)), claim_with_log(size=8192), "sda")
    assert bad.extents == Extents([(512, 1024)])
    assert not bad.complete


@given(st.binary(max_size=4096), st.integers(0, 255), st.integers(0, 65535).map(lambda sectors: sectors * 512))
def test_any_log_can_be_read(log: bytes, shift: int, size: int) -> None:
    bad = read_bad_blocks(member(log), claim_with_log(shift, 8192, size), "sda")
    assert not bad.extents.difference(Extents([(0, SIZE)]))
    assert bad.complete or bad.findings
