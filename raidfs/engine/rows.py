"""Rows of one geometry, read from the members and judged by their parity, with no regard to what they hold.

A row is the same component bytes of every role. What the page cache holds is read and judged in one call; else rows are
read in sequence and in step on all members, by a thread each, ahead of the judging. Only what is trusted is read. All
cells of a stripe lie at the same height of their members here, so
component bytes are stripe bytes (stripe number * chunk + offset in the chunk).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import Member
from raidfs.block import BlockSource
from raidfs.engine.damage import NO_TRUST, Flaw, TrustMap, flaws_at, trust_map
from raidfs.engine.fetch import FileSource
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.geometry.reshape import Section, Side
from raidfs.geometry.table import RowTable
from raidfs.geometry.zone import Zone
from raidfs.kernels.filled import kinds_of
from raidfs.kernels.fused_check import PIECE, check_rows_nowait
from raidfs.kernels.syndrome import NOBODY, UNCHECKABLE, check_rows
from raidfs.units import SECTOR

BATCH = 1 << 20
"""Bytes of each member that are read together where they have to be waited for."""
_NOT_WORTH_SKIPPING = 128
"""Sectors between two reads of a member that are read as well."""
_AHEAD = 2
"""Batches that are being read while one is judged."""
_AT_ONCE = 4 << 20
"""Bytes of each member that are judged in one call where the page cache has them."""
_UNTIL_NEXT_TRY = 64 << 20
"""Bytes of each member that are waited for, after some were not in the page cache, until that is tried again."""


@dataclass(frozen=True, eq=False)
class Rows:
    """One geometry over the members.

    Attributes:
        section: where its geometry is in force.
        lanes: by role: (source, image offset of component byte 0), or None where no source serves the role.
        trust: by role, in component bytes.
        steps: int16 (period, k), for `check_rows`.
        parity: int16 (period, 2), for `check_rows`.
    """

    section: Section
    lanes: tuple[tuple[int, int] | None, ...]
    trust: tuple[TrustMap, ...]
    steps: NDArray[np.int16]
    parity: NDArray[np.int16]

    @property
    def zone(self) -> Zone:
        """The geometry."""
        return self.section.zone

    @property
    def bounds(self) -> tuple[int, int]:
        """First and behind-last component byte of the stripes that the section touches."""
        zone = self.zone
        first = (self.section.array_start - zone.array_start) // zone.stripe_size
        last = -(-(self.section.array_stop - zone.array_start) // zone.stripe_size)
        return first * zone.chunk_size, last * zone.chunk_size

    def trust_of(self, start: int, n: int) -> NDArray[np.uint8]:
        """Return the least trust in each of n sectors from a component byte on; uint8 (raid_disks, n), read-only.

        Where it does not change it costs nothing per sector: nearly everywhere.
        """
        at = [np.searchsorted(each.start, (start, start + n * SECTOR - 1), side="right") - 1 for each in self.trust]
        if all(first == last for first, last in at):
            column = np.array([each.trust[first] for each, (first, _) in zip(self.trust, at, strict=True)], np.uint8)
            return np.broadcast_to(column[:, None], (len(column), n))
        return np.stack([self.trust_of_role(role, start, n) for role in range(len(self.trust))])

    def trust_of_role(self, role: int, start: int, n: int) -> NDArray[np.uint8]:
        """Return the least trust in each of n sectors of one role from a component byte on; uint8 (n,)."""
        known = self.trust[role]
        found = known.at(start + np.arange(n, dtype=np.int64) * SECTOR)
        inside = (known.start > start) & (known.start < start + n * SECTOR) & ((known.start - start) % SECTOR != 0)
        np.maximum.at(found, (known.start[inside] - start) // SECTOR, known.trust[inside])
        return found

    def absent_of(self, trust: NDArray[np.uint8], limit: Trust) -> NDArray[np.int16]:
        """Say for each sector who takes no part: NOBODY, one role (where a second equation remains), or UNCHECKABLE.

        Args:
            trust: uint8 (raid_disks, n), see `trust_of`.
            limit: worst trust that is used.
        """
        n = trust.shape[1]
        if trust.strides[1] == 0:  # the same in every sector
            trust = trust[:, :1]
        usable = trust <= limit
        n_absent = (~usable).sum(axis=0)
        spare = 1 if self.zone.table.has_q else 0
        absent = np.where(n_absent == 0, NOBODY, np.where(n_absent <= spare, np.argmin(usable, axis=0), UNCHECKABLE))
        return np.full(n, absent[0], dtype=np.int16) if len(absent) < n else absent.astype(np.int16)

    def reason(self, flaws: Sequence[Flaw], trust: NDArray[np.uint8], component: int, limit: Trust) -> str:
        """Say why a sector cannot be judged.

        Args:
            flaws: everything known against the sources.
            trust: uint8 (raid_disks,), in this sector.
            component: where it is [component bytes].
            limit: worst trust that is used.
        """
        reasons = []
        for role in np.flatnonzero(trust > limit).tolist():
            lane = self.lanes[role]
            if lane is None:
                reasons.append(f"no image serves role {role}")
                continue
            against = flaws_at(flaws, lane[0], self.section.side, lane[1] + component)
            reasons.append(f"role {role}: {against[0].reason if against else 'could not be read'}")
        return "; ".join(reasons)


def rows_of(members: Sequence[Member], flaws: Sequence[Flaw], section: Section) -> Rows:
    """Lay the members and what is known against them over one geometry.

    Args:
        members: the member of each source; those that do not serve are left out.
        flaws: everything known against the sources.
        section: the geometry.
    """
    lanes: list[tuple[int, int] | None] = [None] * section.raid_disks
    trust = [NO_TRUST] * section.raid_disks
    for source, member in enumerate(members):
        role = member.role
        if member.state.serves and role is not None and role < section.raid_disks and lanes[role] is None:
            offset = member.new_data_offset if section.side is Side.AFTER else member.data_offset
            lanes[role] = (source, offset)
            mine = [flaw for flaw in flaws if flaw.source == source and flaw.side in (None, section.side)]
            trust[role] = trust_map([(flaw.extents.shift(-offset), flaw.trust) for flaw in mine])
    return Rows(section, tuple(lanes), tuple(trust), *_kernel_arrays(section.zone.table))


def _kernel_arrays(table: RowTable) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return steps and parity of a table, as `check_rows` wants them."""
    columns = np.argsort(table.symbol, axis=1)  # by symbol: the data in order, then P, then Q
    role = np.take_along_axis(table.role, columns, axis=1)
    data, parity = role[:, : table.n_data], role[:, table.n_data :]
    if not table.has_q:
        return np.ascontiguousarray(data), np.concatenate((parity, np.full_like(parity, -1)), axis=1)
    highest = int(table.exponent.max())
    steps = np.full((table.period, highest + 1), -1, dtype=np.int16)
    np.put_along_axis(steps, highest - table.exponent.astype(np.int64), data, axis=1)
    return steps, np.ascontiguousarray(parity)


@dataclass(frozen=True, eq=False)
class Judged:
    """A batch of rows with its verdicts.

    Attributes:
        start: of the batch [component bytes].
        verdict: int16 (n,), by sector; see `check_rows`.
        absent: int16 (n,), by sector; see `check_rows`.
        trust: uint8 (raid_disks, n): NONE also where reading failed.
        unread: (source, image bytes) that could not be read though they were trusted.
        kinds: uint8 (raid_disks, n): what is there, see `kernels.filled.kinds_of`; of any value where nothing was read;
            (raid_disks, 0): nobody asked.
    """

    start: int
    verdict: NDArray[np.int16]
    absent: NDArray[np.int16]
    trust: NDArray[np.uint8]
    unread: tuple[tuple[int, Extents], ...]
    kinds: NDArray[np.uint8]

    @property
    def stop(self) -> int:
        """Where the batch ends [component bytes]."""
        return self.start + len(self.verdict) * SECTOR


@dataclass(frozen=True, eq=False)
class _Asked:
    """A batch whose reads are under way."""

    start: int
    trust: NDArray[np.uint8]
    absent: NDArray[np.int16]
    data: NDArray[np.uint8]
    reads: tuple[tuple[int, NDArray[np.int64], Future[Extents]], ...]


def judge_rows(
    rows: Rows,
    sources: Sequence[BlockSource],
    start: int,
    stop: int,
    limit: Trust = Trust.SURE,
    *,
    with_kinds: bool = False,
) -> Iterator[Judged]:
    """Read and judge the rows [start, stop), ascending, batch by batch.

    Args:
        rows: the geometry.
        sources: the members, by source.
        start: [component bytes], a multiple of 512.
        stop: [component bytes], a multiple of 512, within the zone.
        limit: worst trust of the cells that are used.
        with_kinds: look at what is there, too.

    Raises:
        SourceError: a source is gone.
    """
    small = np.zeros((len(rows.lanes), PIECE), dtype=np.uint8)
    low = start
    with ThreadPoolExecutor(max(1, len(sources)), thread_name_prefix="raidfs-verify") as pool:
        while low < stop:
            window = (low, min(low + _AT_ONCE, stop))
            judged = _judge_nowait(rows, sources, window, small, limit, with_kinds=with_kinds)
            if judged is not None:
                yield judged
                low = judged.stop
                continue
            window = (low, min(low + _UNTIL_NEXT_TRY, stop))
            yield from _judge_waiting(pool, rows, sources, window, limit, with_kinds=with_kinds)
            low = window[1]


def _judge_waiting(
    pool: Executor,
    rows: Rows,
    sources: Sequence[BlockSource],
    window: tuple[int, int],
    limit: Trust,
    *,
    with_kinds: bool,
) -> Iterator[Judged]:
    """Judge rows that have to be waited for, batch by batch; the next batches are being read in the meantime."""
    start, stop = window
    shape = (len(rows.lanes), min(BATCH, stop - start))
    rooms = [np.zeros(shape, dtype=np.uint8) for _ in range(_AHEAD + 1)]
    asked: deque[_Asked] = deque()
    for number, low in enumerate(range(start, stop, BATCH)):
        batch = (low, min(low + BATCH, stop))
        asked.append(_ask(pool, sources, rows, batch, rooms[number % len(rooms)], limit))
        if len(asked) > _AHEAD:
            yield _judge(rows, asked.popleft(), limit, with_kinds=with_kinds)
    while asked:
        yield _judge(rows, asked.popleft(), limit, with_kinds=with_kinds)


def _judge_nowait(
    rows: Rows,
    sources: Sequence[BlockSource],
    window: tuple[int, int],
    room: NDArray[np.uint8],
    limit: Trust,
    *,
    with_kinds: bool,
) -> Judged | None:
    """Judge a batch that the page cache holds and in which the same members are used throughout; else return None."""
    start, stop = window
    trust = rows.trust_of(start, (stop - start) // SECTOR)
    if trust.strides[1] != 0:
        return None
    absent = rows.absent_of(trust, limit)
    places, origin = np.full((len(rows.lanes), 2), -1, dtype=np.int64), np.zeros(len(rows.lanes), dtype=np.int64)
    for role, lane in enumerate(rows.lanes):
        if lane is None or trust[role, 0] > limit or absent[0] == UNCHECKABLE:
            continue
        source = sources[lane[0]]
        if not isinstance(source, FileSource):
            return None
        origin[role] = lane[1] + start
        places[role] = source.fd, source.base + origin[role]
    kinds = np.zeros((len(rows.lanes), len(absent) if with_kinds else 0), dtype=np.uint8)
    verdict = np.empty(len(absent), dtype=np.int16)
    chunk = rows.zone.chunk_size // SECTOR
    batch = start // SECTOR, chunk, verdict, origin, kinds
    if not check_rows_nowait(places, room, absent, rows.steps, rows.parity, *batch):
        return None
    return Judged(start, verdict, absent, trust, (), kinds)


def _ask(
    pool: Executor,
    sources: Sequence[BlockSource],
    rows: Rows,
    window: tuple[int, int],
    room: NDArray[np.uint8],
    limit: Trust,
) -> _Asked:
    """Start to read what can be judged of a batch."""
    start, stop = window
    n = (stop - start) // SECTOR
    trust = rows.trust_of(start, n)
    absent = rows.absent_of(trust, limit)
    is_uniform = trust.strides[1] == 0
    reads = []
    for role, lane in enumerate(rows.lanes):
        if lane is None:
            continue
        if is_uniform:
            wanted = trust[role, 0] <= limit and absent[0] != UNCHECKABLE
            parts = np.array([[0, n]] if wanted else [], dtype=np.int64).reshape(-1, 2) * SECTOR
        else:
            parts = _joined_runs((trust[role] <= limit) & (absent != UNCHECKABLE), trust[role] <= limit) * SECTOR
        if len(parts):
            requests = np.stack((lane[1] + start + parts[:, 0], parts[:, 1] - parts[:, 0], parts[:, 0]), axis=1)
            reads.append((role, requests, pool.submit(sources[lane[0]].read_into, requests, room[role])))
    return _Asked(start, trust, absent, room, tuple(reads))


def _runs(wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the runs of True as int64 (k, 2): start, stop."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def _joined_runs(wanted: NDArray[np.bool_], may_be_read: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the runs of True, and what lies between two where that may be read and is less than a request costs."""
    runs = _runs(wanted)
    barred = np.concatenate(([0], np.cumsum(~may_be_read)))
    stops, starts = runs[:-1, 1], runs[1:, 0]
    joins = (starts - stops <= _NOT_WORTH_SKIPPING) & (barred[starts] == barred[stops])
    return np.stack((runs[np.append(True, ~joins), 0], runs[np.append(~joins, True), 1]), axis=1) if len(runs) else runs


def _judge(rows: Rows, asked: _Asked, limit: Trust, *, with_kinds: bool) -> Judged:
    """Wait for the reads of a batch and judge it."""
    trust, absent = asked.trust, asked.absent
    unread = []
    for role, requests, future in asked.reads:
        lost = future.result()
        lane = rows.lanes[role]
        if lost and lane is not None:
            trust = trust.copy()
            for low, high in lost:
                trust[role, low // SECTOR : -(-high // SECTOR)] = Trust.NONE
            asked_for = Extents(np.stack((requests[:, 2], requests[:, 2] + requests[:, 1]), axis=1))
            unread.append((lane[0], lost.intersection(asked_for).shift(lane[1] + asked.start)))
    if unread:
        absent = rows.absent_of(trust, limit)
    verdict = np.empty(len(absent), dtype=np.int16)
    chunk = rows.zone.chunk_size // SECTOR
    check_rows(asked.data, absent, rows.steps, rows.parity, asked.start // SECTOR, chunk, verdict)
    usable = (trust <= limit) & (absent != UNCHECKABLE)
    kinds = _kinds(rows, asked, usable) if with_kinds else np.zeros((len(trust), 0), dtype=np.uint8)
    return Judged(asked.start, verdict, absent, trust, tuple(unread), kinds)


def _kinds(rows: Rows, asked: _Asked, usable: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Look at what was read of a batch, in the pieces in which `check_rows_nowait` does; see `Judged.kinds`."""
    kinds = np.zeros(usable.shape, dtype=np.uint8)
    per_piece = PIECE // SECTOR
    for role, lane in enumerate(rows.lanes):
        if lane is None:
            continue
        for start, stop in _runs(usable[role]).tolist():
            for first in range(start // per_piece * per_piece, stop, per_piece):
                low, high = max(first, start), min(first + per_piece, stop)
                offset = lane[1] + asked.start + low * SECTOR
                kinds_of(asked.data[role, low * SECTOR : high * SECTOR], offset, kinds[role, low:high])
    return kinds
