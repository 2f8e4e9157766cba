"""Superblocks 1.x of real members are read as mdadm reads them; damaged ones are found, and never pass as intact."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.finding import Severity
from raidfs.superblock import md1
from raidfs.superblock.claim import FAULTY, JOURNAL, SPARE, MemberClaim, PplArea, ReshapeClaim
from raidfs.superblock.found import Found
from raidfs.superblock.layout import Table
from raidfs.superblock.md1_fields import TABLE
from tests.support.examined import assert_as_examined
from tests.support.superblocks import NAMES_1, Capture, capture, changed

NEVER = 2**64 - 1


def parse(taken: Capture, raw: bytes | None = None, at: int | None = None, size: int | None = None) -> Found | None:
    where = taken.at if at is None else at
    metadata = {0: "1.1", 4096: "1.2"}.get(where, "1.0")
    return md1.parse(taken.raw if raw is None else raw, where, metadata, taken.size if size is None else size, "sda")


def found(taken: Capture, raw: bytes | None = None, at: int | None = None, size: int | None = None) -> Found:
    superblock = parse(taken, raw, at, size)
    assert superblock is not None
    return superblock


def messages(superblock: Found) -> str:
    assert all(finding.subject == "sda" for finding in superblock.findings)
    return "\n".join(finding.message for finding in superblock.findings)


def claim_with(name: str, code: str, offset: int, *values: int | bytes) -> MemberClaim:
    taken = capture(name)
    superblock = found(taken, changed(taken.raw, code, offset, *values))
    assert superblock.intact
    return md1.claim(superblock)


@pytest.mark.parametrize("name", NAMES_1)
def test_claims_what_mdadm_reads(name: str) -> None:
    taken = capture(name)
    superblock = found(taken)
    assert superblock.intact
    assert superblock.findings == ()
    assert superblock.unsupported == ()
    assert_as_examined(md1.claim(superblock), taken.examined)


def test_places_follow_from_the_size() -> None:
    assert list(md1.offsets(25165824)) == [(4096, "1.2"), (0, "1.1"), (25157632, "1.0")]
    assert list(md1.offsets(10_000_000 + 512))[-1] == ((19532 - 16) // 8 * 8 * 512, "1.0")
    assert list(md1.offsets(24 * 512 - 1)) == []


def test_reshape_fields_keep_their_units_and_signs() -> None:
    assert md1.claim(found(capture("grow-1.2"))).reshape == ReshapeClaim(
        position=54912 * 512,
        delta_disks=1,
        new_level=5,
        new_layout=2,
        new_chunk_size=65536,
        backwards=False,
        new_offset=-384 * 512,
    )
    shrink = md1.claim(found(capture("shrink"))).reshape
    assert shrink is not None
    assert (shrink.delta_disks, shrink.backwards, shrink.new_offset) == (-1, True, 0)


def test_reshape_without_new_disks_is_backwards_only_by_its_feature_bit() -> None:
    backwards = md1.claim(found(capture("backwards"))).reshape
    assert backwards is not None
    assert (backwards.delta_disks, backwards.backwards, backwards.new_offset) == (0, True, 4096 * 512)
    forward = md1.claim(found(capture("chunk"))).reshape
    assert forward is not None
    assert (forward.delta_disks, forward.backwards) == (0, False)
    assert forward.new_chunk_size == 131072


def test_leftovers_of_a_finished_reshape_are_ignored() -> None:
    taken = capture("stale")
    assert any(taken.raw[100:128])
    assert md1.claim(found(taken)).reshape is None


def test_new_offset_counts_only_with_both_feature_bits() -> None:
    reshape = claim_with("grow-1.2", "I", 8, 0x04).reshape
    assert reshape is not None
    assert reshape.new_offset == 0
    assert claim_with("grow-1.2", "I", 8, 0x40).reshape is None


def test_delta_below_zero_is_backwards_whatever_the_bit_says() -> None:
    assert claim_with("shrink", "I", 8, 0x04).reshape == md1.claim(found(capture("shrink"))).reshape
    grow = claim_with("grow-1.2", "I", 8, 0x64).reshape
    assert grow is not None
    assert not grow.backwards


def test_recovery_offset_counts_only_with_its_feature_bit() -> None:
    assert md1.claim(found(capture("filled"))).recovery_offset == 18816 * 512
    assert claim_with("filled", "I", 8, 0x44).recovery_offset is None


def test_the_same_field_is_the_tail_on_a_journal_device() -> None:
    claim = md1.claim(found(capture("journal")))
    assert (claim.role, claim.journal_tail, claim.recovery_offset) == (JOURNAL, 19492864, None)
    assert claim.has_journal


def test_replacement_shares_the_role_of_another_member() -> None:
    claim = md1.claim(found(capture("replacement")))
    assert (claim.replacement, claim.role, claim.recovery_offset) == (True, 1, 17080 * 512)
    assert [number for number, role in enumerate(claim.device_roles) if role == 1] == [1, 5]


def test_roles_are_read_by_device_number() -> None:
    claim = md1.claim(found(capture("fell-out")))
    assert claim.device_roles[:6] == (0, FAULTY, SPARE, 2, 3, SPARE)
    assert claim_with("fell-out", "I", 160, 3).role == 2
    assert claim_with("fell-out", "I", 160, 4000).role == SPARE


def test_dirty_array_and_its_bitmap() -> None:
    claim = md1.claim(found(capture("bitmap")))
    assert claim.resync_offset == 0
    assert claim.bitmap_offset == 4096 + 8 * 512
    assert claim_with("bitmap", "Q", 208, NEVER).resync_offset is None
    assert claim_with("bitmap", "Q", 208, 1000).resync_offset == 512000


def test_bitmap_offset_is_signed_and_counts_only_with_its_feature_bit() -> None:
    taken = capture("static-1.0")
    raw = changed(changed(taken.raw, "i", 96, -16), "I", 8, 1)
    assert md1.claim(found(taken, raw)).bitmap_offset == taken.at - 16 * 512
    assert claim_with("static-1.0", "i", 96, -16).bitmap_offset is None


def test_partial_parity_log_shares_the_field_of_the_bitmap() -> None:
    claim = md1.claim(found(capture("ppl")))
    assert (claim.ppl, claim.bitmap_offset) == (PplArea(4096 + 8 * 512, 2048 * 512), None)


def test_bad_block_log_lies_relative_to_the_superblock() -> None:
    log = md1.claim(found(capture("bad-blocks"))).bad_block_log
    assert log is not None
    assert (log.offset, log.size, log.shift) == (4096 + 16 * 512, 4096, 0)
    taken = capture("static-1.0")
    raw = changed(changed(taken.raw, "BHi", 185, 3, 8, -8), "I", 8, 8)
    log = md1.claim(found(taken, raw)).bad_block_log
    assert log is not None
    assert (log.offset, log.size, log.shift) == (taken.at - 8 * 512, 4096, 3)


def test_linear_and_striped_arrays_have_no_component_size() -> None:
    linear = md1.claim(found(capture("linear")))
    assert (linear.level, linear.component_size, linear.data_size) == (-1, None, 18432 * 512)
    zones = md1.claim(found(capture("zones")))
    assert (zones.level, zones.component_size, zones.layout) == (0, None, 1)


def test_times_have_microseconds_above_forty_bits_of_seconds() -> None:
    assert claim_with("grow-1.2", "Q", 64, 999_999 << 40 | 1_234_567_890).created == 1_234_567_890_999_999


def test_names_may_fill_their_field_and_hold_anything() -> None:
    assert claim_with("grow-1.2", "32s", 32, b"x" * 32).array_name == "x" * 32
    assert claim_with("grow-1.2", "32s", 32, b"").array_name is None
    assert claim_with("grow-1.2", "32s", 32, b"\xff\xfe").array_name == "\ufffd\ufffd"


def test_write_mostly_flag() -> None:
    assert claim_with("grow-1.2", "B", 184, 1).write_mostly
    assert not claim_with("grow-1.2", "B", 184, 2).write_mostly


def test_wrong_checksum_is_a_finding_with_both_values() -> None:
    taken = capture("grow-1.2")
    right = struct.unpack_from("<I", taken.raw, 216)[0]
    superblock = found(taken, taken.raw[:216] + b"\0\0\0\0" + taken.raw[220:])
    assert not superblock.intact
    assert f"sb_csum is 0x00000000, its bytes give {right:#010x}" in messages(superblock)
    assert superblock.findings[0].severity == Severity.WARNING
    assert superblock.findings[0].message.startswith("superblock 1.2 at 4096 bytes (sector 8): ")


def test_odd_number_of_roles_has_a_checksum_too() -> None:
    taken = capture("grow-1.2")
    for max_dev in (127, 5, 1920):
        superblock = found(taken, changed(taken.raw, "I", 220, max_dev))
        assert superblock.intact, max_dev
        assert len(md1.claim(superblock).device_roles) == max_dev


def test_damaged_magic_is_recognised_by_all_the_rest() -> None:
    taken = capture("grow-1.1")
    for raw in (b"\0\0\0\0" + taken.raw[4:], taken.raw[:4] + b"\x07" + taken.raw[5:]):
        superblock = found(taken, raw)
        assert not superblock.intact
        assert "instead of 0xa92b4efc and 1" in messages(superblock)
        assert md1.claim(superblock) == replace(md1.claim(found(taken)), intact=False)


def test_superblock_of_a_partition_seen_through_the_whole_disk() -> None:
    taken = capture("grow-1.0")
    superblock = found(taken, at=taken.at + (1 << 20), size=taken.size + (1 << 20))
    assert not superblock.intact
    assert "it belongs to a partition that begins at 1048576 bytes (sector 2048)" in messages(superblock)


def test_superblock_that_was_copied_before_its_place() -> None:
    superblock = found(capture("grow-1.0"), at=8192)
    assert not superblock.intact
    assert "the superblock was copied here" in messages(superblock)


@pytest.mark.parametrize(
    ("code", "offset", "value", "message"),
    [
        ("I", 12, 1, "pad0 at byte 12 is 0x1"),
        ("B", 255, 1, "padding of bytes 228 to 255"),
        ("I", 92, 0, "raid_disks is 0"),
        ("I", 92, 5000, "raid_disks is 5000"),
        ("I", 88, 0, "chunksize is 0"),
        ("I", 120, 0, "new_chunk is 0"),
        ("Q", 80, 0, "size is 0"),
        ("i", 112, 4, "delta_disks is 4 with raid_disks 4"),
        ("I", 8, 0x1044, "RAID0 layout"),
        ("I", 8, 0xC44, "exclude each other"),
        ("Q", 136, 9, "data_size is 4608 bytes"),
        ("Q", 128, 9, "data_offset is 4608 bytes (sector 9)"),
        ("i", 124, -16380, "data_offset and new_offset give 2048 bytes"),
        ("H", 256, 0xFF05, "dev_roles holds 0xff05"),
    ],
)
def test_impossible_values_are_named(code: str, offset: int, value: int, message: str) -> None:
    taken = capture("grow-1.2")
    superblock = found(taken, changed(taken.raw, code, offset, value))
    assert superblock.intact
    assert message in "\n".join([messages(superblock), *superblock.unsupported])


def test_superblock_cut_off_by_the_end_of_the_image() -> None:
    superblock = found(capture("grow-1.2"), capture("grow-1.2").raw[:300], size=4396)
    assert not superblock.intact
    assert "only 300 bytes of it are there" in messages(superblock)


def test_more_roles_than_fit_are_damage() -> None:
    taken = capture("grow-1.2")
    superblock = found(taken, changed(taken.raw, "I", 220, 1921))
    assert not superblock.intact
    assert "max_dev is 1921, more than the 1920 that fit" in messages(superblock)
    assert len(md1.claim(superblock).device_roles) == 1920


def test_undefined_role_is_no_role() -> None:
    assert claim_with("grow-1.2", "H", 256, 0xFF05).device_roles[0] == SPARE
    assert claim_with("grow-1.2", "H", 256, 0xFEFF).device_roles[0] == 0xFEFF


def test_truncated_image_is_a_warning_and_the_superblock_intact() -> None:
    taken = capture("grow-1.2")
    superblock = found(taken, size=taken.size - (1 << 20))
    assert superblock.intact
    assert "the image has only 32505856 bytes: it was cut, and 1 MiB are missing" in messages(superblock)


def test_data_area_over_a_superblock_at_the_end() -> None:
    taken = capture("static-1.0")
    superblock = found(taken, changed(taken.raw, "Q", 136, taken.at // 512 + 1))
    assert "behind the superblock" in messages(superblock)


@pytest.mark.parametrize(
    ("code", "offset", "value", "message"),
    [
        ("I", 8, 0x2044, "bits 0x2000 are unknown"),
        ("I", 8, 0x80000044, "bits 0x80000000 are unknown"),
        ("I", 8, 0x144, "clustered"),
        ("i", 72, -4, "level is -4 (multipath)"),
        ("i", 72, 7, "level is 7, which is no RAID level"),
        ("i", 100, -4, "new_level is -4 (multipath)"),
    ],
)
def test_what_we_must_not_guess_about_is_refused(code: str, offset: int, value: int, message: str) -> None:
    taken = capture("grow-1.2")
    superblock = found(taken, changed(taken.raw, code, offset, value))
    assert superblock.intact
    assert len(superblock.unsupported) == 1
    assert message in superblock.unsupported[0]
    assert superblock.unsupported[0].startswith("superblock 1.2 at 4096 bytes (sector 8): ")


@pytest.mark.parametrize("name", ["grow-1.0", "grow-1.1"])
def test_no_flipped_bit_hides_a_superblock_or_passes_as_intact(name: str) -> None:
    taken = capture(name)
    covered = 256 + 2 * struct.unpack_from("<I", taken.raw, 220)[0]
    raw = bytearray(taken.raw)
    for bit in range(covered * 8):
        raw[bit // 8] ^= 1 << bit % 8
        superblock = found(taken, bytes(raw))
        assert not superblock.intact, bit
        assert superblock.findings, bit
        raw[bit // 8] ^= 1 << bit % 8


@given(st.binary(max_size=600), st.sampled_from([0, 4096, 25157632]))
def test_random_bytes_are_no_superblock(raw: bytes, at: int) -> None:
    assert md1.parse(raw, at, "1.2", 25165824, "sda") is None


@given(
    st.sampled_from(NAMES_1),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=40),
    st.integers(0, 4096),
)
def test_damage_never_raises(name: str, damage: list[tuple[int, int]], length: int) -> None:
    taken = capture(name)
    raw = bytearray(taken.raw)
    for offset, value in damage:
        raw[offset] = value
    superblock = parse(taken, bytes(raw[:length]))
    if superblock is not None:
        assert md1.claim(superblock).metadata == superblock.metadata
        assert len(superblock.annotate()) >= len(TABLE.fields)


def test_empty_bytes_and_zeros_are_no_superblock() -> None:
    for raw in (b"", bytes(4096), b"\xff" * 4096):
        for at in (0, 4096):
            assert md1.parse(raw, at, "1.1", 1 << 30, "sda") is None


def test_table_covers_every_byte_up_to_the_roles_but_the_padding() -> None:
    assert _covered(TABLE) == set(range(4096))


def _covered(table: Table) -> set[int]:
    return {
        byte
        for field in table.fields
        for byte in range(field.offset, field.offset + field.numpy_dtype(table.byte_order).itemsize)
    }
