"""What one superblock says, free of its format: the values verbatim, in bytes, `None` where it is silent.

A claim may be a lie. `raidfs.array.assemble` decides what to believe.
"""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.extents import Extents

SPARE, FAULTY, JOURNAL = -1, -2, -3
"""Entries of `MemberClaim.device_roles` that are no role (`md_p.h: MD_DISK_ROLE_SPARE`, `_FAULTY`, `_JOURNAL`)."""


@dataclass(frozen=True)
class ReshapeClaim:
    """The reshape fields of a superblock that declares a reshape active.

    Attributes:
        position: reshape_position [array bytes]: one side of it has the new geometry.
        delta_disks: new raid_disks - old raid_disks.
        new_level, new_layout: md's numbers.
        new_chunk_size: [bytes].
        backwards: the position moves down (delta_disks < 0, or declared by a feature bit).
        new_offset: new data_offset - data_offset of this member [bytes], signed; 0 where none is recorded.
    """

    position: int
    delta_disks: int
    new_level: int
    new_layout: int
    new_chunk_size: int
    backwards: bool
    new_offset: int


@dataclass(frozen=True)
class BadBlockLog:
    """Where a member's bad-block log lies.

    Attributes:
        offset: [member bytes]; size: [bytes]; shift: log2 of the entries' unit in 512-byte sectors.
    """

    offset: int
    size: int
    shift: int


@dataclass(frozen=True)
class PplArea:
    """Where a member's partial parity logs lie.

    Attributes:
        offset: [member bytes]; size: [bytes].
    """

    offset: int
    size: int


@dataclass(frozen=True)
class BitmapClaim:
    """What one write-intent bitmap says: where redundancy may be out of step with the data.

    Attributes:
        array_uuid: 16 bytes, as stored; see `MemberClaim.stored_uuids`.
        version: 3 (bits in the byte order of the host), 4, 5 (clustered), 6 (lockless).
        events: of the superblocks with which it was written.
        events_cleared: a member whose events are at least these missed nothing where no bit is set.
        covered: how many bytes its bits are about [component bytes; RAID10: array bytes].
        dirty: where a bit is set [component bytes; RAID10: array bytes].
        unread: where bits could not be read [the same]; disjoint from `dirty`.
        problem: why it cannot be relied on at all, one clause; empty: it can.
    """

    array_uuid: bytes
    version: int
    events: int
    events_cleared: int
    covered: int
    dirty: Extents
    unread: Extents = Extents()
    problem: str = ""


@dataclass(frozen=True)
class BackupPart:
    """A run of the array in one of mdadm's backups.

    Attributes:
        array_start, length: [array bytes]; what it is a copy of.
        at: where the copy lies [bytes of the file or device].
    """

    array_start: int
    length: int
    at: int

    @property
    def array_stop(self) -> int:
        """Where it ends [array bytes]."""
        return self.array_start + self.length


@dataclass(frozen=True)
class BackupClaim:
    """What the header of one of mdadm's backups says.

    Attributes:
        array_uuid: 16 bytes, as stored; see `MemberClaim.stored_uuids`.
        written: when it was [seconds since 1970].
        parts: what it holds; none where there is a problem.
        problem: why it cannot be used, one clause that goes behind "it is not used:"; empty: nothing is known.
    """

    array_uuid: bytes
    written: int
    parts: tuple[BackupPart, ...]
    problem: str = ""


@dataclass(frozen=True)
class MemberClaim:
    """What one member's superblock says about itself and the array.

    Attributes:
        metadata: format as mdadm names it: `0.90`, `1.0`, `1.1`, `1.2`.
        superblock_offset: where it was found [member bytes].
        intact: checksum and own place are right; a damaged superblock is still a claim.
        array_uuid: four groups of eight hex digits, as mdadm prints it.
        array_name: `homehost:name`, or None.
        device_uuid: of this member, or None (0.90).
        created, updated: microseconds since 1970.
        events: update counter.
        level, layout: md's numbers; during a reshape the old ones.
        chunk_size: [bytes]; during a reshape the old one.
        raid_disks: number of roles; during a reshape the new one.
        component_size: used bytes of each member; None where the level has none (linear, RAID0).
        data_offset: start of the data on this member [member bytes]; during a reshape the old one.
        data_size: usable bytes from data_offset; None where silent (0.90).
        device_number: md's permanent number of this member, the index into device_roles.
        device_roles: by device number: a role, or SPARE, FAULTY, JOURNAL.
        resync_offset: redundancy is proven below this [component bytes; RAID10: array bytes]; None: everywhere (clean).
        recovery_offset: this member is valid below this [bytes from the data offset in force]; None: everywhere.
        journal_tail: on a journal device: start of the oldest entry [bytes from data_offset]; else None.
        replacement: this member replaces another of the same role.
        write_mostly: prefer others for reading.
        has_journal: the array has a write journal device.
        ppl: where its partial parity logs lie, or None.
        bitmap_offset: internal write-intent bitmap [member bytes], or None.
        bad_block_log: where the log lies, or None where there is none or it is declared empty.
        reshape: None when no reshape is active.
        last_reshape: what it keeps of a reshape that is not active any more; None: nothing.
        reshape_traces: what the superblock keeps of the last reshape that was ever recorded in it, verbatim; empty in
            0.90, which forgets.
    """

    metadata: str
    superblock_offset: int
    intact: bool
    array_uuid: str
    array_name: str | None
    device_uuid: str | None
    created: int
    updated: int
    events: int
    level: int
    layout: int
    chunk_size: int
    raid_disks: int
    component_size: int | None
    data_offset: int
    data_size: int | None
    device_number: int
    device_roles: tuple[int, ...]
    resync_offset: int | None
    recovery_offset: int | None
    journal_tail: int | None
    replacement: bool
    write_mostly: bool
    has_journal: bool
    ppl: PplArea | None
    bitmap_offset: int | None
    bad_block_log: BadBlockLog | None
    reshape: ReshapeClaim | None
    reshape_traces: bytes = b""
    last_reshape: ReshapeClaim | None = None

    @property
    def role(self) -> int:
        """This member's own entry in its own role table; SPARE where its number is beyond it."""
        if 0 <= self.device_number < len(self.device_roles):
            return self.device_roles[self.device_number]
        return SPARE

    @property
    def stored_uuids(self) -> tuple[bytes, ...]:
        """The array's uuid as it may be stored elsewhere, 16 bytes: 0.90 has words in the byte order of its host."""
        return stored_uuids(self.array_uuid)[: 2 if self.metadata == "0.90" else 1]


def stored_uuids(array_uuid: str) -> tuple[bytes, bytes]:
    """Return how an array's uuid may be stored, 16 bytes each: as in 1.x, and in words of the other byte order."""
    words = [bytes.fromhex(word) for word in array_uuid.split(":")]
    return b"".join(words), b"".join(word[::-1] for word in words)
