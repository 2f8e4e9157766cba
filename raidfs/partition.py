"""Partition tables, MBR and GPT: source -> windows. Used to find members inside whole disks.

    512-byte sectors        4096-byte sectors
    0  MBR                  0  MBR
    1  GPT header           1  GPT header (byte 4096)
    2  entries              2  entries
    ..                      ..
    -1 backup header        -1 backup header, its entries before it

How large a sector is the disk knows and an image does not, so both are tried: a GPT header that says where it lies
tells, and an MBR is given in both readings, the more likely one first: that which has partitions begin at whole MiB.
Nothing is trusted blindly: a damaged primary header gives way to its backup, and what is odd is a finding. A table that
was left over beside another one is read, too: what lies in a partition must prove itself anyway.

Source: UEFI specification, "GUID Partition Table"; the MBR holds four entries of 16 bytes at byte 446, extended
partitions hold a chain of such sectors. Numbers are those of Linux (`block/partitions/msdos.c`, `efi.c`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from raidfs.block import BlockSource, read_exact
from raidfs.finding import Finding, Severity

SECTOR_SIZES = (512, 4096)
_ALIGNED = 1 << 20
"""Where partitions begin that fdisk, parted or an installer made in this century: at multiples of this [bytes]."""
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
        number: as Linux counts it; two tables may have different partitions of one number.
        start, size: [bytes of the source]; within the source.
        missing: how much of it, beside `size`, would lie behind the end of the source, as the table has it [bytes].
    """

    number: int
    start: int
    size: int
    missing: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether the table has it end behind the end of the source."""
        return self.missing > 0


@dataclass
class _Reading:
    """One table, as it is read: partitions as the table has them, and what is wrong, one clause each."""

    partitions: list[Partition] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_partitions(source: BlockSource, subject: str) -> tuple[tuple[Partition, ...], tuple[Finding, ...]]:
    """Return the partitions of a disk, and what is wrong with its table; no table: nothing.

    Args:
        source: the disk.
        subject: its path, for findings.

    Returns:
        The partitions of the table that counts first, then those that another table or reading has besides; each range
        once.

    Raises:
        SourceError: the source is gone.
    """
    table = _table(source, 0) or []
    is_protective = any(kind == _PROTECTIVE for kind, _, _ in table)
    gpt = _gpt(source, [start + n_sectors - 1 for kind, start, n_sectors in table if kind == _PROTECTIVE])
    units = reversed(SECTOR_SIZES) if _is_aligned_in_large_sectors(table) else SECTOR_SIZES
    readings = sorted((_mbr(source, unit) for unit in units), key=lambda reading: len(reading.notes))
    if gpt.partitions and (is_protective or not readings[0].partitions):
        tables = [gpt]
    elif gpt.partitions:
        gpt.notes.append("its MBR has partitions of its own beside a GPT: members are looked for in both")
        tables = [readings[0], gpt, readings[1]]
    else:
        tables = [*readings, gpt]
    found: dict[tuple[int, int], Partition] = {}
    for position, reading in enumerate(tables):
        # of the readings after the first one at most one is right: what does not fit shows that it is not that one
        whole = [each for each in reading.partitions if 0 < each.start and 0 < each.size <= source.size - each.start]
        cut = [] if position else [_cut(source, each) for each in reading.partitions if _reaches_out(source, each)]
        for each in (*whole, *cut):
            found.setdefault((each.start, each.size), each)
    notes = [*tables[0].notes, *(gpt.notes if tables[0] is not gpt else ())]
    return tuple(found.values()), tuple(Finding(Severity.WARNING, subject, f"{subject}: {note}") for note in notes)


def _is_aligned_in_large_sectors(table: list[tuple[int, int, int]]) -> bool:
    """Tell whether all partitions begin at whole MiB in sectors of 4096 bytes, and not so in those of 512."""
    starts = [start for kind, start, n_sectors in table if n_sectors and kind != _PROTECTIVE]
    large, small = (all(start * unit % _ALIGNED == 0 for start in starts) for unit in reversed(SECTOR_SIZES))
    return large and not small


def _reaches_out(source: BlockSource, partition: Partition) -> bool:
    return 0 < partition.start < source.size < partition.start + partition.size


def _cut(source: BlockSource, partition: Partition) -> Partition:
    size = source.size - partition.start
    return replace(partition, size=size, missing=partition.size - size)


def _note_what_is_cut(source: BlockSource, reading: _Reading) -> _Reading:
    """Name the partitions that the source does not hold, or not whole."""
    reading.notes += [
        f"partition {each.number} ends at byte {each.start + each.size}, behind the end of the image "
        f"({source.size} bytes): it was cut, or the table is of another disk"
        for each in reading.partitions
        if each.start + each.size > source.size
    ]
    return reading


def _gpt(source: BlockSource, last_lbas: list[int]) -> _Reading:
    """Read a GPT; of none that is whole: a damaged one, with notes.

    Args:
        source: the disk.
        last_lbas: where the protective MBR has the disk end, and so the backup lies.
    """
    reading = _Reading()
    damaged: list[Partition] = []
    for unit in SECTOR_SIZES:
        places = [1, source.size // unit - 1, *last_lbas]
        tried: set[int] = set()
        for lba in places:  # a damaged primary header adds the place of its backup while this runs
            header = _header(source, lba, unit) if 0 < lba < source.size // unit and lba not in tried else None
            tried.add(lba)
            if header is None:
                continue
            partitions, problem = _entries(source, header, unit)
            if not problem:
                if lba != 1:
                    reading.notes += [] if reading.notes else ["the primary GPT is gone"]
                    reading.notes.append(f"the backup GPT at byte {lba * unit} is used")
                reading.partitions = partitions
                return _note_what_is_cut(source, reading)
            damaged = damaged or partitions
            reading.notes.append(f"the {'primary' if lba == 1 else 'backup'} GPT is damaged: {problem}")
            places.append(header.backup_lba)
    reading.partitions = damaged
    return _note_what_is_cut(source, reading)


@dataclass(frozen=True)
class _Header:
    """A GPT header that says where it lies; `problem`: what is wrong with it."""

    backup_lba: int
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
    size, crc, _, my_lba, backup_lba = struct.unpack_from("<IIIQQ", raw, 12)
    if my_lba != lba:
        return None  # of disks with other sectors, or copied here
    entries_lba, n_entries, entry_size, entries_crc = struct.unpack_from("<QIII", raw, 72)
    problem = ""
    if not _HEADER_SIZE <= size <= unit or zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != crc:
        problem = "the checksum of its header is wrong"
    return _Header(backup_lba, entries_lba, n_entries, entry_size, entries_crc, problem)


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


def _mbr(source: BlockSource, unit: int) -> _Reading:
    """Read an MBR in sectors of `unit` bytes."""
    reading = _Reading()
    numbers = count(_FIRST_LOGICAL)
    for number, (kind, start, n_sectors) in enumerate(_table(source, 0) or (), start=1):
        if not n_sectors:
            continue
        if kind in _EXTENDED:
            reading.partitions += _logical(source, start, unit, numbers, reading.notes)
        elif kind != _PROTECTIVE:
            reading.partitions.append(Partition(number, start * unit, n_sectors * unit))
    return _note_what_is_cut(source, reading)


def _logical(
    source: BlockSource, extended: int, unit: int, numbers: Iterator[int], notes: list[str]
) -> Iterator[Partition]:
    """Follow the chain of an extended partition."""
    seen: set[int] = set()
    at: int | None = extended
    while at is not None:
        table = None if at in seen or len(seen) == _MOST_LOGICAL else _table(source, at * unit)
        if table is None:
            reason = "comes back to where it was" if at in seen else "is too long" if len(seen) == _MOST_LOGICAL else ""
            notes.append(
                f"the chain of logical partitions {reason or 'leads to what is no table'}, at byte {at * unit}"
            )
            return
        seen.add(at)
        following = None
        for kind, start, n_sectors in table:
            if n_sectors and kind in _EXTENDED:
                following = extended + start if following is None else following
            elif n_sectors:
                yield Partition(next(numbers), (at + start) * unit, n_sectors * unit)
        at = following


def _table(source: BlockSource, offset: int) -> list[tuple[int, int, int]] | None:
    """Return (kind, start, number of sectors) of the entries of one sector; None: it is no table."""
    if offset + 512 > source.size:
        return None
    raw, lost = read_exact(source, offset, 512)
    entries = [struct.unpack_from("<B3xB3xII", raw, 446 + 16 * number) for number in range(4)]
    if lost or raw[510:512] != _SIGNATURE or any(status not in (0x00, 0x80) for status, *_ in entries):
        return None  # not a table but the code of a boot sector
    return [(kind, start, n_sectors) for _, kind, start, n_sectors in entries]
