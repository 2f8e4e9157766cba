"""Sources that take turns: what a striped logical volume is made of.

    stripe    0     1     2     3     4     5
    column    0     1     2     0     1     2
    row       0     0     0     1     1     1

Unlike a `LinearMap`, which needs a piece for each stripe, this costs nothing by its size. Threading: immutable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests, check_requests, nowait_of
from raidfs.extents import Extents


class Striped:
    """A `BlockSource` over columns of equal length."""

    def __init__(self, columns: Sequence[BlockSource], stripe_size: int) -> None:
        """Join columns.

        Args:
            columns: as long as the first one, or longer.
            stripe_size: [bytes]; what does not fill a stripe at the end is left out.

        Raises:
            ValueError: there are no columns, or no stripes.
        """
        if not columns or stripe_size < 1:
            raise ValueError("stripes need columns and a size")
        self._columns = list(columns)
        self._stripe_size = stripe_size
        self._size = columns[0].size // stripe_size * stripe_size * len(columns)
        self._nowait = [nowait_of(column) for column in columns]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        reads: dict[int, list[tuple[int, int, int]]] = {}
        for offset, length, position in check_requests(requests, self._size, len(out)):
            for start, count, column, place in self._within(offset, offset + length):
                reads.setdefault(column, []).append((place, count, position + start - offset))
        lost = [self._columns[column].read_into(np.array(asked), out) for column, asked in reads.items()]
        return Extents().union(*lost)

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` on if all columns can do so without waiting; else return False."""
        for start, count, column, place in self._within(offset, offset + len(out)):
            source = self._nowait[column]
            begin = start - offset
            if source is None or not source.try_read_into(place, out[begin : begin + count]):
                return False
        return True

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        stripe, width = self._stripe_size, len(self._columns)
        first, last = start // (stripe * width) * stripe, -(-stop // (stripe * width)) * stripe
        found = []
        for number, column in enumerate(self._columns):
            for begin, end in column.known_losses(first, min(last, self._size // width)):
                rows = np.arange(begin // stripe, -(-end // stripe))
                at = (rows * width + number) * stripe
                head, tail = np.maximum(begin - rows * stripe, 0), np.minimum(end - rows * stripe, stripe)
                found.append(np.column_stack((at + head, at + tail)))
        return Extents(np.concatenate(found)).clip(start, stop) if found else Extents()

    def _within(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (start, length, column, place in it) of what lies in [start, stop)."""
        stripe, width = self._stripe_size, len(self._columns)
        while start < stop:
            number, at = divmod(start, stripe)
            count = min(stripe - at, stop - start)
            yield start, count, number % width, number // width * stripe + at
            start += count
