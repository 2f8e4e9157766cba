"""Sets of bytes, as sorted half-open ranges: the one interval type of raidfs.

Used for damage, losses, readable ranges, ddrescue maps and the account. Merging happens in the constructor and nowhere
else; values are immutable, so they may be shared between threads.

        0         10        20        30
        |----#####|#--------|---######|     Extents([(5, 11), (24, 30)])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Extents:
    """An immutable set of bytes.

    Attributes:
        array: int64 (k, 2), read-only: start and stop [bytes] of each range, with start < stop and
            stop[i] < start[i + 1], so that equal sets have equal arrays.
    """

    __slots__ = ("array",)
    array: NDArray[np.int64]

    def __init__(self, ranges: Iterable[tuple[int, int]] | ArrayLike = ()) -> None:
        """Build the set from ranges in any order; empty ones vanish, overlapping and touching ones merge.

        Raises:
            ValueError: a range ends before it starts.
        """
        raw = ranges if isinstance(ranges, np.ndarray) else np.array(list(ranges), dtype=np.int64)  # type: ignore[arg-type]  # ArrayLike includes scalars
        raw = np.asarray(raw, dtype=np.int64).reshape(-1, 2)
        if np.any(raw[:, 1] < raw[:, 0]):
            raise ValueError("a range ends before it starts")
        self.array = _canonical(raw[raw[:, 1] > raw[:, 0]])
        self.array.flags.writeable = False

    @classmethod
    def span(cls, start: int, stop: int) -> Extents:
        """Return the set of the bytes [start, stop); empty where stop <= start."""
        return cls([(start, max(start, stop))])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) as Python integers, ascending."""
        return ((int(start), int(stop)) for start, stop in self.array)

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self.array)

    def __bool__(self) -> bool:
        """Tell whether the set holds any byte."""
        return len(self.array) > 0

    def __eq__(self, other: object) -> bool:
        """Compare as sets of bytes."""
        return isinstance(other, Extents) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        """Hash as a value."""
        return hash(self.array.tobytes())

    def __repr__(self) -> str:
        """Show the ranges."""
        return f"Extents({list(self)})"

    @property
    def total(self) -> int:
        """Number of bytes in the set."""
        return int((self.array[:, 1] - self.array[:, 0]).sum())

    def union(self, *others: Extents) -> Extents:
        """Return the bytes that are in any of the sets."""
        arrays = [each.array for each in (self, *others) if len(each.array)]
        return Extents(np.concatenate(arrays)) if arrays else Extents()

    def intersection(self, other: Extents) -> Extents:
        """Return the bytes that are in both sets."""
        return _sweep(self, other, lambda here, there: here & there)

    def difference(self, other: Extents) -> Extents:
        """Return the bytes of this set that are not in the other."""
        return _sweep(self, other, lambda here, there: here & ~there)

    def clip(self, start: int, stop: int) -> Extents:
        """Return the bytes of this set that lie in [start, stop)."""
        if not len(self.array) or stop <= start:
            return Extents()
        first = int(np.searchsorted(self.array[:, 1], start, side="right"))
        last = int(np.searchsorted(self.array[:, 0], stop, side="left"))
        return Extents(np.clip(self.array[first:last], start, stop))

    def shift(self, by: int) -> Extents:
        """Return the set with `by` added to every byte's position."""
        return Extents(self.array + by)

    def contains(self, start: int, stop: int) -> bool:
        """Tell whether all of [start, stop) is in the set."""
        if stop <= start:
            return True
        index = int(np.searchsorted(self.array[:, 0], start, side="right")) - 1
        return index >= 0 and int(self.array[index, 1]) >= stop

    def overlaps(self, start: int, stop: int) -> bool:
        """Tell whether any byte of [start, stop) is in the set."""
        index = int(np.searchsorted(self.array[:, 1], start, side="right"))
        return start < stop and index < len(self.array) and int(self.array[index, 0]) < stop

    def boundaries(self) -> NDArray[np.int64]:
        """Return all starts and stops, ascending; int64 (2k,)."""
        return self.array.reshape(-1)


def _canonical(raw: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort and merge; `raw` int64 (k, 2) without empty ranges."""
    if not len(raw):
        return np.empty((0, 2), dtype=np.int64)
    raw = raw[np.argsort(raw[:, 0], kind="stable")]
    reach = np.maximum.accumulate(raw[:, 1])
    first = np.concatenate(([True], raw[1:, 0] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return np.ascontiguousarray(np.stack((raw[first, 0], reach[last]), axis=1))


def _sweep(left: Extents, right: Extents, keep) -> Extents:  # type: ignore[no-untyped-def]  # a numpy expression
    """Keep the elementary ranges for which `keep(in left, in right)` holds."""
    cuts = np.unique(np.concatenate((left.boundaries(), right.boundaries())))
    if len(cuts) < 2:
        return Extents()
    kept = keep(_inside(left, cuts[:-1]), _inside(right, cuts[:-1]))
    return Extents(np.stack((cuts[:-1][kept], cuts[1:][kept]), axis=1))


def _inside(extents: Extents, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for each position whether it is in the set (an odd number of boundaries lies at or before it)."""
    inside: NDArray[np.bool_] = np.searchsorted(extents.boundaries(), positions, side="right") % 2 == 1
    return inside
