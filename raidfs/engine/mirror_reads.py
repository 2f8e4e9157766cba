"""Reading all copies of the same codewords together, by a thread for each member.

What is read together is a *window*; its copies lie in a *room*, band by band, codeword by codeword. Only what is
trusted is read, and only where it has something to be compared with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests
from raidfs.engine.health import Trust
from raidfs.engine.mirrors import Mirrors
from raidfs.extents import Extents
from raidfs.units import SECTOR, align_down

ROOM = 16 << 20
"""Bytes of all copies that are read together, about."""
_AHEAD = 2
"""Batches that are being read while one is compared."""
_LEAST = 64 << 10
"""Bytes of each copy that are read together at least, where a symbol is so large."""

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class Window:
    """What is looked at together: whole codewords, or a slice of one.

    Attributes:
        start, stop: [symbol bytes].
        n_codewords: how many; 1 for a slice.
        is_read: some of it has something to be compared with.
    """

    start: int
    stop: int
    n_codewords: int
    is_read: bool = True

    @property
    def n_sectors(self) -> int:
        """Of each symbol."""
        return (self.stop - self.start) // SECTOR

    @property
    def height(self) -> int:
        """Bytes of each codeword's symbols."""
        return (self.stop - self.start) // self.n_codewords


def windows(mirrors: Mirrors, start: int, stop: int) -> Iterator[Window]:
    """Cut [start, stop) [symbol bytes] into windows, as far as the section has codewords there."""
    size = mirrors.codewords.symbol_size
    n_cells = max(1, mirrors.n_cells)
    piece = max(_LEAST, align_down(ROOM // n_cells, _LEAST))
    first, last = mirrors.bounds
    start, stop = max(start, first), min(stop, last)
    while start < stop:
        blank = _blank_until(mirrors, start)
        if blank > start:
            yield Window(start, blank, (blank - start) // size, is_read=False)
            start = blank
        elif start % size or stop - start < size or size * n_cells > ROOM:
            end = min(start + piece, align_down(start, size) + size, stop)
            yield Window(start, end, 1)
            start = end
        else:
            n_codewords = min((stop - start) // size, ROOM // (size * n_cells))
            yield Window(start, start + n_codewords * size, n_codewords)
            start += n_codewords * size


def _blank_until(mirrors: Mirrors, start: int) -> int:
    """Return how far whole codewords of the section have nothing that could be compared; `start`: they have."""
    size = mirrors.codewords.symbol_size
    span = int(np.searchsorted(mirrors.span_start, start, side="right")) - 1
    usable = mirrors.states[mirrors.span_state[span]] <= Trust.SURE
    if start % size or any(usable[list(lanes)].sum() > 1 for lanes in mirrors.lanes):
        return start
    stop = int(mirrors.span_start[span + 1]) if span + 1 < len(mirrors.span_start) else mirrors.bounds[1]
    stop = align_down(min(stop, mirrors.bounds[1]), size)
    if mirrors.array_offset(0, start) < mirrors.section.array_start:
        return start
    if mirrors.array_offset(0, stop) > mirrors.section.array_stop:
        stop -= size
    return max(start, stop)


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch whose reads are under way.

    Attributes:
        window: where.
        trust: uint8 (lanes + conditions, w), w: sectors, or 1: the same in all.
        inside: bool (symbols, w): what belongs to the section.
        room: uint8 (k,): all copies, band by band.
        reads: (source, requests, what they will have lost).
    """

    window: Window
    trust: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    room: NDArray[np.uint8]
    reads: tuple[tuple[int, Requests, Future[Extents]], ...]


def read_windows(mirrors: Mirrors, sources: Sequence[BlockSource], start: int, stop: int) -> Iterator[Asked]:
    """Read all copies of [start, stop) [symbol bytes], ascending, batch by batch, ahead of whoever looks at them.

    Yields:
        A batch; its room is used again when the next one is asked for.

    Raises:
        SourceError: a source is gone.
    """
    asked: deque[Asked] = deque()
    rooms: deque[NDArray[np.uint8]] = deque()
    with ThreadPoolExecutor(max(1, len(sources)), thread_name_prefix="raidfs-verify") as pool:
        for window in windows(mirrors, start, stop):
            n_bytes = mirrors.n_cells * (window.stop - window.start) if window.is_read else 0
            room = rooms.popleft() if rooms else np.zeros(n_bytes, dtype=np.uint8)
            room = room if len(room) >= n_bytes else np.zeros(n_bytes, dtype=np.uint8)
            asked.append(_ask(pool, sources, mirrors, window, room))
            if len(asked) > _AHEAD:
                rooms.append(asked[0].room)
                yield asked.popleft()
        while asked:
            yield asked.popleft()


def _ask(
    pool: Executor, sources: Sequence[BlockSource], mirrors: Mirrors, window: Window, room: NDArray[np.uint8]
) -> Asked:
    """Start to read what can be compared."""
    trust = mirrors.trust_in(window.start, window.n_sectors if window.is_read else 1)
    inside = _inside(mirrors, window)
    wanted: dict[int, list[Requests]] = {}
    for symbol, lanes in enumerate(mirrors.lanes if window.is_read else ()):
        usable = (trust[list(lanes)] <= Trust.SURE) & inside[symbol]
        usable &= usable.sum(axis=0) > 1
        for lane, here in zip(lanes, usable, strict=True):
            if here.any():
                wanted.setdefault(mirrors.codewords.lanes[lane].source, []).append(_reads(mirrors, window, lane, here))
    reads = []
    for source, parts in wanted.items():
        requests = _joined(np.concatenate(parts))
        reads.append((source, requests, pool.submit(sources[source].read_into, requests, room)))
    return Asked(window, trust, inside, room, tuple(reads))


def _inside(mirrors: Mirrors, window: Window) -> NDArray[np.bool_]:
    """Tell which sectors belong to the section; bool (symbols, sectors), or (symbols, 1): all or none."""
    section, codewords = mirrors.section, mirrors.codewords
    first, last = window.start // codewords.symbol_size, -(-window.stop // codewords.symbol_size)
    low, high = (codewords.array_origin + number * codewords.size for number in (first, last))
    if section.array_start <= low and high <= section.array_stop:
        return np.ones((codewords.n_symbols, 1), dtype=np.bool_)
    position = window.start + np.arange(window.n_sectors, dtype=np.int64) * SECTOR
    number, rest = np.divmod(position, codewords.symbol_size)
    own = np.arange(codewords.n_symbols, dtype=np.int64)[:, None] * codewords.symbol_size
    at = codewords.array_origin + number * codewords.size + rest + own
    inside: NDArray[np.bool_] = (section.array_start <= at) & (at < section.array_stop)
    return inside


def _band(mirrors: Mirrors, window: Window, lane: int) -> tuple[int, int, int]:
    """Return where the band of a lane begins [room bytes], how many lanes it has, and the number of this one."""
    start = 0
    for band in mirrors.bands:
        if lane in band:
            return start, len(band), band.index(lane)
        start += len(band) * (window.stop - window.start)
    raise AssertionError("nothing is read of a lane that no image serves")


def _reads(mirrors: Mirrors, window: Window, lane: int, wanted: NDArray[np.bool_]) -> Requests:
    """Return the requests for the wanted sectors of a lane; `wanted`: bool (sectors,), or (1,): all."""
    n, height = window.n_codewords, window.height
    if len(wanted) == 1:
        number, low, length = (np.arange(n, dtype=np.int64), *np.full((2, n), ((0,), (height,)), dtype=np.int64))
    else:
        framed = np.pad(wanted.reshape(n, -1), ((0, 0), (1, 1))).astype(np.int8).reshape(-1)
        edges = (np.flatnonzero(np.diff(framed)) + 1).reshape(-1, 2)
        number, low = np.divmod(edges[:, 0], height // SECTOR + 2)
        low, length = (low - 1) * SECTOR, (edges[:, 1] - edges[:, 0]) * SECTOR
    start, width, index = _band(mirrors, window, lane)
    offset = mirrors.image_offset(lane, window.start) + number * mirrors.codewords.lanes[lane].step + low
    return np.stack((offset, length, start + (number * width + index) * height + low), axis=1)


def _joined(requests: Requests) -> Requests:
    """Order requests, and join those that adjoin in the image and in the room."""
    requests = requests[np.argsort(requests[:, 0])]
    ends = requests[:, 0::2] + requests[:, 1:2]
    first = np.concatenate(([True], (ends[:-1] != requests[1:, 0::2]).any(axis=1)))
    joined = requests[first]
    joined[:, 1] = np.add.reduceat(requests[:, 1], np.flatnonzero(first))
    return joined


def view_of(mirrors: Mirrors, window: Window, lane: int, room: NDArray[_T], unit: int) -> NDArray[_T]:
    """Return what the room has of a lane: (codewords, height / unit), one element for each `unit` bytes."""
    start, width, index = _band(mirrors, window, lane)
    stop = start + window.n_codewords * width * window.height
    return room[start // unit : stop // unit].reshape(window.n_codewords, width, -1)[:, index]
