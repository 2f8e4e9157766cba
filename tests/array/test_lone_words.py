"""Superblocks that tell, alone, what all members would have to know: a reshape under way, or nonsense; and ties."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raidfs.array.assemble import Assembly, assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import State
from raidfs.errors import UnsupportedMetadata
from tests.support.claims import GROWTH, claimed

STEP = 4 * 65536
"""A whole stripe of five members."""


def begun(number: int, position: int, events: int) -> Claimed:
    """A member that says that the array grows from four members to five."""
    return claimed(number, events=events, raid_disks=5, reshape=replace(GROWTH, position=position))


def states(assembly: Assembly) -> list[State]:
    return [member.state for member in sorted(assembly.description.members, key=lambda member: member.path)]


@pytest.mark.parametrize("who", range(4))
@pytest.mark.parametrize("events", [40, 41])
def test_a_reshape_under_way_of_which_one_member_tells_alone(who: int, events: int) -> None:
    """Its position was recorded on all of them, if it is not the first."""
    claims = [begun(n, STEP, events) if n == who else claimed(n) for n in range(4)]
    assembly = assemble(claims)
    assert assembly.description.reshape is None
    assert assembly.description.shape.raid_disks == 4
    assert [n for n, state in enumerate(states(assembly)) if state is not State.IN_SYNC] == [who]


def test_one_that_has_just_begun_is_known_to_one_member_first() -> None:
    assembly = assemble([begun(0, 0, 41), *(claimed(n) for n in range(1, 4))])
    assert assembly.description.reshape is not None
    assert states(assembly) == [State.IN_SYNC] * 4


def test_a_shrink_begins_at_the_end() -> None:
    back = replace(GROWTH, delta_disks=-1, backwards=True)
    for position, is_begun in ((10 * 2 * 65536, True), (5 * 2 * 65536, False)):
        first = claimed(0, events=41, raid_disks=3, reshape=replace(back, position=position))
        assembly = assemble([first, *(claimed(n) for n in range(1, 4))])
        assert (assembly.description.reshape is not None) is is_begun


NONSENSE: list[dict[str, Any]] = [
    {"level": 99},
    {"raid_disks": 0},
    {"unsupported": ("feature_map is 0x8000",)},
    {"reshape": replace(GROWTH, position=1 << 63)},
    {"reshape": replace(GROWTH, new_layout=77)},
]


@pytest.mark.parametrize("changes", NONSENSE, ids=str)
@pytest.mark.parametrize("who", range(4))
def test_nonsense_on_one_member_is_set_apart_whatever_its_number(changes: dict[str, Any], who: int) -> None:
    assembly = assemble([claimed(n, **changes) if n == who else claimed(n) for n in range(4)])
    assert [n for n, state in enumerate(states(assembly)) if state is not State.IN_SYNC] == [who]
    assert assembly.description.withheld == ""
    assert any(f"sd{'abcd'[who]}" in each.message for each in assembly.findings)


def test_where_the_others_are_not_enough_it_is_refused() -> None:
    with pytest.raises(UnsupportedMetadata, match="sda: feature_map is 0x8000"):
        assemble([claimed(0, unsupported=("feature_map is 0x8000",)), claimed(1), claimed(2)])


def test_as_many_for_either_story_withhold_all() -> None:
    """Two members have each other's role, as they say; the other two say something else."""
    swapped = (1, 0, 2, 3)
    assembly = assemble([claimed(n, device_roles=swapped if n < 2 else (0, 1, 2, 3)) for n in range(4)])
    assert "as many say either" in assembly.description.withheld
