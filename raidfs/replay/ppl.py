"""The parity that partial parity logs prove: of the stripes that were being written when the array stopped.

An entry names the data that were being modified. The parity of a row is the XOR of these, as they are on the members
now, and of the entry's partial parity, which is the XOR of all others. Where one of several modified data is missing
nobody knows which of the others arrived: the row stays as it is, and is unproven. Where the only modified one is
missing the old parity is as good as the new one. Reference: `raid5-ppl.c: ppl_recover_entry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raidfs.extents import Extents
from raidfs.geometry.zone import Zone
from raidfs.linear import piece_of
from raidfs.replay.patch import Component, Patch
from raidfs.superblock.ppl import PartialParity, PartialParityLog
from raidfs.units import SECTOR


@dataclass(frozen=True)
class Proven:
    """What the logs of an array say.

    Attributes:
        patches: parity, by role.
        unproven: rows of entries for which parity could not be worked out [component bytes].
        complete: at least one entry was used, and none of the logs was damaged: md would call the array clean.
        problems: (role, what is wrong with its log), one clause each.
    """

    patches: tuple[Patch, ...]
    unproven: Extents
    complete: bool
    problems: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of one entry, by sector.

    Attributes:
        height: int64 (n,): where each lies [component bytes].
        role: int64 (k, n): which role each modified datum is on.
        active: bool (k, n): whether it is modified in this row.
    """

    height: NDArray[np.int64]
    role: NDArray[np.int64]
    active: NDArray[np.bool_]


def replay_ppl(zone: Zone, logs: Mapping[int, PartialParityLog], components: Mapping[int, Component]) -> Proven:
    """Work out what the logs prove.

    Args:
        zone: geometry of the RAID5.
        logs: by role of the member that holds it.
        components: by role; what is missing here counts as not readable.

    Raises:
        SourceError: a source is gone.
    """
    patches: list[Patch] = []
    unproven: list[Extents] = []
    problems: list[tuple[int, str]] = []
    n_used = 0
    for role, log in sorted(logs.items()):
        if log.problem:
            problems.append((role, log.problem))
            continue
        for number, entry in enumerate(log.entries):
            rows = _rows_of(zone, entry) if entry.intact and entry.parity_role == role else None
            if rows is None:
                problems.append(
                    (role, f"entry {number} of its partial parity log (generation {log.generation}) is damaged")
                )
                continue
            n_used += 1
            parity, known, lost = _parity(rows, entry, components)
            unproven.append(Extents(_ranges(rows.height, lost)))
            patches += [
                Patch(role, piece_of(start, parity[at : at + stop - start].tobytes()))
                for at, start, stop in _runs(rows.height, known)
            ]
    return Proven(tuple(patches), Extents().union(*unproven), n_used > 0 and not problems, tuple(problems))


def _rows_of(zone: Zone, entry: PartialParity) -> _Rows | None:
    """Find the rows of an entry; None: it makes no sense."""
    chunk, n_data = zone.chunk_size, zone.table.n_data
    if entry.pp_size >= chunk:
        n_modified, height = n_data, chunk
        last = entry.data_offset + entry.data_size
    else:  # the same part of each chunk
        if entry.data_offset % chunk + (entry.pp_size or entry.data_size // n_data) > chunk:
            return None
        n_modified = entry.data_size // entry.pp_size if entry.pp_size else n_data
        height = entry.pp_size or entry.data_size // n_data
        last = entry.data_offset + (n_modified - 1) * chunk + height
    sane = 0 < n_modified <= n_data and 0 < height <= chunk and height % SECTOR == 0 and entry.pp_size in (0, height)
    if not sane or not zone.array_start <= entry.data_offset < last <= zone.array_stop:
        return None
    step = np.arange(0, height, SECTOR, dtype=np.int64)
    place = entry.data_offset + step + np.arange(n_modified, dtype=np.int64)[:, None] * chunk
    active = place < last
    role, component = zone.locate(np.minimum(place, zone.array_stop - SECTOR).reshape(-1))
    role, component = role.reshape(place.shape), component.reshape(place.shape)
    first = component[0]
    same_row = ((component == first) | ~active).all()
    stripe = (place // zone.stripe_size == entry.data_offset // zone.stripe_size) | ~active
    parity = _parity_roles(zone, first)
    if not same_row or not stripe.all() or (parity != entry.parity_role).any():
        return None
    return _Rows(first, role, active)


def _parity_roles(zone: Zone, component: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return who holds the parity of each row; int64 (n,)."""
    table = zone.table
    column = np.argmax(table.symbol == table.n_data, axis=1)
    by_row = table.role[np.arange(table.period), column].astype(np.int64)
    parity: NDArray[np.int64] = by_row[(component - zone.component_start) // zone.chunk_size % table.period]
    return parity


def _parity(
    rows: _Rows, entry: PartialParity, components: Mapping[int, Component]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Work out the parity of an entry's rows.

    Returns:
        uint8 (n * 512,); bool (n,): where it is known; bool (n,): where it is not proven, one of several being missing.
    """
    n = len(rows.height)
    parity = np.zeros(n * SECTOR, dtype=np.uint8)
    if entry.pp_size:
        parity[:] = np.frombuffer(entry.parity, dtype=np.uint8)
    missing = np.zeros(n, dtype=bool)
    for role, active in zip(rows.role, rows.active, strict=True):
        for at, start, stop in _runs(rows.height, active, role):
            component = components.get(int(role[at // SECTOR]))
            if component is None:
                missing[at // SECTOR : (at + stop - start) // SECTOR] = True
                continue
            data, lost = component.read(start, stop)
            parity[at : at + len(data)] ^= data
            for low, high in lost.shift(at):
                missing[low // SECTOR : -(-high // SECTOR)] = True
    n_modified = rows.active.sum(axis=0)
    return parity, (n_modified > 0) & ~missing, (n_modified > 1) & missing


def _runs(
    height: NDArray[np.int64], wanted: NDArray[np.bool_], role: NDArray[np.int64] | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield (position in the entry's bytes, start, stop [component bytes]) of neighbouring rows that are wanted."""
    edges = (np.diff(height) != SECTOR) | (np.diff(wanted.astype(np.int8)) != 0)
    if role is not None:
        edges |= np.diff(role) != 0
    cuts = [0, *(np.flatnonzero(edges) + 1).tolist(), len(height)]
    for low, high in pairwise(cuts):
        if wanted[low]:
            start = int(height[low])
            yield low * SECTOR, start, start + (high - low) * SECTOR


def _ranges(height: NDArray[np.int64], wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    return [(start, stop) for _, start, stop in _runs(height, wanted)]
