"""Both geometries of a reshape as one code: what lies behind the reshape position, and the old stripes that it cuts.

The new geometry holds everything behind the position. Where the front has not come yet, the old places still hold it a
second time:

    old places   |.. rewritten ..|== copies of what lies behind the position ==|-- the only copy of what lies ahead --|
    old stripes                                                        ... |  D0  P | D1  | ...
                                                                                position ^

An old stripe that the position cuts has data on both sides of it. What its parity knows is the sum of what both were
when the one was copied, so what lies ahead can be had from new copies, too.

A joint codeword is the fewest array bytes over which both geometries have whole codewords; its symbols are as small as
the smaller chunk. The ways to a symbol, in this order: the geometry in force by itself; the other one by itself, of
which the result is the copy; all cells together. A write behind the position goes to the new place only, so that a copy
is what the other place holds is doubtful, except in what was copied so lately that nothing can have been written since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm

import numpy as np

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape
from raidfs.engine.codewords import NOBODY, ZERO, Codewords, Condition, Pattern, Place, Redundancy, Way, codewords_of
from raidfs.engine.damage import trust_map
from raidfs.engine.health import Trust
from raidfs.erasure.linear_code import Equation, LinearCode
from raidfs.extents import Extents
from raidfs.geometry.reshape import (
    Section,
    Side,
    after_section,
    before_section,
    recorded_rows,
    rows_of_reshape,
    touched_rows,
)
from raidfs.geometry.standing import data_of

_EVERYWHERE = 1 << 62
_MOST_SYMBOLS = 1 << 10
"""Symbols of a joint codeword for which it is made; 768 are those of 4 members whose chunk grows 256-fold."""
_MOST_RECIPES = 1 << 18
"""Symbols of a whole period for which it is made; 184 codewords of 462 are those of a RAID6 that grows to 24 members.

Beyond these it would take minutes and gigabytes; then old copies are not used.
"""


def joint_codewords(
    description: ArrayDescription,
    members: Sequence[Member],
    section: Section,
    own: Codewords,
    poor: Extents,
    redundancy: Redundancy | None,
) -> tuple[Codewords, Extents] | None:
    """Lay both geometries over the sources.

    Args:
        description: the array.
        members: the member of each source.
        section: a run of it in one of the geometries.
        own: its codewords.
        poor: to what of it more would help [array bytes].
        redundancy: see `codewords_of`.

    Returns:
        The codewords, and where in the section they are to be used [array bytes]; None: the other geometry helps to
        nothing.
    """
    reshape = description.reshape
    if reshape is None:
        return None
    is_new = section.side is Side.AFTER
    written = _written_rows(description, section)
    helped = _held_twice(description, reshape, members, section) if is_new else _cut_stripes(description, written)
    helped = helped.clip(section.array_start, section.array_stop)
    if not poor.intersection(helped):
        return None  # both geometries together are large
    other = codewords_of((before_section if is_new else after_section)(description), members, redundancy)
    if _is_too_large(own, other):
        return None
    size, symbol_size = lcm(own.size, other.size), gcd(own.symbol_size, other.symbol_size)
    recorded = recorded_rows(description)
    # the rest of a member that is no whole chunk of both is never moved
    component_stop = min(each(description).zone.component_stop for each in (before_section, after_section))

    def left(member: Member) -> Extents:
        """What the reshape left alone; of what it may have rewritten without record the flaws tell."""
        everything = Extents.span(member.data_offset, member.data_offset + component_stop)
        is_reused = member.past is None and (member.role or 0) < reshape.after.raid_disks
        return everything.difference(recorded.shift(member.new_data_offset)) if is_reused else everything

    def moved(member: Member) -> Extents:
        return written.clip(0, component_stop).shift(member.new_data_offset)

    mine, others = (_regrouped(each, size // each.size, symbol_size) for each in (own, other))
    mine = _with_held(mine, members, moved if is_new else left)
    others = _with_held(others, members, left if is_new else moved)
    joined = _joined(mine, others, reshape.quiet)
    return joined, joined.around(poor).intersection(helped)


def is_too_large(description: ArrayDescription) -> bool:
    """Tell whether copies of a reshape's other geometry are not used: the geometries have too little alike."""
    if description.reshape is None:
        return False
    return _is_too_large(codewords_of(after_section(description), ()), codewords_of(before_section(description), ()))


def _is_too_large(own: Codewords, other: Codewords) -> bool:
    size, symbol_size = lcm(own.size, other.size), gcd(own.symbol_size, other.symbol_size)
    period = lcm(*(each.period // gcd(each.period, size // each.size) for each in (own, other)))
    return size // symbol_size > _MOST_SYMBOLS or period * (size // symbol_size) > _MOST_RECIPES


def _written_rows(description: ArrayDescription, section: Section) -> Extents:
    """Return the rows whose new cells count [component bytes of the new geometry]."""
    recorded, reshape = recorded_rows(description), description.reshape
    if reshape is None or reshape.front is None:
        return recorded
    # what is not proven to be written has its flaw, where the data were asked
    if section.side is Side.AFTER:
        stripe, chunk = reshape.after.stripe_size, reshape.after.chunk_size
        start, stop = section.array_start // stripe * chunk, -(-section.array_stop // stripe) * chunk
        return recorded.union(touched_rows(description).clip(start, stop))
    # of what lies ahead, a new place that is open is no better than none
    rows = rows_of_reshape(description)
    return recorded if rows is None else recorded.union(rows.likely_written)


def _cut_stripes(description: ArrayDescription, written: Extents) -> Extents:
    """Return the old stripes of which the new geometry holds something [array bytes].

    Only parity joins what lies ahead of the position to what lies behind it.
    """
    before, after = before_section(description), after_section(description)
    if not (before.zone.table.n_parity and after.zone.table.n_parity):
        return Extents()
    moved = data_of(after.zone, dict.fromkeys(range(after.raid_disks), written)).array
    stripe = before.zone.stripe_size
    return Extents(np.stack((moved[:, 0] // stripe * stripe, -(-moved[:, 1] // stripe) * stripe), axis=1))


def _held_twice(
    description: ArrayDescription, reshape: Reshape, members: Sequence[Member], section: Section
) -> Extents:
    """Return the array bytes of the new side that may still be at their old places."""
    old = [member for member in members if member.role is not None and member.role < reshape.before.raid_disks]
    if any(member.past is not None or (member.role or 0) >= reshape.after.raid_disks for member in old):
        return Extents.span(section.array_start, section.array_stop)  # never rewritten, or not up to the position
    zone = before_section(description).zone
    period = zone.table.rows_per_period * zone.chunk_size
    rows = reshape.after.rows_below(reshape.position)
    shifts = [member.new_data_offset - member.data_offset for member in old]
    if not shifts:
        return Extents()
    if reshape.direction is Direction.FORWARD:
        whole = max(0, rows[0] + min(shifts)) // period
        start, stop = max(section.array_start, whole * zone.table.period * zone.stripe_size), section.array_stop
    else:
        whole = -(-max(0, rows[1] + max(shifts)) // period)
        start, stop = section.array_start, min(section.array_stop, whole * zone.table.period * zone.stripe_size)
    return Extents.span(start, stop) if start < stop else Extents()


def _with_held(codewords: Codewords, members: Sequence[Member], held: Callable[[Member], Extents]) -> Codewords:
    """Say where the member of each lane holds the geometry [image bytes]."""
    return replace(
        codewords,
        lanes=tuple(
            lane if lane.source == NOBODY else replace(lane, held=held(members[lane.source]))
            for lane in codewords.lanes
        ),
    )


@dataclass(frozen=True)
class _Grouping:
    """How codewords become parts of larger ones with smaller symbols.

    Attributes:
        n: codewords in a larger one.
        n_pieces: smaller symbols in a symbol.
        n_symbols: data symbols of a codeword.
    """

    n: int
    n_pieces: int
    n_symbols: int

    @property
    def parts(self) -> list[tuple[int, int]]:
        """(codeword, piece) in the order of the lanes and conditions."""
        return [(number, piece) for number in range(self.n) for piece in range(self.n_pieces)]

    def variable(self, number: int, piece: int, variable: int, n_variables: int) -> int:
        """Return the number that a variable of a codeword gets in the larger one."""
        if variable < self.n_symbols:
            return (number * self.n_symbols + variable) * self.n_pieces + piece
        n_redundant = n_variables - self.n_symbols
        first = self.n * self.n_symbols * self.n_pieces
        return first + (number * n_redundant + variable - self.n_symbols) * self.n_pieces + piece


def _regrouped(codewords: Codewords, n: int, symbol_size: int) -> Codewords:
    """Take `n` codewords together, with smaller symbols."""
    grouping = _Grouping(n, codewords.symbol_size // symbol_size, codewords.n_symbols)
    shifts = [(number, piece * symbol_size) for number, piece in grouping.parts]
    lanes = tuple(
        replace(
            lane,
            component_origin=lane.component_origin + number * lane.step + shift,
            image_origin=lane.image_origin + number * lane.step + shift,
            step=lane.step * n,
        )
        for number, shift in shifts
        for lane in codewords.lanes
    )
    conditions = tuple(
        replace(each, origin=each.origin + number * each.step + shift, step=each.step * n)
        for number, shift in shifts
        for each in codewords.conditions
    )
    counts = (len(codewords.lanes), len(codewords.conditions))
    period = codewords.period // gcd(codewords.period, n)
    patterns = tuple(
        _grouped_pattern([codewords.patterns[(first * n + i) % codewords.period] for i in range(n)], grouping, counts)
        for first in range(period)
    )
    n_symbols = n * codewords.n_symbols * grouping.n_pieces
    return Codewords(codewords.array_origin, symbol_size, n_symbols, lanes, conditions, patterns)


def _grouped_pattern(patterns: Sequence[Pattern], grouping: _Grouping, counts: tuple[int, int]) -> Pattern:
    """Put the first ways of some codewords together; `counts`: their lanes and conditions."""
    n_variables = len(patterns[0][0].places)
    total = n_variables * grouping.n * grouping.n_pieces
    places: list[tuple[Place, ...]] = [()] * total
    names = [""] * total
    equations: list[Equation] = []
    for part, (number, piece) in enumerate(grouping.parts):
        way = patterns[number][0]
        numbers = [grouping.variable(number, piece, variable, n_variables) for variable in range(n_variables)]
        for variable, here in zip(numbers, way.places, strict=True):
            places[variable] = tuple(_moved(each, part * counts[0], part * counts[1]) for each in here)
        for variable, name in zip(numbers, way.names, strict=True):
            names[variable] = name
        equations += [tuple(sorted((numbers[cell], c) for cell, c in each)) for each in way.code.equations]
    n_symbols = grouping.n * grouping.n_symbols * grouping.n_pieces
    return (Way(LinearCode(tuple(equations)), tuple(places), tuple(names), ((),) * n_symbols),)


def _moved(place: Place, lanes: int, conditions: int) -> Place:
    """Count a place's lane and conditions from elsewhere."""
    return Place(place.lane + lanes, tuple(each + conditions for each in place.conditions), place.is_own)


def _joined(own: Codewords, other: Codewords, quiet: Extents) -> Codewords:
    """Make one code of both geometries."""
    conditions = (*own.conditions, *other.conditions)
    copies = _copy_conditions(own, quiet)
    copy_of = [len(conditions) + (number if quiet else 0) for number in range(own.n_symbols)]
    period = lcm(own.period, other.period)
    patterns = tuple(
        _joined_pattern(
            own.patterns[number % own.period][0],
            other.patterns[number % other.period][0],
            (len(own.lanes), len(own.conditions)),
            copy_of,
        )
        for number in range(period)
    )
    return replace(own, lanes=(*own.lanes, *other.lanes), conditions=(*conditions, *copies), patterns=patterns)


def _copy_conditions(codewords: Codewords, quiet: Extents) -> list[Condition]:
    """Say what a copy is worth: one condition for each symbol, or one for all where they do not differ."""
    doubtful = Extents.span(-_EVERYWHERE, _EVERYWHERE).difference(quiet)
    trust = trust_map([(doubtful, Trust.DOUBTFUL)])
    origins = [codewords.array_origin + number * codewords.symbol_size for number in range(codewords.n_symbols)]
    return [Condition(trust, origin, codewords.size) for origin in (origins if quiet else origins[:1])]


def _joined_pattern(own: Way, other: Way, counts: tuple[int, int], copy_of: Sequence[int]) -> Pattern:
    """Return the ways of one joint codeword; `counts`: lanes and conditions of its own geometry.

    In the last way the copies are variables of their own. That a copy is what the new place holds is an equation,
    and hangs on a condition: so each has a third variable, which is zero as far as the condition holds.
    """
    n_symbols = len(copy_of)
    places = tuple(tuple(_moved(place, *counts) for place in each) for each in other.places)
    conditions = tuple((copy,) for copy in copy_of)
    by_other = Way(other.code, places, other.names, conditions)
    zeros = tuple((Place(ZERO, each, is_own=False),) for each in conditions)
    n_own, n_other = len(own.places), len(places)
    equations = [*own.code.equations]
    equations += [tuple((n_own + cell, c) for cell, c in each) for each in other.code.equations]
    equations += [((symbol, 1), (n_own + symbol, 1), (n_own + n_other + symbol, 1)) for symbol in range(n_symbols)]
    together = Way(
        LinearCode(tuple(equations)),
        (*own.places, *places, *zeros),
        (*own.names, *other.names, *("",) * n_symbols),
        ((),) * n_symbols,
    )
    return own, by_other, together
