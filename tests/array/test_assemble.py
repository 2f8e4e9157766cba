"""The kernel's rules of assembly: who serves, who is set apart and why, what counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raidfs.array.assemble import Assembly, assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import Direction, State
from raidfs.errors import AmbiguousArray, AssemblyError, InconsistentDescription, UnsupportedMetadata
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.superblock.claim import FAULTY, JOURNAL, SPARE
from tests.support.claims import GROWTH, OTHER, PLAIN, claimed, members


def states(assembly: Assembly) -> dict[str, tuple[State, int | None]]:
    return {member.path: (member.state, member.role) for member in assembly.description.members}


def said(assembly: Assembly, path: str) -> str:
    """What the findings say about a path: one of them, one sentence."""
    (finding,) = [finding for finding in assembly.findings if finding.subject == path]
    assert path in finding.message
    assert "\n" not in finding.message
    return finding.message


def test_a_whole_array() -> None:
    assembly = assemble(members())
    description = assembly.description
    assert states(assembly) == {f"sd{'abcd'[role]}": (State.IN_SYNC, role) for role in range(4)}
    assert assembly.findings == ()
    assert str(description.shape) == "raid5, left-symmetric, chunk 64 KiB, 4 members"
    assert (description.size, description.component_size) == (30 * 65536, 10 * 65536)
    assert (description.uuid, description.name, description.metadata) == (PLAIN.array_uuid, "host:data", "1.2")
    assert (description.events, description.updated, description.reshape) == (40, 5_000_000, None)
    assert {member.data_offset for member in description.members} == {1 << 20}
    assert {member.new_data_offset for member in description.members} == {1 << 20}


def test_members_stay_in_the_order_of_the_user() -> None:
    assembly = assemble(list(reversed(members())))
    assert [member.path for member in assembly.description.members] == ["sdd", "sdc", "sdb", "sda"]


def test_during_a_reshape_the_superblock_tells_both_shapes() -> None:
    shifts = (-65536, -131072, 0, -65536)
    claims = [claimed(n, reshape=replace(GROWTH, new_offset=shifts[n])) for n in range(4)]
    description = assemble(claims).description
    assert description.reshape is not None
    assert (description.reshape.before.raid_disks, description.reshape.after.raid_disks) == (3, 4)
    assert description.shape == description.reshape.after
    assert (description.reshape.position, description.reshape.direction) == (GROWTH.position, Direction.FORWARD)
    assert description.size == 20 * 65536
    assert [m.new_data_offset - m.data_offset for m in description.members] == list(shifts)
    shrinking = replace(GROWTH, delta_disks=-1, backwards=True, position=6 * 65536)
    back = assemble(members(5, raid_disks=4, device_roles=(0, 1, 2, 3, 4), reshape=shrinking)).description
    assert back.reshape is not None
    assert (back.reshape.before.raid_disks, back.reshape.direction) == (5, Direction.BACKWARD)
    assert len(back.serving) == 5


def test_the_freshest_counts_for_all_that_concerns_the_array() -> None:
    older, newer = replace(GROWTH, position=0), replace(GROWTH, position=GROWTH.position * 2)
    claims = [claimed(n, events=41 if n == 2 else 40, reshape=newer if n == 2 else older) for n in range(4)]
    assembly = assemble(claims)
    assert assembly.reference is claims[2]
    assert assembly.description.reshape is not None
    assert assembly.description.reshape.position == newer.position
    assert assembly.description.events == 41
    assert len(assembly.description.serving) == 4
    assert "lags by one event (40, the freshest has 41)" in said(assembly, "sda")
    assert all(finding.severity is Severity.NOTE for finding in assembly.findings)


def test_the_freshest_may_say_that_no_reshape_runs() -> None:
    claims = [claimed(n, events=40 if n else 41, reshape=GROWTH if n else None) for n in range(4)]
    assembly = assemble(claims)
    member = assembly.description.serving[1]
    assert member.state is State.IN_SYNC
    moved = claims[1].claim.data_offset + GROWTH.new_offset
    assert (member.data_offset, member.new_data_offset) == (moved, moved)
    assert "does not know yet that the reshape has ended" in said(assembly, "sdb")
    assert assembly.description.reshape is None


def test_the_freshest_may_say_that_a_reshape_has_begun() -> None:
    begun = replace(GROWTH, position=0)
    claims = [claimed(n, events=40 + (n < 3), reshape=begun if n < 3 else None) for n in range(3)]
    old = claimed(2, events=40, reshape=None, raid_disks=claims[0].claim.raid_disks - GROWTH.delta_disks)
    assembly = assemble([claims[0], claims[1], old])
    member = assembly.description.serving[2]
    assert member.state is State.IN_SYNC
    assert member.new_data_offset == member.data_offset + GROWTH.new_offset
    assert "does not know yet that the reshape has begun" in said(assembly, "sdc")


@pytest.mark.parametrize("backwards", [False, True])
def test_between_two_recorded_positions_nothing_was_written(backwards: bool) -> None:
    unit = GROWTH.position or 65536 * 3
    older, newer = (2 * unit, unit) if backwards else (unit, 2 * unit)
    claims = [
        claimed(
            n, events=41 - (n == 1), reshape=replace(GROWTH, position=older if n == 1 else newer, backwards=backwards)
        )
        for n in range(4)
    ]
    reshape = assemble(claims).description.reshape
    assert reshape is not None
    assert reshape.position == newer
    assert reshape.quiet == Extents.span(unit, 2 * unit)


@pytest.mark.parametrize(("lag", "state"), [(0, State.IN_SYNC), (1, State.IN_SYNC), (2, State.STALE), (9, State.STALE)])
def test_one_event_behind_is_accepted_two_are_not(lag: int, state: State) -> None:
    assembly = assemble([*members(3), claimed(3, events=40 - lag)])
    assert states(assembly)["sdd"] == (state, 3)
    if state is State.STALE:
        assert said(assembly, "sdd") == (
            f"sdd is stale: its events are {40 - lag}, the freshest member has 40; it is set apart"
        )
        assert assembly.description.missing_roles == (3,)


def test_roles_are_those_of_the_freshest_table() -> None:
    """An older superblock may still have the places before they were given anew."""
    old_table = (1, 0, 2, 3)
    claims = [
        claimed(n, events=40 if n < 2 else 39, device_roles=(0, 1, 2, 3) if n < 2 else old_table) for n in range(4)
    ]
    assert [member.role for member in assemble(claims).description.members] == [0, 1, 2, 3]
    beyond = claimed(7, "sdx", device_roles=(SPARE,) * 7 + (3,))
    assembly = assemble([*members(3), beyond])
    assert states(assembly)["sdx"] == (State.IN_SYNC, 3)  # the table does not know the number, the member does


def test_who_is_marked_faulty_is_out_however_fresh_it_looks() -> None:
    claims = [claimed(n, device_roles=(0, FAULTY, 2, 3) if n != 1 else (0, 1, 2, 3), events=40) for n in range(4)]
    claims[0] = claimed(0, device_roles=(0, FAULTY, 2, 3), events=41)
    assembly = assemble(claims)
    assert states(assembly)["sdb"] == (State.FAULTY, 1)
    assert said(assembly, "sdb").startswith("sdb is marked faulty by sda, the freshest member (events 41)")


def test_spares_hold_nothing() -> None:
    assembly = assemble([*members(), claimed(4, device_roles=(0, 1, 2, 3, SPARE))])
    assert states(assembly)["sde"] == (State.SPARE, None)
    (finding,) = assembly.findings
    assert finding.severity is Severity.NOTE
    assert len(assembly.description.serving) == 4


def test_a_member_under_recovery_serves_as_far_as_it_came() -> None:
    assembly = assemble([*members(3), claimed(3, recovery_offset=65536)])
    assert states(assembly)["sdd"] == (State.RECOVERING, 3)
    assert assembly.description.serving[3].recovered_to == 65536
    far = assemble([*members(3), claimed(3, recovery_offset=1 << 61)])
    assert far.description.serving[3].recovered_to == far.description.component_size


def test_an_array_that_is_not_clean() -> None:
    whole, rest = Extents.span(0, 10 * 65536), Extents.span(65536, 10 * 65536)
    for offset, unsynced in ((None, Extents()), (0, whole), (65536, rest), (1 << 72, Extents())):
        description = assemble(members(resync_offset=offset)).description
        assert (description.clean, description.unsynced) == (offset is None, unsynced)


# Two for one role --------------------------------------------------------------------------------------------------


def test_a_copy_of_a_member_is_set_apart() -> None:
    assembly = assemble([*members(), claimed(2, "copy")])
    assert states(assembly)["copy"] == (State.DUPLICATE, 2)
    assert said(assembly, "copy") == "copy is another copy of the same member as sdc (device uuid 2); it is set apart"


@pytest.mark.parametrize("is_first", [False, True])
def test_of_two_copies_the_larger_serves(is_first: bool) -> None:
    short = claimed(2, "short", size=1000)
    others = [claimed(n) for n in (0, 1, 3)]
    for claims in ([short, *others, claimed(2)], [*others, claimed(2), short]):
        assembly = assemble(claims if is_first else list(reversed(claims)))
        assert states(assembly)["short"] == (State.DUPLICATE, 2)
        assert states(assembly)["sdc"] == (State.IN_SYNC, 2)


def test_another_member_that_claims_a_role_is_set_apart() -> None:
    assembly = assemble([*members(), claimed(4, device_roles=(0, 1, 2, 3, 1), events=39)])
    assert states(assembly)["sde"] == (State.SPARE, None) or states(assembly)["sde"] == (State.DUPLICATE, 1)
    table = (0, 1, 2, 3, 1)
    assembly = assemble([*members(device_roles=table), claimed(4, device_roles=table)])
    assert states(assembly)["sde"] == (State.DUPLICATE, 1)
    assert said(assembly, "sde") == "sde claims role 1, which sdb already serves; it is set apart"


def test_a_replacement_waits_for_the_original() -> None:
    table = (0, 1, 2, 3, 1)
    whole = members(device_roles=table)
    replacement = claimed(4, device_roles=table, replacement=True, recovery_offset=65536)
    for claims in ([replacement, *whole], [*whole, replacement], [replace(replacement, size=1 << 40), *whole]):
        assembly = assemble(claims)
        assert states(assembly)["sde"] == (State.REPLACEMENT, 1)
        assert states(assembly)["sdb"] == (State.IN_SYNC, 1)
        assert [member.path for member in assembly.description.sources if member.role == 1] == ["sdb", "sde"]
    alone = assemble([replacement, whole[0], *whole[2:]])
    assert states(alone)["sde"] == (State.RECOVERING, 1)


def test_without_a_device_uuid_nothing_is_called_a_copy() -> None:
    claims = members(metadata="0.90", device_uuid=None)
    assembly = assemble([*claims, claimed(2, "copy", metadata="0.90", device_uuid=None)])
    assert said(assembly, "copy").startswith("copy claims role 2, which sdc already serves")


# What does not fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("metadata", "1.0", "metadata 1.0 instead of 1.2"),
        ("level", 6, "level 6 instead of 5"),
        ("layout", 3, "layout 3 instead of 2"),
        ("chunk_size", 4096, "chunk_size 4096 instead of 65536"),
        ("raid_disks", 5, "raid_disks 5 instead of 4"),
        ("component_size", 4096, "component_size 4096 instead of 655360"),
        ("reshape", replace(GROWTH, new_layout=3), "that a reshape runs"),
    ],
)
def test_who_describes_another_array_is_set_apart(field: str, value: Any, told: str) -> None:
    assembly = assemble([*members(3), claimed(3, None, **{"events": 39, field: value})])
    assert states(assembly)["sdd"] == (State.INCOMPATIBLE, 3)
    assert said(assembly, "sdd") == f"sdd says {told}, against sda; it is set apart"


@pytest.mark.parametrize("field", ["delta_disks", "new_level", "new_layout", "new_chunk_size", "backwards"])
def test_who_describes_another_reshape_is_set_apart(field: str) -> None:
    other = replace(GROWTH, **{field: not GROWTH.backwards if field == "backwards" else 7})  # type: ignore[arg-type]
    claims = [*members(3, reshape=GROWTH), claimed(3, events=39, reshape=other)]
    assembly = assemble(claims)
    assert states(assembly)["sdd"] == (State.INCOMPATIBLE, 3)
    assert f"says {field} " in said(assembly, "sdd")


def test_positions_and_offsets_may_differ() -> None:
    other = replace(GROWTH, position=0, new_offset=0)
    assembly = assemble([*members(3, reshape=GROWTH), claimed(3, events=39, reshape=other)])
    assert states(assembly)["sdd"] == (State.IN_SYNC, 3)


def test_members_of_another_array_are_named() -> None:
    stranger = claimed(0, "stranger", array_uuid=OTHER, array_name="away:data")
    with pytest.raises(AmbiguousArray):
        assemble([*members(), stranger])
    assembly = assemble([*members(), stranger], "host:data")
    assert len(assembly.description.serving) == 4
    (member,) = [member for member in assembly.description.members if member.path == "stranger"]
    assert (member.state, member.role) == (State.FOREIGN, None)
    assert said(assembly, "stranger") == f"stranger belongs to another array ({OTHER}); it is set apart"


def test_a_damaged_superblock_makes_its_member_doubtful() -> None:
    assembly = assemble([*members(3), claimed(3, intact=False)])
    assert states(assembly)["sdd"] == (State.DAMAGED, 3)
    assert "damaged superblock; its data are used only as doubtful ones" in said(assembly, "sdd")
    assert not assembly.description.withheld


def test_a_damaged_superblock_never_takes_the_place_of_an_intact_one() -> None:
    for claims in (
        [claimed(3, "bad", intact=False, events=99), *members()],
        [*members(), claimed(3, "bad", intact=False)],
    ):
        assembly = assemble(claims)
        assert states(assembly)["bad"] == (State.INCOMPATIBLE, 3)
        assert states(assembly)["sdd"] == (State.IN_SYNC, 3)
        assert "and sdd serves its role" in said(assembly, "bad")


def test_a_damaged_superblock_that_says_something_else_is_set_apart() -> None:
    assembly = assemble([*members(3), claimed(3, intact=False, chunk_size=4096)])
    assert states(assembly)["sdd"] == (State.INCOMPATIBLE, 3)


def test_without_an_intact_superblock_nothing_is_sure() -> None:
    description = assemble(members(intact=False)).description
    assert description.withheld.startswith("no member has an intact superblock")
    assert len(description.serving) == 4


def test_a_log_that_cannot_be_read_makes_its_member_doubtful() -> None:
    assembly = assemble([*members(3), claimed(3, doubt="has a log that cannot be read")])
    assert states(assembly)["sdd"] == (State.DAMAGED, 3)
    assert said(assembly, "sdd").startswith("sdd has a log that cannot be read; its data are used only as doubtful")


def test_bad_blocks_come_along() -> None:
    bad = Extents([(1 << 20, (1 << 20) + 512)])
    assert assemble([*members(3), claimed(3, bad_blocks=bad)]).description.serving[3].bad_blocks == bad


# What is refused ---------------------------------------------------------------------------------------------------


def test_features_that_nobody_may_guess_about() -> None:
    reason = "uses the unknown feature bits 0x8000"
    with pytest.raises(UnsupportedMetadata, match=f"sda: {reason}"):
        assemble(members(unsupported=(reason,)))
    assembly = assemble([*members(3), claimed(3, unsupported=(reason,))])
    assert states(assembly)["sdd"] == (State.INCOMPATIBLE, 3)
    assert said(assembly, "sdd") == f"sdd cannot be used: {reason}; it is set apart"


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"level": -4}, UnsupportedMetadata, "level -4 (multipath)"),
        ({"layout": 9}, UnsupportedMetadata, "layout 9"),
        ({"chunk_size": 0}, InconsistentDescription, "chunk_size is 0 bytes"),
        (
            {"raid_disks": 1, "device_roles": (0, 0, 0, 0)},
            InconsistentDescription,
            "raid_disks is 1, too few for a raid5",
        ),
        ({"component_size": 0}, InconsistentDescription, "by the field size, a component of 0 bytes"),
        ({"component_size": None}, InconsistentDescription, "by the field size, a component of 0 bytes"),
        ({"component_size": 4096}, InconsistentDescription, "does not hold one chunk"),
        ({"reshape": replace(GROWTH, position=512)}, InconsistentDescription, "position 512 is no multiple"),
        ({"reshape": replace(GROWTH, delta_disks=9)}, InconsistentDescription, "raid_disks is -5, too few for a raid5"),
        ({"reshape": replace(GROWTH, new_chunk_size=0)}, InconsistentDescription, "chunk_size is 0 bytes"),
        ({"component_size": 1 << 62}, InconsistentDescription, "by the field size, component size is"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_with_its_place(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        assemble(members(**changes))
    assert str(caught.value).startswith("sda, superblock at 4096 bytes (sector 8): ")
    assert message in str(caught.value)


def test_an_array_that_is_not_there() -> None:
    with pytest.raises(AssemblyError, match="no array here has the uuid or name 'other'"):
        assemble(members(), "other")


# Journals and levels that change -----------------------------------------------------------------------------------


def with_journal(*journals: Claimed, **changes: Any) -> Assembly:
    table = (0, 1, 2, 3, JOURNAL)
    return assemble([*members(has_journal=True, device_roles=table, **changes), *journals])


def journal(number: int = 4, **changes: Any) -> Claimed:
    return claimed(number, has_journal=True, device_roles=(0, 1, 2, 3, JOURNAL), journal_tail=0, **changes)


def test_a_current_journal_is_to_be_replayed() -> None:
    assembly = with_journal(journal())
    assert states(assembly)["sde"] == (State.JOURNAL, None)
    assert assembly.description.withheld == ""
    (finding,) = assembly.findings
    assert (finding.severity, finding.message) == (Severity.NOTE, "sde is the write journal of the array")


def test_without_its_journal_all_of_an_array_is_doubtful() -> None:
    assert "no whole and current one is here" in with_journal().description.withheld


def test_two_journals_leave_the_choice_open() -> None:
    withheld = with_journal(journal(), journal(path="copy")).description.withheld
    assert withheld == "sde and copy both are its write journal; leave out one with --exclude"


@pytest.mark.parametrize("flaw", [{"intact": False}, {"events": 5}, {"device_number": 5}])
def test_a_damaged_old_or_unlisted_journal_proves_nothing(flaw: dict[str, Any]) -> None:
    told = journal()
    assembly = with_journal(replace(told, claim=replace(told.claim, **flaw)))
    assert "no whole and current one is here" in assembly.description.withheld
    assert states(assembly)["sde"] == (State.STALE, None)
    assert said(assembly, "sde") == "sde is a write journal of the array, but an old or a damaged one; it is set apart"


def test_later_superblocks_that_are_damaged_cost_an_old_one_its_trust() -> None:
    later = [claimed(number, events=90, intact=False) for number in (1, 2, 3)]
    assert "later but damaged superblocks" in assemble([claimed(0), *later]).description.withheld
    assert assemble([*members(3), later[-1]]).description.withheld == ""  # one bit in one counter proves nothing


def test_a_member_that_moves_its_data_unlike_the_others_is_named() -> None:
    odd = claimed(1, reshape=replace(GROWTH, new_offset=-131072))
    others = [each for each in members(4, reshape=GROWTH) if each.path != "sdb"]
    assembly = assemble([others[0], odd, *others[1:]])
    assert states(assembly)["sdb"] == (State.IN_SYNC, 1)
    assert said(assembly, "sdb") == "sdb moves its data by -131072 bytes, most by -65536 bytes: nothing of it is proven"
    (member,) = [each for each in assembly.description.members if each.path == "sdb"]
    assert member.contested == "moves its data by -131072 bytes, most by -65536 bytes"


def test_a_member_with_impossible_offsets_is_set_apart() -> None:
    assembly = assemble([*members(3), claimed(3, data_offset=1 << 62)])
    assert states(assembly)["sdd"] == (State.INCOMPATIBLE, 3)
    assert "says that its data begin at byte 4611686018427387904" in said(assembly, "sdd")


@pytest.mark.parametrize("new_level", [0, 4, 6])
def test_the_level_after_a_reshape_is_not_in_force_yet(new_level: int) -> None:
    """Linux 6.12 and later note it; before, both fields are the same."""
    assembly = assemble(members(reshape=replace(GROWTH, new_level=new_level)))
    assert assembly.description.reshape == assemble(members(reshape=GROWTH)).description.reshape
    assert assembly.description.withheld == ""
    (finding,) = assembly.findings
    assert finding.severity is Severity.NOTE
    assert finding.message == f"after the reshape the array was to become a raid{new_level}; until then it is a raid5"


@pytest.mark.parametrize("new_level", [1, 10, -1, 77])
def test_a_level_that_no_reshape_leads_to_makes_all_doubtful(new_level: int) -> None:
    description = assemble(members(reshape=replace(GROWTH, new_level=new_level))).description
    assert description.withheld.startswith(f"new_level is {new_level} in a reshape of level 5")


def test_an_array_that_was_created_over_another_one_may_be_all_wrong() -> None:
    def told(**changes: Any) -> list[str]:
        return [each.message for each in assemble(members(4, **changes)).findings if "--assume-clean" in each.message]

    assert len(told(events=0)) == 1
    assert not told(events=1)
    assert not told(events=0, resync_offset=0)
    assert not told(events=0, level=0)


OFFSET_COPIES = 0x10201
RAID10_MOVES = replace(GROWTH, delta_disks=0, new_level=10, new_layout=OFFSET_COPIES, new_chunk_size=PLAIN.chunk_size)


def test_a_raid10_that_lost_a_member_while_it_was_reshaped_is_not_sure() -> None:
    """Linux moves it wrongly then; without those that left nothing but the table of roles tells of it."""
    changes = {"level": 10, "layout": 0x102, "device_roles": (0, FAULTY, 2, 3)}
    left = [each for each in members(4, reshape=RAID10_MOVES, **changes) if each.claim.device_number != 1]
    assert "role 1" in assemble(left).description.withheld
    whole = members(4, reshape=RAID10_MOVES, level=10, layout=0x102)
    assert not assemble(whole).description.withheld
    grown = replace(RAID10_MOVES, delta_disks=1)
    over = members(4, last_reshape=grown, **(changes | {"layout": OFFSET_COPIES}))
    assembly = assemble([each for each in over if each.claim.device_number != 1])
    assert not assembly.description.withheld
    assert any("role 1 has failed, and the array was reshaped once" in each.message for each in assembly.findings)
