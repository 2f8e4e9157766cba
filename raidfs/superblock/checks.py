"""What both superblock families check alike: collecting findings, and levels that raidfs does not read."""

from __future__ import annotations

from dataclasses import dataclass, field

from raidfs.finding import Finding, Severity
from raidfs.units import SECTOR, format_offset

LINEAR, RAID0, RAID6, MULTIPATH = -1, 0, 6, -4
"""md's level numbers that matter here (`md_p.h`, `mdadm: maps.c`)."""

LEVELS = (LINEAR, RAID0, 1, 4, 5, RAID6, 10)
"""md's level numbers that raidfs knows."""

PAGE = 4096
"""The least chunk of levels with redundancy [bytes]: a page of the machines that have the smallest ones."""

STRIPED_LEVELS = (RAID0, 4, 5, RAID6, 10)
"""Levels that need a chunk size."""


@dataclass
class Notes:
    """Collects what is wrong with one superblock while it is parsed.

    Attributes:
        subject: path of the member.
        where: how the superblock is called in sentences.
        findings, unsupported: what was collected, in order.
    """

    subject: str
    where: str
    findings: list[Finding] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, subject: str, metadata: str, at: int) -> Notes:
        """Return an empty collection for the superblock found `at` [member bytes]."""
        return cls(subject, f"superblock {metadata} at {format_offset(at)}")

    def warn(self, message: str, evidence: str = "") -> None:
        """Collect a warning."""
        self.findings.append(Finding(Severity.WARNING, self.subject, f"{self.where}: {message}", evidence))

    def note(self, message: str, evidence: str = "") -> None:
        """Collect a note."""
        self.findings.append(Finding(Severity.NOTE, self.subject, f"{self.where}: {message}", evidence))

    def refuse(self, message: str) -> None:
        """Collect a feature that raidfs refuses to guess about."""
        self.unsupported.append(f"{self.where}: {message}")

    def check_level(self, name: str, level: int) -> None:
        """Refuse levels that raidfs does not read; `name` is the field."""
        if level == MULTIPATH:
            self.refuse(f"{name} is {level} (multipath): each path holds the whole data, so read one of them as it is")
        elif level not in LEVELS:
            self.refuse(f"{name} is {level}, which is no RAID level that raidfs knows")

    def check_chunk(self, name: str, chunk_size: int, level: int) -> None:
        """Name a chunk size that md does not accept (`raid5.c: setup_conf`, `raid10.c: setup_geo`).

        Args:
            name: the field.
            chunk_size: [bytes].
            level: md's number.
        """
        if level in STRIPED_LEVELS and chunk_size == 0:
            self.warn(f"{name} is 0, which level {level} cannot have")
        elif level in STRIPED_LEVELS and level != RAID0 and (chunk_size < PAGE or chunk_size & (chunk_size - 1)):
            text = f"{name} is {chunk_size} bytes ({chunk_size // SECTOR} sectors), which level {level} cannot have: "
            self.warn(f"{text}md takes powers of two from {PAGE} bytes on, so the field is damaged, or made up")


def is_fold_equal(left: int, right: int) -> bool:
    """Compare 32-bit checksums as `md.c: md_csum_fold` does: some old machines stored other values with equal folds."""
    return _fold(left) == _fold(right)


def _fold(checksum: int) -> int:
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return (checksum & 0xFFFF) + (checksum >> 16)
