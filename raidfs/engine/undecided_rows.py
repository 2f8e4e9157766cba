"""Rows of a reshape of which nobody knows whether they were written, judged by the parities of both geometries.

Of such a row only what the two geometries have at one place is believed: whichever of them it holds, that is the same.
No other judge asks about it, as nothing tells which parity counts. But a row is written whole or left whole, so one of
them holds. Where both fail something in the row is wrong, or it was torn, and nothing tells which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.blame import REASONS
from raidfs.engine.damage import OF_THE_FRONT, Flaw
from raidfs.engine.fault import Fault, runs_of
from raidfs.engine.fetch import PatientSource
from raidfs.engine.health import Trust
from raidfs.engine.judgement import Gathered, Judge, Judgement
from raidfs.engine.rows import Judged, Rows, judge_rows, rows_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, after_section, before_section, rows_of_reshape
from raidfs.kernels.filled import DATA
from raidfs.kernels.syndrome import AGREES, UNCHECKABLE, UNCHECKED
from raidfs.units import SECTOR


def undecided_rows(description: ArrayDescription) -> Extents:
    """Return the rows of which something is believed whatever they hold [component bytes of the new geometry]."""
    reshape, states = description.reshape, rows_of_reshape(description)
    if reshape is None or reshape.front is None or states is None:
        return Extents()
    if not (reshape.front.agreed or reshape.front.likely_agreed):
        return Extents()
    return states.open.union(states.likely_written, states.likely_left)


def judge_of_undecided(
    description: ArrayDescription, members: Sequence[Member], *, check: bool
) -> list[tuple[Section, Judge]]:
    """Return who judges undecided rows, and which run of the array they are behind; nobody: there are none.

    Args:
        description: the array.
        members: the member of each source.
        check: every row is judged, whatever it holds.
    """
    shifts = {member.new_data_offset - member.data_offset for member in members if member.state.serves}
    rows = undecided_rows(description)
    if not rows or len(shifts) != 1:
        return []
    old, new = before_section(description), after_section(description)
    if not (old.zone.table.n_parity and new.zone.table.n_parity):
        return []
    zone = new.zone
    first, last = int(rows.array[0, 0]) // zone.chunk_size, -(-int(rows.array[-1, 1]) // zone.chunk_size)
    stop = min(last * zone.stripe_size, new.array_stop, zone.array_stop)
    if first * zone.stripe_size >= stop:  # behind the end of the array, which the old geometry sets
        return []
    section = replace(new, array_start=first * zone.stripe_size, array_stop=stop)
    return [(section, _UndecidedJudge(members, (old, section), shifts.pop(), rows, check=check))]


class _UndecidedJudge:
    """Judges undecided rows."""

    def __init__(
        self, members: Sequence[Member], sections: tuple[Section, Section], shift: int, rows: Extents, *, check: bool
    ) -> None:
        """See `judge_of_undecided`; `shift`: what leads from new to old component bytes of one place."""
        self._members = members
        self._old, self._new = sections
        self._shift = shift
        self._undecided = rows
        self._check = check
        self._flaws: tuple[Flaw, ...] = ()
        self._rows = self._rows_with(())

    def _rows_with(self, flaws: Sequence[Flaw]) -> tuple[Rows, Rows]:
        """Lay both geometries over the members, the old one first."""
        return rows_of(self._members, flaws, self._old), rows_of(self._members, flaws, self._new)

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge rows; see `engine.judgement.Judge.judge`. Stripe bytes are component bytes of the new geometry."""
        if flaws is not self._flaws:
            known = [flaw for flaw in flaws if flaw.reason not in OF_THE_FRONT]
            self._rows, self._flaws = self._rows_with(known), flaws
        old, new = self._rows
        found = Gathered()
        inside = Extents.span(old.bounds[0], old.bounds[1]).shift(-self._shift).clip(*new.bounds)
        for low, high in self._undecided.clip(start, stop).intersection(inside):
            by_new = list(judge_rows(new, sources, low, high, with_kinds=True))
            by_old = list(judge_rows(old, sources, low + self._shift, high + self._shift, with_kinds=True))
            for judged in (*by_new, *by_old):
                for source, extents in judged.unread:
                    found.add_unread(source, extents)
            self._hear(new, low, by_new, by_old, found)
        return found.judgement(sources)

    def _hear(
        self, rows: Rows, start: int, by_new: Sequence[Judged], by_old: Sequence[Judged], found: Gathered
    ) -> None:
        """Doubt what neither geometry explains, from a component byte on."""
        new, old = (np.concatenate([each.verdict for each in judged]) for judged in (by_new, by_old))
        disputed = _disagrees(new) & _disagrees(old)
        if not disputed.any():
            return
        usable = np.concatenate([(each.trust == Trust.SURE) & (each.absent != UNCHECKABLE) for each in by_new], axis=1)
        kinds = np.concatenate([each.kinds for each in by_new], axis=1)
        named = np.where((old >= 0) & (new < 0), old, np.where((new >= 0) & (old < 0), new, -1))
        role = np.arange(len(usable))[:, None]
        blamed = usable & disputed & ((named < 0) | (named == role))
        fault = np.where(blamed & (self._check | (kinds != DATA)), np.uint8(Fault.IN_NEITHER), np.uint8(0))
        for number, lane in enumerate(rows.lanes):
            if lane is None:
                continue
            for what, begin, end in runs_of(fault[number]):
                ranges = [(lane[1] + start + begin * SECTOR, lane[1] + start + end * SECTOR)]
                found.add(lane[0], ranges, what.trust, REASONS[what], curable=what.is_curable)


def _disagrees(verdict: NDArray[np.int16]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (verdict != AGREES) & (verdict != UNCHECKED)
    return found
