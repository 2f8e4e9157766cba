"""All superblocks of an image are found, the one that counts first; unreadable places are findings."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.superblock import FORMATS, Scan, claim_of, scan
from tests.support.superblocks import NAMES, PlacedSource, capture, changed


def metadata(scanned: Scan) -> list[str]:
    return [found.metadata for found in scanned.found]


@pytest.mark.parametrize("name", NAMES)
def test_finds_the_superblock_of_each_real_member(name: str) -> None:
    taken = capture(name)
    scanned = scan(taken.source(), "sda")
    assert [(found.offset, found.intact) for found in scanned.found] == [(taken.at, True)]
    assert scanned.findings == ()
    assert claim_of(scanned.found[0]).superblock_offset == taken.at


def test_names_of_formats_are_unique() -> None:
    names = [name for each in FORMATS for name in each.NAMES]
    assert sorted(names) == ["0.90", "1.0", "1.1", "1.2"]


def test_nothing_is_found_in_zeros_text_or_tiny_images() -> None:
    for source in (
        PlacedSource(1 << 24, {}),
        MemorySource(b"not a disk\n" * 50000),
        MemorySource(b"x"),
        MemorySource(b""),
    ):
        assert scan(source, "sda") == Scan((), ())


def test_newest_array_comes_first_and_the_leftovers_after_it() -> None:
    old, new = capture("grow-0.90"), capture("grow-1.2")
    older = PlacedSource(new.size, {new.at: new.raw, new.size - 65536: old.raw})
    scanned = scan(older, "sda")
    assert metadata(scanned) == ["0.90", "1.2"]  # made some minutes later
    assert claim_of(scanned.found[0]).created > claim_of(scanned.found[1]).created
    assert "several superblocks are on this image" in scanned.findings[0].message
    assert "0.90 at 33488896 bytes (sector 65408), 1.2 at 4096 bytes (sector 8)" in scanned.findings[0].message
    assert scanned.findings[0].severity == Severity.WARNING


@pytest.mark.parametrize(("reach", "is_nested"), [("array", True), ("disk", False), ("many disks", True)])
def test_a_superblock_of_what_lies_on_the_array_gives_way(reach: str, is_nested: bool) -> None:
    """Md on md, with data from the first sector on: the newer superblock near the start is not the disk's."""
    outer, inner = capture("grow-1.2"), capture("grow-0.90")
    at = inner.at
    end = {"array": claim_of(scan(inner.source(), "sda").found[0]).component_size, "disk": inner.size}.get(
        reach, 1 << 30
    )
    assert end is not None
    start = claim_of(scan(outer.source(), "sda").found[0]).data_offset
    newer = changed(changed(outer.raw, "Q", 136, (end - start) // 512), "Q", 64, (1 << 40) - 1)
    scanned = scan(PlacedSource(inner.size, {4096: newer, at: inner.raw}), "sda")
    assert metadata(scanned) == (["0.90", "1.2"] if is_nested else ["1.2", "0.90"])
    assert any("several superblocks" in each.message for each in scanned.findings) is not is_nested


def test_an_intact_superblock_goes_before_a_newer_damaged_one() -> None:
    old, new = capture("grow-0.90"), capture("grow-1.2")
    damaged = old.raw[:2000] + b"\x55" + old.raw[2001:]
    scanned = scan(PlacedSource(new.size, {new.at: new.raw, new.size - 65536: damaged}), "sda")
    assert [(found.metadata, found.intact) for found in scanned.found] == [("1.2", True), ("0.90", False)]


def test_of_equal_age_the_one_whose_data_are_there_goes_first() -> None:
    taken = capture("grow-1.2")
    other = bytearray(changed(taken.raw, "Q", 144, 0))
    scanned = scan(PlacedSource(taken.size, {0: changed(bytes(other), "Q", 136, 1 << 30), 4096: taken.raw}), "sda")
    assert metadata(scanned) == ["1.2", "1.1"]
    assert "it was cut" in scanned.found[1].findings[0].message


def test_unreadable_place_without_a_superblock_is_a_warning() -> None:
    source = PlacedSource(1 << 24, {}, Extents([(4608, 5120)]))
    scanned = scan(source, "sda")
    assert scanned.found == ()
    assert [(finding.severity, finding.subject) for finding in scanned.findings] == [(Severity.WARNING, "sda")]
    assert (
        "512 bytes are unreadable where a superblock 1.2 would lie, at 4096 bytes (sector 8)"
        in scanned.findings[0].message
    )
    assert "cannot be ruled out" in scanned.findings[0].message


def test_unreadable_sectors_outside_the_checksum_leave_a_superblock_intact() -> None:
    taken = capture("grow-1.2")
    source = PlacedSource(taken.size, {taken.at: taken.raw}, Extents([(taken.at + 1024, taken.at + 1536)]))
    scanned = scan(source, "sda")
    assert [found.intact for found in scanned.found] == [True]
    assert [finding.severity for finding in scanned.findings] == [Severity.NOTE]


def test_unreadable_roles_are_damage() -> None:
    taken = capture("grow-1.2")
    raw = changed(taken.raw, "I", 220, 200)
    source = PlacedSource(taken.size, {taken.at: changed(raw, "H", 256 + 300, 7)}, Extents([(4096 + 512, 4096 + 1024)]))
    scanned = scan(source, "sda")
    assert [found.intact for found in scanned.found] == [False]


def test_damaged_superblock_is_a_finding_not_an_absence() -> None:
    taken = capture("grow-1.2")
    scanned = scan(taken.source(struct.pack("<I", 0) + taken.raw[4:]), "sda")
    assert [found.intact for found in scanned.found] == [False]


@given(st.binary(max_size=70000))
def test_any_image_can_be_scanned(raw: bytes) -> None:
    assert scan(MemorySource(raw), "sda").found == ()


@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(12288, 1 << 20), st.data())
def test_superblocks_at_any_place_of_any_image_can_be_scanned(
    first: str, second: str, size: int, data: st.DataObject
) -> None:
    places = {data.draw(st.integers(0, size // 512)) * 512: capture(name).raw for name in (first, second)}
    lost = data.draw(st.integers(0, size - 1))
    source = PlacedSource(size, places, Extents([(lost, min(size, lost + 700))]))
    scanned = scan(source, "sda")
    for found in scanned.found:
        assert claim_of(found).metadata == found.metadata
        assert found.annotate()
