"""Whether a reshape of a RAID10 came further than its recorded position allows; see `raidfs.evidence.restarted`.

The kernel records its position before it writes over old data that a restart from the recorded one would read
(`raid10.c: reshape_request`). So from the place on where it must have recorded another one nothing is written, and what
lies there are chunks of the old geometry:

    new place of page x |  page x: it was copied  | another page, or what a new member happens to hold: it was not

Whoever holds page x at its new place, and at its old one that is not overwritten yet, was there. So were those whose
copies agree in the new geometry, and do not in the old one. A few places are looked at all over the array: where the
old places behind the true position are overwritten, and the copies lie side by side in both geometries, nothing tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Reshape, State
from raidfs.block import BlockSource
from raidfs.evidence.window import PAGE, Numbers
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.zone import Zone

_SPREAD = 128
"""Places that are looked at."""
_PAGES = 16
"""Pages at each of them."""
_ENOUGH = 8
"""Different contents that were moved; a user may have written some of them twice."""
_SLACK = 2
"""Chunks that are left out behind the kernel's bound."""


@dataclass(frozen=True, eq=False)
class _Side:
    """One geometry on the members.

    Attributes:
        zone: the geometry.
        start: by role, where the component begins in it [member bytes].
    """

    zone: Zone
    start: Mapping[int, int]

    def places(self, pages: Numbers) -> tuple[Numbers, Numbers]:
        """Return role and component offset of all copies of array pages; int64 (k, copies) each."""
        zone, table = self.zone, self.zone.table
        stripe, inside = np.divmod(pages - zone.array_start, zone.chunk_size)
        period, row = np.divmod(stripe, table.period)
        height = (period * table.rows_per_period)[:, None] + table.row[row].astype(np.int64)
        height = zone.component_start + height * zone.chunk_size + table.region[row].astype(np.int64) * zone.region_size
        return table.role[row].astype(np.int64), height + inside[:, None]

    def holds(self, role: int, offset: int) -> int:
        """Return the array byte that lies at an offset of a member [member bytes]; below 0: none."""
        return self.zone.locate_inverse(role, offset - self.start[role])


@dataclass(frozen=True, eq=False)
class _Copies:
    """Reads pages of members.

    Attributes:
        images: by role, of those whose data count.
    """

    images: Mapping[int, BlockSource]

    def read(self, side: _Side, role: Numbers, offset: Numbers) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read pages at component offsets; returns uint8 (..., 4096), and bool (...): which could be read."""
        content = np.zeros((role.size, PAGE), dtype=np.uint8)
        known = np.zeros(role.size, dtype=np.bool_)
        for each in np.unique(role).tolist():
            image = self.images.get(each)
            at = offset.reshape(-1) + side.start.get(each, 0)
            here = np.flatnonzero(role.reshape(-1) == each)
            here = here[:0] if image is None else here[(at[here] >= 0) & (at[here] + PAGE <= image.size)]
            if image is None or not len(here):
                continue
            data = np.zeros(len(here) * PAGE, dtype=np.uint8)
            requests = np.stack((at[here], np.full(len(here), PAGE), np.arange(len(here)) * PAGE), axis=1)
            known[here] = True
            for low, high in image.read_into(requests.astype(np.int64), data):
                known[here[low // PAGE : -(-high // PAGE)]] = False
            content[here] = data.reshape(-1, PAGE)
        return content.reshape(*role.shape, PAGE), known.reshape(role.shape)


def copied_too_far(description: ArrayDescription, images: Mapping[int, BlockSource]) -> str:
    """Say that pages were copied which the recorded position of a reshape does not reach, one sentence; '': none.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None or not reshape.after.moves_exactly or not description.serving:
        return ""
    if any(shape.chunk_size % PAGE for shape in (reshape.before, reshape.after)):
        return ""
    serving = description.serving
    able = {role: image for role, image in images.items() if serving[role].state is State.IN_SYNC}
    new = _Side(zone_of(reshape.after, description.component_size), {r: m.new_data_offset for r, m in serving.items()})
    old = _Side(zone_of(reshape.before, description.component_size), {r: m.data_offset for r, m in serving.items()})
    found: dict[bytes, int] = {}
    for start in _starts(description, reshape):
        pages = np.arange(start, min(start + _PAGES * PAGE, description.size - PAGE + 1), PAGE, dtype=np.int64)
        pages = pages[_is_beyond(description, reshape, new.places(pages)[1])]
        found |= _moved(pages, new, old, _Copies(able)) if len(pages) else {}
    if len(found) < _ENOUGH:
        return ""
    reached = max(found.values()) if reshape.direction.is_forward else min(found.values())
    return (
        f"pages that the reshape cannot have come to at its recorded position ({reshape.position}) were copied to "
        f"their new places, at about array byte {reached} for one: an earlier run came so far and it was begun anew, "
        "which moves data twice, or the recorded position is wrong"
    )


def _starts(description: ArrayDescription, reshape: Reshape) -> range:
    """Return the places that are looked at [array bytes]."""
    start = -(-reshape.position // PAGE) * PAGE if reshape.direction.is_forward else 0
    stop = description.size if reshape.direction.is_forward else reshape.position
    step = max(_PAGES, (stop - start) // PAGE // _SPREAD) * PAGE
    return range(start, max(start, stop), step)


def _is_beyond(description: ArrayDescription, reshape: Reshape, height: Numbers) -> NDArray[np.bool_]:
    """Tell which pages cannot have been written yet by where they go; int64 (k, copies) [component bytes]."""
    moves = [member.data_offset - member.new_data_offset for member in description.serving.values()]
    slack = _SLACK * max(shape.chunk_size * shape.n_copies for shape in (reshape.before, reshape.after))
    whole, touched = reshape.before.rows_below(reshape.position)
    if reshape.direction.is_forward:
        return np.asarray((height >= whole + max(moves) + slack).all(axis=1))
    return np.asarray((height + PAGE <= touched + min(moves) - slack).all(axis=1))


def _moved(pages: Numbers, new: _Side, old: _Side, copies: _Copies) -> dict[bytes, int]:
    """Return the contents that were moved for sure, and of which page [array bytes]."""
    places = [side.places(pages) for side in (new, old)]
    (here, is_here), (there, is_there) = (
        copies.read(side, *place) for side, place in zip((new, old), places, strict=True)
    )
    found: dict[bytes, int] = {}
    for number, page in enumerate(pages.tolist()):
        cells, olds = here[number][is_here[number]], there[number][is_there[number]]
        if not len(cells) or not len(olds) or (cells != cells[0]).any() or not _is_varied(cells[0]):
            continue
        spots = [
            (int(role), int(offset) + new.start[int(role)])
            for role, offset, known in zip(places[0][0][number], places[0][1][number], is_here[number], strict=True)
            if known
        ]
        held = [old.holds(*spot) for spot in spots]  # by the old geometry
        # what a member held before it was added is none of this reshape's work
        is_copied = page not in held and max(held) >= 0 and (olds == cells[0]).all()
        is_paired = len(set(held)) > 1 and len(cells) > 1 and len(olds) > 1 and bool((olds != olds[0]).any())
        if is_copied or is_paired:
            found[cells[0].tobytes()] = page
    return found


def _is_varied(page: NDArray[np.uint8]) -> bool:
    """Tell whether a page is no repetition of one sector."""
    sectors = page.reshape(-1, 512)
    return bool((sectors != sectors[0]).any())
