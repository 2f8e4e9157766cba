"""Members that tell two contents of an array: a value."""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.extents import Extents


@dataclass(frozen=True)
class Dispute:
    """What is open because members tell two contents of the array, neither of which can be ruled out.

    Attributes:
        reason: why, a clause that goes before "is doubtful" or "is unproven".
        agreed: where both are the same, and nothing is doubtful for that [array bytes].
        likely: the one that is served is most probably right: the rest is unproven, not doubtful.
    """

    reason: str
    agreed: Extents = Extents()
    likely: bool = False

    @property
    def told(self) -> str:
        """What is to be said of bytes that are disputed."""
        return f"{self.reason} is {'unproven' if self.likely else 'doubtful'}"
