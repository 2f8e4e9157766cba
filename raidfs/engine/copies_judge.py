"""What the copies of a stretch of stripes say against each other, as flaws.

copies -> where they differ (`engine.mirror_compare`) -> what is there (`kernels.filled`), and around, where that
matters (`engine.copy_runs`) -> `engine.copies_blame` -> flaws
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.blame import REASONS as BY_PARITY
from raidfs.engine.chart import redundancy_of
from raidfs.engine.codewords import NOBODY
from raidfs.engine.copies_blame import REASONS, Testimony, blame_copies
from raidfs.engine.copy_runs import lane_kinds, runs_around
from raidfs.engine.damage import Flaw
from raidfs.engine.fault import Fault
from raidfs.engine.fetch import PatientSource
from raidfs.engine.judgement import Gathered, Judgement
from raidfs.engine.mirror_compare import Seen, look
from raidfs.engine.mirror_reads import Asked, read_windows
from raidfs.engine.mirrors import Mirrors, mirrors_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section
from raidfs.units import SECTOR


class CopiesJudge:
    """Judges stripes of RAID1 and RAID10 by comparing their copies, replacements of members among them."""

    def __init__(
        self,
        description: ArrayDescription,
        members: Sequence[Member],
        section: Section,
        gone: Sequence[Flaw],
        *,
        check: bool,
    ) -> None:
        """See `engine.judges.judges_of`; `gone`: what else than the known flaws there is against copies."""
        self._members = members
        self._section = section
        self._gone = tuple(gone)
        self._check = check
        self._redundancy = redundancy_of(description)
        self._flaws: tuple[Flaw, ...] = ()
        self._mirrors: Mirrors | None = None
        self._around: Mirrors | None = None

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge stripes; see `engine.judgement.Judge.judge`."""
        if self._mirrors is None or flaws is not self._flaws:
            known = (*flaws, *self._gone)
            self._mirrors = mirrors_of(self._members, known, self._section, self._redundancy)
            self._look_around(known)
            self._flaws = flaws
        found = Gathered()
        for mirrors, low, high in _cut(self._mirrors, start, stop):
            for asked in read_windows(mirrors, sources, low, high):
                looked = look(mirrors, asked)
                _add_unread(looked.unread, found)
                symbols = enumerate(looked.symbols)
                heard = [self._hear(mirrors, asked, symbol, seen) for symbol, seen in symbols if len(seen.differs)]
                for each in self._with_runs(heard, sources, found):
                    self._blame(mirrors, each, found)
        return found.judgement(sources)

    def _look_around(self, flaws: Sequence[Flaw]) -> None:
        """Look at runs as if nothing was judged yet: so it does not matter what was judged first."""
        plain = tuple(flaw for flaw in flaws if flaw.reason not in _JUDGED)
        if self._around is None or plain != self._around.flaws:
            self._around = mirrors_of(self._members, plain, self._section, self._redundancy)

    def _hear(self, mirrors: Mirrors, asked: Asked, symbol: int, seen: Seen) -> _Heard:
        """Gather what is known wherever the copies of a symbol differ in a batch, but for runs."""
        sectors = seen.differs
        sources = [mirrors.codewords.lanes[lane].source for lane in mirrors.lanes[symbol]]
        content = seen.content[:, sectors]
        testimony = Testimony(
            content=content,
            kinds=_kinds(mirrors, asked, symbol, seen, sectors),
            late=np.array([each != NOBODY and self._members[each].write_mostly for each in sources]),
            proven=seen.proven[sectors],
            convincing=np.zeros(content.shape, dtype=np.bool_),
            opposed=np.zeros(content.shape, dtype=np.bool_),
        )
        return _Heard(symbol, asked.window.start + sectors * SECTOR, testimony)

    def _with_runs(
        self, heard: Sequence[_Heard], sources: Sequence[PatientSource], found: Gathered
    ) -> Iterator[_Heard]:
        """Yield what was heard of the symbols of a batch, and what runs say where anything hangs on them."""
        hanging = [each.position[each.testimony.hangs_on_runs] for each in heard]
        positions = np.concatenate([np.zeros(0, dtype=np.int64), *hanging])
        if not len(positions):
            yield from heard
            return
        assert self._around is not None, "it is made before anything is read"
        runs = runs_around(self._around, sources, int(positions.min()), int(positions.max()) + SECTOR)
        _add_unread(runs.unread, found)
        for each, mine in zip(heard, hanging, strict=True):
            convincing, opposed = np.zeros((2, *each.testimony.kinds.shape), dtype=np.bool_)
            hangs = each.testimony.hangs_on_runs
            convincing[:, hangs], opposed[:, hangs] = runs.at(self._around.lanes[each.symbol], mine)
            yield replace(each, testimony=replace(each.testimony, convincing=convincing, opposed=opposed))

    def _blame(self, mirrors: Mirrors, heard: _Heard, found: Gathered) -> None:
        """Blame somebody wherever the copies of a symbol differ."""
        number, rest = np.divmod(heard.position, mirrors.codewords.symbol_size)
        faults = blame_copies(heard.testimony, check=self._check)
        for lane, fault in zip(mirrors.lanes[heard.symbol], faults, strict=True):
            own = mirrors.codewords.lanes[lane]
            place = own.image_origin + number * own.step + rest
            for what in map(Fault, np.unique(fault[fault != Fault.NOTHING]).tolist()):
                here = place[fault == what]
                extents = Extents(np.stack((here, here + SECTOR), axis=1))
                found.add(own.source, extents, what.trust, REASONS[what], curable=what.is_curable)


@dataclass(frozen=True, eq=False)
class _Heard:
    """Sectors of one symbol whose copies differ.

    Attributes:
        symbol: which.
        position: int64 (n,) [symbol bytes].
        testimony: what is known of them.
    """

    symbol: int
    position: NDArray[np.int64]
    testimony: Testimony


_JUDGED = frozenset((*REASONS.values(), *BY_PARITY.values()))
"""Reasons of what was found by comparing, be it with parity."""


def _add_unread(unread: Sequence[tuple[int, int, int]], found: Gathered) -> None:
    for source, begin, end in unread:
        found.add_unread(source, Extents.span(begin, end))


def _cut(mirrors: Mirrors, start: int, stop: int) -> Iterator[tuple[Mirrors, int, int]]:
    """Cut [start, stop) [stripe bytes] into whole stripes and slices of one.

    A codeword may consist of several stripes, each with symbols of its own, at the same symbol bytes.

    Yields:
        Copies of nothing but these stripes, and where they lie [symbol bytes].
    """
    section, zone = mirrors.section, mirrors.section.zone
    chunk, n_stripes = zone.chunk_size, mirrors.codewords.n_symbols // zone.table.n_data
    while start < stop:
        first, low = divmod(start, chunk)
        last = stop // chunk if low == 0 else first
        last, high = (last, chunk) if last > first else (first + 1, min(chunk, stop - first * chunk))
        stripes = replace(
            section,
            array_start=max(section.array_start, zone.array_start + first * zone.stripe_size),
            array_stop=min(section.array_stop, zone.array_start + last * zone.stripe_size),
        )
        if stripes.array_start < stripes.array_stop:
            place = first // n_stripes * chunk + low, (last - 1) // n_stripes * chunk + high
            yield replace(mirrors, section=stripes), *place
        start = (last - 1) * chunk + high


def _kinds(mirrors: Mirrors, asked: Asked, symbol: int, seen: Seen, sectors: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Look at what the copies hold in some sectors; uint8 (lanes, sectors), 0 where nothing was read."""
    per_codeword = asked.window.height // SECTOR
    kinds = np.zeros((len(mirrors.lanes[symbol]), len(sectors)), dtype=np.uint8)
    codewords, inverse = np.unique(sectors // per_codeword, return_inverse=True)
    for number, lane in enumerate(mirrors.lanes[symbol]):
        if seen.usable[number, sectors].any():
            kinds[number] = lane_kinds(mirrors, asked, lane, codewords)[inverse, sectors % per_codeword]
    return kinds
