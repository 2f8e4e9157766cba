"""A member's bad-block log: sectors that md could not write, which read without an error but hold garbage.

Entries are 64-bit little-endian words, `start << 10 | count` in units of `512 << shift` bytes; all ones end the list.
Starts count from the start of the member, not of its data (`md.c: super_1_load`, `super_1_sync`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import BadBlockLog, MemberClaim
from raidfs.units import SECTOR, format_offset

MAX_SIZE = 4096
"""Most bytes of a log that md reads."""

_MAX_SHIFT = 54
_COUNT_BITS = 10
_END = 2**64 - 1


_LARGEST = 1 << 60
"""No member is larger [bytes]; what a damaged superblock says may be."""


@dataclass(frozen=True)
class BadBlocks:
    """What a bad-block log says.

    Attributes:
        extents: bytes that hold no data [member bytes].
        findings: what is wrong with the log, and a note of what it records.
        complete: the whole log was read and made sense; else the member may hold garbage at places that nobody knows.
    """

    extents: Extents
    findings: tuple[Finding, ...] = ()
    complete: bool = True


def read_bad_blocks(source: BlockSource, claim: MemberClaim, subject: str) -> BadBlocks:
    """Read the log of a member.

    Args:
        source: the member.
        claim: of its superblock; without a log there are no bad blocks.
        subject: its path, for findings.

    Raises:
        SourceError: the source is gone.
    """
    log = claim.bad_block_log
    if log is None:
        return BadBlocks(Extents())
    where = f"bad-block log at {format_offset(log.offset)}"
    if log.size == 0 or log.offset < 0 or log.offset + log.size > source.size or log.shift > _MAX_SHIFT:
        problem = (
            f"{where} ({log.size} bytes, unit 512 << {log.shift}) is impossible in an image of {source.size} bytes"
        )
        return BadBlocks(Extents(), (_error(subject, f"{problem}: the superblock is damaged"),), complete=False)
    raw, lost = read_exact(source, log.offset, min(log.size, MAX_SIZE))
    problems = []
    if log.size > MAX_SIZE:
        problems.append(f"{where} has {log.size} bytes, more than the {MAX_SIZE} that md reads: the rest is ignored")
    if lost:
        problems.append(f"{where}: {lost.total} of its bytes are unreadable, and with them some entries")
    whole = claim.data_offset + (claim.data_size or 0)  # an image that was cut still has the log of the whole member
    end = max(source.size, min(whole, _LARGEST))
    ranges, senseless = _entries(raw, lost, log, end)
    if senseless:
        problems.append(f"{where}: {len(senseless)} entries make no sense, the first is {senseless[0]:#018x}")
    extents = Extents(ranges)
    findings = [_error(subject, f"{problem}; the member may hold garbage at unknown places") for problem in problems]
    if extents:
        findings.append(_recorded(subject, where, extents))
    return BadBlocks(extents, tuple(findings), complete=not problems)


def _entries(raw: bytes, lost: Extents, log: BadBlockLog, size: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the ranges [member bytes] that the entries name within the member, and the entries without sense."""
    unit = SECTOR << log.shift
    ranges, senseless = [], []
    for index, entry in enumerate(np.frombuffer(raw, dtype="<u8", count=len(raw) // 8).tolist()):
        if lost.overlaps(index * 8, index * 8 + 8):
            continue
        if entry == _END:
            break
        start, count = (entry >> _COUNT_BITS) * unit, (entry & (1 << _COUNT_BITS) - 1) * unit
        if count == 0 or start >= size:
            senseless.append(entry)
        else:
            ranges.append((start, min(start + count, size)))
    return ranges, senseless


def _error(subject: str, message: str) -> Finding:
    return Finding(Severity.ERROR, subject, message)


def _recorded(subject: str, where: str, extents: Extents) -> Finding:
    return Finding(
        Severity.WARNING,
        subject,
        f"{where} names {extents.total} bytes in {len(extents)} ranges that md could not write",
        ", ".join(f"{start} to {stop} (sectors {start // SECTOR} to {stop // SECTOR})" for start, stop in extents),
    )
