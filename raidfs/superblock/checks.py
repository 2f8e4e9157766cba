"""What both superblock families check alike: collecting findings, and levels that raidfs does not read."""

from __future__ import annotations

from dataclasses import dataclass, field

from raidfs.finding import Finding, Severity
from raidfs.units import format_offset

LINEAR, RAID0, RAID6, MULTIPATH = -1, 0, 6, -4
"""md's level numbers that matter here (`md_p.h`, `mdadm: maps.c`)."""

LEVELS = (LINEAR, RAID0, 1, 4, 5, RAID6, 10)
"""md's level numbers that raidfs knows."""

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


def is_fold_equal(left: int, right: int) -> bool:
    """Compare 32-bit checksums as `md.c: md_csum_fold` does: some old machines stored other values with equal folds."""
    return _fold(left) == _fold(right)


def _fold(checksum: int) -> int:
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return (checksum & 0xFFFF) + (checksum >> 16)
