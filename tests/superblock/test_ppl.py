"""Partial parity logs: real ones, those of the oracle, damaged ones and arbitrary bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.superblock import claim_of, scan
from raidfs.superblock.claim import MemberClaim, PplArea
from raidfs.superblock.ppl import PartialParity, PartialParityLog, read_ppl
from tests.oracle.ppl import Entry, build_log
from tests.support.claims import PLAIN
from tests.support.golden import golden_case, where_here
from tests.support.superblocks import PlacedSource

UUID = bytes.fromhex("11111111222222223333333344444444")
AT, ROOM = 12288, 64 * 1024
FULL = Entry(196608, 3 * 65536, 2, b"")
PART = Entry(4096, 1024, 2, bytes(range(256)) * 4)
OTHER = Entry(8192, 2048, 2, b"\x5a" * 1024)


def claim(size: int = ROOM) -> MemberClaim:
    return replace(PLAIN, ppl=PplArea(AT, size))


def read(raw: bytes, losses: Extents = Extents(), size: int = ROOM) -> PartialParityLog:
    found = read_ppl(PlacedSource(AT + ROOM, {AT: raw}, losses.shift(AT)), claim(size))
    assert found is not None
    for each in found.entries:  # where each says that its parity lies
        assert not each.intact or raw[each.offset - AT : each.offset - AT + each.pp_size] == each.parity
    return replace(found, entries=tuple(replace(each, offset=0) for each in found.entries))


def entry(told: Entry, *, intact: bool = True) -> PartialParity:
    return PartialParity(told.data_offset, told.data_size, told.parity_role, told.parity, intact, len(told.parity))


def log(generation: int, *entries: Entry, uuid: bytes = UUID) -> bytes:
    return build_log(uuid, generation, entries)


def test_a_member_without_a_log_has_none() -> None:
    assert read_ppl(PlacedSource(AT + ROOM, {AT: log(7, PART)}), PLAIN) is None


def test_entries_are_read_with_their_partial_parity() -> None:
    assert read(log(7, PART, FULL, OTHER)) == PartialParityLog(7, (entry(PART), entry(FULL), entry(OTHER)))
    assert read(log(0)) == PartialParityLog(0, ())


def test_of_several_logs_the_last_in_sequence_counts() -> None:
    assert read(log(7, PART) + log(9, OTHER) + log(12, FULL)) == PartialParityLog(12, (entry(FULL),))
    assert read(log(12, PART) + log(7, OTHER)) == PartialParityLog(12, (entry(PART),))
    assert read(log(7, PART) + log(9, OTHER, uuid=bytes(16))) == PartialParityLog(7, (entry(PART),))


def test_behind_the_last_one_lie_the_remains_of_older_ones() -> None:
    rest = log(3, OTHER, OTHER, PART)
    assert read(log(7, PART) + rest[2048:] + log(4, PART)) == PartialParityLog(7, (entry(PART),))


def test_a_broken_sequence_proves_nothing() -> None:
    torn = bytearray(log(8, OTHER))
    torn[600] ^= 1
    found = read(log(7, PART) + bytes(torn) + log(9, FULL))
    assert "a newer header follows later" in found.problem
    assert found.entries == ()


def test_a_log_that_was_not_written_to_its_end_was_not_acted_upon() -> None:
    torn = bytearray(log(8, OTHER))
    torn[600] ^= 1
    assert read(log(7, PART) + bytes(torn)) == PartialParityLog(7, (entry(PART),))


def test_an_entry_with_the_wrong_checksum_is_told() -> None:
    raw = bytearray(log(7, PART, OTHER))
    raw[4096 + 5] ^= 1
    found = read(bytes(raw))
    assert [each.intact for each in found.entries] == [False, True]


def test_unreadable_parts() -> None:
    raw = log(7, PART, OTHER)
    assert "a header of the partial parity log" in read(raw, Extents([(512, 1024)])).problem
    assert [each.intact for each in read(raw, Extents([(4096, 4097)])).entries] == [False, True]
    beyond = read(raw, Extents([(4096 + 2048 + 7, 4096 + 2048 + 8)]))
    assert beyond.problem  # whether a newer header lies there nobody knows


@pytest.mark.parametrize("byte", [512, 516, 520, 528, 532, 536, 4095])
def test_a_damaged_header_is_none(byte: int) -> None:
    raw = bytearray(log(7, PART))
    raw[byte] ^= 0x40
    assert "has no valid header" in read(bytes(raw)).problem


@pytest.mark.parametrize("area", [PplArea(-512, ROOM), PplArea(AT, ROOM + 512), PplArea(AT, 2048), PplArea(AT, 0)])
def test_an_impossible_place(area: PplArea) -> None:
    found = read_ppl(PlacedSource(AT + ROOM, {}), replace(PLAIN, ppl=area))
    assert found is not None
    assert "lies outside the image" in found.problem


def test_a_log_as_large_as_its_area() -> None:
    raw = log(7, replace(PART, parity=bytes(ROOM - 4096)))
    assert read(raw).entries == (entry(replace(PART, parity=bytes(ROOM - 4096))),)
    cut = read(raw[: ROOM - 512], size=ROOM - 512)
    assert [each.intact for each in cut.entries] == [False]


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "generations"),
    where_here({"s-r5-ppl": [233, 230, 234, 239], "j-r5-ppl-dirty-missing": [873, 876, 875]}),
)
def test_real_logs(name: str, generations: list[int]) -> None:
    found_generations = []
    for path in golden_case(name).members():
        source = MemorySource(path.read_bytes())
        found = read_ppl(source, claim_of(scan(source, "sda").found[0]))
        assert found is not None
        assert not found.problem
        assert all(each.intact for each in found.entries)
        found_generations.append(found.generation)
    assert found_generations == generations


@given(
    st.binary(max_size=600), st.integers(0, 5000), st.integers(0, 2 * ROOM), st.lists(st.integers(0, 6000), max_size=3)
)
def test_any_bytes_can_be_read(raw: bytes, at: int, size: int, lost: list[int]) -> None:
    whole = bytearray(log(7, PART) + log(9, OTHER))
    whole[at : at + len(raw)] = raw
    losses = Extents([(each, each + 1) for each in lost])
    source = PlacedSource(AT + ROOM, {AT: bytes(whole)}, losses.shift(AT))
    found = read_ppl(source, claim(size))
    assert found is not None
    assert found.problem or found.generation in (7, 9) or raw
