"""The kernel's rule holds on simulated crashes: what it does not call at risk is right, whatever landed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.at_risk import Reshape, at_risk_data, at_risk_places, furthest_progress
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.ranges import difference
from tests.oracle.reader import read
from tests.oracle.writer import Simulation, write_array

COMPONENT = 96 * 1024


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[Reshape, int]:
    """A reshape as recorded, and the unrecorded progress [array bytes] the kernel may have made."""
    level = draw(st.sampled_from([4, 5, 6]))
    disks = st.integers(4 if level == 6 else 3, 6)
    layouts = st.sampled_from(sorted(LAYOUT_NAMES[level]))
    chunks = st.sampled_from([4096, 8192])
    before = Geometry(level, draw(layouts), draw(disks), draw(chunks))
    after = Geometry(level, draw(layouts), draw(disks), draw(chunks))
    growth = after.raid_disks - before.raid_disks
    backwards = growth < 0 or (growth == 0 and draw(st.booleans()))
    move = draw(st.integers(0, 12)) * 4096
    roles = range(max(before.raid_disks, after.raid_disks))
    offsets = dict.fromkeys(roles, (65536, 65536 + (move if backwards else -move)))
    reshape = Reshape(before, after, COMPONENT, 0, backwards, offsets)
    step = reshape.step * after.data_disks
    steps = min(reshape.size, after.capacity(reshape.used_size)) // step
    reshape = replace(reshape, position=draw(st.integers(0, steps)) * step)
    most = abs(furthest_progress(reshape) - reshape.position) // step
    gone = draw(st.integers(0, most)) * step
    return reshape, reshape.position - gone if backwards else reshape.position + gone


def crash(reshape: Reshape, progress: int, random: Random) -> Simulation:
    """Any subset of the writes beyond the recorded position has landed."""
    return write_array(
        reshape.before,
        reshape.component_size,
        after=reshape.after,
        position=reshape.position,
        progress=progress,
        landed=lambda _at, _role: random.random() < 0.6,
        backwards=reshape.backwards,
        data_offset=[old for old, _ in reshape.offsets.values()],
        new_data_offset=[new for _, new in reshape.offsets.values()],
        seed=random.randrange(1 << 30),
    )


@settings(max_examples=60, deadline=None)
@given(reshapes(), st.randoms(use_true_random=False))
def test_only_bytes_at_risk_can_be_wrong(crashed: tuple[Reshape, int], random: Random) -> None:
    reshape, progress = crashed
    array = crash(reshape, progress, random)
    content, lost = read(array.array())
    assert lost == []
    for start, stop in difference([(0, array.size)], at_risk_data(reshape)):
        assert content[start:stop] == array.truth[start:stop]


@settings(max_examples=60, deadline=None)
@given(reshapes(), st.randoms(use_true_random=False))
def test_with_places_at_risk_left_out_nothing_read_is_wrong(crashed: tuple[Reshape, int], random: Random) -> None:
    reshape, progress = crashed
    simulated = crash(reshape, progress, random)
    missing = random.sample(sorted(simulated.roles), 2 if reshape.before.level == 6 else 1)
    places = at_risk_places(reshape)
    array = simulated.array(without=missing)
    old_side = [replace(member, invalid=tuple(places.get(member.role, ()))) for member in array.members]
    for start, stop, _, new in array.sections(0, array.size):
        view = array if new else replace(array, members=tuple(old_side))
        content, lost = read(view, start, stop)
        for a, b in difference([(start, stop)], lost):
            assert content[a - start : b - start] == simulated.truth[a:b]
        assert not (lost and (new or not places))
