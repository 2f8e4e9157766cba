"""Write-intent bitmaps: which parts of an array were being written when it stopped.

A bitmap lies in each member behind its superblock, or in a file of its own. Before md writes to the array it sets the
bits of what it is about to write, on all members, and clears them long after; while a member is missing it clears none.

    0            256 bytes
    | header     | bit 0 is the lowest bit of the first byte; each bit stands for one bitmap chunk            |

Not here: what to believe (`raidfs.array.unsynced`). Reference: `md-bitmap.h: struct bitmap_super_s`, `md-bitmap.c:
md_bitmap_read_sb`, `md_bitmap_init_from_disk`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents
from raidfs.superblock.claim import BitmapClaim, MemberClaim
from raidfs.superblock.layout import Field, Record, Table
from raidfs.units import SECTOR, format_offset

HEADER = Table(
    "write-intent bitmap",
    256,
    (
        Field("magic", "u4", 0, "bits", "0x6d746962"),
        Field("version", "u4", 4, "", "3 byte order of the host, 4 little-endian, 5 clustered, 6 lockless"),
        Field("uuid", "V16", 8, "", "set_uuid of the array"),
        Field("events", "u8", 24, "", "of the superblocks with which it was written"),
        Field("events_cleared", "u8", 32, "", "events when bits were last cleared with no member missing"),
        Field("sync_size", "u8", 40, "sectors", "what its bits are about: component; RAID10: array"),
        Field("state", "u4", 48, "bits", "bit 1 stale, bit 2 write error, bit 15 byte order of the host"),
        Field("chunksize", "u4", 52, "bytes", "for which one bit stands; a power of 2"),
        Field("daemon_sleep", "u4", 56, "seconds", "not used by us"),
        Field("write_behind", "u4", 60, "", "not used by us"),
        Field("sectors_reserved", "u4", 64, "sectors", "not used by us"),
        Field("nodes", "u4", 68, "", "number of nodes, each with a bitmap", "version 5"),
        Field("cluster_name", "V64", 72, "", "not used by us", "version 5"),
    ),
)
"""The header; the bits follow it."""

MAGIC = 0x6D746962
"""`bitm`."""

_HOST_ENDIAN, _LITTLE_ENDIAN, _CLUSTERED, _LOCKLESS = 3, 4, 5, 6
_STALE, _WRITE_ERROR = 1 << 1, 1 << 2
_MOST_BITS = 1 << 27
"""More than any bitmap has."""


def read_member_bitmap(source: BlockSource, claim: MemberClaim) -> BitmapClaim | None:
    """Read the bitmap of a member.

    Args:
        source: the member.
        claim: of its superblock.

    Returns:
        None where the superblock says that there is none. A bitmap that is damaged or of another array says so.

    Raises:
        SourceError: the source is gone.
    """
    if claim.bitmap_offset is None:
        return None
    where = f"the bitmap at {format_offset(claim.bitmap_offset)}"
    if not 0 <= claim.bitmap_offset <= source.size - HEADER.size:
        return _useless(f"{where} lies outside the image")
    raw, lost = read_exact(source, claim.bitmap_offset, HEADER.size)
    if lost:
        return _useless(f"the header of {where} cannot be read")
    record = HEADER.parse(raw)
    if record.number("magic") != MAGIC:
        return _useless(f"{where} has no header")
    if record.blob("uuid") not in claim.stored_uuids:
        return _useless(f"{where} is of another array")
    return _read(source, claim.bitmap_offset, record)


def length_of(source: BlockSource, claim: MemberClaim) -> int:
    """Return how long the bitmap of a member is [bytes], by its header; where that tells nothing, the header itself.

    Raises:
        SourceError: the source is gone.
    """
    if claim.bitmap_offset is None or not 0 <= claim.bitmap_offset <= source.size - HEADER.size:
        return 0
    raw, lost = read_exact(source, claim.bitmap_offset, HEADER.size)
    record = HEADER.parse(raw)
    if lost or record.number("magic") != MAGIC or _problem(record):
        return HEADER.size
    return HEADER.size + _length(record)


def _length(record: Record) -> int:
    """Return how many bytes of bits follow a header: whole words."""
    n_bits = -(-record.quantity("sync_size") // record.quantity("chunksize"))
    return -(-n_bits // 64) * 8


def read_bitmap_file(source: BlockSource) -> BitmapClaim | None:
    """Read a file that holds nothing but a bitmap (`mdadm --bitmap=FILE`); None where there is none.

    Raises:
        SourceError: the source is gone.
    """
    if source.size < HEADER.size:
        return None
    raw, lost = read_exact(source, 0, HEADER.size)
    record = HEADER.parse(raw)
    if lost or record.number("magic") != MAGIC or record.number("version") not in range(_HOST_ENDIAN, _LOCKLESS + 1):
        return None
    return _read(source, 0, record)


def _useless(problem: str) -> BitmapClaim:
    return BitmapClaim(b"", 0, 0, 0, 0, Extents(), problem=problem)


def _read(source: BlockSource, at: int, record: Record) -> BitmapClaim:
    """Read the bits behind a header; `at`: of the header [bytes of the source]."""
    version, chunk_size, covered = record.number("version"), record.quantity("chunksize"), record.quantity("sync_size")
    problem = _problem(record)
    n_bits = 0 if problem else -(-covered // chunk_size)
    if not problem and (n_bits > _MOST_BITS or at + HEADER.size + -(-n_bits // 8) > source.size):
        problem = f"the bitmap would need {n_bits} bits for {covered} bytes in chunks of {chunk_size}: it has less room"
    if problem:
        n_bits = 0
    whole = min(-(-n_bits // 64) * 8, source.size - at - HEADER.size)
    raw, lost = read_exact(source, at + HEADER.size, whole)
    bits = _bits(np.frombuffer(raw, dtype=np.uint8), version)[:n_bits]
    unknown = np.zeros(whole * 8, dtype=bool)
    word = 8 if version == _HOST_ENDIAN else 1  # a byte may hold the bits of any other of its word
    for start, stop in lost:
        unknown[start // word * word * 8 : -(-stop // word) * word * 8] = True
    unread = _extents(unknown[:n_bits], chunk_size, covered)
    return BitmapClaim(
        array_uuid=record.blob("uuid"),
        version=version,
        events=record.number("events"),
        events_cleared=record.number("events_cleared"),
        covered=covered,
        dirty=_extents(bits, chunk_size, covered).difference(unread),
        unread=unread,
        problem=problem,
    )


def _problem(record: Record) -> str:
    """Say why the bits behind a header mean nothing; empty: they do."""
    version, chunk_size, state = record.number("version"), record.quantity("chunksize"), record.number("state")
    if version == _LOCKLESS:
        return "the bitmap is of version 6 (lockless), which raidfs does not read"
    if version == _CLUSTERED and record.number("nodes"):
        return "the bitmap is that of a cluster, which raidfs does not read"
    if version not in (_HOST_ENDIAN, _LITTLE_ENDIAN, _CLUSTERED):
        return f"the bitmap is of version {version}, which raidfs does not know"
    if chunk_size < SECTOR or chunk_size & (chunk_size - 1):
        return f"the bitmap has chunks of {chunk_size} bytes, which cannot be"
    if state & _STALE:
        return "the bitmap is marked as stale"
    if state & _WRITE_ERROR:
        return "the bitmap could not be written"
    return ""


def _bits(raw: NDArray[np.uint8], version: int) -> NDArray[np.bool_]:
    """Return the bits in order.

    Version 3 has them in words of its host, of which neither byte order nor size is recorded: a bit counts as set if it
    is in any of the three readings.
    """
    bits = np.unpackbits(raw, bitorder="little").astype(bool)
    if version == _HOST_ENDIAN:
        for size in (4, 8):
            words = np.concatenate((raw, np.zeros(-len(raw) % size, dtype=np.uint8))).reshape(-1, size)[:, ::-1]
            bits |= np.unpackbits(words.reshape(-1), bitorder="little").astype(bool)[: len(bits)]
    return bits


def _extents(bits: NDArray[np.bool_], chunk_size: int, covered: int) -> Extents:
    """Return what the bits that are set stand for."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], bits, [False])).astype(np.int8)))
    return Extents(edges.reshape(-1, 2).astype(np.int64) * chunk_size).clip(0, covered)
