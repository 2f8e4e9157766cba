"""Whether a reshape was begun anew over what an earlier run had moved: pages in the stead of which others are read.

A reshape writes over old places, as it comes to them. Let y be the page that it puts where page x lay in the old
geometry. A second run from the begin finds y there, takes it for x, and moves it to the new place of x:

    old place of x = new place of y   |  y: the earlier run was here
    new place of x                    |  y: the second run took it for x
    new place of y, or its old one    |  y, unless these were taken for something else in turn

So as the array is read, x and y are the same; also where the second run did not come to, as what it finds there in the
old place of x is y. In one run they are two pages, whether both are read from new places or both from old ones. (Where
x is read from its new place and y from its old one, the place that they share is still as it was: that tells nothing.)
This needs no redundancy, so that it holds for RAID10 as well, and with members missing. It holds for an earlier run to
*another* geometry, too: there y is what that one put in the old place of x.

Where the earlier run had moved y itself from a place that was intact still, y is found as y. So the pages that tell
form a band: it ends where the earlier run wrote over the last old place, and is as wide as x and y are apart. It is
looked for at places that lie ever further from where such bands begin or end, and all over the array.

Copies of a file are the same as well. So pages must be found at several distances, moved from several members, and what
occurs elsewhere is no evidence. Nor is what is as often the same as what lies as far away on the other side, where no
run of a reshape would have taken it from: there it is the content that repeats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from raidfs.array.description import ArrayDescription, Reshape, State
from raidfs.array.shape import Shape
from raidfs.block import BlockSource
from raidfs.errors import GeometryError, InconsistentDescription
from raidfs.evidence.bands import PAGES, around_edges, around_one, for_width, from_begin
from raidfs.evidence.cells import Flags, Ids
from raidfs.evidence.contents import contents_at
from raidfs.evidence.moves import Side, come_from, goes_to, whole_pages
from raidfs.evidence.window import NOTHING, PAGE, Numbers
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side as Place
from raidfs.geometry.reshape import sections_of, undecided_by_front

_ENOUGH = 8
"""Different contents in the stead of others that tell."""
_SHARE = 0.75
"""Of the pages at one place that could be in the stead of others so many are."""
_FEW = 4
"""Pages at one place that could be, at least."""
_SEVERAL = 2
"""Distances between the pages, and members that they were moved from."""
_MORE = 4
"""By so many, at least, such places outnumber those where pages are the same as what lies as far on the other side."""
_EDGES = 2
"""Places where the geometry changes, from the begin and from the end of the array, around which more are looked at."""
_BANDS = 8
"""Places that tell, around which more are looked at."""
_OTHERS = 3
"""Other geometries have as many members more or fewer."""


@dataclass(frozen=True, eq=False)
class _Reading:
    """The array as it is read.

    Attributes:
        description: the array, with the front of its reshape.
        images: by role, of the members that count.
        filled: the same, and of members that the reshape itself fills: what it has written there counts.
        old, new: its geometries.
    """

    description: ArrayDescription
    images: Mapping[int, BlockSource]
    filled: Mapping[int, BlockSource]
    old: Side
    new: Side

    @cached_property
    def bounds(self) -> tuple[Numbers, Flags]:
        """Where sections begin, and whether each is on the new side."""
        sections = sections_of(self.description)
        starts = np.array([section.array_start for section in sections], dtype=np.int64)
        return starts, np.array([section.side is Place.AFTER for section in sections], dtype=np.bool_)

    @cached_property
    def undecided(self) -> Extents:
        """Where it is not known which geometry holds [array bytes]."""
        assert self.description.reshape is not None
        return undecided_by_front(self.description).union(self.description.reshape.disputed)

    def is_new(self, pages: Numbers) -> Flags:
        """Tell which pages are read from their new places; where that is not known it is the old ones."""
        starts, new = self.bounds
        found: Flags = new[np.searchsorted(starts, pages, side="right") - 1] & self.is_decided(pages)
        return found

    def is_decided(self, pages: Numbers) -> Flags:
        """Tell of which pages the geometry is known."""
        if not self.undecided:
            return np.ones(pages.shape, dtype=np.bool_)
        start, stop = self.undecided.array.T
        span = np.searchsorted(start, pages, side="right") - 1
        found: Flags = (span < 0) | (pages >= stop[span])
        return found

    def is_whole(self, pages: Numbers) -> Flags:
        """Tell which pages lie in the array, and in one geometry."""
        starts = self.bounds[0]
        stops = np.append(starts[1:], self.description.size)
        found: Flags = (pages >= 0) & (pages + PAGE <= stops[np.searchsorted(starts, pages, side="right") - 1])
        return found

    def contents(self, pages: Numbers) -> Ids:
        """Number the contents of all copies of pages; uint64 (k, copies): 0 where it is unknown or tells nothing."""
        is_new = self.is_new(pages)
        found = np.zeros((len(pages), max(self.old.n_copies, self.new.n_copies)), dtype=np.uint64)
        for side, images, here in ((self.old, self.images, ~is_new), (self.new, self.filled, is_new)):
            role, offset = side.places(pages[here])
            found[here, : role.shape[1]] = contents_at(images, role, offset)
        return found


@dataclass(frozen=True, eq=False)
class _Looked:
    """Pages at some places; (k,) each.

    Attributes:
        pages: [array bytes], ascending. number: at which of the places each is.
        ids: uint64 (k, copies): what they hold, 0 where it is unknown or tells nothing.
    """

    pages: Numbers
    number: Numbers
    ids: Ids

    def only(self, starts: Collection[int]) -> _Looked:
        """Return those at some places [array bytes]."""
        first = np.flatnonzero(np.diff(self.number, prepend=-1))
        here = np.isin(self.pages[first], list(starts))[np.cumsum(np.diff(self.number, prepend=-1) != 0) - 1]
        return _Looked(self.pages[here], self.number[here], self.ids[here])


@dataclass(frozen=True, eq=False)
class _Compared:
    """Pages x, and the pages y that an earlier run put in their old places; (k,) each, (k, copies) in `twin`.

    Attributes:
        number: at which of the places that are looked at it is.
        ids: what it holds.
        far: how far y lies from x, where both are the same.
        role: of the old place of x.
        is_told: it could be compared.
        is_twin: it is the same as y.
    """

    number: Numbers
    ids: Ids
    far: Numbers
    role: Numbers
    is_told: Flags
    is_twin: Flags

    def telling(self) -> Numbers:
        """Return the numbers of places where most pages are in the stead of others."""
        n = int(self.number.max(initial=-1)) + 1
        told = np.bincount(self.number[self.is_told], minlength=n)
        twins = np.bincount(self.number[self.is_twin], minlength=n)
        return np.flatnonzero((told >= _FEW) & (twins >= _SHARE * told))

    def distances(self) -> dict[int, int]:
        """Return at how many places that tell pages are in the stead of others, by how far these lie [bytes]."""
        found = self.is_twin & np.isin(self.number, self.telling())
        pairs = np.unique(np.stack((self.number[found], np.abs(self.far[found]))), axis=1)
        far, times = np.unique(pairs[1], return_counts=True)
        return dict(zip(far.tolist(), times.tolist(), strict=True))

    def proves(self) -> bool:
        """Tell whether enough pages are in the stead of others."""
        found = self.is_twin & np.isin(self.number, self.telling())
        return (
            len(np.unique(self.ids[found])) >= _ENOUGH
            and len(np.unique(self.far[found])) >= _SEVERAL
            and len(np.unique(self.role[found])) >= _SEVERAL
        )


def moved_twice(description: ArrayDescription, images: Mapping[int, BlockSource]) -> str:
    """Say that pages are read in the stead of others, as a second run of a reshape leaves them, one sentence; or ''.

    Args:
        description: the array, with the front of its reshape.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None or not _is_comparable(description, reshape):
        return ""
    state = {role: member.state for role, member in description.serving.items()}
    reading = _Reading(
        description,
        {role: image for role, image in images.items() if state[role] is State.IN_SYNC},
        {role: image for role, image in images.items() if state[role] in (State.IN_SYNC, State.RECOVERING)},
        _side(description, reshape.before, "data_offset"),
        _side(description, reshape.after, "new_data_offset"),
    )
    size, begun = description.size, from_begin(reshape, description.size)
    starts = begun | around_edges(reshape, size, _edges(reading, reshape))
    if reshape.before.raid_disks == reshape.after.raid_disks:
        starts |= for_width(reshape, size, _width(reading))
    looked = _look(reading, starts)
    looked = _look(reading, starts | _around_bands(_compare(reading, reading.new, looked), looked, size))
    if _proves(reading, reading.new, looked):
        return (
            f"pages were moved from places that had been written over before (recorded position: {reshape.position}): "
            "an earlier run came so far and it was begun anew, which moves data twice, or the recorded position is "
            "wrong"
        )
    looked = looked.only(begun)
    for shape, side in _others(description, reshape):
        if _proves(reading, side, looked):
            return (
                f"pages were moved from places that a reshape to another geometry ({shape}) had written over before: "
                "an earlier run came so far and another reshape was begun over it, which moves data twice"
            )
    return ""


def _is_comparable(description: ArrayDescription, reshape: Reshape) -> bool:
    """Tell whether all is in whole pages, and nothing but near or offset copies."""
    shapes = (reshape.before, reshape.after)
    moves = [member.new_data_offset - member.data_offset for member in description.serving.values()]
    return (
        bool(moves)
        and not any(length % PAGE for length in (*(shape.chunk_size for shape in shapes), *moves))
        and all(
            shape.has_parity or not zone_of(shape, description.component_size).table.region.any() for shape in shapes
        )
    )


def _side(description: ArrayDescription, shape: Shape, offset: str) -> Side:
    starts = {role: int(getattr(member, offset)) for role, member in description.serving.items()}
    return Side(zone_of(shape, description.component_size), starts)


def _others(description: ArrayDescription, reshape: Reshape) -> Iterator[tuple[Shape, Side]]:
    """Yield the geometries to which an earlier reshape may have gone: with other members, its data moved or not."""
    # a reshape in place needs a backup, which there is none of for RAID10
    may_stay = reshape.after.has_parity and any(
        member.new_data_offset != member.data_offset for member in description.serving.values()
    )
    around = range(max(1, reshape.after.raid_disks - _OTHERS), reshape.after.raid_disks + _OTHERS + 1)
    for raid_disks in around:
        if raid_disks in (reshape.before.raid_disks, reshape.after.raid_disks):
            continue
        try:
            shape = replace(reshape.after, raid_disks=raid_disks)
            sides = [_side(description, shape, "new_data_offset")]
            sides += [_side(description, shape, "data_offset")] if may_stay else []
        except (GeometryError, InconsistentDescription):
            continue  # there is no such array
        yield from ((shape, side) for side in sides)


def _look(reading: _Reading, starts: Collection[int]) -> _Looked:
    """Look at the pages from some places on."""
    runs = [whole_pages(start, PAGES, reading.description.size) for start in sorted(starts)]
    pages = np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)
    number = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    return _Looked(pages, number, reading.contents(pages))


def _around_bands(found: _Compared, looked: _Looked, size: int) -> set[int]:
    """Return places around those that tell: a band can be so narrow that only one or two lie in it."""
    places: set[int] = set()
    for number in found.telling().tolist()[:_BANDS]:
        here = found.number == number
        width = abs(int(np.median(found.far[here & found.is_twin])))
        places |= around_one(int(looked.pages[here].min()), width, size)
    return places


def _proves(reading: _Reading, earlier: Side, looked: _Looked) -> bool:
    """Tell whether pages are read in the stead of others as a run to a geometry would have them, and not by chance."""
    found = _compare(reading, earlier, looked)
    if not found.proves():
        return False
    mine, others = found.distances(), _compare(reading, earlier, looked, across=True).distances()
    return sum(max(0, n - others.get(far, 0)) for far, n in mine.items()) >= _MORE


def _compare(reading: _Reading, earlier: Side, looked: _Looked, *, across: bool = False) -> _Compared:
    """Compare pages with what an earlier run to a geometry put in their old places.

    Args:
        reading: the array.
        earlier: the geometry.
        looked: the pages.
        across: with what lies as far away on the other side instead.
    """
    pages, ids = looked.pages, looked.ids
    roles, others = goes_to(pages, reading.old, earlier)
    others = np.where(others >= 0, 2 * pages[:, None] - others, NOTHING) if across else others
    # where it is not known whether y was moved its old place holds y, or what was moved there; but never x
    is_told = (reading.is_whole(pages) & reading.is_decided(pages))[:, None]
    is_told = is_told & reading.is_whole(others) & (others != pages[:, None])
    is_told &= (ids != 0).any(axis=1)[:, None] & ~_are_one(reading, pages, others)
    twins = np.zeros((*others.shape, ids.shape[1]), dtype=np.uint64)
    twins[is_told] = reading.contents(others[is_told])
    often = _found_often(ids, pages, twins, others)
    alike = (ids[:, None, :, None] == twins[:, :, None, :]) & (ids != 0)[:, None, :, None]
    same = alike.any(axis=(2, 3))
    is_seen = (twins != 0).any(axis=(1, 2))
    once = ~np.isin(ids, often).any(axis=1)
    which = same.argmax(axis=1)
    at = np.arange(len(pages))
    return _Compared(
        number=looked.number,
        ids=ids.max(axis=1, initial=0),
        far=others[at, which] - pages,
        role=roles[at, which],
        is_told=is_seen & once,
        is_twin=same.any(axis=1) & is_seen & once,
    )


def _are_one(reading: _Reading, pages: Numbers, others: Numbers) -> Flags:
    """Tell which pages are read from the place from which another one is: in place, two may change theirs; (k, n)."""
    found = np.zeros(others.shape, dtype=np.bool_)
    for column in range(others.shape[1]):
        there = np.flatnonzero(reading.is_new(pages) & (others[:, column] >= 0) & ~reading.is_new(others[:, column]))
        mine, theirs = reading.new.places(pages[there]), reading.old.places(others[there, column])
        same = [m[:, :, None] == t[:, None, :] for m, t in zip(mine, theirs, strict=True)]
        found[there, column] = (same[0] & same[1]).any(axis=(1, 2))
    return found


def _found_often(ids: Ids, pages: Numbers, twins: Ids, others: Numbers) -> Ids:
    """Return contents that lie in more pages than where one is in the stead of others."""
    held = np.concatenate((ids.reshape(-1), twins.reshape(-1)))
    where = np.concatenate((np.repeat(pages, ids.shape[1]), np.repeat(others, twins.shape[2])))
    pairs = np.unique(np.stack((held, where.astype(np.uint64))), axis=1)
    contents, times = np.unique(pairs[0], return_counts=True)
    found: Ids = contents[(times > 1 + others.shape[1]) & (contents != 0)]
    return found


def _width(reading: _Reading) -> int:
    """Return how wide a band is at least, by how far the members' data are moved [array bytes]."""
    moves = [abs(reading.new.start[role] - reading.old.start[role]) for role in reading.new.start]
    return min(moves, default=0) * reading.new.zone.table.n_data


def _edges(reading: _Reading, reshape: Reshape) -> set[int]:
    """Return where the geometry changes, and what an earlier run would have put there."""
    starts = reading.bounds[0].tolist()
    edges = {reshape.position, *starts[:_EDGES], *starts[-_EDGES:]}
    return edges | {each for edge in edges for each in _put_from(edge, reading, reshape.after)}


def _put_from(edge: int, reading: _Reading, shape: Shape) -> list[int]:
    """Return the first and the last of the pages in whose old places pages around an edge are put."""
    around = edge // PAGE * PAGE + np.arange(-shape.raid_disks, shape.raid_disks + 1) * shape.chunk_size
    found = come_from(around[around >= 0], reading.old, reading.new)
    return [int(found.min()), int(found.max())] if len(found) else []
