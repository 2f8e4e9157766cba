"""Whether parity is read as data: what a reshape leaves that took rows for those of the old geometry, and was wrong.

So it is where a second run went over rows that an earlier one had moved already. Where parity of the new geometry lies
in the old place of a page it takes that for the page. Nothing else need tell of it: in place the second run leaves no
page twice, and all sums are right. And so it is behind a recorded position that lies too far: there parity of the old
geometry lies in the new place of a page.

Which pages these would be follows from the two geometries. A sum is mixed otherwise than pages of files are, so the
bytes of those pages are counted, and compared with those of the pages around. Where these pages are as mixed as can be,
or sums look like them, nothing follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, State
from raidfs.block import BlockSource
from raidfs.evidence.bands import around_edges, from_begin
from raidfs.evidence.cells import Flags
from raidfs.evidence.contents import pages_at
from raidfs.evidence.moves import Side
from raidfs.evidence.window import PAGE, Numbers
from raidfs.geometry.geometry import zone_of

_UNITS = 16
"""Chunks that are looked at together."""
_IN_UNIT = 4
"""Pages of each."""
_FEWEST = 8
"""Pages of a kind at one place, from which on they are compared."""
_ALIKE = 1.5
"""So unlike the others a page of files at the place is at most, or these are of too many kinds [bits per byte]."""
_MARGIN = 0.3
"""By so much a sum is more unlike the others than each page of files [bits per byte]."""
_SHARE = 0.3
"""Of the pages at one place that would be sums so many are, at least: of RAID6 it may be one of two."""
_PLACES = 3
"""Places where they are."""
_UNSEEN = 0.5
"""How often a byte is taken to occur that does not [per page]."""


@dataclass(frozen=True, eq=False)
class _Counted:
    """What the pages at one place hold.

    Attributes:
        counts: int64 (k, 256): how often each byte occurs.
        is_sum: bool (k,): parity would be read in its stead.
    """

    counts: Numbers
    is_sum: Flags

    def tells(self) -> bool:
        """Tell whether those that would be sums are unlike all others."""
        others = self.counts[~self.is_sum]
        if min(len(others), int(self.is_sum.sum())) < _FEWEST:
            return False
        most = float(_unlike(others, others.sum(axis=0) - others).max())
        unlike = _unlike(self.counts[self.is_sum], others.sum(axis=0)[None])
        return most <= _ALIKE and bool((unlike >= most + _MARGIN).mean() >= _SHARE)


def sums_read(description: ArrayDescription, images: Mapping[int, BlockSource]) -> str:
    """Say that parity is read as data behind the recorded position of a reshape, one sentence; or ''.

    Args:
        description: the array, with the front of its reshape.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None or not all(shape.has_parity for shape in description.shapes):
        return ""
    if reshape.before.n_data != reshape.after.n_data:
        return ""  # else a second run leaves pages twice, which tells more, see `raidfs.evidence.moved_twice`
    serving = description.serving.items()
    zones = [zone_of(shape, description.component_size) for shape in (reshape.before, reshape.after)]
    old = Side(zones[0], {role: member.data_offset for role, member in serving})
    new = Side(zones[1], {role: member.new_data_offset for role, member in serving})
    whole = {role: images[role] for role, member in serving if member.state in (State.IN_SYNC, State.RECOVERING)}
    cut = min(reshape.position, description.size)
    low, high = (0, cut) if reshape.direction.is_forward else (cut, description.size)
    unit = gcd(reshape.before.chunk_size, reshape.after.chunk_size)
    starts = from_begin(reshape, description.size) | around_edges(reshape, description.size, (reshape.position,))
    looked = [_pages(number, unit, low, high) for number in sorted({start // unit // _UNITS for start in starts})]
    for one, other in (
        (old, new),
        (new, old),
    ):  # what a second run takes for pages, and what is read where it never was
        if sum(_count(pages, one, other, new, whole).tells() for pages in looked) >= _PLACES:
            return (
                f"behind the recorded position of the reshape ({reshape.position}) parity is read as data: the pages "
                "in whose stead it would be are mixed as sums are, and the others are not; an earlier run came so far "
                "and it was begun anew, which takes parity for data, or the recorded position is wrong"
            )
    return ""


def _pages(number: int, unit: int, low: int, high: int) -> Numbers:
    """Return some pages of neighbouring units between two bounds [array bytes]; `number`: of so many units."""
    first = (number * _UNITS + np.arange(_UNITS, dtype=np.int64)[:, None]) * unit
    pages = np.unique(first + np.arange(_IN_UNIT) * (unit // _IN_UNIT) // PAGE * PAGE)
    return pages[(pages >= low) & (pages + PAGE <= high)]


def _count(pages: Numbers, one: Side, other: Side, new: Side, images: Mapping[int, BlockSource]) -> _Counted:
    """Count the bytes of pages in their new places; sums are those in whose place of one side the other has no page."""
    content, is_known = pages_at(images, *(each[:, 0] for each in new.places(pages)))
    role, offset = (each[:, 0] for each in one.places(pages))
    kept = is_known & content.any(axis=1)
    return _Counted(_counts(content[kept]), (other.holds(role, offset) < 0)[kept])


def _counts(pages: NDArray[np.uint8]) -> Numbers:
    numbers = pages.astype(np.intp) + np.arange(len(pages), dtype=np.intp)[:, None] * 256
    return np.bincount(numbers.reshape(-1), minlength=len(pages) * 256).reshape(-1, 256)


def _unlike(counts: Numbers, others: Numbers) -> NDArray[np.float64]:
    """Return how many bits per byte it costs to take pages for others: their relative entropy.

    Args:
        counts: int64 (k, 256), of each page.
        others: int64 (k or 1, 256), of all others together.
    """
    expected = others + _UNSEEN
    share = counts / PAGE
    ratio = np.where(counts > 0, np.maximum(share, 1 / PAGE) / (expected / expected.sum(axis=1, keepdims=True)), 1.0)
    found: NDArray[np.float64] = (share * np.log2(ratio)).sum(axis=1)
    return found
