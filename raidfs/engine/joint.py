"""Both geometries of a reshape as one code, for what lies behind the reshape position.

The new geometry holds everything there. Where the front has not come yet, the old places still hold it a second time:

    old places   |.. rewritten ..|== copies of what lies behind the position ==|-- the only copy of what lies ahead --|

A joint codeword is the fewest array bytes over which both geometries have whole codewords; its symbols are as small as
the smaller chunk. The ways to a symbol, in this order: the new geometry by itself; the old one by itself, of which the
result is the old copy; all cells together. A write behind the position goes to the new place only, so an old copy is
doubtful, except in what was copied so lately that nothing can have been written there since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape
from raidfs.engine.codewords import NOBODY, ZERO, Codewords, Condition, Pattern, Place, Redundancy, Way, codewords_of
from raidfs.engine.damage import trust_map
from raidfs.engine.health import Trust
from raidfs.erasure.linear_code import Equation, LinearCode
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Section, Side, before_section, recorded_rows, touched_rows

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
    new: Codewords,
    redundancy: Redundancy | None,
) -> tuple[Codewords, tuple[int, int]] | None:
    """Lay both geometries over the sources.

    Args:
        description: the array.
        members: the member of each source.
        section: of the new side.
        new: its codewords.
        redundancy: see `codewords_of`.

    Returns:
        The codewords, and the array bytes of which something may be left at its old place; None: nothing is.
    """
    reshape = description.reshape
    if reshape is None:
        return None
    zone = _held_twice(description, reshape, members, section)
    if zone is None:
        return None
    old = codewords_of(before_section(description), members, redundancy)
    if _is_too_large(new, old):
        return None
    size, symbol_size = lcm(new.size, old.size), gcd(new.symbol_size, old.symbol_size)
    recorded = written = recorded_rows(description)
    if reshape.front is not None:
        # what is not proven to be written has its flaw, where the data were asked
        stripe, chunk = reshape.after.stripe_size, reshape.after.chunk_size
        rows = Extents.span(section.array_start // stripe * chunk, -(-section.array_stop // stripe) * chunk)
        written = written.union(touched_rows(description).intersection(rows))
    component_stop = before_section(description).zone.component_stop

    def left(member: Member) -> Extents:
        """What the reshape left alone; of what it may have rewritten without record the flaws tell."""
        everything = Extents.span(member.data_offset, member.data_offset + component_stop)
        is_new = member.past is None and (member.role or 0) < reshape.after.raid_disks
        return everything.difference(recorded.shift(member.new_data_offset)) if is_new else everything

    after = _regrouped(new, size // new.size, symbol_size)
    after = _with_held(after, members, lambda member: written.shift(member.new_data_offset))
    before = _with_held(_regrouped(old, size // old.size, symbol_size), members, left)
    return _joined(after, before, reshape.quiet), zone


def is_too_large(description: ArrayDescription) -> bool:
    """Tell whether old copies behind the position of a reshape are not used: the geometries have too little alike."""
    reshape = description.reshape
    if reshape is None:
        return False
    zone = zone_of(reshape.after, description.component_size)
    after = Section(0, description.size, Side.AFTER, zone, reshape.after.raid_disks)
    return _is_too_large(codewords_of(after, ()), codewords_of(before_section(description), ()))


def _is_too_large(new: Codewords, old: Codewords) -> bool:
    size, symbol_size = lcm(new.size, old.size), gcd(new.symbol_size, old.symbol_size)
    period = lcm(*(each.period // gcd(each.period, size // each.size) for each in (new, old)))
    return size // symbol_size > _MOST_SYMBOLS or period * (size // symbol_size) > _MOST_RECIPES


def _held_twice(
    description: ArrayDescription, reshape: Reshape, members: Sequence[Member], section: Section
) -> tuple[int, int] | None:
    """Return the array bytes of the new side that may still be at their old places; None: there are none."""
    old = [member for member in members if member.role is not None and member.role < reshape.before.raid_disks]
    if any(member.past is not None or (member.role or 0) >= reshape.after.raid_disks for member in old):
        return section.array_start, section.array_stop  # never rewritten, or not up to the position
    zone = before_section(description).zone
    period = zone.table.rows_per_period * zone.chunk_size
    rows = reshape.after.rows_below(reshape.position)
    shifts = [member.new_data_offset - member.data_offset for member in old]
    if not shifts:
        return None
    if reshape.direction is Direction.FORWARD:
        whole = max(0, rows[0] + min(shifts)) // period
        start, stop = max(section.array_start, whole * zone.table.period * zone.stripe_size), section.array_stop
    else:
        whole = -(-max(0, rows[1] + max(shifts)) // period)
        start, stop = section.array_start, min(section.array_stop, whole * zone.table.period * zone.stripe_size)
    return (start, stop) if start < stop else None


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


def _joined(new: Codewords, old: Codewords, quiet: Extents) -> Codewords:
    """Make one code of both geometries."""
    conditions = (*new.conditions, *old.conditions)
    copies = _copy_conditions(new, quiet)
    copy_of = [len(conditions) + (number if quiet else 0) for number in range(new.n_symbols)]
    period = lcm(new.period, old.period)
    patterns = tuple(
        _joined_pattern(
            new.patterns[number % new.period][0],
            old.patterns[number % old.period][0],
            (len(new.lanes), len(new.conditions)),
            copy_of,
        )
        for number in range(period)
    )
    return replace(new, lanes=(*new.lanes, *old.lanes), conditions=(*conditions, *copies), patterns=patterns)


def _copy_conditions(codewords: Codewords, quiet: Extents) -> list[Condition]:
    """Say what an old copy is worth: one condition for each symbol, or one for all where they do not differ."""
    doubtful = Extents.span(-_EVERYWHERE, _EVERYWHERE).difference(quiet)
    trust = trust_map([(doubtful, Trust.DOUBTFUL)])
    origins = [codewords.array_origin + number * codewords.symbol_size for number in range(codewords.n_symbols)]
    return [Condition(trust, origin, codewords.size) for origin in (origins if quiet else origins[:1])]


def _joined_pattern(new: Way, old: Way, counts: tuple[int, int], copy_of: Sequence[int]) -> Pattern:
    """Return the ways of one joint codeword; `counts`: lanes and conditions of the new geometry.

    In the last way the old copies are variables of their own. That a copy is what the new place holds is an equation,
    and hangs on a condition: so each has a third variable, which is zero as far as the condition holds.
    """
    n_symbols = len(copy_of)
    old_places = tuple(tuple(_moved(place, *counts) for place in places) for places in old.places)
    conditions = tuple((copy,) for copy in copy_of)
    by_old = Way(old.code, old_places, old.names, conditions)
    zeros = tuple((Place(ZERO, each, is_own=False),) for each in conditions)
    n_new, n_old = len(new.places), len(old_places)
    equations = [*new.code.equations]
    equations += [tuple((n_new + cell, c) for cell, c in each) for each in old.code.equations]
    equations += [((symbol, 1), (n_new + symbol, 1), (n_new + n_old + symbol, 1)) for symbol in range(n_symbols)]
    together = Way(
        LinearCode(tuple(equations)),
        (*new.places, *old_places, *zeros),
        (*new.names, *old.names, *("",) * n_symbols),
        ((),) * n_symbols,
    )
    return new, by_old, together
