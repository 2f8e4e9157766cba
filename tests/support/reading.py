"""What tests read of an array, and how they compare it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, one_request
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from tests.support.golden import SECTOR, Case

Bytes = NDArray[np.uint8]
WINDOW = (3 << 20) - 512
"""Bytes per read; neither chunks nor stripes are aligned to it."""


def read_all(source: BlockSource) -> tuple[Bytes, Extents]:
    """Read a source from end to end: its bytes, and what is not served."""
    content = np.zeros(source.size, dtype=np.uint8)
    withheld = []
    for start in range(0, source.size, WINDOW):
        window = content[start : start + WINDOW]
        withheld.append(source.read_into(one_request(start, len(window)), window).shift(start))
    return content, Extents().union(*withheld)


@lru_cache(maxsize=12)
def truth_of(case: Case) -> Bytes:
    """The content of a golden array, proven by its digest; uint8 (array bytes,)."""
    with open_array([str(path) for path in case.members()]) as array:
        content, withheld = read_all(array.source)
    assert not withheld
    assert hashlib.sha256(content.data).hexdigest() == case.expected_sha256
    content.flags.writeable = False
    return content


def mask_of(extents: Extents, size: int) -> NDArray[np.bool_]:
    """Which of the bytes from 0 on are inside; bool (size,)."""
    mask = np.zeros(size, dtype=np.bool_)
    for start, stop in extents:
        mask[start:stop] = True
    return mask


def extents_of(sectors: NDArray[np.bool_]) -> Extents:
    """The bytes of the sectors that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], sectors, [0])))).reshape(-1, 2)
    return Extents(edges * SECTOR)
