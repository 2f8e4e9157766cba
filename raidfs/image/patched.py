"""A source with some of its bytes taken from elsewhere: what md's logs would write to a member, laid over its image.

    image     |..........................|
    pieces         |####|      |##|             read from where they are, also where the image is bad or ends

The image itself is never written, nor read where a piece lies. Threading: pieces are immutable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, MemorySource, Requests, Watchable, check_requests
from raidfs.extents import Extents


@dataclass(frozen=True, eq=False)
class Piece:
    """Bytes that lie elsewhere.

    Attributes:
        start: where they belong [bytes of the patched source].
        length: [bytes].
        source: where they are.
        place: where in it [bytes of that source].
    """

    start: int
    length: int
    source: BlockSource
    place: int

    @property
    def stop(self) -> int:
        """Where they end [bytes of the patched source]."""
        return self.start + self.length


def piece_of(start: int, data: bytes) -> Piece:
    """Return a piece that is kept in memory."""
    return Piece(start, len(data), MemorySource(data), 0)


class PatchedSource:
    """A `BlockSource` over another one.

    Attributes:
        patched: where pieces lie [bytes of the source].
    """

    def __init__(self, source: BlockSource, pieces: Iterable[Piece]) -> None:
        """Lay pieces over a source.

        Args:
            source: what lies under them.
            pieces: of overlapping ones the later count. They may lie beyond the source's end.
        """
        self._pieces = _disjoint([piece for piece in pieces if piece.length])
        self._start = np.array([piece.start for piece in self._pieces], dtype=np.int64)
        self._stop = np.array([piece.stop for piece in self._pieces], dtype=np.int64)
        self.patched = Extents(np.stack((self._start, self._stop), axis=1))
        self._source = source
        self._others = list({id(piece.source): piece.source for piece in self._pieces}.values())
        self._size: int = max([source.size, *self._stop[-1:].tolist()])

    @property
    def size(self) -> int:
        """Size in bytes: of the source, or up to the last piece."""
        return self._size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        reads: dict[int, tuple[BlockSource, list[tuple[int, int, int]]]] = {}
        lost: list[Extents] = []
        for offset, length, position in check_requests(requests, self._size, len(out)):
            for start, stop in Extents.span(offset, offset + length).difference(self.patched):
                end = min(stop, max(start, self._source.size))
                reads.setdefault(id(self._source), (self._source, []))[1].append(
                    (start, end - start, position + start - offset)
                )
                out[position + end - offset : position + stop - offset] = 0
                lost.append(Extents.span(position + end - offset, position + stop - offset))
            for piece in self._within(offset, offset + length):
                start, stop = max(piece.start, offset), min(piece.stop, offset + length)
                reads.setdefault(id(piece.source), (piece.source, []))[1].append(
                    (piece.place + start - piece.start, stop - start, position + start - offset)
                )
        for source, asked in reads.values():
            lost.append(source.read_into(np.array([each for each in asked if each[1]]).reshape(-1, 3), out))
        return Extents().union(*lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop): of the source where no piece lies, and of pieces."""
        missing = Extents.span(self._source.size, self._size)
        under = self._source.known_losses(0, self._source.size)
        found = [under.union(missing).difference(self.patched)]
        gone = {id(other): other.known_losses(0, other.size) for other in self._others}
        for piece in self._within(start, stop) if any(gone.values()) else ():
            lost = gone[id(piece.source)].clip(piece.place, piece.place + piece.length)
            found.append(lost.shift(piece.start - piece.place))
        return Extents().union(*found).clip(start, stop)

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when a source is no longer what was opened."""
        for source in (self._source, *self._others):
            if isinstance(source, Watchable):
                source.assert_unchanged()

    def _within(self, start: int, stop: int) -> Sequence[Piece]:
        """Return the pieces that overlap [start, stop)."""
        first = int(np.searchsorted(self._stop, start, side="right"))
        return self._pieces[first : int(np.searchsorted(self._start, stop, side="left"))] if start < stop else ()


def _disjoint(pieces: list[Piece]) -> list[Piece]:
    """Sort pieces, and cut what later ones replace."""
    order = sorted(pieces, key=lambda piece: piece.start)
    if all(left.stop <= right.start for left, right in pairwise(order)):
        return order
    kept: list[Piece] = []
    taken = Extents()
    for piece in reversed(pieces):
        for start, stop in Extents.span(piece.start, piece.stop).difference(taken):
            kept.append(Piece(start, stop - start, piece.source, piece.place + start - piece.start))
        taken = taken.union(Extents.span(piece.start, piece.stop))
    return sorted(kept, key=lambda piece: piece.start)
