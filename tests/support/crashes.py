"""Arrays as a crash may leave them, with damage, drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, State
from raidfs.block import BlockSource
from raidfs.extents import Extents
from tests.oracle.at_risk import Reshape
from tests.oracle.ranges import Range
from tests.oracle.writer import Simulation, write_array
from tests.support.reshapes import furthest, geometries, reshapes
from tests.support.simulated import describe, with_member
from tests.support.sources import BadSectors
from tests.support.worth import Situation, situation_of

CHUNKS = (4096, 8192, 16384)
START = 64 * 1024


@dataclass(frozen=True)
class Damaged:
    """An array and what happened to its members since.

    Attributes:
        array: the array.
        missing: roles whose members are gone.
        truncated: by role, the size of what is left of an image [bytes].
        bad: by role, what cannot be read [member bytes].
        doubtful: roles whose superblocks are damaged.
    """

    array: Simulation
    missing: frozenset[int]
    truncated: dict[int, int]
    bad: dict[int, tuple[Range, ...]]
    doubtful: frozenset[int]

    @property
    def description(self) -> ArrayDescription:
        """The array as raidfs is to see it."""
        description = describe(self.array, without=self.missing)
        for role in self.doubtful & description.serving.keys():
            description = with_member(description, role, state=State.DAMAGED)
        return description

    def sources(self) -> list[tuple[int, BlockSource]]:
        """Fresh images; bad places are found by reading only."""
        found: list[tuple[int, BlockSource]] = []
        for role in sorted(self.array.roles.keys() - self.missing):
            image = bytes(self.array.roles[role].image[: self.truncated.get(role)])
            bad = Extents(self.bad.get(role, ())).clip(0, len(image))
            found.append((role, BadSectors(image, bad)))
        return found

    @property
    def situation(self) -> Situation:
        """The same for the definition."""
        size = self.array.size_of_device
        cut = {role: ((end, size),) for role, end in self.truncated.items()}
        bad = {role: (*self.bad.get(role, ()), *cut.get(role, ())) for role in self.array.roles}
        return situation_of(self.array, bad, without=self.missing, doubtful=self.doubtful)


def _lands(random: Random, share: float) -> object:
    return lambda _at, _role: random.random() < share


@st.composite
def static_arrays(draw: st.DrawFn, torn: bool = True) -> Simulation:
    """Draw an array without a reshape: at work, crashed, being rebuilt.

    Args:
        draw: hypothesis's.
        torn: it may have crashed in the middle of writes.
    """
    level = draw(st.sampled_from([4, 5, 6]))
    geometry = draw(geometries(level, 7, CHUNKS))
    if level != 6 and draw(st.integers(0, 9)) == 0:
        geometry = replace(geometry, raid_disks=2)
    size = draw(st.integers(1, 14)) * geometry.chunk + draw(st.sampled_from([0, 512, 3584]))
    offsets = draw(st.lists(st.integers(0, 9), min_size=geometry.raid_disks, max_size=geometry.raid_disks))
    places = [START + 4096 * offset for offset in offsets]
    random = Random(draw(st.integers(0, 1 << 20)))
    array = write_array(geometry, size, data_offset=places, seed=random.randrange(1 << 20))
    if draw(st.booleans()):
        role = draw(st.integers(0, geometry.raid_disks - 1))
        array.fail(role)
        if draw(st.booleans()):
            array.replace(role, places[role], draw(st.integers(0, size // 512)) * 512)
    if torn and draw(st.booleans()):
        array.resync_offset = draw(st.sampled_from([0, geometry.chunk, size // 1024 * 512]))
        for at in _places_to_write(draw, array):
            if at // geometry.stripe_size * geometry.chunk >= array.resync_offset and len(array.roles) == geometry.raid_disks:
                array.user_write(at, random.randbytes(700), _lands(random, 0.5))  # type: ignore[arg-type]  # a Landed
    return array


@st.composite
def reshaping_arrays(draw: st.DrawFn, torn: bool = True) -> Simulation:
    """Draw an array in the middle of a reshape, perhaps with holes, and with writes of the user on both sides."""
    backwards_only = draw(st.sampled_from([(-24, 24), (-24, 0), (0, 24), (0, 0)]))
    reshape = draw(reshapes(component_size=draw(st.sampled_from([96 * 1024, 97 * 1024 - 512])), chunks=CHUNKS, moves=backwards_only))
    random = Random(draw(st.integers(0, 1 << 20)))
    step = reshape.step * reshape.after.data_disks
    most = abs(furthest(reshape) - reshape.position) // step
    gone = draw(st.integers(0, most)) * step if torn else 0
    array = write_array(
        reshape.before,
        reshape.component_size,
        data_offset=[old for old, _ in reshape.offsets.values()][: reshape.before.raid_disks],
        seed=random.randrange(1 << 20),
    )
    array.size_of_device = len(array.members[0].image)
    return _run(draw, array, reshape, -gone if reshape.backwards else gone, random)


def _run(draw: st.DrawFn, array: Simulation, reshape: Reshape, ahead: int, random: Random) -> Simulation:
    raise NotImplementedError


def _places_to_write(draw: st.DrawFn, array: Simulation) -> list[int]:
    return draw(st.lists(st.integers(0, array.size - 700), max_size=4))
