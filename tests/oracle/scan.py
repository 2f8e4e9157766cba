"""Reads md superblocks and assembles an array from them, by the plainest rules: enough to check the oracle itself.

Not a parser for hostile input: it expects whole superblocks of RAID4, 5 and 6 members. The freshest superblock decides.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.oracle.layouts import Geometry
from tests.oracle.reader import Array, Member
from tests.oracle.superblock import (
    BAD_BLOCKS,
    BITMAP_OFFSET,
    FAULTY,
    JOURNAL,
    MAGIC,
    NEVER,
    NEW_OFFSET,
    RECOVERY_OFFSET,
    RESHAPE_ACTIVE,
    RESHAPE_BACKWARDS,
    SECTOR,
    SPARE,
    ByteOrder,
    ReshapeFields,
    Superblock,
    superblock_offset,
)

DERIVED = BITMAP_OFFSET | RECOVERY_OFFSET | RESHAPE_ACTIVE | BAD_BLOCKS | RESHAPE_BACKWARDS | NEW_OFFSET


def scan(image: Path) -> tuple[str, bytes, Superblock]:
    """Find and read the superblock of a member image.

    Returns:
        Its format ("0.90", "1.0", "1.1", "1.2"), its 4096 bytes, and what it says.
    """
    size = image.stat().st_size
    with image.open("rb") as file:
        for metadata in ("1.2", "1.1", "1.0", "0.90"):
            offset = superblock_offset(metadata, size)
            file.seek(offset)
            raw = file.read(4096)
            if metadata == "0.90":
                for order in ("<", ">"):
                    if struct.unpack_from(f"{order}I", raw)[0] == MAGIC:
                        return metadata, raw, parse_v0(raw, "<" if order == "<" else ">")
            elif struct.unpack_from("<II", raw) == (MAGIC, 1) and u64(raw, 144) * SECTOR == offset:
                sb = parse_v1(raw)
                if u32(raw, 8) & BAD_BLOCKS:
                    file.seek(offset + sb.bad_block_offset)
                    sb = replace(sb, bad_blocks=parse_bad_block_log(file.read(sb.bad_block_size), sb.bad_block_shift))
                return metadata, raw, sb
    raise ValueError(f"{image}: no superblock")


def u32(raw: bytes, at: int) -> int:
    """The little-endian 32-bit number at a byte offset."""
    return int.from_bytes(raw[at : at + 4], "little")


def u64(raw: bytes, at: int) -> int:
    """The little-endian 64-bit number at a byte offset."""
    return int.from_bytes(raw[at : at + 8], "little")


def parse_v1(raw: bytes) -> Superblock:
    """What a superblock of version 1.x says, but for the bad-block log."""
    features = u32(raw, 8)
    level, layout, size, chunk, raid_disks = struct.unpack_from("<iIQII", raw, 72)
    new_level, position, delta, new_layout, new_chunk, new_offset = struct.unpack_from("<iQiIIi", raw, 100)
    data_offset, data_size, _, recovery = struct.unpack_from("<QQQQ", raw, 128)
    number, _, device_uuid, flags, shift = struct.unpack_from("<II16sBB", raw, 160)
    log_size, log_offset = struct.unpack_from("<Hi", raw, 186)
    max_dev = u32(raw, 220)
    resync = u64(raw, 208)
    reshape = ReshapeFields(
        position * SECTOR,
        delta,
        new_level,
        new_layout,
        new_chunk * SECTOR,
        new_offset * SECTOR if features & NEW_OFFSET else 0,
        delta < 0 or bool(features & RESHAPE_BACKWARDS),
    )
    return Superblock(
        level=level,
        layout=layout,
        chunk=chunk * SECTOR,
        raid_disks=raid_disks,
        component_size=size * SECTOR,
        device_number=number,
        device_roles=struct.unpack_from(f"<{max_dev}H", raw, 256),
        data_offset=data_offset * SECTOR,
        data_size=data_size * SECTOR,
        events=u64(raw, 200),
        array_uuid=raw[16:32],
        device_uuid=device_uuid,
        name=raw[32:64],
        created=_microseconds(u64(raw, 64)),
        updated=_microseconds(u64(raw, 192)),
        resync_offset=None if resync == NEVER else resync * SECTOR,
        recovery_offset=recovery * SECTOR if features & RECOVERY_OFFSET else None,
        reshape=reshape if features & RESHAPE_ACTIVE else None,
        features=features & ~DERIVED,
        device_flags=flags,
        bitmap_offset=struct.unpack_from("<i", raw, 96)[0] * SECTOR if features & BITMAP_OFFSET else 0,
        bad_block_offset=log_offset * SECTOR,
        bad_block_size=log_size * SECTOR,
        bad_block_shift=shift,
        max_dev=max_dev,
    )


def parse_bad_block_log(raw: bytes, shift: int) -> tuple[tuple[int, int], ...]:
    """The (start, length) [member bytes] of each entry, up to the first word of all ones."""
    entries = []
    for at in range(0, len(raw), 8):
        entry = u64(raw, at)
        if entry == NEVER:
            break
        entries.append(((entry >> 10) * SECTOR << shift, (entry & 0x3FF) * SECTOR << shift))
    return tuple(entries)


def _microseconds(field: int) -> int:
    return (field & (2**40 - 1)) * 1_000_000 + (field >> 40)


def parse_v0(raw: bytes, order: ByteOrder) -> Superblock:
    """What a superblock of version 0.90 or 0.91 says."""
    w = struct.unpack(f"{order}1024I", raw)
    s = struct.unpack(f"{order}1024i", raw)
    reshape = None
    if w[2] == 91:
        (position,) = struct.unpack_from(f"{order}Q", raw, 176)
        reshape = ReshapeFields(position * SECTOR, s[47], s[46], w[48], w[49], 0, s[47] < 0)
    roles = []
    for at in range(128, 992, 32):
        faulty, in_sync = w[at + 4] & 1, w[at + 4] & 4
        roles.append(FAULTY if faulty else w[at + 3] if in_sync else SPARE)
    while roles and roles[-1] == SPARE:
        roles.pop()
    return Superblock(
        level=s[7],
        layout=w[64],
        chunk=w[65],
        raid_disks=w[10],
        component_size=w[8] * 1024,
        device_number=w[992],
        device_roles=tuple(roles),
        data_size=w[8] * 1024,
        events=struct.unpack_from(f"{order}Q", raw, 156)[0],
        array_uuid=raw[20:24] + raw[52:64],
        created=w[6] * 1_000_000,
        updated=w[32] * 1_000_000,
        resync_offset=None if w[33] & 1 else w[43] * SECTOR,
        reshape=reshape,
    )


def describe(images: Sequence[Path]) -> Array:
    """Assemble the array whose members these images are; members that lag by more than one event are left out."""
    read = [(image, scan(image)[2]) for image in images]
    freshest = max((sb for _, sb in read), key=lambda sb: sb.events)
    members = []
    for image, sb in read:
        if sb.events + 1 < freshest.events or sb.device_number >= len(freshest.device_roles):
            continue
        role = freshest.device_roles[sb.device_number]
        if role < JOURNAL:
            moved = sb.reshape.new_offset if sb.reshape else 0
            bad = tuple((start, start + length) for start, length in sb.bad_blocks)
            members.append(Member(role, image, sb.data_offset, sb.data_offset + moved, sb.recovery_offset, bad))
    old_disks = freshest.raid_disks
    after = None
    reshape = freshest.reshape
    if reshape is not None:
        old_disks -= reshape.delta_disks
        after = Geometry(freshest.level, reshape.new_layout, freshest.raid_disks, reshape.new_chunk)
    return Array(
        Geometry(freshest.level, freshest.layout, old_disks, freshest.chunk),
        freshest.component_size,
        tuple(members),
        after=after,
        position=reshape.position if reshape else 0,
        backwards=reshape.backwards if reshape else False,
    )
