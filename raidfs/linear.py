"""A source that is made of pieces of others: a window, a concatenation, a logical volume, a file, an overlay.

    map       |######|00000000|###|??|########|
    pieces     source  zeros   |   |   source         what no piece covers is lost
                               other

A map moves addresses and nothing else, so losses pass it untouched. A map over a map takes the pieces of that one: a
file on a logical volume on a partition is one map over the array, and reading it costs what reading the array costs.

Threading: maps are immutable.
"""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, MemorySource, Requests, Watchable, check_requests, nowait_of
from raidfs.extents import Extents

_ENDLESS = 1 << 62
_FEW = 64
"""Rows of a map that are joined one by one: most files have less."""


class _Zeros:
    """As many zeros as anybody wants: they are data."""

    size = _ENDLESS

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out` with zeros."""
        for _, length, position in check_requests(requests, self.size, len(out)):
            out[position : position + length] = 0
        return Extents()

    def try_read_into(self, _offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` with zeros."""
        out[:] = 0
        return True

    def known_losses(self, _start: int, _stop: int) -> Extents:
        """Return nothing."""
        return Extents()


class _Missing:
    """Bytes that nobody has."""

    size = _ENDLESS

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Report everything as lost."""
        asked = check_requests(requests, self.size, len(out))
        for _, length, position in asked:
            out[position : position + length] = 0
        return Extents((position, position + length) for _, length, position in asked)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return all of it."""
        return Extents.span(start, stop)


class _Bytes(MemorySource):
    """Bytes in memory, none of them lost: reading them never waits."""

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` on."""
        out[:] = self._data[offset : offset + len(out)]
        return True


ZEROS: BlockSource = _Zeros()
"""The source of holes: zeros, which are data and no loss."""
MISSING: BlockSource = _Missing()
"""The source of what is not there: every byte is lost."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """Bytes that lie elsewhere.

    Attributes:
        start: where they belong [bytes of the map].
        length: [bytes].
        source: where they are.
        place: where in it [bytes of that source]; what lies behind the end of the source is lost.
    """

    start: int
    length: int
    source: BlockSource
    place: int

    @property
    def stop(self) -> int:
        """Where they end [bytes of the map]."""
        return self.start + self.length


def piece_of(start: int, data: bytes) -> Piece:
    """Return a piece that is kept in memory."""
    return Piece(start, len(data), _Bytes(data), 0)


_Row = tuple[int, int, int, int]
"""Start, stop [bytes of the map], number of the source, place [bytes of the source]."""


class LinearMap:
    """A `BlockSource` made of pieces. Reading many pieces asks each source once."""

    def __init__(self, size: int, pieces: Iterable[Piece]) -> None:
        """Join pieces.

        Args:
            size: of the map [bytes].
            pieces: within the map, in any order; of overlapping ones the later count.

        Raises:
            ValueError: a piece lies outside the map, or before the start of its source.
        """
        self._size = size
        self._sources: list[BlockSource] = [MISSING]
        numbers = {id(MISSING): 0}
        rows: list[_Row] = []
        for piece in pieces:
            if not 0 <= piece.start <= piece.stop <= size or piece.place < 0:
                raise ValueError(f"piece [{piece.start}, {piece.stop}) at {piece.place} outside a map of {size} bytes")
            for start, length, source, place in _flattened(piece):
                number = numbers.setdefault(id(source), len(self._sources))
                if number == len(self._sources):
                    self._sources.append(source)
                # those two are alike everywhere: with places like this neighbours join
                rows.append((start, start + length, number, start if source in (ZEROS, MISSING) else place))
        self._start, self._number, self._place = _table([row for row in rows if row[0] < row[1]], size)
        self._start.append(size)
        self._nowait = [nowait_of(source) for source in self._sources]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[Piece]:
        """Yield the pieces within [start, stop), clipped, in order; they cover it, with `ZEROS` and `MISSING` too."""
        for at, length, number, place in self._within(start, self._size if stop is None else stop):
            yield Piece(at, length, self._sources[number], place)

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        reads: dict[int, list[tuple[int, int, int]]] = {}
        for offset, length, position in check_requests(requests, self._size, len(out)):
            for start, count, number, place in self._within(offset, offset + length):
                reads.setdefault(number, []).append((place, count, position + start - offset))
        lost = [
            self._sources[number].read_into(np.array(asked, dtype=np.int64), out) for number, asked in reads.items()
        ]
        return lost[0] if len(lost) == 1 else Extents().union(*lost)

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` on if all its sources can do so without waiting; else return False."""
        length = len(out)
        if not 0 <= offset <= self._size - length:
            raise ValueError(f"request [{offset}, {offset + length}) outside a map of {self._size} bytes")
        for start, count, number, place in self._within(offset, offset + length):
            source = self._nowait[number]
            begin = start - offset
            if source is None or not source.try_read_into(place, out[begin : begin + count]):
                return False
        return True

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        found: list[tuple[int, int]] = []
        asked: dict[int, list[tuple[int, int, int]]] = {}
        for at, length, number, place in self._within(start, stop):
            asked.setdefault(number, []).append((at, length, place))
        for number, parts in asked.items():
            first, last = min(place for *_, place in parts), max(place + length for _, length, place in parts)
            gone = self._sources[number].known_losses(first, last)
            for at, length, place in parts if gone else ():
                found += ((begin + at - place, end + at - place) for begin, end in gone.clip(place, place + length))
        return Extents(found)

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when a source is no longer what was opened."""
        for source in self._sources:
            if isinstance(source, Watchable):
                source.assert_unchanged()

    def _within(self, start: int, stop: int) -> Iterator[_Row]:
        """Yield (start, length, number of the source, place) of what lies in [start, stop)."""
        index = bisect_right(self._start, start) - 1
        while start < stop:
            end = min(stop, self._start[index + 1])
            yield start, end - start, self._number[index], self._place[index] + start - self._start[index]
            start, index = end, index + 1


def window(source: BlockSource, start: int, size: int) -> LinearMap:
    """Return the part [start, start + size) [bytes of the source]; what lies behind the source's end is lost."""
    return LinearMap(size, [Piece(0, size, source, start)])


def overlaid(source: BlockSource, pieces: Iterable[Piece]) -> LinearMap:
    """Return the source with pieces laid over it: nothing under them is read."""
    return LinearMap(source.size, [Piece(0, source.size, source, 0), *pieces])


def _flattened(piece: Piece) -> Iterator[tuple[int, int, BlockSource, int]]:
    """Yield (start, length, source, place) of a piece, none of them a map, none behind the end of its source."""
    here = max(0, min(piece.length, piece.source.size - piece.place))
    if isinstance(piece.source, LinearMap):
        for part in piece.source.pieces(piece.place, piece.place + here):
            yield piece.start + part.start - piece.place, part.length, part.source, part.place
    elif here:
        yield piece.start, here, piece.source, piece.place
    if here < piece.length:
        yield piece.start + here, piece.length - here, MISSING, piece.start + here


_Column: TypeAlias = "array[int]"


def _table(rows: list[_Row], size: int) -> tuple[_Column, _Column, _Column]:
    """Return where each run of the map starts, the numbers of their sources, and their places there."""
    if len(rows) <= _FEW:
        ordered = sorted(rows)
        if all(one[1] <= other[0] for one, other in itertools.pairwise(ordered)):
            return _few(ordered, size)
    columns = _covering(_disjoint(rows), size)[:, [0, 2, 3]].T
    start, number, place = (array("q", column.tobytes()) for column in columns)
    return start, number, place


def _few(rows: list[_Row], size: int) -> tuple[_Column, _Column, _Column]:
    """Do as `_covering` without numpy, which takes longer to begin than this takes."""
    start, number, place = array("q"), array("q"), array("q")
    at = 0
    for row in (*rows, (size, size, -1, 0)):
        parts = ((at, row[0], 0, at), row) if at < row[0] else (row,)
        for begin, end, source, where in parts:
            if start and number[-1] == source and place[-1] - start[-1] == where - begin:
                continue
            if begin < end:
                start.append(begin)
                number.append(source)
                place.append(where)
        at = row[1]
    return start, number, place


def _disjoint(rows: list[_Row]) -> NDArray[np.int64]:
    """Sort rows, and cut what later ones replace; int64 (k, 4)."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    if np.all(table[:-1, 1] <= table[1:, 0]):
        return table
    rank = order.tolist()
    kept: list[_Row] = []
    open_rows: list[tuple[int, _Row]] = []  # a heap: those that reach here, the latest first

    def keep(start: int, stop: int) -> None:
        """Take [start, stop) from the latest rows that reach it."""
        while start < stop and open_rows:
            _, (begin, end, number, place) = open_rows[0]
            if end > start:
                kept.append((start, min(stop, end), number, place + start - begin))
                start = min(stop, end)
            if end <= start:
                heappop(open_rows)

    at = 0
    for index, row in enumerate(table.tolist()):
        keep(at, row[0])
        at = row[0]
        heappush(open_rows, (-rank[index], (row[0], row[1], row[2], row[3])))
    keep(at, int(table[:, 1].max()))
    return np.array(kept, dtype=np.int64).reshape(-1, 4)


def _covering(table: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Fill the gaps of a table with source 0, which is `MISSING`, and join neighbours that are one run."""
    gaps = Extents.span(0, size).difference(Extents(table[:, :2])).array
    table = np.concatenate((table, np.column_stack((gaps, np.zeros(len(gaps), dtype=np.int64), gaps[:, 0]))))
    table = table[np.argsort(table[:, 0], kind="stable")]
    runs_on = (table[1:, 2] == table[:-1, 2]) & (table[1:, 3] - table[1:, 0] == table[:-1, 3] - table[:-1, 0])
    joined: NDArray[np.int64] = table[
        np.flatnonzero(np.concatenate((np.ones(min(1, len(table)), dtype=np.bool_), ~runs_on)))
    ]
    return joined
