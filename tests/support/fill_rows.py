"""Rows of an array of which copies hold fills: all that can be seen of each one alone, one sector at a time.

Nothing here is raidfs's; trusts are numbers as in `tests.support.worth`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar, cast

from tests.oracle.layouts import Geometry, Stripe
from tests.oracle.parity import checks, combine, solve
from tests.support.fills import BLOCK, Kind, kinds_of
from tests.support.worth import NOTHING, SECTOR, SURE, Situation

NEARBY = 64 << 10
"""Bytes of each member in which rows speak for each other."""
FAR = 2 << 20
"""Bytes of each member before and behind these in which runs of filled sectors are followed, or two chunks."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Row:
    """One sector of a row, with all that can be seen of it alone.

    Attributes:
        stripe: of the row.
        blocks: content of the cells that are trusted, by role; empty where there is nothing to check.
        kinds: what they look like.
        spare: how many equations are left for finding out.
        agrees: they hold.
        wrong: the one role that both equations name.
        is_proven: parity was proven there.
    """

    stripe: Stripe
    blocks: Mapping[int, bytes]
    kinds: Mapping[int, Kind]
    spare: int
    agrees: bool
    wrong: int | None
    is_proven: bool

    @property
    def disagrees(self) -> bool:
        return self.spare > 0 and not self.agrees

    @property
    def filled(self) -> frozenset[int]:
        return frozenset(role for role, kind in self.kinds.items() if kind is not Kind.DATA)

    @property
    def parity(self) -> set[int]:
        return {role for role in (self.stripe.p, self.stripe.q) if role is not None}

    def has_rival(self, fills: Collection[int]) -> bool:
        """Whether two filled cells that are wrong by the same amount would look like the one that is named."""
        if self.wrong is None:
            return False
        others = set(fills) - {self.wrong}
        if self.wrong in fills:
            kind = self.kinds[self.wrong]
            if kind not in (Kind.ZEROS, Kind.CONSTANT):
                return False
            if kind is Kind.ZEROS:
                others = {role for role in others if self.kinds[role] is not Kind.ZEROS}
        return _has_rival(self.stripe, self.wrong, others)


def _explains(stripe: Stripe, cells: Mapping[int, bytes], wrong: Collection[int]) -> bool:
    """Whether all equations hold with these cells recomputed from the others."""
    whole = solve(stripe, {role: block for role, block in cells.items() if role not in wrong})
    return not any(any(combine(equation, whole, SECTOR)) for equation in checks(stripe))


def _has_rival(stripe: Stripe, wrong: int, fills: Collection[int]) -> bool:
    """Whether two filled cells that are wrong by the same amount would look like this one."""
    data, p, q = {*stripe.data}, stripe.p, stripe.q

    def fits(pair: set[int]) -> bool:
        if wrong == q:
            return pair <= data | {p}
        return q in pair and bool(pair & data) if wrong == p else pair == {p, q}

    return any(fits(set(pair)) for pair in combinations(fills, 2))


@dataclass(frozen=True)
class Rows:
    """One geometry over the members; rows are named by their height [component bytes].

    Attributes:
        situation: the array with all damage that is known.
        geometry: how its stripes lie.
        images: by role.
        offsets: where component byte 0 lies, by role [member bytes].
        trust: in each sector of each role's component.
        heights: of all rows.
        nearby: how many bytes of each member, from the first row on, speak for each other.
    """

    situation: Situation
    geometry: Geometry
    images: Mapping[int, bytes]
    offsets: Mapping[int, int]
    trust: Mapping[int, list[int]]
    heights: range
    nearby: int
    known: dict[tuple[str, int, int], object] = field(default_factory=dict)

    def once(self, what: str, height: int, role: int, find: Callable[[], _T]) -> _T:
        key = (what, height, role)
        if key not in self.known:
            self.known[key] = find()
        return cast(_T, self.known[key])

    def cells(self, height: int) -> dict[int, int]:
        """Trust in each cell."""
        roles = range(self.geometry.raid_disks)
        return {role: self.trust[role][height // SECTOR] if role in self.trust else NOTHING for role in roles}

    def _spare(self, height: int) -> int:
        equations = checks(self.geometry.stripe(height // self.geometry.chunk))
        roles = {role for equation in equations for role in equation}
        cells = self.cells(height)
        return len(equations) - sum(cells[role] != SURE for role in roles)

    def _is_read(self, role: int, height: int) -> bool:
        return height in self.heights and self._spare(height) > 0 and self.cells(height)[role] == SURE

    def block(self, role: int, height: int) -> bytes:
        at = self.offsets[role] + height
        return bytes(self.images[role][at : at + SECTOR])

    def _kind(self, role: int, height: int) -> Kind:
        """What a cell looks like among its neighbours in the same block of the member and the same piece."""

        def belongs(other: int) -> bool:
            same_block = (self.offsets[role] + other) // BLOCK == (self.offsets[role] + height) // BLOCK
            return same_block and self.piece(other) == self.piece(height) and self._is_read(role, other)

        first = last = height
        while belongs(first - SECTOR):
            first -= SECTOR
        while belongs(last + SECTOR):
            last += SECTOR
        blocks = [self.block(role, each) for each in range(first, last + SECTOR, SECTOR)]
        kinds = kinds_of(blocks, begins=(self.offsets[role] + first) % BLOCK == 0)
        for number, kind in enumerate(kinds):
            self.known["kind", first + number * SECTOR, role] = kind
        return kinds[(height - first) // SECTOR]

    def row(self, height: int) -> Row:
        return self.once("row", height, -1, lambda: self._row(height))

    def _row(self, height: int) -> Row:
        stripe = self.geometry.stripe(height // self.geometry.chunk)
        spare = self._spare(height)
        there = [role for role in range(self.geometry.raid_disks) if self._is_read(role, height)]
        blocks = {role: self.block(role, height) for role in there}
        kinds = {role: self.once("kind", height, role, lambda role=role: self._kind(role, height)) for role in there}  # type: ignore[misc]
        agrees = spare > 0 and _explains(stripe, blocks, ())
        wrong = [role for role in blocks if spare == 2 and not agrees and _explains(stripe, blocks, (role,))]
        unproven_from = self.situation.resync_offset
        is_proven = unproven_from is None or height < unproven_from
        return Row(stripe, blocks, kinds, spare, agrees, wrong[0] if wrong else None, is_proven)

    def piece(self, height: int) -> int:
        return (height - self.heights.start) // self.nearby

    def _n_pieces(self) -> int:
        return -(-max(FAR, 2 * self.geometry.chunk) // self.nearby)

    def is_near(self, other: int, height: int) -> bool:
        return abs(self.piece(other) - self.piece(height)) <= self._n_pieces()

    def piece_rows(self, height: int) -> range:
        start = self.heights.start + self.piece(height) * self.nearby
        return range(start, min(start + self.nearby, self.heights.stop), SECTOR)
