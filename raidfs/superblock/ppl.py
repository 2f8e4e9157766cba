"""Partial parity logs (PPL) of a RAID5: what each member says of the parity that was being written on it.

Before md writes a stripe, it logs on the member that holds the stripe's parity the XOR of the data that stay as they
are. After a crash the parity is that and the modified data, whichever of them reached the members.

    | header 4 KiB: entries | partial parity of entry 0 | of entry 1 | ... | header | ...

With several logs in the area the last one in sequence counts: the one behind which no further header of a higher
generation follows. Not here: what the entries are about (`raidfs.replay.ppl`). Reference: `md_p.h: struct ppl_header`,
`raid5-ppl.c: ppl_load_distributed`, `ppl_recover`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.crc32c import crc32c
from raidfs.superblock.layout import Field, Record, Table
from raidfs.units import SECTOR, format_offset

_MOST_ENTRIES = 148

_ENTRY = Table(
    "PPL entry",
    24,
    (
        Field("data_sector", "u8", 0, "sectors", "first modified byte of the array"),
        Field("pp_size", "u4", 8, "bytes", "partial parity; 0: all data of the stripe are modified"),
        Field("data_size", "u4", 12, "bytes", "modified data"),
        Field("parity_disk", "u4", 16, "", "role that holds the parity: this member's own"),
        Field("checksum", "u4", 20, "bits", "CRC-32C of the partial parity"),
    ),
)

HEADER = Table(
    "PPL header",
    4096,
    (
        Field("reserved", "V512", 0, "", "all ones"),
        Field("signature", "u4", 512, "bits", "CRC-32C of the array's uuid"),
        Field("padding", "u4", 516, "bits", "0"),
        Field("generation", "u8", 520, "", "counts up over all members"),
        Field("entries_count", "u4", 528, "", "entries in use"),
        Field("checksum", "u4", 532, "bits", "CRC-32C of the header"),
        Field("entries", f"V{24 * _MOST_ENTRIES}", 536, "", "what was being written", inner=_ENTRY),
    ),
)
"""The header; the partial parity of its entries follows it."""

_CHECKSUM = slice(532, 536)
_ONES = 0xFFFFFFFF


@dataclass(frozen=True)
class PartialParity:
    """One entry of a log: stripes that were being written.

    Attributes:
        data_offset: first modified byte [array bytes].
        data_size: modified data, all together [bytes].
        parity_role: who holds the parity.
        parity: XOR of the data that were not modified; empty where all were.
        intact: the checksum of `parity` is right; else it never was, or cannot be read.
        pp_size: of the partial parity [bytes], also where it cannot be read.
        offset: where that lies [bytes of the member].
    """

    data_offset: int
    data_size: int
    parity_role: int
    parity: bytes
    intact: bool
    pp_size: int
    offset: int = 0


@dataclass(frozen=True)
class PartialParityLog:
    """The last log of one member.

    Attributes:
        generation: of its header.
        entries: in their order.
        problem: why it cannot be relied on, one clause; empty: it can.
    """

    generation: int
    entries: tuple[PartialParity, ...]
    problem: str = ""


def read_ppl(source: BlockSource, claim: MemberClaim) -> PartialParityLog | None:
    """Read the log of a member.

    Args:
        source: the member.
        claim: of its superblock.

    Returns:
        None where the superblock says that there is none.

    Raises:
        SourceError: the source is gone.
    """
    if claim.ppl is None:
        return None
    area = claim.ppl
    where = f"the partial parity log at {format_offset(area.offset)}"
    if not (0 <= area.offset and HEADER.size <= area.size <= source.size - area.offset):
        return PartialParityLog(0, (), f"{where} ({area.size} bytes) lies outside the image")
    raw, lost = read_exact(source, area.offset, area.size)
    signature = crc32c(_ONES, claim.stored_uuids[0]) ^ _ONES
    last: tuple[int, Record] | None = None
    at = 0
    while at <= area.size - HEADER.size:
        if lost.overlaps(at, at + HEADER.size):
            return PartialParityLog(0, (), f"a header of {where} cannot be read")
        header = _header(raw, at, signature)
        if header is None or (last is not None and header.number("generation") < last[1].number("generation")):
            break
        last = at, header
        at += HEADER.size + sum(entry.quantity("pp_size") // SECTOR * SECTOR for entry in _entries(header))
    if last is None:
        return PartialParityLog(0, (), f"{where} has no valid header")
    generation = last[1].number("generation")
    if any(later > generation for later in _generations(raw, at, signature)):
        return PartialParityLog(generation, (), f"{where} is broken in the middle: a newer header follows later")
    return PartialParityLog(generation, tuple(_parities(raw, lost, area.offset, *last)))


def _header(raw: bytes, at: int, signature: int) -> Record | None:
    """Return the header at a place [bytes of the area], or None."""
    header = HEADER.parse(raw[at : at + HEADER.size])
    if header.number("signature") != signature or header.number("entries_count") > _MOST_ENTRIES:
        return None
    cleared = bytearray(raw[at : at + HEADER.size])
    cleared[_CHECKSUM] = bytes(4)
    return header if crc32c(_ONES, bytes(cleared)) ^ _ONES == header.number("checksum") else None


def _entries(header: Record) -> list[Record]:
    return header.parts("entries")[: header.number("entries_count")]


def _generations(raw: bytes, start: int, signature: int) -> Iterator[int]:
    """Yield the generations of all headers from a place [bytes of the area] on: logs begin at whole sectors."""
    for at in range(start, len(raw) - HEADER.size + 1, SECTOR):
        if raw[at : at + 16] == b"\xff" * 16:
            header = _header(raw, at, signature)
            if header is not None:
                yield header.number("generation")


def _parities(raw: bytes, lost: Extents, area: int, at: int, header: Record) -> Iterator[PartialParity]:
    """Yield the entries of the header at a place [bytes of the area]; `area`: where that begins [member bytes]."""
    at += HEADER.size
    for entry in _entries(header):
        size = entry.quantity("pp_size")
        parity = raw[at : at + size]
        there = len(parity) == size and not lost.overlaps(at, at + size)
        yield PartialParity(
            data_offset=entry.quantity("data_sector"),
            data_size=entry.quantity("data_size"),
            parity_role=entry.number("parity_disk"),
            parity=parity,
            intact=there and crc32c(_ONES, parity) ^ _ONES == entry.number("checksum"),
            pp_size=size,
            offset=area + at,
        )
        at += size // SECTOR * SECTOR
