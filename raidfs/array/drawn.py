"""Layouts that have no name: a table that somebody drew, as `docs/layouts.md` prints those that have one.

Two kinds: roles of symbols (RAID0 and levels with parity), and numbers of data chunks by member (RAID10). What is
checked here is that they can be; nothing of what they mean to the engine is known (`raidfs.geometry`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

DRAWN = "table"
"""Name of every layout without one."""

Rows = tuple[tuple[int, ...], ...]

_MOST_ROWS = 4096
"""No controller is known with as many before its layout repeats."""
_LARGEST_EXPONENT = 254


@dataclass(frozen=True)
class Drawn:
    """A table with all that it must agree with.

    Attributes:
        level: what the level is called.
        is_grid: its rows are numbers of data chunks, not roles; None: the level has only one layout.
        raid_disks: number of roles.
        n_parity: redundant symbols per stripe.
        rows, exponents, regions: see `Shape.table`, `Shape.exponents` and `Shape.regions`.
    """

    level: str
    is_grid: bool | None
    raid_disks: int
    n_parity: int
    rows: Rows
    exponents: Rows | None
    regions: int | None

    @property
    def n_chunks(self) -> int:
        """Data chunks of one period of a grid."""
        return 1 + max(number for row in self.rows for number in row)

    @property
    def n_copies(self) -> int:
        """How often a grid holds each data chunk."""
        return len(self.rows) * self.raid_disks // self.n_chunks

    @property
    def n_regions(self) -> int:
        """Parts into which members are divided."""
        return 1 if self.regions is None else self.regions

    @property
    def height(self) -> int:
        """Rows of one region that one period takes."""
        return len(self.rows) // self.n_regions

    def n_chunks_in(self, n_rows: int) -> int:
        """Return how many data chunks members of so many rows hold, the last period being incomplete."""
        periods, rest = divmod(n_rows // self.n_regions, self.height)
        missing = {number for at, row in enumerate(self.rows) if at % self.height >= rest for number in row}
        return periods * self.n_chunks + min(missing)


def flaw_in(drawn: Drawn) -> str:
    """Name the first thing for which a table cannot be, one clause; '': it can."""
    if drawn.is_grid is None:
        return f"a {drawn.level} has only one layout, so there is no table of it"
    if drawn.raid_disks < 1:
        return f"raid_disks is {drawn.raid_disks}, too few for a {drawn.level}"
    if not 0 < len(drawn.rows) <= _MOST_ROWS:
        return f"the table has {len(drawn.rows)} rows, which cannot be"
    for number, row in enumerate(drawn.rows):
        if len(row) != drawn.raid_disks:
            return f"row {number} of the table has {len(row)} entries, but the array {drawn.raid_disks} roles"
    flaw = _flaw_in_grid(drawn) if drawn.is_grid else _flaw_in_roles(drawn)
    return flaw or _flaw_beside(drawn)


def _flaw_in_roles(drawn: Drawn) -> str:
    for number, row in enumerate(drawn.rows):
        text = _not_each_once(row, drawn.raid_disks)
        if text:
            return f"row {number} of the table has role {text}"
    return ""


def _not_each_once(row: Sequence[int], n: int) -> str:
    """Say which number of a row is none of 0 .. n - 1, or there twice; or ''."""
    for value in row:
        if not 0 <= value < n:
            return f"{value}, but the array has the roles 0 to {n - 1}"
    twice = [value for value, count in Counter(row).items() if count > 1]
    return f"{twice[0]} twice" if twice else ""


def _flaw_in_grid(drawn: Drawn) -> str:
    if drawn.n_regions < 1 or len(drawn.rows) % drawn.n_regions:
        return f"regions is {drawn.regions}, but {len(drawn.rows)} rows are no multiple of it"
    for at, row in enumerate(drawn.rows):
        if min(row) < 0 or max(row) >= len(drawn.rows) * drawn.raid_disks:
            wrong = min(row) if min(row) < 0 else max(row)
            return f"row {at} of the table has data chunk {wrong}, which cannot be"
    counts = Counter(number for row in drawn.rows for number in row)
    missing = next((number for number in range(drawn.n_chunks) if number not in counts), None)
    if missing is not None:
        return f"data chunk {missing} is not in the table, but later ones are"
    if min(counts.values()) < max(counts.values()) or min(counts.values()) < 2:
        few = min(counts, key=lambda number: counts[number])
        return f"data chunk {few} is {counts[few]} times in the table; all must be as often, and at least twice"
    return ""


def _flaw_beside(drawn: Drawn) -> str:
    """Look at what goes with a table."""
    if drawn.regions is not None and not drawn.is_grid:
        return f"regions are for a raid10, not for a {drawn.level}"
    if drawn.exponents is None:
        return ""
    if drawn.n_parity < 2:
        return f"exponents are for a raid6: a {drawn.level} has no Q"
    if len(drawn.exponents) != len(drawn.rows):
        return f"exponents has {len(drawn.exponents)} rows, but the table {len(drawn.rows)}"
    n_data = drawn.raid_disks - drawn.n_parity
    for number, row in enumerate(drawn.exponents):
        if len(row) != n_data or len({*row}) != n_data or not all(0 <= each <= _LARGEST_EXPONENT for each in row):
            return (
                f"row {number} of exponents is {[*row]}, not {n_data} different numbers from 0 to {_LARGEST_EXPONENT}"
            )
    return ""
