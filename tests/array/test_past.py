"""What members that left still hold: by the oracle's arrays at work, a real one, and claims one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.array.assemble import assemble
from raidfs.array.choose import Claimed
from raidfs.array.description import ArrayDescription, Member, Past, State
from raidfs.block import MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.superblock import claim_of, scan
from raidfs.superblock.bitmap import read_member_bitmap
from raidfs.superblock.claim import FAULTY, SPARE, BitmapClaim, MemberClaim
from tests.oracle.layouts import Geometry
from tests.oracle.member import NEW, OLD
from tests.oracle.parity import fill
from tests.oracle.writer import Simulation, write_array
from tests.support.claims import GROWTH, PLAIN, claimed
from tests.support.golden import golden_case, where_here

SIZE = 10 * 65536
DIRTY = Extents.span(131072, 196608)
BITMAP = BitmapClaim(PLAIN.stored_uuids[0], 4, 40, 30, SIZE, DIRTY)
ALL = Extents.span(0, SIZE)
NOW = (0, FAULTY, 2, 3)


def assembled(left: Claimed, **changes: Any) -> Member:
    """Assemble three members, of which role 1 is missing, and one that left."""
    told: dict[str, Any] = {"device_roles": NOW, "bitmap": BITMAP, **changes}
    others = [claimed(number, **told) for number in (0, 2, 3)]
    description = assemble([*others, left]).description
    return next(member for member in description.members if member.path == left.path)


def test_where_nothing_was_written_since_it_is_proven() -> None:
    for events in (30, 38):
        member = assembled(claimed(1, events=events))
        assert (member.state, member.role) == (State.FAULTY, 1)
        assert member.past == Past(ALL, Extents(), ALL.difference(DIRTY))


@pytest.mark.parametrize(
    "left",
    [
        claimed(1, events=29),  # bits were cleared after it left
        claimed(1, events=38, intact=False),
        claimed(1, events=38, doubt="has a bad-block log that cannot be read"),
        claimed(1, events=38, created=7),
        claimed(1, events=38, device_roles=(0, 1, FAULTY, 3)),  # it went on without one of the others
        claimed(1, events=38, device_roles=(0, 1, 2)),  # one of the others joined later
        claimed(1, events=38, reshape_traces=b"\1"),  # a reshape ran since
    ],
)
def test_what_is_not_proven_is_only_held(left: Claimed) -> None:
    assert assembled(left).past == Past(ALL)


def test_without_a_bitmap_that_counts_nothing_is_proven() -> None:
    left = claimed(1, events=38)
    for bitmap in (None, replace(BITMAP, events=39), replace(BITMAP, problem="the bitmap is marked as stale")):
        assert assembled(left, bitmap=bitmap).past == Past(ALL)


def test_bits_about_array_bytes_prove_nothing_of_members() -> None:
    """Those of a RAID10 are; where its copies lie is not known here."""
    told: dict[str, Any] = {"level": 10, "layout": 0x102}
    bitmap = replace(BITMAP, covered=2 * SIZE)
    member = assembled(claimed(1, events=38, **told), bitmap=bitmap, **told)
    assert member.past == Past(ALL)


def test_nothing_is_proven_where_another_took_the_role() -> None:
    others = [claimed(number, device_roles=(0, FAULTY, 2, 3, 1), bitmap=BITMAP) for number in (0, 2, 3, 4)]
    members = assemble([*others, claimed(1, events=38)]).description.members
    assert members[-1].past == Past(ALL)


def test_a_member_that_was_being_rebuilt_holds_no_more() -> None:
    past = assembled(claimed(1, events=38, recovery_offset=65536)).past
    assert past == Past(Extents.span(0, 65536), Extents(), Extents.span(0, 65536))


def test_a_member_that_is_no_longer_listed_is_no_spare() -> None:
    member = assembled(claimed(1, events=39), device_roles=(0, SPARE, 2, 3))
    assert (member.state, member.role) == (State.STALE, 1)
    assert member.past is not None
    assert "is no longer listed" in member.note


def test_its_role_is_the_one_that_it_had() -> None:
    """Its device number may be another's by now."""
    others = [claimed(0, device_roles=(0, 2)), claimed(1, device_roles=(0, 2), path="new")]
    left = claimed(1, events=20, path="old", device_roles=(0, 1))
    member = assemble([*others, left], None).description.members[-1]
    assert (member.state, member.role) == (State.STALE, 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"component_size": 65536}, "its component_size is 65536, that of the array 655360"),
        ({"raid_disks": 3}, "it left when the array was another one"),
        ({"chunk_size": 4096}, "it left when the array was another one"),
        ({"layout": 0}, "it left when the array was another one"),
        ({"level": 4}, "it left when the array was another one"),
        ({"level": 77}, "its superblock makes no sense"),
        ({"raid_disks": 0}, "its superblock makes no sense"),
        ({"data_offset": 1 << 62}, "it says that its data begin at byte"),
    ],
)
def test_of_another_life_of_the_array_it_holds_nothing(changes: dict[str, Any], why: str) -> None:
    member = assembled(claimed(1, events=20, **changes))
    assert (member.state, member.past) == (State.FAULTY, None)
    assert why in member.note


# Reshapes ----------------------------------------------------------------------------------------------------------

NEW_SIDE, OLD_SIDE = Extents.span(0, 2 * 65536), Extents.span(65536, SIZE)
"""Of a member that left at position 6 chunks, three for each new row; the data move down by one chunk."""


def growing(**changes: Any) -> dict[str, Any]:
    return {"reshape": replace(GROWTH, **changes), "bitmap": None}


def test_a_member_that_left_during_the_reshape_holds_both_sides_as_they_were() -> None:
    left = claimed(1, events=20, reshape=GROWTH)
    member = assembled(left, **growing(position=9 * 65536))
    assert member.past == Past(NEW_SIDE, OLD_SIDE)
    assert (member.data_offset, member.new_data_offset) == (1 << 20, (1 << 20) - 65536)


def test_a_member_that_left_before_the_reshape_holds_the_old_side() -> None:
    left = claimed(1, events=20, raid_disks=3)
    assert assembled(left, **growing()).past == Past(Extents(), ALL)


def test_a_member_that_left_during_a_reshape_that_is_done_holds_the_new_side() -> None:
    left = claimed(1, events=20, reshape=GROWTH)
    member = assembled(left, data_offset=(1 << 20) - 65536)
    assert member.past == Past(NEW_SIDE)
    assert member.data_offset == member.new_data_offset == (1 << 20) - 65536


def test_a_member_that_left_before_the_reshape_was_reverted_holds_its_sides_the_other_way_round() -> None:
    left = claimed(1, events=20, reshape=GROWTH)
    back = replace(GROWTH, delta_disks=-1, backwards=True, new_offset=65536)
    member = assembled(left, raid_disks=3, data_offset=(1 << 20) - 65536, reshape=back, device_roles=(0, FAULTY, 2, 3))
    assert member.past == Past(OLD_SIDE, NEW_SIDE)
    assert (member.data_offset, member.new_data_offset) == ((1 << 20) - 65536, 1 << 20)


def test_a_shrinking_array() -> None:
    shrink = replace(GROWTH, delta_disks=-1, backwards=True, new_offset=0)
    left = claimed(1, events=20, raid_disks=3, reshape=shrink)
    member = assembled(left, raid_disks=3, reshape=replace(shrink, position=2 * 65536))
    assert member.past == Past(Extents.span(3 * 65536, SIZE), Extents.span(0, 3 * 65536))


# Bytes -------------------------------------------------------------------------------------------------------------


def content_of(array: Simulation, side: str, role: int) -> bytes:
    """What the component of a role holds if everything is right."""
    geometry = array.after if side == NEW and array.after is not None else array.geometry
    rows = []
    for row in range(array.component_size // geometry.chunk):
        first = row * geometry.stripe_size
        data = [
            bytes(array.content[side][at : at + geometry.chunk])
            for at in range(first, first + geometry.stripe_size, geometry.chunk)
        ]
        rows.append(fill(geometry.stripe(row), data)[role])
    return b"".join(rows)


def described(array: Simulation) -> ArrayDescription:
    found = []
    for member in array.members:
        source = MemorySource(bytes(member.image))
        claim: MemberClaim = claim_of(scan(source, "sd").found[0])
        path = f"disk{member.device_number}.img"
        found.append(Claimed(path, source.size, claim, bitmap=read_member_bitmap(source, claim)))
    return assemble(found).description


@given(st.integers(0, 1 << 20), st.sampled_from([4, 5, 6]), st.booleans())
def test_proven_bytes_are_those_of_the_array(seed: int, level: int, is_dirty: bool) -> None:
    random = Random(seed)
    array = write_array(Geometry(level, 2, 5, 4096), 20 * 4096, seed=seed)
    array.keep_bitmap(random.choice([512, 4096, 8192]))

    def write(n: int) -> None:
        for _ in range(n):
            array.user_write(random.randrange(array.size - 700), random.randbytes(random.randint(1, 700)))

    write(3)
    if random.random() < 0.5:
        array.settle()
    write(2)
    array.checkpoint()
    role = random.randrange(5)
    array.fail(role)
    write(3)
    array.settle()
    write(2)
    array.resync_offset = 0 if is_dirty else None
    array.checkpoint()
    member = described(array).members[role]
    assert member.past is not None
    assert member.past.proven
    assert array.bitmap is not None
    now = content_of(array, OLD, role)
    then = array.members[role].image[member.data_offset :]
    for start, stop in member.past.proven:
        assert then[start:stop] == now[start:stop]
    clear = [at for at in range(0, array.component_size, 512) if array.bitmap.is_clear(at)]
    assert member.past.proven == Extents([(at, at + 512) for at in clear])


@pytest.mark.golden
def test_a_real_member_that_left_is_current_where_the_bitmap_says_so() -> None:
    case = golden_case("w-r5-degraded-dirty-bitmap")
    with open_array([str(path) for path in case.members()]) as opened:
        description = opened.description
        left = next(member for member in description.members if member.state is State.STALE)
        assert left.past is not None
        parts = [
            read_exact(opened.images[member.path], member.data_offset, description.component_size)[0]
            for member in [*description.serving.values(), left]
        ]
    differ = np.bitwise_xor.reduce([np.frombuffer(part, np.uint8) for part in parts]) != 0
    changed = Extents(
        [(at * 4096, at * 4096 + 4096) for at in np.flatnonzero(differ.reshape(-1, 4096).any(axis=1)).tolist()]
    )
    assert left.past.proven.total == 13 * 2**20 + 7 * 65536
    assert not left.past.proven.intersection(changed)
    assert changed.total == 2580480  # put back as it is, it would give so many wrong bytes


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "told"),
    where_here(
        {
            "l-r5-3to4-degraded-before": (1, (0.0, 1.0)),
            "l-r5-3to4-degraded-during": (1, None),
            "h-r6-4to6-two-failed": (1, None),
            "s-r6-degraded2": (3, (1.0, 0.0)),
            "s-r5-recovery": (1, (1.0, 0.0)),
        }
    ),
)
def test_real_members_that_left(name: str, told: tuple[int, tuple[float, float] | None]) -> None:
    case = golden_case(name)
    index, sides = told
    paths = [str(path) for path in case.members()]
    with open_array(paths) as opened:
        description = opened.description
    member = next(each for each in description.members if each.path == paths[index])
    assert member.past is not None
    assert not member.past.proven
    shares = tuple(held.total / description.component_size for held in (member.past.held, member.past.held_before))
    if sides is not None:
        assert shares == sides
    else:
        assert 0 < shares[0] < 1
        assert 0 < shares[1] < 1


def test_what_left_is_kept_apart(tmp_path: Path) -> None:
    """It never serves by itself."""
    array = write_array(Geometry(5, 2, 4, 4096), 8 * 4096)
    array.keep_bitmap(4096)
    array.fail(2)
    with open_array([str(path) for path in array.save(tmp_path)]) as opened:
        assert 2 not in opened.description.serving
        left = opened.description.members[2]
        assert left.past == Past(Extents.span(0, 32768), Extents(), Extents.span(0, 32768))
        assert any("missed nothing in 32 KiB of its data" in finding.message for finding in opened.findings)
