"""Members that tell two contents of an array: a value."""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.extents import Extents


@dataclass(frozen=True)
class Dispute:
    """What is doubtful because members tell two contents of the array, neither of which can be ruled out.

    Attributes:
        reason: why, a clause that goes before "is doubtful".
        agreed: where both are the same, and nothing is doubtful for that [array bytes].
    """

    reason: str
    agreed: Extents = Extents()
