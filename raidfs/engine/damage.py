"""What is known against each member's bytes, with the reason: flaws in, trust per range out.

A flaw is physical (it counts for both geometries) or holds for one side of a reshape only: a place that was rewritten
in the new geometry is good there and gone for the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member, Past, State
from raidfs.block import BlockSource
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.geometry.disputed import disputed_places, stray_places
from raidfs.geometry.doubts import doubtful_places
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side, rows_of_reshape
from raidfs.geometry.standing import cells_of

UNREADABLE = "could not be read"
"""Reason of what failed when it was read."""
_MAYBE_REWRITTEN = "the kernel may have rewritten this place without recording it"
_MAYBE_UNWRITTEN = "nothing proves that the new geometry was written here"
_LIKELY_LEFT = "nothing tells of this row, beyond a clean edge of the reshape"
_LIKELY_WRITTEN = "nothing tells of this row, behind a clean edge of the reshape"
_LIKELY_SAME = "the same at both places, but too little to prove anything"
OF_THE_FRONT = frozenset((_MAYBE_REWRITTEN, _MAYBE_UNWRITTEN, _LIKELY_LEFT, _LIKELY_WRITTEN, _LIKELY_SAME))
"""Reasons of what speaks against members only because nobody knows which geometry a row holds."""


@dataclass(frozen=True)
class Flaw:
    """Something that speaks against bytes of one source.

    Attributes:
        source: index of the source.
        extents: [image bytes].
        trust: what is left of the trust in them, never SURE.
        reason: one clause for `explain`.
        side: the geometry for which it holds; None: for all.
        curable: what is missing may still be on the original of the image: a bad sector, a part not copied.
    """

    source: int
    extents: Extents
    trust: Trust
    reason: str
    side: Side | None = None
    curable: bool = False


@runtime_checkable
class Patched(Protocol):
    """A source of which some bytes do not come from the image."""

    @property
    def patched(self) -> Extents:
        """Where they lie [bytes of the source]."""


def known_flaws(description: ArrayDescription, members: Sequence[Member], sizes: Sequence[int]) -> tuple[Flaw, ...]:
    """Collect what is known without reading.

    Args:
        description: the array.
        members: the member of each source.
        sizes: size of each source [bytes].
    """
    flaws: list[Flaw] = []
    front = _FrontOnMembers(description)
    for source, (member, size) in enumerate(zip(members, sizes, strict=True)):
        flaws += _flaws_of_member(description, member, source, size, front)
        flaws += front.flaws_of(member, source) if member.past is None else flaws_of_past(description, member, source)
    flaws += _flaws_of_places(description, members)
    return tuple(flaw for flaw in flaws if flaw.extents)


def unread_flaws(sources: Sequence[BlockSource], told: Sequence[Flaw]) -> tuple[Flaw, ...]:
    """Return what the sources themselves know to be lost, beyond what is told already: reads that failed before.

    Whoever reads them by other ways than `read_into` depends on this.
    """
    flaws = []
    for number, source in enumerate(sources):
        gone = [flaw.extents for flaw in told if flaw.source == number and flaw.trust is Trust.NONE and not flaw.side]
        rest = source.known_losses(0, source.size).difference(Extents().union(*gone))
        if rest:
            flaws.append(Flaw(number, rest, Trust.NONE, UNREADABLE, curable=True))
    return tuple(flaws)


def without_healed(flaws: Iterable[Flaw], sources: Sequence[BlockSource]) -> tuple[Flaw, ...]:
    """Take out what cannot be read in an image but is there in a patch over it."""
    found = []
    for flaw in flaws:
        source = sources[flaw.source]
        if flaw.trust is Trust.NONE and flaw.side is None and isinstance(source, Patched):
            found.append(replace(flaw, extents=flaw.extents.difference(source.patched)))
        else:
            found.append(flaw)
    return tuple(flaw for flaw in found if flaw.extents)


def merged_flaws(flaws: Sequence[Flaw], n_fixed: int, more: Iterable[Flaw]) -> tuple[Flaw, ...]:
    """Add flaws; those that differ in nothing but their bytes become one.

    Args:
        flaws: known so far.
        n_fixed: how many of them stay as they are.
        more: to be added.
    """
    kept = list(flaws)
    for flaw in more:
        alike = (index for index in range(n_fixed, len(kept)) if replace(kept[index], extents=flaw.extents) == flaw)
        index = next(alike, None)
        if index is None:
            kept.append(flaw)
        else:
            kept[index] = replace(flaw, extents=kept[index].extents.union(flaw.extents))
    return tuple(kept)


def bytes_by_reason(flaws: Iterable[Flaw], source: int, size: int) -> list[tuple[str, int]]:
    """Return (reason, bytes) of what speaks against an image of `size` bytes, whatever the geometry."""
    found: dict[str, Extents] = {}
    for flaw in flaws:
        if flaw.source == source and flaw.side is None:
            found[flaw.reason] = found.get(flaw.reason, Extents()).union(flaw.extents.clip(0, size))
    return [(reason, extents.total) for reason, extents in found.items() if extents]


def _flaws_of_member(
    description: ArrayDescription, member: Member, source: int, size: int, front: _FrontOnMembers
) -> Iterable[Flaw]:
    """What the member's own state says against it."""
    end = max(member.data_offset, member.new_data_offset) + description.component_size
    everything = Extents.span(0, max(end, size))
    if member.state is not State.BACKUP:
        yield Flaw(source, Extents.span(size, end), Trust.NONE, f"the image ends at {size} bytes", curable=True)
    yield Flaw(source, member.bad_blocks, Trust.NONE, "in the member's bad-block log")
    if member.state is State.DAMAGED:
        yield Flaw(source, everything, Trust.DOUBTFUL, member.note)
    if member.contested:
        yield Flaw(source, everything, Trust.UNPROVEN, member.contested)
    if description.withheld:
        yield Flaw(source, everything, Trust.DOUBTFUL, description.withheld)
    if member.recovered_to is not None:
        beyond = Extents.span(member.new_data_offset + member.recovered_to, end)
        # a reshape fills it, and what is recorded of that lags like its position
        beyond = beyond.difference(front.reached.shift(member.new_data_offset))
        yield Flaw(source, beyond, Trust.NONE, "beyond the member's recovery offset")
        if description.reshape is not None:
            # a reshape fills such a member with the new geometry only (md.c, raid5.c: it never held the old one)
            yield Flaw(source, everything, Trust.NONE, "the member never held the old geometry", Side.BEFORE)


def _flaws_of_places(description: ArrayDescription, members: Sequence[Member]) -> Iterable[Flaw]:
    """What is said of places on the array, or of its copies."""
    told = [
        (role, side, rows, Trust.UNPROVEN if doubt.likely else Trust.DOUBTFUL, doubt.reason)
        for role, side, rows, doubt in doubtful_places(description)
    ]
    if description.dispute is not None:
        reason = description.dispute.told
        trust = Trust.UNPROVEN if description.dispute.likely else Trust.DOUBTFUL
        told += [(role, side, rows, trust, reason) for role, side, rows in disputed_places(description)]
    for role, rows in stray_places(description).items():
        moves = {member.new_data_offset - member.data_offset for member in members if member.role == role}
        reason = "a copy of something else was written here"
        told += [(role, Side.BEFORE, rows.shift(move), Trust.NONE, reason) for move in moves]
    for role, side, rows, trust, reason in told:
        for source, member in enumerate(members):
            if member.role == role:
                offset = member.new_data_offset if side is Side.AFTER else member.data_offset
                yield Flaw(source, rows.shift(offset), trust, reason, None if side is Side.ONLY else side)


class _FrontOnMembers:
    """What the front of a reshape says of the members' bytes."""

    def __init__(self, description: ArrayDescription) -> None:
        self._reshape = description.reshape
        self._rows = rows_of_reshape(description)
        self._agreed: dict[Side, dict[int, Extents]] = {}
        self._likely_agreed: dict[Side, dict[int, Extents]] = {}
        front = None if self._reshape is None else self._reshape.front
        if self._reshape is not None and front is not None:
            for side, shape in ((Side.AFTER, self._reshape.after), (Side.BEFORE, self._reshape.before)):
                zone = zone_of(shape, description.component_size)
                self._agreed[side] = cells_of(zone, front.agreed)
                self._likely_agreed[side] = cells_of(zone, front.likely_agreed.difference(front.agreed))

    @property
    def reached(self) -> Extents:
        """Rows beyond the recorded position that the reshape may have written [component bytes of the new geometry]."""
        if self._rows is None or self._reshape is None or self._reshape.front is None:
            return Extents()
        rows = self._rows
        return self._reshape.front.written.union(rows.open, rows.likely_written, rows.likely_left)

    def flaws_of(self, member: Member, source: int) -> Iterable[Flaw]:
        """Say what the new geometry did to the old one on a member, and how far it is known to be there itself."""
        reshape, rows = self._reshape, self._rows
        if reshape is None or rows is None or member.role is None or member.role >= reshape.after.raid_disks:
            return
        shift = member.new_data_offset
        yield Flaw(source, rows.written.shift(shift), Trust.NONE, "rewritten in the new geometry", Side.BEFORE)
        risk = rows.open.union(rows.likely_written).shift(shift)
        yield from self._open(member, source, Side.BEFORE, risk, _MAYBE_REWRITTEN)
        if reshape.front is None:
            return
        yield from self._likely(member, source, Side.BEFORE, rows.likely_left.shift(shift), _LIKELY_LEFT)
        yield Flaw(source, rows.left.shift(shift), Trust.NONE, "not yet written in the new geometry", Side.AFTER)
        risk = rows.open.union(rows.likely_left).shift(shift)
        yield from self._open(member, source, Side.AFTER, risk, _MAYBE_UNWRITTEN)
        yield from self._likely(member, source, Side.AFTER, rows.likely_written.shift(shift), _LIKELY_WRITTEN)

    def _open(self, member: Member, source: int, side: Side, place: Extents, reason: str) -> Iterable[Flaw]:
        """Rows that are open are doubtful, but for what is the same at both places [image bytes]."""
        likely = self._cells(self._likely_agreed, member, side)
        rest = place.difference(self._cells(self._agreed, member, side))
        yield Flaw(source, rest.difference(likely), Trust.DOUBTFUL, reason, side)
        yield Flaw(source, rest.intersection(likely), Trust.UNPROVEN, _LIKELY_SAME, side)

    def _likely(self, member: Member, source: int, side: Side, place: Extents, reason: str) -> Iterable[Flaw]:
        """Rows that are likely are unproven, but for what is the same at both places for sure [image bytes]."""
        rest = place.difference(self._cells(self._agreed, member, side))
        yield Flaw(source, rest, Trust.UNPROVEN, reason, side)

    @staticmethod
    def _cells(agreed: dict[Side, dict[int, Extents]], member: Member, side: Side) -> Extents:
        offset = member.new_data_offset if side is Side.AFTER else member.data_offset
        cells = agreed.get(side, {}).get(-1 if member.role is None else member.role, Extents())
        return cells.shift(offset)


def flaws_of_past(description: ArrayDescription, member: Member, source: int) -> Iterable[Flaw]:
    """What speaks against a member that left, as a source of its role: it is old, and holds only its part."""
    past = Past(Extents()) if member.past is None else member.past
    end = max(member.data_offset, member.new_data_offset) + description.component_size
    after = Side.ONLY if description.reshape is None else Side.AFTER
    sides = [(after, member.new_data_offset, past.held, past.proven)]
    if description.reshape is not None:
        sides.append((Side.BEFORE, member.data_offset, past.held_before, Extents()))
    if member.state is State.BACKUP:
        yield from _flaws_of_backup(past, member, source, end)
        return
    for side, offset, held, proven in sides:
        there = held.shift(offset)
        reason = f"the member left the array (events {member.events}) and holds nothing of this"
        yield Flaw(source, Extents.span(0, end).difference(there), Trust.NONE, reason, side)
        reason = f"the member left the array (events {member.events}); this may have been written since"
        yield Flaw(source, there.difference(proven.shift(offset)), Trust.DOUBTFUL, reason, side)


def _flaws_of_backup(past: Past, member: Member, source: int, end: int) -> Iterable[Flaw]:
    """What speaks against a backup, of which both geometries have their own bytes."""
    there = past.held.shift(member.new_data_offset).union(past.held_before.shift(member.data_offset))
    likely = past.likely.shift(member.new_data_offset).union(past.likely_before.shift(member.data_offset))
    yield Flaw(source, Extents.span(0, end).difference(there), Trust.NONE, "the backup holds nothing of this")
    reason = "the backup may have been taken after this was overwritten"
    yield Flaw(source, there.difference(likely), Trust.LAST, reason)
    yield Flaw(source, there.intersection(likely), Trust.UNPROVEN, "a backup that was taken in time, as it seems")


def flaws_at(flaws: Iterable[Flaw], source: int, side: Side, offset: int) -> list[Flaw]:
    """Return what speaks against one byte [image bytes] of a source for one geometry."""
    return [
        flaw
        for flaw in flaws
        if flaw.source == source and flaw.side in (None, side) and flaw.extents.overlaps(offset, offset + 1)
    ]


@dataclass(frozen=True, eq=False)
class TrustMap:
    """Trust as a function of position.

    Attributes:
        start: int64 (k,), ascending, start[0] <= 0: where a value begins to hold [bytes of its space].
        trust: uint8 (k,): the value from there on.
    """

    start: NDArray[np.int64]
    trust: NDArray[np.uint8]

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Look up many positions >= 0; uint8 (n,)."""
        values: NDArray[np.uint8] = self.trust[np.searchsorted(self.start, positions, side="right") - 1]
        return values


def trust_map(ranges: Sequence[tuple[Extents, Trust]]) -> TrustMap:
    """Lay ranges over each other; the least trust wins, SURE where there is none."""
    cuts = [extents.boundaries() for extents, _ in ranges]
    start = np.unique(np.concatenate([np.array([np.iinfo(np.int64).min], dtype=np.int64), *cuts]))
    trust = np.zeros(len(start), dtype=np.uint8)
    for extents, value in ranges:
        inside = np.searchsorted(extents.boundaries(), start, side="right") % 2 == 1
        trust[inside] = np.maximum(trust[inside], np.uint8(value))
    return TrustMap(start, trust)


NO_TRUST = trust_map([(Extents.span(-(1 << 62), 1 << 62), Trust.NONE)])
"""Of a role that no source serves."""
