"""A source whose lost bytes read as zeros because the user asked for that; what else is withheld stays withheld."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests
from raidfs.extents import Extents
from raidfs.linear import LinearMap, Piece

LostIn = Callable[[int, int], Extents]
"""Says which bytes of [start, stop) nothing holds."""


def in_place_of(source: BlockSource, one: BlockSource, other: BlockSource) -> BlockSource:
    """Return a source that lies on `one` as it were if it lay on `other`, which has the same bytes and fewer losses.

    So data can be filled while whoever reads metadata still sees what is lost.
    """
    if source is one or one is other:
        return other if source is one else source
    if not isinstance(source, LinearMap):
        return source
    return LinearMap(source.size, [_moved(piece, one, other) for piece in source.pieces()])


def _moved(piece: Piece, one: BlockSource, other: BlockSource) -> Piece:
    return Piece(piece.start, piece.length, other, piece.place) if piece.source is one else piece


class _Nowait(BlockSource, Protocol):
    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool: ...


class ZeroFilled:
    """A block source with its lost bytes filled. As thread-safe as the source below."""

    def __init__(self, source: _Nowait, lost_in: LostIn) -> None:
        """Lie over `source`; `lost_in` is asked after each read, so that what was just learned counts."""
        self._source = source
        self._lost_in = lost_in

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._source.size

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` at once, if the source can; it cannot where anything is lost."""
        return self._source.try_read_into(offset, out)

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        losses = self._source.read_into(requests, out)
        if not losses:
            return losses
        filled = [
            self._lost_in(offset, offset + length).shift(position - offset)
            for offset, length, position in requests.tolist()
        ]
        return losses.difference(Extents().union(*filled))

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is withheld in [start, stop) although something holds it."""
        return self._source.known_losses(start, stop).difference(self._lost_in(start, stop))
