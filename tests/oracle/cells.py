"""Which cells hold what of an array that stands with two geometries, and how far each sector of each cell is believed.

A *group* is the fewest array bytes over which both geometries have whole stripes; outside a reshape one stripe. It is
cut into symbols as high as the smaller chunk divides the larger one (their greatest common divisor), and looked at
sector by sector:

    3 -> 4, equal chunks: a group has the six symbols 0..5, three old rows and two new ones

        old rows   0 1 P         new rows   0 1 2 P        (roles rotate; every cell lies on one member,
                   2 P 3                    3 4 P 5         for each geometry behind its own data offset)
                   P 4 5

Classes: a cell is sure 0, unproven 1, doubtful 2, or not there 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from tests.oracle.layouts import Geometry
from tests.oracle.ranges import Range, difference, intersection, shifted

SECTOR = 512
OLD, NEW = 0, 1
"""The only or the old geometry, and the new one."""
SURE, UNPROVEN, DOUBTFUL, NOTHING = range(4)
FAILING, AT_RISK = 4, 8
"""Marks beside the class: it cannot be read but could be rescued; it may hold the new geometry instead of the old."""

Classes = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """One image that may hold cells of a role.

    Attributes:
        role: whose cells. size: of the image; what is beyond it may be failing, else it is invalid [bytes].
        data_offset, new_data_offset: of the old and of the new geometry [member bytes].
        recovered_to: valid below this [component bytes], during a reshape of the new geometry only; None: everywhere.
        invalid: what holds nothing [member bytes]. failing: what cannot be read but may be rescued [member bytes].
        trust: class of all that it holds; DOUBTFUL for a stale member.
        held: of a stale member, what it held of the old (or only) and of the new geometry when it was thrown out
            [component bytes]; None: a current member, which holds what the position of the reshape says.
        proven: of a stale member, what is sure all the same; without a reshape only [component bytes].
    """

    role: int
    size: int
    data_offset: int
    new_data_offset: int
    recovered_to: int | None = None
    invalid: tuple[Range, ...] = ()
    failing: tuple[Range, ...] = ()
    trust: int = SURE
    held: tuple[tuple[Range, ...], tuple[Range, ...]] | None = None
    proven: tuple[Range, ...] = ()


@dataclass(frozen=True)
class Situation:
    """An array as it stands, with its damage.

    Attributes:
        geometry: its only one, or the old one. component_size: [bytes].
        sources: several may hold one role.
        after: the new geometry of a reshape. position: of the reshape [array bytes]. backwards: its direction.
        at_risk: rows that may have been rewritten beyond the position [component bytes of the new geometry].
        quiet: behind the position, what nobody can have written to since it was copied [array bytes].
        unproven: heights at which redundancy may be stale, in either geometry [component bytes].
    """

    geometry: Geometry
    component_size: int
    sources: tuple[Source, ...]
    after: Geometry | None = None
    position: int = 0
    backwards: bool = False
    at_risk: Range = (0, 0)
    quiet: tuple[Range, ...] = ()
    unproven: tuple[Range, ...] = ()

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """The old (or only) one, and the new one of a reshape."""
        return (self.geometry,) if self.after is None else (self.geometry, self.after)

    @property
    def used_size(self) -> int:
        """Bytes of each member that hold whole chunks of both geometries."""
        return min(self.component_size // g.chunk * g.chunk for g in self.geometries)

    @property
    def size(self) -> int:
        """Array bytes: what both geometries can hold."""
        return min(g.capacity(self.used_size) for g in self.geometries)

    @property
    def behind(self) -> Range:
        """The array bytes for which the new geometry is in force."""
        if self.after is None:
            return (0, 0)
        return (self.position, self.size) if self.backwards else (0, min(self.position, self.size))

    def held(self, source: Source, side: int) -> list[Range]:
        """What a source holds of a geometry, whatever fails and whatever is at risk [component bytes]."""
        if source.role >= self.geometries[side].raid_disks:
            return []
        everything = [(0, self.used_size)]
        if source.held is not None:
            return intersection(everything, source.held[side])
        limit = self.used_size if source.recovered_to is None else source.recovered_to
        if self.after is None:
            return intersection(everything, [(0, limit)])
        new = rewritten(self.after, self.used_size, self.position, backwards=self.backwards)
        if side == NEW:
            return intersection([new], [(0, limit)])
        if source.recovered_to is not None:  # the reshape fills it: it never held the old geometry
            return []
        is_new = source.role < self.after.raid_disks
        return difference(everything, shifted([new], source.new_data_offset - source.data_offset) if is_new else [])


def rewritten(after: Geometry, used_size: int, position: int, *, backwards: bool) -> Range:
    """The rows that hold the new geometry for certain when the reshape is at `position` [component bytes]."""
    front = min(position // after.data_disks, used_size)
    return (front, used_size) if backwards else (0, front)


@dataclass(frozen=True)
class Group:
    """How the geometries of an array divide it.

    Attributes:
        geometries: one, or the old and the new one.
    """

    geometries: tuple[Geometry, ...]

    @property
    def size(self) -> int:
        """Array bytes of a group."""
        return lcm(*(g.stripe_size for g in self.geometries))

    @property
    def height(self) -> int:
        """Bytes of a symbol."""
        return gcd(*(g.chunk for g in self.geometries))

    @property
    def n_symbols(self) -> int:
        """Data symbols of a group."""
        return self.size // self.height

    @property
    def slots(self) -> list[tuple[int, int, int]]:
        """Side, row in the group, and piece of the chunk of everything that is one symbol high and one stripe wide."""
        return [
            (side, row, piece)
            for side, g in enumerate(self.geometries)
            for row in range(self.size // g.stripe_size)
            for piece in range(g.chunk // self.height)
        ]

    def symbol(self, side: int, row: int, k: int, piece: int) -> int:
        """The number in the group of a piece of data chunk `k` of a row."""
        g = self.geometries[side]
        return (row * g.data_disks + k) * (g.chunk // self.height) + piece

    def component_start(self, side: int, row: int, piece: int) -> int:
        """Where a piece of a row of group 0 begins [component bytes]."""
        return row * self.geometries[side].chunk + piece * self.height

    def component_size(self, side: int) -> int:
        """Bytes of each member in a group."""
        g = self.geometries[side]
        return self.size // g.stripe_size * g.chunk


def classes(situation: Situation, source: Source, side: int, n_sectors: int) -> Classes:
    """How far each sector of a source's component is believed in one geometry.

    Args:
        situation: the array.
        source: one of its sources.
        side: OLD or NEW.
        n_sectors: how many; what is beyond the component is not there.

    Returns:
        uint8 (n_sectors,): a class, plus FAILING and AT_RISK.
    """
    offset = source.new_data_offset if side == NEW else source.data_offset
    found = np.full(n_sectors, NOTHING, dtype=np.uint8)
    mark(found, situation.held(source, side), source.trust)
    if situation.after is None:
        mark(found, intersection(situation.held(source, side), source.proven), SURE)
    cut_off = difference([(source.size, offset + n_sectors * SECTOR)], source.failing)
    mark(found, shifted([*source.invalid, *cut_off], -offset), NOTHING, whole=False)
    failing, at_risk = np.zeros_like(found), np.zeros_like(found)
    mark(failing, shifted(source.failing, -offset), FAILING, whole=False)
    if situation.after is not None and source.held is None and side == OLD:
        is_new = source.role < situation.after.raid_disks
        moved = source.new_data_offset - source.data_offset
        mark(at_risk, shifted([situation.at_risk] if is_new else [], moved), AT_RISK, whole=False)
    return np.where(found < NOTHING, found + failing + at_risk, found)


def mark(found: Classes, ranges: Iterable[Range], value: int, *, whole: bool = True) -> None:
    """Give the sectors of some ranges a value.

    Args:
        found: uint8 (n,), changed.
        ranges: [bytes]; what is outside is ignored.
        value: the value.
        whole: only sectors that lie in them wholly; else all that they touch.
    """
    for start, stop in intersection(ranges, [(0, len(found) * SECTOR)]):
        part = slice(-(-start // SECTOR), stop // SECTOR) if whole else slice(start // SECTOR, -(-stop // SECTOR))
        found[part] = value
