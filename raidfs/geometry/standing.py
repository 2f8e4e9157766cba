"""Which geometry holds each byte of an array in the middle of a reshape, and how sure that is.

What is known of the front is known of rows. A byte of the array lies in one row by its new place, and in another by its
old one:

    new place: worth what its row is worth as a written one       old place: worth what its row is worth as one left
    written  likely written  open, likely left  left              left  likely left  open, likely written  written
    SURE     LIKELY          OPEN               NOT               SURE  LIKELY       OPEN                  NOT

The better place serves it. Members that the new geometry no longer has are never rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction, Reshape
from raidfs.array.front import Front
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.zone import Zone


class Standing(IntEnum):
    """What is known of whether rows hold a geometry; ordered."""

    SURE = 0
    LIKELY = 1
    OPEN = 2
    NOT = 3


@dataclass(frozen=True)
class RowStates:
    """All rows of the new geometry by what is known of them [component bytes of the new geometry]; disjoint.

    Attributes:
        written: hold the new geometry.
        likely_written, open, likely_left: see `raidfs.array.front`.
        left: hold what they held before the reshape.
    """

    written: Extents
    likely_written: Extents
    open: Extents
    likely_left: Extents
    left: Extents

    def as_new(self) -> tuple[tuple[Extents, Standing], ...]:
        """Return the rows by what they are worth for the new geometry."""
        return (
            (self.written, Standing.SURE),
            (self.likely_written, Standing.LIKELY),
            (self.open.union(self.likely_left), Standing.OPEN),
            (self.left, Standing.NOT),
        )

    def as_old(self) -> tuple[tuple[Extents, Standing], ...]:
        """Return the rows by what they are worth for the old geometry."""
        return (
            (self.left, Standing.SURE),
            (self.likely_left, Standing.LIKELY),
            (self.open.union(self.likely_written), Standing.OPEN),
            (self.written, Standing.NOT),
        )


def row_states(description: ArrayDescription, limit: int) -> RowStates:
    """Sort the rows of an array in a reshape.

    Args:
        description: the array, in a reshape.
        limit: how far the reshape can have come at most, by the kernel's rule [array bytes].
    """
    reshape = _reshape(description)
    n_data, position = reshape.after.n_data, reshape.position
    everything = Extents.span(0, description.component_size)
    whole, touched = reshape.after.rows_below(position)
    forward = reshape.direction is Direction.FORWARD
    recorded = everything.clip(0, whole) if forward else everything.clip(touched, description.component_size)
    low, high = sorted((position, limit))
    window = Extents.span(low // n_data, high // n_data).intersection(everything) if low < high else Extents()
    front = Front(cut=position) if reshape.front is None else reshape.front
    known = [front.written, front.likely_written, front.likely_left, front.left]
    written, likely_written, likely_left, left = (window.intersection(each) for each in known)
    rest = everything.difference(recorded).difference(window)
    undecided = window.difference(written.union(likely_written, likely_left, left))
    return RowStates(recorded.union(written), likely_written, undecided, likely_left, left.union(rest))


def new_side(description: ArrayDescription, limit: int) -> Extents:
    """Return the array bytes that the new geometry serves; the old one serves the rest."""
    new, old = _standings(description, limit)
    reshape = _reshape(description)
    cut = reshape.position if reshape.front is None else reshape.front.cut
    forward = reshape.direction is Direction.FORWARD
    behind = Extents.span(0, cut) if forward else Extents.span(cut, description.size)
    served = Extents()
    for mine, others in zip(new, _and_better(old), strict=True):
        served = served.union(mine.difference(others))
    ties = [here.intersection(there) for here, there in zip(new, old, strict=True)]
    guessed = ties[Standing.OPEN].union(ties[Standing.NOT]).intersection(behind)
    return served.union(ties[Standing.SURE], ties[Standing.LIKELY], guessed).clip(0, description.size)


def undecided_bytes(description: ArrayDescription, limit: int, *, even_if_likely: bool = False) -> Extents:
    """Return the array bytes of which it is not known which of their places holds them, if any [array bytes].

    Args:
        description: the array, in a reshape.
        limit: see `row_states`.
        even_if_likely: also where both places hold the same, though that proves nothing.
    """
    new, old = _standings(description, limit)
    bad_new = new[Standing.OPEN].union(new[Standing.NOT])
    bad_old = old[Standing.OPEN].union(old[Standing.NOT])
    found = bad_new.intersection(bad_old).clip(0, description.size)
    front = _reshape(description).front
    if front is None:
        return found
    return found.difference(front.agreed if even_if_likely else front.agreed.union(front.likely_agreed))


def likely_bytes(description: ArrayDescription, limit: int) -> Extents:
    """Return the array bytes of which the front is likely, but not proven [array bytes]."""
    new, old = _standings(description, limit)
    front = _reshape(description).front
    agreed = Extents() if front is None else front.agreed
    likely = new[Standing.LIKELY].difference(old[Standing.SURE])
    likely = likely.union(old[Standing.LIKELY].difference(new[Standing.SURE]))
    if front is not None:
        undecided = undecided_bytes(description, limit, even_if_likely=True)
        likely = likely.union(undecided.intersection(front.likely_agreed))
    return likely.difference(agreed).clip(0, description.size)


def cells_of(zone: Zone, extents: Extents) -> dict[int, Extents]:
    """Return where the data symbols of array bytes lie, by role [component bytes]."""
    start, stop = pieces(extents.clip(zone.array_start, zone.array_stop), zone.chunk_size)
    if not len(start):
        return {}
    role, offset = zone.locate(start)
    ranges = np.stack((offset, offset + stop - start), axis=1)
    return {int(each): Extents(ranges[role == each]) for each in np.unique(role)}


def data_of(zone: Zone, rows: Mapping[int, Extents]) -> Extents:
    """Return the array bytes whose own cells lie in given rows.

    Args:
        zone: a geometry whose stripes each lie at one height.
        rows: by role [component bytes].
    """
    chunk, table = zone.chunk_size, zone.table
    roles = sorted({*table.role.reshape(-1).tolist()})
    whole = rows.get(roles[0], Extents())
    for role in roles[1:]:
        if rows.get(role, Extents()) != whole:
            whole = whole.intersection(rows.get(role, Extents()))
    ranges = np.stack((-(-whole.array[:, 0] // chunk), whole.array[:, 1] // chunk), axis=1)  # whole stripes
    whole_stripes = ranges[ranges[:, 0] < ranges[:, 1]]
    found = [whole_stripes * zone.stripe_size]
    rest_by_role: dict[Extents, Extents] = {}
    for role, extents in rows.items():
        if extents not in rest_by_role:
            rest_by_role[extents] = extents.difference(Extents(whole_stripes * chunk)).clip(0, zone.component_stop)
        found.append(_data_at(zone, role, rest_by_role[extents]))
    return Extents(np.concatenate(found) + zone.array_start)


def _data_at(zone: Zone, role: int, extents: Extents) -> NDArray[np.int64]:
    """Return the data that component bytes of one role hold, from the zone's start; int64 (k, 2)."""
    table = zone.table
    start, stop = pieces(extents, zone.chunk_size)
    stripe, inside = np.divmod(start, zone.chunk_size)
    column = (table.role == role).argmax(axis=1)
    symbol = np.take_along_axis(table.symbol, column[:, None], axis=1)[:, 0].astype(np.int64)[stripe % table.period]
    first = stripe * zone.stripe_size + symbol * zone.chunk_size + inside
    found: NDArray[np.int64] = np.stack((first, first + stop - start), axis=1)[symbol < table.n_data]
    return found


def pieces(extents: Extents, chunk: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut ranges at chunk borders: starts and stops, int64 (k,) each."""
    ranges = extents.array
    first, last = ranges[:, 0] // chunk, -(-ranges[:, 1] // chunk)
    counts = last - first
    number = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    low = (np.repeat(first, counts) + number) * chunk
    start = np.maximum(low, np.repeat(ranges[:, 0], counts))
    return start, np.minimum(low + chunk, np.repeat(ranges[:, 1], counts))


def _standings(description: ArrayDescription, limit: int) -> tuple[list[Extents], list[Extents]]:
    """Return the array bytes by what their new place is worth, and by what their old one is worth."""
    reshape, states = _reshape(description), row_states(description, limit)
    after = zone_of(reshape.after, description.component_size)
    before = zone_of(reshape.before, description.component_size)
    shifts = _shifts(description)
    everything = Extents.span(0, description.component_size)
    new = [data_of(after, dict.fromkeys(range(reshape.after.raid_disks), rows)) for rows, _ in states.as_new()]
    old = [
        data_of(
            before,
            {
                role: _old_rows(role, rows, standing, shifts, reshape, everything)
                for role in range(reshape.before.raid_disks)
            },
        )
        for rows, standing in states.as_old()
    ]
    return new, old


def _old_rows(
    role: int, rows: Extents, standing: Standing, shifts: Mapping[int, int], reshape: Reshape, everything: Extents
) -> Extents:
    """Return rows of the new geometry as component bytes of the old one."""
    if role >= reshape.after.raid_disks:
        return everything if standing is Standing.SURE else Extents()
    shift = shifts[role]
    moved = rows.shift(shift).intersection(everything)
    if standing is not Standing.SURE:
        return moved
    # what no new row reaches is left, too
    beyond = everything.difference(everything.shift(shift))
    return moved.union(beyond)


def _shifts(description: ArrayDescription) -> dict[int, int]:
    """Return by role what is to be added to a new component offset to get the old one of the same place.

    Where the member is missing, what the others say: mdadm moves all alike.
    """
    known = {role: member.new_data_offset - member.data_offset for role, member in description.serving.items()}
    others = next(iter(known.values()), 0)
    return {role: known.get(role, others) for role in range(description.n_roles)}


def _and_better(extents: list[Extents]) -> list[Extents]:
    """Return, for each standing, the bytes that have it or a better one."""
    found, total = [], Extents()
    for each in extents:
        total = total.union(each)
        found.append(total)
    return found


def _reshape(description: ArrayDescription) -> Reshape:
    assert description.reshape is not None
    return description.reshape
