"""Field table and feature bits of the 1.x superblock (`md_p.h: struct mdp_superblock_1`)."""

from __future__ import annotations

from enum import IntFlag

from raidfs.superblock.layout import Field, Table

MAGIC = 0xA92B4EFC
"""First word of every md superblock."""

DEV_ROLES_OFFSET = 256
"""Where dev_roles begins [bytes]; the fixed part ends there."""

MAX_ROLES = (4096 - DEV_ROLES_OFFSET) // 2
"""Most entries that dev_roles can have."""


class Feature(IntFlag):
    """Bits of feature_map (`md_p.h: MD_FEATURE_*`)."""

    BITMAP_OFFSET = 1
    RECOVERY_OFFSET = 2
    RESHAPE_ACTIVE = 4
    BAD_BLOCKS = 8
    REPLACEMENT = 16
    RESHAPE_BACKWARDS = 32
    NEW_OFFSET = 64
    RECOVERY_BITMAP = 128
    CLUSTERED = 256
    JOURNAL = 512
    PPL = 1024
    MULTIPLE_PPLS = 2048
    RAID0_LAYOUT = 4096


_RESHAPE = "only if RESHAPE_ACTIVE"
_TIME = "low 40 bits seconds, high 24 bits microseconds"

TABLE = Table(
    "md superblock 1.x",
    4096,
    (
        Field("magic", "u4", 0, "bits", "of every md superblock"),
        Field("major_version", "u4", 4, "", "1 for all of 1.x"),
        Field("feature_map", "u4", 8, "bits", "see Feature"),
        Field("pad0", "u4", 12, "bits", "must be 0"),
        Field("set_uuid", "V16", 16, "", "of the array"),
        Field("set_name", "V32", 32, "", "homehost:name, padded with zeros, perhaps not terminated"),
        Field("ctime", "u8", 64, "", f"when the array was made; {_TIME}"),
        Field("level", "i4", 72, "", "-4 multipath, -1 linear, 0, 1, 4, 5, 6, 10"),
        Field("layout", "u4", 76, "", "by level; the old one during a reshape", "for level 0 only if RAID0_LAYOUT"),
        Field("size", "u8", 80, "sectors", "used of each member; 0 for linear and RAID0"),
        Field("chunksize", "u4", 88, "sectors", "the old one during a reshape; for linear: rounding"),
        Field("raid_disks", "u4", 92, "", "number of roles; the new one during a reshape"),
        Field("bitmap_offset", "i4", 96, "sectors", "bitmap, from the superblock", "only if BITMAP_OFFSET"),
        Field("ppl_offset", "i2", 96, "sectors", "partial parity log, from the superblock", "only if PPL"),
        Field("ppl_size", "u2", 98, "sectors", "of the partial parity log", "only if PPL"),
        Field("new_level", "i4", 100, "", "level after the reshape", _RESHAPE),
        Field("reshape_position", "u8", 104, "sectors", "of the array: the reshape got so far", _RESHAPE),
        Field("delta_disks", "i4", 112, "", "new raid_disks - old raid_disks", _RESHAPE),
        Field("new_layout", "u4", 116, "", "layout after the reshape", _RESHAPE),
        Field("new_chunk", "u4", 120, "sectors", "chunk after the reshape", _RESHAPE),
        Field(
            "new_offset", "i4", 124, "sectors", "new data_offset - data_offset", "only if RESHAPE_ACTIVE and NEW_OFFSET"
        ),
        Field("data_offset", "u8", 128, "sectors", "start of the data; the old one during a reshape"),
        Field("data_size", "u8", 136, "sectors", "usable from data_offset"),
        Field("super_offset", "u8", 144, "sectors", "where this superblock lies"),
        Field(
            "recovery_offset",
            "u8",
            152,
            "sectors",
            "from data_offset: valid below it; on a journal device: oldest entry",
            "only if RECOVERY_OFFSET, or on a journal device",
        ),
        Field("dev_number", "u4", 160, "", "of this member: index into dev_roles"),
        Field("cnt_corrected_read", "u4", 164, "", "read errors that md corrected"),
        Field("device_uuid", "V16", 168, "", "of this member"),
        Field("devflags", "u1", 184, "bits", "1 write-mostly, 2 failfast"),
        Field("bblog_shift", "u1", 185, "", "log2 of the bad-block log's unit in sectors"),
        Field("bblog_size", "u2", 186, "sectors", "reserved for the bad-block log"),
        Field("bblog_offset", "i4", 188, "sectors", "bad-block log, from the superblock"),
        Field("utime", "u8", 192, "", f"last update; {_TIME}"),
        Field("events", "u8", 200, "", "update counter"),
        Field("resync_offset", "u8", 208, "sectors", "redundancy is in sync below it; all ones: everywhere"),
        Field("sb_csum", "u4", 216, "bits", "checksum of 256 + 2 * max_dev bytes"),
        Field("max_dev", "u4", 220, "", "entries of dev_roles"),
        Field("logical_block_size", "u4", 224, "bytes", "of the array", "since Linux 6.19; 0 before"),
        Field("pad3", "V28", 228, "", "must be 0"),
        Field(
            "dev_roles",
            "u2",
            DEV_ROLES_OFFSET,
            "",
            "by device number: a role, 0xffff spare, 0xfffe faulty, 0xfffd journal",
            "the first max_dev",
            MAX_ROLES,
        ),
    ),
)
"""The superblock with room for all roles [4096 bytes]."""
