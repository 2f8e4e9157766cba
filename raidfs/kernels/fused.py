"""The fast executor: plan, read and combine a window in one call without the GIL.

Reads go through preadv2(2) with RWF_NOWAIT, so that it never waits for a disk: whatever is not in the page cache,
whatever fails, comes short or is lost makes it give up, and the caller takes the window through the plan in Python.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import c_function, kernel
from raidfs.kernels.combine import arena_piece, run_sums
from raidfs.kernels.filled import any_filled
from raidfs.kernels.plan import LOSSES, READS, SUMS, Chart, Work, plan_window

# what `serve_nowait` says
GAVE_UP, SERVED, SERVED_FILLED = 0, 1, 2

_NOWAIT = os.RWF_NOWAIT
_preadv2 = c_function("preadv2", "intp", "int32", "uintp", "int32", "int64", "int32")


@kernel
def _group_by_source(work: Work, n_sources: int) -> None:
    """Sort the reads by source, keeping their order within each (counting sort)."""
    n = work.used[READS]
    start = np.zeros(n_sources + 1, dtype=np.int64)
    for i in range(n):
        start[work.reads[i, 0] + 1] += 1
    for source in range(n_sources):
        start[source + 1] += start[source]
    for i in range(n):
        source = work.reads[i, 0]
        work.order[start[source]] = i
        start[source] += 1


@kernel
def _fetch(work: Work, files: NDArray[np.int64], out: NDArray[np.uint8], scratch: NDArray[np.uint8]) -> int:
    """Run all reads, contiguous ones of a source as one call; look at what came while the caches have it.

    Args:
        work: a plan.
        files: int64 (n, 2): file descriptor of each source, and where it begins in that file [bytes].
        out: uint8 (m,), first part of the arena.
        scratch: uint8 (k,), second part of the arena.

    Returns:
        SERVED: every byte is there. SERVED_FILLED: so it is, and some of what was read is filled. GAVE_UP: neither.
    """
    _group_by_source(work, len(files))
    n = work.used[READS]
    i = looked_at = 0
    said = SERVED
    while i < n:
        read = work.reads[work.order[i]]
        source, offset, total, n_vectors = read[0], read[1], 0, 0
        while i < n and n_vectors < len(work.iovec):
            following = work.reads[work.order[i]]
            if following[0] != source or following[1] != offset + total:
                break
            position = following[3]
            if position < len(out):
                work.iovec[n_vectors, 0] = out.ctypes.data + position
            else:
                work.iovec[n_vectors, 0] = scratch.ctypes.data + position - len(out)
            work.iovec[n_vectors, 1] = following[2]
            total += following[2]
            n_vectors += 1
            i += 1
        fd, place = np.int32(files[source, 0]), files[source, 1] + offset
        if _preadv2(fd, work.iovec.ctypes.data, n_vectors, place, _NOWAIT) != total:
            return GAVE_UP
        while looked_at < i and said == SERVED:
            done = work.reads[work.order[looked_at]]
            if any_filled(arena_piece(out, scratch, done[3], done[2]), done[1]):
                said = SERVED_FILLED
            looked_at += 1
    return said


@kernel
def serve_nowait(
    chart: Chart,
    work: Work,
    files: NDArray[np.int64],
    out: NDArray[np.uint8],
    scratch: NDArray[np.uint8],
    start: int,
    limit: int,
) -> int:
    """Fill `out` with array bytes, if that needs no waiting.

    Args:
        chart: the array.
        work: this thread's room.
        files: int64 (n, 2): file descriptor of each source, and where it begins in that file [bytes].
        out: uint8 (m,), first part of the arena.
        scratch: uint8 (k,), second part of the arena.
        start: [array bytes]; start + m is within the array.
        limit: worst health that is served.

    Returns:
        SERVED: the output is complete. SERVED_FILLED: so it is, and something that was read for it, at its own place or
        to be summed, is filled. GAVE_UP: nothing is known about its contents.
    """
    length = len(out)
    done = 0
    said = SERVED
    while done < length:
        room = (length, length + len(scratch))
        planned = plan_window(chart, work, (start + done, start + length, done), limit, room)
        if planned == 0 or work.used[LOSSES]:
            return GAVE_UP
        fetched = _fetch(work, files, out, scratch)
        if fetched == GAVE_UP:
            return GAVE_UP
        said = max(said, fetched)
        run_sums(out, scratch, work.sums[: work.used[SUMS]], work.terms)
        done += planned
    return said
