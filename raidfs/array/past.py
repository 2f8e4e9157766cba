"""What a member that left the array still holds of it, and what of that is proven to be current.

It holds everything as it was when it left: old, unless nothing was written since. That is what the write-intent bitmap
tells: while a member is missing md clears no bit, and `events_cleared` says since when that is so; by this md itself
takes a member back (`md.c: super_1_validate`). A reshape moves data without setting bits, so that nothing is proven
across one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.array.choose import Claimed
from raidfs.array.description import LARGEST, Past
from raidfs.array.shape import Shape, shape_of
from raidfs.array.unsynced import Intent
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.extents import Extents
from raidfs.superblock.claim import MemberClaim


@dataclass(frozen=True)
class Geometry:
    """One geometry that a member has, or had, data in.

    Attributes:
        shape: of the array.
        data_offset: [member bytes].
        held: what the member holds of it [component bytes].
    """

    shape: Shape
    data_offset: int
    held: Extents


@dataclass(frozen=True)
class Standing:
    """Where a member that left stands to the array as it is now.

    Attributes:
        data_offset, new_data_offset: of the array's old and new (or only) geometry [member bytes].
        past: what it holds.
    """

    data_offset: int
    new_data_offset: int
    past: Past


def standing_of(each: Claimed, reference: MemberClaim) -> Standing | str:
    """Say what a member that left holds of the array as it is now; or why that is nothing, one clause."""
    claim = each.claim
    if claim.component_size != reference.component_size:
        return f"its component_size is {claim.component_size}, that of the array {reference.component_size}"
    try:
        own, now = geometries_of(claim), geometries_of(reference)
    except (InconsistentDescription, UnsupportedMetadata) as error:
        return f"its superblock makes no sense ({error})"
    if any(not 0 <= geometry.data_offset < LARGEST for geometry in own):
        return f"it says that its data begin at byte {claim.data_offset}, later at {own[-1].data_offset}"
    if [each.shape for each in own] == [each.shape for each in now]:
        pairs: list[Geometry | None] = list(own)
    else:
        pairs = [next((mine for mine in own if mine.shape == each.shape), None) for each in now]
    before, after = pairs[0], pairs[-1]
    known = after or before
    if known is None:
        return f"it left when the array was another one ({own[-1].shape}; now {now[-1].shape})"
    old, new = before or known, after or known
    held_before = old.held if before is not None and len(now) > 1 else Extents()
    held = new.held if after is not None else Extents()
    return Standing(old.data_offset, new.data_offset, Past(held, held_before))


def geometries_of(claim: MemberClaim) -> list[Geometry]:
    """Return the geometries that a member has data in, as it says: the old one first.

    Raises:
        InconsistentDescription, UnsupportedMetadata: the claim gives no shape.
    """
    size = claim.component_size or 0
    whole = Extents.span(0, size if claim.recovery_offset is None else min(size, claim.recovery_offset))
    told = claim.reshape
    if told is None:
        return [
            Geometry(shape_of(claim.level, claim.layout, claim.chunk_size, claim.raid_disks), claim.data_offset, whole)
        ]
    old = shape_of(claim.level, claim.layout, claim.chunk_size, claim.raid_disks - told.delta_disks)
    new = shape_of(claim.level, told.new_layout, told.new_chunk_size, claim.raid_disks)
    below, reached = (min(rows, size) for rows in new.rows_below(told.position))
    rewritten = Extents.span(reached, size) if told.backwards else Extents.span(0, below)
    touched = Extents.span(below, size) if told.backwards else Extents.span(0, reached)
    # a member that the reshape fills never held the old geometry (`raidfs.engine.damage`)
    left = Extents() if claim.recovery_offset is not None else whole.difference(touched.shift(told.new_offset))
    moved = claim.data_offset + told.new_offset
    return [Geometry(old, claim.data_offset, left), Geometry(new, moved, rewritten.intersection(whole))]


def proven_of(
    each: Claimed, reference: Claimed, fresh: Sequence[Claimed], held: Extents, intent: Intent | None
) -> Extents:
    """Return what of a member that left is proven to be current [component bytes].

    Args:
        each: the member.
        reference: whose word counts.
        fresh: the members that serve.
        held: what it holds of the array's only geometry [component bytes].
        intent: what the bitmaps say; None: there is none that can be relied on, or it is not about component bytes.
    """
    claim, first = each.claim, reference.claim
    if intent is None or not claim.intact or each.doubt or each.unsupported:
        return Extents()
    if claim.reshape is not None or first.reshape is not None or claim.events < intent.events_cleared:
        return Extents()
    if claim.created != first.created or not all(_was_beside(claim, other.claim, first) for other in fresh):
        return Extents()
    return held.difference(intent.dirty)


def _was_beside(claim: MemberClaim, other: MemberClaim, first: MemberClaim) -> bool:
    """Tell whether a member that left last saw another in the role that it has now, with no reshape since.

    Else somebody was rebuilt in the meantime, or they lived apart: bits may have been cleared that the one who left
    never heard of. It must not be its own successor, and what superblocks keep of the last reshape must not differ.
    """
    number = other.device_number
    if not 0 <= number < min(len(claim.device_roles), len(first.device_roles)):
        return False
    role = first.device_roles[number]
    return (
        claim.device_roles[number] == role
        and role != claim.role
        and claim.reshape_traces == other.reshape_traces
        and other.intact
    )
