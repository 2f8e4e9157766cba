"""What a byte is worth: the trust in each source, the health that follows for each array byte, and what is served."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Trust(IntEnum):
    """What speaks against a member's bytes (or a redundancy) in a range; ordered."""

    SURE = 0
    UNPROVEN = 1
    DOUBTFUL = 2
    LAST = 3
    """Doubtful, and used only where nothing else is left, not even a sum of what is doubtful."""
    NONE = 4
    """Not readable at all."""


class Health(IntEnum):
    """What an array byte is worth; ordered, a partition: the five always sum to the array's size."""

    GOOD = 0
    REBUILT = 1
    UNPROVEN = 2
    DOUBTFUL = 3
    LOST = 4

    @property
    def word(self) -> str:
        """Name in reports."""
        return self.name.lower()


@dataclass(frozen=True)
class Policy:
    """What is served.

    Attributes:
        doubtful: serve doubtful bytes too.
        strict: withhold unproven ones.
        check: compare every row with its parity before anything of it is served.
    """

    doubtful: bool = False
    strict: bool = False
    check: bool = False

    @property
    def limit(self) -> Health:
        """Worst health that is served."""
        if self.doubtful:
            return Health.DOUBTFUL
        return Health.REBUILT if self.strict else Health.UNPROVEN
