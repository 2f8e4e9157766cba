"""md superblocks of version 0.90: 4096 bytes near the end of the member, in the byte order of their writer.

The format knows no data offset (data begins at byte 0 and ends before the superblock), no names, no device uuid and not
its own place, so that the same block may be seen through a disk and through its last partition.

Reference: `md_p.h: mdp_super_t`, `md.c: super_90_load`, `super_90_validate`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raidfs.superblock.checks import LINEAR, RAID0, RAID6, Notes, is_fold_equal
from raidfs.superblock.claim import FAULTY, SPARE, MemberClaim, ReshapeClaim
from raidfs.superblock.found import Found
from raidfs.superblock.layout import Record
from raidfs.superblock.md0_fields import (
    N_DESCRIPTORS,
    NOT_RESHAPING,
    RESHAPING,
    TABLE,
    DiskState,
    State,
)
from raidfs.superblock.md1_fields import MAGIC
from raidfs.units import SECTOR, align_down, format_offset, format_size

NAMES: tuple[str, ...] = ("0.90",)
"""The formats of this module, as mdadm names them."""

NEVER = 2**64 - 1
"""A reshape_position that means: no reshape."""

SIZE = TABLE.size
"""Bytes to read."""

_RESERVED = 64 * 1024
_TABLES = {"<": TABLE, ">": TABLE.in_byte_order(">")}


def offsets(size: int) -> Iterator[tuple[int, str]]:
    """Yield where the superblock lies in a member of `size` bytes [member bytes], and the format's name."""
    if size >= _RESERVED:
        yield align_down(size, _RESERVED) - _RESERVED, "0.90"


def parse(raw: bytes, at: int, metadata: str, size: int, subject: str) -> Found | None:
    """Read a superblock; see `raidfs.superblock.md1.parse`.

    The format does not record its own place, so that a damaged magic or major version is only recognised by a checksum
    that is exactly right with the right ones.
    """
    for byte_order, table in _TABLES.items():
        record = table.parse(raw)
        named = record.number("md_magic") == MAGIC and record.number("major_version") == 0
        stored, computed = record.number("sb_csum"), checksum(raw, byte_order)
        if named or stored == computed:
            return _found(record, raw, at, metadata, size, subject, named)
    return None


def checksum(raw: bytes, byte_order: str) -> int | None:
    """Return the checksum that a superblock with these bytes, and the right magic and major version, must have.

    The sum of all 32-bit words with sb_csum as zero, its carries added to the low half (`md.c: calc_sb_csum`).

    Returns:
        None where the bytes are too few.
    """
    if len(raw) < SIZE:
        return None
    record = _TABLES[byte_order].parse(raw)
    total = int(np.frombuffer(raw[:SIZE], dtype=f"{byte_order}u4").sum(dtype=np.uint64))
    total += MAGIC - record.number("md_magic") - record.number("major_version") - record.number("sb_csum")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def _found(record: Record, raw: bytes, at: int, metadata: str, size: int, subject: str, named: bool) -> Found:
    """Return the superblock with everything that is wrong with it."""
    notes = Notes.of(subject, metadata, at)
    stored, computed = record.number("sb_csum"), checksum(raw, record.table.byte_order)
    is_right = computed is not None and is_fold_equal(stored, computed)
    if not named:
        notes.warn(
            f"md_magic is {record.number('md_magic'):#010x} and major_version {record.number('major_version')} instead"
            f" of {MAGIC:#010x} and 0, but the checksum is right: taken for a superblock with a damaged head"
        )
    if computed is None:
        notes.warn(f"only {len(raw)} of its {SIZE} bytes are there: the image was cut")
    elif not is_right:
        notes.warn(f"sb_csum is {stored:#010x}, its words give {computed:#010x}: some field is damaged")
    if record.table.byte_order == ">":
        notes.note("written by a big-endian machine; read as it is")
    _check(record, notes, at, size)
    return Found(
        metadata=metadata,
        offset=at,
        raw=raw,
        record=record,
        findings=tuple(notes.findings),
        unsupported=tuple(notes.unsupported),
        intact=named and is_right,
    )


def _check(record: Record, notes: Notes, at: int, size: int) -> None:
    """Name values that no array can have."""
    minor, level, raid_disks = (record.number(name) for name in ("minor_version", "level", "raid_disks"))
    if minor not in (NOT_RESHAPING, RESHAPING):
        notes.refuse(f"minor_version is {minor}; raidfs knows {NOT_RESHAPING} and {RESHAPING}")
    notes.check_level("level", level)
    if not 0 < raid_disks <= N_DESCRIPTORS:
        notes.refuse(f"raid_disks is {raid_disks}, which is impossible (1 to {N_DESCRIPTORS})")
    notes.check_chunk("chunk_size", record.quantity("chunk_size"), level)
    if _is_reshaping(record):
        notes.check_level("new_level", record.number("new_level"))
        notes.check_chunk("new_chunk", record.quantity("new_chunk"), record.number("new_level"))
        delta_disks = record.number("delta_disks")
        if not 0 < raid_disks - delta_disks <= N_DESCRIPTORS:
            notes.refuse(f"delta_disks is {delta_disks} with raid_disks {raid_disks}, which is impossible")
    number = _this_disk(record).number("number")
    if number >= N_DESCRIPTORS:
        notes.warn(f"this_disk.number is {number}, which is impossible (0 to {N_DESCRIPTORS - 1})")
    for descriptor_number, descriptor in enumerate(record.parts("disks")):
        if _is_member(descriptor, minor) and descriptor.number("raid_disk") >= N_DESCRIPTORS:
            role = descriptor.number("raid_disk")
            notes.warn(f"disks[{descriptor_number}].raid_disk is {role}, which is impossible: taken for a spare")
    stop = _component_size(record) or 0
    if stop > at:
        notes.warn(
            f"size is {format_size(stop)}, but only {format_offset(at)} lie before the superblock of this image of"
            f" {size} bytes: the image was cut, or the field is damaged"
        )


def claim(found: Found) -> MemberClaim:
    """Return what the superblock says, in bytes."""
    record = found.record
    number = _this_disk(record).number("number")
    descriptors = record.parts("disks")
    own_state = descriptors[number].number("state") if number < N_DESCRIPTORS else 0
    minor = record.number("minor_version")
    return MemberClaim(
        metadata=found.metadata,
        superblock_offset=found.offset,
        intact=found.intact,
        array_uuid=":".join(f"{record.number(f'set_uuid{i}'):08x}" for i in range(4)),
        array_name=None,
        device_uuid=None,
        created=record.number("ctime") * 1_000_000,
        updated=record.number("utime") * 1_000_000,
        events=record.number("events"),
        level=record.number("level"),
        layout=_layout(record),
        chunk_size=record.quantity("chunk_size"),
        raid_disks=record.number("raid_disks"),
        component_size=_component_size(record),
        data_offset=0,
        data_size=None,
        device_number=number,
        device_roles=tuple(_role(descriptor, minor) for descriptor in descriptors),
        resync_offset=_resync_offset(record),
        recovery_offset=_recovery_offset(record, own_state),
        journal_tail=None,
        replacement=False,
        write_mostly=bool(own_state & DiskState.WRITE_MOSTLY),
        has_journal=False,
        ppl=None,
        bitmap_offset=found.offset + SIZE if record.number("state") & State.BITMAP_PRESENT else None,
        bad_block_log=None,
        reshape=_reshape(record),
    )


def _this_disk(record: Record) -> Record:
    return record.parts("this_disk")[0]


def _is_member(descriptor: Record, minor_version: int) -> bool:
    """Tell whether the descriptor has a role: in sync, or being filled by the reshape."""
    state = descriptor.number("state")
    if state & DiskState.FAULTY:
        return False
    return bool(state & DiskState.SYNC) or (minor_version == RESHAPING and bool(state & DiskState.ACTIVE))


def _role(descriptor: Record, minor_version: int) -> int:
    if descriptor.number("state") & DiskState.FAULTY:
        return FAULTY
    if _is_member(descriptor, minor_version) and descriptor.number("raid_disk") < N_DESCRIPTORS:
        return descriptor.number("raid_disk")
    return SPARE


def _layout(record: Record) -> int:
    """Return the layout; of a RAID0 the format has none to declare (`md.c: super_90_validate`)."""
    return 0 if record.number("level") == RAID0 else record.number("layout")


def _component_size(record: Record) -> int | None:
    """Return the used bytes of each member; linear and RAID0 use whatever lies before the superblock."""
    if record.number("level") in (LINEAR, RAID0):
        return None
    return record.quantity("size") or None


def _is_reshaping(record: Record) -> bool:
    return record.number("minor_version") == RESHAPING and record.number("reshape_position") != NEVER


def _reshape(record: Record) -> ReshapeClaim | None:
    if not _is_reshaping(record):
        return None
    return ReshapeClaim(
        position=record.quantity("reshape_position"),
        delta_disks=record.number("delta_disks"),
        new_level=record.number("new_level"),
        new_layout=record.number("new_layout"),
        new_chunk_size=record.quantity("new_chunk"),
        backwards=record.number("delta_disks") < 0,
        new_offset=0,
    )


def _resync_offset(record: Record) -> int | None:
    """Return below what redundancy is proven; recovery_cp counts only for the events it was written with."""
    if record.number("state") & State.CLEAN:
        return None
    return record.quantity("recovery_cp") if record.number("events") == record.number("cp_events") else 0


def _recovery_offset(record: Record, own_state: int) -> int | None:
    """Return how far this member is filled: the reshape fills members that are active without being in sync.

    The front of the new geometry on each member is the array's position divided by the new number of data members
    (`raid5.c: raid5_run`).
    """
    if not own_state & DiskState.ACTIVE or own_state & (DiskState.SYNC | DiskState.FAULTY) or not _is_reshaping(record):
        return None
    n_redundant = 2 if record.number("level") == RAID6 else 1  # new_level is not in force yet
    return record.number("reshape_position") // max(1, record.number("raid_disks") - n_redundant) * SECTOR
