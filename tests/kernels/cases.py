"""Work for the kernels, the same in every process; run as a program it prints what they made of it.

With NUMBA_DISABLE_JIT=1 it runs them as the Python that they are written in.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import Flaw, known_flaws
from raidfs.engine.flatten import flatten, make_work
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.kernels import fused
from raidfs.kernels.combine import run_sums
from raidfs.kernels.plan import LOSSES, READS, SUMS, TERMS, Chart, plan_window
from tests.support.samples import sample
from tests.support.simulated import describe

NAMES = ("raid5-wide", "raid6-ddf", "growing", "becoming-six")


def digest(*arrays: NDArray[np.int64] | NDArray[np.uint8]) -> str:
    """Name the contents of arrays."""
    return hashlib.sha256(b"|".join(array.tobytes() for array in arrays)).hexdigest()


def chart_of(name: str, without: tuple[int, ...] = ()) -> Chart:
    """Return the chart of a sample with two bad places."""
    description = describe(sample(name), without=without)
    roles = sorted(description.serving)
    flaws = known_flaws(description, description.of_roles(roles), [sample(name).size_of_device] * len(roles))
    place = sample(name).members[0].data_offset
    bad = Flaw(0, Extents([(place + 512, place + 1536), (place + 9216, place + 13312)]), Trust.NONE, "bad")
    return flatten(chart_sections(description, description.of_roles(roles), (*flaws, bad)))


def plans() -> Iterator[tuple[str, str]]:
    """Plan windows of several arrays."""
    for name in NAMES:
        for without in ((), (1,), (1, 2)):
            chart = chart_of(name, without)
            work = make_work(chart)
            for start, stop in ((0, 20000), (3001, 3002), (511, 66000), (40000, sample(name).size)):
                room = (stop - start, stop - start + (1 << 18))
                planned = plan_window(chart, work, (start, stop, 0), 2, room)
                used = work.used
                arrays = (work.reads[: used[READS]], work.sums[: used[SUMS]], work.terms[: used[TERMS]])
                yield (
                    f"plan {name} {without} {start}",
                    digest(np.array([planned]), *arrays, work.losses[: used[LOSSES]]),
                )


def sums() -> Iterator[tuple[str, str]]:
    """Run sums of odd lengths at odd places, with coefficients of every size."""
    random = Random(9)
    for length in (0, 1, 7, 63, 700):
        out = np.frombuffer(random.randbytes(length + 3), dtype=np.uint8).copy()
        scratch = np.frombuffer(random.randbytes(5 * length + 9), dtype=np.uint8).copy()
        terms = [(len(out) + 1 + n * length, c) for n, c in enumerate((1, 2, 255, 142, 1))]
        row = np.array([[2, length, 0, 5], [0, min(length, 1), 1, 1]], dtype=np.int64)
        run_sums(out, scratch, row, np.array(terms, dtype=np.int64))
        yield f"sum {length}", digest(out, scratch)


def served(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve from files, whole and cut short."""
    images = sample("growing").save(folder)
    fds = [os.open(path, os.O_RDONLY) for path in images]
    try:
        description = describe(sample("growing"), without=(1,))
        flaws = known_flaws(description, description.of_roles([0, 2, 3]), [sample("growing").size_of_device] * 3)
        chart = flatten(chart_sections(description, description.of_roles([0, 2, 3]), flaws))
        for start, length, mine in ((777, 9000, (0, 2, 3)), (60000, 5000, (0, 2, 3)), (777, 9000, (0, 2, 99))):
            out, scratch = np.zeros(length, dtype=np.uint8), np.zeros(1 << 17, dtype=np.uint8)
            told = np.array([(fds[number] if number < 99 else -1, 0) for number in mine], dtype=np.int64)
            whole = fused.serve_nowait(chart, make_work(chart), told, out, scratch, start, 2)
            yield f"serve {start} {mine}", f"{bool(whole)} {digest(out) if whole else ''}"
    finally:
        for fd in fds:
            os.close(fd)


def results() -> dict[str, str]:
    """Do all the work."""
    with tempfile.TemporaryDirectory() as folder:
        return dict([*plans(), *sums(), *served(Path(folder))])


def call_c_from_python() -> None:
    """Give the uncompiled kernels a `preadv2` that Python can call."""
    preadv2 = ctypes.CDLL(None, use_errno=True).preadv2
    preadv2.restype = ctypes.c_ssize_t
    preadv2.argtypes = (*(ctypes.c_int, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64, ctypes.c_int),)
    fused._preadv2 = lambda *arguments: preadv2(*(int(each) for each in arguments))


if __name__ == "__main__":
    call_c_from_python()
    print(json.dumps(results()))  # noqa: T201  # what the parent process reads
