"""The shape of an array: level, layout, chunk, number of roles; md's numbers and their names.

Level and layout numbers are known here and in `raidfs.superblock` only; everything else speaks names and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from raidfs.array.copies_layout import CopiesLayout
from raidfs.array.drawn import DRAWN, Drawn, Rows, flaw_in
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.units import align_down, format_size


class Level(Enum):
    """RAID levels that raidfs reads; the value is md's number (`md_p.h`, `md.h: pers`)."""

    LINEAR = -1
    RAID0 = 0
    RAID1 = 1
    RAID4 = 4
    RAID5 = 5
    RAID6 = 6
    RAID10 = 10

    @property
    def title(self) -> str:
        """Name as mdadm prints it."""
        return "linear" if self is Level.LINEAR else f"raid{self.value}"


_OTHER_LEVELS = {-4: "multipath"}

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
    Level.RAID0: {0: "undeclared", 1: "original", 2: "alternate"},
    Level.RAID4: dict.fromkeys(range(6), "parity-last"),  # raid5.c ignores the field of a RAID4
    Level.RAID5: _ROTATING,
    Level.RAID6: _ROTATING | _DDF | _SIX,
}
"""By level, md's layout number -> mdadm's name (`raid5.h: ALGORITHM_*`, `raid0.h: r0layout`, `mdadm/maps.c`).

Not here: levels whose layout field says nothing, see `_ONLY_LAYOUT`, and RAID10, see `CopiesLayout`.
"""

_ONLY_LAYOUT = {Level.LINEAR: "concatenated", Level.RAID1: "mirrored"}
"""Levels with one layout; the field of the superblock is ignored (`raid1.c`, `md-linear.c`)."""

_N_PARITY = {Level.RAID4: 1, Level.RAID5: 1, Level.RAID6: 2}
_FEWEST_DISKS = {Level.RAID4: 2, Level.RAID5: 2, Level.RAID6: 4, Level.RAID10: 2}
_MOST_IN_Q = 255
"""Powers of 2 in GF(2^8)."""
_PAGE = 4096
"""The least page that Linux has [bytes]."""
_WITHOUT_CHUNK = (Level.LINEAR, Level.RAID1)


RESHAPES: dict[Level, tuple[str, ...]] = {
    Level.RAID4: ("members", "chunk"),
    Level.RAID5: ("members", "chunk", "layout"),
    Level.RAID6: ("members", "chunk", "layout"),
    Level.RAID10: ("members", "chunk", "near to offset and back"),
}
"""What a reshape can change, by the level that is in force meanwhile (`raid5.c`, `raid10.c`: `check_reshape`).

Changes of the level are no reshapes: mdadm changes it at once before or after one, so that a RAID0 grows as a RAID4
without its parity member, and a RAID5 becomes a RAID6 by a change of the layout of a RAID6.
"""


@dataclass(frozen=True)
class Shape:
    """Level, layout, chunk and number of roles.

    Attributes:
        level: see `Level`.
        layout: name, see `LAYOUT_NAMES`.
        chunk_size: [bytes], a positive multiple of 512; linear: to which members are rounded, 0: not at all; RAID1: 0.
        raid_disks: number of roles, present or not.
        table: a layout that has no name (`layout` is then "table"). RAID0 and levels with parity: a row for each stripe
            of a period, of the roles that hold D0, D1, ..., then P, then Q. RAID10: a row for each row of chunks, of
            the numbers of the data chunks that lie on role 0, 1, ...
        exponents: with a table, of RAID6: a row for each stripe, of the exponents of D0, D1, ... in Q; None: as md has
            them.
        regions: with a table, of RAID10: into how many parts of equal height members are divided, for far copies; the
            rows of the first part come first. None: one.

    Raises:
        InconsistentDescription: on construction, when the values contradict each other.
    """

    level: Level
    layout: str
    chunk_size: int
    raid_disks: int
    table: Rows | None = None
    exponents: Rows | None = None
    regions: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        self._check_table()
        if self.table is None and not _is_layout(self.level, self.layout):
            raise InconsistentDescription(f"{self.level.title} has no layout {self.layout!r}")
        least = 0 if self.level in _WITHOUT_CHUNK else 512
        if self.chunk_size < least or self.chunk_size % 512:
            positive = "positive " if self.chunk_size <= 0 else ""
            raise InconsistentDescription(
                f"chunk_size is {self.chunk_size} bytes, which is no {positive}multiple of 512 bytes"
            )
        if self.level is Level.RAID10 and self.n_copies < 2:
            raise InconsistentDescription(f"a raid10 ({self.layout}) without copies cannot be")
        fewest = max(_FEWEST_DISKS.get(self.level, 1), 1 if self.level is not Level.RAID10 else self.n_copies)
        if self.raid_disks < fewest:
            layout = f" ({self.layout})" if self.level is Level.RAID10 else ""
            raise InconsistentDescription(f"raid_disks is {self.raid_disks}, too few for a {self.level.title}{layout}")
        if self.n_parity == 2 and self.exponents is None and self.n_data > _MOST_IN_Q:
            raise InconsistentDescription(
                f"raid_disks is {self.raid_disks}, too many for a {self.level.title}: its Q tells at most {_MOST_IN_Q} "
                "data chunks apart"
            )

    @property
    def oddity(self) -> str:
        """Why md could not run it, one clause; empty: it could (`raid5.c: setup_conf`, `raid10.c: setup_geo`)."""
        is_striped = self.has_parity or self.level is Level.RAID10
        chunk = self.chunk_size
        if not is_striped or self.table is not None or (chunk % _PAGE == 0 and chunk & (chunk - 1) == 0):
            return ""
        return f"chunk_size is {chunk}, but of a {self.level.title} md only has powers of two from {_PAGE} on"

    def _check_table(self) -> None:
        """Refuse a table that is none, and what goes without one."""
        if (self.table is not None) != (self.layout == DRAWN):
            told = "but there is no table" if self.table is None else f"but there is a table, so it must be {DRAWN!r}"
            raise InconsistentDescription(f"layout is {self.layout!r}, {told}")
        flaw = flaw_in(self.drawn) if self.table is not None else ""
        if flaw:
            raise InconsistentDescription(flaw)
        if self.table is None and (self.exponents, self.regions) != (None, None):
            key = "exponents" if self.exponents is not None else "regions"
            raise InconsistentDescription(f"{key} go with a table, and there is none")

    @property
    def drawn(self) -> Drawn:
        """The layout as it is drawn; only where there is a table."""
        kind = None if self.level in _ONLY_LAYOUT else self.level is Level.RAID10
        return Drawn(
            self.level.title, kind, self.raid_disks, self.n_parity, self.table or (), self.exponents, self.regions
        )

    @property
    def n_parity(self) -> int:
        """Redundant chunks per stripe."""
        return _N_PARITY.get(self.level, 0)

    @property
    def redundancy(self) -> str:
        """What it is rebuilt from: `parity`, `copies`, or nothing."""
        return "parity" if self.has_parity else "copies" if self.n_copies > 1 else ""

    @property
    def has_parity(self) -> bool:
        """Whether its redundancy is parity, not copies, and not none."""
        return self.n_parity > 0

    @property
    def copies(self) -> CopiesLayout:
        """Layout of the copies; of other levels than RAID10: one that says the same."""
        if self.level is Level.RAID10 and self.table is not None:
            return CopiesLayout(self.drawn.n_copies, 1)
        if self.level is Level.RAID10:
            found = CopiesLayout.from_name(self.layout)
            assert found is not None, "checked by the constructor"
            return found
        return CopiesLayout(self.raid_disks if self.level is Level.RAID1 else 1, 1)

    @property
    def n_copies(self) -> int:
        """How often each data byte is held."""
        return self.copies.near * self.copies.far

    @property
    def n_data(self) -> int:
        """Data chunks per stripe; where stripes consist of copies, or there are none: 1."""
        return self.raid_disks - self.n_parity if self.has_parity or self.level is Level.RAID0 else 1

    @property
    def stripe_size(self) -> int:
        """Array bytes per stripe."""
        return self.n_data * self.chunk_size

    @property
    def has_own_sizes(self) -> bool:
        """Whether each member gives all that it has (linear, RAID0); else all give the same."""
        return self.level in (Level.LINEAR, Level.RAID0)

    @property
    def has_q_last(self) -> bool:
        """Whether it is a RAID5 with a Q added: what a RAID6 is reshaped to before it becomes a RAID5."""
        return self.level is Level.RAID6 and (self.layout.endswith("-6") or self.layout == "parity-last")

    @property
    def other_reading(self) -> Shape | None:
        """The shape that it may have instead, where its layout is not declared; see `striped_zones`."""
        return replace(self, layout="alternate") if self.layout == "undeclared" else None

    @property
    def declared(self) -> Shape:
        """The same shape by a name that leaves nothing open; see `striped_zones`."""
        return replace(self, layout="original") if self.layout == "undeclared" else self

    @property
    def counts_in_array_bytes(self) -> bool:
        """Whether md's resync offset and bitmaps are about array bytes (RAID10), not about component bytes."""
        return self.level is Level.RAID10

    def obstacle_to(self, after: Shape) -> str:
        """Say why md does not reshape this to another shape, one clause; empty: it may (`raid10_check_reshape`)."""
        if self.level != after.level:
            return f"a reshape does not change the level ({self.level.title} to {after.level.title})"
        if self.level not in RESHAPES:
            return f"arrays of level {self.level.title} are never reshaped"
        if any(shape.level is Level.RAID10 and shape.table is not None for shape in (self, after)):
            return "a raid10 with a table is not reshaped"
        if any(shape.copies.far > 1 and not shape.copies.is_offset for shape in (self, after)):
            return f"a raid10 is not reshaped from or to a layout with far copies ({self.layout} to {after.layout})"
        if self.n_copies != after.n_copies:
            return f"a reshape does not change the number of copies of the layout ({self.layout} to {after.layout})"
        return ""

    @property
    def moves_exactly(self) -> bool:
        """Whether a reshape never overwrites old data ahead of the recorded position (`raid10.c: reshape_request`)."""
        return self.level is Level.RAID10

    def array_size(self, component_sizes: Sequence[int]) -> int:
        """Return how many bytes an array of this shape holds (`raid5_size`, `raid10_size`, `raid0_size`, ...).

        Args:
            component_sizes: by role [bytes].
        """
        if self.has_own_sizes:
            return sum(size - size % max(self.chunk_size, 1) for size in component_sizes)
        size = min(component_sizes)
        if self.level is Level.RAID1:
            return size
        if self.has_parity:
            return align_down(size, self.chunk_size) * self.n_data
        if self.table is not None:
            return self.drawn.n_chunks_in(size // self.chunk_size) * self.chunk_size
        copies = self.copies
        return size // self.chunk_size // copies.far * self.raid_disks // copies.near * self.chunk_size

    def placed_below(self, component_sizes: Sequence[int], missing: Sequence[int]) -> int:
        """Return below what the places of bytes do not depend on how much missing members gave [array bytes].

        Those of a linear array hang on the members before them. Of a RAID0 one size may change every zone: the missing
        member may be the shortest; see `tells_even`.

        Args:
            component_sizes: by role, taken for granted for the missing ones [bytes].
            missing: their roles, ascending.
        """
        return self.array_size(component_sizes[: missing[0] + 1]) if self.level is Level.LINEAR else 0

    def tells_even(self, known_sizes: Sequence[int]) -> bool:
        """Tell whether missing members of a RAID0 gave as much as the others, as it seems.

        mdadm 4.2 declares the layout if, and only if, members differ in whole chunks, and later ones always do with
        Linux 5.4 (`super1.c: write_init_super1`). So one that is not declared speaks for a single zone, although older
        ones never declared it; one that is declared where all that are left are equal may tell that the missing ones
        are not.

        Args:
            known_sizes: of the members that are there [bytes].
        """
        return self.layout == "undeclared" and len({align_down(size, self.chunk_size) for size in known_sizes}) == 1

    def rows_below(self, position: int) -> tuple[int, int]:
        """Return how far down the members the array bytes below a position reach [component bytes].

        Not for linear arrays, RAID0 and far copies, which are never reshaped as such.

        Args:
            position: [array bytes].

        Returns:
            Every component byte below the first number holds an array byte below the position, or its redundancy; no
            component byte from the second on does.
        """
        if self.level is not Level.RAID10:
            return position // self.n_data, position // self.n_data
        copies = self.copies
        height = self.chunk_size * (copies.far if copies.is_offset else 1)
        whole, touched = position // self.chunk_size, -(-position // self.chunk_size)
        return whole * copies.near // self.raid_disks * height, -(-touched * copies.near // self.raid_disks) * height

    def __str__(self) -> str:
        """Describe in mdadm's words."""
        chunk = f", chunk {format_size(self.chunk_size)}" if self.chunk_size else ""
        layout = f", {self.layout}" if self.level not in _ONLY_LAYOUT else ""
        return f"{self.level.title}{layout}{chunk}, {self.raid_disks} members"


def _is_layout(level: Level, layout: str) -> bool:
    """Tell whether a level has a layout of that name."""
    if level is Level.RAID10:
        return CopiesLayout.from_name(layout) is not None
    return layout == _ONLY_LAYOUT.get(level) or layout in LAYOUT_NAMES.get(level, {}).values()


def layout_name(level: Level, number: int) -> str | None:
    """Return the name of one of md's layout numbers; None: the level has no such layout."""
    if level is Level.RAID10:
        copies = CopiesLayout.from_number(number)
        return None if copies is None else copies.name
    return _ONLY_LAYOUT.get(level) or LAYOUT_NAMES[level].get(number)


def level_title(number: int) -> str:
    """Return what mdadm calls one of md's level numbers, also one that raidfs does not read."""
    if number in {each.value for each in Level}:
        return Level(number).title
    return _OTHER_LEVELS.get(number, f"level {number}")


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
        told = f"level {level} ({name})" if name else f"the unknown level {level}"
        raise UnsupportedMetadata(f"the superblock says {told}; raidfs reads {', '.join(each.title for each in Level)}")
    known = Level(level)
    name = layout_name(known, layout)
    if name is None:
        told = f"{layout:#x}" if known is Level.RAID10 else str(layout)
        raise UnsupportedMetadata(f"the superblock says layout {told}, which {known.title} does not have")
    return Shape(known, name, 0 if known is Level.RAID1 else chunk_size, raid_disks)
