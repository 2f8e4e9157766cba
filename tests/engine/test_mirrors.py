"""Every place of every symbol is compared: what differs is named, nothing else is, and reads do not depend on it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from math import gcd
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape, State
from raidfs.array.shape import shape_of
from raidfs.block import BlockSource, one_request
from raidfs.engine.array_source import ArraySource
from raidfs.engine.damage import known_flaws
from raidfs.engine.grade import Grade
from raidfs.engine.mirror_compare import Difference
from raidfs.engine.mirror_reads import ROOM
from raidfs.engine.verify import Plain, Walked, walk, walkable_of, walked_bytes
from raidfs.extents import Extents
from tests.oracle.places import Copies
from tests.support.sources import BadSectors

SECTOR = 512
START = 64 * 1024
NOTHING = Walked()
CHUNK = 4096
NEAR2, NEAR3, FAR2, FAR3, OFFSET2, NEAR2_FAR2 = 0x102, 0x103, 0x201, 0x301, 0x10201, 0x202
Piece = tuple[int, list[tuple[int, int]]]
"""Array byte, and (role, image offset) of every copy of the sector there, the kernel's first one first."""


@dataclass
class Bench:
    """An array of copies in memory, laid out by the oracle; `layout`: of a RAID10 that is not in a reshape."""

    description: ArrayDescription
    images: dict[int, bytearray]
    pieces: list[Piece]
    bad: Mapping[int, Extents] = field(default_factory=dict)
    layout: int = 0

    @property
    def members(self) -> list[Member]:
        return list(self.description.sources)

    def sources(self) -> list[BadSectors]:
        return [
            BadSectors(bytes(self.images[role]), self.bad.get(role, Extents()))
            for role in (member.role for member in self.members)
            if role is not None
        ]

    def without(self, roles: Collection[int]) -> Bench:
        members = tuple(member for member in self.description.members if member.role not in roles)
        return replace(self, description=replace(self.description, members=members))

    def walk(self, walked: Walked = NOTHING, sources: list[BadSectors] | None = None) -> list[Walked]:
        opened: list[BlockSource] = [*(sources or self.sources())]
        flaws = known_flaws(self.description, self.members, [source.size for source in opened])
        geometries = walkable_of(self.description, self.members, flaws)
        steps = list(walk(geometries, self.description, flaws, opened, walked))
        assert not steps or walked_bytes(geometries, steps[-1]) == walked_bytes(geometries)
        return steps

    def spoil(self, role: int, offset: int, length: int = SECTOR, by: int = 0x5A) -> None:
        for at in range(offset, offset + length):
            self.images[role][at] ^= by

    def is_joined(self, role: int, offset: int) -> bool:
        """Whether a sector of a member goes on where the one before it ends: far copies begin anew."""
        if not self.layout:
            return True
        shape = self.description.shape
        oracle = Copies(self.layout, shape.raid_disks, shape.chunk_size, self.description.component_size)
        at, n_rows = offset - START, oracle.near // gcd(oracle.near, oracle.raid_disks)
        is_one = oracle.far_offset or oracle.far == 1 or oracle.stride == n_rows * oracle.chunk
        return is_one or at // oracle.stride == (at - SECTOR) // oracle.stride

    def content(self) -> bytes:
        """What the kernel's first copies hold."""
        return b"".join(bytes(self.images[c[0][0]][c[0][1] : c[0][1] + SECTOR]) for _, c in self.pieces)


def bench(level: int, layout: int, disks: int, rows: int = 12, chunk: int = CHUNK, seed: int = 0, **told: Any) -> Bench:
    """Build an array whose copies are equal; all unused bytes are random."""
    size = rows * chunk
    random = Random(seed)
    shape = shape_of(level, layout, chunk, disks)
    members = tuple(Member(f"disk{role}", role, State.IN_SYNC, START, START) for role in range(disks))
    images = {role: bytearray(random.randbytes(START + size)) for role in range(disks)}
    pieces = list(pieces_of(level, layout, disks, size, chunk, START))
    for _, copies in pieces:
        for role, offset in copies[1:]:
            images[role][offset : offset + SECTOR] = images[copies[0][0]][copies[0][1] : copies[0][1] + SECTOR]
    description = ArrayDescription("0", None, "1.2", shape, size, len(pieces) * SECTOR, members, **told)
    return Bench(description, images, pieces, layout=layout)


def pieces_of(level: int, layout: int, disks: int, size: int, chunk: int, start: int) -> list[Piece]:
    """Say for each sector of the array where the kernel puts it."""
    if level == 1:
        return [(at, [(role, start + at) for role in range(disks)]) for at in range(0, size, SECTOR)]
    oracle = Copies(layout, disks, chunk, size)
    return [
        (at, [(role, start + component) for role, component in oracle.places(at)])
        for at in range(0, oracle.size, SECTOR)
    ]


def resized(old: int, new: int, position: int, disks: int = 4, rows: int = 12) -> Bench:
    """A RAID10 in a reshape of its layout: the new geometry, in other bytes of the members, below the position."""
    size, room = rows * CHUNK, (rows + 4) * CHUNK
    random = Random(position)
    images = {role: bytearray(random.randbytes(START + room + size)) for role in range(disks)}
    after = pieces_of(10, new, disks, size, CHUNK, START)
    before = pieces_of(10, old, disks, size, CHUNK, START + room)
    pieces = [*(each for each in after if each[0] < position), *(each for each in before if each[0] >= position)]
    for _, copies in pieces:
        for role, offset in copies[1:]:
            images[role][offset : offset + SECTOR] = images[copies[0][0]][copies[0][1] : copies[0][1] + SECTOR]
    shapes = shape_of(10, old, CHUNK, disks), shape_of(10, new, CHUNK, disks)
    members = tuple(Member(f"disk{role}", role, State.IN_SYNC, START + room, START) for role in range(disks))
    reshape = Reshape(*shapes, position, Direction.FORWARD)
    told = ArrayDescription("0", None, "1.2", shapes[1], size, len(pieces) * SECTOR, members, reshape)
    return Bench(told, images, pieces)


LAYOUTS = [(1, 0, n) for n in (2, 3, 5)] + [
    (10, layout, disks)
    for layout, least in ((NEAR2, 2), (NEAR3, 3), (FAR2, 2), (FAR3, 3), (OFFSET2, 2), (NEAR2_FAR2, 4))
    for disks in range(least, 7)
]
every_layout = pytest.mark.parametrize(("level", "layout", "disks"), LAYOUTS)


def differing(walked: Walked) -> dict[int, dict[tuple[int, int], int]]:
    """Return by array sector the content number of every copy, as (source, image offset)."""
    found: dict[int, dict[tuple[int, int], int]] = {}
    for each in walked.differences:
        for at in range(0, each.stop - each.start, SECTOR):
            found[each.start + at] = {(source, offset + at): content for source, offset, content in each.copies}
    return found


def total(walked: Walked) -> int:
    return sum(map(sum, walked.counts))


@every_layout
def test_equal_copies_are_equal(level: int, layout: int, disks: int) -> None:
    array = bench(level, layout, disks)
    walked = array.walk()[-1]
    assert walked.counts == ((array.description.size, 0, 0, 0, 0),)
    assert (walked.differences, walked.n_differences, walked.reasons, walked.unread) == ((), 0, (), ())


@every_layout
def test_every_place_is_read_once(level: int, layout: int, disks: int) -> None:
    array = bench(level, layout, disks)
    sources = array.sources()
    array.walk(sources=sources)
    for role, source in enumerate(sources):
        held = [(at, at + SECTOR) for _, copies in array.pieces for other, at in copies if other == role]
        assert source.asked == Extents(held)


@every_layout
def test_single_sectors_are_named_with_member_and_sector(level: int, layout: int, disks: int) -> None:
    array = bench(level, layout, disks)
    random = Random(disks)
    spoiled = {}
    for at, copies in random.sample(array.pieces, 9):
        number = random.randrange(len(copies))
        array.spoil(*copies[number])
        mine = [int((index == number) != (number == 0)) for index in range(len(copies))]
        spoiled[at] = dict(zip(copies, mine, strict=True))
    walked = array.walk()[-1]
    assert differing(walked) == spoiled
    assert walked.counts[0][Grade.WRONG] == len(spoiled) * SECTOR
    assert total(walked) == array.description.size


@pytest.mark.parametrize("position", [0, 3 * CHUNK, 5 * CHUNK + SECTOR, 12 * 4 * CHUNK // 2])
@pytest.mark.parametrize(("old", "new"), [(OFFSET2, NEAR2), (NEAR2, OFFSET2)])
def test_both_geometries_of_a_reshape(old: int, new: int, position: int) -> None:
    array = resized(old, new, position)
    walked = array.walk()[-1]
    assert walked.n_differences == 0
    assert total(walked) == sum(counts[Grade.AGREES] for counts in walked.counts) == array.description.size
    spoiled = {}
    for at, copies in Random(position).sample(array.pieces, 6):
        array.spoil(*copies[1])
        spoiled[at] = dict(zip(copies, (0, 1), strict=True))
    assert differing(array.walk()[-1]) == spoiled


def test_three_copies_that_are_all_different() -> None:
    array = bench(1, 0, 4)
    array.spoil(1, START + 1024, by=1)
    array.spoil(3, START + 1024, by=2)
    (found,) = array.walk()[-1].differences
    place = START + 1024
    assert found == Difference(1024, 1536, ((0, place, 0), (1, place, 1), (2, place, 0), (3, place, 2)), proven=True)


@pytest.mark.parametrize(("level", "layout", "disks"), [(1, 0, 3), (10, NEAR3, 3), (10, NEAR3, 5), (10, FAR3, 4)])
def test_with_a_member_missing_the_others_are_compared(level: int, layout: int, disks: int) -> None:
    array = bench(level, layout, disks)
    concerned = [at for at, copies in array.pieces if any(role == 1 for role, _ in copies)]
    walked = array.without([1]).walk()[-1]
    assert walked.counts[0][Grade.HALF] == len(concerned) * SECTOR
    assert walked.counts[0][Grade.AGREES] == array.description.size - len(concerned) * SECTOR
    at, copies = next(each for each in array.pieces if any(role == 1 for role, _ in each[1]))
    other = next(copy for copy in copies if copy[0] != 1)
    array.spoil(*other)
    assert list(differing(array.without([1]).walk()[-1])) == [at]


@every_layout
def test_what_has_one_copy_left_is_counted_with_the_reason(level: int, layout: int, disks: int) -> None:
    array = bench(level, layout, disks)
    missing = list(range(1, disks))
    left = array.without(missing)
    sources = left.sources()
    walked = left.walk(sources=sources)[-1]
    assert walked.counts == ((0, 0, array.description.size, 0, 0),)
    assert sum(n for _, _, n in walked.reasons) == array.description.size
    for _, reason, _ in walked.reasons:
        assert set(reason.split("; ")) <= {f"no image serves role {role}" for role in missing}
    assert not sources[0].asked


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LAYOUTS), st.integers(0, 1 << 20))
def test_bad_sectors_are_left_out_and_told(which: tuple[int, int, int], seed: int) -> None:
    random = Random(seed)
    array = bench(*which)
    _, copies = random.choice(array.pieces)
    role, offset = random.choice(copies)
    array.bad = {role: Extents.span(offset + 7, offset + 9)}
    array.spoil(role, offset)
    walked = array.walk()[-1]
    grade = Grade.HALF if len(copies) > 2 else Grade.UNCHECKED
    assert walked.n_differences == 0
    assert walked.counts[0][grade] == SECTOR
    assert total(walked) == array.description.size
    assert walked.unread == ((role, offset + 7, offset + 9),)
    assert walked.reasons == (((0, f"role {role}: could not be read", SECTOR),) if len(copies) == 2 else ())


def test_what_is_known_to_be_bad_is_not_asked_for() -> None:
    array = bench(10, NEAR2, 5)
    (role, offset), _ = array.pieces[20][1]
    members = tuple(
        replace(member, bad_blocks=Extents.span(offset + 100, offset + 700)) if member.role == role else member
        for member in array.description.members
    )
    array.description = replace(array.description, members=members)
    sources = array.sources()
    walked = array.walk(sources=sources)[-1]
    assert walked.counts[0][Grade.UNCHECKED] == 2 * SECTOR
    assert walked.reasons == ((0, f"role {role}: in the member's bad-block log", 2 * SECTOR),)
    assert not sources[role].asked.overlaps(offset, offset + 2 * SECTOR)


@pytest.mark.parametrize(("level", "layout", "disks"), [(1, 0, 2), (10, NEAR2, 4), (10, FAR2, 3), (10, OFFSET2, 5)])
def test_copies_that_were_never_proven_equal_are_stale_not_wrong(level: int, layout: int, disks: int) -> None:
    size = bench(level, layout, disks).description.size
    array = bench(level, layout, disks, unsynced=Extents.span(CHUNK, 3 * CHUNK))
    spoiled = [0, CHUNK, 3 * CHUNK - SECTOR, 3 * CHUNK]
    for at, copies in array.pieces:
        if at in spoiled:
            array.spoil(*copies[1])
    walked = array.walk()[-1]
    assert walked.counts == ((size - 4 * SECTOR, 0, 0, 2 * SECTOR, 2 * SECTOR),)
    assert [(each.start, each.proven) for each in walked.differences] == list(
        zip(spoiled, (True, False, False, True), strict=True)
    )


@pytest.mark.parametrize(("level", "layout", "disks"), [(1, 0, 2), (10, NEAR2, 2), (10, FAR2, 2)])
def test_a_walk_can_be_gone_on_with_from_anywhere(level: int, layout: int, disks: int) -> None:
    rows = 3 * ROOM // CHUNK // disks
    size = rows * CHUNK
    shape = shape_of(level, layout, CHUNK, disks)
    members = tuple(Member(f"disk{role}", role, State.IN_SYNC, START, START) for role in range(disks))
    array_size = shape.array_size([size] * disks)
    described = ArrayDescription("0", None, "1.2", shape, size, array_size, members)
    array = Bench(described, {role: bytearray(START + size) for role in range(disks)}, [])
    sevenths = np.frombuffer(array.images[1], np.uint8)[START :: 7 * SECTOR]
    sevenths ^= 1
    border = ROOM // disks + START
    array.spoil(1, border - 2 * SECTOR, 4 * SECTOR, by=2)
    whole = array.walk()
    assert whole[-1].n_differences > len(sevenths) // 2
    assert len(whole) > 3
    for stopped in whole:
        kept: dict[str, Any] = json.loads(json.dumps(asdict(stopped)))
        found = [
            Difference(**{**each, "copies": tuple(map(tuple, each["copies"]))}) for each in kept.pop("differences")
        ]
        tuples: dict[str, Any] = {
            name: tuple(map(tuple, value)) if isinstance(value, list) else value for name, value in kept.items()
        }
        resumed = Walked(**tuples, differences=tuple(found))
        assert resumed == stopped
        assert ([stopped, *array.walk(resumed)])[-1] == whole[-1]


def test_a_member_that_is_wholly_different_is_one_difference() -> None:
    size = 2 * ROOM
    shape = shape_of(1, 0, 0, 2)
    members = tuple(Member(f"disk{role}", role, State.IN_SYNC, START, START) for role in range(2))
    images = {0: bytearray(START + size), 1: bytearray(b"\1") * (START + size)}
    array = Bench(ArrayDescription("0", None, "1.2", shape, size, size, members), images, [])
    walked = array.walk()[-1]
    assert walked.differences == (Difference(0, size, ((0, START, 0), (1, START, 1)), proven=True),)
    assert walked.n_differences == 1


@pytest.mark.parametrize(("level", "layout"), [(0, 2), (-1, 0)])
def test_where_nothing_is_held_twice_there_is_nothing_to_compare(level: int, layout: int) -> None:
    size = 8 * CHUNK
    members = tuple(Member(f"disk{role}", role, State.IN_SYNC, START, START, component_size=size) for role in range(3))
    shape = shape_of(level, layout, CHUNK, 3)
    array = Bench(
        ArrayDescription("0", None, "1.2", shape, size, 3 * size, members),
        {role: bytearray(START + size) for role in range(3)},
        [],
    )
    assert all(isinstance(each, Plain) for each in walkable_of(array.description, array.members, ()))
    sources = array.sources()
    walked = array.walk(sources=sources)[-1]
    assert total(walked) == 0
    assert not any(source.asked for source in sources)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LAYOUTS), st.integers(0, 1 << 20), st.sets(st.integers(0, 5), max_size=3))
def test_mirrors_that_differ_are_read_alike_however_a_read_is_split(
    which: tuple[int, int, int], seed: int, mostly: set[int]
) -> None:
    """Served is the copy of the first role, those that are write-mostly last."""
    array, random = bench(*which, seed=seed), Random(seed)
    members = tuple(
        replace(member, write_mostly=member.role in mostly and member.role != which[2] - 1)
        for member in array.description.members
    )
    array.description = replace(array.description, members=members)
    late = {member.role for member in members if member.write_mostly}
    for role, image in array.images.items():  # no two copies are equal
        image[:] = bytes(each ^ (role + 1) for each in image)
    expected = bytearray()
    for _, copies in array.pieces:
        role, offset = min(copies, key=lambda copy: copy[0] in late)
        expected += array.images[role][offset : offset + SECTOR]
    opened: list[BlockSource] = [*array.sources()]
    source = ArraySource(array.description, list(zip(array.members, opened, strict=True)))
    size = array.description.size
    cuts = sorted({0, size, *(random.randrange(size) for _ in range(12))})
    whole = np.zeros(size, dtype=np.uint8)
    assert not source.read_into(one_request(0, size), whole)
    assert whole.tobytes() == bytes(expected)
    for start, stop in random.sample(list(pairwise(cuts)), len(cuts) - 1):
        part = np.zeros(stop - start, dtype=np.uint8)
        assert not source.read_into(one_request(start, stop - start), part)
        assert part.tobytes() == bytes(expected[start:stop])
    for each in array.walk()[-1].differences:  # the first that is listed is the one that is served
        held, offset, _ = each.copies[0]
        served = array.members[held].role
        assert served is not None
        assert array.images[served][offset : offset + SECTOR] == expected[each.start : each.start + SECTOR]
