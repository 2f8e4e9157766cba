"""Whether a reshape in place seems to have been taken up from its recorded position, by borders of chunks: no proof.

Linux takes up a reshape from the position that it recorded, and moves what lies behind that once more, if it had been
moved already. Two runs leave the pages in another order than one, which follows from the geometries, and files go on
from one page to the next. So a border is looked at in both orders: in which one both sides are more alike.

Files that are written in turns go on in another order as well. So it is only asked where the answer costs little, and
only of borders from the recorded position on, next to all of which must say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.evidence.cells import Flags
from raidfs.evidence.contents import pages_at
from raidfs.evidence.moves import Side, equal_sides
from raidfs.evidence.window import PAGE, Numbers

_BORDERS = 256
"""Borders that are looked at."""
_ALIKE = PAGE // 16
"""Bytes that are equal on both sides of a border, from which on files may go on there."""
_AGAINST = 9
"""One border that says otherwise outweighs so many."""
_ENOUGH = 8
"""So many say so, and more: of 12 real arrays in place with one run 5 at most did, of those with two 10 and 29."""


def seems_taken_up(description: ArrayDescription, images: Mapping[int, BlockSource]) -> bool:
    """Tell whether what lies ahead of the recorded position reads better as if it had been moved twice.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    reshape, sides = description.reshape, equal_sides(description)
    if reshape is None or sides is None:
        return False
    if any(member.new_data_offset != member.data_offset for member in description.serving.values()):
        return False
    old, new = sides
    unit = math.gcd(reshape.before.chunk_size, reshape.after.chunk_size)
    way = np.arange(1, _BORDERS + 1, dtype=np.int64) * unit
    borders = reshape.position + way if reshape.direction.is_forward else reshape.position - way
    borders = borders[(borders > 0) & (borders <= description.size - PAGE)]
    once = np.stack((borders - PAGE, borders))
    twice = np.stack([old.holds(*(each[:, 0] for each in new.places(pages))) for pages in once])
    differs = (twice >= 0).all(axis=0) & (twice != once).any(axis=0)
    alike, known = zip(*(_alike(images, new, pages[:, differs]) for pages in (once, twice)), strict=True)
    votes = np.sign(alike[1] - alike[0]) * (np.maximum(*alike) >= _ALIKE) * (known[0] & known[1])
    said = np.cumsum(np.where(votes < 0, -_AGAINST, votes))
    return bool(said.max(initial=0) >= _ENOUGH)


def _alike(images: Mapping[int, BlockSource], side: Side, pages: Numbers) -> tuple[Numbers, Flags]:
    """Count the bytes that are equal in pairs of pages, but zeros; int64 (2, k) -> int64 (k,), bool (k,): known."""
    (one, is_one), (other, is_other) = (pages_at(images, *(e[:, 0] for e in side.places(each))) for each in pages)
    return ((one == other) & (one != 0)).sum(axis=1), is_one & is_other
