"""What a write journal would change on the members of a RAID4, 5 or 6.

md takes the journal stripe block by stripe block: rows of 4 KiB, named by their height on the members. Data collect
until their parity comes; then data and parity are written. Data after parity begin anew. A flush says that all of it is
on the members. Data whose parity never came (write-back) are as valid; the parity that goes with them is worked out.

What the journal holds but cannot be read any more is newer than what the members have there: doubtful, and so is the
parity of that row until a later parity covers it. Reference: `raid5-cache.c: r5c_recovery_analyze_meta_block`,
`r5l_recovery_replay_one_stripe`, `r5c_recovery_load_one_stripe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.erasure.gf256 import power, products
from raidfs.extents import Extents
from raidfs.geometry.zone import Zone
from raidfs.linear import Piece, piece_of
from raidfs.replay.patch import Component, Patch
from raidfs.superblock.journal import BLOCK, JournalEnd, Logged, LoggedData, LoggedParity

Cell = tuple[int, int]
"""Role and height [component bytes] of a block of 4 KiB."""


@dataclass(frozen=True)
class Replay:
    """What a journal says of the members.

    Attributes:
        written: (place on the journal device) of each cell whose stripe is complete.
        cached: the same for data without parity, by height and role, with the place in the array [array bytes].
        doubtful: cells that are older on the members than something that cannot be had.
        end: how the journal ends.
    """

    written: Mapping[Cell, int]
    cached: Mapping[int, Mapping[int, tuple[int, int]]]
    doubtful: frozenset[Cell]
    end: JournalEnd

    def complete(self, journal: BlockSource) -> list[Patch]:
        """Return the patches of stripes that are complete."""
        return [Patch(role, Piece(height, BLOCK, journal, place)) for (role, height), place in self.written.items()]

    def newest(self, journal: BlockSource) -> list[Patch]:
        """Return the patches of data without parity; they lie over the others."""
        return [
            Patch(role, Piece(height, BLOCK, journal, place))
            for height, cells in self.cached.items()
            for role, (place, _) in cells.items()
        ]


@dataclass
class _Stripe:
    """One stripe block: role -> (place or None, array offset), role -> place or None."""

    data: dict[int, tuple[int | None, int]] = field(default_factory=dict)
    parity: dict[int, int | None] = field(default_factory=dict)


class _Recovery:
    """The state while the journal is read."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        rows = zip(zone.table.symbol.tolist(), zone.table.role.tolist(), strict=True)
        self._rows = [dict(zip(symbols, roles, strict=True)) for symbols, roles in rows]
        self.stripes: dict[int, _Stripe] = {}
        self.written: dict[int, dict[int, int]] = {}
        self.doubtful: dict[int, set[int]] = {}

    def parity_roles(self, height: int) -> list[int]:
        """Return who holds P, and Q, at a height."""
        row = self._rows[height // self._zone.chunk_size % len(self._rows)]
        return [row[symbol] for symbol in range(self._zone.table.n_data, self._zone.table.width)]

    def take(self, logged: Logged) -> bool:
        """Take one payload; False: it makes no sense for this array."""
        if isinstance(logged, LoggedData):
            return self._data(logged)
        if isinstance(logged, LoggedParity):
            return self._parity(logged)
        for height in logged.heights:
            self.stripes.pop(height, None)
            self.written.pop(height, None)
            self.doubtful.pop(height, None)
        return True

    def finish(self) -> None:
        """Write what is complete; what is left has no parity."""
        for height, stripe in [*self.stripes.items()]:
            if stripe.parity:
                self._write(height, stripe)
                del self.stripes[height]

    def _data(self, logged: LoggedData) -> bool:
        zone = self._zone
        if logged.offset % BLOCK or not zone.array_start <= logged.offset <= zone.array_stop - BLOCK:
            return False
        number, inside = divmod(logged.offset - zone.array_start, zone.stripe_size)
        symbol, rest = divmod(inside, zone.chunk_size)
        height = zone.component_start + number * zone.chunk_size + rest
        stripe = self.stripes.get(height)
        if stripe is None or stripe.parity:
            if stripe is not None:
                self._write(height, stripe)
            stripe = self.stripes[height] = _Stripe()
        stripe.data[self._rows[number % len(self._rows)][symbol]] = logged.place, logged.offset
        return True

    def _parity(self, logged: LoggedParity) -> bool:
        zone = self._zone
        limit = (zone.array_stop - zone.array_start) // zone.stripe_size * zone.chunk_size
        if logged.height % BLOCK or not 0 <= logged.height < limit:
            return False
        roles = self.parity_roles(logged.height)
        if len(roles) != len(logged.places):
            return False
        self.stripes.setdefault(logged.height, _Stripe()).parity = dict(zip(roles, logged.places, strict=True))
        return True

    def _write(self, height: int, stripe: _Stripe) -> None:
        """Write a complete stripe block; parity without data was on the members before."""
        if stripe.data:
            cells = {role: place for role, (place, _) in stripe.data.items()} | stripe.parity
            for role, place in cells.items():
                self._set(height, role, place)

    def _set(self, height: int, role: int, place: int | None) -> None:
        written, doubtful = self.written.setdefault(height, {}), self.doubtful.setdefault(height, set())
        if place is None:
            written.pop(role, None)
            doubtful.add(role)
        else:
            written[role] = place
            doubtful.discard(role)

    def result(self, end: JournalEnd) -> Replay:
        """Sum up."""
        self.finish()
        cached: dict[int, dict[int, tuple[int, int]]] = {}
        for height, stripe in self.stripes.items():
            known = {role: (place, offset) for role, (place, offset) in stripe.data.items() if place is not None}
            doubtful = self.doubtful.setdefault(height, set())
            doubtful.difference_update(known)
            if len(known) < len(stripe.data):
                doubtful.update(stripe.data.keys() - known.keys(), self.parity_roles(height))
            cached[height] = known
        written = {(role, height): place for height, cells in self.written.items() for role, place in cells.items()}
        unsure = frozenset((role, height) for height, roles in self.doubtful.items() for role in roles)
        return Replay(written, {height: cells for height, cells in cached.items() if cells}, unsure, end)


def replay_journal(zone: Zone, entries: Iterable[Logged | JournalEnd]) -> Replay:
    """Follow a journal to its end.

    Args:
        zone: geometry of the array.
        entries: what `raidfs.superblock.journal.read_journal` yields.
    """
    recovery = _Recovery(zone)
    for entry in entries:
        if isinstance(entry, JournalEnd):
            return recovery.result(entry)
        if not recovery.take(entry):
            break
    return recovery.result(JournalEnd(problem="the journal names blocks that this array does not have"))


def parity_of_cached(
    zone: Zone, replay: Replay, journal: BlockSource, components: Mapping[int, Component], array: BlockSource
) -> tuple[list[Patch], list[tuple[int, Extents]]]:
    """Work out the parity that goes with data whose parity never came.

    Parity changes by what the data change by: P by D + D', Q by g^i times that.

    Args:
        zone: geometry of the array.
        replay: what the journal says.
        journal: the journal device.
        components: by role, with everything that is complete laid over them.
        array: the array with the same, and without what is cached.

    Returns:
        Patches; and (role, component bytes) of parity that cannot be known, the former data being lost.

    Raises:
        SourceError: a source is gone.
    """
    recovery = _Recovery(zone)
    patches: list[Patch] = []
    gone: list[tuple[int, Extents]] = []
    for height, cells in replay.cached.items():
        roles = recovery.parity_roles(height)
        if any((role, height) in replay.doubtful for role in roles):
            continue
        changes, lost = _changes(cells, journal, array)
        for number, role in enumerate(roles):
            component = components.get(role)
            if component is None:
                continue
            parity, missing = component.read(height, height + BLOCK)
            for changed, change in changes.items():
                parity ^= change if number == 0 else products(_coefficient(zone, height, changed))[change]
            for start, stop in Extents.span(0, BLOCK).difference(missing.union(lost)):
                patches.append(Patch(role, piece_of(height + start, parity[start:stop].tobytes())))
            gone.append((role, lost.difference(missing).shift(height)))
    return patches, [(role, extents) for role, extents in gone if extents]


def _changes(
    cells: Mapping[int, tuple[int, int]], journal: BlockSource, array: BlockSource
) -> tuple[dict[int, NDArray[np.uint8]], Extents]:
    """Return by what the data of a stripe block change, by role, and where that is not known."""
    found, lost = {}, Extents()
    for role, (place, offset) in cells.items():
        (new, new_lost), (old, old_lost) = read_exact(journal, place, BLOCK), read_exact(array, offset, BLOCK)
        lost = lost.union(new_lost, old_lost)
        found[role] = np.frombuffer(new, dtype=np.uint8) ^ np.frombuffer(old, dtype=np.uint8)
    return found, lost


def _coefficient(zone: Zone, height: int, role: int) -> int:
    """Return what the data of a role count for in Q."""
    row = height // zone.chunk_size % zone.table.period
    column = int(np.argmax(zone.table.role[row] == role))
    return power(int(zone.table.exponent[row, zone.table.symbol[row, column]]))
