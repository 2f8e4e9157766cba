"""What partial parity logs prove, against arrays of the oracle that crashed between data and parity."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.zone import Zone
from raidfs.replay.patch import Component, components_of
from raidfs.replay.ppl import Proven, replay_ppl
from raidfs.superblock import claim_of
from raidfs.superblock.ppl import PartialParity, PartialParityLog, read_ppl
from tests.oracle.layouts import Geometry
from tests.oracle.member import OLD
from tests.oracle.parity import fill
from tests.oracle.ppl import Entry, Write, torn_write
from tests.oracle.writer import Simulation, write_array
from tests.support.golden import golden_case, where_here
from tests.support.simulated import shape

CHUNK = 8192
START = 65536


@dataclass(frozen=True)
class Crashed:
    """An array that crashed in the middle of writes, with its logs.

    Attributes:
        array: what arrived is its content. entries: what was logged. writes: the same for people.
    """

    array: Simulation
    writes: tuple[Write, ...]
    entries: tuple[Entry, ...]

    @property
    def zone(self) -> Zone:
        """Its geometry."""
        return zone_of(shape(self.array.geometry), self.array.component_size)

    def logs(self, without: int | None = None) -> dict[int, PartialParityLog]:
        """The log of each member that is there."""
        found = {}
        for role in self.array.roles:
            mine = tuple(told(each) for each in self.entries if each.parity_role == role)
            if role != without:
                found[role] = PartialParityLog(7, mine)
        return found

    def components(self, without: int | None = None, bad: Extents = Extents()) -> dict[int, Component]:
        """The components of the members that are there; `bad`: what cannot be read of each [component bytes]."""
        return {
            role: Component(MemorySource(bytes(member.image), bad.shift(START)), START)
            for role, member in self.array.roles.items()
            if role != without
        }


def told(entry: Entry) -> PartialParity:
    return PartialParity(entry.data_offset, entry.data_size, entry.parity_role, entry.parity, True, len(entry.parity))


@st.composite
def crashes(draw: st.DrawFn) -> Crashed:
    """Draw an array that crashed while it wrote to some of its stripes."""
    geometry = Geometry(5, draw(st.integers(0, 5)), draw(st.integers(3, 6)), CHUNK)
    random = Random(draw(st.integers(0, 1 << 20)))
    array = write_array(geometry, 12 * CHUNK, data_offset=START, seed=random.randrange(1 << 20))
    writes = []
    for row in draw(st.lists(st.integers(0, 11), min_size=1, max_size=5, unique=True)):
        first = draw(st.integers(0, geometry.data_disks - 1))
        n = draw(st.integers(1, geometry.data_disks - first))
        start, stop = sorted(draw(st.lists(st.integers(0, 16), min_size=2, max_size=2, unique=True)))
        writes.append(Write(row, first, n, start * 512, stop * 512))
    entries = [torn_write(array, write, lambda _: random.random() < 0.5) for write in writes]
    return Crashed(array, tuple(writes), tuple(entries))


def right(array: Simulation, row: int, role: int) -> bytes:
    """What the chunk of a role in a row is to hold."""
    geometry = array.geometry
    first = row * geometry.stripe_size
    places = range(first, first + geometry.stripe_size, geometry.chunk)
    return fill(geometry.stripe(row), [bytes(array.content[OLD][at : at + geometry.chunk]) for at in places])[role]


def patches_of(proven: Proven, role: int) -> list[tuple[int, bytes]]:
    """What is laid over the component of a role: where, and the bytes."""
    found = []
    for patch in proven.patches:
        piece = patch.piece
        if patch.role == role:
            found.append((piece.start, read_exact(piece.source, piece.place, piece.length)[0]))
    return found


@given(crashes())
def test_with_all_members_the_parity_of_every_row_is_right(crashed: Crashed) -> None:
    proven = replay_ppl(crashed.zone, crashed.logs(), crashed.components())
    assert (proven.complete, proven.unproven, proven.problems) == (True, Extents(), ())
    array = crashed.array
    images = {role: bytearray(member.image) for role, member in array.roles.items()}
    for role, image in images.items():
        for start, data in patches_of(proven, role):
            image[START + start : START + start + len(data)] = data
    for row in range(12):
        for role, image in images.items():
            assert image[START + row * CHUNK :][:CHUNK] == right(array, row, role)


@given(crashes(), st.data())
def test_with_a_member_missing_its_data_are_right_or_unproven(crashed: Crashed, data: st.DataObject) -> None:
    array = crashed.array
    role = data.draw(st.integers(0, array.geometry.raid_disks - 1))
    bad = data.draw(st.sampled_from([Extents(), Extents([(0, 512), (3 * CHUNK + 1024, 4 * CHUNK + 2048)])]))
    proven = replay_ppl(crashed.zone, crashed.logs(role), crashed.components(role, bad))
    sums = np.zeros(array.component_size, dtype=np.uint8)
    for other, member in array.roles.items():
        if other != role:
            image = bytearray(member.image)
            for start, raw in patches_of(proven, other):
                image[START + start : START + start + len(raw)] = raw
            sums ^= np.frombuffer(image, np.uint8)[START : START + array.component_size]
    alone = [write for write in crashed.writes if write.n == 1]
    for row in range(12):
        got, want = sums[row * CHUNK :][:CHUNK].tobytes(), right(array, row, role)
        if array.geometry.stripe(row).p == role:
            continue  # its parity is gone, and with it the log; the data are all there
        for at in range(0, CHUNK, 512):
            height = row * CHUNK + at
            in_flight = any(
                write.row == row
                and write.start <= at < write.stop
                and array.geometry.stripe(row).data[write.first] == role
                for write in alone
            )
            if bad.overlaps(height, height + 512) or in_flight or proven.unproven.overlaps(height, height + 512):
                continue
            assert got[at : at + 512] == want[at : at + 512]


def test_where_one_of_several_is_missing_the_row_stays_unproven() -> None:
    crashed = static()
    one, several, whole = crashed.entries
    geometry = crashed.array.geometry
    role = geometry.stripe(2).data[1]
    proven = replay_ppl(crashed.zone, crashed.logs(role), crashed.components(role))
    assert proven.unproven.contains(2 * CHUNK + 512, 2 * CHUNK + 1536)
    assert not any(patch.piece.start == 2 * CHUNK + 512 for patch in proven.patches)
    assert proven.complete
    alone = geometry.stripe(0).data[1]
    proven = replay_ppl(crashed.zone, crashed.logs(alone), crashed.components(alone))
    assert not proven.unproven.overlaps(0, CHUNK)
    assert {one.parity_role, several.parity_role, whole.parity_role} >= {patch.role for patch in proven.patches}


def static() -> Crashed:
    array = write_array(Geometry(5, 2, 5, CHUNK), 8 * CHUNK, data_offset=START)
    writes = (Write(0, 1, 1, 0, 1024), Write(2, 0, 2, 512, 1536), Write(6, 0, 4, 0, CHUNK))
    return Crashed(array, writes, tuple(torn_write(array, write, lambda role: role % 2 == 0) for write in writes))


def test_a_damaged_log_leaves_the_others() -> None:
    crashed = static()
    logs = crashed.logs()
    first = crashed.entries[0].parity_role
    for bad in (
        PartialParityLog(0, (), "the partial parity log has no valid header"),
        PartialParityLog(7, (PartialParity(0, 1024, first, bytes(1024), False, 1024),)),
    ):
        proven = replay_ppl(crashed.zone, {**logs, first: bad}, crashed.components())
        assert not proven.complete
        assert [role for role, _ in proven.problems] == [first]
        assert len(proven.patches) == 2


def test_without_entries_nothing_is_proven() -> None:
    crashed = static()
    empty = dict.fromkeys(range(5), PartialParityLog(7, ()))
    assert replay_ppl(crashed.zone, empty, crashed.components()) == Proven((), Extents(), complete=False)


@pytest.mark.parametrize(
    ("offset", "size", "pp_size", "role"),
    [
        (0, 1024, 1024, 2),  # the parity is on another member
        (4 * CHUNK * 8, 1024, 1024, 4),  # beyond the array
        (0, 1024, 1000, 4),
        (0, 512, 1024, 4),
        (0, 100 * CHUNK, CHUNK, 4),
        (0, 1024, 2 * CHUNK, 4),
        (0, 0, 0, 4),
        (3 * CHUNK, 2048, 1024, 4),  # in two stripes
        (CHUNK - 512, 1024, 1024, 4),  # in two chunks
    ],
)
def test_entries_without_sense_are_not_used(offset: int, size: int, pp_size: int, role: int) -> None:
    crashed = static()
    entry = PartialParity(offset, size, role, bytes(pp_size), intact=True, pp_size=pp_size)
    proven = replay_ppl(crashed.zone, {4: PartialParityLog(7, (entry,))}, crashed.components())
    assert (proven.patches, proven.complete) == ((), False)
    assert len(proven.problems) == 1


def test_an_entry_that_covers_two_chunks_of_unequal_length() -> None:
    """Other implementations log a whole chunk of partial parity: rows with one, two or no modified data."""
    crashed = static()
    half = CHUNK // 2
    parity = bytes(crashed.array.random.randbytes(CHUNK))
    entry = PartialParity(half, CHUNK, 4, parity, intact=True, pp_size=CHUNK)  # 2nd half of D0, 1st half of D1
    proven = replay_ppl(crashed.zone, {4: PartialParityLog(7, (entry,))}, crashed.components())
    content = crashed.array.content[OLD]
    second = bytes(a ^ b for a, b in zip(content[half:CHUNK], parity[:half], strict=True))
    first = bytes(a ^ b for a, b in zip(content[CHUNK : CHUNK + half], parity[half:], strict=True))
    assert {patch.role for patch in proven.patches} == {4}
    assert sorted(patches_of(proven, 4)) == [(0, first), (half, second)]


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 20), st.integers(0, 1 << 15), st.integers(0, 5))
def test_any_entry_can_be_replayed(offset: int, size: int, pp_size: int, role: int) -> None:
    crashed = static()
    entry = PartialParity(offset * 512, size, role, bytes(pp_size), intact=True, pp_size=pp_size)
    proven = replay_ppl(crashed.zone, {role: PartialParityLog(7, (entry,))}, crashed.components())
    for patch in proven.patches:
        assert patch.role == role
        assert 0 <= patch.piece.start < patch.piece.stop <= crashed.array.component_size


@pytest.mark.golden
@pytest.mark.parametrize(("name", "unproven"), where_here({"s-r5-ppl": 0, "j-r5-ppl-dirty-missing": 172032}))
def test_of_real_logs_the_parity_is_that_on_the_members(name: str, unproven: int) -> None:
    """No stripe was caught in the middle in these; so what the logs say is what is there."""
    with open_array([str(path) for path in golden_case(name).members()]) as opened:
        description = opened.description
        logs = {}
        for role, member in description.serving.items():
            log = read_ppl(opened.images[member.path], claim_of(opened.superblocks[member.path]))
            assert log is not None
            logs[role] = log
        components = components_of(description, opened.images)
        proven = replay_ppl(zone_of(description.shape, description.component_size), logs, components)
        assert (proven.complete, proven.unproven.total) == (True, unproven)
        assert {patch.role for patch in proven.patches} == description.serving.keys()
        for role, component in components.items():
            for start, data in patches_of(proven, role):
                assert component.read(start, start + len(data))[0].tobytes() == data
