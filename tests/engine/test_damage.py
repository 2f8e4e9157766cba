"""What is known against each member without reading it, and the trust that is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Past, State
from raidfs.engine.damage import NO_TRUST, Flaw, flaws_at, flaws_of_past, known_flaws, trust_map
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side
from tests.support.samples import sample
from tests.support.simulated import describe, plain_description, with_member

START = 65536
SIZE = START + 8 * 4096
WHOLE = [1 << 20] * 4


def told(
    description: ArrayDescription, sizes: list[int] = WHOLE
) -> list[tuple[int, list[tuple[int, int]], Trust, str]]:
    flaws = known_flaws(description, description.of_roles(sorted(description.serving)), sizes)
    return [(flaw.source, list(flaw.extents), flaw.trust, flaw.reason) for flaw in flaws]


def test_of_a_whole_array_nothing_is_known() -> None:
    assert told(plain_description()) == []
    assert told(plain_description(), [SIZE] * 4) == []


def test_an_image_that_is_too_short_lacks_its_end() -> None:
    assert told(plain_description(), [SIZE, SIZE - 1, SIZE + 1, 10]) == [
        (1, [(SIZE - 1, SIZE)], Trust.NONE, f"the image ends at {SIZE - 1} bytes"),
        (3, [(10, SIZE)], Trust.NONE, "the image ends at 10 bytes"),
    ]


def test_a_bad_block_log_is_believed() -> None:
    bad = Extents([(START, START + 512), (0, 512)])
    reason = "in the member's bad-block log"
    assert told(with_member(plain_description(), 2, bad_blocks=bad)) == [(2, list(bad), Trust.NONE, reason)]


def test_beyond_its_recovery_offset_a_member_has_nothing() -> None:
    description = with_member(plain_description(), 1, state=State.RECOVERING, recovered_to=4096)
    assert told(description) == [(1, [(START + 4096, SIZE)], Trust.NONE, "beyond the member's recovery offset")]
    done = with_member(plain_description(), 1, state=State.RECOVERING, recovered_to=8 * 4096)
    assert told(done) == []


def test_a_member_that_left_is_doubtful_but_for_what_is_proven() -> None:
    past = Past(Extents.span(0, 8192), Extents(), Extents.span(4096, 8192))
    description = with_member(plain_description(), 1, state=State.STALE, past=past, events=7)
    flaws = list(flaws_of_past(description, description.members[1], 5))
    assert [(flaw.source, list(flaw.extents), flaw.trust, flaw.side) for flaw in flaws] == [
        (5, [(0, START), (START + 8192, SIZE)], Trust.NONE, Side.ONLY),
        (5, [(START, START + 4096)], Trust.DOUBTFUL, Side.ONLY),
    ]
    assert "may have been written since" in flaws[1].reason


def test_a_member_that_left_in_a_reshape_has_its_part_of_each_side() -> None:
    array = sample("growing")
    description = describe(array)
    (old, new) = (description.members[0].data_offset, description.members[0].new_data_offset)
    past = Past(Extents.span(0, 4096), Extents.span(8192, 12288))
    description = with_member(description, 0, state=State.FAULTY, past=past)
    flaws = [flaw for flaw in flaws_of_past(description, description.members[0], 0) if flaw.trust is Trust.DOUBTFUL]
    assert [(list(flaw.extents), flaw.side) for flaw in flaws] == [
        ([(new, new + 4096)], Side.AFTER),
        ([(old + 8192, old + 12288)], Side.BEFORE),
    ]


def test_a_damaged_superblock_makes_its_member_doubtful() -> None:
    description = with_member(plain_description(), 1, state=State.DAMAGED, note="its superblock is damaged")
    assert told(description) == [(1, [(0, 1 << 20)], Trust.DOUBTFUL, "its superblock is damaged")]


def test_what_speaks_against_the_array_speaks_against_every_member() -> None:
    flaws = told(replace(plain_description(), withheld="a journal is missing"))
    assert flaws == [(n, [(0, 1 << 20)], Trust.DOUBTFUL, "a journal is missing") for n in range(4)]


def test_what_the_reshape_rewrote_is_gone_for_the_old_geometry_only() -> None:
    array = sample("growing")
    description = describe(array, without=(2,))
    flaws = known_flaws(description, description.of_roles([0, 1, 3]), [array.size_of_device] * 3)
    new = array.members[0].new_data_offset
    done = array.position // 3
    gone = [flaw for flaw in flaws if flaw.reason == "rewritten in the new geometry"]
    assert [(flaw.source, list(flaw.extents), flaw.side) for flaw in gone] == [
        (source, [(new, new + done)], Side.BEFORE) for source in range(3)
    ]
    risk = [flaw for flaw in flaws if flaw.trust is Trust.DOUBTFUL]
    assert {(flaw.source, flaw.side) for flaw in risk} == {(source, Side.BEFORE) for source in range(3)}
    assert all(flaw.extents.array[0, 0] == new + done for flaw in risk)
    assert len(gone) + len(risk) == len(flaws)


def test_roles_that_leave_are_not_rewritten() -> None:
    array = sample("shrinking")
    description = describe(array)
    flaws = known_flaws(description, description.of_roles(sorted(description.serving)), [array.size_of_device] * 6)
    assert 5 in description.serving
    assert {flaw.source for flaw in flaws} == set(range(5))


def test_a_member_that_a_reshape_fills_never_held_the_old_geometry() -> None:
    description = with_member(describe(sample("growing")), 1, state=State.RECOVERING, recovered_to=20480)
    flaws = known_flaws(description, description.of_roles([0, 1, 2, 3]), [sample("growing").size_of_device] * 4)
    mine = {flaw.reason: flaw for flaw in flaws if flaw.source == 1}
    never = mine["the member never held the old geometry"]
    assert (never.side, never.trust) == (Side.BEFORE, Trust.NONE)
    assert never.extents.contains(0, sample("growing").size_of_device)
    beyond = mine["beyond the member's recovery offset"]
    assert beyond.side is None
    assert beyond.extents.array[0, 0] == sample("growing").members[1].new_data_offset + 20480


def test_flaws_are_found_by_place() -> None:
    flaws = [
        Flaw(0, Extents.span(0, 100), Trust.NONE, "a"),
        Flaw(0, Extents.span(50, 60), Trust.DOUBTFUL, "b", Side.BEFORE),
        Flaw(1, Extents.span(0, 100), Trust.NONE, "c"),
    ]
    found = {
        (side, at): [flaw.reason for flaw in flaws_at(flaws, 0, side, at)]
        for side in Side
        for at in (0, 50, 59, 60, 99, 100)
    }
    assert found[Side.BEFORE, 50] == found[Side.BEFORE, 59] == ["a", "b"]
    assert found[Side.BEFORE, 60] == found[Side.AFTER, 50] == found[Side.ONLY, 99] == ["a"]
    assert found[Side.BEFORE, 100] == []


@given(
    st.lists(st.tuples(st.integers(-20, 60), st.integers(0, 30), st.sampled_from(list(Trust))), max_size=6),
    st.lists(st.integers(0, 90), min_size=1, max_size=20),
)
def test_the_least_trust_wins(told_ranges: list[tuple[int, int, Trust]], positions: list[int]) -> None:
    laid = trust_map([(Extents.span(start, start + length), trust) for start, length, trust in told_ranges])
    expected = [
        max((trust for start, length, trust in told_ranges if start <= at < start + length), default=Trust.SURE)
        for at in positions
    ]
    assert laid.at(np.array(positions, dtype=np.int64)).tolist() == expected
    assert (laid.start[1:] > laid.start[:-1]).all()
    assert set(NO_TRUST.at(np.array([0, 1 << 50])).tolist()) == {Trust.NONE}
