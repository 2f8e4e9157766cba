"""A superblock as it was found: its bytes, its fields, and everything that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from raidfs.finding import Finding
from raidfs.superblock.layout import Record


@dataclass(frozen=True)
class Found:
    """One superblock of one image; a damaged one is found too, with findings.

    Attributes:
        metadata: format as mdadm names it: `0.90`, `1.0`, `1.1`, `1.2`.
        offset: where it was found [member bytes].
        raw: its bytes as read (4096, fewer at the end of an image).
        record: its fields as read.
        findings: what is wrong with it.
        unsupported: one sentence for each feature that raidfs refuses to guess about; assembly must refuse these.
        intact: magic, checksum and own place are right.
    """

    metadata: str
    offset: int
    raw: bytes
    record: Record = field(compare=False)
    findings: tuple[Finding, ...]
    unsupported: tuple[str, ...]
    intact: bool

    def annotate(self) -> list[str]:
        """Return an annotated hexdump of all fields; offsets count from the start of the superblock."""
        return self.record.table.annotate(self.raw)
