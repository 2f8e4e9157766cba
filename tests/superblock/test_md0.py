"""Superblocks 0.90 are read in either byte order, as mdadm does; damaged ones are found and never pass as intact."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.superblock import md0
from raidfs.superblock.claim import FAULTY, SPARE, MemberClaim, ReshapeClaim
from raidfs.superblock.found import Found
from tests.support.examined import assert_as_examined
from tests.support.superblocks import NAMES_0, capture

NEVER = 2**64 - 1
SIZE = 25165824
AT = 25100288
WORDS_OF_64_BITS = (39, 41, 44)


def found(raw: bytes, at: int = AT, size: int = SIZE) -> Found:
    superblock = md0.parse(raw, at, "0.90", size, "sda")
    assert superblock is not None
    return superblock


def as_big_endian(raw: bytes) -> bytes:
    """Return what a big-endian machine would have written: every number swapped, 64-bit ones as a whole."""
    swapped = bytearray(b"".join(raw[at : at + 4][::-1] for at in range(0, 4096, 4)))
    for word in WORDS_OF_64_BITS:
        swapped[4 * word : 4 * word + 8] = raw[4 * word : 4 * word + 8][::-1]
    return bytes(swapped)


def changed(raw: bytes, *changes: tuple[str, int, int]) -> bytes:
    """Return the superblock with words changed (type, word, value) and its checksum made right."""
    words = bytearray(raw)
    for code, word, value in changes:
        struct.pack_into("<" + code, words, 4 * word, value)
    struct.pack_into("<I", words, 152, 0)
    total = sum(struct.unpack("<1024I", words))
    struct.pack_into("<I", words, 152, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    return bytes(words)


def grow_with(*changes: tuple[str, int, int]) -> MemberClaim:
    superblock = found(changed(capture("grow-0.90").raw, *changes))
    assert superblock.intact
    return md0.claim(superblock)


def messages(superblock: Found) -> str:
    assert all(finding.subject == "sda" for finding in superblock.findings)
    return "\n".join(finding.message for finding in superblock.findings)


def descriptor(number: int, field: int) -> int:
    """Return the word of a descriptor's field: 0 number, 3 raid_disk, 4 state."""
    return 128 + 32 * number + field


@pytest.mark.parametrize("name", NAMES_0)
def test_claims_what_mdadm_reads(name: str) -> None:
    taken = capture(name)
    superblock = found(taken.raw, taken.at, taken.size)
    assert superblock.intact
    assert superblock.findings == ()
    assert superblock.unsupported == ()
    assert_as_examined(md0.claim(superblock), taken.examined)


@pytest.mark.parametrize("name", NAMES_0)
def test_big_endian_says_the_same(name: str) -> None:
    taken = capture(name)
    little, big = (found(raw, taken.at, taken.size) for raw in (taken.raw, as_big_endian(taken.raw)))
    assert big.intact
    assert md0.claim(big) == md0.claim(little)
    assert "big-endian" in messages(big)


def test_big_endian_halves_of_64_bit_numbers_are_in_their_own_order() -> None:
    raw = changed(capture("grow-0.90").raw, ("Q", 39, 0x1_0000_0002), ("Q", 44, 0x3_0000_0000))
    for each in (raw, as_big_endian(raw)):
        claim = md0.claim(found(each))
        assert claim.events == 0x1_0000_0002
        assert claim.reshape is not None
        assert claim.reshape.position == 0x3_0000_0000 * 512


def test_place_follows_from_the_size() -> None:
    assert list(md0.offsets(SIZE)) == [(AT, "0.90")]
    assert list(md0.offsets(SIZE + 65535)) == [(AT, "0.90")]
    assert list(md0.offsets(65536)) == [(0, "0.90")]
    assert list(md0.offsets(65535)) == []


def test_reshape_fields_keep_their_units() -> None:
    assert grow_with().reshape == ReshapeClaim(
        position=81792 * 512,
        delta_disks=1,
        new_level=5,
        new_layout=2,
        new_chunk_size=65536,
        backwards=False,
        new_offset=0,
    )
    shrink = grow_with(("i", 47, -1)).reshape
    assert shrink is not None
    assert (shrink.delta_disks, shrink.backwards) == (-1, True)


def test_reshape_counts_only_with_minor_version_91_and_a_position() -> None:
    assert grow_with(("I", 2, 90)).reshape is None
    assert grow_with(("Q", 44, NEVER)).reshape is None


def test_data_begin_at_the_start_and_sizes_are_in_kib() -> None:
    claim = grow_with()
    assert (claim.data_offset, claim.data_size, claim.component_size) == (0, None, 24512 * 1024)
    assert (claim.chunk_size, claim.superblock_offset) == (65536, AT)


@pytest.mark.parametrize("level", [-1, 0])
def test_linear_and_striped_arrays_have_no_component_size(level: int) -> None:
    assert grow_with(("i", 7, level)).component_size is None


@pytest.mark.parametrize(
    ("minor", "state", "role"),
    [
        (90, 6, 2),  # active, in sync
        (90, 4, 2),  # in sync
        (90, 2, SPARE),  # active only
        (91, 2, 2),  # being filled by the reshape
        (90, 0, SPARE),
        (91, 0, SPARE),
        (90, 8, SPARE),  # removed
        (90, 1, FAULTY),
        (90, 7, FAULTY),
        (91, 3, FAULTY),
    ],
)
def test_roles_follow_from_the_state_of_the_descriptor(minor: int, state: int, role: int) -> None:
    claim = grow_with(("I", 2, minor), ("I", descriptor(2, 4), state))
    assert claim.device_roles[:4] == (0, 1, role, 3)


def test_role_is_that_of_the_own_descriptor() -> None:
    claim = grow_with(("I", descriptor(3, 3), 1), ("I", descriptor(1, 3), 3))
    assert (claim.device_number, claim.role) == (3, 1)


def test_member_that_the_reshape_fills_is_valid_up_to_the_front() -> None:
    assert grow_with(("I", descriptor(3, 4), 2)).recovery_offset == 81792 // 3 * 512
    assert grow_with(("I", descriptor(3, 4), 2), ("i", 7, 6)).recovery_offset == 81792 // 2 * 512
    assert grow_with(("I", descriptor(3, 4), 2), ("i", 46, 6)).recovery_offset == 81792 // 3 * 512  # not yet in force
    assert grow_with(("I", descriptor(3, 4), 6)).recovery_offset is None
    assert grow_with(("I", descriptor(3, 4), 2), ("I", 2, 90)).recovery_offset is None


def test_clean_array_is_in_sync_everywhere() -> None:
    assert grow_with(("I", 33, 1), ("I", 43, 5)).resync_offset is None


def test_dirty_array_is_in_sync_up_to_what_this_update_recorded() -> None:
    assert grow_with(("I", 33, 0), ("I", 43, 5)).resync_offset == 5 * 512
    assert grow_with(("I", 33, 0), ("I", 43, 5), ("Q", 41, 35)).resync_offset == 0


def test_bitmap_follows_the_superblock_where_the_state_says_so() -> None:
    assert grow_with(("I", 33, 257)).bitmap_offset == AT + 4096
    assert grow_with(("I", 33, 1)).bitmap_offset is None


def test_write_mostly_is_in_the_own_descriptor() -> None:
    assert grow_with(("I", descriptor(3, 4), 6 + 512)).write_mostly
    assert not grow_with(("I", descriptor(2, 4), 6 + 512)).write_mostly


def test_wrong_checksum_is_a_finding_with_both_values() -> None:
    raw = capture("grow-0.90").raw
    superblock = found(raw[:152] + b"\1\0\0\0" + raw[156:])
    assert not superblock.intact
    right = struct.unpack_from("<I", raw, 152)[0]
    assert f"sb_csum is 0x00000001, its words give {right:#010x}" in messages(superblock)


def test_checksum_of_another_value_with_equal_fold_is_right() -> None:
    raw = bytearray(capture("grow-0.90").raw)
    stored = struct.unpack_from("<I", raw, 152)[0]
    struct.pack_into("<I", raw, 152, (stored & 0xFFFF) + (stored >> 16))
    assert found(bytes(raw)).intact


def test_damaged_magic_is_recognised_by_the_checksum() -> None:
    raw = capture("grow-0.90").raw
    for each in (raw, as_big_endian(raw)):
        for damaged in (b"\0\0\0\0" + each[4:], each[:4] + b"\7" + each[5:]):
            superblock = found(damaged)
            assert not superblock.intact
            assert "instead of 0xa92b4efc and 0" in messages(superblock)
            assert md0.claim(superblock) == replace(md0.claim(found(each)), intact=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("I", 10, 0), "raid_disks is 0"),
        (("I", 10, 28), "raid_disks is 28"),
        (("I", 65, 0), "chunk_size is 0"),
        (("i", 47, 4), "delta_disks is 4 with raid_disks 4"),
        (("I", 992, 27), "this_disk.number is 27"),
        (("I", descriptor(2, 3), 27), "disks[2].raid_disk is 27"),
        (("I", 8, 24513), "the image was cut, or the field is damaged"),
    ],
)
def test_impossible_values_are_named(change: tuple[str, int, int], message: str) -> None:
    superblock = found(changed(capture("grow-0.90").raw, change))
    assert superblock.intact
    assert message in "\n".join([messages(superblock), *superblock.unsupported])
    assert md0.claim(superblock).intact


def test_impossible_numbers_give_no_role() -> None:
    assert grow_with(("I", 992, 27)).role == SPARE
    assert grow_with(("I", descriptor(2, 3), 27)).device_roles[2] == SPARE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("I", 2, 92), "minor_version is 92; raidfs knows 90 and 91"),
        (("i", 7, -4), "level is -4 (multipath)"),
        (("i", 46, 9), "new_level is 9"),
    ],
)
def test_what_we_must_not_guess_about_is_refused(change: tuple[str, int, int], message: str) -> None:
    superblock = found(changed(capture("grow-0.90").raw, change))
    assert len(superblock.unsupported) == 1
    assert message in superblock.unsupported[0]


def test_cut_superblock_is_found_as_damaged() -> None:
    superblock = found(capture("grow-0.90").raw[:4095])
    assert not superblock.intact
    assert "only 4095 of its 4096 bytes are there" in messages(superblock)


@pytest.mark.parametrize("is_big", [False, True])
def test_no_flipped_bit_hides_a_superblock_or_passes_as_intact(is_big: bool) -> None:
    raw = bytearray(as_big_endian(capture("grow-0.90").raw) if is_big else capture("grow-0.90").raw)
    for bit in range(0, 4096 * 8, 7):  # a different one of each byte
        raw[bit // 8] ^= 1 << bit % 8
        superblock = found(bytes(raw))
        assert not superblock.intact, bit
        assert superblock.findings, bit
        raw[bit // 8] ^= 1 << bit % 8


@given(st.binary(max_size=5000))
def test_random_bytes_are_no_superblock(raw: bytes) -> None:
    assert md0.parse(raw, AT, "0.90", SIZE, "sda") is None


@given(
    st.sampled_from(NAMES_0),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=40),
    st.integers(0, 4096),
)
def test_damage_never_raises(name: str, is_big: bool, damage: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(as_big_endian(capture(name).raw) if is_big else capture(name).raw)
    for offset, value in damage:
        raw[offset] = value
    superblock = md0.parse(bytes(raw[:length]), AT, "0.90", SIZE, "sda")
    if superblock is not None:
        assert md0.claim(superblock).metadata == "0.90"
        assert superblock.annotate()


def test_zeros_and_ones_are_no_superblock() -> None:
    for raw in (b"", bytes(4096), b"\xff" * 4096, capture("grow-1.2").raw):
        assert md0.parse(raw, AT, "0.90", SIZE, "sda") is None


def test_annotated_hexdump_names_the_members() -> None:
    lines = found(as_big_endian(capture("grow-0.90").raw)).annotate()
    assert any(
        line.endswith("disks[3]: number = 3, major = 254, minor = 48, raid_disk = 3, state = 0x6") for line in lines
    )
