"""Whether a write journal holds anything: real meta blocks, and rings written here."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.superblock import claim_of, scan
from raidfs.superblock.claim import JOURNAL, MemberClaim
from raidfs.superblock.crc32c import crc32c
from raidfs.superblock.journal import journal_is_empty, read_meta_block
from tests.support.golden import golden_cases
from tests.support.superblocks import PlacedSource, block, capture

TAIL = 19492864
DATA_OFFSET = 1 << 20
RING = 24117248
UUID = bytes.fromhex("cf87f1f0e998d3f84f1572020eafee80")


def journal_claim() -> MemberClaim:
    return claim_of(scan(capture("journal").source(), "sda").found[0])


def meta_block(position: int, seq: int, payload: bytes = b"", uuid: bytes = UUID, magic: int = 0x6433C509) -> bytes:
    """Return a meta block at `position` [bytes]."""
    head = struct.pack("<IIB3xIQQ", magic, 0, 1, 32 + len(payload), seq, position // 512)
    raw = bytearray((head + payload).ljust(4096, b"\0"))
    struct.pack_into("<I", raw, 4, crc32c(crc32c(0xFFFFFFFF, uuid), bytes(raw)))
    return bytes(raw)


def journal(blocks: dict[int, bytes], losses: Extents = Extents()) -> PlacedSource:
    """Return a journal device with blocks at positions in its ring."""
    return PlacedSource(25165824, {DATA_OFFSET + position: raw for position, raw in blocks.items()}, losses)


def test_a_real_meta_block_is_recognised() -> None:
    seed = crc32c(0xFFFFFFFF, UUID)
    meta = read_meta_block(block("journal-meta"), TAIL, seed)
    assert meta is not None
    assert (meta.number("seq"), meta.number("meta_size")) == (19597933, 112)
    assert read_meta_block(block("journal-meta"), TAIL + 4096, seed) is None
    assert read_meta_block(block("journal-meta"), TAIL, seed ^ 1) is None


def test_a_journal_with_a_real_entry_is_not_empty() -> None:
    assert not journal_is_empty(journal({TAIL: block("journal-meta")}), journal_claim())


@pytest.mark.golden
def test_real_journals_are_not_empty() -> None:
    """Also after a clean stop the last entry stays in the journal; the members have it already."""
    for case in golden_cases():
        if "journal_member" in case.data["expect"]:
            source = MemorySource(case.members()[case.data["expect"]["journal_member"]].read_bytes())
            claim = claim_of(scan(source, "sda").found[0])
            assert claim.role == JOURNAL
            assert not journal_is_empty(source, claim), case.name


def test_a_ring_of_zeros_or_of_old_blocks_is_empty() -> None:
    assert journal_is_empty(journal({}), journal_claim())
    assert journal_is_empty(journal({TAIL: meta_block(TAIL + 4096, 7, b"x" * 40)}), journal_claim())


@pytest.mark.parametrize("byte", [0, 3, 5, 8, 12, 16, 24, 40, 4095])
def test_a_damaged_block_is_no_entry(byte: int) -> None:
    raw = bytearray(meta_block(TAIL, 7, b"x" * 40))
    raw[byte] ^= 0x10
    assert journal_is_empty(journal({TAIL: bytes(raw)}), journal_claim())


def test_an_entry_of_another_array_is_none() -> None:
    assert journal_is_empty(journal({TAIL: meta_block(TAIL, 7, b"x" * 40, uuid=bytes(16))}), journal_claim())


def test_blocks_without_payload_are_stepped_over() -> None:
    empty = {TAIL: meta_block(TAIL, 7), TAIL + 4096: meta_block(TAIL + 4096, 8)}
    assert journal_is_empty(journal(empty), journal_claim())
    full = {**empty, TAIL + 8192: meta_block(TAIL + 8192, 9, b"x" * 40)}
    assert not journal_is_empty(journal(full), journal_claim())
    stale = {**empty, TAIL + 8192: meta_block(TAIL + 8192, 5, b"x" * 40)}
    assert journal_is_empty(journal(stale), journal_claim())


def test_the_ring_wraps() -> None:
    last = RING - 4096
    claim = replace(journal_claim(), journal_tail=last)
    assert not journal_is_empty(journal({last: meta_block(last, 7), 0: meta_block(0, 8, b"x" * 40)}), claim)
    assert journal_is_empty(journal({last: meta_block(last, 7)}), claim)


@pytest.mark.parametrize("tail", [RING, RING + 4096, 512, None])
def test_an_impossible_tail_means_the_start(tail: int | None) -> None:
    claim = replace(journal_claim(), journal_tail=tail)
    assert not journal_is_empty(journal({0: meta_block(0, 7, b"x" * 40)}), claim)
    assert journal_is_empty(journal({TAIL: meta_block(TAIL, 7, b"x" * 40)}), claim)


def test_what_cannot_be_read_may_hold_something() -> None:
    lost = Extents([(DATA_OFFSET + TAIL + 1024, DATA_OFFSET + TAIL + 1536)])
    assert not journal_is_empty(journal({}, lost), journal_claim())
    assert not journal_is_empty(PlacedSource(1 << 22, {}), journal_claim())


def test_a_ring_full_of_empty_blocks_ends() -> None:
    ring = 4 * 4096
    claim = replace(journal_claim(), journal_tail=0, data_size=ring)
    blocks = {4096 * index: meta_block(4096 * index, index) for index in range(4)}
    assert journal_is_empty(journal(blocks), claim)
    assert journal_is_empty(journal(blocks), replace(claim, data_size=100))


@given(st.binary(max_size=4096), st.integers(0, 2**64 - 1), st.integers(0, 1 << 22))
def test_any_journal_can_be_asked(raw: bytes, tail: int, size: int) -> None:
    claim = replace(journal_claim(), journal_tail=tail, data_size=size)
    assert journal_is_empty(journal({0: raw}), claim) in (True, False)
