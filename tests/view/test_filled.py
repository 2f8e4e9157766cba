"""Zeros in place of what is lost, and of nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.block import MemorySource, one_request, read_exact
from raidfs.extents import Extents
from raidfs.view.filled import ZeroFilled

DATA = bytes(range(1, 201))
WITHHELD = Extents([(20, 60), (100, 110)])
LOST = Extents([(30, 50), (105, 110)])


class _Source(MemorySource):
    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        return not self.read_into(one_request(offset, len(out)), out)


FILLED = ZeroFilled(_Source(DATA, WITHHELD), LOST.clip)


def test_what_is_lost_reads_as_zeros_and_what_is_doubtful_stays_withheld() -> None:
    data, losses = read_exact(FILLED, 0, 200)
    assert losses == WITHHELD.difference(LOST)
    assert data == bytes(0 if WITHHELD.contains(at, at + 1) else byte for at, byte in enumerate(DATA))
    assert FILLED.known_losses(0, 200) == losses
    assert FILLED.size == 200


def test_the_fast_way_is_left_to_the_source() -> None:
    out = np.zeros(10, dtype=np.uint8)
    assert FILLED.try_read_into(0, out)
    assert out.tobytes() == DATA[:10]
    assert not FILLED.try_read_into(25, out)


@given(st.lists(st.tuples(st.integers(0, 190), st.integers(0, 10)), max_size=5))
def test_several_requests_at_once(ranges: list[tuple[int, int]]) -> None:
    requests = np.array([(*each, 10 * at) for at, each in enumerate(ranges)], dtype=np.int64).reshape(-1, 3)
    losses = FILLED.read_into(requests, np.zeros(50, dtype=np.uint8))
    expected = [
        WITHHELD.difference(LOST).clip(offset, offset + length).shift(position - offset)
        for offset, length, position in requests.tolist()
    ]
    assert losses == Extents().union(*expected)
