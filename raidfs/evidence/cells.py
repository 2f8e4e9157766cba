"""Reads single cells of an array in a reshape, and numbers their contents so that equal ones are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import State
from raidfs.block import BlockSource
from raidfs.evidence.forms import terms_of
from raidfs.evidence.looks import multiply
from raidfs.evidence.window import PAGE, Numbers, Window
from raidfs.units import SECTOR

SECTORS = PAGE // SECTOR
"""Sectors of a page."""
_READ_AT_ONCE = 256
"""Rows of a member that are asked for in one request at most."""
Ids = NDArray[np.uint64]
"""Numbers of contents: equal for equal ones; 0 for zeros."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sampled:
    """Contents of pages: their numbers (...), and some bytes of each (..., 256)."""

    ids: Ids
    samples: NDArray[np.uint8]

    def __getitem__(self, index: Any) -> Sampled:
        """Return some of them."""
        return Sampled(self.ids[index], self.samples[index])


class CellReader:
    """Reads cells of an array in a reshape."""

    def __init__(self, window: Window, images: Mapping[int, BlockSource]) -> None:
        """Prepare; `images`: by role."""
        self._window = window
        serving = window.description.serving
        self._images = {role: images[role] for role, member in serving.items() if member.state is not State.DAMAGED}
        self.roles = tuple(role for role in range(window.n_roles) if role in self._images)

    def read(self, role: int, rows: Numbers, data: NDArray[np.uint8]) -> Flags:
        """Read ascending rows of one role that has a member.

        Args:
            role: whose cells.
            rows: int64 (k,), of the new geometry.
            data: uint8 (k, 4096), to be filled.

        Returns:
            bool (k,): which of them could be read.
        """
        image, member = self._images[role], self._window.description.serving[role]
        start = member.new_data_offset + rows * PAGE
        readable = (start >= 0) & (start + PAGE <= image.size)
        for low, high in member.bad_blocks:
            readable &= (start >= high) | (start + PAGE <= low)
        there = np.flatnonzero(readable)
        if not len(there):
            return readable
        begins = (np.diff(rows[there], prepend=rows[there[0]] - 2) != 1) | (np.diff(there, prepend=there[0] - 2) != 1)
        begins |= (there - there[0]) % _READ_AT_ONCE == 0
        first = np.flatnonzero(begins)
        length = np.diff(first, append=len(there)) * PAGE
        requests = np.stack((start[there[first]], length, there[first] * PAGE), axis=1)
        for low, high in image.read_into(requests, data.reshape(-1)):
            readable[low // PAGE : -(-high // PAGE)] = False
        return readable

    def contents(self, role: int, rows: Numbers) -> tuple[Sampled, Flags]:
        """Return the contents of single cells of any role, and which of them are known.

        Where a role has no member its cells are rebuilt, if the reshape has certainly passed them. Parity may be stale,
        so what is rebuilt tells something only where it is equal to something else.
        """
        known, back = np.unique(rows, return_inverse=True)
        data = np.zeros((len(known), PAGE), dtype=np.uint8)
        readable = (self.read if role in self._images else self._rebuild)(role, known, data)
        sectors = sector_ids(data)
        return Sampled(page_ids(sectors), samples_of(data, sectors))[back], readable[back]

    def _rebuild(self, role: int, rows: Numbers, data: NDArray[np.uint8]) -> Flags:
        """Sum the other cells of recorded rows; see `read`."""
        window, after = self._window, self._window.after
        passed = (rows < window.first if window.forward else rows >= window.stop) & (rows >= 0) & (rows < after.n_rows)
        passed &= role < window.n_roles  # else the new geometry has no such cells
        places = np.where(passed, rows // after.chunk % after.zone.table.period, -1)
        known = np.zeros(len(rows), dtype=np.bool_)
        for place in np.unique(places[passed]).tolist():
            here = np.flatnonzero(places == place)
            terms = terms_of(after.zone.table, place, role, self.roles)
            known[here] = terms is not None
            for other, coefficient in (terms or {}).items():
                cells = np.zeros((len(here), PAGE), dtype=np.uint8)
                known[here] &= self.read(other, rows[here], cells)
                data[here] ^= multiply(coefficient, cells)
        return known


def sector_ids(data: NDArray[np.uint8]) -> Ids:
    """Number the contents of sectors: uint8 (k, 4096) -> uint64 (k, 8)."""
    words = data.view(np.uint64)
    found = np.zeros((len(words), SECTORS), dtype=np.uint64)
    busy = np.flatnonzero(words.any(axis=1))  # arrays are empty for the most part, and zeros get 0 in any case
    for first in range(0, len(busy), _READ_AT_ONCE):
        here = busy[first : first + _READ_AT_ONCE]
        sectors = words[here].reshape(-1, SECTORS, SECTOR // 8)
        mixed = (sectors ^ (sectors >> np.uint64(29))) * _WEIGHTS
        found[here] = (mixed ^ (mixed >> np.uint64(32))).sum(axis=2, dtype=np.uint64)
    return found


_WEIGHTS = np.random.default_rng(8).integers(0, 1 << 63, SECTOR // 8, dtype=np.uint64) * 2 + 1


def samples_of(data: NDArray[np.uint8], sectors: Ids) -> NDArray[np.uint8]:
    """Take some bytes of each page, by which pages can be told to be alike.

    Args:
        data: uint8 (..., 4096).
        sectors: uint64 (..., 8): their `sector_ids`.

    Returns:
        uint8 (..., 256).
    """
    found = np.zeros((*data.shape[:-1], N_SAMPLES), dtype=np.uint8)
    busy = sectors.any(axis=-1)
    found[busy] = data[busy][:, _SAMPLED]
    return found


N_SAMPLES = 256
"""Bytes of each page by which it is told whether pages are alike."""
_SAMPLED = np.arange(0, PAGE, PAGE // N_SAMPLES) + np.random.default_rng(16).integers(0, 16, N_SAMPLES)


def page_ids(sectors: Ids) -> Ids:
    """Number the contents of pages: uint64 (..., 8) -> uint64 (...)."""
    weights = np.random.default_rng(9).integers(0, 1 << 63, SECTORS, dtype=np.uint64) * 2 + 1
    found: Ids = (sectors * weights).sum(axis=-1, dtype=np.uint64)
    return found
