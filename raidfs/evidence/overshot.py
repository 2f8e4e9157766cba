"""Whether the reshape came as far as its recorded position says, by the old places of pages just behind it.

What the reshape moved last still lies at its old place, too, for the new geometry has not come there yet:

    members   |== new geometry ==|-- old copies of what is behind the position --|-- old geometry --|
                                 ^ where the recorded position lies

Behind a position that is right both places hold the same, but for what was written since: and that is seldom all of
what was moved last. Where the reshape never came, the new place of a page holds another page in its old place.

The reshape may have gone on without record, and over old copies. Such a place holds the page that it puts there, which
still lies at its own old place, too; so that is told from what was left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raidfs.array.description import ArrayDescription, Direction, State
from raidfs.block import BlockSource
from raidfs.evidence.cells import Flags, Ids
from raidfs.evidence.contents import contents_at
from raidfs.evidence.moves import Side, whole_pages
from raidfs.evidence.window import PAGE, Numbers
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of

_PAGES = 32
"""Neighbouring pages that are looked at together."""
_NEAR = 8
"""Places next to the position at which some are looked at, before they lie ever further apart."""
_RATIO = 1.25
"""By what the distance from the position grows, then."""
_ENOUGH = 128
"""Different contents of old places that are not at the new ones, to tell: users may have written some of them."""
_PROOFS = 8
"""Different contents that are the same at both places, to tell that the reshape came there."""
_SEVERAL = 2
"""Members that they lie on."""
_TIMES = 8
"""So many times fewer are the same: files hold the same more than once."""
_FEW = 2
"""Pages that are the same at one place, and as many as are not, where the reshape has been."""


@dataclass(frozen=True, eq=False)
class _Looked:
    """Pages behind the position.

    Attributes:
        number: int64 (k,): at which place each is, counted from the position on.
        ids: uint64 (k,): what lies in its old place.
        role: int64 (k,): on which member.
        is_same: bool (k,): its new place holds that, too.
        is_other: bool (k,): it does not.
    """

    number: Numbers
    ids: Ids
    role: Numbers
    is_same: Flags
    is_other: Flags


def overshot(description: ArrayDescription, images: Mapping[int, BlockSource]) -> Extents:
    """Return where a reshape never came, though its recorded position says so [array bytes]; empty: nothing tells so.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None or not _is_comparable(description):
        return Extents()
    starts = _starts(description)
    looked = _look(description, images, starts)
    counts = [np.bincount(looked.number[which], minlength=len(starts)) for which in (looked.is_same, looked.is_other)]
    moved = np.flatnonzero((counts[0] >= _FEW) & (counts[0] >= counts[1]))
    reached = int(moved[0]) if len(moved) else len(starts)
    here = looked.is_other & (looked.number < reached)
    n_same = int((looked.is_same & (looked.number < reached)).sum())
    n_other = len(np.unique(looked.ids[here]))
    if n_other < _ENOUGH or n_other < _TIMES * n_same or len(np.unique(looked.role[here])) < _SEVERAL:
        return Extents()
    cut = min(reshape.position, description.size)
    if reshape.direction is Direction.FORWARD:
        return Extents.span(starts[reached] if reached < len(starts) else 0, cut)
    return Extents.span(cut, starts[reached] + _PAGES * PAGE if reached < len(starts) else description.size)


def came_there(description: ArrayDescription, images: Mapping[int, BlockSource]) -> bool:
    """Tell whether pages just behind the recorded position prove that the reshape came there.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    if description.reshape is None or not _is_comparable(description):
        return False
    looked = _look(description, images, _starts(description))
    n_same = len(np.unique(looked.ids[looked.is_same]))
    return n_same >= _PROOFS and n_same >= _TIMES * int(looked.is_other.sum())


def _is_comparable(description: ArrayDescription) -> bool:
    """Tell whether all is in whole pages, and nothing but near or offset copies."""
    moves = [each.new_data_offset - each.data_offset for each in description.serving.values()]
    lengths = (*(shape.chunk_size for shape in description.shapes), *moves)
    zones = [zone_of(shape, description.component_size) for shape in description.shapes]
    return bool(moves) and not any(each % PAGE for each in lengths) and not any(z.table.region.any() for z in zones)


def _starts(description: ArrayDescription) -> list[int]:
    """Return where some pages are looked at, from the position on towards where the reshape began [array bytes]."""
    reshape = description.reshape
    assert reshape is not None
    unit, cut = _PAGES * PAGE, min(reshape.position, description.size) // PAGE * PAGE
    way = cut if reshape.direction is Direction.FORWARD else description.size - cut
    found = [each // PAGE * PAGE for each in distances(unit, way)]
    return [cut - each if reshape.direction is Direction.FORWARD else cut + each - unit for each in found]


def distances(unit: int, way: int) -> list[int]:
    """Return distances to look at, up to some length: first next to each other, then ever further apart."""
    far = [float(unit * (number + 1)) for number in range(_NEAR)]
    while far[-1] < way:
        far.append(far[-1] * _RATIO)
    return [int(each) for each in far if each <= way]


def _look(description: ArrayDescription, images: Mapping[int, BlockSource], starts: list[int]) -> _Looked:
    """Compare the new places of pages with their old ones, where these were not written over."""
    reshape = description.reshape
    assert reshape is not None
    serving = description.serving
    old = Side(
        zone_of(reshape.before, description.component_size), {role: each.data_offset for role, each in serving.items()}
    )
    new = Side(
        zone_of(reshape.after, description.component_size),
        {role: each.new_data_offset for role, each in serving.items()},
    )
    runs = [whole_pages(start, _PAGES, description.size) for start in starts]
    pages = np.concatenate([np.zeros(0, dtype=np.int64), *runs])
    number = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    whole = {role: image for role, image in images.items() if serving[role].state is not State.DAMAGED}
    held = {role: image for role, image in whole.items() if serving[role].state is State.IN_SYNC}
    roles, offsets = (each[:, 0] for each in old.places(pages))
    put = new.holds(roles, offsets)  # what the reshape puts in their old places, when it comes there
    ahead = (put >= reshape.position) if reshape.direction is Direction.FORWARD else (put + PAGE <= reshape.position)
    ahead &= (put >= 0) | (not reshape.after.has_parity)  # in place of no page it puts parity, or nothing
    ends = np.zeros(max(new.start) + 1, dtype=np.int64)
    ends[[*new.start]] = [start + new.zone.component_stop for start in new.start.values()]
    ahead |= (roles < len(ends)) & (offsets >= ends[np.minimum(roles, len(ends) - 1)])  # it never comes there
    pages, number, put, roles, offsets = (each[ahead] for each in (pages, number, put, roles, offsets))
    ids = contents_at(held, roles, offsets)
    theirs = np.zeros_like(ids)  # behind the end of the old geometry it puts zeros, or nothing
    moved = (put >= 0) & (put + PAGE <= description.size)
    theirs[moved] = contents_at(held, *(each[:, 0] for each in old.places(put[moved])))
    mine = contents_at(whole, *(new.places(pages)))
    is_left = (ids != 0) & (ids != theirs)
    is_same = is_left & (mine == ids[:, None]).any(axis=1)
    return _Looked(number, ids, roles, is_same, is_left & ~is_same & _is_read(whole, *new.places(pages)))


def _is_read(images: Mapping[int, BlockSource], role: Numbers, offset: Numbers) -> Flags:
    """Tell of which pages at least one place can be had."""
    found = np.zeros(role.shape, dtype=np.bool_)
    for each in np.unique(role).tolist():
        image = images.get(each)
        here = role == each
        found[here] = False if image is None else (offset[here] >= 0) & (offset[here] + PAGE <= image.size)
    return np.asarray(found.any(axis=1))
