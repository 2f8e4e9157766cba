"""What the parity of a stretch of rows says against the members, as flaws.

rows -> verdicts (`engine.rows`) -> what is there, where they disagree (`kernels.filled`) -> `engine.blame` -> flaws
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.blame import REASONS, Hearing, blame
from raidfs.engine.damage import Flaw, trust_map
from raidfs.engine.fault import runs_of
from raidfs.engine.fetch import PatientSource
from raidfs.engine.health import Trust
from raidfs.engine.judgement import Gathered, Judgement
from raidfs.engine.rows import Judged, judge_rows, rows_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section
from raidfs.kernels.filled import kinds_of
from raidfs.kernels.fused_check import check_rows_nowait
from raidfs.kernels.syndrome import AGREES, UNCHECKABLE, UNCHECKED, check_rows
from raidfs.units import SECTOR

_PIECE = 128
"""Sectors of each member that are looked at together where some disagree."""


class ParityJudge:
    """Judges rows of RAID 4, 5 and 6 by P and Q."""

    def __init__(
        self, description: ArrayDescription, members: Sequence[Member], section: Section, *, check: bool
    ) -> None:
        """See `engine.judges.judges_of`."""
        self._members = members
        self._section = section
        self._check = check
        self._redundancy = trust_map([(description.unsynced, Trust.UNPROVEN)])
        self._flaws: tuple[Flaw, ...] = ()
        self._rows = rows_of(members, (), section)

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge rows; see `engine.judgement.Judge.judge`. Stripe bytes are component bytes here."""
        if flaws is not self._flaws:
            self._rows, self._flaws = rows_of(self._members, flaws, self._section), flaws
        low, high = self._rows.bounds
        found = Gathered()
        for judged in judge_rows(self._rows, sources, max(start, low), min(stop, high)):
            for source, extents in judged.unread:
                found.add_unread(source, extents)
            self._hear(judged, sources, found)
        return found.judgement(sources)

    def _hear(self, judged: Judged, sources: Sequence[PatientSource], found: Gathered) -> None:
        """Blame somebody wherever a batch of rows disagrees."""
        disagrees = (judged.verdict != AGREES) & (judged.verdict != UNCHECKED)
        for first in range(0, len(disagrees), _PIECE) if disagrees.any() else ():
            last = min(first + _PIECE, len(disagrees))
            if disagrees[first:last].any():
                self._hear_piece(judged, first, last, sources, found)

    def _hear_piece(
        self, judged: Judged, first: int, last: int, sources: Sequence[PatientSource], found: Gathered
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
                ranges = [(place + low * SECTOR, place + high * SECTOR)]
                found.add(lane[0], ranges, what.trust, REASONS[what], curable=what.is_curable)

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
