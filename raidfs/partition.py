"""Partition tables, MBR and GPT: source -> windows. Used to find members inside whole disks.

    512-byte sectors        4096-byte sectors
    0  MBR                  0  MBR
    1  GPT header           1  GPT header (byte 4096)
    2  entries              2  entries
    ..                      ..
    -1 backup header        -1 backup header, its entries before it

How large a sector is the disk knows and an image does not, so both are tried: a header that says where it lies tells.
Nothing is trusted blindly: a damaged primary header gives way to its backup, and what is odd is a finding.

Source: UEFI specification, "GUID Partition Table"; the MBR holds four entries of 16 bytes at byte 446, extended
partitions hold a chain of such sectors.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from raidfs.block import BlockSource, read_exact
from raidfs.finding import Finding, Severity

SECTOR_SIZES = (512, 4096)
_SIGNATURE = b"\x55\xaa"
_GPT_SIGNATURE = b"EFI PART"
_HEADER_SIZE = 92
_PROTECTIVE = 0xEE
_EXTENDED = (0x05, 0x0F, 0x85)
_FIRST_LOGICAL = 5
_MOST_LOGICAL = 128
_MOST_ENTRIES = 1024


@dataclass(frozen=True)
class Partition:
    """A window of a disk.

    Attributes:
        number: as Linux counts it.
        start, size: [bytes of the source]; within the source.
    """

    number: int
    start: int
    size: int


def read_partitions(source: BlockSource, subject: str) -> tuple[tuple[Partition, ...], tuple[Finding, ...]]:
    """Return the partitions of a disk, and what is wrong with its table; no table: nothing.

    Args:
        source: the disk.
        subject: its path, for findings.

    Raises:
        SourceError: the source is gone.
    """
    notes: list[str] = []
    found = [*_gpt(source, notes)] or [*_mbr(source)]
    inside: dict[tuple[int, int], Partition] = {}
    for each in found:
        if each.start <= 0 or each.size <= 0:
            continue
        if each.start + each.size > source.size:
            notes.append(
                f"partition {each.number} ends at byte {each.start + each.size}, behind the end of the image "
                f"({source.size} bytes): it was cut, or the table is of another disk"
            )
        elif (each.start, each.size) not in inside:
            inside[each.start, each.size] = each
    findings = tuple(Finding(Severity.WARNING, subject, f"{subject}: {note}") for note in notes)
    return tuple(sorted(inside.values(), key=lambda each: (each.number, each.start))), findings


def _gpt(source: BlockSource, notes: list[str]) -> Iterator[Partition]:
    """Yield the partitions of a GPT; of none that is whole: those of a damaged one, with a note."""
    damaged: list[Partition] = []
    for unit in SECTOR_SIZES:
        last = source.size // unit - 1
        for lba in (1, last) if last > 1 else ():
            header = _header(source, lba, unit)
            if header is None:
                continue
            partitions, problem = _entries(source, header, unit)
            if not problem:
                if lba == last:
                    notes += [] if notes else ["the primary GPT is gone"]
                    notes.append("the backup GPT at the end of the disk is used")
                yield from partitions
                return
            damaged = damaged or partitions
            notes.append(f"the {'primary' if lba == 1 else 'backup'} GPT is damaged: {problem}")
    yield from damaged


@dataclass(frozen=True)
class _Header:
    """A GPT header that says where it lies; `problem`: what is wrong with it."""

    entries_lba: int
    n_entries: int
    entry_size: int
    entries_crc: int
    problem: str


def _header(source: BlockSource, lba: int, unit: int) -> _Header | None:
    """Read a header; None: there is none at this place."""
    raw, lost = read_exact(source, lba * unit, unit)
    if lost or raw[:8] != _GPT_SIGNATURE:
        return None
    size, crc, _, my_lba = struct.unpack_from("<IIIQ", raw, 12)
    if my_lba != lba:
        return None  # of disks with other sectors, or copied here
    entries_lba, n_entries, entry_size, entries_crc = struct.unpack_from("<QIII", raw, 72)
    problem = ""
    if not _HEADER_SIZE <= size <= unit or zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != crc:
        problem = "the checksum of its header is wrong"
    return _Header(entries_lba, n_entries, entry_size, entries_crc, problem)


def _entries(source: BlockSource, header: _Header, unit: int) -> tuple[list[Partition], str]:
    """Read the entries of a header; and what is wrong, one clause, or ''."""
    start, length = header.entries_lba * unit, header.n_entries * header.entry_size
    if not 128 <= header.entry_size <= 4096 or header.n_entries > _MOST_ENTRIES or start + length > source.size:
        return [], header.problem or "its entries lie outside the disk"
    raw, lost = read_exact(source, start, length)
    found = []
    for number in range(header.n_entries):
        at = number * header.entry_size
        first, last = struct.unpack_from("<QQ", raw, at + 32)
        if raw[at : at + 16] != bytes(16) and first <= last < 1 << 52:
            found.append(Partition(number + 1, first * unit, (last - first + 1) * unit))
    if lost:
        return found, "its entries cannot be read"
    if zlib.crc32(raw) != header.entries_crc:
        return found, header.problem or "the checksum of its entries is wrong"
    return found, header.problem


def _mbr(source: BlockSource) -> Iterator[Partition]:
    """Yield the partitions of an MBR, in sectors of either size: which one is right shows where members are found."""
    for unit in SECTOR_SIZES:
        for number, (kind, start, n_sectors) in enumerate(_table(source, 0), start=1):
            if kind in _EXTENDED:
                yield from _logical(source, start, unit)
            elif kind not in (0, _PROTECTIVE):
                yield Partition(number, start * unit, n_sectors * unit)


def _logical(source: BlockSource, extended: int, unit: int) -> Iterator[Partition]:
    """Follow the chain of an extended partition; it may be a loop."""
    seen: set[int] = set()
    at = extended
    while at not in seen and len(seen) < _MOST_LOGICAL:
        seen.add(at)
        following = 0
        for kind, start, n_sectors in _table(source, at * unit):
            if kind in _EXTENDED:
                following = extended + start
            elif kind:
                yield Partition(_FIRST_LOGICAL + len(seen) - 1, (at + start) * unit, n_sectors * unit)
        if not following:
            return
        at = following


def _table(source: BlockSource, offset: int) -> list[tuple[int, int, int]]:
    """Return (kind, start, number of sectors) of the entries of one sector; empty: it is no table."""
    if offset + 512 > source.size:
        return []
    raw, lost = read_exact(source, offset, 512)
    entries = [struct.unpack_from("<B3xB3xII", raw, 446 + 16 * number) for number in range(4)]
    if lost or raw[510:512] != _SIGNATURE or any(status not in (0x00, 0x80) for status, *_ in entries):
        return []  # not a table but the code of a boot sector
    return [(kind, start, n_sectors) for _, kind, start, n_sectors in entries]
