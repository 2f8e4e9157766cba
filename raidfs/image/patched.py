"""A source with some of its bytes replaced in memory: what md's logs would write to a member, laid over its image.

    image     |..........................|
    patches        |####|      |##|             read from here instead, also where the image is bad or ends

The image itself is never written, nor read where a patch lies. Threading: patches are immutable.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests, Watchable, check_requests
from raidfs.extents import Extents


class PatchedSource:
    """A `BlockSource` over another one.

    Attributes:
        patched: where patches lie [bytes of the source].
    """

    def __init__(self, source: BlockSource, patches: Iterable[tuple[int, bytes]]) -> None:
        """Lay patches over a source.

        Args:
            source: what lies under them.
            patches: (offset, bytes) [bytes of the source]; of overlapping ones the later count. They may lie beyond
                the source's end.
        """
        listed = list(patches)
        self._source = source
        self.patched = Extents([(offset, offset + len(data)) for offset, data in listed])
        self._data = [np.zeros(stop - start, dtype=np.uint8) for start, stop in self.patched]
        for offset, data in listed:
            if data:
                number = int(np.searchsorted(self.patched.array[:, 0], offset, side="right")) - 1
                at = offset - int(self.patched.array[number, 0])
                self._data[number][at : at + len(data)] = np.frombuffer(data, dtype=np.uint8)
        ends = self.patched.boundaries()
        self._size = max(source.size, int(ends[-1]) if len(ends) else 0)

    @property
    def size(self) -> int:
        """Size in bytes: of the source, or up to the last patch."""
        return self._size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        under: list[tuple[int, int, int]] = []
        lost: list[tuple[int, int]] = []
        for offset, length, position in check_requests(requests, self._size, len(out)):
            wanted = Extents.span(offset, offset + length)
            for start, stop in wanted.difference(self.patched):
                end = min(stop, max(start, self._source.size))
                under.append((start, end - start, position + start - offset))
                out[position + end - offset : position + stop - offset] = 0
                lost.append((position + end - offset, position + stop - offset))
            self._fill(offset, length, position, out)
        reads = np.array([each for each in under if each[1]], dtype=np.int64).reshape(-1, 3)
        return Extents(lost).union(self._source.read_into(reads, out) if len(reads) else Extents())

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop): of the source, but not under patches."""
        missing = Extents.span(self._source.size, self._size)
        under = self._source.known_losses(0, self._source.size)
        return under.union(missing).difference(self.patched).clip(start, stop)

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when the source under the patches is no longer what was opened."""
        if isinstance(self._source, Watchable):
            self._source.assert_unchanged()

    def _fill(self, offset: int, length: int, position: int, out: NDArray[np.uint8]) -> None:
        """Copy what patches hold of [offset, offset + length)."""
        first = int(np.searchsorted(self.patched.array[:, 1], offset, side="right"))
        last = int(np.searchsorted(self.patched.array[:, 0], offset + length, side="left"))
        for number in range(first, last):
            begin = int(self.patched.array[number, 0])
            start, stop = max(begin, offset), min(begin + len(self._data[number]), offset + length)
            out[position + start - offset : position + stop - offset] = self._data[number][start - begin : stop - begin]
