"""Layouts of a RAID10: how many copies there are and where they go; md's numbers and mdadm's names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class FarSets(Enum):
    """How far the far copies of a RAID10 wander (`raid10.c: setup_geo`); the value is md's number."""

    NONE = 0
    BUGGY = 1
    FIXED = 2

    @property
    def suffix(self) -> str:
        """What it adds to the name of a layout."""
        return {FarSets.NONE: "", FarSets.BUGGY: ", buggy far sets", FarSets.FIXED: ", far sets"}[self]


_COPIES_NAME = re.compile(r"(?:near=(\d+))?(?:, )?(?:(far|offset)=(\d+))?((?:, buggy far sets|, far sets)?)")


@dataclass(frozen=True)
class CopiesLayout:
    """Layout of a RAID10 (`raid10.c: setup_geo`).

    Attributes:
        near: copies beside each other.
        far: copies further down the members.
        is_offset: the far copies lie a chunk further down, not in the members' other half.
        far_sets: to which members they go.
    """

    near: int
    far: int
    is_offset: bool = False
    far_sets: FarSets = FarSets.NONE

    @property
    def name(self) -> str:
        """As mdadm prints it: `near=2`, `far=2`, `offset=2`."""
        parts = [f"near={self.near}"] if self.near > 1 or self.far == 1 else []
        parts += [f"{'offset' if self.is_offset else 'far'}={self.far}"] if self.far > 1 else []
        return ", ".join(parts) + self.far_sets.suffix

    @property
    def number(self) -> int:
        """Md's number."""
        return self.near | self.far << 8 | self.is_offset << 16 | self.far_sets.value << 17

    @classmethod
    def from_number(cls, number: int) -> CopiesLayout | None:
        """Understand md's number; None: there is no such layout."""
        near, far, far_sets = number & 255, number >> 8 & 255, number >> 17
        if number < 0 or not near or not far or far_sets not in (0, 1, 2):
            return None
        return cls(near, far, bool(number >> 16 & 1) and far > 1, FarSets(far_sets))

    @classmethod
    def from_name(cls, name: str) -> CopiesLayout | None:
        """Understand a name; None: there is no such layout."""
        match = _COPIES_NAME.fullmatch(name)
        if match is None:
            return None
        far_sets = next(each for each in FarSets if each.suffix == match[4])
        found = cls(int(match[1] or 1), int(match[3] or 1), match[2] == "offset", far_sets)
        return found if found.name == name and found.near > 0 else None
