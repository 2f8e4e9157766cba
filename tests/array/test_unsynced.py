"""What the write-intent bitmaps of an array say together, and what is unproven then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raidfs.array.assemble import assemble
from raidfs.array.description import ArrayDescription
from raidfs.array.unsynced import Intent, intent_of, unsynced_of
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.superblock.claim import BitmapClaim
from tests.support.claims import OTHER, PLAIN, claimed, members

SIZE = 10 * 65536
FIRST, SECOND, BOTH = Extents.span(0, 65536), Extents.span(131072, 196608), Extents([(0, 65536), (131072, 196608)])
BITMAP = BitmapClaim(PLAIN.stored_uuids[0], 4, 40, 38, SIZE, FIRST)


def bitmap(**changes: Any) -> BitmapClaim:
    return replace(BITMAP, **changes)


def intent(*bitmaps: BitmapClaim) -> Intent | None:
    return intent_of(PLAIN, SIZE, [(f"sd{'abc'[number]}", each) for number, each in enumerate(bitmaps)])[0]


def described(*bitmaps: BitmapClaim | None, resync_offset: int | None = 0, **files: BitmapClaim) -> ArrayDescription:
    claims = [
        claimed(number, resync_offset=resync_offset, bitmap=each)
        for number, each in enumerate((*bitmaps, *[None] * (4 - len(bitmaps))))
    ]
    return assemble(claims, bitmaps=list(files.items())).description


def test_what_any_of_them_names_is_dirty() -> None:
    assert intent(BITMAP, bitmap(dirty=SECOND, events_cleared=39)) == Intent(BOTH, 39)
    assert intent() is None


def test_bits_that_one_of_them_can_tell_are_known() -> None:
    torn = bitmap(dirty=Extents(), unread=BOTH)
    assert intent(torn) == Intent(BOTH, 38)
    assert intent(torn, bitmap(dirty=Extents())) == Intent(Extents(), 38)
    assert intent(torn, bitmap(dirty=Extents(), unread=FIRST)) == Intent(FIRST, 38)
    (finding,) = intent_of(PLAIN, SIZE, [("sda", torn)])[1]
    assert "the bits for 128 KiB of each member can be read in no bitmap" in finding.message


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (bitmap(events=39), "is out of date (its events are 39, the array's 40)"),
        (bitmap(problem="the bitmap is marked as stale"), "is marked as stale"),
        (bitmap(covered=SIZE - 512), "is about 654848 bytes, not about the 655360 bytes"),
        (bitmap(array_uuid=bytes(16)), "is of another array"),
    ],
)
def test_a_bitmap_that_cannot_be_relied_on_says_nothing(bad: BitmapClaim, why: str) -> None:
    found, findings = intent_of(PLAIN, SIZE, [("sda", bad)])
    assert found is None
    assert [(each.severity, each.subject) for each in findings] == [(Severity.WARNING, "sda")]
    assert why in findings[0].message
    assert intent(bad, BITMAP) == Intent(FIRST, 38)


def test_newer_events_than_the_superblocks_are_right() -> None:
    """The bitmap is written before the superblocks; clean arrays count back by one."""
    assert intent(bitmap(events=41)) == Intent(FIRST, 38)


@pytest.mark.parametrize(
    ("resync_offset", "unsynced"),
    [
        (None, Extents()),
        (0, FIRST),
        (512, Extents.span(512, 65536)),
        (65536, Extents()),
        (1 << 72, Extents()),
    ],
)
def test_unproven_is_what_is_dirty_behind_the_resync_offset(resync_offset: int | None, unsynced: Extents) -> None:
    claim = replace(PLAIN, resync_offset=resync_offset)
    assert unsynced_of(claim, SIZE, Intent(FIRST, 38)) == unsynced
    assert described(BITMAP, resync_offset=resync_offset).unsynced == unsynced


def test_without_a_bitmap_everything_behind_the_resync_offset_is() -> None:
    assert described(resync_offset=65536).unsynced == Extents.span(65536, SIZE)
    assert described(bitmap(events=3)).unsynced == Extents.span(0, SIZE)


def test_the_bitmap_of_a_member_that_is_set_apart_does_not_count() -> None:
    claims = [*members(3, resync_offset=0, bitmap=BITMAP), claimed(3, events=20, bitmap=bitmap(dirty=SECOND))]
    assembly = assemble(claims)
    assert assembly.description.unsynced == FIRST
    assert not any("bitmap" in finding.message for finding in assembly.findings)


def test_a_damaged_superblock_vouches_for_no_bitmap() -> None:
    claims = [*members(3, resync_offset=0), claimed(3, intact=False, resync_offset=0, bitmap=BITMAP)]
    assert assemble(claims).description.unsynced == Extents.span(0, SIZE)


def test_a_file_counts_like_a_member() -> None:
    assert described(file=BITMAP).unsynced == FIRST
    assert described(file=bitmap(events=39)).unsynced == Extents.span(0, SIZE)
    foreign = bitmap(array_uuid=bytes.fromhex(OTHER.replace(":", "")))
    assert described(file=foreign).unsynced == Extents.span(0, SIZE)
