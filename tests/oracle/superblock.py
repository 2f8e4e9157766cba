"""Builds md superblocks, field by field, as `md_p.h` lays them out. Its reading twin is `tests.oracle.scan`.

Every quantity is in bytes (the fields' sectors and KiB are made here). What real mdadm writes proves the offsets:
the tests rebuild the superblocks of real members from what `scan` reads in them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

SECTOR = 512
MAGIC = 0xA92B4EFC
NEVER = 2**64 - 1
SPARE, FAULTY, JOURNAL = 0xFFFF, 0xFFFE, 0xFFFD

BITMAP_OFFSET, RECOVERY_OFFSET, RESHAPE_ACTIVE, BAD_BLOCKS = 1, 2, 4, 8
REPLACEMENT, RESHAPE_BACKWARDS, NEW_OFFSET = 16, 32, 64
JOURNAL_DEVICE, PPL = 512, 1024

ByteOrder = Literal["<", ">"]


@dataclass(frozen=True)
class ReshapeFields:
    """What a superblock says about a reshape under way.

    Attributes:
        position: [array bytes]. delta_disks: new - old. new_level, new_layout: md's numbers. new_chunk: [bytes].
        new_offset: new - old data_offset of this member [bytes]. backwards: matters only where delta_disks is 0.
    """

    position: int
    delta_disks: int
    new_level: int
    new_layout: int
    new_chunk: int
    new_offset: int = 0
    backwards: bool = False


@dataclass(frozen=True)
class Superblock:
    """The content of one member's superblock; sizes and offsets in bytes.

    Attributes:
        level, layout, chunk: during a reshape the old ones. raid_disks: during a reshape the new number.
        component_size: the size field. device_number: of this member. device_roles: by device number.
        data_offset: during a reshape the old one. data_size: from data_offset.
        events: update counter. created, updated: microseconds since 1970.
        resync_offset: None when clean. recovery_offset: None when in sync.
        journal_tail: of a journal device [bytes from data_offset].
        reshape: None when none is active. features: feature bits beyond those the other fields imply.
        bitmap_offset, bad_block_offset: from the superblock, signed; 0 for none. bad_block_size: space of the log.
        ppl_offset, ppl_size: of the partial parity log, from the superblock, signed; size 0 for none.
        bad_block_shift: log2 of the entries' unit in sectors. bad_blocks: (start, length) [member bytes].
        max_dev: length of the role table.
    """

    level: int
    layout: int
    chunk: int
    raid_disks: int
    component_size: int
    device_number: int
    device_roles: tuple[int, ...]
    data_offset: int = 0
    data_size: int = 0
    events: int = 1
    array_uuid: bytes = bytes(range(0x10, 0x20))
    device_uuid: bytes = bytes(range(0x20, 0x30))
    name: bytes = b""
    created: int = 0
    updated: int = 0
    resync_offset: int | None = None
    recovery_offset: int | None = None
    journal_tail: int = 0
    reshape: ReshapeFields | None = None
    features: int = 0
    device_flags: int = 0
    bitmap_offset: int = 0
    ppl_offset: int = 0
    ppl_size: int = 0
    bad_block_offset: int = 0
    bad_block_size: int = 0
    bad_block_shift: int = 0
    bad_blocks: tuple[tuple[int, int], ...] = ()
    max_dev: int = 128

    @property
    def feature_map(self) -> int:
        """All feature bits of version 1.x."""
        bits = self.features
        bits |= BITMAP_OFFSET if self.bitmap_offset else 0
        bits |= PPL if self.ppl_size else 0
        bits |= RECOVERY_OFFSET if self.recovery_offset is not None else 0
        bits |= BAD_BLOCKS if self.bad_blocks else 0
        if self.reshape is not None:
            bits |= RESHAPE_ACTIVE
            bits |= NEW_OFFSET if self.reshape.new_offset else 0
            bits |= RESHAPE_BACKWARDS if self.reshape.backwards and self.reshape.delta_disks == 0 else 0
        return bits


# Version 1.x -----------------------------------------------------------------------------------------------------


def superblock_offset(metadata: str, device_size: int) -> int:
    """Where a format keeps its superblock on a member of that size [member bytes]."""
    sectors = device_size // SECTOR
    return {"1.1": 0, "1.2": 8, "1.0": (sectors - 16) & ~7, "0.90": (sectors & ~127) - 128}[metadata] * SECTOR


def build_v1(sb: Superblock, offset: int) -> bytes:
    """The superblock of version 1.x that is to lie at `offset` [member bytes]: 256 bytes and the role table."""
    reshape = sb.reshape or ReshapeFields(0, 0, 0, 0, 0)
    raw = bytearray(256 + 2 * sb.max_dev)
    struct.pack_into("<IIII16s32sQ", raw, 0, MAGIC, 1, sb.feature_map, 0, sb.array_uuid, sb.name, _time(sb.created))
    struct.pack_into("<iIQII", raw, 72, sb.level, sb.layout, _s(sb.component_size), _s(sb.chunk), sb.raid_disks)
    if sb.ppl_size:
        struct.pack_into("<hH", raw, 96, _s(sb.ppl_offset), _s(sb.ppl_size))
    else:
        struct.pack_into("<i", raw, 96, _s(sb.bitmap_offset))
    struct.pack_into("<iQi", raw, 100, reshape.new_level, _s(reshape.position), reshape.delta_disks)
    struct.pack_into("<IIi", raw, 116, reshape.new_layout, _s(reshape.new_chunk), _s(reshape.new_offset))
    recovery = _s(sb.recovery_offset or sb.journal_tail)
    struct.pack_into("<QQQQ", raw, 128, _s(sb.data_offset), _s(sb.data_size), _s(offset), recovery)
    struct.pack_into("<II16sBB", raw, 160, sb.device_number, 0, sb.device_uuid, sb.device_flags, sb.bad_block_shift)
    struct.pack_into("<Hi", raw, 186, _s(sb.bad_block_size), _s(sb.bad_block_offset))
    resync = NEVER if sb.resync_offset is None else _s(sb.resync_offset)
    struct.pack_into("<QQQ", raw, 192, _time(sb.updated), sb.events, resync)
    struct.pack_into("<I", raw, 220, sb.max_dev)
    roles = (*sb.device_roles, *[SPARE] * (sb.max_dev - len(sb.device_roles)))
    struct.pack_into(f"<{sb.max_dev}H", raw, 256, *roles)
    struct.pack_into("<I", raw, 216, checksum_v1(raw))
    return bytes(raw)


def checksum_v1(raw: bytes | bytearray) -> int:
    """Fold the sum of all little-endian words, the checksum's own taken as zero (`super1.c: calc_sb_1_csum`)."""
    total = 0
    for at in range(0, len(raw) - 3, 4):
        if at != 216:
            total += int.from_bytes(raw[at : at + 4], "little")
    if len(raw) % 4:
        total += int.from_bytes(raw[-2:], "little")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def build_bad_block_log(sb: Superblock) -> bytes:
    """The bad-block log of version 1.x: runs of at most 512 units, then all ones up to the end of its space."""
    unit = SECTOR << sb.bad_block_shift
    entries = []
    for start, length in sb.bad_blocks:
        first, count = start // unit, length // unit
        while count:
            entries.append(first << 10 | min(count, 512))
            first, count = first + min(count, 512), count - min(count, 512)
    return struct.pack(f"<{len(entries)}Q", *entries).ljust(sb.bad_block_size, b"\xff")


def _s(size: int) -> int:
    if size % SECTOR:
        raise ValueError(f"{size} is not a multiple of 512 bytes")
    return size // SECTOR


def _time(microseconds: int) -> int:
    seconds, rest = divmod(microseconds, 1_000_000)
    return seconds | rest << 40


# Version 0.90 ----------------------------------------------------------------------------------------------------


def build_v0(sb: Superblock, order: ByteOrder = "<") -> bytes:
    """The superblock of version 0.90 (0.91 during a reshape) as a host of that byte order writes it: 4096 bytes."""
    w = [0] * 1024
    u = struct.unpack(f"{order}4I", sb.array_uuid)
    w[0:3] = [MAGIC, 0, 91 if sb.reshape else 90]
    w[5:9] = [u[0], sb.created // 1_000_000, sb.level, sb.component_size // 1024]
    w[9:11] = [sum(role < SPARE for role in sb.device_roles), sb.raid_disks]
    w[13] = u[1]
    w[14:16] = u[2:4]
    w[32:38] = _v0_state(sb)
    w[39:41] = _halves(sb.events, order)
    if sb.resync_offset != 0:  # the last clean moment: its events, and how far redundancy was proven
        w[41:43] = _halves(sb.events, order)
        w[43] = NEVER if sb.resync_offset is None else _s(sb.resync_offset)
    if sb.reshape:
        w[44:46] = _halves(_s(sb.reshape.position), order)
        w[46:50] = [sb.reshape.new_level, sb.reshape.delta_disks, sb.reshape.new_layout, sb.reshape.new_chunk]
    w[64:66] = [sb.layout, sb.chunk]
    for number in range(len(sb.device_roles)):
        w[128 + 32 * number : 128 + 32 * number + 5] = _v0_descriptor(sb, number)
    w[992:997] = _v0_descriptor(sb, sb.device_number)
    w = [word & 0xFFFFFFFF for word in w]
    w[38] = checksum_v0(w)
    return struct.pack(f"{order}1024I", *w)


def checksum_v0(words: list[int]) -> int:
    """Fold the sum of all words, the checksum's own (38) taken as zero (`md.c: calc_sb_csum`)."""
    total = sum(words) - words[38]
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def _v0_state(sb: Superblock) -> list[int]:
    """Words 32 to 37: time, state bits, then the counts of active, working, failed and spare devices."""
    active = sum(role < JOURNAL for role in sb.device_roles)
    clean = 1 if sb.resync_offset is None else 0
    clean |= 1 << 8 if sb.bitmap_offset else 0
    return [sb.updated // 1_000_000, clean, active, active, sb.raid_disks - active, 0]


def _v0_descriptor(sb: Superblock, number: int) -> list[int]:
    """number, major, minor, role, state bits (0 faulty, 1 active, 2 in sync, 3 removed)."""
    role = sb.device_roles[number]
    if role == FAULTY:
        return [number, 0, 0, number, 1 << 0 | 1 << 3]
    if role == SPARE:
        return [number, 254, 16 * number, number, 0]
    return [number, 254, 16 * number, role, 1 << 1 | 1 << 2]


def _halves(value: int, order: ByteOrder) -> list[int]:
    """The two words of a native 64-bit number, in their order in memory."""
    return list(struct.unpack(f"{order}2I", struct.pack(f"{order}Q", value)))
