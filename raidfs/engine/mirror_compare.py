"""Copies that are compared sector by sector, with no regard to what they hold; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests
from raidfs.engine.codewords import NOBODY
from raidfs.engine.damage import UNREADABLE
from raidfs.engine.grade import Grade
from raidfs.engine.health import Trust
from raidfs.engine.mirror_reads import Asked, Window, read_windows, view_of
from raidfs.engine.mirrors import Mirrors
from raidfs.extents import Extents
from raidfs.units import SECTOR

MOST_DIFFERENCES = 10_000
"""Differences that a batch or a walk keeps; what comes after them is only counted."""


@dataclass(frozen=True)
class Difference:
    """Array bytes whose copies differ, all in the same way.

    Attributes:
        start: [array bytes].
        stop: [array bytes].
        copies: (source, image offset of the first byte, content) of each copy that was read, the preferred first;
            those with the same content are equal.
        proven: the copies were proven to agree once.
    """

    start: int
    stop: int
    copies: tuple[tuple[int, int, int], ...]
    proven: bool

    def follows(self, other: Difference) -> bool:
        """Tell whether this goes on where another one ends, on the same members in the same way."""
        length = other.stop - other.start
        moved = tuple((source, offset + length, content) for source, offset, content in other.copies)
        return (self.start, self.copies, self.proven) == (other.stop, moved, other.proven)


@dataclass(frozen=True)
class Compared:
    """A batch.

    Attributes:
        stop: where it ends [symbol bytes].
        counts: array bytes by grade.
        reasons: (reason, array bytes) of what was not checked.
        differences: ascending, at most `MOST_DIFFERENCES`.
        n_differences: how many there are.
        unread: (source, start, stop) [image bytes] that could not be read though they were trusted.
    """

    stop: int
    counts: tuple[int, ...]
    reasons: tuple[tuple[str, int], ...]
    differences: tuple[Difference, ...]
    n_differences: int
    unread: tuple[tuple[int, int, int], ...]


def compare_mirrors(mirrors: Mirrors, sources: Sequence[BlockSource], start: int) -> Iterator[Compared]:
    """Read and compare all copies from a position on, ascending, batch by batch.

    Args:
        mirrors: the geometry.
        sources: the members, by source.
        start: [symbol bytes], where a batch ended, or the first of `Mirrors.bounds`.

    Raises:
        SourceError: a source is gone.
    """
    for asked in read_windows(mirrors, sources, start, mirrors.bounds[1]):
        yield _compare(mirrors, asked)


def _compare(mirrors: Mirrors, asked: Asked) -> Compared:
    """Say what a batch holds."""
    window, looked = asked.window, look(mirrors, asked)
    counts = np.zeros(len(Grade), dtype=np.int64)
    reasons: dict[str, int] = {}
    found: list[Difference] = []
    n_found = 0
    for symbol, seen in enumerate(looked.symbols):
        weight = (window.stop - window.start) // len(seen.grade)
        counts += np.bincount(seen.grade[seen.inside], minlength=len(Grade)) * weight
        for reason, n in _reasons(mirrors, window, symbol, seen):
            reasons[reason] = reasons.get(reason, 0) + n * weight
        if len(seen.differs):
            starts = _starts(window, seen, seen.differs)
            n_found += len(starts)
            found += _differences(mirrors, window, symbol, seen, seen.differs, starts)
    kept = tuple(sorted(found, key=lambda each: each.start)[:MOST_DIFFERENCES])
    return Compared(window.stop, tuple(counts.tolist()), tuple(reasons.items()), kept, n_found, looked.unread)


def _unread(source: int, requests: Requests, gone: Extents) -> Iterator[tuple[int, int, int]]:
    """Yield (source, start, stop) [image bytes] of what was asked for and is gone [room bytes]."""
    for offset, length, position in requests.tolist() if gone else ():
        for low, high in gone.clip(position, position + length).shift(offset - position):
            yield source, low, high


@dataclass(frozen=True, eq=False)
class Seen:
    """What is found of one symbol in a window, by sector; or one value for all sectors.

    Attributes:
        grade: uint8 (w,).
        inside: bool (w,): it belongs to the section.
        usable: bool (lanes, w): it was read, or would have been.
        content: int16 (lanes, w): copies with the same number are equal; -1: not read.
        proven: bool (w,).
    """

    grade: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    content: NDArray[np.int16]
    proven: NDArray[np.bool_]

    @property
    def differs(self) -> NDArray[np.int64]:
        """The sectors in which some copies differ; int64 (k,). If there are any, the rest is told by sector."""
        return np.flatnonzero(self.inside & (self.grade >= Grade.STALE))


@dataclass(frozen=True, eq=False)
class Looked:
    """What is found in a batch.

    Attributes:
        symbols: by symbol.
        unread: (source, start, stop) [image bytes] that could not be read though they were trusted.
    """

    symbols: tuple[Seen, ...]
    unread: tuple[tuple[int, int, int], ...]


def look(mirrors: Mirrors, asked: Asked) -> Looked:
    """Wait for the reads of a batch and compare what they brought."""
    lost = np.zeros(0, dtype=np.bool_)
    unread: list[tuple[int, int, int]] = []
    for source, requests, future in asked.reads:
        gone = future.result()
        if gone and not len(lost):
            lost = np.zeros(-(-len(asked.room) // SECTOR), dtype=np.bool_)
        for low, high in gone:
            lost[low // SECTOR : -(-high // SECTOR)] = True
        unread += _unread(source, requests, gone)
    return Looked(tuple(_look(mirrors, asked, symbol, lost) for symbol in range(len(mirrors.lanes))), tuple(unread))


def _look(mirrors: Mirrors, asked: Asked, symbol: int, lost: NDArray[np.bool_]) -> Seen:
    """Grade one symbol; `lost`: bool (room sectors,), or empty: nothing."""
    window, lanes = asked.window, list(mirrors.lanes[symbol])
    usable = asked.trust[lanes] <= Trust.SURE
    if len(lost):
        usable = np.broadcast_to(usable, (len(lanes), window.n_sectors)).copy()
        for number, lane in enumerate(lanes):
            if mirrors.codewords.lanes[lane].source != NOBODY:
                usable[number] &= ~view_of(mirrors, window, lane, lost, SECTOR).reshape(-1)
    conditions = [len(mirrors.codewords.lanes) + condition for condition in mirrors.conditions[symbol]]
    proven = (asked.trust[conditions] <= Trust.SURE).all(axis=0)
    enough = usable.sum(axis=0) > 1
    grade = np.where(enough, np.where(_is_whole(mirrors, lanes, usable), Grade.AGREES, Grade.HALF), Grade.UNCHECKED)
    content = np.where(usable, np.int16(0), np.int16(-1))
    inside = asked.inside[symbol]
    differs = _differing(mirrors, asked, symbol, usable) if window.is_read else np.zeros(0, dtype=np.int64)
    if len(differs) or len(inside) > 1:
        n = window.n_sectors
        grade, inside, proven = (np.broadcast_to(each, (n,)).copy() for each in (grade, inside, proven))
        usable, content = (np.broadcast_to(each, (len(lanes), n)).copy() for each in (usable, content))
        grade[differs] = np.where(proven[differs], Grade.WRONG, Grade.STALE)
        content[:, differs] = _contents(mirrors, asked, lanes, usable, differs)
    w = max(len(grade), len(inside))
    grade, inside, proven = (np.broadcast_to(each, (w,)) for each in (grade, inside, proven))
    return Seen(grade.astype(np.uint8), inside, usable, content, proven)


def _is_whole(mirrors: Mirrors, lanes: Sequence[int], usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell where every cell has a lane that can be used; bool (w,)."""
    cells: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for lane, here in zip(lanes, usable, strict=True):
        cell = (mirrors.codewords.lanes[lane].role, mirrors.codewords.lanes[lane].component_origin)
        cells[cell] = cells.get(cell, np.zeros_like(here)) | here
    whole: NDArray[np.bool_] = np.logical_and.reduce(list(cells.values()))
    return whole


def _differing(mirrors: Mirrors, asked: Asked, symbol: int, usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the sectors in which some copy differs from the first that was read; int64 (k,)."""
    window, lanes = asked.window, mirrors.lanes[symbol]
    first = np.argmax(usable, axis=0)
    differs = np.zeros(window.n_sectors, dtype=np.bool_)
    for number in np.unique(first).tolist():
        for other in range(number + 1, len(lanes)):
            here = usable[number] & usable[other] & (first == number) & asked.inside[symbol]
            if here.any():
                one, two = (view_of(mirrors, window, lanes[each], asked.room, 1) for each in (number, other))
                found = _unequal(one, two)
                differs[found] |= np.broadcast_to(here, differs.shape)[found]
    return np.flatnonzero(differs)


def _unequal(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sectors in which two copies differ, counted over all their codewords; int64 (k,)."""
    differs = one.view(np.uint64) != other.view(np.uint64)
    if not differs.any():
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(differs.reshape(-1, SECTOR // 8).any(axis=1))


def _contents(
    mirrors: Mirrors, asked: Asked, lanes: Sequence[int], usable: NDArray[np.bool_], sectors: NDArray[np.int64]
) -> NDArray[np.int16]:
    """Number the different contents of sectors; int16 (lanes, sectors), see `Seen.content`."""
    per_codeword = asked.window.height // SECTOR
    content = np.full((len(lanes), len(sectors)), -1, dtype=np.int16)
    n_known = np.zeros(len(sectors), dtype=np.int16)
    held: list[NDArray[np.uint8]] = []
    for number, lane in enumerate(lanes):
        mine = usable[number, sectors]
        if not mine.any():
            held.append(np.zeros((0, SECTOR), dtype=np.uint8))
            continue
        view = view_of(mirrors, asked.window, lane, asked.room, 1).reshape(asked.window.n_codewords, -1, SECTOR)
        held.append(view[np.divmod(sectors, per_codeword)])
        for other in (each for each in range(number) if len(held[each])):
            open_yet = mine & (content[other] >= 0) & (content[number] < 0)
            same = open_yet & (held[number] == held[other]).all(axis=1)
            content[number, same] = content[other, same]
        new = mine & (content[number] < 0)
        content[number, new] = n_known[new]
        n_known += new
    return content


def _starts(window: Window, seen: Seen, sectors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indexes, among sectors that differ, at which they begin to differ in another way; int64 (k,)."""
    here, before = sectors[1:], sectors[:-1]
    changes = (here != before + 1) | (here % (window.height // SECTOR) == 0)
    changes |= (seen.content[:, here] != seen.content[:, before]).any(axis=0) | (
        seen.proven[here] != seen.proven[before]
    )
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _differences(
    mirrors: Mirrors, window: Window, symbol: int, seen: Seen, sectors: NDArray[np.int64], starts: NDArray[np.int64]
) -> Iterator[Difference]:
    """Yield the first differences of one symbol; see `_starts`."""
    lasts = np.append(starts[1:], len(sectors)) - 1
    for low, last in zip(sectors[starts][:MOST_DIFFERENCES].tolist(), sectors[lasts].tolist(), strict=False):
        position = window.start + low * SECTOR
        start = mirrors.array_offset(symbol, position)
        copies = tuple(
            (mirrors.codewords.lanes[lane].source, mirrors.image_offset(lane, position), content)
            for lane, content in zip(mirrors.lanes[symbol], seen.content[:, low].tolist(), strict=True)
            if content >= 0
        )
        yield Difference(start, start + (last + 1 - low) * SECTOR, copies, bool(seen.proven[low]))


def _reasons(mirrors: Mirrors, window: Window, symbol: int, seen: Seen) -> Iterator[tuple[str, int]]:
    """Yield (reason, how many elements of `seen`) of what was not checked."""
    unchecked = np.flatnonzero(seen.inside & (seen.grade == Grade.UNCHECKED))
    if not len(unchecked):
        return
    position = window.start + unchecked * SECTOR
    span = np.searchsorted(mirrors.span_start, position + SECTOR - 1, side="right")
    usable = np.broadcast_to(seen.usable, (len(seen.usable), len(seen.grade)))[:, unchecked]
    _, first, counts = np.unique(np.concatenate((span[None, :], usable)), axis=1, return_index=True, return_counts=True)
    for at, n in zip(first.tolist(), counts.tolist(), strict=True):
        yield _reason(mirrors, symbol, int(position[at]), usable[:, at]), n


def _reason(mirrors: Mirrors, symbol: int, position: int, usable: NDArray[np.bool_]) -> str:
    """Say why the copies in a sector cannot be compared."""
    lanes = mirrors.codewords.lanes
    taking_part = {lanes[lane].role for lane, here in zip(mirrors.lanes[symbol], usable, strict=True) if here}
    reasons: dict[int, str] = {}
    for number in mirrors.lanes[symbol]:
        lane = lanes[number]
        if lane.source == NOBODY:
            reasons.setdefault(lane.role, f"no image serves role {lane.role}")
        elif lane.role not in taking_part:
            at = mirrors.image_offset(number, position)
            against = (
                flaw.reason
                for flaw in mirrors.flaws
                if flaw.source == lane.source
                and flaw.side in (None, lane.side)
                and flaw.extents.overlaps(at, at + SECTOR)
            )
            reasons.setdefault(lane.role, f"role {lane.role}: {next(against, UNREADABLE)}")
    return "; ".join(reason for _, reason in sorted(reasons.items()))
