"""Members with fills that no map tells of, and what is to be believed then, by the rule: one sector of a row at a time.

Nothing here is raidfs's; healths and trusts are numbers as in `tests.support.worth`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from random import Random
from typing import TypeVar, cast

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
LONG_TEXTS = (
    bytes(range(1, 91)),
    bytes(range(256)),
    bytes(number * number % 251 for number in range(512)),
    Random(700).randbytes(700),
    Random(2000).randbytes(2000),
)
"""What ddrescue's fill mode leaves where it is given a file of more than 64 bytes."""
_T = TypeVar("_T")
_CLASS = {UNPROVEN: NOT_PROVEN, DOUBTFUL: NOT_SURE}


def filled(pattern: bytes, length: int, phase: int = 0) -> bytes:
    """A pattern repeated over so many bytes, from a place in it on."""
    return (pattern * (length // len(pattern) + 2))[phase % len(pattern) :][:length]


def located(position: int, length: int, sector: int = SECTOR) -> bytes:
    """What `ddrescue --fill-mode=l-` leaves in place of bytes of an image, filled with zeros, for sectors of a size."""
    found = b""
    for at in range(position, position + length, sector):
        mark = f"\n# position 0x{at:08X} sector 0x{at // sector:08X} status - "
        found += mark.encode().ljust(sector, b"\0")
    return found[:length]


def is_filled(block: bytes) -> bool:
    """Whether a block repeats one pattern of at most 64 bytes."""
    return any(block[period:] == block[:-period] for period in range(1, 65))


def says_so(block: bytes) -> bool:
    """Whether a filled sector says itself that it was not copied."""
    return block.startswith(b"BaDbLoCk")


NEARBY = 64 << 10
"""Bytes of each member in which rows speak for each other."""
FAR = 2 << 20
"""Bytes of each member before and behind these in which runs of filled sectors are followed, or two chunks."""
BLOCK = 4096
"""Bytes in which sectors are compared with each other."""
_LOCATED = re.compile(rb"\n# position 0x([0-9A-F]{1,16}) sector 0x([0-9A-F]{1,16}) status ")


class Kind(Enum):
    """What a sector looks like."""

    DATA = 0
    ZEROS = 1
    CONSTANT = 2
    TEXT = 3
    REPEATED = 4
    MARKED = 5

    @property
    def is_text(self) -> bool:
        """Whether it is more than one byte over and over."""
        return self in (Kind.TEXT, Kind.REPEATED, Kind.MARKED)


def kinds_of(blocks: Sequence[bytes], *, begins: bool) -> list[Kind]:
    """Say what neighbouring sectors of a block look like; `begins`: the first is the first of the block."""
    kinds = [_own_kind(block) for block in blocks]
    period = _long_period(blocks[0]) if begins and kinds[0] is Kind.DATA else None
    found = list(kinds)
    if begins and len(blocks) == BLOCK // SECTOR and kinds[0] is Kind.DATA and _repeats_twice(b"".join(blocks)):
        found = [Kind.REPEATED if kind is Kind.DATA else kind for kind in kinds]
    for number, block in enumerate(blocks):
        around = [blocks[each] for each in (number - 1, number + 1) if 0 <= each < len(blocks)]
        if kinds[number] is Kind.DATA and (block in around or (period and block[period:] == block[:-period])):
            found[number] = Kind.REPEATED
    for number, block in enumerate(blocks):
        located = _LOCATED.match(block)
        if located:
            position, sector = (int(each, 16) for each in located.groups())
            size = position // sector if sector else SECTOR
            n = size // SECTOR if size in (1024, 2048, 4096) else 1
            found[number : number + n] = [Kind.MARKED] * min(n, len(blocks) - number)
    return found


def _own_kind(block: bytes) -> Kind:
    if not is_filled(block):
        return Kind.DATA
    if says_so(block):
        return Kind.MARKED
    if block[1:] != block[:-1]:
        return Kind.TEXT
    return Kind.CONSTANT if block[0] else Kind.ZEROS


def _long_period(block: bytes) -> int | None:
    return next((period for period in range(65, 257) if block[period:] == block[:-period]), None)


def _repeats_twice(whole: bytes) -> bool:
    """Whether bytes repeat one pattern of at most half their length."""
    return any(whole[period:] == whole[:-period] for period in range(1, len(whole) // 2 + 1))


@dataclass(frozen=True)
class _Row:
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
        if self.wrong is None or (self.wrong in fills and self.kinds[self.wrong] is not Kind.CONSTANT):
            return False
        return _has_rival(self.stripe, self.wrong, set(fills) - {self.wrong})

    def speaks_against(self, role: int) -> bool:
        """Whether the row speaks against a filled cell."""
        if not self.disagrees or not self.is_proven or role not in self.filled:
            return False
        return self.wrong in (None, role) or self.has_rival(self.filled)


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
    noticed: set[int] | None = None,
) -> Iterator[Sector]:
    """Yield what sectors of an array are worth, and what they hold then, once every row was judged; in any order.

    Args:
        situation: the array with all damage that is known.
        images: by role.
        touched: only those sectors whose rows lie in one of these ranges [member bytes], by role; None: all.
        check: every row is compared, or only what looks filled is asked about.
        noticed: gets a member of its own for each row of which something is only known if one asks; see `_Side.left`.
        nearby: how many bytes of each member, from the first row of a section on, speak for each other.
    """
    array = situation.array
    for low, high, geometry, new in array.sections(0, array.size):
        trust = trusts(situation, new=new)
        offsets = {each.role: each.new_data_offset if new else each.data_offset for each in array.members}
        # the old geometry of a reshape is one, on both sides of the position
        first, last = (0, array.size) if array.after is not None and not new else (low, high)
        start = first // geometry.stripe_size * geometry.chunk
        stop = min(-(-last // geometry.stripe_size) * geometry.chunk, array.used_size)
        side = _Side(
            situation,
            geometry,
            images,
            offsets,
            trust,
            check,
            range(start, stop, SECTOR),
            nearby,
            set() if noticed is None else noticed,
        )
        wanted = side.heights if touched is None else sorted(set(side.heights) & _heights(touched, offsets))
        for height in wanted:
            first = height // geometry.chunk * geometry.stripe_size + height % geometry.chunk
            places = range(first, first + geometry.stripe_size, geometry.chunk)
            yield from (sector for sector in side.sectors(height, places) if low <= sector[0] < high)


def _heights(touched: Mapping[int, Collection[Range]], offsets: Mapping[int, int]) -> set[int]:
    """Sectors [component bytes] of ranges of members."""
    ranges = [(start - offsets[role], stop - offsets[role]) for role, each in touched.items() for start, stop in each]
    return {at for start, stop in ranges for at in range(start // SECTOR * SECTOR, stop, SECTOR)}


@dataclass(frozen=True)
class _Side:
    """One geometry over the members; rows are named by their height [component bytes]."""

    situation: Situation
    geometry: Geometry
    images: Mapping[int, bytes]
    offsets: Mapping[int, int]
    trust: Mapping[int, list[int]]
    check: bool
    heights: range
    nearby: int
    noticed: set[int] = field(default_factory=set)
    known: dict[tuple[str, int, int], object] = field(default_factory=dict)

    def _once(self, what: str, height: int, role: int, find: Callable[[], _T]) -> _T:
        key = (what, height, role)
        if key not in self.known:
            self.known[key] = find()
        return cast(_T, self.known[key])

    # What is there

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

    def _block(self, role: int, height: int) -> bytes:
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
        blocks = [self._block(role, each) for each in range(first, last + SECTOR, SECTOR)]
        kinds = kinds_of(blocks, begins=(self.offsets[role] + first) % BLOCK == 0)
        for number, kind in enumerate(kinds):
            self.known["kind", first + number * SECTOR, role] = kind
        return kinds[(height - first) // SECTOR]

    def row(self, height: int) -> _Row:
        return self._once("row", height, -1, lambda: self._row(height))

    def _row(self, height: int) -> _Row:
        stripe = self.geometry.stripe(height // self.geometry.chunk)
        spare = self._spare(height)
        there = [role for role in range(self.geometry.raid_disks) if self._is_read(role, height)]
        blocks = {role: self._block(role, height) for role in there}
        kinds = {role: self._once("kind", height, role, lambda role=role: self._kind(role, height)) for role in there}  # type: ignore[misc]
        agrees = spare > 0 and _explains(stripe, blocks, ())
        wrong = [role for role in blocks if spare == 2 and not agrees and _explains(stripe, blocks, (role,))]
        unproven_from = self.situation.resync_offset
        is_proven = unproven_from is None or height < unproven_from
        return _Row(stripe, blocks, kinds, spare, agrees, wrong[0] if wrong else None, is_proven)

    # What runs of filled cells tell

    def piece(self, height: int) -> int:
        return (height - self.heights.start) // self.nearby

    def _n_pieces(self) -> int:
        return -(-max(FAR, 2 * self.geometry.chunk) // self.nearby)

    def _run(self, role: int, height: int) -> tuple[int, int]:
        """First and last row of the run of alike filled cells."""

        def goes_on(other: int) -> bool:
            if other not in self.heights:
                return False
            kind = self.row(other).kinds.get(role, Kind.DATA)
            return kind is not Kind.DATA and kind.is_text == self.row(height).kinds[role].is_text

        first = last = height
        while goes_on(first - SECTOR):
            first -= SECTOR
        while goes_on(last + SECTOR):
            last += SECTOR
        for each in range(first, last + SECTOR, SECTOR):
            self.known["run", each, role] = (first, last)
        return first, last

    def run(self, role: int, height: int) -> tuple[int, int]:
        return self._once("run", height, role, lambda: self._run(role, height))

    def _is_near(self, other: int, height: int) -> bool:
        return abs(self.piece(other) - self.piece(height)) <= self._n_pieces()

    def _against(self, role: int, height: int) -> bool:
        """Whether a row speaks against a cell, and no marks explain it."""
        row = self.row(height)
        return row.speaks_against(role) and (row.kinds[role].is_text or len(self._marked(height)) != row.spare)

    def _marked(self, height: int) -> frozenset[int]:
        """Roles that say that they were not copied, and whose run convinces."""
        kinds = self.row(height).kinds.items()
        return frozenset(role for role, kind in kinds if kind is Kind.MARKED and self.is_convincing(role, height))

    def _border(self, role: int, height: int, step: int) -> str:
        """What lies at one end of a run: `sure`, `covered`, `far`, or `no` border."""
        first, last = self.run(role, height)
        end = first if step < 0 else last
        if end + step not in self.heights:
            is_sure = self._against(role, end) and self._is_near(end, height)
            return "edge" if is_sure else "far"
        row = self.row(end + step)
        if not self._is_near(end + step, height) or row.spare < 1 or not (row.agrees or row.is_proven):
            return "far"
        if not self._against(role, end):
            return "no"
        if row.agrees:
            return "sure"
        is_text = self.row(height).kinds[role].is_text
        for other, kind in row.kinds.items():
            if kind is not Kind.DATA and kind.is_text == is_text and self._against(other, end + step):
                begin, until = self.run(other, end + step)
                edge = begin if step < 0 else until
                beyond = edge + step if edge + step in self.heights else edge
                is_close = self.piece(beyond) == self.piece(end + step)
                if is_close and self._against(other, edge) and (beyond == edge or self.row(beyond).agrees):
                    return "covered"
        return "no"

    def _rows_seen(self, role: int, height: int) -> list[int]:
        first, last = self.run(role, height)
        return [each for each in range(first, last + SECTOR, SECTOR) if self._is_near(each, height)]

    def is_convincing(self, role: int, height: int) -> bool:
        first = self._first_here(role, height)
        return self._once("convincing", first, role, lambda: self._is_convincing(role, first))

    def _first_here(self, role: int, height: int) -> int:
        """The first row of a run in a piece: of all of them there the same is said."""
        return max(self.run(role, height)[0], self._piece_rows(height).start)

    def _is_convincing(self, role: int, height: int) -> bool:
        kind = self.row(height).kinds[role]
        borders = {self._border(role, height, step) for step in (-SECTOR, SECTOR)}
        if ("sure" in borders and "no" not in borders) or borders == {"edge", "covered"}:
            return True
        for each in self._rows_seen(role, height):
            row = self.row(each)
            counted = row.filled if kind.is_text else self.counted(each)
            if self._against(role, each) and role in row.parity and counted == {role}:
                return True
        return False

    def counted(self, height: int) -> frozenset[int]:
        """Roles that count as filled: not those that merely repeat each other, where others are."""
        row = self.row(height)
        weak = {
            role for role, kind in row.kinds.items() if kind is Kind.REPEATED and not self.is_convincing(role, height)
        }
        return row.filled - weak or row.filled

    def is_suspect(self, role: int, height: int) -> bool:
        first = self._first_here(role, height)
        return self._once("suspect", first, role, lambda: self._is_suspect(role, first))

    def _is_suspect(self, role: int, height: int) -> bool:
        seen = self._rows_seen(role, height)
        rows = [each for each in seen if self._against(role, each) and self.row(each).wrong is None]
        if not self.row(height).kinds[role].is_text:  # what texts explain
            rows = [
                each for each in rows if not any(self.row(each).kinds[other].is_text for other in self.counted(each))
            ]
        n = sum(len(self.counted(each)) > self.row(each).spare for each in rows)
        return n > 0 and (4 * n >= len(seen) or self.is_convincing(role, height))

    def _has_text(self, height: int) -> bool:
        return any(self.row(height).kinds[role].is_text for role in self.counted(height))

    def _is_page(self, role: int, height: int) -> bool:
        first, last = self.run(role, height)
        return last - first >= 7 * SECTOR

    def convinces_in_a_page(self, role: int, height: int) -> bool:
        return self.is_convincing(role, height) and self._is_page(role, height)

    # What rows in the same piece tell

    def _piece_rows(self, height: int) -> range:
        start = self.heights.start + self.piece(height) * self.nearby
        return range(start, min(start + self.nearby, self.heights.stop), SECTOR)

    def is_broken(self, height: int) -> bool:
        """Whether one equation fails nearby where nobody is filled."""

        def find() -> bool:
            rows = [self.row(each) for each in self._piece_rows(height)]
            return any(row.disagrees and row.is_proven and row.spare == 1 and not row.filled for row in rows)

        return self._once("broken", self.piece(height), -1, find)

    def culprits(self, height: int) -> frozenset[int]:
        """Who was never copied, where it is not just one that both equations name."""
        row = self.row(height)
        if not row.disagrees or row.wrong is not None:
            return frozenset()
        fills = self.counted(height)
        marked = self._marked(height)
        if len(marked) == row.spare:
            return marked
        fits = row.spare == 2 or all(
            role in marked or (self.is_convincing(role, height) and not self.is_broken(height)) for role in fills
        )
        return fills if len(fills) == row.spare and fits else frozenset()

    def is_never_copied_nearby(self, height: int) -> bool:
        def find() -> bool:
            for each in self._piece_rows(height):
                row = self.row(each)
                if row.is_proven and row.disagrees:
                    fills = self.counted(each)
                    if self.culprits(each) or (row.wrong in fills and not row.has_rival(fills)):
                        return True
            return False

        return self._once("never", self.piece(height), -1, find)

    def left(self, height: int) -> dict[int, int]:
        """What is left of the trust in the cells of a row; those that keep it are not in it."""
        row = self.row(height)
        if row.agrees:
            return self._left_of_agreement(height)
        if not row.disagrees:
            return {}
        fills = self.counted(height)
        if not row.is_proven:
            return dict.fromkeys(row.blocks if self.check else fills, NOT_PROVEN)
        if row.wrong is not None:
            sure = {role for role in fills if self.convinces_in_a_page(role, height)}
            is_rivalled = row.has_rival(fills)
            if not (is_rivalled and (self.is_never_copied_nearby(height) or row.has_rival(sure))):
                return (dict.fromkeys(fills, NOT_PROVEN) if is_rivalled else {}) | {row.wrong: NOTHING}
        culprits = self.culprits(height)
        if culprits:
            is_thin = row.spare == 1 and not any(self._is_page(role, height) for role in culprits)
            beside = row.filled | (row.parity & row.blocks.keys() if is_thin else set())
            return dict.fromkeys(beside, NOT_PROVEN) | dict.fromkeys(culprits, NOTHING)
        rest = NOT_SURE if self.check else NOT_PROVEN
        found = dict.fromkeys(row.blocks, rest) if self.check or len(fills) < row.spare else {}
        if row.wrong is not None:
            found[row.wrong] = rest
        if found and not self.check:
            self.noticed.add(height)
        parity = row.parity & row.blocks.keys() if fills else set()
        return found | dict.fromkeys(fills | parity, NOT_SURE)

    def _left_of_agreement(self, height: int) -> dict[int, int]:
        row = self.row(height)
        found: dict[int, int] = {}
        for is_text in (True, False):
            alike = [role for role in self.counted(height) if row.kinds[role].is_text == is_text]
            if len(alike) > row.spare:
                suspects = [role for role in alike if self.is_suspect(role, height)]
                if len(suspects) > row.spare:
                    found |= dict.fromkeys([*suspects, *(row.parity & row.blocks.keys())], NOT_SURE)
        return found

    def sectors(self, height: int, places: Sequence[int]) -> Iterator[Sector]:
        """Yield the data sectors of a row; `places`: where they lie in the array."""
        row = self.row(height)
        cells = self.cells(height)
        blocks = {role: self._block(role, height) for role, value in cells.items() if value != NOTHING}
        cells |= self.left(height)
        for role, at in zip(row.stripe.data, places, strict=True):
            told = tuple(cells[each] for each in range(self.geometry.raid_disks))
            worth = health(row.stripe, told, SURE if row.is_proven else NOT_PROVEN, role)
            content = bytes(SECTOR)
            if worth != LOST:
                limit = _CLASS.get(worth, SURE)
                known = {each: block for each, block in blocks.items() if cells[each] <= limit}
                content = solve(row.stripe, known)[role]
            yield at, worth, content
