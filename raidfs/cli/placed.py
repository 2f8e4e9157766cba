"""A member read in place of what the others give for it: where do its data begin, by them?

What the others give is read through the array without the member; what it holds is read from its image as it is, for
an engine that sees it would repair it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction, Member, State
from raidfs.array.shape import Shape
from raidfs.block import BlockSource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side, at_risk_bytes
from raidfs.geometry.zone import Zone
from raidfs.image.patient import TimedSource

_PAGE = 4096
"""What is compared as a whole [bytes]."""
_PLACES = 256
"""Places all over a side of the member that are compared."""
_WINDOW = 16 << 10
"""How much is read at each of them, at most [bytes]."""
_ENOUGH = 8
"""Pages that are wrong by one offset, or right by another, to tell."""
_TIMES = 8
"""By the right offset so many times fewer pages are wrong: some may be damaged."""


@dataclass(frozen=True)
class Told:
    """What the others say of where the data of a member begin.

    Attributes:
        right: where they do [member bytes]; None: nothing tells.
        is_disproved: they do not begin where its superblock says.
    """

    right: int | None
    is_disproved: bool


@dataclass(frozen=True)
class Part:
    """What of an array has one geometry, by what is recorded.

    Attributes:
        side: which.
        shape: its shape.
        where: [array bytes]; what may be in the other geometry is left out.
    """

    side: Side
    shape: Shape
    where: Extents

    def start(self, member: Member) -> int:
        """Where it begins on a member, as that says [member bytes]."""
        return member.new_data_offset if self.side is Side.AFTER else member.data_offset

    def is_held_by(self, member: Member) -> bool:
        """Tell whether a member may hold any of it: one that a reshape fills never held the old geometry."""
        return self.side is not Side.BEFORE or member.state is not State.RECOVERING


def parts_of(description: ArrayDescription) -> tuple[Part, ...]:
    """Return the one part of an array, or the two of one that is reshaped."""
    reshape, everything = description.reshape, Extents.span(0, description.size)
    if reshape is None:
        return (Part(Side.ONLY, description.shape, everything),)
    cut = min(reshape.position, description.size)
    below, beyond = everything.clip(0, cut), everything.clip(cut, description.size)
    old, new = (beyond, below) if reshape.direction is Direction.FORWARD else (below, beyond)
    old = old.difference(at_risk_bytes(description).union(reshape.disputed))
    return (
        Part(Side.BEFORE, reshape.before, old),
        Part(Side.AFTER, reshape.after, new.difference(reshape.disputed)),
    )


@dataclass(frozen=True, eq=False)
class _Expected:
    """Pages that a member should hold: int64 (k,) [component bytes], uint8 (k, 4096)."""

    at: NDArray[np.int64]
    pages: NDArray[np.uint8]

    def count(self, image: BlockSource, start: int, bad: Extents) -> tuple[int, int]:
        """Count the pages that are wrong, and that are right, on a member whose data begin somewhere [member bytes].

        What holds nothing tells nothing: it may never have been copied.
        """
        at = self.at + start
        inside = (at >= 0) & (at + _PAGE <= image.size)
        for low, high in bad:
            inside &= (at >= high) | (at + _PAGE <= low)
        at, expected = at[inside], self.pages[inside]
        held = np.zeros_like(expected)
        requests = np.stack((at, np.full_like(at, _PAGE), np.arange(len(at)) * _PAGE), axis=1)
        is_held = np.ones(len(at), dtype=np.bool_)
        for low, high in image.read_into(requests, held.reshape(-1)):
            is_held[low // _PAGE : -(-high // _PAGE)] = False
        is_held &= (held != held[:, :1]).any(axis=1)
        same = (held == expected).all(axis=1)
        return int((is_held & ~same).sum()), int((is_held & same).sum())


def asked(
    description: ArrayDescription,
    member: Member,
    part: Part,
    others: Iterable[int],
    images: Mapping[str, BlockSource],
    patience: float,
) -> Told:
    """Ask the other members where the data of one begin.

    Args:
        description: the array, in which the others are enough.
        member: of it.
        part: of it.
        others: where its data may begin as well [member bytes].
        images: by path.
        patience: seconds that a member may take to answer.

    Raises:
        SourceError: a member is gone.
    """
    expected = _expected(description, member, part, images, patience)
    image = TimedSource(member.path, images[member.path], patience)
    own = part.start(member)
    n_wrong, n_right = expected.count(image, own, member.bad_blocks)
    if n_wrong < _ENOUGH:
        return Told(own if n_right >= _ENOUGH else None, is_disproved=False)
    found = []
    for start in sorted({*others} - {own}):
        wrong, right = expected.count(image, start, member.bad_blocks)
        if right >= _ENOUGH and _TIMES * wrong <= n_wrong:
            found.append(start)
    return Told(found[0] if len(found) == 1 else None, is_disproved=n_wrong > n_right)


def _expected(
    description: ArrayDescription, member: Member, part: Part, images: Mapping[str, BlockSource], patience: float
) -> _Expected:
    """Read what the others give for pages all over a part of a member."""
    from raidfs.engine.array_source import ArraySource

    zone = zone_of(part.shape, description.component_size)
    window = max(_PAGE, min(part.shape.chunk_size or _WINDOW, _WINDOW) // _PAGE * _PAGE)
    at, array_at = _places(zone, part, member, window)
    pages = np.zeros(len(at) * window, dtype=np.uint8)
    is_there = np.ones(len(pages), dtype=np.bool_)
    others = tuple(
        each for each in description.serving.values() if each.path != member.path and each.state is not State.DAMAGED
    )
    without = replace(description, members=others)
    requests = np.stack((array_at, np.full_like(at, window), np.arange(len(at)) * window), axis=1)
    sources = [(each, images[each.path]) for each in without.sources]
    with closing(ArraySource(without, sources, Policy(doubtful=True), watch=False, patience=patience)) as array:
        for start, stop in array.read_into(requests, pages):
            is_there[start:stop] = False
    known = is_there.reshape(-1, _PAGE).all(axis=1)
    inside = np.arange(0, window, _PAGE, dtype=np.int64)
    return _Expected((at[:, None] + inside).reshape(-1)[known], pages.reshape(-1, _PAGE)[known])


def _places(zone: Zone, part: Part, member: Member, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where data of a part lie on a member, all over it; int64 (k,) each: [component bytes], [array bytes]."""
    ranges, size = part.where.array, zone.array_stop - zone.array_start
    end = zone.component_stop if not zone.region_size else zone.region_size * (int(zone.table.region.max()) + 1)
    if member.recovered_to is not None:
        end = min(end, member.recovered_to) if part.side is not Side.BEFORE else 0
    if not len(ranges):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first, last = 0, end
    if not zone.region_size:  # its rows are those of the array
        first, last = (min(end, int(bound) * zone.component_stop // size) for bound in (ranges[0, 0], ranges[-1, 1]))
    unit = part.shape.chunk_size or window
    # not the same row of every period, which might hold nothing but parity
    steps = np.arange(_PLACES) % zone.table.rows_per_period
    chunks = np.unique(np.linspace(first // unit, last // unit, _PLACES, dtype=np.int64) + steps)
    found = []
    for chunk in chunks.tolist():
        array_at = zone.locate_inverse(member.role or 0, chunk * unit)
        if 0 <= array_at and chunk * unit + window <= end and part.where.contains(array_at, array_at + window):
            found.append((chunk * unit, array_at))
    both = np.array(found, dtype=np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()
