"""The one protocol between the layers: a source of immutable bytes that says what it does not have.

Member images, the virtual array and whatever lies on it are all `BlockSource`s. Reads are positional (no cursor), come
in batches, and report losses as values in the coordinates of the output buffer, so that a layer which only moves
addresses passes them through untouched.

Threading: every `BlockSource` may be read from several threads at once.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from raidfs.extents import Extents

Requests = NDArray[np.int64]
"""int64 (k, 3): offset [bytes of the source], length [bytes], position in the output buffer [bytes]."""


class BlockSource(Protocol):
    """Immutable bytes with holes that are known or found while reading."""

    @property
    def size(self) -> int:
        """Size in bytes; constant."""

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill the requested parts of `out`.

        Args:
            requests: int64 (k, 3), see `Requests`; the parts of `out` must not overlap.
            out: uint8 (n,), writable and contiguous.

        Returns:
            The parts of `out` that are not data; those bytes are zero.

        Raises:
            ValueError: a request lies outside [0, size) or outside `out`: the caller's bug.
            SourceError: the source itself is gone. Bad media never raise.
        """

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known, without reading, to be lost in [start, stop) [bytes of the source]."""


@runtime_checkable
class Watchable(Protocol):
    """A source that can tell whether it is still what was opened."""

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when it is not."""


@runtime_checkable
class NowaitSource(Protocol):
    """A block source that can also try to read at once."""

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill all of `out` from `offset` [bytes of the source] without ever blocking.

        Returns:
            True where `out` is filled with served data; False where it would block or holds anything unusual: `out` is
            undefined then, and `read_into` has the answer.
        """


@cache
def _offers_nowait(kind: type) -> bool:
    return issubclass(kind, NowaitSource)


def nowait_of(source: BlockSource) -> NowaitSource | None:
    """Return the same source if it can try to read at once, else None; fast, for it is asked at every opening."""
    return cast("NowaitSource", source) if _offers_nowait(type(source)) else None


class MemorySource:
    """A `BlockSource` over bytes in memory, with losses as told."""

    def __init__(self, data: bytes | bytearray | memoryview, losses: Extents | None = None) -> None:
        """Wrap `data`; `losses` [bytes of the source] read as zeros and are reported."""
        self._data = np.frombuffer(data, dtype=np.uint8)
        self._losses = Extents() if losses is None else losses

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self._data)

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        lost = []
        for offset, length, position in check_requests(requests, self.size, len(out)):
            out[position : position + length] = self._data[offset : offset + length]
            for start, stop in self._losses.clip(offset, offset + length).shift(position - offset):
                out[start:stop] = 0
                lost.append((start, stop))
        return Extents(lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return the losses in [start, stop)."""
        return self._losses.clip(start, stop)


def check_requests(requests: Requests, size: int, out_size: int) -> list[list[int]]:
    """Refuse requests outside the source or the buffer.

    Returns:
        The requests as lists of offset, length, position.

    Raises:
        ValueError: the caller's bug, with the first offending request.
    """
    listed: list[list[int]] = requests.tolist()  # plain numbers: most calls bring one request, and numpy is slow on one
    for offset, length, position in listed:
        if not (length >= 0 and 0 <= offset <= size - length and 0 <= position <= out_size - length):
            told = f"request {[offset, length, position]}"
            raise ValueError(f"{told} outside a source of {size} or a buffer of {out_size} bytes")
    return listed


def one_request(offset: int, length: int) -> Requests:
    """Return the request for [offset, offset + length), to the start of the buffer."""
    return np.array([[offset, length, 0]], dtype=np.int64)


def read_exact(source: BlockSource, offset: int, length: int) -> tuple[bytes, Extents]:
    """Read one range into fresh memory.

    Returns:
        `length` bytes, and the parts of them that are not data (zero).
    """
    out = np.zeros(length, dtype=np.uint8)
    lost = source.read_into(one_request(offset, length), out)
    return out.tobytes(), lost
