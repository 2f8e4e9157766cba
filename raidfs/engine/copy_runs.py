"""Runs of filled sectors of a copy, and whether they show that it was never copied there.

One sector with data beside one that is filled tells nothing: garbage may lie on one copy in the midst of zeros that
both hold. What tells is the whole run that the filled sector lies in:

    other copy  d d d d d d d z d d       d: data, z: zeros, g: garbage
    a fill      d F F F F F F F F d       most of the run has data on another copy: it was never copied

    other copy  d z z z z g z z z d
    zeros       d z z z z z z z z d       the rest of the run is what the other copy holds, too

A run *convinces* if it is at least a page long, and another copy holds data in more than half of its sectors. It goes
on over sectors of the same sort (zeros, one other byte, a text), in the order of the member. What cannot be compared
belongs to it, but tells nothing: so damage convinces nobody. A run is *opposed* if another copy holds data in any of
its sectors.

A run is seen as far as `_FAR` from each piece of 64 KiB, from wherever it is asked about; so what is said does not
depend on what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource
from raidfs.engine.filled_runs import FilledRuns, Reach
from raidfs.engine.mirror_compare import Seen, look
from raidfs.engine.mirror_reads import Asked, read_windows, view_of
from raidfs.engine.mirrors import Mirrors
from raidfs.kernels.filled import CONSTANT, DATA, MARKED, PATTERN, REPEATED, ZEROS, kinds_of
from raidfs.units import SECTOR, align_down, align_up

_PIECE = 128
"""Sectors of a member for which a run is seen equally far."""
_FAR = 1 << 20
"""Bytes of a member, before and behind such a piece, in which runs are followed."""
_PAGE = 8
"""Sectors of a run, at least: what is shorter may be zeros of the user in the place of which one copy holds garbage."""
_SHARE = 1 / 2
"""More than this share of a run has data on another copy."""
_SORTS = ((ZEROS,), (CONSTANT,), (PATTERN, REPEATED, MARKED))
_UNKNOWN = 255
"""Kind of what could not be compared."""

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class CopyRuns:
    """What the runs say of n sectors of each lane.

    Attributes:
        start: of the first sector [symbol bytes].
        convincing: bool (lanes, n): filled, in a run that convinces.
        opposed: bool (lanes, n): filled, in a run of which some sector has data on another copy.
        unread: (source, start, stop) [image bytes] that could not be read though they were trusted.
    """

    start: int
    convincing: NDArray[np.bool_]
    opposed: NDArray[np.bool_]
    unread: tuple[tuple[int, int, int], ...]

    def at(self, lanes: Sequence[int], positions: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return `convincing` and `opposed` for some lanes, k of them, and m sectors [symbol bytes]; bool (k, m)."""
        where = np.array(lanes)[:, None], (positions - self.start) // SECTOR
        return self.convincing[where], self.opposed[where]


def runs_around(mirrors: Mirrors, sources: Sequence[BlockSource], start: int, stop: int) -> CopyRuns:
    """Read what lies around some sectors, and follow the runs there.

    Args:
        mirrors: the geometry, with nothing held against the members that was found by comparing.
        sources: the members.
        start: where what is asked about begins [symbol bytes], a multiple of 512.
        stop: where it ends, likewise.

    Raises:
        SourceError: a source is gone.
    """
    low, high = _around(mirrors, start, stop)
    shape = len(mirrors.codewords.lanes), (high - low) // SECTOR
    kinds, against = np.full(shape, DATA, dtype=np.uint8), np.zeros(shape, dtype=np.bool_)
    unread: list[tuple[int, int, int]] = []
    for asked in read_windows(mirrors, sources, low, high):
        looked = look(mirrors, asked)
        unread += looked.unread
        first = (asked.window.start - low) // SECTOR
        here = slice(first, first + asked.window.n_sectors)
        for symbol, seen in enumerate(looked.symbols):
            lanes = list(mirrors.lanes[symbol])
            held = _kinds(mirrors, asked, symbol, seen)
            inside = np.broadcast_to(seen.inside, held.shape)  # a lane may serve another symbol behind the section
            kinds[lanes, here] = np.where(inside, held, kinds[lanes, here])
            if len(seen.differs):
                against[lanes, here] |= _against(seen, held)
    convincing, opposed = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    for band in mirrors.bands:
        lanes = list(band)
        turned = _Turned(len(band), mirrors.codewords.symbol_size // SECTOR if len(band) > 1 else shape[1])
        piece = (low // SECTOR * len(band) + np.arange(len(band) * shape[1], dtype=np.int64)) // _PIECE
        found = _follow(turned.to_member(kinds[lanes]), turned.to_member(against[lanes]), piece)
        convincing[lanes], opposed[lanes] = map(turned.to_lanes, found)
    return CopyRuns(low, convincing, opposed, tuple(unread))


def lane_kinds(mirrors: Mirrors, asked: Asked, lane: int, codewords: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Look at what a lane holds in some codewords of a window, or in the slice that it is.

    Blocks are compared within pieces of 64 KiB of a symbol, whatever the window is.

    Args:
        mirrors: the geometry.
        asked: the batch, all of which was read.
        lane: whose source is there.
        codewords: int64 (k,): which, counted from the first of the window.

    Returns:
        uint8 (k, sectors of each), as `kernels.filled` names it; of any value where nothing was read.
    """
    window = asked.window
    view = view_of(mirrors, window, lane, asked.room, 1).reshape(window.n_codewords, -1)
    found = np.zeros((len(codewords), window.height // SECTOR), dtype=np.uint8)
    edge = _PIECE * SECTOR - window.start % mirrors.codewords.symbol_size % (_PIECE * SECTOR)
    cuts = [0, *range(edge, window.height, _PIECE * SECTOR), window.height]
    for number, row in zip(codewords.tolist(), found, strict=True):
        offset = mirrors.image_offset(lane, window.start + number * window.height)
        content = np.ascontiguousarray(view[number])
        for begin, end in pairwise(cuts):
            kinds_of(content[begin:end], offset + begin, row[begin // SECTOR : end // SECTOR])
    return found


def _around(mirrors: Mirrors, start: int, stop: int) -> tuple[int, int]:
    """Return what is to be read, so that of [start, stop) all is seen that is within reach [symbol bytes].

    Where a source holds several lanes side by side these are whole codewords.
    """
    size, piece = mirrors.codewords.symbol_size, _PIECE * SECTOR
    first, last = mirrors.bounds
    if max(map(len, mirrors.bands)) == 1:
        low, high = align_down(start, piece) - _FAR, align_up(stop, piece) + _FAR
    else:
        n_codewords = -(-(_FAR + piece) // (size * min(map(len, mirrors.bands))))
        low, high = align_down(start, size) - n_codewords * size, align_up(stop, size) + n_codewords * size
    return max(low, first), min(high, last)


def _kinds(mirrors: Mirrors, asked: Asked, symbol: int, seen: Seen) -> NDArray[np.uint8]:
    """Look at all that was compared of a symbol; uint8 (copies, sectors), of any value outside the section."""
    window, lanes = asked.window, mirrors.lanes[symbol]
    usable = np.broadcast_to(seen.usable, (len(lanes), window.n_sectors))
    compared = usable & (usable.sum(axis=0) > 1) & window.is_read
    kinds = np.full(compared.shape, _UNKNOWN, dtype=np.uint8)
    for number, lane in enumerate(lanes):
        if compared[number].any():
            held = lane_kinds(mirrors, asked, lane, np.arange(window.n_codewords)).reshape(-1)
            kinds[number] = np.where(compared[number], held, _UNKNOWN)
    return kinds


def _against(seen: Seen, kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which filled sectors differ from data of another copy; bool (copies, sectors)."""
    content, holds = seen.content, (kinds == DATA) & (seen.content >= 0)
    found = np.zeros(kinds.shape, dtype=np.bool_)
    for number, mine in enumerate(content):
        found[number] = (holds & (content != mine)).any(axis=0)
    found &= (kinds != DATA) & (kinds != _UNKNOWN) & seen.proven & seen.inside
    return found


def _follow(
    kinds: NDArray[np.uint8], against: NDArray[np.bool_], piece: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which sectors of a member lie in a run that convinces, and in one that is opposed.

    Args:
        kinds: uint8 (n,), in the order of the member.
        against: bool (n,): filled, and another copy holds data.
        piece: int64 (n,), ascending: the piece that each lies in.

    Returns:
        bool (n,) each; see `CopyRuns`.
    """
    reach = Reach(piece, _FAR // (_PIECE * SECTOR), starts=False, ends=False)
    convincing, opposed = np.zeros(len(kinds), dtype=np.bool_), np.zeros(len(kinds), dtype=np.bool_)
    for sort in _SORTS:
        mine = np.isin(kinds, sort)
        if (mine & against).any():
            runs = FilledRuns((mine | (kinds == _UNKNOWN))[None], reach)
            share = runs.share_in_run((mine & against)[None])[0]
            convincing |= mine & (share > _SHARE) & (runs.length()[0] >= _PAGE)
            opposed |= mine & (share > 0)
    return convincing, opposed


@dataclass(frozen=True)
class _Turned:
    """The order of a member's sectors, of which each of w lanes has k in turn.

    Attributes:
        n_lanes: w.
        n_sectors: k.
    """

    n_lanes: int
    n_sectors: int

    def to_member(self, lanes: NDArray[_T]) -> NDArray[_T]:
        """Turn (w, n) into (w * n,)."""
        return lanes.reshape(self.n_lanes, -1, self.n_sectors).swapaxes(0, 1).reshape(-1)

    def to_lanes(self, member: NDArray[_T]) -> NDArray[_T]:
        """Turn (w * n,) into (w, n)."""
        return member.reshape(-1, self.n_lanes, self.n_sectors).swapaxes(0, 1).reshape(self.n_lanes, -1)
