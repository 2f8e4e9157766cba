"""What a write journal holds: real ones, rings of the oracle, damaged ones and arbitrary bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.superblock import claim_of, scan
from raidfs.superblock.claim import JOURNAL, MemberClaim
from raidfs.superblock.journal import BLOCK, JournalEnd, Logged, LoggedData, LoggedFlush, LoggedParity, read_journal
from tests.oracle.journal import Payload, Ring
from tests.support.claims import PLAIN
from tests.support.golden import golden_case, where_here
from tests.support.superblocks import PlacedSource, block, capture

UUID = bytes.fromhex("11111111222222223333333344444444")
START = 65536
SIZE = 64
"""Blocks of the ring."""
A, B, C = (bytes([value]) * BLOCK for value in (1, 2, 3))
DATA, PARITY, FLUSH = Payload(0, 8192, (A,)), Payload(1, 4096, (B,)), Payload(2, heights=(4096, 40960))


def claim(**changes: Any) -> MemberClaim:
    return replace(PLAIN, **{"data_offset": START, "data_size": SIZE * BLOCK, "journal_tail": 0, **changes})


def ring(*entries: list[Payload], head: int = 0, uuid: bytes = UUID) -> Ring:
    found = Ring(uuid, SIZE, head)
    for entry in entries:
        found.log(entry)
    return found


def read(told: Ring, losses: Extents = Extents(), size: int | None = None, **changes: Any) -> list[Logged | JournalEnd]:
    image = told.image() if size is None else told.image()[:size]
    source = PlacedSource(START + len(image), {START: image}, losses.shift(START))
    return list(read_journal(source, claim(**{"journal_tail": told.tail * BLOCK, **changes})))


def problem_of(end: Logged | JournalEnd) -> str:
    assert isinstance(end, JournalEnd)
    return end.problem


def place(position: int) -> int:
    """Where a block of the ring lies on the device."""
    return START + position * BLOCK


def spoil(told: Ring, position: int, byte: int = 100) -> None:
    raw = bytearray(told.blocks[position])
    raw[byte] ^= 0x10
    told.blocks[position] = bytes(raw)


def test_payloads_come_with_the_places_of_their_blocks() -> None:
    assert read(ring([DATA, PARITY], [FLUSH], [Payload(0, 512 * 77, (C,))])) == [
        LoggedData(8192, place(1)),
        LoggedParity(4096, (place(2),)),
        LoggedFlush((4096, 40960)),
        LoggedData(512 * 77, place(5)),
        JournalEnd(),
    ]


def test_a_raid6_has_two_parities() -> None:
    assert read(ring([Payload(1, 4096, (A, B))]))[0] == LoggedParity(4096, (place(1), place(2)))


def test_a_real_meta_block_is_recognised() -> None:
    """Its blocks are not there: it reads as an entry that was not written to its end."""
    taken = claim_of(scan(capture("journal").source(), "sda").found[0])
    assert taken.journal_tail is not None
    at = taken.data_offset + taken.journal_tail
    source = PlacedSource(25165824, {at: block("journal-meta")})
    assert list(read_journal(source, taken)) == [JournalEnd(is_torn=True)]
    moved = replace(taken, journal_tail=taken.journal_tail - BLOCK)
    for other in (moved, replace(taken, array_uuid=PLAIN.array_uuid)):
        (end,) = read_journal(source, other)
        assert "the oldest entry should be at" in problem_of(end)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "counts"),
    where_here(
        {
            "j-r5-journal-dirty": {LoggedData: 240, LoggedParity: 240},
            "j-r5-journal-writeback": {LoggedData: 777, LoggedParity: 333, LoggedFlush: 529},
            "s-r5-journal": {LoggedData: 1, LoggedParity: 1},  # stopped cleanly: the last entry stays
        }
    ),
)
def test_real_journals(name: str, counts: dict[type, int]) -> None:
    case = golden_case(name)
    source = MemorySource(case.members()[case.data["expect"]["journal_member"]].read_bytes())
    taken = claim_of(scan(source, "sda").found[0])
    assert taken.role == JOURNAL
    *entries, end = read_journal(source, taken)
    assert end == JournalEnd()
    assert Counter(type(each) for each in entries) == counts
    assert all(each.place is not None for each in entries if isinstance(each, LoggedData))


def test_the_oldest_entry_is_always_there() -> None:
    """md and mdadm write it first, an empty one if need be: a ring without it was damaged."""
    for told, tail in ((ring(), 0), (ring([DATA], head=5), 0), (ring([DATA], uuid=bytes(16)), 0)):
        (end,) = read(told, journal_tail=tail)
        assert f"should be at {START} bytes (sector 128) of the journal, and is not there" in problem_of(end)


def test_what_is_left_of_an_earlier_round_is_no_later_entry() -> None:
    told = ring(*([[DATA]] * (SIZE // 2 + 3)))
    told.tail = 0  # the ring went round: its first entries are newer than what lies behind them
    assert len(read(told)) == 3 + 1


@pytest.mark.parametrize("damaged", [0, 2, 4])
def test_a_damaged_meta_block_hides_what_follows(damaged: int) -> None:
    told = ring([DATA], [DATA, PARITY], [FLUSH], [DATA])
    spoil(told, (0, 2, 5)[damaged // 2])
    *entries, end = read(told)
    assert len(entries) == (0, 1, 3)[damaged // 2]
    assert problem_of(end)


def test_several_damaged_meta_blocks_hide_what_follows() -> None:
    told = ring([FLUSH], *([[DATA]] * 5))
    for position in (1, 3, 5):
        spoil(told, position)
    *entries, end = read(told)
    assert entries == [LoggedFlush((4096, 40960))]
    no, at = START + BLOCK, START + 7 * BLOCK
    assert (
        f"no entry is at {no} bytes (sector {no // 512}) of the journal, but later ones follow at {at}"
        in problem_of(end)
    )


def test_an_entry_whose_place_holds_an_earlier_one_was_never_written() -> None:
    """Its writes and later ones were on their way together when the crash came; md acted upon none of them."""
    told = ring(*([[FLUSH]] * (SIZE + 4)))
    told.tail = 0
    told.blocks[2] = ring([FLUSH], [FLUSH], [FLUSH]).blocks[2]
    assert read(told) == [LoggedFlush((4096, 40960))] * 2 + [JournalEnd()]


def test_numbers_count_up() -> None:
    told = ring([DATA], [FLUSH])
    later = Ring(UUID, SIZE, told.head, seq=told.seq + 1)
    later.log([PARITY])
    told.blocks |= later.blocks
    assert len(read(told)) == 3


@pytest.mark.parametrize("byte", [0, 3, 5, 8, 12, 16, 24, 40, 4095])
def test_a_damaged_meta_block_is_none(byte: int) -> None:
    """At the end it cannot be told from one that was on its way."""
    told = ring([FLUSH], [DATA])
    spoil(told, 1, byte)
    assert read(told) == [LoggedFlush((4096, 40960)), JournalEnd()]


def test_meta_blocks_without_payload_are_stepped_over() -> None:
    assert read(ring([], [], [FLUSH])) == [LoggedFlush((4096, 40960)), JournalEnd()]


def test_the_ring_wraps() -> None:
    told = ring([DATA], [DATA, PARITY], [FLUSH], head=SIZE - 3)
    assert read(told) == [
        LoggedData(8192, place(SIZE - 2)),
        LoggedData(8192, place(0)),
        LoggedParity(4096, (place(1),)),
        LoggedFlush((4096, 40960)),
        JournalEnd(),
    ]


@pytest.mark.parametrize("tail", [SIZE * BLOCK, (SIZE + 1) * BLOCK, 512, None, (1 << 64) * 512])
def test_an_impossible_tail_means_the_start(tail: int | None) -> None:
    assert read(ring([FLUSH]), journal_tail=tail) == [LoggedFlush((4096, 40960)), JournalEnd()]


def test_a_full_ring_ends() -> None:
    assert read(ring(*([[]] * SIZE))) == [JournalEnd()]
    assert len(read(ring(*([[FLUSH]] * (SIZE + 3)), head=0), journal_tail=3 * BLOCK)) == SIZE + 1


@pytest.mark.parametrize("size", [0, 100, None])
def test_a_ring_without_room_holds_nothing(size: int | None) -> None:
    assert list(read_journal(PlacedSource(1 << 20, {}), replace(claim(), data_size=size))) == [JournalEnd()]


def test_an_entry_that_was_not_written_to_its_end_is_left_out() -> None:
    told = ring([FLUSH], [DATA, PARITY])
    spoil(told, 3)
    assert read(told) == [LoggedFlush((4096, 40960)), JournalEnd(is_torn=True)]


def test_a_damaged_entry_in_the_middle_counts_as_newer_data_that_cannot_be_had() -> None:
    told = ring([DATA, PARITY], [FLUSH])
    spoil(told, 1)
    assert read(told) == [LoggedData(8192, None), LoggedParity(4096, (None,)), LoggedFlush((4096, 40960)), JournalEnd()]


def test_unreadable_blocks_are_lost_alone() -> None:
    told = ring([DATA, PARITY], [FLUSH])
    found = read(told, Extents([(BLOCK + 512, BLOCK + 1024)]))
    assert found[:2] == [LoggedData(8192, None), LoggedParity(4096, (place(2),))]
    last = read(ring([DATA, PARITY]), Extents([(BLOCK, BLOCK + 512)]))
    assert last == [LoggedData(8192, None), LoggedParity(4096, (place(2),)), JournalEnd()]
    told = ring([DATA, PARITY])
    spoil(told, 2)
    assert read(told, Extents([(BLOCK, BLOCK + 512)]))[:2] == [LoggedData(8192, None), LoggedParity(4096, (None,))]


def test_behind_an_unreadable_meta_block_anything_may_be() -> None:
    told = ring([DATA], [FLUSH])
    *entries, end = read(told, Extents([(2 * BLOCK + 5, 2 * BLOCK + 6)]))
    assert entries == [LoggedData(8192, place(1))]
    assert isinstance(end, JournalEnd)
    assert f"the block at {START + 2 * BLOCK} bytes (sector 144) of the journal cannot be read" in end.problem
    *entries, end = read(told, size=2 * BLOCK + 100)
    assert entries == [LoggedData(8192, place(1))]
    assert isinstance(end, JournalEnd)
    assert end.problem


@pytest.mark.parametrize(
    "payload",
    [
        Payload(3, 4096, (A,)),
        Payload(0, 4096, (A, B)),
        Payload(0, 4096, ()),
        Payload(1, 4096, (A, B, C)),
    ],
)
def test_what_no_entry_is_made_of_is_a_problem(payload: Payload) -> None:
    *entries, end = read(ring([DATA], [payload]))
    assert entries == [LoggedData(8192, place(1))]
    assert isinstance(end, JournalEnd)
    assert "the entry at 73728 bytes (sector 144) of the journal makes no sense" in end.problem


@given(st.binary(max_size=300), st.integers(0, 6 * BLOCK), st.integers(0, 2**64 - 1), st.integers(0, 8 * BLOCK))
def test_any_journal_can_be_read(raw: bytes, at: int, tail: int, size: int) -> None:
    image = bytearray(ring([DATA, PARITY], [FLUSH], [DATA]).image())
    image[at : at + len(raw)] = raw
    source = PlacedSource(START + len(image), {START: bytes(image)})
    *entries, end = read_journal(source, replace(claim(), journal_tail=tail, data_size=size))
    assert isinstance(end, JournalEnd)
    assert not any(isinstance(each, JournalEnd) for each in entries)


@given(st.binary(max_size=200), st.integers(32, 5000))
def test_any_descriptors_can_be_read(raw: bytes, meta_size: int) -> None:
    """With their checksum made right."""
    told = ring([FLUSH])
    meta = bytearray(told.blocks[0])
    meta[12:16], meta[32 : 32 + len(raw)] = meta_size.to_bytes(4, "little"), raw
    meta[4:8] = bytes(4)
    meta[4:8] = told.checksum(bytes(meta)).to_bytes(4, "little")
    told.blocks[0] = bytes(meta)
    assert isinstance(read(told)[-1], JournalEnd)
