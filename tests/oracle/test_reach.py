"""The oracle's own proof: by trying all contents, and by building the array that would look the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.oracle.cells import DOUBTFUL, NEW, NOTHING, OLD, SECTOR, SURE, Group
from tests.oracle.crashed import COMPONENT, Crashed, crashed_arrays
from tests.oracle.layouts import Geometry
from tests.oracle.parity import add, fill, scale
from tests.oracle.reach import (
    AHEAD,
    BY_ITSELF,
    BY_OTHERS,
    HEALTHS,
    IS_LOST,
    OVERTAKEN,
    QUIET,
    Equation,
    Pattern,
    Survey,
    counts,
    healths,
    matrix,
    worths,
)
from tests.oracle.span import Matrix, reduced, values
from tests.oracle.writer import Simulation

# By trying all contents ------------------------------------------------------------------------------------------

BEFORE, AFTER = Geometry(5, 2, 3, 4096), Geometry(5, 2, 4, 4096)
GROUP = Group((BEFORE, AFTER))
STRIPES = tuple(GROUP.geometries[side].stripe(row) for side, row, _ in GROUP.slots)
N = GROUP.n_symbols


def every_content() -> Matrix:
    """Every assignment of bits to the symbols of then and of now; uint8 (12, 4096)."""
    numbers = np.arange(1 << 2 * N)
    return np.array([numbers >> unknown & 1 for unknown in range(2 * N)], dtype=np.uint8)


def written(contents: Matrix) -> list[list[Matrix]]:
    """What would lie in the cell of each role in each slot, as the stripe is filled; by slot and role."""
    cells = []
    for (side, row, piece), stripe in zip(GROUP.slots, STRIPES, strict=True):
        first = N if side == NEW else 0
        symbols = [first + GROUP.symbol(side, row, k, piece) for k in range(len(stripe.data))]
        filled = fill(stripe, [contents[symbol].tobytes() for symbol in symbols])
        cells.append([np.frombuffer(block, dtype=np.uint8) for _, block in sorted(filled.items())])
    return cells


def n_different(rows: Sequence[Matrix], chosen: Matrix) -> int:
    bits = sum((row[chosen].astype(np.int64) << number for number, row in enumerate(rows)), np.zeros(1, np.int64))
    return len(np.unique(bits))


@given(st.data())
def test_a_symbol_is_reached_if_all_contents_that_fit_agree_on_it(data: st.DataObject) -> None:
    """RAID5 from 3 to 4 members: bits suffice, for all coefficients are 1."""
    n_cells = sum(GROUP.geometries[side].raid_disks for side, _, _ in GROUP.slots)
    some = st.lists(st.sampled_from([SURE, SURE, DOUBTFUL, NOTHING, NOTHING]), min_size=n_cells, max_size=n_cells)
    places = data.draw(st.lists(st.sampled_from([AHEAD, OVERTAKEN, QUIET]), min_size=N, max_size=N))
    told = iter(data.draw(some))
    classes = [[next(told) for _ in range(GROUP.geometries[side].raid_disks)] for side, _, _ in GROUP.slots]
    cells = bytes(of_slot[role] if role < len(of_slot) else NOTHING for role in range(4) for of_slot in classes)
    pattern = Pattern(GROUP, STRIPES, (0, 1, 2, 3), cells, bytes(len(STRIPES)), bytes(places))
    contents = every_content()
    lying = written(contents)
    for symbol, found in enumerate(worths(pattern)):
        expected = IS_LOST
        for trust in (DOUBTFUL, SURE):
            same = [place == QUIET or (place == OVERTAKEN and trust == DOUBTFUL) for place in places]
            chosen = ~np.any([(contents[j] != contents[j + N]) & same[j] for j in range(N)], axis=0)
            known = [
                block
                for blocks, of_slot in zip(lying, classes, strict=True)
                for block, each in zip(blocks, of_slot, strict=True)
                if each <= trust
            ]
            wanted = contents[symbol + (0 if places[symbol] == AHEAD else N)]
            if n_different(known, chosen) == n_different([*known, wanted], chosen):
                own = own_class(classes, symbol, OLD if places[symbol] == AHEAD else NEW)
                expected = (BY_ITSELF if own <= trust else BY_OTHERS)[trust]
        assert HEALTHS[found] == HEALTHS[expected]


def own_class(classes: Sequence[Sequence[int]], symbol: int, side: int) -> int:
    """The class of a symbol's own cell."""
    for (each, row, _), stripe, of_slot in zip(GROUP.slots, STRIPES, classes, strict=True):
        data = [GROUP.symbol(each, row, k, 0) for k in range(len(stripe.data))]
        if each == side and symbol in data:
            return of_slot[stripe.data[data.index(symbol)]]
    raise AssertionError


# By building the array that would look the same --------------------------------------------------------------------


class Height:
    """One sector of every symbol of one group of an array that was built."""

    def __init__(self, survey: Survey, images: Sequence[bytes], height: int) -> None:
        self.survey, self.images, self.height = survey, images, height
        self.pattern = survey.patterns[survey.pattern_of[height]]

    def block(self, cell: tuple[int, int]) -> bytes:
        """What a cell holds on its member."""
        source, slot = self.survey.situation.sources[cell[0]], cell[1]
        is_new = self.survey.group.slots[slot][0] == NEW
        offset = source.new_data_offset if is_new else source.data_offset
        start = int(self.survey.component_sectors(slot)[self.height]) * SECTOR + offset
        return self.images[cell[0]][start : start + SECTOR]

    def array_start(self, symbol: int) -> int:
        """Where the sector of a symbol lies [array bytes]."""
        return int(self.survey.array_sectors(symbol)[self.height]) * SECTOR

    def equations(self, trust: int) -> list[Equation]:
        """Those of a class and of better ones, of what can be read."""
        return [each for each in self.pattern.equations if each.trust <= trust and not each.is_failing]

    def solve(self, trust: int) -> dict[int, bytes]:
        """The unknowns that can be had, from what the cells hold."""
        equations = self.equations(trust)
        blocks = [bytes(SECTOR) if each.cell is None else self.block(each.cell) for each in equations]
        right = np.frombuffer(b"".join(blocks), dtype=np.uint8).reshape(-1, SECTOR)
        whole = np.concatenate((matrix(equations, self.pattern.n_unknowns), right), axis=1)
        return {unknown: block.tobytes() for unknown, block in values(whole, self.pattern.n_unknowns).items()}


def images_of(array: Simulation) -> list[bytes]:
    return [bytes(member.image) for member in array.members]


@settings(max_examples=150)
@given(crashed_arrays(torn=False) | crashed_arrays(torn=True))
def test_what_is_reached_is_the_truth(crashed: Crashed) -> None:
    array = crashed.build(crashed.content, crashed.writes)
    survey = Survey(crashed.situation(array))
    found = healths(survey.situation)
    for height in np.unique(survey.pattern_of, return_index=True)[1].tolist():
        here = Height(survey, images_of(array), height)
        for trust in range(SURE, NOTHING):
            solved = here.solve(trust)
            for symbol, unknown in here.pattern.wanted:
                start = here.array_start(symbol)
                assert (unknown in solved) == (found[start // SECTOR] <= BY_OTHERS[trust])
                is_told = trust < DOUBTFUL or not (crashed.written or crashed.is_torn)
                if unknown in solved and is_told:
                    assert solved[unknown] == array.truth[start : start + SECTOR]


@settings(max_examples=150)
@given(crashed_arrays(torn=False))
def test_what_is_not_reached_could_be_something_else(crashed: Crashed) -> None:
    """Another array is built in which the byte differs, and all cells that are believed are the same."""
    array, chance = crashed.build(crashed.content, crashed.writes), Random(crashed.seed + 2)
    survey = Survey(crashed.situation(array))
    found = healths(survey.situation)
    heights = np.unique(survey.pattern_of, return_index=True)[1].tolist()
    for height in chance.sample(heights, min(3, len(heights))):
        here = Height(survey, images_of(array), height)
        for symbol, unknown in here.pattern.wanted:
            start = here.array_start(symbol)
            for trust in range(SURE, NOTHING):
                if found[start // SECTOR] > BY_OTHERS[trust]:
                    equations = here.equations(trust)
                    difference = invisible(matrix(equations, here.pattern.n_unknowns), unknown)
                    other = another(crashed, array, here, difference, chance.randbytes(SECTOR))
                    there = Height(survey, images_of(other), height)
                    assert other.truth[start : start + SECTOR] != array.truth[start : start + SECTOR]
                    assert all(here.block(each.cell) == there.block(each.cell) for each in equations if each.cell)


def invisible(rows: Matrix, unknown: int) -> Matrix:
    """A change of the unknowns, of that one among others, that changes no left side; uint8 (unknowns,)."""
    form = reduced(rows, rows.shape[1])
    leads = [int(np.flatnonzero(row)[0]) for row in form]
    if unknown in leads:
        row = form[leads.index(unknown)]
        free = next(other for other in np.flatnonzero(row).tolist() if other != unknown)
    else:
        free = unknown
    change = np.zeros(rows.shape[1], dtype=np.uint8)
    change[leads] = form[:, free]
    change[free] = 1
    return change


def another(crashed: Crashed, array: Simulation, here: Height, change: Matrix, block: bytes) -> Simulation:
    """The same array, but for a change of the symbols of then and of now by multiples of a block."""
    n = here.pattern.group.n_symbols
    content, writes = bytearray(crashed.content), crashed.writes
    for symbol, place in enumerate(here.pattern.places):
        start = here.array_start(symbol)
        then = slice(start, start + SECTOR)
        content[then] = changed(crashed.content[then], int(change[symbol]), block)
        if place in (OVERTAKEN, QUIET):
            writes[start // SECTOR] = changed(array.truth[then], int(change[n + symbol]), block)
            if writes[start // SECTOR] == content[then]:
                del writes[start // SECTOR]
        else:
            assume(not change[n + symbol])  # what a new stripe holds beyond the end of the array cannot be written
    return crashed.build(bytes(content), writes)


def changed(block: bytes, coefficient: int, by: bytes) -> bytes:
    return add([block, scale(coefficient, by)[: len(block)]], len(block))


# What follows from the definition ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(crashed_arrays(torn=False) | crashed_arrays(torn=True))
def test_counts_are_those_of_the_whole_array(crashed: Crashed) -> None:
    situation = crashed.situation(crashed.build(crashed.content, {}))
    assert sum(counts(healths(situation)).values()) == situation.size


@settings(max_examples=60)
@given(crashed_arrays(torn=True), st.integers(0, 4))
def test_more_damage_makes_nothing_better(crashed: Crashed, number: int) -> None:
    situation = crashed.situation(crashed.build(crashed.content, crashed.writes))
    for worse in (
        replace(situation, sources=situation.sources[:number] + situation.sources[number + 1 :]),
        replace(situation, quiet=()),
        replace(situation, unproven=((0, COMPONENT),)),
    ):
        assert (healths(worse) >= healths(situation)).all()
