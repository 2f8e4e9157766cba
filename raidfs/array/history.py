"""What members that left tell of earlier moments of an array's reshapes, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from raidfs.array.choose import Claimed
from raidfs.array.description import Reshape
from raidfs.array.reshaping import shapes_of
from raidfs.array.shape import Shape
from raidfs.array.strays import Strays, strays_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import MemberClaim

RAID10 = 10
NEVER_COUNT = (-1, 0)
"""Levels whose superblocks are never written again: linear and RAID0."""


def failed_underway(first: MemberClaim, others: Sequence[MemberClaim]) -> str:
    """Say that members of a RAID10 left while it was reshaped to an offset layout, one sentence; or ''.

    Linux fails members that it itself writes beyond the end of (`raidfs.array.strays`), and goes on without them from
    places that were spoilt: real arrays whose data were whole only on those that it threw out. So what was moved after
    they left is not sure, be they here or not. Other reshapes go on rightly without a member: more members, another
    chunk, and offset to near copies, as real arrays show that lost one before or underway.
    """
    before, now = shapes_of(first)
    if not before.moves_exactly:
        return ""
    for claim, reshape in _earlier(first, others):
        if _leaves_strays(claim) and (now is not None or reshape.after == before):
            return (
                f"a member left at position {reshape.position} of the reshape (events {claim.events}, now "
                f"{first.events}) to an offset layout, and Linux is known to move a RAID10 wrongly after that"
            )
    failed = sorted({*range(first.raid_disks)}.difference(first.device_roles))
    if failed and _leaves_strays(first):
        when = "is reshaped to an offset layout, or before" if now else "was reshaped to an offset layout, or since"
        return (
            f"a member has failed (role {failed[0]}) while the array {when}, and Linux is known to move a RAID10 "
            "wrongly then; give the members that left, too"
        )
    return ""


def _leaves_strays(claim: MemberClaim) -> bool:
    """Tell whether the reshape that runs, or the last one that ran, may have put copies at wrong places."""
    return strays_recorded(claim, claim.component_size or 0) is not None


def strays_recorded(claim: MemberClaim, component_size: int) -> Strays | None:
    """Say what the reshape that runs, or the last one that ran, may have put at wrong places."""
    shape, reshape = shapes_of(claim)
    if reshape is not None and claim.reshape is not None:
        return strays_of(reshape.before, reshape.after, claim.reshape.new_offset, component_size)
    last = claim.last_reshape
    if last is None or last.delta_disks or (last.new_layout, last.new_chunk_size) != (claim.layout, claim.chunk_size):
        return None
    return strays_of(None, shape, last.new_offset, component_size)


def degraded_since(reference: Claimed) -> list[Finding]:
    """Name a RAID10 with offset copies that was reshaped from nobody knows what, and lacks a member.

    It may have been moved wrongly, see `failed_underway`; but when the member left is nowhere to be read, so this is no
    reason to withhold anything.
    """
    claim = reference.claim
    failed = sorted({*range(claim.raid_disks)}.difference(claim.device_roles))
    if claim.level != RAID10 or claim.reshape is not None or claim.last_reshape is None or not failed:
        return []
    shape, _ = shapes_of(claim)
    if _leaves_strays(claim) or not shape.copies.is_offset:
        return []  # all of it is withheld, or nothing is wrong with it
    text = (
        f"role {failed[0]} has failed, and the array was reshaped once: if that was from near copies, while it was "
        "reshaped, Linux is known to have moved data wrongly after it; give the members that left, too, and check "
        "files before you trust them"
    )
    return [Finding(Severity.WARNING, "array", text)]


def created_over(reference: Claimed) -> list[Finding]:
    """Name an array with redundancy that was created and never ran: it may lie over an older one.

    `mdadm --create --assume-clean` writes such superblocks, and is what people try on an array that no longer comes up.
    What they say of level, chunk, order and offsets is then a guess of whoever typed it.
    """
    claim = reference.claim
    if claim.events or claim.level in NEVER_COUNT or claim.resync_offset is not None or claim.reshape is not None:
        return []
    text = (
        "the array was created without building its redundancy (mdadm --create --assume-clean) and never ran since: "
        "if it lies over an older one, level, chunk, order and offsets may be wrong, and so may be every byte; check "
        "files before you trust them"
    )
    return [Finding(Severity.WARNING, "array", text)]


def turned_back(reference: Claimed, others: Sequence[Claimed]) -> list[Finding]:
    """Name members that know a reshape which did not end as it began.

    A position only moves one way, and a reshape begins from where the last one ended. Where an older superblock says
    otherwise, the reshape was reverted meanwhile, which is fine, or it was begun over data that it had moved already,
    which destroys them; superblocks do not tell which.
    """
    before, now = shapes_of(reference.claim)
    findings = []
    for each in others:
        for claim, reshape in _earlier(reference.claim, [each.claim]):
            told = _other_way(reshape, before, now)
            if told:
                text = (
                    f"{each.path} left at position {reshape.position} of a reshape to {reshape.after} (events "
                    f"{claim.events}, now {reference.claim.events}), but {told}"
                )
                findings.append(Finding(Severity.WARNING, each.path, text))
    return findings


def _other_way(earlier: Reshape, before: Shape, now: Reshape | None) -> str:
    """Say in which way the array did not go on as a reshape went, one clause; or ''."""
    if now is None:
        if before != earlier.before or not earlier.position:
            return ""
        return "the array has the shape from before it: it was reverted, or its superblocks were written anew"
    if (now.before, now.after) == (earlier.after, earlier.before) or now.before != earlier.before:
        return ""
    if now.after != earlier.after:
        return f"one to {now.after} runs: the first was reverted, or the second was begun over it, which destroys data"
    ahead = earlier.position - now.position
    if (ahead < 0) if now.direction.is_forward else (ahead > 0):
        return ""
    if not ahead or earlier.direction != now.direction:
        return ""
    return f"its position is {now.position} now: it was reverted and begun again, or begun anew, which destroys data"


def _earlier(first: MemberClaim, others: Sequence[MemberClaim]) -> list[tuple[MemberClaim, Reshape]]:
    """Return the older claims of an active reshape that make sense."""
    found = []
    for claim in others:
        if claim.reshape is None or claim.events + 1 >= first.events or not claim.intact:
            continue
        try:
            _, reshape = shapes_of(claim)
        except (InconsistentDescription, UnsupportedMetadata):
            continue
        if reshape is not None:
            found.append((claim, reshape))
    return found
