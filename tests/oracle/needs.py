"""Which failing sectors are worth their rescue: those that can help to turn a lost or doubtful byte into a good one.

A failing sector is needed if and only if there is a set of other failing sectors of its group with which, but not
without it, some byte that is lost or doubtful now is served by default. With several to choose from, each is needed:
nobody knows beforehand which of them can be read.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tests.oracle.cells import NEW, SECTOR, UNPROVEN, Situation
from tests.oracle.ranges import Range, merged
from tests.oracle.reach import Pattern, Survey, matrix
from tests.oracle.span import connected


def needs(situation: Situation) -> dict[int, list[Range]]:
    """The needed sectors of each source that has any [member bytes], by its index."""
    survey = Survey(situation)
    found: dict[int, list[Range]] = {}
    for number, pattern in enumerate(survey.patterns):
        heights = survey.pattern_of == number
        for source, slot in needed_cells(pattern):
            side = survey.group.slots[slot][0]
            owner = situation.sources[source]
            offset = owner.new_data_offset if side == NEW else owner.data_offset
            starts = survey.component_sectors(slot)[heights] * SECTOR + offset
            found.setdefault(source, []).extend((start, start + SECTOR) for start in starts.tolist())
    return {source: merged(ranges) for source, ranges in sorted(found.items())}


@lru_cache(maxsize=1 << 14)
def needed_cells(pattern: Pattern) -> frozenset[tuple[int, int]]:
    """Source and slot of each failing cell of a group that is needed."""
    found: set[tuple[int, int]] = set()
    usable = [each for each in pattern.equations if each.trust <= UNPROVEN]
    known = [each for each in usable if not each.is_failing]
    failing = [each for each in usable if each.is_failing]
    for _, unknown in pattern.wanted:
        wanted = np.zeros(pattern.n_unknowns, dtype=np.uint8)
        wanted[unknown] = 1
        helps = connected(matrix(known, pattern.n_unknowns), wanted, matrix(failing, pattern.n_unknowns))
        found |= {each.cell for each, does in zip(failing, helps, strict=True) if does and each.cell is not None}
    return frozenset(found)
