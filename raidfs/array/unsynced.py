"""Which parts of an array may have been in the middle of being written: its write-intent bitmaps, taken together.

md writes a bit to every member before the data, and clears it long after; so each bitmap that is up to date is enough
by itself, and what any of them names may be out of step. A bitmap older than the superblocks says nothing
(`md-bitmap.c: md_bitmap_read_sb`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.array.choose import Claimed
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import BitmapClaim, MemberClaim
from raidfs.units import format_size


@dataclass(frozen=True)
class Intent:
    """What the bitmaps of an array say.

    Attributes:
        dirty: where writes may have been under way, or may be missing on a member that left [component bytes].
        events_cleared: what a member with at least these events did not miss is clean in `dirty`.
    """

    dirty: Extents
    events_cleared: int


def intent_of(
    reference: MemberClaim, size: int, bitmaps: Sequence[tuple[str, BitmapClaim]]
) -> tuple[Intent | None, list[Finding]]:
    """Take bitmaps together.

    Args:
        reference: the claim that counts.
        size: what bitmaps of this array are about [component bytes].
        bitmaps: (path, bitmap) of the members that serve, and of files.

    Returns:
        None where no bitmap can be relied on; and what is wrong with those that can't.
    """
    findings: list[Finding] = []
    usable: list[BitmapClaim] = []
    for path, bitmap in bitmaps:
        problem = _problem(reference, size, bitmap)
        if problem:
            findings.append(Finding(Severity.WARNING, path, f"{path}: {problem}; it is not used"))
        else:
            usable.append(bitmap)
    if not usable:
        return None, findings
    unread = usable[0].unread
    for bitmap in usable[1:]:
        unread = unread.intersection(bitmap.unread)
    dirty = unread.union(*(bitmap.dirty for bitmap in usable))
    if unread:
        text = f"the bits for {format_size(unread.total)} of each member can be read in no bitmap: they count as set"
        findings.append(Finding(Severity.WARNING, "array", text))
    return Intent(dirty, max(bitmap.events_cleared for bitmap in usable)), findings


def unsynced_of(reference: MemberClaim, size: int, intent: Intent | None) -> Extents:
    """Return where redundancy is not proven to agree with the data [component bytes].

    Args:
        reference: the claim that counts.
        size: as far as redundancy reaches [component bytes].
        intent: what the bitmaps say, or None.
    """
    if reference.resync_offset is None:
        return Extents()
    behind = Extents.span(min(reference.resync_offset, size), size)
    return behind if intent is None else behind.intersection(intent.dirty)


def bitmaps_in_use(chosen: Sequence[Claimed], serving: Sequence[bool]) -> list[tuple[str, BitmapClaim]]:
    """Return the bitmaps of the members that serve; `serving`: by claim. Those that are set apart have old ones."""
    return [
        (each.path, each.bitmap)
        for each, serves in zip(chosen, serving, strict=True)
        if serves and each.bitmap is not None and each.claim.intact
    ]


def _problem(reference: MemberClaim, size: int, bitmap: BitmapClaim) -> str:
    """Say why a bitmap does not count; empty: it does."""
    if bitmap.problem:
        return bitmap.problem
    if bitmap.array_uuid not in reference.stored_uuids:
        return "the bitmap is of another array"
    if bitmap.events < reference.events:
        return f"the bitmap is out of date (its events are {bitmap.events}, the array's {reference.events})"
    if bitmap.covered != size:
        return f"the bitmap is about {bitmap.covered} bytes, not about the {size} bytes that are kept in sync"
    return ""
