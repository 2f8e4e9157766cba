"""What the parity of a stretch of rows says against the members, as flaws.

rows -> verdicts (`engine.rows`) -> what is there, where they disagree (`kernels.filled`) -> `engine.blame` -> flaws
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.blame import Fault, Hearing, blame, runs_of
from raidfs.engine.damage import UNREADABLE, Flaw, trust_map
from raidfs.engine.fetch import PatientSource
from raidfs.engine.health import Trust
from raidfs.engine.rows import Judged, judge_rows, rows_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, Side, before_section, sections_of
from raidfs.kernels.filled import kinds_of
from raidfs.kernels.fused_check import check_rows_nowait
from raidfs.kernels.syndrome import AGREES, UNCHECKABLE, UNCHECKED, check_rows
from raidfs.units import SECTOR

_PIECE = 128
"""Sectors of each member that are looked at together where some disagree."""


@dataclass(frozen=True)
class Judgement:
    """What was found of a stretch of rows.

    Attributes:
        flaws: what speaks against the members that was not known before.
        is_final: all is said; else something did not answer, and the rows are to be judged again.
    """

    flaws: tuple[Flaw, ...]
    is_final: bool


class Judge(Protocol):
    """Compares what is held more than once in one geometry."""

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge what is trusted in a stretch of rows.

        Args:
            flaws: everything known against the sources.
            sources: the members.
            start: [stripe bytes of the section: stripe number * chunk + offset in the chunk], a multiple of 512.
            stop: likewise; beyond the section's last stripe there is nothing.
        """


def judges_of(description: ArrayDescription, members: Sequence[Member], *, check: bool) -> list[tuple[Section, Judge]]:
    """Return what can be judged at all, and by whom: runs of the array in the geometries that hold them.

    A run behind the position of a reshape is there twice: what is left at its old place has a judge of its own.

    Args:
        description: the array.
        members: the member of each source.
        check: every row is judged, whatever it holds; see `engine.blame.blame`.
    """
    sections = list(sections_of(description))
    if description.reshape is not None:
        old = before_section(description)
        sections += [
            replace(old, array_start=each.array_start, array_stop=min(each.array_stop, old.zone.array_stop))
            for each in sections
            if each.side is Side.AFTER
        ]
    found: list[tuple[Section, Judge]] = []
    for section in sections:
        table = section.zone.table
        serving = {member.role for member in members if member.state.serves}
        n_missing = len(set(range(section.raid_disks)).difference(serving))
        if section.array_start < section.array_stop and n_missing < table.n_parity:
            found.append((section, ParityJudge(description, members, section, check=check)))
    return found


class ParityJudge:
    """Judges rows of RAID 4, 5 and 6 by P and Q."""

    def __init__(
        self, description: ArrayDescription, members: Sequence[Member], section: Section, *, check: bool
    ) -> None:
        """See `judges_of`."""
        self._members = members
        self._section = section
        self._check = check
        self._redundancy = trust_map([(description.unsynced, Trust.UNPROVEN)])
        self._flaws: tuple[Flaw, ...] = ()
        self._rows = rows_of(members, (), section)

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge rows; see `Judge.judge`. Stripe bytes are component bytes here."""
        if flaws is not self._flaws:
            self._rows, self._flaws = rows_of(self._members, flaws, self._section), flaws
        low, high = self._rows.bounds
        found = _Found()
        for judged in judge_rows(self._rows, sources, max(start, low), min(stop, high)):
            for source, extents in judged.unread:
                found.add_unread(source, extents)
            self._hear(judged, sources, found)
        is_final = not any(source.overdue for source in sources) and not found.is_disturbed
        return Judgement(found.flaws([source.overdue for source in sources]), is_final)

    def _hear(self, judged: Judged, sources: Sequence[PatientSource], found: _Found) -> None:
        """Blame somebody wherever a batch of rows disagrees."""
        disagrees = (judged.verdict != AGREES) & (judged.verdict != UNCHECKED)
        for first in range(0, len(disagrees), _PIECE) if disagrees.any() else ():
            last = min(first + _PIECE, len(disagrees))
            if disagrees[first:last].any():
                self._hear_piece(judged, first, last, sources, found)

    def _hear_piece(
        self, judged: Judged, first: int, last: int, sources: Sequence[PatientSource], found: _Found
    ) -> None:
        """Blame somebody in the sectors [first, last) of a batch of rows."""
        start = judged.start + first * SECTOR
        usable = judged.trust[:, first:last] == Trust.SURE
        kinds = np.zeros(usable.shape, dtype=np.uint8)
        lost = self._kinds(start, usable, sources, kinds)
        for source, extents in lost:
            found.add_unread(source, extents)
        if lost:
            found.is_disturbed = True
            return
        height = start + np.arange(last - first, dtype=np.int64) * SECTOR
        heard = Hearing(
            verdict=judged.verdict[first:last],
            absent=judged.absent[first:last],
            usable=usable,
            kinds=kinds,
            parity=self._rows.parity[height // self._rows.zone.chunk_size % len(self._rows.parity)],
            proven=self._redundancy.at(height) == Trust.SURE,
        )
        fault = blame(heard, check=self._check)
        for role in np.flatnonzero(fault.any(axis=1)).tolist():
            lane = self._rows.lanes[role]
            assert lane is not None, "who took part has a source"
            for what, low, high in runs_of(fault[role]):
                place = lane[1] + start
                found.add_fault(lane[0], place + low * SECTOR, place + high * SECTOR, what)

    def _kinds(
        self, start: int, usable: NDArray[np.bool_], sources: Sequence[PatientSource], kinds: NDArray[np.uint8]
    ) -> list[tuple[int, Extents]]:
        """Look at what is there.

        Args:
            start: of the rows [component bytes].
            usable: bool (raid_disks, n): what may be read.
            sources: the members.
            kinds: uint8 (raid_disks, n), written where it is usable.

        Returns:
            (source, image bytes) of what could not be read.
        """
        data = np.zeros((usable.shape[0], usable.shape[1] * SECTOR), dtype=np.uint8)
        lost = []
        for role, lane in enumerate(self._rows.lanes):
            parts = np.flatnonzero(np.diff(np.concatenate(([0], usable[role], [0])))).reshape(-1, 2) * SECTOR
            if lane is None or not len(parts):
                continue
            place = lane[1] + start
            requests = np.stack((place + parts[:, 0], parts[:, 1] - parts[:, 0], parts[:, 0]), axis=1)
            failed = sources[lane[0]].read_into(requests, data[role])
            if failed:
                lost.append((lane[0], failed.shift(place)))
        kinds_of(data, kinds)
        return lost


def warm_up() -> None:
    """Compile the kernels that judge, or load them from their cache."""
    room, absent = np.zeros((1, SECTOR), dtype=np.uint8), np.array([UNCHECKABLE], dtype=np.int16)
    steps, parity = np.zeros((1, 1), dtype=np.int16), np.zeros((1, 2), dtype=np.int16)
    verdict = np.zeros(1, dtype=np.int16)
    check_rows(room, absent, steps, parity, 0, 1, verdict)
    check_rows_nowait(np.array([[-1, 0]], dtype=np.int64), room, absent, steps, parity, 0, 1, verdict)
    kinds_of(room, np.zeros((1, 1), dtype=np.uint8))


@dataclass(frozen=True)
class _Kind:
    """All of a flaw but its bytes."""

    source: int
    trust: Trust
    reason: str
    curable: bool


class _Found:
    """Flaws that are being gathered.

    Attributes:
        is_disturbed: something went wrong on the way, so that not all is found.
    """

    def __init__(self) -> None:
        self._ranges: dict[_Kind, list[tuple[int, int]]] = {}
        self.is_disturbed = False

    def add_unread(self, source: int, extents: Extents) -> None:
        """Note that bytes of a source [image bytes] could not be read."""
        self._ranges.setdefault(_Kind(source, Trust.NONE, UNREADABLE, True), []).extend(extents)

    def add_fault(self, source: int, start: int, stop: int, fault: Fault) -> None:
        """Note a fault of [start, stop) of a source [image bytes]."""
        kind = _Kind(source, fault.trust, fault.reason, fault in (Fault.NEVER_COPIED, Fault.OPEN))
        self._ranges.setdefault(kind, []).append((start, stop))

    def flaws(self, overdue: Sequence[Extents]) -> tuple[Flaw, ...]:
        """Return what was noted, less what could not be read only because it was not waited for; that by source."""
        found = []
        for kind, listed in self._ranges.items():
            extents = Extents(listed)
            if kind.reason == UNREADABLE:
                extents = extents.difference(overdue[kind.source])
            if extents:
                found.append(Flaw(kind.source, extents, kind.trust, kind.reason, curable=kind.curable))
        return tuple(found)
