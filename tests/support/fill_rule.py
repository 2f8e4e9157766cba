"""What is to be believed of copies with fills that no map tells of, by the rule: one sector of a row at a time.

Nothing here is raidfs's; healths and trusts are numbers as in `tests.support.worth`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.oracle.parity import solve
from tests.oracle.ranges import Range
from tests.support.fill_rows import NEARBY, Rows
from tests.support.fill_runs import Runs
from tests.support.fill_tails import Tails
from tests.support.fills import Kind
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

_CLASS = {UNPROVEN: NOT_PROVEN, DOUBTFUL: NOT_SURE}
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
        rows = Rows(situation, geometry, images, offsets, trust, range(start, stop, SECTOR), nearby)
        side = _Side(rows, Runs(rows), Tails(rows), check, set() if noticed is None else noticed)
        wanted = rows.heights if touched is None else sorted(set(rows.heights) & _heights(touched, offsets))
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
    """What is believed of the rows of one geometry.

    Attributes:
        rows: they.
        runs: of filled sectors in them.
        tails: zeros at the ends of members.
        check: every row is compared.
        noticed: see `believed`.
    """

    rows: Rows
    runs: Runs
    tails: Tails
    check: bool
    noticed: set[int]

    def is_broken(self, height: int) -> bool:
        """Whether one equation fails nearby where nobody is filled."""

        def find() -> bool:
            rows = [self.rows.row(each) for each in self.rows.piece_rows(height)]
            return any(row.disagrees and row.is_proven and row.spare == 1 and not row.filled for row in rows)

        return self.rows.once("broken", self.rows.piece(height), -1, find)

    def culprits(self, height: int) -> frozenset[int]:
        """Who was never copied, where it is not just one that both equations name."""
        row = self.rows.row(height)
        if not row.disagrees or row.wrong is not None:
            return frozenset()
        fills = self.runs.counted(height)
        marked = self.runs.marked(height)
        if len(marked) == row.spare:
            return marked
        fits = row.spare == 2 or all(
            role in marked or (self.runs.is_convincing(role, height) and not self.is_broken(height)) for role in fills
        )
        return fills if len(fills) == row.spare and fits else frozenset()

    def is_never_copied(self, role: int, height: int) -> bool:
        """Whether a row tells that a filled cell was never copied, and no pair explains it as well."""
        row = self.rows.row(height)
        if not row.is_proven or not row.disagrees:
            return False
        fills = self.runs.counted(height)
        is_likely = not row.has_rival(fills) or row.kinds.get(role) is Kind.ZEROS
        return role in self.culprits(height) or (row.wrong == role and role in fills and is_likely)

    def never_copied_nearby(self, height: int) -> set[tuple[int, Kind]]:
        """Who was never copied in rows nearby, and what it is filled with there."""

        def find() -> set[tuple[int, Kind]]:
            return {
                (role, kind)
                for each in self.rows.piece_rows(height)
                for role, kind in self.rows.row(each).kinds.items()
                if self.is_never_copied(role, each)
            }

        return self.rows.once("never", self.rows.piece(height), -1, find)

    def speaks_for_pair(self, wrong: int, height: int) -> bool:
        """Whether others than the one that both equations name were never copied, or it was filled otherwise."""
        kinds = self.rows.row(height).kinds
        but = Kind.ZEROS if kinds[wrong] is Kind.ZEROS else None
        own = (wrong, Kind.CONSTANT) if kinds[wrong] is Kind.CONSTANT else None
        if any(each[1] is not but and each != own for each in self.never_copied_nearby(height)):
            return True
        return any(
            self.is_never_copied(role, each) and self.rows.row(each).kinds[role] is not but
            for role in self.runs.counted(height) - {wrong}
            if kinds[role] is not but
            for each in self.runs.rows_seen(role, height)
        )

    def left(self, height: int) -> dict[int, int]:
        """What is left of the trust in the cells of a row; those that keep it are not in it."""
        row = self.rows.row(height)
        if row.agrees:
            return self._left_of_agreement(height)
        if not row.disagrees:
            return {}
        fills = self.runs.counted(height)
        if not row.is_proven:
            return dict.fromkeys(row.blocks if self.check else fills, NOT_PROVEN)
        if row.wrong is not None:
            sure = {role for role in fills if self.runs.convinces_in_a_page(role, height)}
            is_rivalled = row.has_rival(fills)
            if not (is_rivalled and (self.speaks_for_pair(row.wrong, height) or row.has_rival(sure))):
                pair = fills if row.wrong in row.parity else fills & row.parity
                is_told = is_rivalled and not self.runs.is_shown(row.wrong, height)
                return (dict.fromkeys(pair, NOT_PROVEN) if is_told else {}) | {row.wrong: NOTHING}
        culprits = self.culprits(height)
        if culprits:
            is_thin = row.spare == 1 and not any(self.runs.is_page(role, height) for role in culprits)
            if is_thin and culprits <= row.parity and not self.check:
                self.noticed.add(height)  # nobody asks who reads no parity
            beside = row.filled | (row.parity & row.blocks.keys() if is_thin else set())
            if is_thin and self.check and culprits & row.parity:
                beside |= row.blocks.keys()
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
        row = self.rows.row(height)
        found: dict[int, int] = {}
        for is_text in (True, False):
            alike = [role for role in self.runs.counted(height) if row.kinds[role].is_text == is_text]
            if len(alike) > row.spare:
                suspects = [role for role in alike if self.runs.is_suspect(role, height)]
                if len(suspects) > row.spare:
                    found |= dict.fromkeys([*suspects, *(row.parity & row.blocks.keys())], NOT_SURE)
        ended = self.tails.ended(height)
        if len(ended) > row.spare:
            zeros = {role for role, kind in row.kinds.items() if kind is Kind.ZEROS}
            found = dict.fromkeys(zeros, NOT_PROVEN) | found
            found |= dict.fromkeys([*ended, *(row.parity & row.blocks.keys())], NOT_SURE)
        return found

    def sectors(self, height: int, places: Sequence[int]) -> Iterator[Sector]:
        """Yield the data sectors of a row; `places`: where they lie in the array."""
        row = self.rows.row(height)
        cells = self.rows.cells(height)
        blocks = {role: self.rows.block(role, height) for role, value in cells.items() if value != NOTHING}
        cells |= self.left(height)
        for role, at in zip(row.stripe.data, places, strict=True):
            told = tuple(cells[each] for each in range(self.rows.geometry.raid_disks))
            worth = health(row.stripe, told, SURE if row.is_proven else NOT_PROVEN, role)
            content = bytes(SECTOR)
            if worth != LOST:
                limit = _CLASS.get(worth, SURE)
                known = {each: block for each, block in blocks.items() if cells[each] <= limit}
                content = solve(row.stripe, known)[role]
            yield at, worth, content
