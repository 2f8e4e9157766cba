"""Images that can be written: every write goes to a layer over the array, whatever lies between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from raidfs.block import BlockSource
from raidfs.linear import LinearMap


class Layer(BlockSource, Protocol):
    """A source that takes writes, such as `raidfs.overlay.Overlay`."""

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes; raises `OutputError` or `OSError`."""

    def flush(self) -> None:
        """Make what was written last."""


@dataclass(eq=False)
class Writing:
    """A layer that is in use.

    Attributes:
        layer: what takes the writes.
        has_begun: something was written since the mount began: what was read of file systems may be old.
    """

    layer: Layer
    has_begun: bool = False


@dataclass(frozen=True, eq=False)
class WritableImage:
    """An image over a layer: the layer itself, or a map of parts of it.

    Attributes:
        source: its bytes.
        writing: the layer below.
    """

    source: BlockSource
    writing: Writing

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes [offset, offset + len(data)) of the image; raises `OutputError` or `OSError`."""
        self.writing.has_begun = True
        for at, length, place in list(_places(self.source, self.writing.layer, offset, offset + len(data))):
            self.writing.layer.write(place, data[at - offset : at - offset + length])

    def flush(self) -> None:
        """Make what was written last."""
        self.writing.layer.flush()


def writable(source: BlockSource, writing: Writing | None) -> WritableImage | None:
    """Return what writes to an image; None: nothing can, since not all of it lies on the layer."""
    if writing is None or _places_of(source, writing.layer) is None:
        return None
    return WritableImage(source, writing)


def _places_of(source: BlockSource, layer: Layer) -> BlockSource | None:
    if source is layer:
        return source
    if isinstance(source, LinearMap) and all(piece.source is layer for piece in source.pieces()):
        return source
    return None


def _places(source: BlockSource, layer: Layer, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (place in the image, length, place in the layer) [bytes]."""
    if source is layer:
        yield start, stop - start, start
    elif isinstance(source, LinearMap):
        for piece in source.pieces(start, stop):
            yield piece.start, piece.length, piece.place
