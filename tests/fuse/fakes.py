"""Sources for mounts: bytes that can be computed anywhere, with losses and other accidents where they are asked for."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from raidfs.block import MemorySource, Requests
from raidfs.errors import SourceError
from raidfs.extents import Extents

SIZE = (3 << 20) + 5 * 512
"""Not a multiple of a page: the last one is short."""
LOSSES = Extents(
    [
        (5 * 4096 + 512, 5 * 4096 + 1024),  # one sector within a page
        (200 * 4096, 202 * 4096),  # whole pages
        ((1 << 20) - 512, (1 << 20) + 512),  # across the border between two requests of 1 MiB
        (SIZE - 512, SIZE),  # the very end
    ]
)


def contents(size: int = SIZE) -> bytes:
    """Return bytes without repetition, the same in every process."""
    return np.random.default_rng(20240229).integers(0, 256, size, dtype=np.uint8).tobytes()


class BlockingSource(MemorySource):
    """A source that has no fast way: every read goes to a thread."""


class QuickSource(MemorySource):
    """A source that answers at once wherever nothing is lost."""

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out`, or leave rubbish in it."""
        if self.known_losses(offset, offset + len(out)):
            out[:] = 0xEE
            return False
        self.read_into(np.array([[offset, len(out), 0]]), out)
        return True


class FickleSource(QuickSource):
    """A source whose fast way fails now and then, as if bytes were not cached; the count differs from read to read."""

    def __init__(self, data: bytes, losses: Extents | None = None) -> None:
        """Wrap `data`."""
        super().__init__(data, losses)
        self._asked = 0

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` two times out of three."""
        self._asked += 1
        return bool(self._asked % 3) and super().try_read_into(offset, out)


class GoneSource(MemorySource):
    """A source that has gone, and with it every byte; one way or the other."""

    def __init__(self, fault: Exception) -> None:
        """Raise `fault` at each read."""
        super().__init__(bytes(4096))
        self._fault = fault

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Raise."""
        raise self._fault


class HangingSource(MemorySource):
    """A source that never answers."""

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Wait for ever."""
        threading.Event().wait()
        raise SourceError("not reached")
