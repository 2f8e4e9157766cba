"""Members with fills that no map tells of, and what is to be believed then, by the rule: one sector of a row at a time.

Nothing here is raidfs's; healths and trusts are numbers as in `tests.support.worth`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from tests.oracle.layouts import Geometry, Stripe
from tests.oracle.parity import checks, combine, solve
from tests.oracle.ranges import Range
from tests.support.worth import (
    DOUBTFUL,
    LOST,
    NOT_PROVEN,
    NOT_SURE,
    NOTHING,
    SECTOR,
    SURE,
    UNPROVEN,
    Situation,
    health,
    trusts,
)

PATTERNS = (b"\0", b"\xff", b"\xee\x01", b"BaDbLoCk", b"never copied\n", bytes(range(1, 64)), bytes(range(64)))
"""What tools leave where they could not copy."""
_CLASS = {UNPROVEN: NOT_PROVEN, DOUBTFUL: NOT_SURE}


def filled(pattern: bytes, length: int, phase: int = 0) -> bytes:
    """A pattern repeated over so many bytes, from a place in it on."""
    return (pattern * (length // len(pattern) + 2))[phase % len(pattern) :][:length]


def is_filled(block: bytes) -> bool:
    """Whether a block repeats one pattern of at most 64 bytes."""
    return any(block[period:] == block[:-period] for period in range(1, 65))


NEARBY = 64 << 10
"""Bytes of each member in which rows speak for each other."""


@dataclass(frozen=True)
class Nearby:
    """What rows near each other show: one equation that fails with nobody filled; that something was never copied."""

    is_broken: bool = False
    is_never_copied: bool = False


def shown(stripe: Stripe, cells: Mapping[int, bytes]) -> Nearby:
    """What one row shows; see `blamed`."""
    equations = checks(stripe)
    spare = len(equations) - len({role for equation in equations for role in equation} - cells.keys())
    if spare < 1 or _explains(stripe, cells, ()):
        return Nearby()
    fills = {role for role, block in cells.items() if is_filled(block)}
    wrong = [role for role in cells if spare == 2 and _explains(stripe, cells, (role,))]
    if wrong:
        is_certain = _looks_filled(cells[wrong[0]]) or not _has_rival(stripe, wrong[0], fills - {wrong[0]})
        return Nearby(is_never_copied=is_certain and wrong[0] in fills)
    return Nearby(is_broken=spare == 1 and not fills, is_never_copied=spare == 2 and len(fills) == 2)


def blamed(
    stripe: Stripe, cells: Mapping[int, bytes], *, is_proven: bool, check: bool, nearby: Nearby = Nearby()
) -> dict[int, int]:
    """Say what is left of the trust in the cells of one sector of a row; those that keep it are not in it.

    Args:
        stripe: the stripe.
        cells: content of each role's cell, of those that are trusted.
        is_proven: whether its parity was ever proven.
        check: whether every row is compared, or only what looks filled is asked about.
        nearby: what the rows around it show.
    """
    equations = checks(stripe)
    roles = {role for equation in equations for role in equation}
    spare = len(equations) - len(roles - cells.keys())
    if spare < 1 or _explains(stripe, cells, ()):
        return {}
    fills = {role for role, block in cells.items() if is_filled(block)}
    if not is_proven:
        return dict.fromkeys(cells if check else fills, NOT_PROVEN)
    wrong = [role for role in cells if spare == 2 and _explains(stripe, cells, (role,))]
    if wrong and (_looks_filled(cells[wrong[0]]) or not _has_rival(stripe, wrong[0], fills - {wrong[0]})):
        return {wrong[0]: NOTHING}
    if wrong and check and not nearby.is_never_copied:
        return dict.fromkeys(fills, NOT_PROVEN) | {wrong[0]: NOTHING}
    if not wrong and len(fills) == spare and not (spare == 1 and nearby.is_broken):
        return dict.fromkeys(fills, NOTHING)
    rest = NOT_SURE if check else NOT_PROVEN
    found = dict.fromkeys(cells, rest) if check or len(fills) < spare else {}
    found |= dict.fromkeys(wrong, rest)
    parity = {role for role in cells if role in (stripe.p, stripe.q) and fills}
    return found | dict.fromkeys(fills | parity, NOT_SURE)


def _shows_one(stripe: Stripe, cells: Mapping[int, bytes]) -> bool:
    """Whether one equation fails, and one cell is filled."""
    equations = checks(stripe)
    spare = len(equations) - len({role for equation in equations for role in equation} - cells.keys())
    return spare == 1 and not _explains(stripe, cells, ()) and sum(map(is_filled, cells.values())) == 1


def _looks_filled(block: bytes) -> bool:
    """Whether a block is filled with zeros, or with more than one byte repeated."""
    return is_filled(block) and (block[0] == 0 or block[1:] != block[:-1])


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


Sector = tuple[int, int, bytes]
"""Where a sector of the array begins [array bytes], its health, and its content, zeros where it is lost."""


def believed(
    situation: Situation,
    images: Mapping[int, bytes],
    touched: Mapping[int, Collection[Range]] | None = None,
    *,
    check: bool = False,
    nearby: int = NEARBY,
) -> Iterator[Sector]:
    """Yield what sectors of an array are worth, and what they hold then, once every row was judged; in any order.

    Args:
        situation: the array with all damage that is known.
        images: by role.
        touched: only those sectors whose rows lie in one of these ranges [member bytes], by role; None: all.
        check: see `blamed`.
        nearby: how many bytes of each member, from the first row of a section on, speak for each other.
    """
    array = situation.array
    for low, high, geometry, new in array.sections(0, array.size):
        trust = trusts(situation, new=new)
        offsets = {each.role: each.new_data_offset if new else each.data_offset for each in array.members}
        side = _Side(situation, geometry, images, offsets, trust, check)
        start = low // geometry.stripe_size * geometry.chunk
        stop = min(-(-high // geometry.stripe_size) * geometry.chunk, array.used_size)
        wanted = range(start, stop, SECTOR)
        heights = wanted if touched is None else sorted(set(wanted) & _heights(touched, offsets))
        for _, each in groupby(heights, lambda height, start=start: (height - start) // nearby):
            together = list(each)
            around = side.shown(together)
            for height in together:
                first = height // geometry.chunk * geometry.stripe_size + height % geometry.chunk
                places = range(first, first + geometry.stripe_size, geometry.chunk)
                yield from (sector for sector in side.row(height, places, around) if low <= sector[0] < high)


def _heights(touched: Mapping[int, Collection[Range]], offsets: Mapping[int, int]) -> set[int]:
    """Sectors [component bytes] of ranges of members."""
    ranges = [(start - offsets[role], stop - offsets[role]) for role, each in touched.items() for start, stop in each]
    return {at for start, stop in ranges for at in range(start // SECTOR * SECTOR, stop, SECTOR)}


@dataclass(frozen=True)
class _Side:
    """One geometry over the members."""

    situation: Situation
    geometry: Geometry
    images: Mapping[int, bytes]
    offsets: Mapping[int, int]
    trust: Mapping[int, list[int]]
    check: bool

    def shown(self, heights: Sequence[int]) -> Nearby:
        """What rows near each other show."""
        proven = [height for height in heights if self._is_proven(height)]
        rows = [(self.geometry.stripe(height // self.geometry.chunk), self._read(height)) for height in proven]
        found = [shown(stripe, self._sure(cells, blocks)) for stripe, (cells, blocks) in rows]
        is_broken = any(each.is_broken for each in found)
        singles = [
            self._sure(cells, blocks)
            for (stripe, (cells, blocks)), each in zip(rows, found, strict=True)
            if not each.is_never_copied and not is_broken and _shows_one(stripe, self._sure(cells, blocks))
        ]
        return Nearby(is_broken, any(each.is_never_copied for each in found) or bool(singles))

    def _is_proven(self, height: int) -> bool:
        unproven_from = self.situation.resync_offset
        return unproven_from is None or height < unproven_from

    @staticmethod
    def _sure(cells: Mapping[int, int], blocks: Mapping[int, bytes]) -> dict[int, bytes]:
        return {role: block for role, block in blocks.items() if cells[role] == SURE}

    def _read(self, height: int) -> tuple[dict[int, int], dict[int, bytes]]:
        """Return the trust in the cells of a row, and their content."""
        roles = range(self.geometry.raid_disks)
        cells = {role: self.trust[role][height // SECTOR] if role in self.trust else NOTHING for role in roles}
        blocks = {}
        for role, value in cells.items():
            if value != NOTHING:
                at = self.offsets[role] + height
                blocks[role] = bytes(self.images[role][at : at + SECTOR])
        return cells, blocks

    def row(self, height: int, places: Sequence[int], nearby: Nearby) -> Iterator[Sector]:
        """Yield the data sectors of a row; `places`: where they lie in the array."""
        stripe = self.geometry.stripe(height // self.geometry.chunk)
        roles = range(self.geometry.raid_disks)
        cells, blocks = self._read(height)
        is_proven = self._is_proven(height)
        cells |= blamed(stripe, self._sure(cells, blocks), is_proven=is_proven, check=self.check, nearby=nearby)
        for role, at in zip(stripe.data, places, strict=True):
            told = tuple(cells[each] for each in roles)
            worth = health(stripe, told, SURE if is_proven else NOT_PROVEN, role)
            content = bytes(SECTOR)
            if worth != LOST:
                limit = _CLASS.get(worth, SURE)
                content = solve(stripe, {each: block for each, block in blocks.items() if cells[each] <= limit})[role]
            yield at, worth, content
