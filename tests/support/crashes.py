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
from tests.oracle.labels import device_size
from tests.oracle.member import STALE
from tests.oracle.ranges import Range
from tests.oracle.writer import Landed, Simulation, everything, write_array
from tests.support.reshapes import furthest, geometries, reshapes
from tests.support.simulated import describe, with_member
from tests.support.sources import BadSectors
from tests.support.worth import SECTOR, Situation, situation_of

CHUNKS = (4096, 8192, 16384)
START = 64 * 1024
WRITE = 700
"""Length of a write of the user [bytes]."""


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
    missing: frozenset[int] = frozenset()
    truncated: tuple[tuple[int, int], ...] = ()
    bad: tuple[tuple[int, Range], ...] = ()
    doubtful: frozenset[int] = frozenset()

    @property
    def description(self) -> ArrayDescription:
        """The array as raidfs is to see it."""
        description = describe(self.array, without=self.missing)
        for role in self.doubtful & description.serving.keys():
            description = with_member(description, role, state=State.DAMAGED)
        return description

    @property
    def sources(self) -> list[tuple[int, BlockSource]]:
        """Fresh images; bad places are found by reading only."""
        ends = dict(self.truncated)
        found: list[tuple[int, BlockSource]] = []
        for role in sorted(self.array.roles.keys() - self.missing):
            image = bytes(self.array.roles[role].image[: ends.get(role)])
            bad = Extents([place for other, place in self.bad if other == role])
            found.append((role, BadSectors(image, bad.clip(0, len(image)))))
        return found

    @property
    def situation(self) -> Situation:
        """The same for the definition."""
        bad: dict[int, list[Range]] = {role: [] for role in self.array.roles}
        for role, place in (*self.bad, *((role, (end, self.array.size_of_device)) for role, end in self.truncated)):
            if role in bad:
                bad[role].append(place)
        return situation_of(self.array, bad, without=self.missing, doubtful=self.doubtful)

    @property
    def has_stale_parity(self) -> bool:
        """Whether some parity is not that of its data."""
        return any(owner == STALE for member in self.array.members for _, _, owner in member.written)


@st.composite
def static_arrays(draw: st.DrawFn, *, torn: bool = True) -> Simulation:
    """Draw an array without a reshape: whole, degraded, being rebuilt, crashed in the middle of writes (torn)."""
    level = draw(st.sampled_from([4, 5, 6]))
    geometry = draw(geometries(level, 7, CHUNKS))
    if level != 6 and draw(st.integers(0, 9)) == 0:
        geometry = replace(geometry, raid_disks=2)
    size = draw(st.integers(1, 14)) * geometry.chunk + draw(st.sampled_from([0, 512, 3584]))
    disks = geometry.raid_disks
    places = [START + 4096 * offset for offset in draw(st.lists(st.integers(0, 9), min_size=disks, max_size=disks))]
    random = Random(draw(st.integers(0, 1 << 20)))
    array = write_array(geometry, size, data_offset=places, seed=random.randrange(1 << 20))
    if draw(st.booleans()):
        role = draw(st.integers(0, disks - 1))
        array.fail(role)
        if draw(st.booleans()):
            array.replace(role, places[role], draw(st.integers(0, size // SECTOR)) * SECTOR)
    if draw(st.booleans()):
        array.resync_offset = draw(st.sampled_from([0, geometry.chunk, size // 1024 * SECTOR]))
    write_somewhere(draw, array, random, torn=torn)
    spoil_somewhere(draw, array)
    return array


@st.composite
def reshaping_arrays(draw: st.DrawFn, *, torn: bool = True, is_odd: bool = True) -> Simulation:
    """Draw an array in the middle of a reshape, perhaps with a hole, or a member that failed on the way."""
    moves = draw(st.sampled_from([(-24, 24), (-24, 24), (0, 0)]))
    size = draw(st.sampled_from([96 * 1024, 97 * 1024 - SECTOR]))
    is_odd = is_odd and draw(st.integers(0, 3)) == 0
    reshape = draw(reshapes(component_size=size, chunks=CHUNKS, moves=moves, is_odd=is_odd))
    random = Random(draw(st.integers(0, 1 << 20)))
    offsets = list(reshape.offsets.values())
    array = Simulation(
        reshape.before,
        size,
        data_offsets=[old for old, _ in offsets],
        size_of_device=device_size(size, *(place for pair in offsets for place in pair)),
        seed=random.randrange(1 << 20),
    )
    hole = draw(st.none() | st.integers(0, reshape.before.raid_disks - 1))
    if hole is not None:
        array.fail(hole)
    is_filled = hole is not None and not reshape.backwards and hole < reshape.after.raid_disks and draw(st.booleans())
    fill = (hole,) if is_filled and hole is not None else ()
    array.start_reshape(reshape.after, [new for _, new in offsets], backwards=reshape.backwards, fill=fill)
    array.advance(reshape.position)
    array.resync_offset = draw(st.sampled_from([None, None, 0]))
    is_sane = all((new >= old) if reshape.backwards else (new <= old) for old, new in offsets)
    if is_sane:  # md refuses data that move the other way; what would be right there nobody can say
        _go_on(draw, array, reshape, random, torn=torn)
    spoil_somewhere(draw, array)
    return array


def _go_on(draw: st.DrawFn, array: Simulation, reshape: Reshape, random: Random, *, torn: bool) -> None:
    """Let the reshape go on without record as far as the kernel may, and the user write on both sides."""
    if torn:
        step = reshape.step * reshape.after.data_disks
        ahead = draw(st.integers(0, abs(furthest(reshape) - reshape.position) // step)) * step
        progress = reshape.position - ahead if reshape.backwards else reshape.position + ahead
        array.tear(progress, some_land(random, 0.6))
    write_somewhere(draw, array, random, torn=torn)
    if draw(st.integers(0, 3)) == 0:
        array.fail(draw(st.sampled_from(sorted(array.roles))))


def some_land(random: Random, share: float) -> Landed:
    """Let some writes reach the medium, each of them always or never."""
    told: dict[tuple[int, int], bool] = {}
    return lambda at, role: told.setdefault((at, role), random.random() < share)


def write_somewhere(draw: st.DrawFn, array: Simulation, random: Random, *, torn: bool) -> None:
    """Let the user write here and there; where parity is not proven any part of it may have landed."""
    for start in draw(st.lists(st.integers(0, max(0, array.size - WRITE)), max_size=4)):
        row = start // array.geometry.stripe_size
        dirty = array.resync_offset is not None and row * array.geometry.chunk >= array.resync_offset
        landed = some_land(random, 0.5) if torn and dirty else everything
        with suppress(ValueError):  # the reshape is at work there: the write waits
            array.user_write(start, random.randbytes(min(WRITE, array.size - start)), landed)


def spoil_somewhere(draw: st.DrawFn, array: Simulation) -> None:
    """Let sectors enter the bad-block logs of members; the last superblocks are written then."""
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        member = array.roles[draw(st.sampled_from(sorted(array.roles)))]
        first = draw(st.integers(0, array.component_size // SECTOR - 1))
        start = member.data_offset + first * SECTOR
        array.spoil(member.role, start, start + draw(st.sampled_from([1, 8, 9])) * SECTOR)
    array.checkpoint()


@st.composite
def damages(draw: st.DrawFn, array: Simulation, *, most: int = 4) -> Damaged:
    """Draw damage: members gone, images cut short, bad sectors, superblocks that are not to be trusted."""
    roles = sorted(array.roles)
    redundancy = 2 if array.geometry.level == 6 else 1
    missing = draw(st.frozensets(st.sampled_from(roles), max_size=draw(st.integers(0, redundancy + 1))))
    size = array.size_of_device // SECTOR
    first = min(min(each.data_offset, each.new_data_offset) for each in array.roles.values()) // SECTOR
    start = st.integers(first, size)
    place = st.tuples(start, st.sampled_from([1, 1, 2, 7, 8, 40])).map(lambda told: _sectors(*told))
    bad = draw(st.lists(st.tuples(st.sampled_from(roles), place), max_size=most))
    truncated = draw(st.lists(st.tuples(st.sampled_from(roles), start.map(lambda n: n * SECTOR)), max_size=1))
    doubtful: Collection[int] = draw(st.sampled_from([(), (), (), tuple(roles[:1]), tuple(roles[-2:])]))
    return Damaged(array, missing, tuple(truncated), tuple(bad), frozenset(doubtful))


def _sectors(first: int, count: int) -> Range:
    return first * SECTOR, (first + count) * SECTOR


def arrays(*, torn: bool = True, is_odd: bool = True) -> st.SearchStrategy[Simulation]:
    """Draw any array.

    Args:
        torn: it may have crashed in the middle of writes.
        is_odd: its reshape may be one that md refuses: data that move in the direction of travel.
    """
    return static_arrays(torn=torn) | reshaping_arrays(torn=torn, is_odd=is_odd)
