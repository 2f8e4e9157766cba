"""The zone of duplicates of a reshape: old copies behind the position, compared with their new places.

With moved data offsets the reshape leaves the old copies of what lies behind it whole until it needs their room:

    old places on a member   |.. rewritten ..|== old copies of data behind the position ==|-- old data ahead --|

Nothing writes there any more, so a copy that differs tells of a later write to the new place, of a reshape that went
further than it recorded, or of damage. Which of these it is the copies alone do not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Direction, Member
from raidfs.block import BlockSource, one_request
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.engine.rows import Rows, rows_of
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Section, Side
from raidfs.units import SECTOR, align_down

_PIECE = 64 << 10
"""Old copies are read in pieces of this size at most [bytes]."""
_WINDOW = 4 << 20
"""Array bytes that are compared together."""
MOST_RANGES = 10_000
"""Differing ranges that are kept."""

Ranges = tuple[tuple[int, int], ...]
"""(start, stop) [array bytes], ascending."""


@dataclass(frozen=True)
class Copies:
    """What was found so far.

    Attributes:
        start: of the array bytes that may be held twice [array bytes].
        stop: their end [array bytes].
        position: how far they were compared [array bytes].
        compared: bytes of which both copies could be read.
        differing: ranges whose copies differ, sector by sector; at most `MOST_RANGES`.
        differing_bytes: how much they are in all.
        overtaken: of these, bytes whose old place the reshape may have rewritten without recording it.
    """

    start: int
    stop: int
    position: int
    compared: int = 0
    differing: Ranges = ()
    differing_bytes: int = 0
    overtaken: int = 0


def copies_of(description: ArrayDescription) -> Copies | None:
    """Return the array bytes that may be held twice; None where there are none, or no reshape."""
    reshape = description.reshape
    serving = description.serving
    common = range(0 if reshape is None else min(reshape.before.raid_disks, reshape.after.raid_disks))
    shifts = [serving[role].new_data_offset - serving[role].data_offset for role in common if role in serving]
    if reshape is None or not shifts or not reshape.after.has_parity:
        return None
    front, chunk = reshape.position // reshape.after.n_data, reshape.before.chunk_size
    if reshape.direction is Direction.FORWARD:
        start = align_down(max(0, front + min(shifts)), chunk) * reshape.before.n_data
        stop = min(reshape.position, description.size)
    else:
        start = reshape.position
        stop = min(max(0, align_down(front + max(shifts), chunk) + chunk) * reshape.before.n_data, description.size)
    return Copies(start, stop, start) if start < stop else None


def compare_copies(
    description: ArrayDescription,
    members: Sequence[Member],
    flaws: Sequence[Flaw],
    sources: Sequence[BlockSource],
    array: BlockSource,
    copies: Copies,
) -> Iterator[Copies]:
    """Compare every old copy with what the array serves.

    Args:
        description: the array, in a reshape.
        members: the member of each source.
        flaws: everything known against the sources.
        sources: the members.
        array: the array as it is served; what it does not serve is not compared.
        copies: where to go on.

    Yields:
        What was found so far; the last one is the result.
    """
    if description.reshape is None:
        return
    before = description.reshape.before
    zone = zone_of(before, description.component_size)
    old = rows_of(members, flaws, Section(copies.start, copies.stop, Side.BEFORE, zone, before.raid_disks))
    piece = gcd(_PIECE, before.chunk_size)
    while copies.position < copies.stop:
        start = copies.position
        stop = min(align_down(start + _WINDOW, piece), copies.stop)
        held, trust = _read_old(old, sources, start, stop, piece)
        served = np.zeros(stop - start, dtype=np.uint8)
        lost = array.read_into(one_request(start, stop - start), served)
        for low, high in lost:
            trust[low // SECTOR : -(-high // SECTOR)] = Trust.NONE
        differs = (held.reshape(-1, SECTOR) != served.reshape(-1, SECTOR)).any(axis=1)
        copies = _add(copies, start, stop, trust, differs)
        yield copies


def _read_old(
    old: Rows, sources: Sequence[BlockSource], start: int, stop: int, piece: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the old copies of an array range.

    Returns:
        uint8 (stop - start,): the bytes. uint8 (sectors,): the trust in each sector; NONE: not read.
    """
    content = np.zeros(stop - start, dtype=np.uint8)
    trust = np.full((stop - start) // SECTOR, Trust.NONE, dtype=np.uint8)
    offsets = np.arange(start, stop, piece, dtype=np.int64)
    roles, components = old.zone.locate(offsets)
    for offset, role, component in zip(offsets.tolist(), roles.tolist(), components.tolist(), strict=True):
        lane = old.lanes[role]
        if lane is None:
            continue
        low, high = offset - start, min(offset + piece, stop) - start
        here = old.trust_of_role(role, component, (high - low) // SECTOR)
        readable = np.concatenate(([False], here <= Trust.DOUBTFUL, [False]))
        for first, last in np.flatnonzero(np.diff(readable.astype(np.int8))).reshape(-1, 2).tolist():
            begin, end = low + first * SECTOR, low + last * SECTOR
            request = one_request(lane[1] + component + begin - low, end - begin)
            lost = sources[lane[0]].read_into(request, content[begin:end])
            for gone, back in lost:
                here[first + gone // SECTOR : first - (-back // SECTOR)] = Trust.NONE
        trust[low // SECTOR : high // SECTOR] = here
    return content, trust


def _add(copies: Copies, start: int, stop: int, trust: NDArray[np.uint8], differs: NDArray[np.bool_]) -> Copies:
    compared = trust <= Trust.DOUBTFUL
    differs = differs & compared
    edges = np.flatnonzero(np.diff(np.concatenate(([False], differs, [False])).astype(np.int8))) * SECTOR + start
    ranges = list(copies.differing)
    for low, high in edges.reshape(-1, 2).tolist():
        if ranges and ranges[-1][1] == low:
            ranges[-1] = (ranges[-1][0], high)
        elif len(ranges) < MOST_RANGES:
            ranges.append((low, high))
    return replace(
        copies,
        position=stop,
        compared=copies.compared + int(compared.sum()) * SECTOR,
        differing=tuple(ranges),
        differing_bytes=copies.differing_bytes + int(differs.sum()) * SECTOR,
        overtaken=copies.overtaken + int((differs & (trust > Trust.SURE)).sum()) * SECTOR,
    )
