"""Structures that others announce: what was found where it should lie, and how places are looked at."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents

_MOST_SAMPLES = 64
"""Of one kind that are looked at; more would say the same."""


@dataclass(frozen=True)
class Structure:
    """What was found.

    Attributes:
        position, length: [bytes of the source].
        what: it, in two or three words.
    """

    position: int
    length: int
    what: str


def counted(structures: Sequence[Structure]) -> str:
    """Return what was found: `2 ext4 superblocks and 5 ext4 block bitmaps`."""
    words = [each.what for each in structures]
    return " and ".join(f"{words.count(word)} {word}{'s' * (words.count(word) > 1)}" for word in dict.fromkeys(words))


def read_whole(source: BlockSource, offset: int, length: int) -> bytes | None:
    """Read a range; None: it is not wholly there."""
    if not 0 <= offset <= source.size - length:
        return None
    data, lost = read_exact(source, offset, length)
    return None if lost else data


def number_at(layout: str, data: bytes, offset: int) -> int:
    """Return a number that is stored as `struct` names it."""
    number: int = struct.unpack_from(layout, data, offset)[0]
    return number


def confirmed(
    source: BlockSource, candidates: Sequence[int], length: int, where: Extents, confirm: Callable[[int, bytes], str]
) -> Iterator[Structure]:
    """Look at some of the positions where something is expected.

    Args:
        source: the array.
        candidates: positions; the number of one is its index.
        length: of each.
        where: only those that touch these bytes count.
        confirm: (number, bytes) -> what it is; or '' where it is not there.
    """
    inside = [
        number
        for number, at in enumerate(candidates)
        if 0 <= at <= source.size - length and where.overlaps(at, at + length)
    ]
    for number in inside[:: max(1, -(-len(inside) // _MOST_SAMPLES))]:
        data = read_whole(source, candidates[number], length)
        what = "" if data is None else confirm(number, data)
        if what:
            yield Structure(candidates[number], length, what)
