"""What every sector of an array is worth: a rank test of the equations over the cells that are valid, class by class.

The unknowns of a group are its symbols as they stand now and, in a reshape, also as they stood when the new geometry
took them over: the old places keep what was copied, and later writes go to the new place only. So

    a data cell of the new geometry    is a symbol of now, a parity cell a sum of such symbols; behind the position only
    a data cell of the old geometry    is a symbol of then, a parity cell a sum of such symbols
    behind the position                now = then: sure where nobody can have written since, else doubtful
    ahead of the position              now is then; whatever lies at its new place is not used

An old stripe that the position cuts joins the two: with its parity, what lies behind the position helps to what lies
ahead.

A place that the reshape may have rewritten beyond its recorded position is doubtful, be it the only one for what lies
ahead or a copy of what lies behind.

An equation has the class of its cell; a parity cell is no better than the redundancy at its height. A byte's class is
the lowest one at which the equations of that class and better ones determine it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.oracle.cells import (
    AT_RISK,
    DOUBTFUL,
    FAILING,
    NEW,
    NOTHING,
    SECTOR,
    SURE,
    UNPROVEN,
    Classes,
    Group,
    Situation,
    classes,
    mark,
)
from tests.oracle.layouts import Stripe
from tests.oracle.parity import gf_pow
from tests.oracle.ranges import intersection
from tests.oracle.span import Matrix, determined

HEALTHS = ("good", "rebuilt", "unproven", "doubtful", "lost")
IS_GOOD, IS_REBUILT, IS_UNPROVEN, IS_DOUBTFUL, IS_LOST = range(5)
BY_ITSELF = {SURE: IS_GOOD, UNPROVEN: IS_UNPROVEN, DOUBTFUL: IS_DOUBTFUL}
BY_OTHERS = {SURE: IS_REBUILT, UNPROVEN: IS_UNPROVEN, DOUBTFUL: IS_DOUBTFUL}

AHEAD, OVERTAKEN, QUIET, BEYOND = range(4)
"""Where a symbol lies: ahead of the position, behind it, behind it and not written since, or not in the array."""

Terms = tuple[tuple[int, int], ...]
"""Unknowns and their coefficients."""


def healths(situation: Situation) -> NDArray[np.uint8]:
    """What each sector is worth (an index of HEALTHS); uint8 (sectors of the array,)."""
    survey = Survey(situation)
    found = np.full(survey.group.n_symbols * len(survey.pattern_of), IS_LOST, dtype=np.uint8)
    worth = np.array([worths(pattern) for pattern in survey.patterns], dtype=np.uint8)
    for symbol in range(survey.group.n_symbols):
        found[survey.array_sectors(symbol)] = worth[survey.pattern_of, symbol]
    return found[: situation.size // SECTOR]


def counts(found: NDArray[np.uint8]) -> dict[str, int]:
    """The array bytes of each health."""
    numbers = np.bincount(found, minlength=len(HEALTHS)).tolist()
    return {name: number * SECTOR for name, number in zip(HEALTHS, numbers, strict=True)}


@dataclass(frozen=True)
class Equation:
    """What a cell says, or that now = then.

    Attributes:
        terms: the sum that is known. trust: its class. is_failing: the cell cannot be read unless it is rescued.
        is_data: it is a symbol's own cell, of then or of now.
        cell: index of the source and of the slot; None: it comes from no cell.
    """

    terms: Terms
    trust: int
    is_failing: bool = False
    is_data: bool = False
    cell: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pattern:
    """What is the same for many sectors of many groups.

    Attributes:
        group: how the array is divided. stripes: of each slot. roles: of each source.
        cells: class of the cell of each source and slot. redundancy: class of the parity of each slot.
        places: of each symbol: AHEAD, OVERTAKEN, QUIET or BEYOND.
    """

    group: Group
    stripes: tuple[Stripe, ...]
    roles: tuple[int, ...]
    cells: bytes
    redundancy: bytes
    places: bytes

    @property
    def n_unknowns(self) -> int:
        """Symbols of then, and of now."""
        return 2 * self.group.n_symbols

    @property
    def wanted(self) -> list[tuple[int, int]]:
        """Number and unknown of each symbol of the array: of then ahead of the position, of now behind it."""
        n = self.group.n_symbols
        return [
            (symbol, symbol if place == AHEAD else symbol + n)
            for symbol, place in enumerate(self.places)
            if place != BEYOND
        ]

    @property
    def equations(self) -> list[Equation]:
        """All that there are, whatever their class."""
        found = []
        for source, role in enumerate(self.roles):
            for slot, stripe in enumerate(self.stripes):
                told = self.cells[source * len(self.stripes) + slot]
                terms = self._terms(slot, role)
                if not terms or told == NOTHING:
                    continue
                trust = max(told % FAILING, DOUBTFUL if told & AT_RISK else SURE)
                is_data = role in stripe.data
                if not is_data:
                    trust = max(trust, self.redundancy[slot])
                found.append(Equation(terms, trust, bool(told & FAILING), is_data, (source, slot)))
        for symbol, place in enumerate(self.places):
            if place in (OVERTAKEN, QUIET):
                now_is_then = ((symbol, 1), (symbol + self.group.n_symbols, 1))
                found.append(Equation(now_is_then, SURE if place == QUIET else DOUBTFUL))
        return found

    def _terms(self, slot: int, role: int) -> Terms:
        """The sum of unknowns that the cell of a role is; nothing where the role has none."""
        side, row, piece = self.group.slots[slot]
        stripe = self.stripes[slot]
        first = self.group.n_symbols if side == NEW else 0
        unknowns = [first + self.group.symbol(side, row, k, piece) for k in range(len(stripe.data))]
        if role in stripe.data:
            return ((unknowns[stripe.data.index(role)], 1),)
        if role == stripe.p:
            return tuple((unknown, 1) for unknown in unknowns)
        if role == stripe.q:
            return tuple((unknown, gf_pow(e)) for unknown, e in zip(unknowns, stripe.exponent, strict=True))
        return ()


@lru_cache(maxsize=1 << 12)
def worths(pattern: Pattern) -> tuple[int, ...]:
    """What each symbol of a group is worth."""
    found = [IS_LOST] * pattern.group.n_symbols
    for trust in (DOUBTFUL, UNPROVEN, SURE):
        used = [each for each in pattern.equations if each.trust <= trust and not each.is_failing]
        reached = determined(matrix(used, pattern.n_unknowns))
        own = {each.terms for each in used if each.is_data}
        for symbol, unknown in pattern.wanted:
            if reached[unknown]:
                found[symbol] = (BY_ITSELF if ((unknown, 1),) in own else BY_OTHERS)[trust]
    return tuple(found)


def matrix(equations: Sequence[Equation], n_unknowns: int) -> Matrix:
    """The coefficients; uint8 (equations, n_unknowns)."""
    rows = np.zeros((len(equations), n_unknowns), dtype=np.uint8)
    for row, equation in zip(rows, equations, strict=True):
        for unknown, coefficient in equation.terms:
            row[unknown] = coefficient
    return rows


class Survey:
    """All sectors of all groups, put together where nothing that matters differs.

    A *height* is one sector of every symbol of one group; heights are counted group by group.

    Attributes:
        situation: the array. group: how it is divided.
    """

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.group = Group(situation.geometries)
        largest = max(g.capacity(situation.used_size) for g in situation.geometries)
        self._n_groups = -(-largest // self.group.size)
        heights = np.arange(self._n_groups * (self.group.height // SECTOR))
        self._number, self._sector = np.divmod(heights, self.group.height // SECTOR)

    def array_sectors(self, symbol: int) -> NDArray[np.int64]:
        """The sector of the array that is a symbol's at each height."""
        start = self._number * self.group.size + symbol * self.group.height
        return np.asarray(start // SECTOR + self._sector, dtype=np.int64)

    def component_sectors(self, slot: int) -> NDArray[np.int64]:
        """The sector of the component at which a slot lies at each height."""
        side, row, piece = self.group.slots[slot]
        start = self._number * self.group.component_size(side) + self.group.component_start(side, row, piece)
        return np.asarray(start // SECTOR + self._sector, dtype=np.int64)

    @property
    def patterns(self) -> list[Pattern]:
        """All that occur."""
        return self._patterns[0]

    @property
    def pattern_of(self) -> NDArray[np.intp]:
        """Index of the pattern of each height."""
        return self._patterns[1]

    @cached_property
    def _patterns(self) -> tuple[list[Pattern], NDArray[np.intp]]:
        stripes, stripes_of = self._stripes
        table = np.column_stack([*self._cells, *self._redundancy, *self._places, stripes_of & 0xFF, stripes_of >> 8])
        table = np.ascontiguousarray(table.astype(np.uint8))
        packed = table.view(np.dtype((np.void, table.shape[1])))[:, 0]
        _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
        roles = tuple(source.role for source in self.situation.sources)
        n_slots = len(self.group.slots)
        n_cells = len(roles) * n_slots
        patterns = []
        for row in first:
            raw = table[row].tobytes()
            cells, redundancy, places = raw[:n_cells], raw[n_cells : n_cells + n_slots], raw[n_cells + n_slots : -2]
            patterns.append(Pattern(self.group, stripes[stripes_of[row]], roles, cells, redundancy, places))
        return patterns, inverse

    @property
    def _stripes(self) -> tuple[list[tuple[Stripe, ...]], NDArray[np.int64]]:
        """The different stripes of a group's slots; and which of them each height has."""
        numbers: dict[tuple[Stripe, ...], int] = {}
        of_group = []
        for group in range(self._n_groups):
            stripes = tuple(
                g.stripe(group * (self.group.size // g.stripe_size) + row)
                for side, row, _ in self.group.slots
                for g in [self.group.geometries[side]]
            )
            of_group.append(numbers.setdefault(stripes, len(numbers)))
        return list(numbers), np.array(of_group, dtype=np.int64)[self._number]

    @property
    def _cells(self) -> list[Classes]:
        """The class of each source's cell in each slot, at each height."""
        columns = []
        for source in self.situation.sources:
            along = [
                classes(self.situation, source, side, self._n_groups * self.group.component_size(side) // SECTOR)
                for side in range(len(self.group.geometries))
            ]
            columns += [along[side][self.component_sectors(slot)] for slot, (side, _, _) in enumerate(self.group.slots)]
        return columns

    @property
    def _redundancy(self) -> list[Classes]:
        """The class of the redundancy of each slot, at each height."""
        columns = []
        for slot, (side, _, _) in enumerate(self.group.slots):
            along = np.full(self._n_groups * self.group.component_size(side) // SECTOR, SURE, dtype=np.uint8)
            mark(along, self.situation.unproven, UNPROVEN, whole=False)
            columns.append(along[self.component_sectors(slot)])
        return columns

    @property
    def _places(self) -> list[Classes]:
        """Where each symbol lies, at each height."""
        along = np.full(self._n_groups * self.group.size // SECTOR, BEYOND, dtype=np.uint8)
        mark(along, [(0, self.situation.size)], AHEAD)
        mark(along, [self.situation.behind], OVERTAKEN)
        mark(along, intersection(self.situation.quiet, [self.situation.behind]), QUIET)
        return [along[self.array_sectors(symbol)] for symbol in range(self.group.n_symbols)]
