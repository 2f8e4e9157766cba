"""How the codewords of a geometry lie on the sources, whatever the level: lanes, places, and the ways to each symbol.

A *codeword* is what is solved together: one stripe where all cells of a stripe lie at the same height of their members
(RAID0, RAID4, RAID5, RAID6, RAID1), a whole period of the table where they do not (RAID10). A *lane* is a run of bytes
of one source that advances evenly from codeword to codeword:

    image     |......[cell of codeword 0].....[cell of codeword 1].....[cell of codeword 2].....
              origin ^                   <- step ->

A *variable* is what a cell holds: the data symbols in array order, then the redundancy. Each variable has *places*, the
preferred first: several where it is held several times (mirrors, a replacement of the member, a stale one), each on a
lane. A place may hang on *conditions*: parity is worth no more than the redundancy is at that height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raidfs.array.description import Member
from raidfs.engine.damage import TrustMap
from raidfs.engine.health import Trust
from raidfs.erasure.linear_code import Equation, LinearCode, code_of, parity_code
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, Side
from raidfs.geometry.table import RowTable, symbol_name

NOBODY = -1
"""Source of a lane that no image serves."""
ZERO = -1
"""Lane of what is known to be zero, and is not read."""


@dataclass(frozen=True)
class Lane:
    """Bytes of one source that hold one cell of every codeword.

    Attributes:
        source: index of the source, or NOBODY.
        role: of the member.
        side: the geometry to which the cells belong.
        component_origin: of byte 0 of codeword 0 [component bytes].
        image_origin: the same [image bytes]; 0 where there is no source.
        step: bytes from one codeword to the next.
        held: where the lane holds its cells [image bytes]; None: everywhere.
        at_best: the trust in all of it at best.
    """

    source: int
    role: int
    side: Side
    component_origin: int
    image_origin: int
    step: int
    held: Extents | None = None
    at_best: Trust = Trust.SURE


@dataclass(frozen=True, eq=False)
class Condition:
    """Something besides the members on which the worth of a place hangs.

    Attributes:
        trust: by position in a space of its own (component bytes, or array bytes).
        origin: of byte 0 of codeword 0 in that space.
        step: bytes from one codeword to the next in that space.
    """

    trust: TrustMap
    origin: int
    step: int


@dataclass(frozen=True)
class Place:
    """Where a variable is held.

    Attributes:
        lane: index, or ZERO.
        conditions: indexes; the place is worth no more than the worst of them.
        is_own: reading it is reading the variable where the layout puts it, not a copy.
    """

    lane: int
    conditions: tuple[int, ...] = ()
    is_own: bool = True


@dataclass(frozen=True)
class Way:
    """One system of equations from which symbols can be had.

    Attributes:
        code: over the variables; the data symbols come first, in array order.
        places: by variable, the preferred first.
        names: by variable: `D0`, `P`, ...
        conditions: by data symbol: what every result of this way hangs on besides.
    """

    code: LinearCode
    places: tuple[tuple[Place, ...], ...]
    names: tuple[str, ...]
    conditions: tuple[tuple[int, ...], ...]


Pattern = tuple[Way, ...]
"""The ways to the symbols of one codeword of the period, the preferred first; the last knows every equation."""


@dataclass(frozen=True, eq=False)
class Codewords:
    """All codewords of a run of the array.

    Attributes:
        array_origin: where codeword 0 begins [array bytes].
        symbol_size: [bytes].
        n_symbols: data symbols per codeword.
        lanes: all that are used.
        conditions: all that are used.
        patterns: one for each codeword of a period.
    """

    array_origin: int
    symbol_size: int
    n_symbols: int
    lanes: tuple[Lane, ...]
    conditions: tuple[Condition, ...]
    patterns: tuple[Pattern, ...]

    @property
    def size(self) -> int:
        """Array bytes per codeword."""
        return self.n_symbols * self.symbol_size

    @property
    def period(self) -> int:
        """Codewords after which the patterns repeat."""
        return len(self.patterns)

    def moved_to(self, first: int, n_codewords: int) -> Codewords:
        """Return `n_codewords` of them, counted from `first`; patterns that do not occur among them are left out."""
        return replace(
            self,
            array_origin=self.array_origin + first * self.size,
            lanes=tuple(
                replace(
                    lane,
                    component_origin=lane.component_origin + first * lane.step,
                    image_origin=lane.image_origin + first * lane.step,
                )
                for lane in self.lanes
            ),
            conditions=tuple(replace(each, origin=each.origin + first * each.step) for each in self.conditions),
            patterns=tuple(
                self.patterns[(first + number) % self.period] for number in range(min(self.period, n_codewords))
            ),
        )

    def around(self, extents: Extents) -> Extents:
        """Return all bytes of the codewords that touch some bytes [array bytes]."""
        ranges = extents.array - self.array_origin
        numbers = np.stack((ranges[:, 0] // self.size, -(-ranges[:, 1] // self.size)), axis=1)
        return Extents(numbers * self.size + self.array_origin)

    def numbers(self, array_start: int, array_stop: int) -> tuple[int, int]:
        """Return the first and behind-last codeword that touch a range [array bytes]."""
        return (array_start - self.array_origin) // self.size, -(-(array_stop - self.array_origin) // self.size)


@dataclass(frozen=True, eq=False)
class Redundancy:
    """What all redundancy is worth.

    Attributes:
        trust: by component byte, or by array byte.
        in_array_bytes: which of the two.
    """

    trust: TrustMap
    in_array_bytes: bool = False


def codewords_of(section: Section, members: Sequence[Member], redundancy: Redundancy | None = None) -> Codewords:
    """Lay the codewords of one geometry over the sources.

    Args:
        section: the geometry.
        members: the member of each source; of several with one role the first is preferred.
        redundancy: None: nothing speaks against it.
    """
    zone, table = section.zone, section.zone.table
    is_level = _is_level(table)
    n_stripes = 1 if is_level else table.period
    step = zone.chunk_size * (1 if is_level else table.rows_per_period)
    room = _Room(section, members, redundancy, step, is_level)
    patterns = tuple(_pattern(room, range(first, first + n_stripes)) for first in range(0, table.period, n_stripes))
    return Codewords(
        array_origin=zone.array_start,
        symbol_size=zone.chunk_size,
        n_symbols=n_stripes * table.n_data,
        lanes=tuple(room.lanes),
        conditions=tuple(room.conditions.values()),
        patterns=patterns,
    )


def _is_level(table: RowTable) -> bool:
    """Tell whether every stripe lies at one height, and the next one a chunk below it."""
    rows = table.row.tolist()
    return table.rows_per_period == table.period and all(set(row) == {number} for number, row in enumerate(rows))


@dataclass
class _Room:
    """Lanes and conditions, made when they are first needed."""

    section: Section
    members: Sequence[Member]
    redundancy: Redundancy | None
    step: int
    is_level: bool
    lanes: list[Lane] = field(default_factory=list)
    conditions: dict[int, Condition] = field(default_factory=dict)
    _known: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    _ordered: dict[tuple[tuple[Place, ...], bool], tuple[Place, ...]] = field(default_factory=dict)
    _cells: dict[tuple[int, int, tuple[int, ...]], tuple[Place, ...]] = field(default_factory=dict)

    def lanes_at(self, role: int, component_origin: int, at_best: Trust) -> tuple[int, ...]:
        """Return the lanes of all sources of a role at a height, the preferred first; where there is none, NOBODY's."""
        key = (role, component_origin)
        if key not in self._known:
            sources = [source for source, member in enumerate(self.members) if member.role == role]
            first = len(self.lanes)
            for source in sources or [NOBODY]:
                offset = 0 if source == NOBODY else component_origin + self._data_offset(source)
                lane = Lane(source, role, self.section.side, component_origin, offset, self.step, at_best=at_best)
                self.lanes.append(lane)
            self._known[key] = tuple(range(first, len(self.lanes)))
        return self._known[key]

    def condition_at(self, component_origin: int, array_origin: int, array_step: int) -> tuple[int, ...]:
        """Return the condition of redundancy at a height; empty where nothing speaks against it."""
        if self.redundancy is None:
            return ()
        origin, step = (array_origin, array_step) if self.redundancy.in_array_bytes else (component_origin, self.step)
        if origin not in self.conditions:
            self.conditions[origin] = Condition(self.redundancy.trust, origin, step)
        return (list(self.conditions).index(origin),)

    def cell(self, role: int, component_origin: int, conditions: tuple[int, ...], at_best: Trust) -> tuple[Place, ...]:
        """Return the places of a cell, the same object for the same ones: wide arrays have few lanes."""
        key = (role, component_origin, conditions)
        if key not in self._cells:
            lanes = self.lanes_at(role, component_origin, at_best)
            self._cells[key] = tuple(Place(lane, conditions) for lane in lanes)
        return self._cells[key]

    def preferred(self, places: tuple[Place, ...], *, is_data: bool) -> tuple[Place, ...]:
        """Order the places of a variable; those of the first role are its own, and hang on no redundancy."""
        key = (places, is_data)
        if key not in self._ordered:
            ordered = sorted(places, key=lambda place: self.rank(place.lane))
            own = self.lanes[ordered[0].lane].role
            self._ordered[key] = tuple(
                Place(place.lane, () if is_own and is_data else place.conditions, is_own)
                for place in ordered
                for is_own in [self.lanes[place.lane].role == own]
            )
        return self._ordered[key]

    def rank(self, lane: int) -> tuple[bool, bool]:
        """Return what puts a copy behind others: that it may have strayed, or that its member is read last."""
        source = self.lanes[lane].source
        return self.lanes[lane].at_best > Trust.SURE, source != NOBODY and self.members[source].write_mostly

    def _data_offset(self, source: int) -> int:
        member = self.members[source]
        return member.new_data_offset if self.section.side is Side.AFTER else member.data_offset


def _pattern(room: _Room, stripes: range) -> Pattern:
    """Make the pattern of the codeword that consists of these stripes of the table."""
    table = room.section.zone.table
    n_data, n_parity = table.n_data, table.n_parity
    n_symbols = len(stripes) * n_data
    places: list[tuple[Place, ...]] = [()] * (len(stripes) * (n_data + n_parity))
    names = [""] * len(places)
    equations: list[Equation] = []
    for number, stripe in enumerate(stripes):
        first_parity = n_symbols + number * n_parity
        variables = [*range(number * n_data, (number + 1) * n_data), *range(first_parity, first_parity + n_parity)]
        for column, symbol in enumerate(table.symbol[stripe].tolist()):
            variable = variables[symbol]
            names[variable] = symbol_name(symbol, n_data)
            places[variable] += _places(room, stripes, stripe, column)
        code = parity_code(n_data, n_parity, tuple(table.exponent[stripe].tolist()))
        equations += [tuple((variables[cell], c) for cell, c in each) for each in code.equations]
    ordered = tuple(room.preferred(each, is_data=number < n_symbols) for number, each in enumerate(places))
    return (Way(code_of(tuple(equations)), ordered, tuple(names), ((),) * n_symbols),)


def _places(room: _Room, stripes: range, stripe: int, column: int) -> tuple[Place, ...]:
    """Return the places of one cell of the table: one for each source of its role."""
    zone, table = room.section.zone, room.section.zone.table
    row = 0 if room.is_level else int(table.row[stripe, column])
    region = int(table.region[stripe, column]) * zone.region_size
    height = zone.component_start + row * zone.chunk_size
    array_origin = zone.array_start + (stripe - stripes.start) * zone.stripe_size
    conditions = room.condition_at(height, array_origin, len(stripes) * zone.stripe_size)
    at_best = Trust.DOUBTFUL if column and room.section.strays else Trust.SURE
    return room.cell(int(table.role[stripe, column]), height + region, conditions, at_best)
