"""A RAID10 as it was when members left it in the middle of a reshape, from their superblocks.

Linux fails members of a RAID10 that it itself writes beyond the end of (`raidfs.array.strays`), and goes on without
them, from places that it has spoilt. What those that left hold is frozen, and was right; so the array is read as it was
at that moment, and what the others hold now says where nothing was written since:

    members that left     |new, up to the position then|........ old, ahead of it ........|
    members that stayed   |new, the same              |...... whatever Linux made of it ..|

Both readings agree on what is sure; the rest is disputed (`Dispute`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raidfs.array.choose import Claimed
from raidfs.array.description import ArrayDescription, Member, Past, Reshape, State, usable_size
from raidfs.array.dispute import Dispute
from raidfs.array.past import geometries_of
from raidfs.array.reshaping import shapes_of
from raidfs.array.strays import strays_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import MemberClaim


@dataclass(frozen=True)
class Moment:
    """The array as it was.

    Attributes:
        description: of it, all of it disputed.
        findings: which members to trust, and why.
    """

    description: ArrayDescription
    findings: tuple[Finding, ...]


def moment_of(now: ArrayDescription, chosen: Sequence[Claimed], first: MemberClaim) -> Moment | None:
    """Return the array as it was when members left; None: it cannot be had from these members.

    Args:
        now: the array by its freshest members; `now.members` begins with those of `chosen`.
        chosen: the claims of the array.
        first: the claim that counts now.
    """
    left = [each for each in chosen if _left_underway(each.claim, first)]
    if not left:
        return None
    then = max(left, key=lambda each: each.claim.events).claim
    try:
        shape, reshape = shapes_of(then)
    except (InconsistentDescription, UnsupportedMetadata):
        return None
    if reshape is None or then.reshape is None or _goes_on_otherwise(reshape, first):
        return None
    strays = strays_of(shape, reshape.after, then.reshape.new_offset, now.component_size)
    if strays is None:
        return None
    members = [
        _member_then(member, each, then, reshape, stayed=member.state.serves)
        for member, each in zip(now.members, chosen, strict=False)
    ]
    members += now.members[len(members) :]
    component_size = now.component_size
    try:
        description = replace(
            now,
            shape=reshape.after,
            size=usable_size((shape, reshape.after), [component_size] * max(shape.raid_disks, then.raid_disks)),
            members=tuple(members),
            reshape=replace(reshape, position_source="superblocks of members that left"),
            unsynced=Extents(),
            withheld="",
            strays=strays,
            dispute=Dispute(_reason(then, first)),
        )
    except InconsistentDescription:
        return None
    return Moment(description, tuple(_findings(description, then)))


def _left_underway(claim: MemberClaim, first: MemberClaim) -> bool:
    """Tell whether a member left while the array was reshaped, with a superblock that can be trusted."""
    return claim.intact and claim.reshape is not None and claim.events + 1 < first.events and claim.role >= 0


def _goes_on_otherwise(reshape: Reshape, first: MemberClaim) -> bool:
    """Tell whether the array is not what that reshape goes on to, or ends with."""
    shape, now = shapes_of(first)
    if now is None:
        return shape != reshape.after
    if (now.before, now.after, now.direction) != (reshape.before, reshape.after, reshape.direction):
        return True
    ahead = now.position - reshape.position
    return ahead < 0 if now.direction.is_forward else ahead > 0


def _member_then(member: Member, each: Claimed, then: MemberClaim, reshape: Reshape, *, stayed: bool) -> Member:
    """Return what a member was to the array then; `stayed`: it serves the array now."""
    claim, move = each.claim, then.reshape.new_offset if then.reshape else 0
    if not stayed and claim.reshape is None:
        return member
    role = claim.role
    if not stayed:
        old, new = geometries_of(claim)
        member = replace(member, role=role, data_offset=old.data_offset, new_data_offset=new.data_offset)
        if claim.reshape == then.reshape:
            note = f"left at this point of the reshape (events {claim.events}): it is trusted before those that stayed"
            return replace(member, state=State.IN_SYNC, note=note, past=None, recovered_to=None)
        return replace(member, past=Past(new.held, old.held))
    offset = claim.data_offset if claim.reshape is not None else claim.data_offset - move
    written = geometries_of(then)[1].held
    past = Past(written, _left_alone(claim, move), proven=written)
    note = "stayed when others left, and was written from wrong places since; only what agrees with them is sure"
    return replace(
        member,
        role=role,
        state=State.STALE,
        data_offset=offset,
        new_data_offset=offset + move,
        past=past,
        write_mostly=True,
        note=note,
    )


def _left_alone(claim: MemberClaim, move: int) -> Extents:
    """Return what a member that stayed still has in the old geometry, as far as is recorded [component bytes]."""
    if claim.reshape is not None:
        return geometries_of(claim)[0].held
    whole = Extents.span(0, claim.component_size or 0)
    return whole.difference(whole.shift(move))


def _reason(then: MemberClaim, first: MemberClaim) -> str:
    position = then.reshape.position if then.reshape else 0
    return (
        f"members left at position {position} of the reshape (events {then.events}, now {first.events}), and Linux "
        "moved the rest from wrong places; what those that left and those that stayed do not agree on"
    )


def _findings(description: ArrayDescription, then: MemberClaim) -> list[Finding]:
    """Say which members to trust, and why."""
    left = [member.path for member in description.members if member.state is State.IN_SYNC]
    stayed = [member.path for member in description.members if member.past and member.write_mostly]
    position = then.reshape.position if then.reshape else 0
    text = (
        f"trust {', '.join(left)}: Linux threw them out at position {position} of the reshape, by writing beyond their "
        f"end, and so did not spoil them; {', '.join(stayed)} went on, but what was moved since is not to be trusted. "
        "The array is read as it was then"
    )
    return [Finding(Severity.WARNING, "array", text)]
