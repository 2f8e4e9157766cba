"""Which of an old copy behind the position of a reshape and its new place is wrong, where they differ.

Two against one: each of the two lies in a row of its own geometry, whose parity may speak for it. Where both do, the
new place was written since; where neither does, nothing tells. Old parity often says nothing, because a part of its row
is gone: then new parity alone decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import gcd

import numpy as np

from raidfs.array.description import ArrayDescription, Member
from raidfs.block import BlockSource
from raidfs.engine.copies import Copies
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.engine.rows import Rows, judge_rows, rows_of
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Section, Side
from raidfs.kernels.syndrome import AGREES, UNCHECKED

MOST_ASKED = 1000
"""Differing ranges about which parity is asked."""


class Wrong(Enum):
    """Which of two copies is wrong."""

    OLD = "old"
    NEW = "new"
    NEITHER = "neither"
    """Parity speaks for both: the new place was written since."""
    OPEN = "open"


@dataclass(frozen=True)
class OddCopy:
    """Array bytes whose old copy differs from the new one, on one member each.

    Attributes:
        start: [array bytes].
        stop: [array bytes].
        old: source of the old copy, and where it begins there [image bytes].
        new: the same of the new one.
        wrong: which of them is.
    """

    start: int
    stop: int
    old: tuple[int, int]
    new: tuple[int, int]
    wrong: Wrong


def odd_copies(
    description: ArrayDescription,
    members: Sequence[Member],
    flaws: Sequence[Flaw],
    sources: Sequence[BlockSource],
    copies: Copies,
) -> Iterator[OddCopy]:
    """Ask both parities about the copies that differ.

    Args:
        description: the array, in a reshape.
        members: the member of each source.
        flaws: everything known against the sources.
        sources: the members.
        copies: which differ; of many the first.
    """
    if description.reshape is None:
        return
    shapes = {Side.BEFORE: description.reshape.before, Side.AFTER: description.reshape.after}
    old, new = (
        rows_of(
            members,
            flaws,
            Section(0, description.size, side, zone_of(shape, description.component_size), shape.raid_disks),
        )
        for side, shape in shapes.items()
    )
    chunk = gcd(*(shape.chunk_size for shape in shapes.values()))
    for low, high in copies.differing[:MOST_ASKED]:
        for start in range(low // chunk * chunk, high, chunk):
            begin, end = max(start, low), min(start + chunk, high)
            places = [_place(rows, begin) for rows in (old, new)]
            if None not in places:
                speaks = [_speaks_for(rows, sources, begin, end) for rows in (old, new)]
                (of_old, of_new) = (place for place in places if place is not None)
                yield OddCopy(begin, end, of_old, of_new, _wrong(*speaks))


def _wrong(old: bool | None, new: bool | None) -> Wrong:
    """Say which copy is wrong, given whether the parity of its row speaks for it; None: it says nothing."""
    if old and new:
        return Wrong.NEITHER
    if new:  # if old parity says nothing, the new place may have been written since
        return Wrong.OLD
    return Wrong.NEW if old and new is False else Wrong.OPEN


def _component(rows: Rows, at: int) -> tuple[int, int]:
    """Return role and component offset of an array byte."""
    roles, components = rows.zone.locate(np.array([at], dtype=np.int64))
    return int(roles[0]), int(components[0])


def _place(rows: Rows, at: int) -> tuple[int, int] | None:
    """Return source and image offset of an array byte; None: nobody serves it."""
    role, component = _component(rows, at)
    lane = rows.lanes[role]
    return None if lane is None else (lane[0], lane[1] + component)


def _speaks_for(rows: Rows, sources: Sequence[BlockSource], start: int, stop: int) -> bool | None:
    """Tell whether the rows behind array bytes of one chunk agree; None: that cannot be told of all of them."""
    _, component = _component(rows, start)
    verdict = np.concatenate(
        [each.verdict for each in judge_rows(rows, sources, component, component + stop - start, Trust.SURE)]
    )
    if (verdict == UNCHECKED).any():
        return None
    return bool((verdict == AGREES).all())
