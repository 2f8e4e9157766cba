"""What the parity of a stretch of rows says against the members, as flaws.

rows -> verdicts, and what is there (`engine.rows`) -> the rows around, as far as filled runs reach -> `engine.blame` ->
flaws
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.blame import REASONS, Hearing, blame
from raidfs.engine.damage import Flaw, trust_map
from raidfs.engine.fault import runs_of
from raidfs.engine.fetch import PatientSource
from raidfs.engine.filled_runs import Reach
from raidfs.engine.health import Trust
from raidfs.engine.judgement import Gathered, Judgement
from raidfs.engine.rows import Judged, Rows, judge_rows, rows_of
from raidfs.engine.tails import PieceSigns, Tails, find_tails, signs_of
from raidfs.geometry.reshape import Section
from raidfs.kernels.filled import DATA, ZEROS, kinds_of
from raidfs.kernels.fused_check import check_rows_nowait
from raidfs.kernels.syndrome import AGREES, UNCHECKABLE, UNCHECKED, check_rows
from raidfs.units import SECTOR

_PIECE = 128
"""Sectors of each member in which rows speak for each other."""
_FAR = 2 << 20
"""Bytes of each member, before and behind such a piece, in which filled runs are followed; or `_FAR_CHUNKS`."""
_FAR_CHUNKS = 2
_MOST_KNOWN = 256
"""Pieces around judged rows that are remembered."""


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
        self._around = _Around(self._rows)

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge rows; see `engine.judgement.Judge.judge`. Stripe bytes are component bytes here."""
        if flaws is not self._flaws:
            self._rows, self._flaws = rows_of(self._members, flaws, self._section), flaws
            self._look_around(flaws)
        low, high = self._rows.bounds
        start, stop = max(start, low), min(stop, high)
        found = Gathered()
        judged = list(judge_rows(self._rows, sources, start, stop, with_kinds=True)) if start < stop else []
        if judged and is_worth_a_hearing(judged):
            judged = self._around.before(judged, sources) + judged + self._around.behind(judged, sources)
            self._hear(judged, sources, (start, stop), found)
        for each in judged:
            for source, extents in each.unread:
                found.add_unread(source, extents)
        return found.judgement(sources)

    def _look_around(self, flaws: Sequence[Flaw]) -> None:
        """Look at the rows around as if nothing was judged yet: so it does not matter what was judged first."""
        plain = tuple(flaw for flaw in flaws if flaw.reason not in _JUDGED)
        if plain != self._around.flaws:
            self._around = _Around(rows_of(self._members, plain, self._section), plain)

    def _hear(
        self, judged: Sequence[Judged], sources: Sequence[PatientSource], window: tuple[int, int], found: Gathered
    ) -> None:
        """Blame somebody wherever rows of a window [component bytes] disagree, or agree for no good reason."""
        start, stop = window
        heard = self._hearing(judged)
        first = judged[0].start
        own = slice((start - first) // SECTOR, (stop - first) // SECTOR)
        fault = np.zeros(heard.kinds.shape, dtype=np.uint8)
        if heard.disagrees.any():
            fault = blame(heard, check=self._check)
        if self._around.may_end(heard, own):
            tails = self._around.tails(sources, self._hearing)
            if tails is not None:
                tails.doubt(heard, fault)
        fault = fault[:, own]
        for role in np.flatnonzero(fault.any(axis=1)).tolist():
            lane = self._rows.lanes[role]
            assert lane is not None, "who took part has a source"
            for what, begin, end in runs_of(fault[role]):
                place = lane[1] + start
                ranges = [(place + begin * SECTOR, place + end * SECTOR)]
                found.add(lane[0], ranges, what.trust, REASONS[what], curable=what.is_curable)

    def _hearing(self, judged: Sequence[Judged]) -> Hearing:
        """Put together what is known of rows next to each other."""
        low, high = self._rows.bounds
        verdict = np.concatenate([each.verdict for each in judged])
        height = judged[0].start + np.arange(len(verdict), dtype=np.int64) * SECTOR
        absent = np.concatenate([each.absent for each in judged])
        return Hearing(
            verdict=verdict,
            absent=absent,
            usable=np.concatenate([each.trust == Trust.SURE for each in judged], axis=1) & (absent != UNCHECKABLE),
            kinds=np.concatenate([each.kinds for each in judged], axis=1),
            parity=self._rows.parity[height // self._rows.zone.chunk_size % len(self._rows.parity)],
            proven=self._redundancy.at(height) == Trust.SURE,
            reach=Reach(
                (height - low) // (_PIECE * SECTOR),
                self._around.n_pieces,
                judged[0].start == low,
                judged[-1].stop == high,
            ),
        )


_JUDGED = frozenset(REASONS.values())


def _filled(judged: Judged) -> NDArray[np.bool_]:
    """Tell what took part and looks filled; bool (raid_disks, n)."""
    filled: NDArray[np.bool_] = (judged.trust == Trust.SURE) & (judged.absent != UNCHECKABLE) & (judged.kinds != DATA)
    return filled


def is_worth_a_hearing(judged: Sequence[Judged]) -> bool:
    """Tell whether anything disagrees, or two members are filled in a row that agrees."""
    if any(((each.verdict != AGREES) & (each.verdict != UNCHECKED)).any() for each in judged):
        return True
    return any((_filled(each).sum(axis=0) > 1).any() for each in judged)


class _Around:
    """The rows around those that are judged, as far as filled runs reach into them.

    Attributes:
        flaws: what is known against the sources, but for what was judged.
        n_pieces: how far is looked, at most.
    """

    def __init__(self, rows: Rows, flaws: tuple[Flaw, ...] = ()) -> None:
        self._rows = rows
        self.flaws = flaws
        self.n_pieces = -(-max(_FAR, _FAR_CHUNKS * rows.zone.chunk_size) // (_PIECE * SECTOR))
        self._known: dict[int, Judged] = {}
        self._tails: Tails | None = None

    def before(self, judged: Sequence[Judged], sources: Sequence[PatientSource]) -> list[Judged]:
        """Return the rows before some, ascending; none, or one piece at least, and more as long as a run goes on."""
        found: list[Judged] = []
        reaches, start = _filled(judged[0])[:, 0], judged[0].start
        for _ in range(self.n_pieces):
            if start <= self._rows.bounds[0] or not reaches.any():
                break
            piece = self._piece(start - 1, sources)
            reaches, start = reaches & _filled(piece).all(axis=1), piece.start
            found.insert(0, piece)
        return found

    def behind(self, judged: Sequence[Judged], sources: Sequence[PatientSource]) -> list[Judged]:
        """Return the rows behind some, likewise."""
        found: list[Judged] = []
        reaches, stop = _filled(judged[-1])[:, -1], judged[-1].stop
        for _ in range(self.n_pieces):
            if stop >= self._rows.bounds[1] or not reaches.any():
                break
            piece = self._piece(stop, sources)
            reaches, stop = reaches & _filled(piece).all(axis=1), piece.stop
            found.append(piece)
        return found

    @staticmethod
    def may_end(heard: Hearing, own: slice) -> bool:
        """Tell whether any of some rows agrees, and more members are zeros there than the equations can tell."""
        zeros = (heard.usable & (heard.kinds == ZEROS))[:, own].sum(axis=0)
        return bool(((heard.verdict == AGREES)[own] & (zeros > heard.n_equations[own])).any())

    def tails(self, sources: Sequence[PatientSource], hear: Callable[[Sequence[Judged]], Hearing]) -> Tails | None:
        """Return what the ends of the members tell; None: some did not answer."""
        if self._tails is not None:
            return self._tails
        low, high = self._rows.bounds
        size, is_whole = _PIECE * SECTOR, True

        def look(number: int) -> PieceSigns:
            nonlocal is_whole
            piece = self._piece(low + number * size, sources)
            is_whole = is_whole and not piece.unread
            return signs_of(hear([piece]))

        found = find_tails(look, -(-(high - low) // size))
        if not is_whole:
            return None
        self._tails = found
        return found

    def _piece(self, component: int, sources: Sequence[PatientSource]) -> Judged:
        """Return the piece that a component byte lies in."""
        low, high = self._rows.bounds
        number = (component - low) // (_PIECE * SECTOR)
        piece = self._known.get(number)
        if piece is None:
            start = low + number * _PIECE * SECTOR
            stop = min(start + _PIECE * SECTOR, high)
            (piece,) = judge_rows(self._rows, sources, start, stop, with_kinds=True)
            if not piece.unread:
                self._known[number] = piece
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return piece


def warm_up() -> None:
    """Compile the kernels that judge, or load them from their cache."""
    room, absent = np.zeros((1, SECTOR), dtype=np.uint8), np.array([UNCHECKABLE], dtype=np.int16)
    steps, parity = np.zeros((1, 1), dtype=np.int16), np.zeros((1, 2), dtype=np.int16)
    verdict = np.zeros(1, dtype=np.int16)
    check_rows(room, absent, steps, parity, 0, 1, verdict)
    places, kinds = np.array([[-1, 0]], dtype=np.int64), np.zeros((1, 1), dtype=np.uint8)
    check_rows_nowait(places, room, absent, steps, parity, 0, 1, verdict, places[:, 1].copy(), kinds)
    kinds_of(room[0], 0, kinds[0])
