"""Which array is meant, and whose word counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raidfs.array.choose import choose_array, freshest
from raidfs.errors import AmbiguousArray, AssemblyError
from raidfs.superblock.claim import FAULTY, SPARE
from tests.support.claims import GROWTH, OTHER, UUID, claimed, members

MINE = members()
THEIRS = [claimed(number, f"other{number}", array_uuid=OTHER, array_name="host:old") for number in range(3)]


def test_one_array_needs_no_choice() -> None:
    assert choose_array(MINE, None) == MINE


@pytest.mark.parametrize(
    "wanted",
    [
        UUID,
        UUID.replace(":", ""),
        "11111111-2222-2222-3333-333344444444",
        "1111",
        "11111111:22",
        UUID.upper(),
        "data",
        "host:data",
    ],
)
def test_it_is_chosen_by_uuid_or_name(wanted: str) -> None:
    assert choose_array([*THEIRS, *MINE], wanted) == MINE
    assert choose_array(MINE, wanted) == MINE


@pytest.mark.parametrize("wanted", ["999", "111", "1112", "host", "", "dat", "host:", "old"])
def test_what_is_not_there_is_named_with_what_is(wanted: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        choose_array(MINE, wanted)
    assert str(caught.value) == f"no array here has the uuid or name {wanted!r}; there are: {UUID} host:data"


def test_several_arrays_are_listed() -> None:
    with pytest.raises(AmbiguousArray, match="members of 2 arrays; choose one with --uuid") as caught:
        choose_array([MINE[0], *THEIRS, *MINE[1:]], None)
    mine, theirs = caught.value.choices
    assert mine == f"{UUID} host:data: raid5 of 4 members, 640 KiB each: sda, sdb, sdc, sdd"
    assert theirs.startswith(f"{OTHER} host:old: raid5 of 4 members")
    assert theirs.endswith(": other0, other1, other2")


def test_a_name_that_two_arrays_have_does_not_choose() -> None:
    theirs = [replace(each, claim=replace(each.claim, array_name="away:data")) for each in THEIRS]
    with pytest.raises(AmbiguousArray):
        choose_array([*MINE, *theirs], "data")
    assert choose_array([*MINE, *theirs], "host:data") == MINE


def test_a_damaged_superblock_founds_no_array() -> None:
    broken = claimed(3, "broken", array_uuid=OTHER, intact=False)
    assert choose_array([*MINE[:3], broken], None) == [*MINE[:3], broken]
    assert choose_array([broken, *MINE[:3]], UUID) == [broken, *MINE[:3]]
    with pytest.raises(AssemblyError, match="no array here"):
        choose_array([*MINE[:3], broken], OTHER)


def test_a_damaged_superblock_of_an_array_that_is_there_belongs_to_it() -> None:
    broken = claimed(3, "broken", array_uuid=OTHER, intact=False)
    assert choose_array([*MINE, *THEIRS, broken], OTHER) == [*THEIRS, broken]
    assert choose_array([*MINE, *THEIRS, broken], UUID) == MINE


def test_where_all_are_damaged_they_are_all_there_is() -> None:
    broken = members(intact=False)
    assert choose_array(broken, None) == broken
    with pytest.raises(AmbiguousArray):
        choose_array([*broken, claimed(0, "x", array_uuid=OTHER, intact=False)], None)


# Whose word counts -------------------------------------------------------------------------------------------------


def test_most_events_win() -> None:
    group = [claimed(0, events=40, updated=9), claimed(1, events=42, updated=1), claimed(2, events=41, updated=5)]
    assert freshest(group) is group[1]


def test_among_equals_the_last_update_then_the_further_position_then_the_larger_image() -> None:
    ahead = replace(GROWTH, position=GROWTH.position * 2)
    late, older = claimed(1, updated=8, reshape=GROWTH), claimed(0, updated=7, reshape=ahead)
    assert freshest([older, late]) is late
    near, far = claimed(0, reshape=GROWTH), claimed(1, reshape=ahead)
    assert freshest([far, near]) is freshest([near, far]) is far
    back = [claimed(0, reshape=replace(GROWTH, backwards=True)), claimed(1, reshape=replace(ahead, backwards=True))]
    assert freshest(back) is back[0]
    short, whole = claimed(0, size=1000), claimed(0, "copy", size=2000)
    assert freshest([short, whole]) is freshest([whole, short]) is whole


def test_spares_journals_and_damaged_ones_do_not_count() -> None:
    spare = claimed(4, events=99, device_roles=(0, 1, 2, 3, SPARE))
    journal = claimed(3, events=99, journal_tail=0)
    broken = claimed(2, events=99, intact=False)
    member = claimed(0)
    assert freshest([spare, journal, broken, member]) is member
    assert freshest([spare, journal, broken]) is broken


def test_where_nobody_holds_data_that_is_said() -> None:
    spare = claimed(4, device_roles=(0, 1, 2, 3, SPARE))
    faulty = claimed(1, device_roles=(0, FAULTY, 2, 3))
    with pytest.raises(AssemblyError) as caught:
        freshest([spare, faulty, claimed(2, journal_tail=0)])
    message = str(caught.value)
    assert message.startswith(f"none of the members holds data of the array {UUID}: ")
    assert message.endswith("sde is a spare, sdb is faulty, sdc is the journal")
