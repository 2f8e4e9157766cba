"""Does every stripe agree with its parity, or its copies with each other: a walk over all geometries, as values.

The table of a geometry decides how it is walked: rows of parity (`engine.rows`), copies (`engine.mirror_compare`), or
nothing that is held twice. Each stripe of parity gets the worst grade of its sectors; what disagrees is kept as runs:
neighbouring sectors of which the same member is wrong, or of which nobody can say which. Copies are counted by the
sector. A walk may be stopped after any batch and gone on with from its last value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member
from raidfs.block import BlockSource
from raidfs.engine.chart import redundancy_of
from raidfs.engine.damage import Flaw, TrustMap, trust_map
from raidfs.engine.grade import Grade
from raidfs.engine.health import Trust
from raidfs.engine.mirror_compare import MOST_DIFFERENCES, Compared, Difference, compare_mirrors
from raidfs.engine.mirrors import Mirrors, mirrors_of
from raidfs.engine.rows import Judged, Rows, judge_rows, rows_of
from raidfs.engine.worth_judging import in_copies, in_rows
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, sections_of
from raidfs.geometry.table import symbol_name
from raidfs.kernels.syndrome import AGREES, NOBODY, UNCHECKED, UNLOCATED
from raidfs.units import SECTOR

MOST_RUNS = 10_000
"""Runs that are kept; what comes after them is only counted."""


@dataclass(frozen=True)
class Run:
    """Neighbouring sectors that disagree in the same way.

    Attributes:
        section: index.
        start: [component bytes].
        stop: [component bytes].
        role: of the one member that is wrong, or -1: it cannot be located.
        proven: parity was proven there.
    """

    section: int
    start: int
    stop: int
    role: int
    proven: bool


@dataclass(frozen=True)
class Walked:
    """How far a walk came and what it found.

    Attributes:
        section: index of the section where it is; the number of sections when it is at its end.
        position: what is next [rows: component bytes; copies: symbol bytes]; -1: at the section's start.
        pending: worst grade so far of the stripe that is not done, or -1.
        counts: by section and grade [rows: stripes; copies: array bytes].
        reasons: (section, reason, how many of the same) of those that were not checked.
        runs: what disagrees with its parity; at most `MOST_RUNS`.
        n_runs: how many there are.
        unread: (source, start, stop) [image bytes]: what could not be read.
        differences: copies that differ; at most `MOST_DIFFERENCES`.
        n_differences: how many there are.
    """

    section: int = 0
    position: int = -1
    pending: int = -1
    counts: tuple[tuple[int, ...], ...] = ()
    reasons: tuple[tuple[int, str, int], ...] = ()
    runs: tuple[Run, ...] = ()
    n_runs: int = 0
    unread: tuple[tuple[int, int, int], ...] = ()
    differences: tuple[Difference, ...] = ()
    n_differences: int = 0

    def total(self, grade: Grade) -> int:
        """Return how much has that grade in all sections."""
        return sum(counts[grade] for counts in self.counts)


@dataclass(frozen=True)
class Plain:
    """A geometry in which nothing is held twice, so that there is nothing to compare."""

    section: Section


Walkable = Rows | Mirrors | Plain


def walkable_of(
    description: ArrayDescription, members: Sequence[Member], flaws: Sequence[Flaw]
) -> tuple[Walkable, ...]:
    """Return the geometries of an array, by section.

    Args:
        description: the array.
        members: the member of each source.
        flaws: everything known against the sources.
    """
    redundancy = redundancy_of(description)
    found: list[Walkable] = []
    for section in sections_of(description):
        table = section.zone.table
        if table.n_parity:
            found.append(rows_of(members, flaws, section))
        elif table.has_copies:
            found.append(mirrors_of(members, flaws, section, redundancy))
        else:
            found.append(Plain(section))
    return tuple(found)


def walk(
    geometries: Sequence[Walkable],
    description: ArrayDescription,
    flaws: Sequence[Flaw],
    sources: Sequence[BlockSource],
    walked: Walked = Walked(),
    hear: Callable[[Extents], None] = lambda _: None,
) -> Iterator[Walked]:
    """Judge every stripe, and compare all copies.

    Args:
        geometries: by section, see `walkable_of`.
        description: the array.
        flaws: everything known against the sources.
        sources: the members, by source.
        walked: where to go on.
        hear: is called with what of each batch a judge may have something to say about [array bytes].

    Yields:
        What was found so far, after each batch; the last one is the result.

    Raises:
        SourceError: a source is gone.
    """
    zeros = (0,) * len(Grade)
    redundancy = trust_map([(description.unsynced, Trust.UNPROVEN)])
    walked = replace(walked, counts=(*walked.counts, *([zeros] * (len(geometries) - len(walked.counts)))))
    for section in range(walked.section, len(geometries)):
        match geometries[section]:
            case Rows() as rows:
                start, stop = rows.bounds
                for judged in judge_rows(rows, sources, max(start, walked.position), stop, with_kinds=True):
                    walked = _add(walked, rows, judged, redundancy, flaws)
                    hear(in_rows(rows, judged))
                    yield walked
            case Mirrors() as mirrors:
                position = max(mirrors.bounds[0], walked.position)
                for compared in compare_mirrors(mirrors, sources, position):
                    walked = _add_compared(walked, compared)
                    if compared.n_differences or compared.unread:
                        hear(in_copies(mirrors, position, compared.stop))
                    position = compared.stop
                    yield walked
        walked = replace(walked, section=section + 1, position=-1, pending=-1)
        yield walked


def walked_bytes(geometries: Sequence[Walkable], walked: Walked | None = None) -> int:
    """Return how many member bytes a walk reads in all, or has read so far; absent members count too."""
    total = 0
    for number, geometry in enumerate(geometries):
        if isinstance(geometry, Plain):
            continue
        start, stop = geometry.bounds
        if walked is not None and number >= walked.section:
            stop = max(start, walked.position) if number == walked.section else start
        total += (stop - start) * (len(geometry.lanes) if isinstance(geometry, Rows) else geometry.n_cells)
    return total


def _add_compared(walked: Walked, compared: Compared) -> Walked:
    """Add a batch of copies."""
    at = walked.section
    counts = tuple(known + new for known, new in zip(walked.counts[at], compared.counts, strict=True))
    reasons = {(section, reason): n for section, reason, n in walked.reasons}
    for reason, n in compared.reasons:
        reasons[at, reason] = reasons.get((at, reason), 0) + n
    walked = replace(
        walked,
        position=compared.stop,
        counts=(*walked.counts[:at], counts, *walked.counts[at + 1 :]),
        reasons=tuple((section, reason, n) for (section, reason), n in reasons.items()),
        unread=(*walked.unread, *compared.unread),
    )
    found, n_found = compared.differences, compared.n_differences
    if not found:
        return walked
    known, n_known = walked.differences, walked.n_differences
    if known and n_known == len(known) and found[0].follows(known[-1]):
        found = (replace(known[-1], stop=found[0].stop), *found[1:])
        known, n_known = known[:-1], n_known - 1
    kept = (*known, *found[: MOST_DIFFERENCES - len(known)])
    return replace(walked, differences=kept, n_differences=n_known + n_found)


def _add(walked: Walked, rows: Rows, judged: Judged, redundancy: TrustMap, flaws: Sequence[Flaw]) -> Walked:
    """Add one batch."""
    verdict, section = judged.verdict, walked.section
    if walked.pending <= Grade.AGREES and (verdict == AGREES).all() and (judged.absent == NOBODY).all():
        return _all_agree(walked, rows, judged)
    height = judged.start + np.arange(len(verdict), dtype=np.int64) * SECTOR
    proven = redundancy.at(height) == Trust.SURE
    grade = np.where(proven, np.uint8(Grade.WRONG), np.uint8(Grade.STALE))
    grade[verdict == UNCHECKED] = Grade.UNCHECKED
    agrees = verdict == AGREES
    grade[agrees] = np.where(judged.absent[agrees] == NOBODY, np.uint8(Grade.AGREES), np.uint8(Grade.HALF))
    walked = _count(walked, rows, judged, grade, flaws)
    walked = replace(walked, section=section, position=judged.stop, unread=(*walked.unread, *_unread(judged)))
    if not (grade >= Grade.STALE).any():
        return walked
    found = [*_runs(section, judged, np.where(grade >= Grade.STALE, verdict, np.int16(AGREES)), proven)]
    return _with_runs(walked, found)


def _all_agree(walked: Walked, rows: Rows, judged: Judged) -> Walked:
    """Add a batch in which nothing is to be said of any sector: nearly all of them."""
    chunk, at = rows.zone.chunk_size, walked.section
    counts = list(walked.counts[at])
    counts[Grade.AGREES] += judged.stop // chunk - judged.start // chunk
    pending = int(Grade.AGREES) if judged.stop % chunk else -1
    new = (*walked.counts[:at], tuple(counts), *walked.counts[at + 1 :])
    return replace(walked, position=judged.stop, pending=pending, counts=new)


def _count(walked: Walked, rows: Rows, judged: Judged, grade: NDArray[np.uint8], flaws: Sequence[Flaw]) -> Walked:
    """Count the stripes that end in a batch; the last one may go on in the next."""
    chunk = rows.zone.chunk_size
    first = judged.start // chunk
    last = -(-judged.stop // chunk)
    cuts = (np.arange(first, last, dtype=np.int64) * chunk - judged.start).clip(min=0) // SECTOR
    worst = np.maximum.reduceat(grade, cuts).astype(np.int64)
    if judged.start % chunk:
        worst[0] = max(worst[0], walked.pending)
    is_cut = judged.stop % chunk != 0
    done = worst[:-1] if is_cut else worst
    number = walked.section
    counts = np.bincount(done, minlength=len(Grade)) + walked.counts[number]
    unchecked = np.flatnonzero(done == Grade.UNCHECKED)
    reasons = {(at, reason): n for at, reason, n in walked.reasons}
    for at, n_stripes in _alike(rows, judged, cuts, grade, unchecked):
        reason = rows.reason(flaws, judged.trust[:, at], judged.start + at * SECTOR, Trust.SURE)
        reason = reason or "too few members can be used in a part of them"  # a part that came in the batch before
        reasons[number, reason] = reasons.get((number, reason), 0) + n_stripes
    return replace(
        walked,
        pending=int(worst[-1]) if is_cut else -1,
        counts=(*walked.counts[:number], tuple(counts.tolist()), *walked.counts[number + 1 :]),
        reasons=tuple((at, reason, n) for (at, reason), n in reasons.items()),
    )


def _alike(
    rows: Rows, judged: Judged, cuts: NDArray[np.int64], grade: NDArray[np.uint8], stripes: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield (sector, number of stripes) for stripes that were not checked for the same reasons.

    Args:
        rows: the geometry.
        judged: the batch.
        cuts: int64 (k,): the sector at which each stripe of the batch begins.
        grade: uint8 (n,), by sector.
        stripes: int64 (m,): those that were not checked.
    """
    if not len(stripes):
        return
    sectors = np.flatnonzero(grade == Grade.UNCHECKED)
    at = sectors[np.minimum(np.searchsorted(sectors, cuts[stripes]), len(sectors) - 1)]
    height = judged.start + at * SECTOR
    span = np.sum([np.searchsorted(each.start, height, side="right") for each in rows.trust], axis=0)
    keys = np.concatenate((span[None, :], judged.trust[:, at].astype(np.int64)))
    _, first, counts = np.unique(keys, axis=1, return_index=True, return_counts=True)
    yield from zip(at[first].tolist(), counts.tolist(), strict=True)


def _unread(judged: Judged) -> Iterator[tuple[int, int, int]]:
    for source, extents in judged.unread:
        yield from ((source, start, stop) for start, stop in extents)


def _runs(section: int, judged: Judged, verdict: NDArray[np.int16], proven: NDArray[np.bool_]) -> Iterator[Run]:
    """Yield the runs of a batch; `verdict` is AGREES where nothing disagrees."""
    changes = (verdict[1:] != verdict[:-1]) | (proven[1:] != proven[:-1])
    cuts = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(verdict)]))
    for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        if verdict[low] != AGREES:
            role = -1 if verdict[low] == UNLOCATED else int(verdict[low])
            start, stop = judged.start + low * SECTOR, judged.start + high * SECTOR
            yield Run(section, start, stop, role, bool(proven[low]))


def _with_runs(walked: Walked, found: list[Run]) -> Walked:
    """Add runs, joining the first one to the last of the batch before where they are alike."""
    runs, n_runs = walked.runs, walked.n_runs
    if runs and n_runs == len(runs):
        last, first = runs[-1], found[0]
        if replace(last, start=first.start, stop=first.stop) == first and last.stop == first.start:
            runs, found, n_runs = runs[:-1], [replace(first, start=last.start), *found[1:]], n_runs - 1
    return replace(walked, runs=(*runs, *found[: MOST_RUNS - len(runs)]), n_runs=n_runs + len(found))


@dataclass(frozen=True)
class Mismatch:
    """A run in the words of its users.

    Attributes:
        side: name of the geometry.
        stripe_number: of its first stripe, in that geometry.
        array_start: where the stripes begin that it touches [array bytes].
        array_stop: where they end [array bytes].
        start: [component bytes].
        length: [bytes] on each member.
        role: of the one member that is wrong; None: it cannot be located.
        symbol: what that member holds there at first: `D0`, `P`, `Q`; None: as above.
        source: index of that member, or None.
        image_offset: where it is wrong [image bytes], or None.
        proven: parity was proven there, so that something is wrong besides it.
    """

    side: str
    stripe_number: int
    array_start: int
    array_stop: int
    start: int
    length: int
    role: int | None
    symbol: str | None
    source: int | None
    image_offset: int | None
    proven: bool


def mismatch_of(run: Run, geometries: Sequence[Walkable]) -> Mismatch:
    """Say where a run lies."""
    rows = geometries[run.section]
    assert isinstance(rows, Rows), "only rows have runs"
    zone, table = rows.zone, rows.zone.table
    first, last = run.start // zone.chunk_size, -(-run.stop // zone.chunk_size)
    lane = rows.lanes[run.role] if run.role >= 0 else None
    symbol = None
    if run.role >= 0:
        column = np.flatnonzero(table.role[first % table.period] == run.role)[0]
        symbol = symbol_name(int(table.symbol[first % table.period, column]), table.n_data)
    return Mismatch(
        side=rows.section.side.value,
        stripe_number=first,
        array_start=zone.array_start + first * zone.stripe_size,
        array_stop=zone.array_start + last * zone.stripe_size,
        start=run.start,
        length=run.stop - run.start,
        role=run.role if run.role >= 0 else None,
        symbol=symbol,
        source=None if lane is None else lane[0],
        image_offset=None if lane is None else lane[1] + run.start,
        proven=run.proven,
    )
