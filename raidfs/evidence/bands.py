"""Where to look for bands of pages that were moved twice: places in the array, see `raidfs.evidence.moved_twice`.

A band lies where an earlier run of the reshape ended, which may be anywhere, and is as wide as what is put in the old
place of a page lies from that page: ever wider where members are added or removed, and all over the array as wide as
the members' data are moved where not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raidfs.array.description import Reshape
from raidfs.evidence.window import PAGE

PAGES = 16
"""Neighbouring pages that are looked at together."""
_SPREAD = 48
"""Places that are looked at all over the array."""
_IN_BAND = 8
"""Places that are looked at in a band whose width is known, at least."""
_MOST = 256
"""Places that are looked at all over the array for such bands, at most."""
_AROUND = 48
"""Places that are looked at on each side of one that tells, at most."""
_LEAST = 0.15
"""From one place to the next, from the begin on, it is further by this share at least."""
_MEMBERS = 7
"""Places all over the array are shifted by ever more chunks, up to so many: stripes may be as far apart as they are."""


def from_begin(reshape: Reshape, size: int) -> set[int]:
    """Return places ever further from where the reshape began, from its position, and all over the array [bytes]."""
    step = _step(reshape)
    found = {*range(0, size, max(PAGES * PAGE, size // _SPREAD)), *_around(reshape.position, step, size)}
    ratio = 1 + max(abs(1 - reshape.after.raid_disks / reshape.before.raid_disks) / 2, _LEAST)
    for far in _growing(step, size, ratio):
        found.add(far - step if reshape.direction.is_forward else size - far)
    return within(found, size)


def for_width(reshape: Reshape, size: int, width: int) -> set[int]:
    """Return places all over the array for bands that are as wide everywhere, on one member as on another [bytes]."""
    step = _step(reshape)
    n = min(_IN_BAND * size // max(width, step), _MOST)
    starts = range(0, size, max(PAGES * PAGE, size // n)) if n > _SPREAD else range(0)
    return within((at + number % _MEMBERS * step for number, at in enumerate(starts)), size)


def around_edges(reshape: Reshape, size: int, edges: Iterable[int]) -> set[int]:
    """Return places ever further from others [bytes]."""
    return within({at for edge in edges for at in _around(edge, _step(reshape), size)}, size)


def around_one(at: int, width: int, size: int) -> set[int]:
    """Return places all over a band that a place lies in, and over what lies next to it [bytes]."""
    step = max(width // _AROUND, PAGES * PAGE)
    return within(range(at - 2 * width, at + 2 * width + 1, step), size)


def within(starts: Iterable[int], size: int) -> set[int]:
    """Return those that lie in the array, where their pages begin [bytes]."""
    return {start // PAGE * PAGE for start in starts if 0 <= start < size}


def _step(reshape: Reshape) -> int:
    return max(reshape.before.chunk_size, reshape.after.chunk_size, PAGES * PAGE)


def _around(edge: int, step: int, size: int) -> Iterator[int]:
    """Yield places on both sides of one, ever further away."""
    for far in _growing(step, size, 2.0):
        yield edge - far
        yield edge + far - step


def _growing(first: int, stop: int, ratio: float) -> Iterator[int]:
    """Yield distances, ever greater."""
    distance = float(first)
    while distance < stop:
        yield int(distance)
        distance = max(distance * ratio, distance + first / 2)
