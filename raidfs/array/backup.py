"""Whether one of mdadm's backups is about the reshape that an array is in the middle of."""

from __future__ import annotations

from math import lcm

from raidfs.array.description import ArrayDescription, Direction
from raidfs.superblock.claim import BackupClaim, BackupPart, stored_uuids
from raidfs.units import format_time

_BEFORE, _AFTER = 2 * 3600, 600
"""How long before and after the last superblock update a backup may have been written [seconds]; by clocks of one host,
mdadm takes none that is further off (`Grow.c: Grow_restart`)."""


def reason_for_none(description: ArrayDescription) -> str:
    """Say why mdadm takes no backup for what an array does, one clause; empty: it may have taken one."""
    reshape = description.reshape
    if reshape is None:
        return "no reshape is under way"
    if not reshape.after.has_parity:
        return f"mdadm takes no backups of a {reshape.after.level.title}"
    if any(member.data_offset != member.new_data_offset for member in description.serving.values()):
        return "this reshape moves its data to other offsets, for which mdadm takes no backup"
    return ""


def parts_ahead(description: ArrayDescription, claim: BackupClaim) -> tuple[BackupPart, ...] | str:
    """Return what a backup holds of data that the reshape is not recorded to have passed; or why that is nothing.

    Behind the position a backup may be older than the array, for writes are let through there while the header still
    names the part.

    Args:
        description: the array.
        claim: what the header says.

    Returns:
        Parts, cut at the position; or one clause.
    """
    none = reason_for_none(description) or claim.problem
    if none:
        return none
    reshape = description.reshape
    assert reshape is not None, "checked above"
    if claim.array_uuid not in stored_uuids(description.uuid):
        return "it is of another array"
    unit = lcm(reshape.before.stripe_size, reshape.after.stripe_size)
    forward, position = reshape.direction is Direction.FORWARD, reshape.position
    for part in claim.parts:
        odd = part.length % unit and part.array_stop != description.size
        if part.array_start % unit or odd or part.array_stop > description.size:
            told = f"the array bytes {part.array_start} to {part.array_stop}"
            return f"it is of another reshape: {told} are no whole steps of this one ({unit} bytes each)"
    low, high = min(part.array_start for part in claim.parts), max(part.array_stop for part in claim.parts)
    if not low <= position <= high:
        where = "behind" if (high < position) == forward else "ahead of"
        return f"it is of another moment: the array bytes {low} to {high} lie {where} the position ({position})"
    cut = [
        BackupPart(start, stop - start, part.at + start - part.array_start)
        for part in claim.parts
        for start, stop in [
            (max(part.array_start, position), part.array_stop)
            if forward
            else (part.array_start, min(part.array_stop, position))
        ]
        if start < stop
    ]
    return tuple(cut) or f"all of it lies behind the position ({position}), where the array has it"


def misdated(description: ArrayDescription, claim: BackupClaim) -> str:
    """Say why a backup is hardly of the moment of the crash, by its time, one clause; empty: it may be.

    No more than a hint: the clocks of rescue systems are wrong.
    """
    last = description.updated // 1_000_000
    if not last or last - _BEFORE <= claim.written <= last + _AFTER:
        return ""
    written, updated = format_time(claim.written * 1_000_000), format_time(description.updated)
    return f"it was written at {written}, but the array last told its position at {updated}"


def turn_of(description: ArrayDescription, parts: tuple[BackupPart, ...]) -> int:
    """Return how far ahead of what lay in a part's place before the part itself lies [array bytes, signed]; 0: nothing.

    A growing array has one part only. Else mdadm writes two of one length in turns, each over the one before the last
    (`Grow.c: child_monitor`).
    """
    reshape = description.reshape
    if reshape is None or reshape.after.n_data > reshape.before.n_data:
        return 0
    turn = 2 * max(part.length for part in parts)
    return turn if reshape.direction is Direction.FORWARD else -turn
