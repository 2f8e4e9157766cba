"""The fast executor: plan, read and combine a window in one call without the GIL.

Reads go through preadv2(2) with RWF_NOWAIT, so that it never waits for a disk: whatever is not in the page cache,
whatever fails, comes short or is lost makes it give up, and the caller takes the window through the plan in Python.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import c_function, kernel
from raidfs.kernels.combine import run_sums
from raidfs.kernels.plan import LOSSES, READS, SUMS, Chart, Work, plan_window

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
def _fetch(work: Work, fds: NDArray[np.int32], out: NDArray[np.uint8], scratch: NDArray[np.uint8]) -> bool:
    """Run all reads, contiguous ones of a source as one call.

    Args:
        work: a plan.
        fds: int32 (n,): file descriptor of each source.
        out: uint8 (m,), first part of the arena.
        scratch: uint8 (k,), second part of the arena.

    Returns:
        True: every byte is there.
    """
    _group_by_source(work, len(fds))
    n = work.used[READS]
    i = 0
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
        if _preadv2(fds[source], work.iovec.ctypes.data, n_vectors, offset, _NOWAIT) != total:
            return False
    return True


@kernel
def serve_nowait(
    chart: Chart,
    work: Work,
    fds: NDArray[np.int32],
    out: NDArray[np.uint8],
    scratch: NDArray[np.uint8],
    start: int,
    limit: int,
) -> bool:
    """Fill `out` with array bytes, if that needs no waiting.

    Args:
        chart: the array.
        work: this thread's room.
        fds: int32 (n,): file descriptor of each source.
        out: uint8 (m,), first part of the arena.
        scratch: uint8 (k,), second part of the arena.
        start: [array bytes]; start + m is within the array.
        limit: worst health that is served.

    Returns:
        True: the output is complete. False: nothing is known about its contents.
    """
    length = len(out)
    done = 0
    while done < length:
        room = (length, length + len(scratch))
        planned = plan_window(chart, work, (start + done, start + length, done), limit, room)
        if planned == 0 or work.used[LOSSES] or not _fetch(work, fds, out, scratch):
            return False
        run_sums(out, scratch, work.sums[: work.used[SUMS]], work.terms)
        done += planned
    return True
