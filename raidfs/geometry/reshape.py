"""An array in the middle of a reshape: two geometries, cut at the position; and what the cut cannot tell for sure.

    forward                                              backward
    array    0 ........ position ........ size           0 ........ position ........ size
                after  |    before                          before |    after

The new geometry is written over the members from one end. On disk the recorded position may lag behind what was really
written; the kernel bounds the lag so that old data stay whole, except where it relies on a backup. `lag_limit` follows
its rule; rows that may have been rewritten without record are the *at-risk rows*. Where there are none the recorded
position is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction, Reshape
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of, zones_of
from raidfs.geometry.standing import RowStates, likely_bytes, new_side, row_states, undecided_bytes
from raidfs.geometry.zone import Zone
from raidfs.units import SECTOR, align_down

_STEPS_AT_ONCE = 1 << 16
"""Steps of the kernel's loop that are examined together."""


class Side(Enum):
    """Which geometry a section has; the value is its name in reports."""

    ONLY = "only"
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Section:
    """A run of the array in which one geometry is in force.

    Attributes:
        array_start, array_stop: [array bytes]; not necessarily at stripe borders.
        side: which geometry.
        zone: the geometry, which itself covers the whole component.
        raid_disks: number of its roles.
        strays: copies of it may not be where it has them, but for the first of each; see `raidfs.array.strays`.
    """

    array_start: int
    array_stop: int
    side: Side
    zone: Zone
    raid_disks: int
    strays: bool = False


def sections_of(description: ArrayDescription) -> tuple[Section, ...]:
    """Cut the array at its reshape position, or as the evidence about the front says.

    Raises:
        GeometryError: a shape is impossible.
    """
    size = description.size
    reshape = description.reshape
    if reshape is None:
        shape = description.shape
        zones = zones_of(shape, description.component_sizes)
        strays = description.strays is not None
        return tuple(
            Section(zone.array_start, zone.array_stop, Side.ONLY, zone, shape.raid_disks, strays) for zone in zones
        )
    new = _recorded_side(reshape, size) if reshape.front is None else new_side(description, lag_limit(description))
    shapes = {Side.BEFORE: reshape.before, Side.AFTER: reshape.after}
    runs = [(start, stop, Side.AFTER) for start, stop in new]
    runs += [(start, stop, Side.BEFORE) for start, stop in Extents.span(0, size).difference(new)]
    return tuple(
        Section(
            start,
            stop,
            side,
            zone_of(shapes[side], description.component_size),
            shapes[side].raid_disks,
            strays=side is Side.AFTER and description.strays is not None,
        )
        for start, stop, side in sorted(runs, key=lambda run: run[0])
    )


def _recorded_side(reshape: Reshape, size: int) -> Extents:
    """Return what the new geometry serves by the recorded position alone [array bytes]."""
    cut = min(reshape.position, size)
    return Extents.span(0, cut) if reshape.direction is Direction.FORWARD else Extents.span(cut, size)


def before_section(description: ArrayDescription) -> Section:
    """Return the old geometry of a reshape, over the whole array.

    Raises:
        GeometryError: the old shape is impossible.
    """
    assert description.reshape is not None
    before = description.reshape.before
    return Section(0, description.size, Side.BEFORE, zone_of(before, description.component_size), before.raid_disks)


def after_section(description: ArrayDescription) -> Section:
    """Return the new geometry of a reshape, over the whole array.

    Raises:
        GeometryError: the new shape is impossible.
    """
    assert description.reshape is not None
    after, strays = description.reshape.after, description.strays is not None
    zone = zone_of(after, description.component_size)
    return Section(0, description.size, Side.AFTER, zone, after.raid_disks, strays)


def rows_of_reshape(description: ArrayDescription) -> RowStates | None:
    """Sort the rows of the new geometry by what is known of them; None: there is no reshape."""
    return None if description.reshape is None else row_states(description, lag_limit(description))


def rewritten_rows(description: ArrayDescription) -> Extents:
    """Return the rows that certainly hold the new geometry [component bytes of the new geometry]."""
    rows = rows_of_reshape(description)
    return Extents() if rows is None else rows.written


def at_risk_rows(description: ArrayDescription) -> Extents:
    """Return the rows that the kernel may have rewritten without record [component bytes of the new geometry].

    Bounded by `lag_limit`, and by what is proven; on a member of the new geometry, what lies there may be old or new.
    """
    rows = rows_of_reshape(description)
    return Extents() if rows is None else rows.open.union(rows.likely_written)


def recorded_rows(description: ArrayDescription) -> Extents:
    """Return the rows that hold anything of the new geometry, as recorded [component bytes of the new geometry].

    Of a RAID10 the position may lie within a row; what belongs to array bytes on its new side is there all the same.
    """
    reshape = description.reshape
    if reshape is None:
        return Extents()
    whole, touched = reshape.after.rows_below(reshape.position)
    return Extents.span(whole, touched).union(rewritten_rows(description))


def touched_rows(description: ArrayDescription) -> Extents:
    """Return the rows that hold anything of the new geometry, or may [component bytes of the new geometry]."""
    return recorded_rows(description).union(at_risk_rows(description))


def undecided_by_front(description: ArrayDescription) -> Extents:
    """Return the array bytes whose place the front leaves open [array bytes].

    Where the data were not asked: all whose old place, or its stripe, the kernel may have rewritten without record.
    """
    if description.reshape is None:
        return Extents()
    if description.reshape.front is None:
        return at_risk_bytes(description)
    return undecided_bytes(description, lag_limit(description))


def likely_by_front(description: ArrayDescription) -> Extents:
    """Return the array bytes whose place the front tells, but not for sure [array bytes]."""
    if description.reshape is None or description.reshape.front is None:
        return Extents()
    return likely_bytes(description, lag_limit(description))


def at_risk_bytes(description: ArrayDescription) -> Extents:
    """Return the old-geometry array bytes whose own place, or whose stripe, touches the at-risk rows [array bytes].

    The recorded position alone is looked at. Empty: it is exact.
    """
    reshape = description.reshape
    if reshape is None:
        return Extents()
    before = reshape.before
    low, high = sorted((reshape.position, lag_limit(description)))
    if low == high:
        return Extents()
    rows = Extents.span(low // reshape.after.n_data, high // reshape.after.n_data)
    touched = [
        rows.shift(member.new_data_offset - member.data_offset)
        for role, member in description.serving.items()
        if role < min(before.raid_disks, reshape.after.raid_disks)
    ]
    stripes = [
        (align_down(max(start, 0), before.chunk_size), stop + -stop % before.chunk_size)
        for start, stop in Extents().union(*touched)
        if stop > 0
    ]
    data = [(start * before.n_data, stop * before.n_data) for start, stop in stripes]
    old = (reshape.position, description.size) if reshape.direction is Direction.FORWARD else (0, reshape.position)
    return Extents(data).clip(*old)


def lag_limit(description: ArrayDescription) -> int:
    """Return how far the reshape can have come while the recorded position is what it is [array bytes].

    The kernel steps by whole new stripes and insists on recording the position as soon as the next step would destroy
    old data that a restart from the recorded one needs (`raid5.c: reshape_request`). It reckons with the room between
    old and new data offsets only if the array was started with it (`raid5_run`), not if the reshape began on the
    running array (`raid5_start_reshape` leaves min_offset_diff as it was: 0). Which of the two it was nobody knows, so
    the further one counts.

    Returns:
        Forward: an upper bound >= position; backward: a lower bound <= position.
    """
    reshape = description.reshape
    if reshape is None:
        return description.size
    if reshape.after.moves_exactly:
        return reshape.position
    limits = [_rule_limit(description, reshape, shift) for shift in {0, _offset_shift(description, reshape)}]
    return max(limits) if reshape.direction is Direction.FORWARD else min(limits)


def _rule_limit(description: ArrayDescription, reshape: Reshape, shift: int) -> int:
    """Step on from the recorded position until the kernel's rule stops."""
    forward = reshape.direction is Direction.FORWARD
    step = max(reshape.before.chunk_size, reshape.after.chunk_size) * reshape.after.n_data
    end = align_down(description.component_size * reshape.after.n_data, step) if forward else 0
    if forward and reshape.position >= end:
        return reshape.position
    n_steps = abs(end - reshape.position) // step
    for first in range(0, n_steps + 1, _STEPS_AT_ONCE):
        ahead = np.arange(first, min(first + _STEPS_AT_ONCE, n_steps + 1), dtype=np.int64) * step
        progress = reshape.position + (ahead if forward else -ahead)
        stops = _insists(reshape, progress, shift)
        if stops.any():
            return int(progress[int(np.argmax(stops))])
    return end


def _offset_shift(description: ArrayDescription, reshape: Reshape) -> int:
    """The kernel's `min_offset_diff` over the members: the least room in the direction of travel [bytes, signed]."""
    shifts = [member.new_data_offset - member.data_offset for member in description.serving.values()]
    if not shifts:
        return 0
    return max(shifts) if reshape.direction is Direction.FORWARD else min(shifts)


def _insists(reshape: Reshape, progress: NDArray[np.int64], shift: int) -> NDArray[np.bool_]:
    """Tell at which progress [array bytes] the kernel would record the position before going on (`reshape_request`)."""
    rows = max(reshape.before.chunk_size, reshape.after.chunk_size)
    old, new = reshape.before.n_data, reshape.after.n_data
    if reshape.direction is Direction.FORWARD:
        write = _per_member(progress, new) + rows
        read = np.maximum(0, _per_member(progress, old) - rows)
        safe = np.maximum(0, _per_member(np.int64(reshape.position), old) - rows)
    else:
        write = _per_member(progress, new) - rows
        read = _per_member(progress, old) + rows
        safe = _per_member(np.int64(reshape.position), old) + rows
    if shift < 0:
        read, safe = read - shift, safe - shift
    else:
        write = write + shift
    if reshape.direction is Direction.FORWARD:
        return (safe < write) & (read > write)
    return (safe > write) & (read < write)


def _per_member(array_bytes: NDArray[np.int64] | np.int64, n_data: int) -> NDArray[np.int64]:
    """Divide as the kernel does, in whole sectors."""
    return np.asarray(array_bytes // SECTOR // n_data * SECTOR, dtype=np.int64)
