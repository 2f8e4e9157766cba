"""Fakes of member images; they keep the contract of block sources, but for what they are made to do wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from raidfs.block import MemorySource, Requests
from raidfs.errors import SourceChanged, SourceError
from raidfs.extents import Extents
from raidfs.units import SECTOR


class BadSectors(MemorySource):
    """Bytes in memory whose bad places are only found by reading them.

    Attributes:
        asked: what was read so far [bytes of the source].
    """

    def __init__(self, data: bytes, bad: Extents = Extents()) -> None:
        super().__init__(data, bad)
        self._found = Extents()
        self._lock = threading.Lock()
        self.asked = Extents()

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        lost = super().read_into(requests, out)
        asked = Extents(np.stack((requests[:, 0], requests[:, 0] + requests[:, 1]), axis=1))
        with self._lock:
            self.asked = self.asked.union(asked)
            self._found = self._found.union(*(super(BadSectors, self).known_losses(*each) for each in asked))
        return lost

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what was found so far."""
        return self._found.clip(start, stop)


class Flaky(MemorySource):
    """Bytes in memory of which each read misses another sector.

    Attributes:
        n_asked: number of reads.
    """

    def __init__(self, data: bytes, seed: int) -> None:
        super().__init__(data)
        self._chance = Random(seed)
        self.n_asked = 0

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`, but for one sector."""
        super().read_into(requests, out)
        self.n_asked += 1
        _, length, position = self._chance.choice(requests.tolist())
        start = position + self._chance.randrange(length) // SECTOR * SECTOR
        missed = Extents.span(start, min(start + SECTOR, position + length))
        for low, high in missed:
            out[low:high] = 0
        return missed


class ZerosFirst(MemorySource):
    """Bytes in memory that are zeros when they are read for the first time.

    Attributes:
        given: what was read so far [bytes of the source].
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.given = Extents()
        self._lock = threading.Lock()

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`, with zeros where nobody was before."""
        lost = super().read_into(requests, out)
        with self._lock:
            for offset, length, position in requests.tolist():
                for start, stop in Extents.span(offset, offset + length).difference(self.given):
                    out[position + start - offset : position + stop - offset] = 0
                self.given = self.given.union(Extents.span(offset, offset + length))
        return lost


class Flipping(MemorySource):
    """Bytes in memory that some reads get wrong, in silence.

    Attributes:
        share: of the reads.
        n_wrong: how many did.
    """

    def __init__(self, data: bytes, seed: int, share: float) -> None:
        super().__init__(data)
        self._chance = Random(seed)
        self.share = share
        self.n_wrong = 0

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`, perhaps with some bytes changed."""
        lost = super().read_into(requests, out)
        for _, length, position in requests.tolist():
            if length and self._chance.random() < self.share:
                self.n_wrong += 1
                for _ in range(self._chance.randrange(1, 40)):
                    out[position + self._chance.randrange(length)] ^= self._chance.randrange(1, 256)
        return lost


class Hanging(MemorySource):
    """Bytes in memory that are not given out while `hang` is clear.

    Attributes:
        may_answer: while this is clear, reads wait.
        asked: set by each read, before it waits.
        after_read: called when a read is done.
        n_asked: number of reads.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.may_answer = threading.Event()
        self.asked = threading.Event()
        self.after_read: Callable[[], None] = lambda: None
        self.n_asked = 0

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`, but not before that is allowed."""
        self.n_asked += 1
        self.asked.set()
        self.may_answer.wait()
        lost = super().read_into(requests, out)
        self.after_read()
        return lost


class Going(MemorySource):
    """Bytes in memory that are gone after some reads, and stay gone."""

    def __init__(self, data: bytes, n_reads: int) -> None:
        super().__init__(data)
        self._left = n_reads

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`, or raise `SourceError`."""
        if self._left == 0:
            raise SourceError("the member is gone")
        self._left -= 1
        return super().read_into(requests, out)


class Changing(MemorySource):
    """Looks like a plain file, but its descriptor is that of an empty one, and it may change at any moment.

    Attributes:
        fd: where nothing can be read, so that all goes through `read_into`.
        before_read: called at the beginning of each read.
    """

    def __init__(self, data: bytes, fd: int) -> None:
        super().__init__(data)
        self.fd = fd
        self.before_read: Callable[[], None] = lambda: None
        self._is_changed = False

    def change(self) -> None:
        """From now on every byte is wrong, and whoever asks is told that something changed."""
        self._is_changed = True

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` once it has changed."""
        if self._is_changed:
            raise SourceChanged("the member was written to while it was read")

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        self.before_read()
        lost = super().read_into(requests, out)
        if self._is_changed:
            np.invert(out, out=out)
        return lost
