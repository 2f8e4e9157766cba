"""Every stripe is judged for what it is: damage where it was put, named as far as parity can, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.engine.damage import known_flaws
from raidfs.engine.grade import Grade
from raidfs.engine.rows import BATCH, Rows, rows_of
from raidfs.engine.verify import Mismatch, Run, Walked, mismatch_of, walk
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side, sections_of
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import describe
from tests.support.sources import BadSectors

SECTOR = 512
START = 512 * 1024
NOTHING = Walked()
ROOM = 256 * 1024
"""Between old and new data: more than a component has, so that the geometries do not touch."""


@dataclass
class Bench:
    """An array whose members can be damaged, and what a walk needs to look at them."""

    array: Simulation
    without: Collection[int] = ()
    bad: Mapping[int, Extents] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.description: ArrayDescription = describe(self.array, without=self.without)
        self.roles = sorted(self.description.serving)
        self.images = {role: bytearray(self.array.roles[role].image) for role in self.roles}
        sizes = [len(self.images[role]) for role in self.roles]
        self.flaws = known_flaws(self.description, self.description.of_roles(self.roles), sizes)
        self.rows: list[Rows] = [
            rows_of(self.description.of_roles(self.roles), self.flaws, section)
            for section in sections_of(self.description)
        ]

    def sources(self) -> list[BlockSource]:
        return [BadSectors(bytes(self.images[role]), self.bad.get(role, Extents())) for role in self.roles]

    def walk(self, walked: Walked = NOTHING) -> list[Walked]:
        return list(walk(self.rows, self.description, self.flaws, self.sources(), walked))

    def mismatches(self, walked: Walked) -> list[Mismatch]:
        return [mismatch_of(run, self.rows) for run in walked.runs]

    def offset(self, role: int, side: Side) -> int:
        member = self.array.roles[role]
        return member.new_data_offset if side is Side.AFTER else member.data_offset

    def spoil(self, role: int, side: Side, start: int, stop: int, random: Random) -> None:
        """Change every byte of a range [component bytes] of a member."""
        offset = self.offset(role, side)
        for at in range(offset + start, offset + stop):
            self.images[role][at] ^= random.randrange(1, 256)


@st.composite
def arrays(draw: st.DrawFn, levels: Collection[int] = (4, 5, 6), reshaped: bool | None = None) -> Simulation:
    """Draw a whole array, or one in a reshape whose geometries do not touch; its parity is right everywhere."""
    level = draw(st.sampled_from(sorted(levels)))

    def geometry() -> Geometry:
        layout = draw(st.sampled_from(sorted(LAYOUT_NAMES[level])))
        disks = draw(st.integers(4 if level == 6 else 3, 6))
        return Geometry(level, layout, disks, draw(st.sampled_from([1024, 4096, 8192])))

    before, seed = geometry(), draw(st.integers(0, 1 << 20))
    size = draw(st.integers(4, 12)) * 8192
    if not (draw(st.booleans()) if reshaped is None else reshaped):
        return write_array(before, size, data_offset=START, seed=seed)
    after = geometry()
    backwards = after.raid_disks < before.raid_disks
    step = max(before.chunk, after.chunk) * after.data_disks
    used = min(size // each.chunk * each.chunk for each in (before, after))
    most = min(before.capacity(used), after.capacity(used)) // step
    new = START + (ROOM if backwards else -ROOM)
    return write_array(
        before,
        size,
        after=after,
        position=draw(st.integers(0, most)) * step,
        backwards=backwards,
        data_offset=START,
        new_data_offset=new,
        seed=seed,
    )


def spoil_one_chunk_per_stripe(bench: Bench, random: Random) -> list[tuple[int, int, int]]:
    """Spoil a part of one chunk of every stripe; return (section, role, stripe) of each."""
    spoiled = []
    for number, rows in enumerate(bench.rows):
        start, stop = rows.bounds
        chunk = rows.zone.chunk_size
        for height in range(start, stop, chunk):
            role = random.choice([role for role in range(len(rows.lanes)) if role in bench.images])
            low, high = sorted(random.sample(range(chunk // SECTOR + 1), 2))
            bench.spoil(role, rows.section.side, height + low * SECTOR, height + high * SECTOR, random)
            spoiled.append((number, role, height // chunk))
    return spoiled


@settings(max_examples=40)
@given(arrays())
def test_a_sound_array_agrees_everywhere(array: Simulation) -> None:
    bench = Bench(array)
    walked = bench.walk()[-1]
    for rows, counts in zip(bench.rows, walked.counts, strict=True):
        start, stop = rows.bounds
        assert counts == ((stop - start) // rows.zone.chunk_size, 0, 0, 0, 0)
    assert (walked.n_runs, walked.reasons, walked.unread) == (0, (), ())
    assert walked.section == len(bench.rows)


@settings(max_examples=40)
@given(arrays(levels=[6]), st.integers(0, 1 << 20))
def test_raid6_names_the_member_and_sector_of_one_wrong_chunk_per_stripe(array: Simulation, seed: int) -> None:
    bench = Bench(array)
    before = {role: bytes(image) for role, image in bench.images.items()}
    spoiled = spoil_one_chunk_per_stripe(bench, Random(seed))
    walked = bench.walk()[-1]
    assert walked.total(Grade.WRONG) == len(spoiled)
    found: dict[int, Extents] = {}
    for each in bench.mismatches(walked):
        assert each.role is not None
        assert each.source == bench.roles.index(each.role)
        assert each.image_offset is not None
        place = Extents.span(each.image_offset, each.image_offset + each.length)
        found[each.role] = found.get(each.role, Extents()).union(place)
    for role, image in bench.images.items():
        differs = np.frombuffer(before[role], np.uint8) != np.frombuffer(image, np.uint8)
        places = np.flatnonzero(differs.reshape(-1, SECTOR).any(axis=1)) * SECTOR
        assert found.get(role, Extents()) == Extents([(at, at + SECTOR) for at in places.tolist()])


@settings(max_examples=40)
@given(arrays(levels=[4, 5]), st.integers(0, 1 << 20))
def test_one_parity_names_the_stripe(array: Simulation, seed: int) -> None:
    bench = Bench(array)
    spoiled = spoil_one_chunk_per_stripe(bench, Random(seed))
    walked = bench.walk()[-1]
    assert walked.total(Grade.WRONG) == len(spoiled)
    assert all(each.role is None and each.source is None and each.proven for each in bench.mismatches(walked))
    sizes = [rows.zone.stripe_size for rows in bench.rows]
    stripes = [(stripe * sizes[at], (stripe + 1) * sizes[at]) for at, _, stripe in spoiled]
    named = [(each.array_start, each.array_stop) for each in bench.mismatches(walked)]
    assert Extents(named) == Extents(stripes)


@settings(max_examples=30)
@given(arrays(levels=[6]), st.integers(0, 1 << 20))
def test_raid6_with_one_missing_detects(array: Simulation, seed: int) -> None:
    random = Random(seed)
    missing = random.choice(sorted(array.roles))
    bench = Bench(array, without=[missing])
    concerned = [missing < len(rows.lanes) for rows in bench.rows]
    walked = bench.walk()[-1]
    for is_concerned, counts in zip(concerned, walked.counts, strict=True):
        assert sum(counts) == counts[Grade.HALF if is_concerned else Grade.AGREES]
    spoiled = spoil_one_chunk_per_stripe(bench, random)
    walked = bench.walk()[-1]
    assert walked.total(Grade.WRONG) == len(spoiled)
    for each, run in zip(bench.mismatches(walked), walked.runs, strict=True):
        assert (each.role is None) == concerned[run.section]


@settings(max_examples=30)
@given(arrays(), st.integers(0, 1 << 20))
def test_stripes_that_lack_too_much_are_counted_with_the_reason(array: Simulation, seed: int) -> None:
    level = array.geometry.level
    missing = Random(seed).sample(sorted(array.roles), 2 if level == 6 else 1)
    bench = Bench(array, without=missing)
    walked = bench.walk()[-1]
    reasons = {at: (reason, n) for at, reason, n in walked.reasons}
    for number, (rows, counts) in enumerate(zip(bench.rows, walked.counts, strict=True)):
        gone = sorted(role for role in missing if role < len(rows.lanes))
        if len(gone) > (1 if level == 6 else 0):
            told = "; ".join(f"no image serves role {role}" for role in gone)
            assert reasons[number] == (told, sum(counts)) == (told, counts[Grade.UNCHECKED])
        else:
            assert number not in reasons
            assert counts[Grade.UNCHECKED] == 0


@settings(max_examples=30)
@given(arrays(levels=[5, 6]), st.integers(0, 1 << 20))
def test_bad_sectors_are_left_out_and_told(array: Simulation, seed: int) -> None:
    random = Random(seed)
    probe = Bench(array)
    rows = probe.rows[0]
    start, stop = rows.bounds
    at = random.randrange(start, stop, SECTOR)
    role = random.randrange(len(rows.lanes))
    place = probe.offset(role, rows.section.side) + at
    bench = Bench(array, bad={role: Extents.span(place + 7, place + 9)})
    walked = bench.walk()[-1]
    assert walked.n_runs == 0
    assert walked.counts[0][Grade.HALF if array.geometry.level == 6 else Grade.UNCHECKED] == 1
    assert walked.unread == ((bench.roles.index(role), place + 7, place + 9),)
    if array.geometry.level == 5:
        assert walked.reasons == ((0, f"role {role}: could not be read", 1),)


def test_what_is_known_to_be_bad_is_not_asked_for() -> None:
    array = write_array(Geometry(6, 2, 5, 4096), 40960, data_offset=START)
    array.spoil(2, START + 4096, START + 5120)
    bench = Bench(array)
    sources = [BadSectors(bytes(bench.images[role])) for role in bench.roles]
    *_, walked = walk(bench.rows, bench.description, bench.flaws, sources)
    assert walked.counts == ((9, 1, 0, 0, 0),)
    assert not sources[2].asked.overlaps(START + 4096, START + 5120)
    assert sources[2].asked.total == 40960 - 1024


def test_parity_that_was_never_proven_is_no_error_but_told() -> None:
    array = write_array(Geometry(5, 2, 4, 4096), 40960, data_offset=START)
    array.resync_offset = 20480
    bench = Bench(array)
    for stripe in (1, 7):
        bench.spoil(3, Side.ONLY, stripe * 4096, stripe * 4096 + 512, Random(stripe))
    walked = bench.walk()[-1]
    assert walked.counts == ((8, 0, 0, 1, 1),)
    assert [(each.stripe_number, each.proven) for each in bench.mismatches(walked)] == [(1, True), (7, False)]


def test_chunks_larger_than_a_batch() -> None:
    chunk = BATCH + BATCH // 2
    zeros = bytes(2 * chunk * 3)
    array = write_array(Geometry(5, 2, 3, chunk), 3 * chunk, data_offset=START, data=zeros)
    bench = Bench(array)
    for at in (chunk + BATCH // 2, chunk + BATCH // 2 + 4096, 2 * chunk - 512):
        bench.images[1][START + at] ^= 1
    walked = bench.walk()[-1]
    assert walked.counts == ((2, 0, 0, 0, 1),)
    assert walked.n_runs == 3


@settings(max_examples=20)
@given(st.integers(0, 1 << 20), st.data())
def test_a_walk_can_be_gone_on_with_from_anywhere(seed: int, data: st.DataObject) -> None:
    random = Random(seed)
    geometry = Geometry(6, 2, 4, 4096)
    array = write_array(geometry, 3 * BATCH + 4096, data_offset=START, data=bytes(2 * (3 * BATCH + 4096)))
    bench = Bench(array)
    for _ in range(20):
        at = random.randrange(0, 3 * BATCH, SECTOR)
        bench.images[random.randrange(4)][START + at] ^= 1
    for at in range(BATCH - 1024, BATCH + 1024, SECTOR):  # a run over the border of two batches
        bench.images[1][START + at] ^= 1
    whole = bench.walk()
    stopped = data.draw(st.sampled_from(whole))
    kept: dict[str, Any] = json.loads(json.dumps(asdict(stopped)))
    runs = tuple(Run(**run) for run in kept.pop("runs"))
    tuples: dict[str, Any] = {
        name: tuple(map(tuple, value)) if isinstance(value, list) else value for name, value in kept.items()
    }
    resumed = Walked(**tuples, runs=runs)
    assert resumed == stopped
    assert ([stopped, *bench.walk(resumed)])[-1] == whole[-1]


@pytest.mark.parametrize("role", [0, 1])
def test_what_one_member_has_wrong_over_many_stripes_is_one_run(role: int) -> None:
    array = write_array(Geometry(6, 2, 4, 4096), 3 * BATCH, data_offset=START, data=bytes(6 * BATCH))
    bench = Bench(array)
    image = np.frombuffer(bench.images[role], np.uint8)
    image[START : START + 3 * BATCH] ^= 0x55
    walked = bench.walk()[-1]
    assert walked.runs == (Run(0, 0, 3 * BATCH, role, True),)
    assert walked.n_runs == 1
