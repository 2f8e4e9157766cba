"""Small arrays with damage and stale members, drawn at random, that can be built again with other contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from tests.oracle.cells import DOUBTFUL, SECTOR, SURE, Situation, Source, rewritten
from tests.oracle.labels import device_size
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.member import SimulatedMember
from tests.oracle.ranges import Range, difference, intersection, shifted
from tests.oracle.writer import Simulation

COMPONENT = 64 * 1024
START = 128 * 1024
"""Data offset of all members in the old geometry [member bytes]."""
WHOLE = (0, 1 << 20)


@dataclass(frozen=True)
class Crashed:
    """How an array came to be what it is.

    Attributes:
        before, after, backwards: its geometries; after is None where there was no reshape.
        new_offsets: of each role, in the new geometry [member bytes].
        lost_early, lost_midway: roles whose members were thrown out before the reshape, and at `midway`.
        recovered: the member lost early is replaced by a new one, which the reshape fills if it can; without a reshape
            it was rebuilt up to here [component bytes]; None: nobody replaces it.
        midway, position: where the reshape was [array bytes].
        progress: how far it really came; beyond the position only some writes landed [array bytes].
        written: sectors behind the position that the user wrote to at the end [array sectors].
        failing: what cannot be read, by device number [member bytes].
        unproven: parity is proven below this height only [component bytes].
        seed: of all contents.
    """

    before: Geometry
    after: Geometry | None
    backwards: bool
    new_offsets: tuple[int, ...]
    lost_early: int | None
    lost_midway: int | None
    recovered: int | None
    midway: int
    position: int
    progress: int
    written: frozenset[int]
    failing: tuple[tuple[int, Range], ...]
    unproven: int
    seed: int

    @property
    def is_torn(self) -> bool:
        """Whether writes beyond the position landed."""
        return self.progress != self.position

    @property
    def content(self) -> bytes:
        """What the array held at first."""
        return Random(self.seed).randbytes(self.before.capacity(COMPONENT))

    @property
    def writes(self) -> dict[int, bytes]:
        """What the user wrote, by sector of the array."""
        chance = Random(self.seed + 1)
        return {sector: chance.randbytes(SECTOR) for sector in sorted(self.written)}

    def build(self, content: bytes, writes: Mapping[int, bytes]) -> Simulation:
        """Build it, with these contents or others."""
        array = Simulation(
            self.before,
            COMPONENT,
            data_offsets=[START] * self.before.raid_disks,
            size_of_device=device_size(COMPONENT, START, *self.new_offsets),
            data=content,
            seed=self.seed,
        )
        if self.lost_early is not None:
            array.fail(self.lost_early)
        role = self.lost_early or 0
        if self.after is None and self.recovered is not None:
            array.replace(role, START, self.recovered)
        if self.after is not None:
            is_filled = self.recovered is not None and not self.backwards and role < self.after.raid_disks
            fill = (role,) if is_filled else ()
            array.start_reshape(self.after, self.new_offsets, backwards=self.backwards, fill=fill)
            array.advance(self.midway)
            if self.lost_midway is not None:
                array.fail(self.lost_midway)
            array.advance(self.position)
            array.tear(self.progress, lambda at, role: (at // 4096 + role + self.seed) % 3 > 0)
        for sector, data in writes.items():
            array.user_write(sector * SECTOR, data)
        return array

    def situation(self, array: Simulation) -> Situation:
        """What is known of it: of what nobody wrote to since, the middle third is known to be quiet."""
        low, high = sorted((self.position, self.progress))
        disks = self.after.data_disks if self.after else 1
        third = array.size // 3 // SECTOR * SECTOR
        touched = [(sector * SECTOR, (sector + 1) * SECTOR) for sector in self.written]
        return Situation(
            geometry=self.before,
            component_size=COMPONENT,
            sources=tuple(self._source(array, member) for member in array.members),
            after=self.after,
            position=self.position,
            backwards=self.backwards,
            at_risk=(low // disks, high // disks),
            quiet=tuple(difference([(third, 2 * third)], touched)),
            unproven=((self.unproven, COMPONENT),),
        )

    def _source(self, array: Simulation, member: SimulatedMember) -> Source:
        return Source(
            role=member.role,
            size=len(member.image),
            data_offset=member.data_offset,
            new_data_offset=member.new_data_offset,
            recovered_to=member.recovered_to,
            failing=tuple(place for number, place in self.failing if number == member.device_number),
            trust=SURE if array.roles.get(member.role) is member else DOUBTFUL,
            held=None if array.roles.get(member.role) is member else self._held(member),
        )

    def _held(self, member: SimulatedMember) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
        """What a member held when it was thrown out."""
        everything, rows = [(0, COMPONENT)], (0, 0)
        if self.after is not None and member.role == self.lost_midway:
            rows = rewritten(self.after, COMPONENT, self.midway, backwards=self.backwards)
        moved = member.new_data_offset - START
        old = (
            everything
            if member.role >= (self.after or self.before).raid_disks
            else difference(everything, shifted([rows], moved))
        )
        never_old = member.recovered_to is not None
        return (() if never_old else tuple(old)), tuple(intersection([rows], everything))


@st.composite
def crashed_arrays(draw: st.DrawFn, *, torn: bool) -> Crashed:
    """Draw one; torn: its reshape went on beyond the recorded position."""
    level = draw(st.sampled_from([4, 5, 6]))
    before = draw(_geometries(level))
    after = draw(_geometries(level) if torn else st.none() | _geometries(level))
    growth = after.raid_disks - before.raid_disks if after else 0
    backwards = growth < 0 or (after is not None and growth == 0 and draw(st.booleans()))
    roles = range(max(before.raid_disks, after.raid_disks if after else 0))
    moves = st.integers(0, 6).map(lambda units: units * (4096 if backwards else -4096))
    positions = draw(_positions(before, after, backwards=backwards, torn=torn)) if after else (0, 0, 0)
    behind = _behind(before, after, positions[1], backwards=backwards)
    early, midway = draw(st.none() | st.sampled_from(range(before.raid_disks))), None
    if after is not None:
        midway = draw(st.none() | st.sampled_from([role for role in roles if role != early]))
    return Crashed(
        before=before,
        after=after,
        backwards=backwards,
        new_offsets=tuple(START + draw(moves) for _ in roles),
        lost_early=early,
        lost_midway=midway,
        recovered=draw(st.none() | st.integers(0, COMPONENT // SECTOR).map(lambda n: n * SECTOR))
        if early is not None
        else None,
        midway=positions[0],
        position=positions[1],
        progress=positions[2],
        written=draw(
            st.just(frozenset()) | st.frozensets(st.sampled_from(behind or [0]), max_size=20 if behind else 0)
        ),
        failing=tuple(draw(st.lists(st.tuples(st.sampled_from(roles), _places() | st.just(WHOLE)), max_size=12))),
        unproven=draw(st.sampled_from([COMPONENT, COMPONENT, 32768])),
        seed=draw(st.integers(0, 1 << 20)),
    )


def _geometries(level: int) -> st.SearchStrategy[Geometry]:
    disks = st.integers(4 if level == 6 else 2, 5)
    layout = st.sampled_from(sorted(LAYOUT_NAMES[level]))
    return st.builds(Geometry, st.just(level), layout, disks, st.sampled_from([4096, 8192]))


def _positions(
    before: Geometry, after: Geometry, *, backwards: bool, torn: bool
) -> st.SearchStrategy[tuple[int, int, int]]:
    """Three positions in the order of travel; the last two are the same unless the array is torn."""
    step = max(before.chunk, after.chunk) * after.data_disks
    steps = min(before.capacity(COMPONENT), after.capacity(COMPONENT)) // step
    three = st.lists(st.integers(0, steps), min_size=3, max_size=3).map(lambda told: sorted(told, reverse=backwards))
    return three.map(lambda told: (told[0] * step, told[1] * step, told[2 if torn else 1] * step))


def _behind(before: Geometry, after: Geometry | None, position: int, *, backwards: bool) -> range:
    """The sectors of the array that the user may have written to behind the position."""
    if after is None:
        return range(0)
    size = min(before.capacity(COMPONENT), after.capacity(COMPONENT))
    return range(position // SECTOR, size // SECTOR) if backwards else range(min(position, size) // SECTOR)


def _places() -> st.SearchStrategy[Range]:
    """Ranges of a member, often of a whole chunk."""
    first = st.integers(START - 6 * 4096, START + COMPONENT + 6 * 4096)
    sector = first.map(lambda at: at // SECTOR * SECTOR)
    return st.tuples(sector, st.sampled_from([SECTOR, 4096, 4096, 16384])).map(lambda told: (told[0], sum(told)))
