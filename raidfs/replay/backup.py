"""mdadm's backup as a further source of data: what it would write to the members before the reshape goes on.

mdadm writes the copies to their new places; here each is a further place of its byte in both geometries, laid over
nothing, as a member of its own for each role:

    source of a role   |new geometry: component bytes ....|old geometry: component bytes ....|
                       0                                  component_size
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.array.description import ArrayDescription, Member, Past, State
from raidfs.block import BlockSource, MemorySource
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.standing import cells_of, pieces
from raidfs.geometry.zone import Zone
from raidfs.image.patched import PatchedSource
from raidfs.linear import Piece
from raidfs.superblock.claim import BackupPart


@dataclass(frozen=True)
class BackedUp:
    """A backup as members.

    Attributes:
        members: one for each role that it holds something of.
        sources: of each, in the same order.
    """

    members: tuple[Member, ...]
    sources: tuple[BlockSource, ...]


def lay_out(
    description: ArrayDescription, path: str, source: BlockSource, parts: Sequence[BackupPart], likely: Extents
) -> BackedUp:
    """Lay a backup out as the members would hold it.

    Args:
        description: the array, in a reshape of a level with parity.
        path: of the backup.
        source: where its bytes are.
        parts: what it holds.
        likely: what of that is believed to have been taken in time [array bytes].
    """
    reshape, size = description.reshape, description.component_size
    assert reshape is not None
    after, before = zone_of(reshape.after, size), zone_of(reshape.before, size)
    whole = Extents([(part.array_start, part.array_stop) for part in parts])
    held, held_before = cells_of(after, whole), cells_of(before, whole)
    kept, kept_before = cells_of(after, likely), cells_of(before, likely)
    by_role: dict[int, list[Piece]] = {}
    for part in parts:
        for zone, base in ((after, 0), (before, size)):
            for role, piece in _pieces(zone, part, source, base):
                by_role.setdefault(role, []).append(piece)
    nothing = Extents()
    members = tuple(
        Member(
            path,
            role,
            State.BACKUP,
            data_offset=size,
            new_data_offset=0,
            note="is what mdadm backed up",
            past=Past(
                held.get(role, nothing),
                held_before.get(role, nothing),
                likely=kept.get(role, nothing),
                likely_before=kept_before.get(role, nothing),
            ),
        )
        for role in sorted(by_role)
    )
    sources = tuple(PatchedSource(MemorySource(b""), by_role[role]) for role in sorted(by_role))
    return BackedUp(members, sources)


def _pieces(zone: Zone, part: BackupPart, source: BlockSource, base: int) -> list[tuple[int, Piece]]:
    """Return (role, piece) of a part's bytes where a geometry has them, `base` further on."""
    where = Extents.span(part.array_start, part.array_stop).clip(zone.array_start, zone.array_stop)
    start, stop = pieces(where, zone.chunk_size)
    roles, offsets = zone.locate(start)
    return [
        (role, Piece(base + offset, last - first, source, part.at + first - part.array_start))
        for role, offset, first, last in zip(
            roles.tolist(), offsets.tolist(), start.tolist(), stop.tolist(), strict=True
        )
    ]
