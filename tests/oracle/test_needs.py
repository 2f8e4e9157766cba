"""What is worth its rescue, against the definition: every set of failing cells is tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given, settings

from tests.oracle.cells import FAILING, SECTOR, Situation, Source
from tests.oracle.crashed import Crashed, crashed_arrays
from tests.oracle.layouts import Geometry
from tests.oracle.needs import needed_cells, needs
from tests.oracle.ranges import contains, difference
from tests.oracle.reach import IS_UNPROVEN, Pattern, Survey, healths, worths

MOST = 7
"""Failing cells of a group up to which all sets are tried."""


def n_served(pattern: Pattern, rescued: set[int]) -> int:
    """Symbols that are served when some failing cells were rescued."""
    cells = bytes(each - FAILING if at in rescued else each for at, each in enumerate(pattern.cells))
    return sum(worth <= IS_UNPROVEN for worth in worths(replace(pattern, cells=cells)))


def needed_by_definition(pattern: Pattern, failing: list[int]) -> Iterator[int]:
    for cell in failing:
        rest = [other for other in failing if other != cell]
        sets = ({*chosen} for n in range(len(failing)) for chosen in combinations(rest, n))
        if any(n_served(pattern, chosen | {cell}) > n_served(pattern, chosen) for chosen in sets):
            yield cell


@settings(max_examples=60)
@given(crashed_arrays(torn=False) | crashed_arrays(torn=True))
def test_a_failing_cell_is_needed_if_it_helps_together_with_some_others(crashed: Crashed) -> None:
    survey = Survey(crashed.situation(crashed.build(crashed.content, crashed.writes)))
    for pattern in survey.patterns[:8]:
        failing = [at for at, each in enumerate(pattern.cells) if each & FAILING]
        if 0 < len(failing) <= MOST:
            expected = {divmod(at, len(pattern.stripes)) for at in needed_by_definition(pattern, failing)}
            assert needed_cells(pattern) == expected


@settings(max_examples=60)
@given(crashed_arrays(torn=False) | crashed_arrays(torn=True))
def test_with_what_is_needed_all_is_had_that_can_be_had(crashed: Crashed) -> None:
    situation = crashed.situation(crashed.build(crashed.content, crashed.writes))
    found = needs(situation)
    for number, ranges in found.items():
        failing = situation.sources[number].failing
        assert all(any(contains([each], start, start + SECTOR) for each in failing) for start, _ in ranges)
    all_rescued = replace(situation, sources=tuple(replace(each, failing=()) for each in situation.sources))
    best = healths(all_rescued) <= IS_UNPROVEN
    assert np.array_equal(healths(rescued(situation, found)) <= IS_UNPROVEN, best)
    assert not needs(rescued(situation, found))


def rescued(situation: Situation, found: dict[int, list[tuple[int, int]]]) -> Situation:
    sources = tuple(
        replace(source, failing=tuple(difference(source.failing, found.get(number, []))))
        for number, source in enumerate(situation.sources)
    )
    return replace(situation, sources=sources)


def test_of_a_member_that_fails_beside_a_missing_one_only_that_slice_is_needed() -> None:
    """Counted by hand: RAID5 of 3 members, parity on role 2, 1 and 0 in turn."""
    bad = ((0, 512), (4096, 4608))
    sources = (Source(0, 1 << 20, 0, 0, failing=bad), Source(1, 1 << 20, 0, 0, failing=((2048, 2560),)))
    situation = Situation(Geometry(5, 2, 3, 4096), 12288, sources)
    assert needs(situation) == {0: list(bad), 1: [(2048, 2560)]}
    whole = replace(situation, sources=(*sources, Source(2, 1 << 20, 0, 0)))
    assert needs(whole) == {}
    twice = replace(
        whole, sources=(sources[0], replace(sources[1], failing=((0, 512), (8192, 8704))), whole.sources[2])
    )
    assert needs(twice) == {0: [(0, 512)], 1: [(0, 512)]}
