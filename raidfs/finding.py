"""Findings: nonsense or disagreement on disk, as values: all that we decided otherwise than it was claimed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much a finding matters; ordered."""

    NOTE = 0
    """Worth knowing; nothing is wrong."""
    WARNING = 1
    """Something is wrong or was set apart; what is served is not in question."""
    ERROR = 2
    """Bytes are withheld or unproven because of this."""

    @property
    def word(self) -> str:
        """Name in the JSON output."""
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """One thing that the user should know.

    Attributes:
        severity: see `Severity`.
        subject: what it is about: the path of a member, or `array`.
        message: one sentence: what is wrong, where (offsets with units), what it means.
        evidence: the values behind it, for `-v` and the report; may be empty.
    """

    severity: Severity
    subject: str
    message: str
    evidence: str = ""
