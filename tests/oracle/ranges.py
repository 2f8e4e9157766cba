"""Half-open byte ranges as sorted lists of pairs, by the plainest loops that work."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes as sorted ranges that neither touch nor overlap."""
    out: list[Range] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    return out


def intersection(left: Iterable[Range], right: Iterable[Range]) -> list[Range]:
    """The bytes in both."""
    right = list(right)
    return merged((max(a, c), min(b, d)) for a, b in left for c, d in right)


def difference(left: Iterable[Range], right: Iterable[Range]) -> list[Range]:
    """The bytes of `left` that are not in `right`."""
    out = list(left)
    for start, stop in right:
        out = [piece for a, b in out for piece in ((a, min(b, start)), (max(a, stop), b)) if piece[0] < piece[1]]
    return merged(out)


def shifted(ranges: Iterable[Range], by: int) -> list[Range]:
    """Every range moved by `by`."""
    return [(start + by, stop + by) for start, stop in ranges]


def contains(ranges: Iterable[Range], start: int, stop: int) -> bool:
    """Whether [start, stop) lies within one of merged ranges."""
    return any(a <= start and stop <= b for a, b in ranges)


def total(ranges: Iterable[Range]) -> int:
    """Number of bytes in merged ranges."""
    return sum(stop - start for start, stop in ranges)
