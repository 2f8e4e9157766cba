"""What a walk finds of a sector; what is made of sectors is as bad as the worst of them."""

from __future__ import annotations

from enum import IntEnum


class Grade(IntEnum):
    """What is found of a sector, by its parity or by its copies."""

    AGREES = 0
    """With all its parity; all its copies are equal."""
    HALF = 1
    """With the parity that is left (one member of a RAID6 took no part); the copies that are left are equal."""
    UNCHECKED = 2
    """Too few members could take part."""
    STALE = 3
    """It disagrees where redundancy was not proven to begin with: that may be all that is wrong."""
    WRONG = 4
    """It disagrees."""
