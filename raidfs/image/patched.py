"""A source with some of its bytes taken from elsewhere: what md's logs would write to a member, laid over its image.

    image     |..........................|
    pieces         |####|      |##|             read from where they are, also where the image is bad or ends

The image itself is never written, nor read where a piece lies. Threading: immutable.
"""

from __future__ import annotations

from collections.abc import Iterable

from raidfs.block import BlockSource
from raidfs.extents import Extents
from raidfs.linear import LinearMap, Piece


class PatchedSource(LinearMap):
    """A `BlockSource` over another one, as long as that or up to the last piece.

    Attributes:
        patched: where pieces lie [bytes of the source].
    """

    def __init__(self, source: BlockSource, pieces: Iterable[Piece]) -> None:
        """Lay pieces over a source.

        Args:
            source: what lies under them.
            pieces: of overlapping ones the later count. They may lie beyond the source's end.
        """
        laid = [piece for piece in pieces if piece.length]
        self.patched = Extents((piece.start, piece.stop) for piece in laid)
        size = max([source.size, *(piece.stop for piece in laid)])
        super().__init__(size, [Piece(0, source.size, source, 0), *laid])
