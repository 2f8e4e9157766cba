"""Runs of filled sectors of a member: where they begin and end, and what the rows in them tell, by the rule."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.fill_rows import Rows
from tests.support.fills import Kind
from tests.support.worth import SECTOR


@dataclass(frozen=True)
class Runs:
    """The runs in some rows, named by a role and the height of a row in them."""

    rows: Rows

    def _run(self, role: int, height: int) -> tuple[int, int]:
        """First and last row of the run of alike filled cells."""

        def goes_on(other: int) -> bool:
            if other not in self.rows.heights:
                return False
            kind = self.rows.row(other).kinds.get(role, Kind.DATA)
            return kind is not Kind.DATA and kind.is_text == self.rows.row(height).kinds[role].is_text

        first = last = height
        while goes_on(first - SECTOR):
            first -= SECTOR
        while goes_on(last + SECTOR):
            last += SECTOR
        for each in range(first, last + SECTOR, SECTOR):
            self.rows.known["run", each, role] = (first, last)
        return first, last

    def run(self, role: int, height: int) -> tuple[int, int]:
        return self.rows.once("run", height, role, lambda: self._run(role, height))

    def is_shown(self, role: int, height: int) -> bool:
        """Whether both equations name a cell in its run of one byte, in a row that no pair explains."""
        kind = self.rows.row(height).kinds.get(role)
        if kind not in (Kind.ZEROS, Kind.CONSTANT):
            return False
        first = height
        while first > self.rows.piece_rows(height).start and self.rows.row(first - SECTOR).kinds.get(role) is kind:
            first -= SECTOR
        return self.rows.once("shown", first, role, lambda: self._is_shown(role, first))

    def _is_shown(self, role: int, height: int) -> bool:
        kind = self.rows.row(height).kinds[role]
        for step in (-SECTOR, SECTOR):
            at = height
            while at in self.rows.heights and self.rows.is_near(at, height):
                row = self.rows.row(at)
                if row.kinds.get(role) is not kind:
                    break
                if row.disagrees and row.is_proven and row.wrong == role and not row.has_rival(row.filled):
                    return True
                at += step
        return False

    def _speaks_against(self, role: int, height: int) -> bool:
        """Whether a row speaks against a filled cell."""
        row = self.rows.row(height)
        if not row.disagrees or not row.is_proven or role not in row.filled:
            return False
        if row.wrong in (None, role):
            return True
        return row.has_rival(row.filled) and not self.is_shown(row.wrong, height)

    def _against(self, role: int, height: int) -> bool:
        """Whether a row speaks against a cell, and no marks explain it."""
        row = self.rows.row(height)
        return self._speaks_against(role, height) and (row.kinds[role].is_text or len(self.marked(height)) != row.spare)

    def marked(self, height: int) -> frozenset[int]:
        """Roles that say that they were not copied, and whose run convinces."""
        kinds = self.rows.row(height).kinds.items()
        return frozenset(role for role, kind in kinds if kind is Kind.MARKED and self.is_convincing(role, height))

    def _border(self, role: int, height: int, step: int) -> str:
        """What lies at one end of a run: `sure`, `covered`, `far`, or `no` border."""
        first, last = self.run(role, height)
        end = first if step < 0 else last
        if end + step not in self.rows.heights:
            is_sure = self._against(role, end) and self.rows.is_near(end, height)
            return "edge" if is_sure else "far"
        row = self.rows.row(end + step)
        if not self.rows.is_near(end + step, height) or row.spare < 1 or not (row.agrees or row.is_proven):
            return "far"
        if not self._against(role, end):
            return "no"
        if row.agrees:
            return "sure"
        is_text = self.rows.row(height).kinds[role].is_text
        for other, kind in row.kinds.items():
            if kind is not Kind.DATA and kind.is_text == is_text and self._against(other, end + step):
                begin, until = self.run(other, end + step)
                edge = begin if step < 0 else until
                beyond = edge + step if edge + step in self.rows.heights else edge
                is_close = self.rows.piece(beyond) == self.rows.piece(end + step)
                if is_close and self._against(other, edge) and (beyond == edge or self.rows.row(beyond).agrees):
                    return "covered"
        return "no"

    def rows_seen(self, role: int, height: int) -> list[int]:
        first, last = self.run(role, height)
        return [each for each in range(first, last + SECTOR, SECTOR) if self.rows.is_near(each, height)]

    def is_convincing(self, role: int, height: int) -> bool:
        first = self._first_here(role, height)
        return self.rows.once("convincing", first, role, lambda: self._is_convincing(role, first))

    def _first_here(self, role: int, height: int) -> int:
        """The first row of a run in a piece: of all of them there the same is said."""
        return max(self.run(role, height)[0], self.rows.piece_rows(height).start)

    def _is_convincing(self, role: int, height: int) -> bool:
        kind = self.rows.row(height).kinds[role]
        borders = {self._border(role, height, step) for step in (-SECTOR, SECTOR)}
        if ("sure" in borders and "no" not in borders) or borders == {"edge", "covered"}:
            return True
        n_against = 0
        for each in self.rows_seen(role, height):
            row = self.rows.row(each)
            counted = row.filled if kind.is_text else self.counted(each)
            if role in row.parity and counted == {role}:
                if self._against(role, each) and row.kinds[role] is Kind.MARKED:
                    return True
                n_against += self._against(role, each) - row.agrees
        return n_against > 0

    def counted(self, height: int) -> frozenset[int]:
        """Roles that count as filled: not those that merely repeat each other, where others are."""
        row = self.rows.row(height)
        weak = {
            role for role, kind in row.kinds.items() if kind is Kind.REPEATED and not self.is_convincing(role, height)
        }
        return row.filled - weak or row.filled

    def is_suspect(self, role: int, height: int) -> bool:
        first = self._first_here(role, height)
        return self.rows.once("suspect", first, role, lambda: self._is_suspect(role, first))

    def _is_suspect(self, role: int, height: int) -> bool:
        seen = self.rows_seen(role, height)
        rows = [each for each in seen if self._against(role, each) and self.rows.row(each).wrong is None]
        if not self.rows.row(height).kinds[role].is_text:  # what texts explain
            rows = [
                each
                for each in rows
                if not any(self.rows.row(each).kinds[other].is_text for other in self.counted(each))
            ]
        n = sum(len(self.counted(each)) > self.rows.row(each).spare for each in rows)
        return n > 0 and (4 * n >= len(seen) or self.is_convincing(role, height))

    def is_page(self, role: int, height: int) -> bool:
        first, last = self.run(role, height)
        return last - first >= 7 * SECTOR

    def convinces_in_a_page(self, role: int, height: int) -> bool:
        return self.is_convincing(role, height) and self.is_page(role, height)
