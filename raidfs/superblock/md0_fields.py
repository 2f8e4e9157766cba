"""Field tables of the 0.90 superblock (`md_p.h: mdp_super_t`, `mdp_disk_t`), in the byte order of whoever wrote it."""

from __future__ import annotations

from enum import IntFlag

from raidfs.superblock.layout import Field, Table

N_DESCRIPTORS = 27
"""Most members that an array can have (`md_p.h: MD_SB_DISKS`)."""

DESCRIPTOR_SIZE = 128
"""Of one member's descriptor [bytes]."""

NOT_RESHAPING, RESHAPING = 90, 91
"""Values of minor_version."""


class State(IntFlag):
    """Bits of the array's state (`md_p.h: MD_SB_*`)."""

    CLEAN = 1
    ERRORS = 2
    BITMAP_PRESENT = 256


class DiskState(IntFlag):
    """Bits of a descriptor's state (`md_p.h: MD_DISK_*`)."""

    FAULTY = 1
    ACTIVE = 2
    SYNC = 4
    REMOVED = 8
    WRITE_MOSTLY = 512
    FAILFAST = 1024


DESCRIPTOR = Table(
    "member descriptor of an md superblock 0.90",
    DESCRIPTOR_SIZE,
    (
        Field("number", "u4", 0, "", "device number"),
        Field("major", "u4", 4, "", "of the device when the array ran"),
        Field("minor", "u4", 8, "", "of the device when the array ran"),
        Field("raid_disk", "u4", 12, "", "role"),
        Field("state", "u4", 16, "bits", "1 faulty, 2 active, 4 sync, 8 removed, 512 write-mostly, 1024 failfast"),
    ),
)
"""One member [128 bytes]."""

_RESHAPE = "only if minor_version is 91"

TABLE = Table(
    "md superblock 0.90",
    4096,
    (
        Field("md_magic", "u4", 0, "bits", "of every md superblock; tells the byte order"),
        Field("major_version", "u4", 4, "", "0 for all of 0.90"),
        Field("minor_version", "u4", 8, "", "90, or 91 while a reshape is active"),
        Field("patch_version", "u4", 12, "", "not used by md"),
        Field("gvalid_words", "u4", 16, "", "not used by md"),
        Field("set_uuid0", "u4", 20, "bits", "first word of the array's uuid"),
        Field("ctime", "u4", 24, "", "when the array was made, in seconds"),
        Field("level", "i4", 28, "", "-4 multipath, -1 linear, 0, 1, 4, 5, 6, 10"),
        Field("size", "u4", 32, "KiB", "used of each member; without meaning for linear and RAID0"),
        Field("nr_disks", "u4", 36, "", "descriptors in use"),
        Field("raid_disks", "u4", 40, "", "number of roles; the new one during a reshape"),
        Field("md_minor", "u4", 44, "", "number of the md device"),
        Field("not_persistent", "u4", 48, "", "not used by md"),
        Field("set_uuid1", "u4", 52, "bits", "second word of the array's uuid"),
        Field("set_uuid2", "u4", 56, "bits", "third word of the array's uuid"),
        Field("set_uuid3", "u4", 60, "bits", "fourth word of the array's uuid"),
        Field("utime", "u4", 128, "", "last update, in seconds"),
        Field("state", "u4", 132, "bits", "1 clean, 2 errors, 256 bitmap"),
        Field("active_disks", "u4", 136, "", "members with a role"),
        Field("working_disks", "u4", 140, "", "members that are not faulty"),
        Field("failed_disks", "u4", 144, "", "faulty members"),
        Field("spare_disks", "u4", 148, "", "members without a role"),
        Field("sb_csum", "u4", 152, "bits", "sum of all words"),
        Field("events", "u8", 156, "", "update counter; one native 64-bit number"),
        Field("cp_events", "u8", 164, "", "events for which recovery_cp holds"),
        Field("recovery_cp", "u4", 172, "sectors", "redundancy is in sync below it", "only if not clean"),
        Field("reshape_position", "u8", 176, "sectors", "of the array: the reshape got so far", _RESHAPE),
        Field("new_level", "i4", 184, "", "level after the reshape", _RESHAPE),
        Field("delta_disks", "i4", 188, "", "new raid_disks - old raid_disks", _RESHAPE),
        Field("new_layout", "u4", 192, "", "layout after the reshape", _RESHAPE),
        Field("new_chunk", "u4", 196, "bytes", "chunk after the reshape", _RESHAPE),
        Field("layout", "u4", 256, "", "by level; the old one during a reshape"),
        Field("chunk_size", "u4", 260, "bytes", "the old one during a reshape"),
        Field("root_pv", "u4", 264, "", "not used by md"),
        Field("root_block", "u4", 268, "", "not used by md"),
        Field("disks", f"V{DESCRIPTOR_SIZE * N_DESCRIPTORS}", 512, "", "by device number", inner=DESCRIPTOR),
        Field("this_disk", f"V{DESCRIPTOR_SIZE}", 3968, "", "copy of this member's descriptor", inner=DESCRIPTOR),
    ),
)
"""The superblock [4096 bytes]; little-endian here, `Table.in_byte_order` gives the other."""
