"""Whose word counts where superblocks contradict each other, by claims; what it costs in bytes is in `tests/cli`."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.array.accusing import Verdict, verdict_of
from raidfs.array.assemble import assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import State
from raidfs.array.enough import is_enough
from raidfs.array.shape import shape_of
from raidfs.superblock.claim import FAULTY, SPARE
from tests.support.claims import GROWTH, claimed

MIRROR: dict[str, Any] = {"level": 1, "layout": 0, "chunk_size": 0, "raid_disks": 2}


def mirror(number: int, *roles: int, **changes: Any) -> Claimed:
    return claimed(number, device_roles=roles, **{**MIRROR, **changes})


def is_quiet(verdict: Verdict) -> bool:
    return verdict == Verdict(verdict.reference)


# What happens to healthy arrays is no contradiction ----------------------------------------------------------------


@pytest.mark.parametrize(
    "group",
    [
        [claimed(n) for n in range(4)],
        # a crash while the failure of a member was being recorded
        [claimed(n, events=41 - (n == 1), device_roles=(0, FAULTY, 2, 3)) for n in range(4)],
        [claimed(0, events=41, device_roles=(0, FAULTY, 2, 3)), *(claimed(n) for n in (1, 2, 3))],
        # one that left long ago
        [claimed(1, events=20), *(claimed(n, device_roles=(0, FAULTY, 2, 3)) for n in (0, 2, 3))],
        # the same, with another disk in its place
        [claimed(1, events=20), *(claimed(n, device_roles=(0, SPARE, 2, 3, 1)) for n in (0, 2, 3, 4))],
        # a mirror of which first the one and then the other half was replaced
        [mirror(1, 0, 1, events=20), mirror(0, 0, SPARE, 1, events=30), mirror(2, SPARE, SPARE, 1)],
        # a member is being filled, and one that does not know it yet
        [
            claimed(0, events=41),
            claimed(1, events=41, recovery_offset=0),
            *(claimed(n, device_roles=(0, SPARE, 2, 3)) for n in (2, 3)),
        ],
    ],
)
def test_what_md_leaves_behind_is_no_contradiction(group: list[Claimed]) -> None:
    for order in permutations(group):
        verdict = verdict_of(order)
        assert is_quiet(verdict), verdict


def test_who_knew_of_a_failure_that_was_repaired_did_not_run_apart() -> None:
    """A RAID6: role 0 fails, then role 1 leaves, then role 0 comes back, rebuilt from the others."""
    told: dict[str, Any] = {"level": 6, "layout": 2, "raid_disks": 5}
    left = claimed(1, events=30, device_roles=(FAULTY, 1, 2, 3, 4), **told)
    now = [claimed(n, device_roles=(0, FAULTY, 2, 3, 4), **told) for n in (0, 2, 3, 4)]
    assert is_quiet(verdict_of([left, *now]))


# Contradictions ----------------------------------------------------------------------------------------------------


def test_halves_that_accuse_each_other() -> None:
    halves = [mirror(0, 0, FAULTY), mirror(1, FAULTY, 1)]
    for order in (halves, halves[::-1]):
        assembly = assemble(order)
        assert assembly.description.dispute is not None
        assert not assembly.description.dispute.likely
        assert assembly.description.serving.keys() == {0}
        assert assembly.rival is not None
        assert assembly.rival.serving.keys() == {1}


def test_the_last_update_serves_but_proves_nothing() -> None:
    halves = [mirror(0, 0, FAULTY), mirror(1, FAULTY, 1, updated=9_000_000)]
    assembly = assemble(halves)
    assert assembly.description.serving.keys() == {1}
    assert assembly.description.dispute is not None
    assert not assembly.description.dispute.likely


@pytest.mark.parametrize("lag", [1, 12])
def test_halves_that_ran_apart_to_unequal_events(lag: int) -> None:
    halves = [mirror(0, 0, FAULTY), mirror(1, FAULTY, 1, events=40 - lag)]
    assembly = assemble(halves)
    assert [member.state for member in assembly.description.members] == [State.IN_SYNC, State.FAULTY]
    assert any("sdb ran on without sda" in finding.message for finding in assembly.findings)
    past = assembly.description.members[1].past
    assert past is not None
    assert not past.proven


def test_a_raid5_whose_sides_shared_too_few_members_ran_apart() -> None:
    """Three of four are needed: whoever ran without role 3, and whoever ran without role 0, had only two in common."""
    one = [claimed(n, device_roles=(0, 1, 2, FAULTY)) for n in (0, 1, 2)]
    other = claimed(3, events=30, device_roles=(FAULTY, 1, 2, 3))
    assert any("ran on without" in finding.message for finding in verdict_of([*one, other]).findings)


def test_who_left_before_the_array_grew_did_not_run_on() -> None:
    """Role 4 came later; that nobody had it when the member left says nothing."""
    ten: dict[str, Any] = {"level": 10, "layout": 0x102}
    growing = replace(GROWTH, delta_disks=2, new_level=10, new_layout=0x102)
    now = [
        claimed(n, raid_disks=6, device_roles=(0, SPARE, 2, 3, 4, 1), reshape=growing, **ten) for n in (0, 2, 3, 4, 5)
    ]
    left = claimed(1, events=17, device_roles=(0, 1, 2, 3), **ten)
    assert not any("ran on without" in finding.message for finding in verdict_of([*now, left]).findings)


def test_one_against_three() -> None:
    odd = claimed(2, device_roles=(FAULTY, FAULTY, 2, FAULTY), updated=9_000_000)
    group = [claimed(0), claimed(1), odd, claimed(3)]
    for order in permutations(group):
        description = assemble(order).description
        assert {member.path for member in description.serving.values()} == {"sda", "sdb", "sdc", "sdd"}
        assert {member.path for member in description.members if member.contested} == {"sdc"}
        assert not description.withheld


def test_where_none_are_enough_all_serve_and_nothing_is_sure() -> None:
    group = [claimed(n, device_roles=tuple(m if m == n else FAULTY for m in range(4))) for n in range(4)]
    for order in permutations(group):
        description = assemble(order).description
        assert len(description.serving) == 4
        assert "none that agree are enough" in description.withheld


def test_one_who_is_a_single_event_behind_and_accuses_the_freshest() -> None:
    late = claimed(1, events=39, device_roles=(FAULTY, 1, 2, 3))
    verdict = verdict_of([late, *(claimed(n) for n in (0, 2, 3))])
    assert verdict.contested.keys() == {"sdb"}


def test_copies_of_two_shapes_that_are_both_enough() -> None:
    group = [mirror(0, 0, 1), mirror(1, 0, 1, component_size=9 * 65536)]
    for order in (group, group[::-1]):
        assembly = assemble(order)
        assert assembly.description.dispute is not None
        assert not assembly.description.dispute.likely
        assert assembly.reference is not None
        assert assembly.reference.path == "sda"


def test_three_against_one_about_the_chunk() -> None:
    for events in (40, 41):
        group = [claimed(0, chunk_size=131072, events=events), *(claimed(n) for n in (1, 2, 3))]
        for order in permutations(group):
            description = assemble(order).description
            assert description.shape.chunk_size == 65536
            assert not description.withheld
            assert {member.path: member.state for member in description.members}["sda"] in (
                State.DAMAGED,
                State.INCOMPATIBLE,
            )


@pytest.mark.parametrize("sixes", [(2, 3), (0, 1), (1, 2)])
def test_two_that_are_just_enough_do_not_outvote_two(sixes: tuple[int, ...]) -> None:
    """Two of a RAID6 of four are enough to run it, and nothing is left to check what they say."""
    group = [claimed(n, level=6 if n in sixes else 5) for n in range(4)]
    for order in permutations(group):
        verdict = verdict_of(order)
        assert "as many others" in verdict.withheld
        assert "tell of different arrays" in verdict.withheld
    group = [claimed(n, level=5 if n in sixes[:1] else 6) for n in range(4)]
    assert all(not verdict_of(order).withheld for order in permutations(group))


def test_a_lone_newer_word_against_older_ones_withholds_all() -> None:
    group = [claimed(0, chunk_size=131072, events=60), *(claimed(n) for n in (1, 2, 3))]
    assert "sda alone says chunk_size 131072" in assemble(group).description.withheld


_ROLES = st.sampled_from([0, 1, 2, 3, FAULTY, SPARE])


@st.composite
def contradictory(draw: st.DrawFn) -> list[Claimed]:
    """Members of a RAID5 or of a mirror whose tables, events and chunks say anything."""
    group = []
    level: dict[str, Any] = draw(st.sampled_from([{}, {**MIRROR, "raid_disks": 4}]))
    for number in range(draw(st.integers(2, 4))):
        roles = [role if draw(st.integers(0, 3)) else draw(_ROLES) for role in range(4)]
        roles[number] = number
        told = dict(level)
        if draw(st.integers(0, 4)) == 0:
            told["component_size"] = 9 * 65536
        events, updated = draw(st.sampled_from([40, 40, 40, 41, 50])), draw(st.sampled_from([5, 5, 6]))
        group.append(claimed(number, device_roles=tuple(roles), events=events, updated=updated, **told))
    return group


@given(contradictory(), st.randoms(use_true_random=False))
def test_the_order_of_arguments_decides_nothing(group: list[Claimed], random: Any) -> None:
    shuffled = [*group]
    random.shuffle(shuffled)
    one, other = verdict_of(group), verdict_of(shuffled)
    assert one == other
    mine, theirs = assemble(group), assemble(shuffled)
    by_path = [sorted(each.description.members, key=lambda member: member.path) for each in (mine, theirs)]
    assert by_path[0] == by_path[1]
    assert replace(mine.description, members=()) == replace(theirs.description, members=())
    assert sorted(each.message for each in mine.findings) == sorted(each.message for each in theirs.findings)


# What is enough ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "enough", "too_few"),
    [
        ((1, 0, 0, 3), [{2}, {0, 1}], [set()]),
        ((0, 0, 65536, 3), [{0, 1, 2}], [{0, 1}]),
        ((5, 2, 65536, 4), [{0, 1, 2}, {1, 2, 3}], [{0, 1}, {0, 7, 8}]),
        ((6, 2, 65536, 5), [{0, 1, 4}], [{0, 1}]),
        ((10, 0x102, 65536, 4), [{0, 2}, {1, 3}, {0, 3}], [{0, 1}, {0}]),
        ((10, 0x102, 65536, 5), [{0, 2, 4}, {1, 3, 4}, {0, 1, 2, 4}], [{0, 1, 2}, {0, 2}]),
        ((10, 0x201, 65536, 4), [{0, 2}, {1, 3}], [{0, 3}, {0, 1}]),
    ],
)
def test_which_roles_are_enough(
    shape: tuple[int, int, int, int], enough: list[set[int]], too_few: list[set[int]]
) -> None:
    assert all(is_enough(shape_of(*shape), roles) for roles in enough)
    assert not any(is_enough(shape_of(*shape), roles) for roles in too_few)
