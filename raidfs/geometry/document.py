"""The layouts as a document: every table that the code uses, printed by itself.

Run as a program it writes `docs/layouts.md` to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from raidfs.array.shape import LAYOUT_NAMES, Level, Shape
from raidfs.geometry.parity import parity_table

_MEMBERS = {Level.RAID4: 4, Level.RAID5: 4, Level.RAID6: 5}
"""Members of the examples: as few as show the rotation."""

_HEAD = """\
# Layouts

Written by `scripts/layouts` from the tables that raidfs reads arrays with; do not edit.

A row is a stripe of one period; an entry is the role of the member that holds this symbol: data chunks D0, D1, ... in
array order, P their XOR, Q their sum with each data chunk multiplied by 2 to the power of its exponent, in GF(2^8) with
the polynomial 0x11d. The numbers are md's (`raid5.h: ALGORITHM_*`).
"""


def layouts_document() -> str:
    """Return the document."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for level in Level:
        yield f"## {level.title.upper()}\n"
        by_name: dict[str, list[int]] = {}
        for number, name in LAYOUT_NAMES[level].items():
            by_name.setdefault(name, []).append(number)
        for name, numbers in by_name.items():
            shape = Shape(level, name, 65536, _MEMBERS[level])
            told = "any" if level is Level.RAID4 else ", ".join(str(number) for number in numbers)
            yield f"### {name} ({told}), {shape.raid_disks} members\n\n```\n{parity_table(shape).render()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(layouts_document())
