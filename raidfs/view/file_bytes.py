"""The bytes of one file: a map of pieces of what its file system lies on, or made by the reader of that.

Where the pieces lie comes from the reader, in a process of its own; only what is compressed or the like passes through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, NowaitSource, Requests, check_requests
from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import UNKNOWN, Contents, Twin
from raidfs.filesystem.remote import RemoteFileSystem
from raidfs.linear import ZEROS, LinearMap, Piece, piece_of

_PAGE_SIZE = 4096


def bytes_of(contents: Contents, size: int, source: BlockSource) -> LinearMap:
    """Return a file as a map of pieces of what it lies on: holes are zeros, what nobody knows is lost."""
    if contents.inline is not None:
        return LinearMap(size, [piece_of(0, contents.inline[:size].ljust(size, b"\0"))])
    pieces: list[Piece] = []
    at = 0
    for start, length, place in contents.runs:
        if start >= size:
            break
        if start < at or length <= 0:
            raise Unreadable("where the file lies contradicts itself")
        if at < start:
            pieces.append(Piece(at, start - at, ZEROS, 0))
        at = min(start + length, size)
        if place != UNKNOWN:
            if place < 0:
                raise Unreadable("the file lies before the start of its file system")
            pieces.append(Piece(start, at - start, source, place))
    if at < size:
        pieces.append(Piece(at, size - at, ZEROS, 0))
    return LinearMap(size, [*pieces, *_second_copies(contents.runs, contents, size, source)])


def _second_copies(
    rows: Iterable[tuple[int, int, int]], contents: Contents, size: int, source: BlockSource
) -> Iterator[Piece]:
    """Yield what stands for bytes that are known to be lost where they are read first: their second copies.

    Args:
        rows: start in a map, length, place of the bytes.
        contents: of the file.
        size: of the map [bytes].
        source: what has the bytes.
    """
    twins = _twins_of(contents)
    for start, length, place in rows if twins else ():
        for lost, other in _doubled(place, length, twins, source):
            for begin, end in lost.shift(start - place).clip(0, size):
                yield Piece(begin, end - begin, source, begin - start + other)


def _twins_of(contents: Contents) -> dict[int, list[Twin]]:
    found: dict[int, list[Twin]] = {}
    for twin in contents.twins:
        found.setdefault(twin.place, []).append(twin)
    return found


def _doubled(
    place: int, length: int, twins: Mapping[int, list[Twin]], source: BlockSource
) -> Iterator[tuple[Extents, int]]:
    """Yield (what of some bytes is lost but for one other copy, where that copy of all of them begins)."""
    if not 0 <= place <= source.size - length or place not in twins:
        return
    lost = source.known_losses(place, place + length)
    for _, n, other in twins[place] if lost else ():
        if length <= n and 0 <= other <= source.size - length:
            there = source.known_losses(other, other + length).shift(place - other)
            yield lost.difference(there), other
            lost = lost.intersection(there)


@dataclass(frozen=True, eq=False, slots=True)
class OneRun:
    """A file that lies in one piece: a map of one piece, without its costs.

    Attributes:
        below: what it lies on.
        at_once: the same, for reads that do not wait.
        place: where it begins there [bytes].
        size: [bytes].
    """

    below: BlockSource
    at_once: NowaitSource
    place: int
    size: int

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` on if that needs no waiting; else return False."""
        return self.at_once.try_read_into(self.place + offset, out)

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        check_requests(requests, self.size, len(out))
        moved = requests.copy()
        moved[:, 0] += self.place
        return self.below.read_into(moved, out)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        return self.below.known_losses(self.place + start, self.place + stop).shift(-self.place)


@dataclass(frozen=True, eq=False)
class ThroughReader:
    """A file whose bytes only the reader can make: it is compressed, or the like.

    Attributes:
        remote: the file system.
        inode: of the file.
        size: [bytes].
        known: what the bytes are made from; None: to be asked for by whom it concerns, for it is much.
    """

    remote: RemoteFileSystem
    inode: int
    size: int
    known: Contents | None

    @cached_property
    def contents(self) -> Contents:
        """What the bytes are made from; raises `Unreadable`."""
        return self.remote.contents(self.inode) if self.known is None else self.known

    @property
    def raw(self) -> LinearMap:
        """All the bytes that it is made from, in a row; what lies before or behind the file system is lost."""
        told = [(place, length) for _, length, place in self.contents.runs]
        told += [(place, size) for _, _, place, size in self.contents.packed]
        ends = [0, *accumulate(max(0, length) for _, length in told)]
        rows = [
            (at, length, place) for at, (place, length) in zip(ends, told, strict=False) if length > 0 and place >= 0
        ]
        pieces = (Piece(at, length, self.remote.source, place) for at, length, place in rows)
        return LinearMap(ends[-1], [*pieces, *_second_copies(rows, self.contents, ends[-1], self.remote.source)])

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; a request that the reader cannot answer whole is answered page by page."""
        lost: list[tuple[int, int]] = []
        for offset, length, position in check_requests(requests, self.size, len(out)):
            lost += self._fill(offset, length, position, out, 1 << 20)
        return Extents(lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what cannot be made, for what it is made from is lost; what else fails only reading tells.

        Raises:
            Unreadable: it is in too many pieces to tell.
        """
        below, told = self.remote.source, self.contents
        places = [(place, length) for _, length, place in told.runs]
        places += [(place, size) for _, _, place, size in told.packed]
        there = [(place, place + size) for place, size in places if 0 <= place <= below.size - size]
        gone = below.known_losses(min(there)[0], max(end for _, end in there)) if there else Extents()
        twins = _twins_of(told) if gone else {}

        def lost_at(place: int, length: int) -> Extents:
            """Return what of some bytes is known to be lost, in all their copies [bytes of the first]."""
            if not 0 <= place <= below.size - length:
                return Extents.span(place, place + length)
            if not gone or not gone.overlaps(place, place + length):
                return Extents()
            lost = gone.clip(place, place + length)
            return lost.difference(Extents().union(*(found for found, _ in _doubled(place, length, twins, below))))

        lost: list[tuple[int, int]] = []
        for first, length, place in told.runs:
            lost += lost_at(place, max(0, min(length, self.size - first))).shift(first - place)
        lost += ((first, first + length) for first, length, place, size in told.packed if lost_at(place, size))
        return Extents(lost).clip(start, stop)

    def _fill(
        self, offset: int, length: int, position: int, out: NDArray[np.uint8], step: int
    ) -> list[tuple[int, int]]:
        lost = []
        deaths = self.remote.deaths
        for at in range(0, length, step):
            n = min(step, length - at)
            try:
                data = self.remote.read(self.inode, offset + at, n)
                out[position + at : position + at + n] = np.frombuffer(data, dtype=np.uint8)
            except Unreadable:
                if n > _PAGE_SIZE and self.remote.deaths == deaths:
                    lost += self._fill(offset + at, n, position + at, out, _PAGE_SIZE)
                    continue
                out[position + at : position + at + n] = 0
                lost.append((position + at, position + at + n))
        return lost
