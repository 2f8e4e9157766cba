"""Read and judge rows in one call without the GIL, as far as the page cache has them.

Each piece is judged while it lies in the second-level cache; as in `raidfs.kernels.fused`, anything unusual makes it
give up, and the caller reads the rows in Python.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import c_function, kernel
from raidfs.kernels.filled import kinds_of
from raidfs.kernels.syndrome import SECTOR, check_rows

PIECE = 64 << 10
"""Bytes of each member that are read at a time: with ten members they still fit into a second-level cache."""

_NOWAIT = os.RWF_NOWAIT
_preadv2 = c_function("preadv2", "intp", "int32", "uintp", "int32", "int64", "int32")


@kernel
def check_rows_nowait(
    places: NDArray[np.int64],
    room: NDArray[np.uint8],
    absent: NDArray[np.int16],
    steps: NDArray[np.int16],
    parity: NDArray[np.int16],
    first: int,
    chunk_sectors: int,
    verdict: NDArray[np.int16],
    origin: NDArray[np.int64],
    kinds: NDArray[np.uint8],
) -> bool:
    """Read and judge a batch of rows, if that needs no waiting.

    Args:
        places: int64 (raid_disks, 2): file descriptor of each role, or -1 where it is not read; where its batch begins
            [image bytes].
        room: uint8 (raid_disks, PIECE), overwritten.
        absent: int16 (n,); see `check_rows`.
        steps: int16 (period, k); see `check_rows`.
        parity: int16 (period, 2); see `check_rows`.
        first: component sector at which the batch begins.
        chunk_sectors: sectors per chunk.
        verdict: int16 (n,), written; see `check_rows`.
        origin: int64 (raid_disks,): where the batch of each role begins [bytes of its source].
        kinds: uint8 (raid_disks, n), written where a role is read: what is there, see `raidfs.kernels.filled.kinds_of`;
            uint8 (raid_disks, 0): nobody wants to know.

    Returns:
        True: every verdict is there. False: nothing is known about them.
    """
    iovec = np.zeros(2, dtype=np.int64)
    per_piece = room.shape[1] // SECTOR
    for at in range(0, len(verdict), per_piece):
        end = min(len(verdict), at + per_piece)
        length = (end - at) * SECTOR
        for role in range(len(places)):
            if places[role, 0] >= 0:
                iovec[0] = room[role].ctypes.data
                iovec[1] = length
                offset = places[role, 1] + at * SECTOR
                if _preadv2(np.int32(places[role, 0]), iovec.ctypes.data, 1, offset, _NOWAIT) != length:
                    return False
                if kinds.shape[1]:
                    kinds_of(room[role, :length], origin[role] + at * SECTOR, kinds[role, at:end])
        check_rows(room, absent[at:end], steps, parity, first + at, chunk_sectors, verdict[at:end])
    return True
