"""What the copies of a stretch of stripes say against each other, as flaws.

copies -> where they differ (`engine.mirror_compare`) -> what is there (`kernels.filled`) -> `engine.copies_blame` ->
flaws
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.engine.chart import redundancy_of
from raidfs.engine.codewords import NOBODY
from raidfs.engine.copies_blame import REASONS, Testimony, blame_copies
from raidfs.engine.damage import Flaw
from raidfs.engine.fault import Fault
from raidfs.engine.fetch import PatientSource
from raidfs.engine.judgement import Gathered, Judgement
from raidfs.engine.mirror_compare import Seen, look
from raidfs.engine.mirror_reads import Asked, read_windows, view_of
from raidfs.engine.mirrors import Mirrors, mirrors_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section
from raidfs.kernels.filled import kinds_of
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

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge stripes; see `engine.judgement.Judge.judge`."""
        if self._mirrors is None or flaws is not self._flaws:
            known = (*flaws, *self._gone)
            self._mirrors = mirrors_of(self._members, known, self._section, self._redundancy)
            self._flaws = flaws
        found = Gathered()
        for mirrors, low, high in _cut(self._mirrors, start, stop):
            for asked in read_windows(mirrors, sources, low, high):
                looked = look(mirrors, asked)
                for source, begin, end in looked.unread:
                    found.add_unread(source, Extents.span(begin, end))
                for symbol, seen in enumerate(looked.symbols):
                    self._hear(mirrors, asked, symbol, seen, found)
        return found.judgement(sources)

    def _hear(self, mirrors: Mirrors, asked: Asked, symbol: int, seen: Seen, found: Gathered) -> None:
        """Blame somebody wherever the copies of a symbol differ in a batch."""
        sectors = seen.differs
        if not len(sectors):
            return
        sources = [mirrors.codewords.lanes[lane].source for lane in mirrors.lanes[symbol]]
        heard = Testimony(
            content=seen.content[:, sectors],
            kinds=_kinds(mirrors, asked, symbol, seen, sectors),
            late=np.array([each != NOBODY and self._members[each].write_mostly for each in sources]),
            proven=seen.proven[sectors],
        )
        number, rest = np.divmod(asked.window.start + sectors * SECTOR, mirrors.codewords.symbol_size)
        for lane, fault in zip(mirrors.lanes[symbol], blame_copies(heard, check=self._check), strict=True):
            own = mirrors.codewords.lanes[lane]
            place = own.image_origin + number * own.step + rest
            for what in map(Fault, np.unique(fault[fault != Fault.NOTHING]).tolist()):
                here = place[fault == what]
                extents = Extents(np.stack((here, here + SECTOR), axis=1))
                found.add(own.source, extents, what.trust, REASONS[what], curable=what.is_curable)


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
    n_codewords, per_codeword = asked.window.n_codewords, asked.window.height // SECTOR
    kinds = np.zeros((len(mirrors.lanes[symbol]), len(sectors)), dtype=np.uint8)
    codewords, inverse = np.unique(sectors // per_codeword, return_inverse=True)
    for number, lane in enumerate(mirrors.lanes[symbol]):
        if seen.usable[number, sectors].any():
            view = view_of(mirrors, asked.window, lane, asked.room, 1).reshape(n_codewords, -1)
            held = np.zeros((len(codewords), per_codeword), dtype=np.uint8)
            for codeword, row in zip(codewords.tolist(), held, strict=True):
                offset = mirrors.image_offset(lane, asked.window.start + codeword * per_codeword * SECTOR)
                kinds_of(np.ascontiguousarray(view[codeword]), offset, row)
            kinds[number] = held[inverse, sectors % per_codeword]
    return kinds
