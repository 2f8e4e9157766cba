"""What a source contains, by the marks at its start: a file system and whether its journal is dirty, partitions, ...

Reads a bounded number of bytes, decides by magic numbers and the few fields named here, never raises for what it reads.
Not a parser of file systems: it says just enough to choose the next command and to warn.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents
from raidfs.units import SECTOR
from raidfs.view.xfs_log import log_is_clean

_HEAD = 128 << 10
"""Bytes that are read from the start: the farthest mark is btrfs' superblock at 64 KiB."""


@dataclass(frozen=True)
class Probe:
    """What a source contains.

    Attributes:
        kind: ext2, ext3, ext4, xfs, btrfs, ntfs, vfat, exfat, luks, lvm2, gpt, mbr, swap, unreadable or unknown.
        meaning: one sentence for the user.
        label: its label, or empty.
        uuid: its identity as its tools print it, or None.
        dirty: a journal (or log) needs replay, or it was not unmounted; None where that is not known or makes no sense.
        sector_size: unit in which a partition table counts [bytes].
    """

    kind: str
    meaning: str
    label: str = ""
    uuid: str | None = None
    dirty: bool | None = None
    sector_size: int = SECTOR


@dataclass(frozen=True)
class _Head:
    """The first bytes of a source, zero where lost; as long as the source at most, padded with zeros up to `_HEAD`."""

    data: bytes
    source: BlockSource

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(layout, self.data, offset)

    def number(self, layout: str, offset: int) -> int:
        return self.unpack(layout, offset)[0]

    def is_at(self, offset: int, magic: bytes) -> bool:
        return self.data[offset : offset + len(magic)] == magic

    def text(self, offset: int, length: int) -> str:
        raw = self.data[offset : offset + length].split(b"\0")[0]
        return "".join(each for each in raw.decode(errors="replace").strip() if each.isprintable())

    def uuid(self, offset: int) -> str:
        return str(UUID(bytes=self.data[offset : offset + 16]))


def probe(source: BlockSource) -> Probe:
    """Find out what `source` contains.

    Raises:
        SourceError: the source itself is gone.
    """
    length = min(_HEAD, source.size)
    data, lost = read_exact(source, 0, length)
    return _recognised(_Head(data.ljust(_HEAD, b"\0"), source)) or _nothing(data, lost)


def recognise(data: bytes, place: int, source: BlockSource) -> Probe | None:
    """Find out what a source would contain if it had some bytes at a place [bytes] of its start, and else zeros."""
    return _recognised(_Head((bytes(place) + data).ljust(_HEAD, b"\0"), source))


def _recognised(head: _Head) -> Probe | None:
    return next(filter(None, (each(head) for each in _RECOGNISERS)), None)


def _nothing(data: bytes, lost: Extents) -> Probe:
    """Describe a start that carries no known mark."""
    if lost:
        return Probe(
            "unreadable",
            f"{lost.total} of the first {len(data)} bytes cannot be served, so what it contains cannot be told",
        )
    if not any(data):
        return Probe("unknown", "the array starts with zeros; no file system or partition table is known to do so")
    return Probe("unknown", "no file system, partition table, LVM or LUKS that raidfs knows starts here")


# --------------------------------------------------------------------------------------------------------- file systems

_NEEDS_RECOVERY = 0x4
_EXT4_INCOMPAT = 0x40 | 0x80 | 0x200
_EXT3_RO_COMPAT = 0x1 | 0x2 | 0x4


def _ext(head: _Head) -> Probe | None:
    """Recognise ext2/3/4 (`ext4.h: struct ext4_super_block`, at byte 1024)."""
    if not head.is_at(1024 + 0x38, b"\x53\xef"):
        return None
    state = head.number("<H", 1024 + 0x3A)
    compat, incompat, ro_compat = head.unpack("<III", 1024 + 0x5C)
    journal = bool(compat & 0x4)
    later = incompat & _EXT4_INCOMPAT or ro_compat & ~_EXT3_RO_COMPAT
    kind = "ext4" if later else "ext3" if journal else "ext2"
    dirty = bool(incompat & _NEEDS_RECOVERY) or (not journal and not state & 1)
    meaning = _meaning(kind, dirty, "its journal" if journal else None)
    if state & 2:
        meaning += "; it recorded errors in itself earlier"
    return Probe(kind, meaning, head.text(1024 + 0x78, 16), head.uuid(1024 + 0x68), dirty)


def _meaning(kind: str, dirty: bool | None, journal: str | None) -> str:
    """Return the sentence about a file system; `journal` is what holds its latest changes, None where nothing does."""
    if dirty is None:
        return f"{kind} file system; whether it was unmounted cleanly is not known"
    if not dirty:
        return f"{kind} file system, unmounted cleanly"
    if journal is None:
        return f"{kind} file system that was not unmounted cleanly; files written last may be incomplete"
    return (
        f"{kind} file system that was in use when it stopped: {journal} was not replayed, and a read-only mount does"
        " not replay it; files and names changed in the last seconds may be missing, old or inconsistent, everything"
        " else is as it was"
    )


def _xfs(head: _Head) -> Probe | None:
    """Recognise XFS (`xfs_format.h: struct xfs_dsb`), and look into its log."""
    if not head.is_at(0, b"XFSB"):
        return None
    block_size, log_start = head.number(">I", 4), head.number(">Q", 48)
    ag_blocks, log_blocks, ag_shift = head.number(">I", 84), head.number(">I", 96), head.number(">B", 124)
    clean: bool | None = None
    if log_start and 512 <= block_size <= 65536 and ag_shift < 32:
        # a block number of XFS is the allocation group and the block in it, joined at a power of two
        block = (log_start >> ag_shift) * ag_blocks + (log_start & ((1 << ag_shift) - 1))
        clean = log_is_clean(head.source, block * block_size, log_blocks * block_size)
    dirty = None if clean is None else not clean
    return Probe("xfs", _meaning("XFS", dirty, "its log"), head.text(108, 12), head.uuid(32), dirty)


def _btrfs(head: _Head) -> Probe | None:
    """Recognise btrfs (`btrfs_tree.h: struct btrfs_super_block`, at 64 KiB); its log tree holds the last fsyncs."""
    if not head.is_at(0x10040, b"_BHRfS_M") or head.number("<Q", 0x10030) != 0x10000:
        return None
    dirty = head.number("<Q", 0x10060) != 0
    # it is consistent at any time, so the absence of a log tree is all that can be told
    meaning = _meaning("btrfs", True, "its log tree") if dirty else "btrfs file system with nothing to replay"
    return Probe("btrfs", meaning, head.text(0x1012B, 256), head.uuid(0x10020), dirty)


def _ntfs(head: _Head) -> Probe | None:
    """Recognise NTFS by its boot sector."""
    if not head.is_at(3, b"NTFS    "):
        return None
    return Probe("ntfs", _meaning("NTFS", None, None), "", f"{head.number('<Q', 0x48):016X}")


def _exfat(head: _Head) -> Probe | None:
    """Recognise exFAT by its boot sector; bit 1 of VolumeFlags is set while it is mounted for writing."""
    if not head.is_at(3, b"EXFAT   "):
        return None
    dirty = bool(head.number("<H", 0x6A) & 0x2)
    return Probe("exfat", _meaning("exFAT", dirty, None), "", _serial(head.number("<I", 0x64)), dirty)


def _vfat(head: _Head) -> Probe | None:
    """Recognise FAT12/16/32 by the boot sector; bit 0 of the byte before its signature tells that it is in use."""
    sector_size, cluster = head.number("<H", 11), head.number("<B", 13)
    if (
        not head.is_at(510, b"\x55\xaa")
        or sector_size not in (512, 1024, 2048, 4096)
        or cluster & (cluster - 1)
        or not cluster
    ):
        return None
    for mark, at in ((b"FAT32   ", 0x52), (b"FAT16   ", 0x36), (b"FAT12   ", 0x36), (b"FAT     ", 0x36)):
        if head.is_at(at, mark):
            fields = 0x41 if at == 0x52 else 0x25
            dirty = bool(head.number("<B", fields) & 0x1)
            label = head.text(fields + 6, 11)
            return Probe("vfat", _meaning("FAT", dirty, None), label, _serial(head.number("<I", fields + 2)), dirty)
    return None


def _serial(number: int) -> str:
    """Print a FAT serial number as its tools do."""
    return f"{number >> 16:04X}-{number & 0xFFFF:04X}"


# ----------------------------------------------------------------------------------------------------------- containers


def _luks(head: _Head) -> Probe | None:
    """Recognise LUKS 1 and 2 (`luks.h: struct luks_phdr`; LUKS2 on-disk format, binary header)."""
    if not head.is_at(0, b"LUKS\xba\xbe"):
        return None
    version = head.number(">H", 6)
    label = head.text(24, 48) if version == 2 else ""
    return Probe(
        "luks", f"LUKS{version} encrypted volume, which a passphrase or key opens", label, head.text(168, 40) or None
    )


def _lvm2(head: _Head) -> Probe | None:
    """Recognise an LVM2 physical volume by its label, in one of the first four sectors."""
    for at in range(0, 4 * SECTOR, SECTOR):
        if head.is_at(at, b"LABELONE") and head.is_at(at + 24, b"LVM2 001"):
            offset = at + head.number("<I", at + 20)
            raw = head.text(offset, 32) if offset + 32 <= 4 * SECTOR else ""
            cuts = (0, 6, 10, 14, 18, 22, 26, 32)
            uuid = "-".join(raw[start:stop] for start, stop in itertools.pairwise(cuts)) if len(raw) == 32 else None
            return Probe("lvm2", "LVM physical volume; its logical volumes hold the data", "", uuid)
    return None


def _gpt(head: _Head) -> Probe | None:
    """Recognise a GUID partition table by its header, checksum included, in units of 512 or 4096 bytes."""
    for sector_size in (512, 4096):
        length = head.number("<I", sector_size + 12)
        if not head.is_at(sector_size, b"EFI PART") or not 92 <= length <= sector_size:
            continue
        raw = bytearray(head.data[sector_size : sector_size + length])
        raw[16:20] = bytes(4)
        if zlib.crc32(raw) == head.number("<I", sector_size + 16):
            uuid = str(UUID(bytes_le=bytes(raw[56:72])))
            return Probe("gpt", "GPT partition table; the partitions hold the data", "", uuid, None, sector_size)
    return None


def _mbr(head: _Head) -> Probe | None:
    """Recognise an MBR partition table: its mark, and four entries that are empty or make sense."""
    if not head.is_at(510, b"\x55\xaa"):
        return None
    used = 0
    for at in range(446, 510, 16):
        status, kind = head.number("<B", at), head.number("<B", at + 4)
        start, length = head.unpack("<II", at + 8)
        if status not in (0, 0x80):
            return None
        if kind == 0:
            continue
        if start == 0 or length == 0 or start * SECTOR >= head.source.size:
            return None
        used += 1
    if not used:
        return None
    uuid = f"{head.number('<I', 440):08x}"
    return Probe("mbr", "MBR partition table; the partitions hold the data", "", uuid)


def _swap(head: _Head) -> Probe | None:
    """Recognise swap space: its mark ends the first page, whatever the page size was."""
    for page in (4096, 8192, 16384, 32768, 65536):
        if head.is_at(page - 10, b"SWAPSPACE2"):
            return Probe("swap", "swap space; there are no files in it", head.text(1052, 16), head.uuid(1036))
    return None


_RECOGNISERS: tuple[Callable[[_Head], Probe | None], ...] = (
    # marks at the very start first: making what carries them wipes what was there; what lies further in may be left
    _xfs,
    _luks,
    _lvm2,
    _gpt,
    _ext,
    _btrfs,
    _swap,
    # boot sectors last: all of them share the mark 55 AA, and the MBR is the least specific
    _exfat,
    _ntfs,
    _vfat,
    _mbr,
)
