"""Where new parity ends and old parity begins: the recorded reshape position against what the members hold.

Behind the position the new rows satisfy the new parity. Ahead of it lies what the old geometry left there, of which the
old parity of the same place tells, where the two geometries have not the same members (parity of the same members over
the same bytes is the same sum). A row in which both hold, such as one of zeros, tells nothing. Nothing is decided here:
it is a report, for whoever wonders whether the position is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape
from raidfs.block import BlockSource
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.engine.rows import Rows, judge_rows, rows_of
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Section, Side
from raidfs.kernels.syndrome import AGREES, UNCHECKED
from raidfs.units import SECTOR, align_down

_PAGE = 4096
"""The kernel's unit: one stripe of its cache is a page high [component bytes]."""
LOOKED_AT = 16 << 20
"""Rows ahead of the position that are looked at [component bytes]."""


@dataclass(frozen=True)
class Seam:
    """What parity says of the rows ahead of the position, in units of 4096 component bytes.

    Attributes:
        position: as recorded [array bytes].
        looked_at: how many component bytes ahead of it were looked at.
        new_until: new parity holds in every row up to there [array bytes of the new geometry]; equal to `position`
            where it fails at once; None: new parity cannot be computed.
        certain_until: of these, how far a row is found in which old parity fails [array bytes]; `position`: none.
        old_from: in the first row ahead of the position where old parity holds and new parity fails [array bytes];
            None: there is none.
        neither: component bytes, of those looked at, in which neither holds.
        tells: some row distinguishes the geometries at all.
    """

    position: int
    looked_at: int
    new_until: int | None
    certain_until: int
    old_from: int | None
    neither: int
    tells: bool


def find_seam(
    description: ArrayDescription, members: Sequence[Member], flaws: Sequence[Flaw], sources: Sequence[BlockSource]
) -> Seam | None:
    """Look at the rows ahead of the position; None: there is no reshape.

    Args:
        description: the array.
        members: the member of each source.
        flaws: everything known against the sources.
        sources: the members.

    Raises:
        SourceError: a source is gone.
    """
    reshape = description.reshape
    if reshape is None or not reshape.after.has_parity:
        return None
    start, stop = _window(description, reshape)
    new_rows = _rows(description, members, flaws, Side.AFTER)
    new, new_known = _pages(new_rows, sources, start, stop)
    shifts = {
        member.new_data_offset - member.data_offset
        for role, member in description.serving.items()
        if role < min(reshape.before.raid_disks, reshape.after.raid_disks)
    }
    old, old_known = np.zeros(len(new), dtype=np.bool_), np.zeros(len(new), dtype=np.bool_)
    if len(shifts) == 1:
        old_rows = _rows(description, members, flaws, Side.BEFORE)
        shift = shifts.pop()
        old, old_known = _pages(old_rows, sources, start + shift, stop + shift)
    if reshape.direction is Direction.BACKWARD:
        new, new_known, old, old_known = new[::-1], new_known[::-1], old[::-1], old_known[::-1]
    return _seam(reshape, stop - start, (new, new_known), (old, old_known))


def _window(description: ArrayDescription, reshape: Reshape) -> tuple[int, int]:
    """Return the rows of the new geometry that lie just ahead of the position [component bytes]."""
    chunk = reshape.after.chunk_size
    front, end = reshape.position // reshape.after.n_data, align_down(description.component_size, chunk)
    if reshape.direction is Direction.FORWARD:
        return front, max(front, min(front + LOOKED_AT, end))
    return max(0, front - LOOKED_AT), front


def _rows(description: ArrayDescription, members: Sequence[Member], flaws: Sequence[Flaw], side: Side) -> Rows:
    assert description.reshape is not None
    shape = description.reshape.after if side is Side.AFTER else description.reshape.before
    zone = zone_of(shape, description.component_size)
    return rows_of(members, flaws, Section(0, description.size, side, zone, shape.raid_disks))


def _pages(
    rows: Rows, sources: Sequence[BlockSource], start: int, stop: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell for each page of [start, stop) whether parity holds, and whether that can be known.

    Returns:
        Twice bool ((stop - start) / 4096,); pages outside the geometry are unknown.
    """
    zone = rows.zone
    end = (zone.array_stop - zone.array_start) // zone.stripe_size * zone.chunk_size
    low, high = min(max(start, 0), end), min(max(stop, 0), end)
    verdict = np.full((stop - start) // SECTOR, UNCHECKED, dtype=np.int16)
    if low < high:
        for judged in judge_rows(rows, sources, low, high, Trust.DOUBTFUL):
            verdict[(judged.start - start) // SECTOR : (judged.stop - start) // SECTOR] = judged.verdict
    pages = verdict[: len(verdict) // (_PAGE // SECTOR) * (_PAGE // SECTOR)].reshape(-1, _PAGE // SECTOR)
    holds: NDArray[np.bool_] = (pages == AGREES).all(axis=1)
    known: NDArray[np.bool_] = (pages != UNCHECKED).all(axis=1)
    return holds, known


def _seam(
    reshape: Reshape,
    looked_at: int,
    new: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    old: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> Seam:
    """Read the seam from pages in the order of travel, each as (parity holds, that can be known)."""
    new_fails = new[1] & ~new[0]
    old_fails = old[1] & ~old[0]
    n_new = int(np.argmax(new_fails)) if new_fails.any() else len(new_fails)
    known = int(np.argmin(new[1])) if not new[1].all() else len(new_fails)
    n_new = min(n_new, known)
    certain = np.flatnonzero(old_fails[:n_new])
    ahead = np.flatnonzero(new_fails & old[0])
    return Seam(
        position=reshape.position,
        looked_at=looked_at,
        new_until=_array_bytes(reshape, n_new) if len(new[1]) and new[1][0] else None,
        certain_until=_array_bytes(reshape, int(certain[-1]) + 1 if len(certain) else 0),
        old_from=_array_bytes(reshape, int(ahead[0])) if len(ahead) else None,
        neither=int((new_fails & old_fails).sum()) * _PAGE,
        tells=bool((new_fails & old[0]).any() or (new[0] & old_fails).any()),
    )


def _array_bytes(reshape: Reshape, n_pages: int) -> int:
    """Return the progress at so many pages ahead of the position [array bytes]."""
    ahead = n_pages * _PAGE * reshape.after.n_data
    return reshape.position + (ahead if reshape.direction is Direction.FORWARD else -ahead)
