"""Members that hold nothing but zeros up to their end, and what speaks against them, by the rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from tests.support.fill_rows import Rows
from tests.support.fills import Kind
from tests.support.worth import SECTOR


@dataclass
class Tails:
    """What the ends of the members tell, in pieces of some rows.

    Attributes:
        rows: they.
        looked_at: the pieces that were looked at on the way, by number.
    """

    rows: Rows
    looked_at: set[int] = field(default_factory=set)

    @property
    def _n_pieces(self) -> int:
        return -(-len(self.rows.heights) * SECTOR // self.rows.nearby)

    def _rows_of(self, number: int) -> range:
        return self.rows.piece_rows(self.rows.heights.start + number * self.rows.nearby)

    def _is_zeros(self, role: int, number: int) -> bool:
        self.looked_at.add(number)
        return all(self.rows.row(each).kinds.get(role) is Kind.ZEROS for each in self._rows_of(number))

    def _is_torn(self, number: int) -> bool:
        """Whether a quarter of the rows disagree, though more members are zeros than the equations can tell."""
        rows = [self.rows.row(each) for each in self._rows_of(number)]
        torn = [
            row
            for row in rows
            if row.disagrees
            and row.is_proven
            and row.wrong is None
            and list(row.kinds.values()).count(Kind.ZEROS) > row.spare
            and not any(kind.is_text for kind in row.kinds.values())
        ]
        return 4 * len(torn) >= len(rows)

    @cached_property
    def begin(self) -> dict[int, int]:
        """In which piece the tail of a role begins, by role."""
        roles = [role for role in self.rows.trust if self._is_zeros(role, self._n_pieces - 1)]
        return {role: self._begin(role) for role in roles} if len(roles) > 1 else {}

    def _begin(self, role: int) -> int:
        first, step = self._n_pieces - 1, 1
        while first - step >= 0 and self._is_zeros(role, first - step):
            first, step = first - step, 2 * step
        before = max(first - step, -1)
        while first - before > 1:
            middle = (first + before) // 2
            if self._is_zeros(role, middle):
                first = middle
            else:
                before = middle
        return first

    @cached_property
    def suspects(self) -> set[int]:
        """Roles against whose tails something speaks."""
        begin = self.begin
        return {
            role
            for role, first in begin.items()
            for number in sorted(self.looked_at)
            if number >= first and self._is_torn(number) and self._is_zeros(role, number)
        }

    def ended(self, height: int) -> set[int]:
        """Roles that may have been given up before a row, and are zeros there."""
        zeros = {role for role, kind in self.rows.row(height).kinds.items() if kind is Kind.ZEROS}
        return {role for role in self.suspects & zeros if self.rows.piece(height) >= self.begin[role]}
