"""The layouts as a document: every table that the code uses, printed by itself.

Run as a program it writes `docs/layouts.md` to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from raidfs.array.copies_layout import FarSets
from raidfs.array.shape import LAYOUT_NAMES, RESHAPES, Level, Shape, layout_name
from raidfs.geometry.geometry import zones_of
from raidfs.geometry.parity import LAYOUTS, parity_table
from raidfs.geometry.zone import UNUSED, Zone

_MEMBERS = {Level.RAID4: 4, Level.RAID5: 4, Level.RAID6: 5}
"""Members of the examples: as few as show the rotation."""

_CHUNK = 512
_COPIES = (
    ("near=2", 4),
    ("near=2", 5),
    ("near=3", 5),
    ("far=2", 4),
    ("far=2", 5),
    ("far=2, far sets", 4),
    ("offset=2", 4),
    ("offset=2", 5),
)
"""Layouts and numbers of members that are printed of RAID10; there are more."""

_HEAD = """\
# Layouts

Written by `scripts/layouts` from the tables that raidfs reads arrays with; do not edit.

## Parity

A row is a stripe of one period; an entry is the role of the member that holds this symbol: data chunks D0, D1, ... in
array order, P their XOR, Q their sum with each data chunk multiplied by 2 to the power of its exponent, in GF(2^8) with
the polynomial 0x11d. The numbers are md's (`raid5.h: ALGORITHM_*`).
"""
_COPIES_HEAD = """\
## RAID10

A line is a row of chunks, a column a member, an entry the number of the data chunk that lies there, counted from the
start of the array. The far copies of *far* layouts lie in a region of their own, further down the members
(`raid10.c: __raid10_find_phys`).
"""
_PLAIN_HEAD = """\
## RAID0

Members may differ in size: here they hold 1, 4 and 3 chunks. Where the zones differ, kernels before 3.14 went on with
the rotation (*original*), later ones begin anew (*alternate*); the superblock of an older array does not say which
(`raid0.c: create_strip_zones`).
"""
_REST = """\
## RAID1 and linear

Every member of a RAID1 holds the whole array. The members of a linear array follow each other in the order of their
roles.
"""


_BECOMES = {
    Level.RAID0: "grown through raid4; to raid4, raid5",
    Level.RAID1: "to raid5; the number of members at once",
    Level.RAID4: "to raid5",
    Level.RAID5: "to raid6",
    Level.RAID6: "to raid5",
}
"""What md makes of an array by a reshape and a change of the level at once (`mdadm/Grow.c`)."""


def support_table() -> str:
    """Return what raidfs reads as a table for the README."""
    lines = ["| level | layouts | rebuilt without | reshapes |", "|---|---|---|---|"]
    for level in Level:
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(_names(level)))
        reshapes = "; ".join(filter(None, (", ".join(RESHAPES.get(level, ())), _BECOMES.get(level))))
        lines.append(f"| {level.title} | {names} | {_spared(level)} | {reshapes or 'none in md'} |")
    return "\n".join(lines)


def _names(level: Level) -> Iterator[str]:
    """Yield the names of a level's layouts; of RAID10 N is the number of copies."""
    if level is Level.RAID10:
        kinds = [("near", FarSets.NONE), *((kind, sets) for kind in ("far", "offset") for sets in FarSets)]
        yield from (f"{kind}=N{sets.suffix}" for kind, sets in kinds)
        return
    for number in LAYOUT_NAMES.get(level, {0: ""}):
        name = layout_name(level, number)
        if name is not None:
            yield name


def _spared(level: Level) -> str:
    """Say how many members may be missing."""
    if level is Level.RAID10:
        return "all but one of the members that hold a chunk"
    fewest = Shape(level, next(iter(_names(level))), 4096 if level is not Level.RAID1 else 0, 4)
    if fewest.has_parity:
        return f"any {fewest.n_parity}"
    return "all but one" if fewest.n_copies > 1 else "none"


def layouts_document() -> str:
    """Return the document."""
    return "\n".join((_HEAD, *_parity(), _COPIES_HEAD, *_copies(), _PLAIN_HEAD, *_plain(), _REST))


def _parity() -> Iterator[str]:
    for level in LAYOUTS:
        yield f"## {level.title.upper()}\n"
        by_name: dict[str, list[int]] = {}
        for number, name in LAYOUT_NAMES[level].items():
            by_name.setdefault(name, []).append(number)
        for name, numbers in by_name.items():
            shape = Shape(level, name, 65536, _MEMBERS[level])
            told = "any" if level is Level.RAID4 else ", ".join(str(number) for number in numbers)
            yield f"### {name} ({told}), {shape.raid_disks} members\n\n```\n{parity_table(shape).render()}\n```\n"


def _copies() -> Iterator[str]:
    for layout, raid_disks in _COPIES:
        shape = Shape(Level.RAID10, layout, _CHUNK, raid_disks)
        n_rows = 4 if shape.copies.far == 1 or shape.copies.is_offset else 6
        (zone,) = zones_of(shape, [n_rows * _CHUNK] * raid_disks)
        yield f"### {layout} ({shape.copies.number:#x}), {raid_disks} members\n\n```\n{grid([zone], n_rows)}\n```\n"


def _plain() -> Iterator[str]:
    sizes = [1 * _CHUNK, 4 * _CHUNK, 3 * _CHUNK]
    for layout in ("original", "alternate"):
        zones = zones_of(Shape(Level.RAID0, layout, _CHUNK, 3), sizes)
        yield f"### {layout}\n\n```\n{grid(zones, 4, 3)}\n```\n"


def grid(zones: list[Zone] | tuple[Zone, ...], n_rows: int, raid_disks: int | None = None) -> str:
    """Print which data chunk lies where; chunks of 512 bytes.

    Args:
        zones: of the array.
        n_rows: rows of the members.
        raid_disks: number of columns; None: as many as the first zone has roles.
    """
    columns = range(raid_disks or int(zones[0].table.role.max()) + 1)
    lines = ["row  " + " ".join(f"{role:>3}" for role in columns)]
    for row in range(n_rows):
        held = [_held(zones, role, row * _CHUNK) for role in columns]
        lines.append(f"{row:>3}  " + " ".join(f"{'' if each is None else each:>3}" for each in held).rstrip())
    return "\n".join(lines)


def _held(zones: list[Zone] | tuple[Zone, ...], role: int, component_offset: int) -> int | None:
    found = (zone.locate_inverse(role, component_offset) for zone in reversed(zones))
    return next((array_offset // _CHUNK for array_offset in found if array_offset != UNUSED), None)


if __name__ == "__main__":
    sys.stdout.write(support_table() + "\n" if "--support" in sys.argv else layouts_document())
