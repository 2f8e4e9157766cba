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

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raidfs.array.description import ArrayDescription, Reshape, State
from raidfs.block import BlockSource
from raidfs.evidence.bands import around_edges, from_begin
from raidfs.evidence.cells import Flags
from raidfs.evidence.contents import pages_at
from raidfs.evidence.moves import Side, equal_sides
from raidfs.evidence.unlikeness import counts_of, unlike, unlike_each_other
from raidfs.evidence.window import PAGE, Numbers
from raidfs.extents import Extents
from raidfs.geometry.reshape import lag_limit, undecided_by_front
from raidfs.geometry.standing import new_side

_UNITS = 8
"""Chunks that are looked at together."""
_IN_UNIT = 8
"""Pages of each, at most."""
_FEWEST = 8
"""Pages of a kind at one place, from which on they are compared."""
_ALIKE = 1.5
"""So unlike the others a page of files at the place is at most, or these are of too many kinds [bits per byte]."""
_LEAST = 1e-4
"""What the unlikeness of pages of files spreads by at least [bits per byte]."""
_SPREADS = 5.0
"""By so many times what their mean spreads by, sums are more unlike the others than pages of files are."""
_SHARE = 0.5
"""Of the pages at one place that would be sums so many are more unlike the others than each page of files."""
_PLACES = 4
"""Places one after the other where parity of the old geometry lies, that disprove a position."""
_AT_POSITION = 3
"""So many are enough if they lie next to each other at the recorded position, from which Linux takes up a reshape."""
_IN_A_ROW = 6
"""So many anywhere: three in a row were seen by chance, with a member missing, and 14 at least after a second run."""
_NEAR = 2
"""Places on both sides of the position, in one of which they begin."""
_SILENT = 4
"""Places that tell nothing, over which a row of them goes on."""


@dataclass(frozen=True, eq=False)
class _Places:
    """Places in what is read in the new geometry, in ascending order.

    Attributes:
        starts: where each begins [array bytes]. length: of each.
        taken: of each, which pages parity would be read for after a second run; None: too few.
        left: the same where the reshape never came.
    """

    starts: list[int]
    length: int
    taken: list[bool | None]
    left: list[bool | None]

    @property
    def n_taken(self) -> int:
        """At how many places a second run took parity for data."""
        return self.taken.count(True)

    @property
    def n_left(self) -> int:
        """At how many the old parity still lies."""
        return self.left.count(True)


@dataclass(frozen=True, eq=False)
class _Asked:
    """The array, of which places can be asked; each has a number, and is some chunks long.

    Attributes:
        images: by role, of the members whose bytes count.
        old, new: the geometries.
        served: what is read in the new one [array bytes].
        unit: how long a chunk is taken to be [bytes].
        told: what is known of places, by number: see `tell`.
    """

    images: Mapping[int, BlockSource]
    old: Side
    new: Side
    served: Extents
    unit: int
    told: dict[int, tuple[bool | None, bool | None]]

    @property
    def length(self) -> int:
        """Of a place [array bytes]."""
        return _UNITS * self.unit

    def tell(self, number: int) -> tuple[bool | None, bool | None]:
        """Tell of a place whether a second run took parity for data there, and whether old parity still lies there."""
        if number not in self.told:
            pages = _pages(number, self.unit, self.served)
            content, is_known = pages_at(self.images, *(each[:, 0] for each in self.new.places(pages)))
            kept = is_known & content.any(axis=1)
            counts, pages = counts_of(content[kept]), pages[kept]
            sides = ((self.old, self.new), (self.new, self.old))
            taken, left = (_are_sums(counts, ~_holds_page(pages, *each)) for each in sides)
            self.told[number] = taken, left
        return self.told[number]

    def row_of(self, number: int) -> int:
        """Count the places next to one, itself included, where a second run took parity for data."""
        found = int(self.tell(number)[0] is True)
        for step in (-1, 1) if found else ():
            at, silent = number + step, 0
            while silent < _SILENT and (taken := self.tell(at)[0]) is not False:
                found, silent = found + (taken is True), silent + 1 if taken is None else 0
                at += step
        return found


def sums_taken(description: ArrayDescription, images: Mapping[int, BlockSource]) -> str:
    """Say that a second run of a reshape took parity of an earlier one for data, one sentence; or ''.

    Args:
        description: the array, with the front of its reshape.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    asked, reshape = _asked(description, images), description.reshape
    if asked is None or reshape is None:
        return ""
    places = _look(description, asked)
    if not _in_a_row(asked, reshape, places):
        return ""
    return (
        "in what the reshape moved parity is read as data: the pages in whose stead it would be are mixed as sums are, "
        "and the others are not; an earlier run came so far and it was begun anew, or taken up again from before that, "
        "which takes parity for data"
    )


def _in_a_row(asked: _Asked, reshape: Reshape, places: _Places) -> bool:
    """Tell whether there are enough places in a row, by what lies next to each that seems so, and to the position."""
    near = reshape.position // asked.length
    at_position = range(max(0, near - _NEAR), near + _NEAR + 1)
    return any(asked.row_of(number) >= _AT_POSITION for number in at_position) or any(
        asked.row_of(start // asked.length) >= _IN_A_ROW for start in places.starts
    )


def sums_left(description: ArrayDescription, images: Mapping[int, BlockSource]) -> Extents:
    """Return where a reshape never came, though its recorded position says so [array bytes]; empty: nothing tells so.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    asked, reshape = _asked(description, images), description.reshape
    if asked is None or reshape is None:
        return Extents()
    places = _look(description, asked)
    if places.n_left <= places.n_taken:
        return Extents()
    forward, cut = reshape.direction.is_forward, min(reshape.position, description.size)
    behind = list(zip(places.starts, places.left, strict=True))
    reached, n_left = 0 if forward else description.size, 0
    for start, is_left in reversed(behind) if forward else behind:  # from the position on towards the begin
        if is_left is False:
            reached = min(start + places.length, cut) if forward else max(start, cut)
            break
        n_left += is_left is True
    # elsewhere a place may look so by chance, but not one after the other where the reshape stands
    return Extents.span(*sorted((reached, cut))) if n_left >= _PLACES else Extents()


def _asked(description: ArrayDescription, images: Mapping[int, BlockSource]) -> _Asked | None:
    """Return the array, if its places can be asked."""
    reshape, sides = description.reshape, equal_sides(description)
    if reshape is None or sides is None:
        return None
    states = (State.IN_SYNC, State.RECOVERING)
    return _Asked(
        {role: images[role] for role, each in description.serving.items() if role in images and each.state in states},
        *sides,
        new_side(description, lag_limit(description)).difference(undecided_by_front(description)),
        math.gcd(reshape.before.chunk_size, reshape.after.chunk_size),
        {},
    )


def _look(description: ArrayDescription, asked: _Asked) -> _Places:
    """Look at places all over what is read in the new geometry, and around the recorded position."""
    reshape = description.reshape
    assert reshape is not None
    starts = from_begin(reshape, description.size) | around_edges(reshape, description.size, (reshape.position,))
    numbers = sorted({start // asked.length for start in starts})
    told = [asked.tell(number) for number in numbers]
    length = asked.length
    return _Places(
        [number * length for number in numbers], length, [taken for taken, _ in told], [left for _, left in told]
    )


def _pages(number: int, unit: int, served: Extents) -> Numbers:
    """Return pages of neighbouring units that lie in the new geometry [array bytes]; `number`: of so many units."""
    first = (number * _UNITS + np.arange(_UNITS, dtype=np.int64)[:, None]) * unit
    pages = np.unique(first + np.arange(_IN_UNIT) * (unit // _IN_UNIT) // PAGE * PAGE)
    around = served.clip(int(first.min()), int(first.max()) + unit)
    inside = [pages[(pages >= low) & (pages + PAGE <= high)] for low, high in around]
    return np.concatenate((pages[:0], *inside))


def _holds_page(pages: Numbers, one: Side, other: Side) -> Flags:
    """Tell in which pages' places of one geometry the other one has a page, and no sum."""
    found: Flags = other.holds(*(each[:, 0] for each in one.places(pages))) >= 0
    return found


def _are_sums(counts: Numbers, would_be: Flags) -> bool | None:
    """Tell whether pages that would be sums are unlike all others; None: there are too few, or too many kinds."""
    others, asked = counts[~would_be], counts[would_be]
    if min(len(others), len(asked)) < _FEWEST:
        return None
    files, sums = unlike_each_other(others), unlike(asked, others.sum(axis=0)[None])
    if files.max() > _ALIKE:
        return None
    spread = max(float(files.std()), _LEAST) / math.sqrt(len(sums))
    return bool(sums.mean() - files.mean() >= _SPREADS * spread and float((sums > files.max()).mean()) >= _SHARE)
