"""Superblocks that make no sense to us, on members that the others can do without: these are set apart, as md does.

Where the others are not enough they are refused, with the field and its value: nobody knows what the array is then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from raidfs.array.choose import Claimed, freshest
from raidfs.array.description import LARGEST, odd_position
from raidfs.array.enough import is_enough
from raidfs.array.reshaping import shapes_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.finding import Finding, Severity


def without_nonsense(chosen: Sequence[Claimed]) -> tuple[list[Claimed], tuple[Finding, ...]]:
    """Take superblocks that make no sense for damaged, if the members whose superblocks do are enough.

    Args:
        chosen: the claims of one array.

    Returns:
        The claims in the same order; and what is said of them.
    """
    able = [each for each in chosen if each.claim.intact and each.claim.role >= 0 and each.claim.journal_tail is None]
    why = {each.path: _nonsense_in(each) for each in able}
    sound = [each for each in able if not why[each.path]]
    # among equals the one with the lowest number would count, see `raidfs.array.accusing`
    first = freshest(sorted(able, key=lambda each: each.claim.device_number)) if able else None
    if not sound or first is None or not why[first.path]:
        return list(chosen), ()
    newest = max(sound, key=lambda each: each.claim.events)
    latest = [each for each in sound if each.claim.events + 1 >= newest.claim.events]
    before, reshape = shapes_of(newest.claim)
    shapes = (before, reshape.after) if reshape else (before,)
    if not all(is_enough(shape, {each.claim.role for each in latest}) for shape in shapes):
        return list(chosen), ()
    ahead = range(newest.claim.events, newest.claim.events + 2)  # older ones contradict those that count anyway
    odd = {each.path for each in able if why[each.path] and each.claim.events in ahead}
    findings = tuple(
        Finding(Severity.WARNING, path, f"{why[path]}; the other members are enough, so nothing of it is sure")
        for path in sorted(odd)
    )
    return [
        replace(each, claim=replace(each.claim, intact=False), unsupported=()) if each.path in odd else each
        for each in chosen
    ], findings


def _nonsense_in(each: Claimed) -> str:
    """Say what of a superblock makes no sense, one clause with the member; empty: nothing."""
    claim = each.claim
    if each.unsupported:
        return f"{each.path}: {each.unsupported[0]}"
    if claim.reshape is not None and not 0 <= claim.reshape.position < LARGEST:
        return f"{each.path}: its reshape position {claim.reshape.position} is no place in any array"
    try:
        before, reshape = shapes_of(claim)
        obstacle = before.obstacle_to(reshape.after) if reshape else ""
        if reshape is not None and not obstacle and claim.component_size:
            n_roles = max(before.raid_disks, reshape.after.raid_disks)
            obstacle = odd_position(reshape, [claim.component_size] * n_roles)
    except (InconsistentDescription, UnsupportedMetadata) as error:
        return f"{each.path}: {error}"
    return f"{each.path}: {obstacle}" if obstacle else ""
