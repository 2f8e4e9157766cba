"""Write-intent bitmaps: a real one, those of the oracle, damaged ones and arbitrary bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.superblock import claim_of, scan
from raidfs.superblock.bitmap import HEADER, read_bitmap_file, read_member_bitmap
from raidfs.superblock.claim import BitmapClaim, MemberClaim
from tests.oracle.bitmap import Bitmap, build_bitmap
from tests.support.claims import PLAIN
from tests.support.superblocks import PlacedSource, block, capture

UUID = bytes.fromhex("11111111222222223333333344444444")
AT = 12288
COVERED = 1000 * 4096 - 512
BITS = {0, 7, 8, 9, 63, 64, 130, 500, 999}


def claim(**changes: object) -> MemberClaim:
    return replace(PLAIN, **{"bitmap_offset": AT, "component_size": COVERED, **changes})  # type: ignore[arg-type]  # names of its fields


def member(raw: bytes, losses: Extents = Extents(), size: int = 1 << 20) -> PlacedSource:
    return PlacedSource(size, {AT: raw}, losses)


def read(raw: bytes, losses: Extents = Extents(), size: int = 1 << 20) -> BitmapClaim:
    found = read_member_bitmap(member(raw, losses, size), claim())
    assert found is not None
    return found


def extents(bits: set[int]) -> Extents:
    return Extents([(bit * 4096, min(bit * 4096 + 4096, COVERED)) for bit in bits])


def plain(version: int = 4) -> Bitmap:
    return Bitmap(4096, COVERED, set(BITS), events_cleared=38, version=version)


def test_a_real_bitmap_names_what_was_written_while_a_member_was_missing() -> None:
    taken = capture("bitmap-degraded")
    source = PlacedSource(taken.size, {taken.at: taken.raw, taken.at + 4096: block("bitmap-degraded-bits", fill=0xFF)})
    found = read_member_bitmap(source, claim_of(scan(source, "sda").found[0]))
    assert found is not None
    assert (found.version, found.events, found.events_cleared, found.problem) == (4, 22, 18, "")
    assert found.covered == 34816 * 512
    chunk = 65536  # as asked of mdadm
    whole = [(0, 39), (71, 75), (86, 94), (236, 242)]
    assert found.dirty == Extents([(start * chunk, stop * chunk) for start, stop in whole])


@pytest.mark.parametrize("version", [4, 5])
def test_bits_are_read_from_the_lowest_on(version: int) -> None:
    found = read(plain(version).build(UUID, 40))
    assert found == BitmapClaim(UUID, version, 40, 38, COVERED, extents(BITS))


@pytest.mark.parametrize("word", [0, 4, 8])
def test_version_3_counts_a_bit_in_whatever_word_it_may_be(word: int) -> None:
    found = read(build_bitmap(plain(3), UUID, 40, word=word))
    assert not extents(BITS).difference(found.dirty)
    assert found.dirty.total <= 3 * len(BITS) * 4096
    clear = {bit for bit in range(1000) if bit // 64 not in {each // 64 for each in BITS}}
    assert not found.dirty.intersection(extents(clear))


def test_a_member_without_a_bitmap_has_none() -> None:
    assert read_member_bitmap(member(plain().build(UUID, 40)), claim(bitmap_offset=None)) is None


def test_the_uuid_of_0_90_may_be_in_either_byte_order() -> None:
    swapped = b"".join(UUID[at : at + 4][::-1] for at in range(0, 16, 4))
    mixed = claim(array_uuid="01020304:05060708:090a0b0c:0d0e0f10", metadata="0.90")
    for stored in mixed.stored_uuids:
        found = read_member_bitmap(member(plain().build(stored, 40)), mixed)
        assert found is not None
        assert not found.problem
    assert read(plain().build(swapped, 40)).problem == ""  # the words of this one are the same either way


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (bytes(4096), "has no header"),
        (plain().build(bytes(16), 40), "is of another array"),
        (plain().build(UUID, 40, state=2), "is marked as stale"),
        (plain().build(UUID, 40, state=4), "could not be written"),
        (plain(6).build(UUID, 40), "version 6 (lockless)"),
        (plain(7).build(UUID, 40), "version 7"),
        (Bitmap(768, COVERED, set()).build(UUID, 40), "chunks of 768 bytes"),
        (Bitmap(256, COVERED, set()).build(UUID, 40), "chunks of 256 bytes"),
        (HEADER.build({"magic": 0x6D746962, "version": 5, "uuid": UUID, "nodes": 4}), "that of a cluster"),
        (
            HEADER.build(
                {"magic": 0x6D746962, "version": 4, "uuid": UUID, "chunksize": 512, "sync_size": (1 << 64) - 1}
            ),
            "it has less room",
        ),
    ],
)
def test_what_is_no_bitmap_of_this_array_says_why(raw: bytes, problem: str) -> None:
    found = read(raw)
    assert problem in found.problem
    assert (found.dirty, found.unread) == (Extents(), Extents())


@pytest.mark.parametrize("offset", [-512, 1 << 20, (1 << 20) - 255])
def test_a_place_outside_the_image(offset: int) -> None:
    found = read_member_bitmap(member(b""), claim(bitmap_offset=offset))
    assert found is not None
    assert "lies outside the image" in found.problem


def test_an_unreadable_header() -> None:
    assert "cannot be read" in read(plain().build(UUID, 40), Extents([(AT, AT + 512)])).problem


@pytest.mark.parametrize(("version", "lost"), [(4, (256 + 8, 256 + 17)), (3, (256 + 9, 256 + 10))])
def test_unreadable_bits_are_not_clear(version: int, lost: tuple[int, int]) -> None:
    found = read(plain(version).build(UUID, 40), Extents([lost]).shift(AT))
    first, last = (8, 17) if version == 4 else (8, 16)
    assert found.unread == extents(set(range(first * 8, last * 8)))
    assert not found.dirty.intersection(found.unread)
    assert not extents(BITS).difference(found.dirty.union(found.unread))


def test_an_image_that_ends_within_the_bits() -> None:
    assert "it has less room" in read(plain().build(UUID, 40), size=AT + 256 + 124).problem
    assert read(plain().build(UUID, 40), size=AT + 256 + 125).dirty == extents(BITS)


def test_a_file_is_known_by_its_header() -> None:
    found = read_bitmap_file(MemorySource(plain().build(UUID, 40)))
    assert found == BitmapClaim(UUID, 4, 40, 38, COVERED, extents(BITS))
    for raw in (b"", b"bitm", bytes(4096), plain(9).build(UUID, 40)):
        assert read_bitmap_file(MemorySource(raw)) is None
    assert read_bitmap_file(MemorySource(plain().build(UUID, 40), Extents.span(0, 512))) is None


@given(st.binary(max_size=2048), st.integers(0, 300), st.lists(st.integers(0, 2100), max_size=4))
@example(plain().build(UUID, 40), 0, [300, 301])
def test_any_bytes_can_be_read(raw: bytes, keep: int, lost: list[int]) -> None:
    head = plain().build(UUID, 40)[: min(keep, 256)]
    data = (head + raw[len(head) :]).ljust(256, b"\0")
    losses = Extents([(at, at + 1) for at in lost if at < len(data)])
    found = read_member_bitmap(PlacedSource(AT + len(data), {AT: data}, losses.shift(AT)), claim())
    assert found is not None
    assert not found.dirty.union(found.unread).difference(Extents.span(0, max(0, min(found.covered, 1 << 62))))
    assert read_bitmap_file(MemorySource(data, losses)) is None or not losses.overlaps(0, 256)
