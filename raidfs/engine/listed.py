"""Bad-block logs that several members share, and what the parity of their rows says of them.

md has been seen to copy entries of one member's log to others, where nothing is wrong (or is any more). Where several
members list the same rows nothing can be rebuilt; but if all of a row agrees with its parity as it is, then it was
never lost. Blocks that are filled, or that are the same on two of those members, prove nothing by that: what was never
written agrees by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.block import BlockSource, read_exact
from raidfs.engine.damage import known_flaws, unread_flaws, without_healed
from raidfs.engine.rows import Judged, Rows, judge_rows, rows_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import sections_of
from raidfs.kernels.syndrome import AGREES, NOBODY
from raidfs.units import SECTOR, align_down, align_up


def disproven_entries(
    description: ArrayDescription, members: Sequence[Member], sources: Sequence[BlockSource]
) -> dict[str, Extents]:
    """Return what bad-block logs of several members list although it agrees with its parity.

    Args:
        description: the array.
        members: the member of each source.
        sources: the members.

    Returns:
        By path of the member [member bytes].

    Raises:
        SourceError: a source is gone.
    """
    bare = [replace(member, bad_blocks=Extents()) for member in members]
    known = without_healed(known_flaws(description, bare, [source.size for source in sources]), sources)
    flaws = (*known, *unread_flaws(sources, known))
    found: dict[str, Extents] = {}
    for section in sections_of(description):
        if not section.zone.table.n_parity:
            continue
        rows = rows_of(bare, flaws, section)
        for start, stop in _listed_twice(rows, members):
            for judged in judge_rows(rows, sources, start, stop):
                good = _proven(rows, judged, members, sources)
                for lane in rows.lanes:
                    if lane is not None and good:
                        member = members[lane[0]]
                        mine = good.shift(lane[1]).intersection(member.bad_blocks)
                        found[member.path] = found.get(member.path, Extents()).union(mine)
    return {path: extents for path, extents in found.items() if extents}


def _listed(rows: Rows, role: int, members: Sequence[Member]) -> Extents:
    """Return what the member of a role lists [component bytes]."""
    lane = rows.lanes[role]
    return Extents() if lane is None else members[lane[0]].bad_blocks.shift(-lane[1])


def _listed_twice(rows: Rows, members: Sequence[Member]) -> Extents:
    """Return the rows that at least two members list [component bytes], in whole sectors."""
    listed = [_listed(rows, role, members) for role in range(len(rows.lanes))]
    both = Extents().union(*(left.intersection(right) for left, right in combinations(listed, 2)))
    low, high = rows.bounds
    return Extents([(align_down(start, SECTOR), align_up(stop, SECTOR)) for start, stop in both.clip(low, high)])


def _proven(rows: Rows, judged: Judged, members: Sequence[Member], sources: Sequence[BlockSource]) -> Extents:
    """Return the sectors of a batch of rows that agree with their parity, and not by accident [component bytes]."""
    agrees = (judged.verdict == AGREES) & (judged.absent == NOBODY)
    n = len(agrees)
    data: dict[int, NDArray[np.uint8]] = {}
    inside: dict[int, NDArray[np.bool_]] = {}
    for role, lane in enumerate(rows.lanes):
        listed = _listed(rows, role, members).clip(judged.start, judged.stop).shift(-judged.start)
        if lane is None or not listed:
            continue
        data[role], there = _read(sources[lane[0]], lane[1] + judged.start, n)
        inside[role] = _sectors(listed, n)
        agrees &= there
        agrees &= ~inside[role] | (data[role] != data[role][:, :1]).any(axis=1)
    for left, right in combinations(data, 2):
        agrees &= ~(inside[left] & inside[right]) | (data[left] != data[right]).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], agrees, [False])).astype(np.int8))).reshape(-1, 2)
    return Extents(edges.astype(np.int64) * SECTOR).shift(judged.start)


def _read(source: BlockSource, offset: int, n: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read n sectors, uint8 (n, SECTOR), and say which of them are there, bool (n,); an image may have been cut."""
    there = max(0, min(n, (source.size - offset) // SECTOR))
    raw, lost = read_exact(source, offset, there * SECTOR) if there else (b"", Extents())
    data = np.zeros((n, SECTOR), dtype=np.uint8)
    data[:there] = np.frombuffer(raw, dtype=np.uint8).reshape(there, SECTOR)
    return data, (np.arange(n) < there) & ~_sectors(lost, n)


def _sectors(extents: Extents, n: int) -> NDArray[np.bool_]:
    """Return which of n sectors a set touches; bool (n,)."""
    found = np.zeros(n, dtype=bool)
    for start, stop in extents:
        found[start // SECTOR : -(-stop // SECTOR)] = True
    return found
