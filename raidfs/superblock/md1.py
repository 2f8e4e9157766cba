"""md superblocks of version 1.0, 1.1 and 1.2: always little-endian, 256 bytes and two for each device.

The three differ only in where they lie; the minor version is not stored. Each superblock records its own place, which
tells a copy seen from a wrong start (a whole disk instead of its partition) from the real thing.

Not here: the bad-block log (`raidfs.superblock.bad_blocks`), journals (`raidfs.superblock.journal`), and what to
believe (`raidfs.array`). Reference: `md_p.h: struct mdp_superblock_1`, `md.c: super_1_load`, `super_1_validate`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raidfs.superblock.checks import LINEAR, RAID0, Notes
from raidfs.superblock.claim import FAULTY, JOURNAL, SPARE, BadBlockLog, MemberClaim, PplArea, ReshapeClaim
from raidfs.superblock.found import Found
from raidfs.superblock.layout import Record
from raidfs.superblock.md1_fields import DEV_ROLES_OFFSET, MAGIC, MAX_ROLES, TABLE, Feature
from raidfs.units import SECTOR, align_down, format_offset, format_size

NAMES: tuple[str, ...] = ("1.2", "1.1", "1.0")
"""The formats of this module, as mdadm names them."""

NEVER = 2**64 - 1
"""A position that lies nowhere (md's MaxSector): in sync everywhere, no reshape."""

SIZE = TABLE.size
"""Bytes to read at each place."""

_SMALLEST_DEVICE = 24 * SECTOR
_SMALLEST_DATA = 10 * SECTOR
_SPECIAL_ROLES = {0xFFFF: SPARE, 0xFFFE: FAULTY, 0xFFFD: JOURNAL}
_FIRST_NO_ROLE = 0xFF00
_WRITE_MOSTLY = 1
_RESHAPE_FIELDS = slice(TABLE.field("new_level").offset, TABLE.field("new_offset").offset)
"""Those that all members have alike."""


def offsets(size: int) -> Iterator[tuple[int, str]]:
    """Yield where a superblock may lie in a member of `size` bytes [member bytes], and its format's name."""
    if size < _SMALLEST_DEVICE:
        return
    yield 8 * SECTOR, "1.2"
    yield 0, "1.1"
    yield align_down(size // SECTOR - 16, 8) * SECTOR, "1.0"


def length_of(n_roles: int) -> int:
    """Return how long a superblock is that has so many entries in its table of roles [bytes]."""
    return DEV_ROLES_OFFSET + 2 * n_roles


def parse(raw: bytes, at: int, metadata: str, size: int, subject: str) -> Found | None:
    """Read a superblock.

    Args:
        raw: up to 4096 bytes from `at`.
        at: where they were read [member bytes].
        metadata: which format lies there.
        size: of the member's image [bytes].
        subject: path of the member, for findings.

    Returns:
        None where there is no superblock of this family. A damaged one is found as long as either magic and major
        version are right, or the checksum (taken with the right ones) and the recorded place are.
    """
    record = TABLE.parse(raw)
    named = record.number("magic") == MAGIC and record.number("major_version") == 1
    placed = record.quantity("super_offset") == at
    stored, computed = record.number("sb_csum"), checksum(raw)
    if not (named or (placed and stored == computed)):
        return None
    notes = Notes.of(subject, metadata, at)
    if not named:
        notes.warn(
            f"magic is {record.number('magic'):#010x} and major_version {record.number('major_version')} instead of"
            f" {MAGIC:#010x} and 1, but checksum and place are right: taken for a superblock with a damaged head"
        )
    if record.number("max_dev") > MAX_ROLES:
        notes.warn(f"max_dev is {record.number('max_dev')}, more than the {MAX_ROLES} that fit: the roles are damaged")
    elif computed is None:
        notes.warn(f"only {len(raw)} bytes of it are there, so that its checksum cannot be checked: the image was cut")
    elif stored != computed:
        notes.warn(f"sb_csum is {stored:#010x}, its bytes give {computed:#010x}: some field is damaged")
    if not placed:
        notes.warn(_misplaced(record.quantity("super_offset"), at))
    _check_features(record, notes)
    _check_shape(record, notes)
    _check_areas(record, notes, at, metadata, size)
    return Found(
        metadata=metadata,
        offset=at,
        raw=raw,
        record=record,
        findings=tuple(notes.findings),
        unsupported=tuple(notes.unsupported),
        intact=named and placed and stored == computed,
    )


def checksum(raw: bytes) -> int | None:
    """Return the checksum that a superblock with these bytes, and the right magic and major version, must have.

    The 32-bit little-endian words are summed up with sb_csum as zero, the carries added to the low half
    (`md.c: calc_sb_1_csum`); covers 256 bytes and two for each device.

    Returns:
        None where max_dev is impossible or the bytes are too few.
    """
    record = TABLE.parse(raw)
    length = DEV_ROLES_OFFSET + 2 * record.number("max_dev")
    if record.number("max_dev") > MAX_ROLES or length > len(raw):
        return None
    words = np.frombuffer(raw[:length].ljust(length + length % 4, b"\0"), dtype="<u4")
    total = int(words.sum(dtype=np.uint64))
    total += MAGIC + 1 - record.number("magic") - record.number("major_version") - record.number("sb_csum")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def _misplaced(super_offset: int, at: int) -> str:
    """Return the sentence for a superblock that records another place than its own."""
    text = f"super_offset says {format_offset(super_offset)}"
    if at - super_offset > 0 and (at - super_offset) % SECTOR == 0:
        return (
            f"{text}: it belongs to a partition that begins at {format_offset(at - super_offset)}, or was copied here"
        )
    return f"{text}: the field is damaged, or the superblock was copied here"


def _check_features(record: Record, notes: Notes) -> None:
    """Refuse what we must not guess about; name what contradicts itself."""
    feature_map = record.number("feature_map")
    known = sum(Feature)
    if feature_map & ~known:
        notes.refuse(f"feature_map is {feature_map:#x}, and its bits {feature_map & ~known:#x} are unknown to raidfs")
    if feature_map & Feature.CLUSTERED:
        notes.refuse(f"feature_map is {feature_map:#x}: a clustered array (bit 0x100), which raidfs does not read")
    ppl = feature_map & (Feature.PPL | Feature.MULTIPLE_PPLS)
    if ppl == Feature.PPL | Feature.MULTIPLE_PPLS or (ppl and feature_map & Feature.BITMAP_OFFSET):
        notes.warn(f"feature_map is {feature_map:#x}: PPL, several PPLs and a bitmap exclude each other")
    if feature_map & Feature.RAID0_LAYOUT and record.number("level") != RAID0:
        notes.warn(f"feature_map is {feature_map:#x}: declares a RAID0 layout, but level is {record.number('level')}")
    if record.number("pad0"):
        notes.warn(f"pad0 at byte 12 is {record.number('pad0'):#x} instead of 0")
    if any(record.blob("pad3")):
        notes.warn("the padding of bytes 228 to 255 is not zero: written by a newer md, or damaged")


def _check_shape(record: Record, notes: Notes) -> None:
    """Name values that no array can have."""
    level, raid_disks = record.number("level"), record.number("raid_disks")
    notes.check_level("level", level)
    if not 0 < raid_disks <= MAX_ROLES:
        notes.refuse(f"raid_disks is {raid_disks}, which is impossible (1 to {MAX_ROLES})")
    notes.check_chunk("chunksize", record.quantity("chunksize"), level)
    if level not in (LINEAR, RAID0) and record.number("size") == 0:
        notes.warn(f"size is 0, which level {level} cannot have")
    if _declares(record, Feature.RESHAPE_ACTIVE):
        delta_disks = record.number("delta_disks")
        notes.check_level("new_level", record.number("new_level"))
        if not 0 < raid_disks - delta_disks <= MAX_ROLES:
            notes.refuse(f"delta_disks is {delta_disks} with raid_disks {raid_disks}, which is impossible")
        notes.check_chunk("new_chunk", record.quantity("new_chunk"), record.number("new_level"))
    odd = sorted({role for role in _roles(record) if role >= _FIRST_NO_ROLE and role not in _SPECIAL_ROLES})
    if odd:
        notes.warn(f"dev_roles holds {odd[0]:#06x}, which md does not define: taken for a spare")


def _check_areas(record: Record, notes: Notes, at: int, metadata: str, size: int) -> None:
    """Check where the data area lies; all in member bytes."""
    start, length = record.quantity("data_offset"), record.quantity("data_size")
    stop = start + length
    if length < _SMALLEST_DATA:
        notes.warn(f"data_size is {length} bytes, less than md accepts")
    if metadata == "1.0":
        if at < stop and start < at + SIZE:
            notes.warn(f"the data area ends at {format_offset(stop)}, behind the superblock: data_size is wrong")
    elif start < at + SIZE:
        notes.warn(f"data_offset is {format_offset(start)}, which lies before the end of the superblock")
    elif start + _new_offset(record) < at + SIZE:
        notes.warn(f"data_offset and new_offset give {start + _new_offset(record)} bytes, before the superblock's end")
    if stop > size:
        notes.warn(
            f"the data area ends at {format_offset(stop)}, but the image has only {size} bytes:"
            f" it was cut, and {format_size(stop - max(size, start))} are missing"
        )


def claim(found: Found) -> MemberClaim:
    """Return what the superblock says, in bytes."""
    record = found.record
    roles = tuple(_role(value) for value in _roles(record))
    number = record.number("dev_number")
    is_journal = number < len(roles) and roles[number] == JOURNAL
    has_ppl = _declares(record, Feature.PPL) or _declares(record, Feature.MULTIPLE_PPLS)
    has_bitmap = _declares(record, Feature.BITMAP_OFFSET) and not has_ppl
    recovers = _declares(record, Feature.RECOVERY_OFFSET) and not is_journal
    return MemberClaim(
        metadata=found.metadata,
        superblock_offset=found.offset,
        intact=found.intact,
        array_uuid=_uuid_text(record.blob("set_uuid")),
        array_name=record.blob("set_name").split(b"\0")[0].decode(errors="replace") or None,
        device_uuid=_uuid_text(record.blob("device_uuid")),
        created=_microseconds(record.number("ctime")),
        updated=_microseconds(record.number("utime")),
        events=record.number("events"),
        level=record.number("level"),
        layout=_layout(record),
        chunk_size=record.quantity("chunksize"),
        raid_disks=record.number("raid_disks"),
        component_size=_component_size(record),
        data_offset=record.quantity("data_offset"),
        data_size=record.quantity("data_size"),
        device_number=number,
        device_roles=roles,
        resync_offset=None if record.number("resync_offset") == NEVER else record.quantity("resync_offset"),
        recovery_offset=record.quantity("recovery_offset") if recovers else None,
        journal_tail=record.quantity("recovery_offset") if is_journal else None,
        replacement=_declares(record, Feature.REPLACEMENT),
        write_mostly=bool(record.number("devflags") & _WRITE_MOSTLY),
        has_journal=_declares(record, Feature.JOURNAL),
        ppl=PplArea(found.offset + record.quantity("ppl_offset"), record.quantity("ppl_size")) if has_ppl else None,
        bitmap_offset=found.offset + record.quantity("bitmap_offset") if has_bitmap else None,
        bad_block_log=_bad_block_log(record, found.offset),
        reshape=_reshape(record),
        last_reshape=_last_reshape(record),
        reshape_traces=found.raw[_RESHAPE_FIELDS].ljust(_RESHAPE_FIELDS.stop - _RESHAPE_FIELDS.start, b"\0"),
    )


def _declares(record: Record, feature: Feature) -> bool:
    return bool(record.number("feature_map") & feature)


def _layout(record: Record) -> int:
    """Return the layout; that of a RAID0 counts only where it is declared (`raid0.c: create_strip_zones`)."""
    undeclared = record.number("level") == RAID0 and not _declares(record, Feature.RAID0_LAYOUT)
    return 0 if undeclared else record.number("layout")


def _component_size(record: Record) -> int | None:
    """Return the used bytes of each member; linear and RAID0 use all that each has, whatever an earlier level left."""
    if record.number("level") in (LINEAR, RAID0):
        return None
    return record.quantity("size") or None


def _new_offset(record: Record) -> int:
    """Return new data_offset - data_offset [bytes]; only both feature bits together make the field valid."""
    if _declares(record, Feature.RESHAPE_ACTIVE) and _declares(record, Feature.NEW_OFFSET):
        return record.quantity("new_offset")
    return 0


def _reshape(record: Record) -> ReshapeClaim | None:
    """Return the reshape fields; without the feature bit they are leftovers of an earlier reshape and say nothing."""
    return _reshape_fields(record) if _declares(record, Feature.RESHAPE_ACTIVE) else None


def _last_reshape(record: Record) -> ReshapeClaim | None:
    """Return what the reshape fields still say of a reshape that is over."""
    over = not _declares(record, Feature.RESHAPE_ACTIVE) and record.number("new_chunk")
    return _reshape_fields(record) if over else None


def _reshape_fields(record: Record) -> ReshapeClaim:
    delta_disks, runs = record.number("delta_disks"), _declares(record, Feature.RESHAPE_ACTIVE)
    # what says so is gone at the end; the field that says how data moved is not
    moves_back = _declares(record, Feature.RESHAPE_BACKWARDS) if runs else record.number("new_offset") > 0
    return ReshapeClaim(
        position=record.quantity("reshape_position"),
        delta_disks=delta_disks,
        new_level=record.number("new_level"),
        new_layout=record.number("new_layout"),
        new_chunk_size=record.quantity("new_chunk"),
        backwards=delta_disks < 0 or (delta_disks == 0 and moves_back),
        new_offset=_new_offset(record),
    )


def _bad_block_log(record: Record, at: int) -> BadBlockLog | None:
    """Return where the log lies; None where the superblock says that it is empty."""
    if not _declares(record, Feature.BAD_BLOCKS):
        return None
    return BadBlockLog(
        offset=at + record.quantity("bblog_offset"),
        size=record.quantity("bblog_size"),
        shift=record.number("bblog_shift"),
    )


def _roles(record: Record) -> list[int]:
    """Return the entries of dev_roles that the superblock declares, as stored."""
    return record.numbers("dev_roles")[: record.number("max_dev")]


def _role(value: int) -> int:
    """Return a role, SPARE, FAULTY or JOURNAL for a stored entry."""
    return value if value < _FIRST_NO_ROLE else _SPECIAL_ROLES.get(value, SPARE)


def _uuid_text(raw: bytes) -> str:
    """Print a uuid as mdadm does for 1.x: four groups in byte order."""
    return ":".join(raw[i : i + 4].hex() for i in range(0, 16, 4))


def _microseconds(stored: int) -> int:
    """Return microseconds since 1970 of a stored time: 40 bits of seconds below 24 bits of microseconds."""
    return (stored & (1 << 40) - 1) * 1_000_000 + (stored >> 40)
