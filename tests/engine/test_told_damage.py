"""What is told and what is learned, merged and counted."""

from __future__ import annotations

from raidfs.block import MemorySource
from raidfs.engine.damage import UNREADABLE, Flaw, bytes_by_reason, merged_flaws, unread_flaws
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side


def flaw(source: int, start: int, stop: int, reason: str = UNREADABLE, side: Side | None = None) -> Flaw:
    return Flaw(source, Extents.span(start, stop), Trust.NONE, reason, side, curable=reason == UNREADABLE)


def test_what_a_source_knows_and_nobody_told_is_a_flaw() -> None:
    sources = [MemorySource(bytes(4096)), MemorySource(bytes(4096), Extents([(0, 512), (1024, 2048)]))]
    assert unread_flaws(sources, ()) == (
        Flaw(1, Extents([(0, 512), (1024, 2048)]), Trust.NONE, UNREADABLE, curable=True),
    )
    assert unread_flaws(sources, [flaw(1, 0, 1500, "told")]) == (flaw(1, 1500, 2048),)
    assert unread_flaws(sources, [flaw(1, 0, 4096, "told")]) == ()


def test_only_what_makes_a_byte_unreadable_for_all_is_told_already() -> None:
    sources = [MemorySource(bytes(4096), Extents.span(0, 512))]
    doubtful = Flaw(0, Extents.span(0, 4096), Trust.DOUBTFUL, "told")
    for told in (doubtful, flaw(0, 0, 4096, "rewritten", Side.BEFORE), flaw(7, 0, 4096)):
        assert unread_flaws(sources, [told]) == (flaw(0, 0, 512),)


def test_flaws_alike_become_one_but_not_those_that_are_fixed() -> None:
    fixed = (flaw(0, 0, 512), flaw(1, 0, 512, "told"))
    known = merged_flaws(fixed, 2, [flaw(0, 512, 1024), flaw(1, 512, 1024, "told"), flaw(0, 2048, 2560)])
    assert known[:2] == fixed
    assert known[2:] == (
        Flaw(0, Extents([(512, 1024), (2048, 2560)]), Trust.NONE, UNREADABLE, curable=True),
        flaw(1, 512, 1024, "told"),
    )
    assert merged_flaws(known, 2, [flaw(0, 1024, 2048)])[2] == flaw(0, 512, 2560)
    assert len(merged_flaws(known, 2, [flaw(1, 0, 512)])) == 5


def test_bytes_are_counted_once_by_reason_and_within_the_image() -> None:
    flaws = [flaw(0, 0, 1024, "a"), flaw(0, 512, 1 << 62, "a"), flaw(0, 0, 512, "b"), flaw(1, 0, 9, "a")]
    flaws += [flaw(0, 0, 512, "c", Side.BEFORE), flaw(0, 1 << 40, 1 << 41, "d")]
    assert bytes_by_reason(flaws, 0, 4096) == [("a", 4096), ("b", 512)]
