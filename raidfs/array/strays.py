"""Copies that Linux puts at wrong places while it reshapes a RAID10 to an offset layout: a value, and when there are.

A reshape that begins on a running array takes over everything of the new layout but the distance between copies
(`raid10.c: raid10_start_reshape` calls `setup_geo`, which leaves `stride` as it was). Copies of an offset layout should
lie one chunk below each other; what was near before has a stride as long as the old component:

    member   |old data offset ................................. |
      new  |C0 |   |C4 |   | ...                                |C3'|   |C7'|   | ...
           the first copies are where they should be, nothing is written between them, the second ones go here

With the new data offset below the old one the first of these strays lie over the end of the old data, which are read
from there later; the others lie behind it, and where a member ends there it is thrown out. Seen on both real arrays of
this kind that there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.array.copies_layout import CopiesLayout
from raidfs.array.shape import Level, Shape
from raidfs.extents import Extents


@dataclass(frozen=True)
class Strays:
    """What such a reshape does to the array.

    Attributes:
        overrun: what lay where strays were written, before it was moved itself: doubtful at its old and at its new
            place [array bytes].
        seen: strays that are proven to have been written over old data, by what they are copies of [array bytes].
    """

    overrun: Extents = Extents()
    seen: Extents = Extents()


def strays_of(before: Shape | None, after: Shape, shift: int, component_size: int) -> Strays | None:
    """Say what strays a reshape may have left; None: it leaves none.

    Args:
        before: the old shape; None: nobody knows it any more.
        after: the new one.
        shift: new data offset - data offset [bytes].
        component_size: [bytes].
    """
    if after.level is not Level.RAID10 or after.table is not None or not after.copies.is_offset:
        return None
    near = before or Shape(Level.RAID10, CopiesLayout(after.n_copies, 1).name, after.chunk_size, after.raid_disks)
    if near.copies.is_offset:
        return None
    if shift >= 0:
        return Strays()
    row = max(0, stride_of(near, component_size) + shift) // near.chunk_size
    first = row * near.raid_disks // near.n_copies * near.chunk_size
    return Strays(Extents.span(first, near.array_size([component_size])))


def stride_of(before: Shape, component_size: int) -> int:
    """Return how far below their first copies strays lie [bytes]; see `raid10.c: calc_sectors`."""
    return component_size // before.chunk_size * before.chunk_size
