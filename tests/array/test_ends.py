"""Superblocks caught between two moments of a reshape, and what older ones tell of how it went."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raidfs.array.assemble import Assembly, assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import State
from raidfs.array.shape import shape_of
from raidfs.errors import InconsistentDescription
from raidfs.finding import Severity
from raidfs.superblock.claim import ReshapeClaim
from tests.support.claims import GROWTH, claimed, members

SIZE = 30 * 65536
CHUNKS = ReshapeClaim(
    position=SIZE - 6 * 65536,
    delta_disks=0,
    new_level=5,
    new_layout=2,
    new_chunk_size=131072,
    backwards=False,
    new_offset=-131072,
)
"""Of the plain array: its chunks become 128 KiB; almost done."""


def said(assembly: Assembly, path: str) -> str:
    (finding,) = [finding for finding in assembly.findings if finding.subject == path]
    return finding.message


# The end is recorded in two steps ----------------------------------------------------------------------------------


def test_a_reshape_that_ended_half_recorded_leaves_two_shapes() -> None:
    """First without the reshape but with the old chunk; what is left of it tells that the data have the new one."""
    description = assemble(members(last_reshape=CHUNKS)).description
    assert description.shape == shape_of(5, 2, 131072, 4)
    (other,) = description.alternatives
    assert other.shape == shape_of(5, 2, 65536, 4)
    assert other.reason.startswith("a reshape to raid5, left-symmetric, chunk 128 KiB, 4 members ended, but the")
    old = description.taken_as(other.shape)
    assert (old.shape, old.alternatives, old.size) == (other.shape, (), SIZE)


@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({}, replace(CHUNKS, new_chunk_size=65536)),  # it ended well
        ({}, replace(CHUNKS, new_level=6, new_layout=18)),  # the level was changed since
        ({}, replace(CHUNKS, new_layout=99)),
        ({}, replace(CHUNKS, new_chunk_size=100)),
        ({"level": 6, "layout": 18}, CHUNKS),  # a RAID5 was reshaped, then made a RAID6
        ({"level": 1, "layout": 0}, replace(CHUNKS, new_level=1)),
        ({"reshape": GROWTH}, CHUNKS),
    ],
    ids=str,
)
def test_what_else_is_left_of_earlier_reshapes_says_nothing(changes: dict[str, Any], last: ReshapeClaim) -> None:
    description = assemble(members(last_reshape=last, **changes)).description
    assert description.alternatives == ()


@pytest.mark.parametrize(
    ("last", "backwards"), [(10 * 65536, True), (0, True), (SIZE - 65536 * 2, False), (SIZE * 2, False)]
)
def test_the_end_lies_where_the_position_went(last: int, backwards: bool) -> None:
    told = replace(CHUNKS, position=last, backwards=backwards)
    description = assemble(members(last_reshape=told)).description
    assert description.shape.chunk_size == CHUNKS.new_chunk_size
    assert [each.shape.chunk_size for each in description.alternatives] == [65536]


@pytest.mark.parametrize(("last", "backwards"), [(SIZE // 4, False), (0, False), (SIZE, True)])
def test_a_small_array_may_have_ended_before_it_recorded_another_position(last: int, backwards: bool) -> None:
    told = replace(CHUNKS, position=last, backwards=backwards)
    description = assemble(members(last_reshape=told)).description
    assert description.shape.chunk_size == 65536
    (other,) = description.alternatives
    assert other.shape.chunk_size == CHUNKS.new_chunk_size
    assert "they are right, or only the first of the two updates of its end was written" in other.reason


@pytest.mark.parametrize("new_level", [5, 6])
def test_a_raid6_on_its_way_to_raid5_may_end_half_recorded_too(new_level: int) -> None:
    """Linux since 6.12 notes the level that comes afterwards."""
    told = replace(CHUNKS, new_level=new_level, new_layout=18, new_chunk_size=65536, position=SIZE // 3 * 2)
    description = assemble(members(level=6, last_reshape=told)).description
    assert description.shape.layout == "left-symmetric-6"
    assert [each.shape.layout for each in description.alternatives] == ["left-symmetric"]


def test_who_missed_only_the_last_update_of_the_end_serves() -> None:
    claims = [
        claimed(n, events=40 + (n == 0), chunk_size=131072 if n == 0 else 65536, last_reshape=CHUNKS) for n in range(4)
    ]
    assembly = assemble(claims)
    assert assembly.description.shape.chunk_size == 131072
    assert assembly.description.alternatives == ()
    assert len(assembly.description.serving) == 4
    assert "does not know yet the shape that the reshape ended with" in said(assembly, "sdb")
    claims[1] = claimed(1, events=39, last_reshape=CHUNKS)
    assert assemble(claims).description.members[1].state is State.STALE


def test_who_alone_has_another_chunk_without_a_reshape_between_is_not_believed() -> None:
    claims = [claimed(n, events=40 + (n == 0), chunk_size=131072 if n == 0 else 65536) for n in range(4)]
    assembly = assemble(claims)
    states = [member.state for member in assembly.description.members]
    assert states == [State.DAMAGED, *[State.IN_SYNC] * 3]
    assert assembly.description.shape.chunk_size == 65536
    assert any("sda alone says chunk_size 131072" in each.message for each in assembly.findings)


# What cannot be reshaped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told", "message"),
    [
        (
            {"level": 1, "layout": 0},
            replace(GROWTH, new_level=1, new_layout=0),
            "arrays of level raid1 are never reshaped",
        ),
        ({"level": 0, "layout": 2}, replace(GROWTH, new_level=0), "level raid0 are never reshaped"),
        ({"level": -1, "layout": 0}, replace(GROWTH, new_level=-1), "level linear are never reshaped"),
        (
            {"level": 10, "layout": 0x201},
            replace(GROWTH, new_level=10, new_layout=0x102),
            r"from or to a layout with far copies \(far=2 to near=2\)",
        ),
        ({"level": 10, "layout": 0x10201}, replace(GROWTH, new_level=10, new_layout=0x201), "a layout with far copies"),
        ({"level": 10, "layout": 0x102}, replace(GROWTH, new_level=10, new_layout=0x10301), "the number of copies"),
    ],
    ids=str,
)
def test_a_reshape_that_md_does_not_make_is_refused(changes: dict[str, Any], told: ReshapeClaim, message: str) -> None:
    with pytest.raises(InconsistentDescription, match=message):
        assemble(members(reshape=told, **changes))


def test_a_raid10_is_reshaped_to_any_sector() -> None:
    told = replace(GROWTH, position=512 * 7, new_level=10, new_layout=0x10201)
    reshape = assemble(members(level=10, layout=0x102, reshape=told)).description.reshape
    assert reshape is not None
    assert (reshape.before.layout, reshape.after.layout, reshape.position) == ("near=2", "offset=2", 3584)


# What older superblocks tell ---------------------------------------------------------------------------------------


def with_older(now: ReshapeClaim | None, then: ReshapeClaim, raid_disks: int = 4, **changes: Any) -> Assembly:
    """An array with one member that left when another reshape, or another moment of it, was recorded."""
    older = claimed(3, events=20, reshape=then)
    return assemble([*members(3, reshape=now, raid_disks=raid_disks, **changes), older])


def history(assembly: Assembly) -> list[str]:
    told = [each for each in assembly.findings if "left at position" in each.message]
    assert all((each.severity, each.subject) == (Severity.WARNING, "sdd") for each in told)
    return [each.message for each in told]


FURTHER = replace(GROWTH, position=GROWTH.position * 2)
BACK = replace(GROWTH, delta_disks=-1, backwards=True)


@pytest.mark.parametrize(
    ("now", "then", "raid_disks"),
    [
        (FURTHER, GROWTH, 4),  # it went on
        (GROWTH, GROWTH, 4),
        (None, GROWTH, 4),  # it ended
        (None, replace(GROWTH, position=0), 3),  # it was given up before anything moved
        (BACK, FURTHER, 3),  # it was reverted
        (replace(GROWTH, position=0), GROWTH, 5),  # the next one, from four to five
    ],
)
def test_a_reshape_that_went_on_is_not_worth_a_word(
    now: ReshapeClaim | None, then: ReshapeClaim, raid_disks: int
) -> None:
    assert history(with_older(now, then, raid_disks)) == []


def test_a_position_that_went_back_is_named() -> None:
    (told,) = history(with_older(GROWTH, FURTHER))
    assert told == (
        f"sdd left at position {FURTHER.position} of a reshape to raid5, left-symmetric, chunk 64 KiB, 4 members "
        f"(events 20, now 40), but its position is {GROWTH.position} now: it was reverted and begun again, or begun "
        "anew, which destroys data"
    )
    shrinking = replace(BACK, position=6 * 65536)
    (told,) = history(with_older(shrinking, replace(shrinking, position=0)))
    assert "begun anew" in told


def test_a_second_reshape_over_the_first_is_named() -> None:
    (told,) = history(with_older(replace(GROWTH, new_layout=3), GROWTH))
    assert "one to raid5, right-symmetric, chunk 64 KiB, 4 members runs: the first was reverted, or the second" in told


def test_an_array_that_is_as_before_its_reshape_is_named() -> None:
    (told,) = history(with_older(None, GROWTH, raid_disks=3))
    assert "the array has the shape from before it: it was reverted, or its superblocks were written anew" in told


def test_nonsense_in_older_superblocks_tells_nothing() -> None:
    for then in (replace(GROWTH, new_layout=77), replace(GROWTH, delta_disks=9), replace(GROWTH, new_chunk_size=3)):
        assert history(with_older(GROWTH, then)) == []
    damaged: list[Claimed] = [*members(3, reshape=GROWTH), claimed(3, events=20, reshape=FURTHER, intact=False)]
    assert history(assemble(damaged)) == []


NEAR, OFFSET = 0x102, 0x10201


def ten(position: ReshapeClaim, **changes: Any) -> ReshapeClaim:
    return replace(position, **{"delta_disks": 0, "new_level": 10, "new_layout": NEAR, **changes})


def test_a_raid10_that_lost_members_while_it_got_offset_copies_is_withheld() -> None:
    """Linux moves it wrongly after that, and what members that left know may be better."""
    shape: dict[str, Any] = {"level": 10, "layout": NEAR}
    now, then = ten(FURTHER, new_layout=OFFSET), ten(GROWTH, new_layout=OFFSET)
    fresh = members(3, reshape=now, **shape)
    left = claimed(3, events=20, reshape=then, **shape)
    for found in ([*fresh, left], [*members(3, **(shape | {"layout": OFFSET})), left]):
        assembly = assemble(found)
        withheld = (assembly.rival or assembly.description).withheld
        assert f"left at position {then.position} of the reshape" in withheld
        assert assembly.description.dispute or assembly.description.withheld
    again = members(3, **shape)
    assert assemble([*again, left]).description.withheld == ""
    without = claimed(3, events=20, **shape)
    assert assemble([*fresh, without]).description.withheld == ""


@pytest.mark.parametrize(
    ("layout", "changes"),
    [
        (NEAR, {"delta_disks": 1}),
        (NEAR, {"new_chunk_size": 2 * 65536}),
        (OFFSET, {}),
        (OFFSET, {"new_layout": OFFSET, "delta_disks": 1}),
    ],
)
def test_a_raid10_that_lost_a_member_in_another_reshape_is_what_it_is(layout: int, changes: dict[str, Any]) -> None:
    """More members, other chunks and near copies in place of offset ones: Linux goes on rightly without the member."""
    shape: dict[str, Any] = {"level": 10, "layout": layout, "device_roles": (0, 1, 2, -2)}
    now, then = ten(FURTHER, **changes), ten(GROWTH, **changes)
    left = claimed(3, events=20, reshape=then, **(shape | {"device_roles": (0, 1, 2, 3)}))
    fresh = members(3, reshape=now, **shape)
    for found in (fresh, [*fresh, left]):
        assembly = assemble(found)
        assert assembly.description.withheld == ""
        assert not any("wrongly" in each.message for each in assembly.findings)
    ended = members(3, last_reshape=now, **(shape | {"layout": now.new_layout, "chunk_size": now.new_chunk_size}))
    assert assemble([*ended, left]).description.withheld == ""


@pytest.mark.parametrize("n_told", [1, 3, 5])
def test_a_shrink_may_have_ended_before_its_member_was_let_go(n_told: int) -> None:
    """The superblocks know no reshape any more, and still list a member for a role that the array does not have."""
    ended = replace(BACK, position=0)
    table, later = (0, 1, 2, 3, 4), (0, 1, 2, 3, -1)
    found = [
        claimed(n, raid_disks=4, device_roles=table if n < n_told else later, last_reshape=ended) for n in range(5)
    ]
    assembly = assemble(found)
    assert assembly.description.serving.keys() == {0, 1, 2, 3}
    assert assembly.description.members[4].state is State.SPARE
    assert "had role 4, which the array gave up when it shrank" in said(assembly, "sde")


def test_a_member_of_a_role_that_never_was_is_set_apart() -> None:
    assembly = assemble([claimed(n, device_roles=(0, 1, 2, 3, 7)) for n in range(5)])
    assert assembly.description.members[4].state is State.INCOMPATIBLE
    assert "has role 7 in an array of 4 roles" in said(assembly, "sde")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((5, 2, 4), (6, 18, 5)),
        ((6, 19, 5), (5, 3, 4)),
        ((5, 5, 4), (6, 5, 5)),
        ((4, 0, 4), (5, 5, 4)),
    ],
)
@pytest.mark.parametrize("late", [{0}, {0, 1}, {2, 3}, {1, 2, 3}])
def test_who_missed_a_change_of_the_level_that_moves_nothing_serves(
    before: tuple[int, int, int], after: tuple[int, int, int], late: set[int]
) -> None:
    def told(number: int) -> Claimed:
        level, layout, raid_disks = before if number in late else after
        return claimed(number, events=41 - (number in late), level=level, layout=layout, raid_disks=raid_disks)

    assembly = assemble([told(number) for number in range(4)])
    assert assembly.description.shape == shape_of(after[0], after[1], 65536, after[2])
    assert sorted(assembly.description.serving) == [0, 1, 2, 3]
    assert not assembly.description.withheld
    assert assembly.description.dispute is None
    for number in late:
        assert "does not know yet that the level was changed" in said(assembly, f"sd{'abcd'[number]}")


def test_another_level_with_other_places_is_another_array() -> None:
    """RAID6 with Q in turn with P has its data elsewhere."""
    claims = [claimed(n, events=41 - (n == 0), level=6 - (n == 0), raid_disks=5 - (n == 0)) for n in range(4)]
    assert assemble(claims).description.members[0].state is State.INCOMPATIBLE
