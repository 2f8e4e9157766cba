"""The shape of an array: level, layout, chunk, number of roles; md's numbers and their names.

Level and layout numbers are known here and in `raidfs.superblock` only; everything else speaks names and counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.units import format_size


class Level(Enum):
    """RAID levels that raidfs reads; the value is md's number (`md_p.h`, `md.h: pers`)."""

    RAID4 = 4
    RAID5 = 5
    RAID6 = 6

    @property
    def title(self) -> str:
        """Name as mdadm prints it."""
        return f"raid{self.value}"


_OTHER_LEVELS = {-4: "multipath", -1: "linear", 0: "raid0", 1: "raid1", 10: "raid10"}

_ROTATING = {
    0: "left-asymmetric",
    1: "right-asymmetric",
    2: "left-symmetric",
    3: "right-symmetric",
    4: "parity-first",
    5: "parity-last",
}
_DDF = {8: "ddf-zero-restart", 9: "ddf-N-restart", 10: "ddf-N-continue"}
_SIX = {
    16: "left-asymmetric-6",
    17: "right-asymmetric-6",
    18: "left-symmetric-6",
    19: "right-symmetric-6",
    20: "parity-first-6",
}
LAYOUT_NAMES: dict[Level, dict[int, str]] = {
    Level.RAID4: dict.fromkeys(range(6), "parity-last"),  # raid5.c ignores the field of a RAID4
    Level.RAID5: _ROTATING,
    Level.RAID6: _ROTATING | _DDF | _SIX,
}
"""By level, md's layout number -> mdadm's name (`raid5.h: ALGORITHM_*`, `mdadm/maps.c`)."""

_N_PARITY = {Level.RAID4: 1, Level.RAID5: 1, Level.RAID6: 2}
_FEWEST_DISKS = {Level.RAID4: 2, Level.RAID5: 2, Level.RAID6: 4}


@dataclass(frozen=True)
class Shape:
    """Level, layout, chunk and number of roles.

    Attributes:
        level: see `Level`.
        layout: name, see `LAYOUT_NAMES`.
        chunk_size: [bytes], a positive multiple of 512.
        raid_disks: number of roles, present or not.

    Raises:
        InconsistentDescription: on construction, when the values contradict each other.
    """

    level: Level
    layout: str
    chunk_size: int
    raid_disks: int

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.layout not in LAYOUT_NAMES[self.level].values():
            raise InconsistentDescription(f"{self.level.title} has no layout {self.layout!r}")
        if self.chunk_size <= 0 or self.chunk_size % 512:
            raise InconsistentDescription(f"a chunk of {self.chunk_size} bytes is no multiple of 512 bytes")
        if self.raid_disks < _FEWEST_DISKS[self.level]:
            raise InconsistentDescription(f"a {self.level.title} of {self.raid_disks} members cannot be")

    @property
    def n_parity(self) -> int:
        """Redundant chunks per stripe."""
        return _N_PARITY[self.level]

    @property
    def n_data(self) -> int:
        """Data chunks per stripe."""
        return self.raid_disks - self.n_parity

    @property
    def stripe_size(self) -> int:
        """Array bytes per stripe."""
        return self.n_data * self.chunk_size

    def __str__(self) -> str:
        """Describe in mdadm's words."""
        return f"{self.level.title}, {self.layout}, chunk {format_size(self.chunk_size)}, {self.raid_disks} members"


def shape_of(level: int, layout: int, chunk_size: int, raid_disks: int) -> Shape:
    """Translate md's numbers.

    Args:
        level: md's number.
        layout: md's number.
        chunk_size: [bytes].
        raid_disks: number of roles.

    Raises:
        UnsupportedMetadata: a level or layout that this version of raidfs does not read.
        InconsistentDescription: values that cannot be.
    """
    if level not in {each.value for each in Level}:
        name = _OTHER_LEVELS.get(level)
        told = f"level {name}" if name else f"the unknown level {level}"
        raise UnsupportedMetadata(f"the superblock says {told}; this version of raidfs reads raid4, raid5 and raid6")
    known = Level(level)
    if layout not in LAYOUT_NAMES[known]:
        raise UnsupportedMetadata(f"the superblock says layout {layout}, which {known.title} does not have")
    return Shape(known, LAYOUT_NAMES[known][layout], chunk_size, raid_disks)
