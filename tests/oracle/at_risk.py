"""Which old places a reshape may have overwritten beyond its recorded position: the kernel's rule, step by step.

Source: `raid5.c: reshape_request`. The kernel reshapes one step after another and insists on recording its position
only when the next step could overwrite data that a restart from the recorded one would need. So from a recorded
position, every step up to that point may have been done unrecorded. Sectors inside, bytes outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.oracle.layouts import Geometry
from tests.oracle.ranges import Range, intersection, merged, shifted

SECTOR = 512


@dataclass(frozen=True)
class Reshape:
    """A reshape as recorded.

    Attributes:
        before, after: the geometries. component_size: [bytes]. position: [array bytes]. backwards: direction.
        offsets: data_offset and new_data_offset [member bytes] of each role present.
    """

    before: Geometry
    after: Geometry
    component_size: int
    position: int
    backwards: bool
    offsets: Mapping[int, tuple[int, int]]

    @property
    def step(self) -> int:
        """Bytes of each member that the kernel reshapes at a time."""
        return max(self.before.chunk, self.after.chunk)

    @property
    def used_size(self) -> int:
        """Component bytes that take part."""
        return min(self.component_size // g.chunk * g.chunk for g in (self.before, self.after))

    @property
    def size(self) -> int:
        """Array bytes during the reshape."""
        return min(self.before.capacity(self.used_size), self.after.capacity(self.used_size))


def insists(reshape: Reshape, progress: int) -> bool:
    """Whether the kernel, come to `progress` [array bytes], records its position before it goes on."""
    step = reshape.step // SECTOR
    old_disks, new_disks = reshape.before.data_disks, reshape.after.data_disks
    write_position = progress // SECTOR // new_disks
    read_position = progress // SECTOR // old_disks
    safe_position = reshape.position // SECTOR // old_disks
    moves = [(new - old) // SECTOR for old, new in reshape.offsets.values()]
    if reshape.backwards:
        write_position -= step
        read_position += step
        safe_position += step
        move = min(moves)
    else:
        write_position += step
        read_position -= min(step, read_position)
        safe_position -= min(step, safe_position)
        move = max(moves)
    if move < 0:
        safe_position -= move
        read_position -= move
    else:
        write_position += move
    if reshape.backwards:
        return safe_position > write_position and read_position < write_position
    return safe_position < write_position and read_position > write_position


def furthest_progress(reshape: Reshape) -> int:
    """How far the reshape may have come without recording it (p_max, or p_min backwards) [array bytes]."""
    advance = reshape.step * reshape.after.data_disks
    end = 0 if reshape.backwards else reshape.used_size // reshape.step * advance
    progress = reshape.position
    while progress != end and not insists(reshape, progress):
        progress += -advance if reshape.backwards else advance
        if not min(reshape.position, end) <= progress <= max(reshape.position, end):
            return end
    return progress


def overwritten(reshape: Reshape) -> dict[int, Range]:
    """The member bytes, by role, that steps beyond the recorded position may have written."""
    start, stop = sorted((reshape.position, furthest_progress(reshape)))
    disks = reshape.after.data_disks
    return {
        role: (new + start // disks, new + stop // disks)
        for role, (_, new) in reshape.offsets.items()
        if role < reshape.after.raid_disks and start < stop
    }


def at_risk_places(reshape: Reshape) -> dict[int, list[Range]]:
    """The member bytes, by role, of old stripes with data ahead of the position that may have been overwritten.

    Parity counts as well as data. In the stripe that holds the position, only data cells' bytes ahead of it count.
    """
    window = overwritten(reshape)
    found: dict[int, list[Range]] = {role: [] for role in reshape.offsets}
    for row in range(reshape.used_size // reshape.before.chunk):
        for role, start, stop in _needed_cells(reshape, row):
            if role in window:
                place = shifted([(start, stop)], reshape.offsets[role][0])
                found[role] += intersection(place, [window[role]])
    return {role: merged(ranges) for role, ranges in found.items() if ranges}


def at_risk_data(reshape: Reshape) -> list[Range]:
    """The array bytes ahead of the position whose own old place may have been overwritten."""
    window = overwritten(reshape)
    chunk = reshape.before.chunk
    found: list[Range] = []
    for number in range(reshape.size // chunk):
        row, k = divmod(number, reshape.before.data_disks)
        role = reshape.before.stripe(row).data[k]
        if role in window:
            to_array = number * chunk - row * chunk - reshape.offsets[role][0]
            ahead = _ahead(reshape, number * chunk)
            found += intersection(ahead, shifted([window[role]], to_array))
    return merged(found)


def _ahead(reshape: Reshape, chunk_start: int) -> list[Range]:
    """The part of an old chunk that lies ahead of the position, within the array [array bytes]."""
    ahead = (0, reshape.position) if reshape.backwards else (reshape.position, reshape.size)
    return intersection([(chunk_start, chunk_start + reshape.before.chunk)], [ahead])


def _needed_cells(reshape: Reshape, row: int) -> list[tuple[int, int, int]]:
    """Role and component range of each cell of an old stripe that bytes ahead of the position may need."""
    chunk = reshape.before.chunk
    stripe = reshape.before.stripe(row)
    cells = []
    for k, role in enumerate(stripe.data):
        array_start = (row * reshape.before.data_disks + k) * chunk
        cells += [
            (role, start - array_start + row * chunk, stop - array_start + row * chunk)
            for start, stop in _ahead(reshape, array_start)
        ]
    if cells:
        parity = (stripe.p,) if stripe.q is None else (stripe.p, stripe.q)
        cells += [(role, row * chunk, (row + 1) * chunk) for role in parity]
    return cells
