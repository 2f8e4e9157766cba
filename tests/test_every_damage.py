"""Every mixture of damage over real and simulated arrays: the truth, all that can be had of it, and nothing else.

Members are gone, sectors lost by map and by reading, images cut short, members that md threw out put back. What every
sector is worth is what `tests.oracle.reach` says, by a rank test of the equations over what is valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import read_exact
from raidfs.engine.account import account_of, health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.engine.needs import needs_of
from raidfs.extents import Extents
from tests.oracle.cells import SECTOR
from tests.oracle.member import NEW, OLD, STALE
from tests.oracle.needs import needs
from tests.oracle.ranges import Range, intersection, merged
from tests.oracle.reach import HEALTHS, IS_DOUBTFUL, IS_LOST, IS_REBUILT, IS_UNPROVEN, counts, healths
from tests.oracle.scan import scan
from tests.oracle.sources import situation_of
from tests.oracle.writer import Simulation
from tests.support.crashes import arrays
from tests.support.golden import Case, cases_here
from tests.support.reading import Bytes, extents_of, mask_of, read_all, truth_of
from tests.support.scenes import Damage, Scene, cut_stripe, spoil

pytestmark = pytest.mark.golden


def per_sector(source: ArraySource) -> Bytes:
    """The health of each sector, from the runs."""
    found = np.zeros(source.size // SECTOR, dtype=np.uint8)
    for start, stop, health in health_runs(source.sight.charts, 0, source.size):
        found[start // SECTOR : stop // SECTOR] = health
    return found


def assert_reads(scene: Scene, truth: Bytes, believed: int, cuts: Sequence[int] = ()) -> None:
    """What is served is the truth; what can be had is served; any split of the reads gives the same.

    Args:
        scene: the members.
        truth: uint8 (array bytes,).
        believed: the worst health that must be true.
        cuts: where to split the reads [array bytes].
    """
    with scene.opened() as source:
        expected = healths(scene.situation())
        content, lost = read_all(source)
        assert lost == extents_of(expected > IS_UNPROVEN), differences(per_sector(source), expected)
        assert source.known_losses(0, source.size) == lost
        sure = np.repeat(expected <= min(believed, IS_UNPROVEN), SECTOR)
        assert np.array_equal(content[sure], truth[sure])
        assert not content[mask_of(lost, source.size)].any()
        found = per_sector(source)
        served = expected <= IS_UNPROVEN
        assert np.array_equal(found[served], expected[served]), differences(found, expected)
        assert (found <= expected).all(), differences(found, expected)
    with scene.opened(Policy(doubtful=True)) as source:
        for start, stop in pairwise([0, *sorted(cuts), source.size]):
            piece, missing = read_exact(source, start, stop - start)
            served = ~mask_of(lost.clip(start, stop).shift(-start), stop - start)
            assert np.array_equal(np.frombuffer(piece, np.uint8)[served], content[start:stop][served])
            assert missing.shift(start) == extents_of(expected == IS_LOST).clip(start, stop)
        found = per_sector(source)
        assert np.array_equal(found, expected), differences(found, expected)
        account = account_of(source.sight.charts)
        assert {name: getattr(account, name) for name in HEALTHS} == counts(expected)


def differences(found: Bytes, expected: Bytes) -> str:
    """Say what the first sectors are that differ, for messages."""
    numbers = np.flatnonzero(found != expected)
    told = [f"{number}: {HEALTHS[found[number]]}, not {HEALTHS[expected[number]]}" for number in numbers[:5].tolist()]
    return f"{len(numbers)} sectors differ: {'; '.join(told)}"


# Real arrays -----------------------------------------------------------------------------------------------------

CASES = cases_here(
    "a-r5-3to4-12-64k-40",
    "a-r5-3to4-12-64k-moving",
    "f-r5-chunk-64to128-12",
    "h-r6-4to6-12-64k",
    "h-r6-4to6-two-failed",
    "h-r6-5to6-two-failed",
    "j-r5-3to4-12-64k-live",
    "l-r5-3to4-degraded-before",
    "l-r5-3to4-degraded-during",
    "m-r5-5to8-16k-twice",
    "r-r5-3to4-reverted",
    "s-r5-la",
    "s-r5-recovery",
    "s-r6-degraded2",
    "s-r6-ls6",
    "v-r5-3to4-offsets",
)
PLACES = range(4 << 20, 16 << 20, SECTOR)
"""Where members hold data in all cases [image bytes]."""


@st.composite
def cut_damages(draw: st.DrawFn, cut: tuple[Range, Range] | None, offsets: Mapping[int, Range]) -> dict[int, Extents]:
    """Draw bad sectors about the old stripe that the position of a reshape cuts, at one height on several members.

    Args:
        draw: hypothesis's.
        cut: see `cut_stripe`; None: nothing is bad.
        offsets: data_offset and new_data_offset of members, by index [image bytes].
    """
    if cut is None or not draw(st.booleans()):
        return {}
    (low, high), (first, last) = cut
    below = draw(st.integers(0, (high - low) // SECTOR - 1)) * SECTOR
    places = [(low + below, high), (first, last), (low, low + SECTOR), (first, first + SECTOR)]
    chosen = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), max_size=1)
    return {
        index: Extents([(places[each][0] + old_and_new[each % 2], places[each][1] + old_and_new[each % 2])])
        for index, old_and_new in offsets.items()
        for each in draw(chosen)
    }


@cache
def cut_of(case: Case) -> tuple[tuple[Range, Range] | None, dict[int, Range]]:
    """What `cut_damages` needs of a real array."""
    found, offsets = situation_of(case.members(), {}), {}
    for index, image in enumerate(case.members()):
        superblock = scan(image)[2]
        moved = superblock.reshape.new_offset if superblock.reshape else 0
        offsets[index] = (superblock.data_offset, superblock.data_offset + moved)
    if found.after is None:
        return None, offsets
    return cut_stripe(found.geometry, found.after, found.position, found.size, backwards=found.backwards), offsets


@st.composite
def damages(draw: st.DrawFn, case: Case) -> Damage:
    """Draw damage of a real array, of which at least one current member is left."""
    members = case.members()
    current = [index for index in range(len(members)) if index not in case.stale]
    kept = draw(st.sampled_from(current))
    others = [index for index in range(len(members)) if index != kept]
    redundancy = 2 if case.level == "raid6" else 1
    missing = draw(st.sets(st.sampled_from(others), max_size=min(redundancy + 1, len(others))))
    near = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4))
    place = st.builds(
        lambda at, by, length: (at + by * SECTOR, at + (by + length) * SECTOR),
        st.sampled_from(near),
        st.integers(0, 300),
        st.sampled_from([1, 1, 2, 8, 200]),
    )
    places = st.lists(place, max_size=6).map(Extents)
    indexes = range(len(members))
    is_cut = case.data["before_crash"]["metadata_version"] in ("1.1", "1.2") and draw(st.integers(0, 3)) == 0
    at_cut = draw(cut_damages(*cut_of(case)))
    return Damage(
        missing=frozenset(missing),
        told={index: draw(places).union(at_cut.get(index, Extents())) for index in indexes},
        failing={index: draw(places) for index in indexes} if draw(st.integers(0, 2)) else {},
        cut={draw(st.sampled_from(indexes)): draw(st.sampled_from(PLACES))} if is_cut else {},
    )


CASES_WITH_DAMAGE = st.sampled_from(CASES).flatmap(lambda case: st.tuples(st.just(case), damages(case)))


@settings(max_examples=16)
@given(st.data(), CASES_WITH_DAMAGE)
def test_real_arrays(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, drawn: tuple[Case, Damage]) -> None:
    case, damage = drawn
    scene = Scene(case.members(), damage, tmp_path_factory.mktemp("scene"))
    cuts = data.draw(st.lists(st.integers(0, case.array_size), max_size=4))
    assert_reads(scene, truth_of(case), IS_REBUILT if case.is_live else IS_UNPROVEN, cuts)
    with scene.opened(asks_data=True) as source:
        content, lost = read_all(source)
    served = ~mask_of(lost, len(content))
    assert case.is_live or np.array_equal(content[served], truth_of(case)[served])


HELD_TWICE = ("a-r5-3to4-12-64k-40", "a-r5-3to4-12-64k-moving", "b-r5-3to4-12-512k-05", "v-r5-3to4-offsets")
"""Growths of arrays that nobody wrote to meanwhile."""


@pytest.mark.parametrize("case", cases_here(*HELD_TWICE), ids=lambda case: case.name)
def test_what_is_held_twice_is_there_with_two_members_missing(case: Case, tmp_path: Path) -> None:
    """By default it is withheld: a later write may have overtaken the old copy. Here none did."""
    for missing in combinations(range(len(case.members())), 2):
        scene = Scene(case.members(), Damage(missing=frozenset(missing)), tmp_path)
        with scene.opened() as source:
            expected = healths(scene.situation())
            withheld = source.known_losses(0, source.size)
        with scene.opened(Policy(doubtful=True)) as source:
            content, lost = read_all(source)
        assert withheld.difference(lost) == extents_of(expected == IS_DOUBTFUL)
        served = ~mask_of(lost, len(content))
        assert np.array_equal(content[served], truth_of(case)[served])


def test_what_an_old_stripe_has_ahead_of_the_position_is_had_from_new_copies(tmp_path: Path) -> None:
    """Position at sector 56448, old stripe 220: D0 behind it on disk2, D1 on disk0, P on disk1."""
    (case,) = cases_here("a-r5-3to4-12-64k-40")
    bad = Extents.span(30208 * SECTOR, 30336 * SECTOR)
    scene = Scene(case.members(), Damage(missing=frozenset({2}), told={0: bad}), tmp_path)
    ahead = Extents.span(56448 * SECTOR, 56576 * SECTOR)
    for asks_data in (False, True):
        with scene.opened(asks_data=asks_data) as source:
            assert source.known_losses(0, source.size) == ahead
        with scene.opened(Policy(doubtful=True), asks_data=asks_data) as source:
            content, lost = read_all(source)
            assert not lost
            assert np.array_equal(content, truth_of(case))


@settings(max_examples=6)
@given(st.data(), st.sampled_from(CASES))
def test_more_damage_changes_no_byte_of_a_real_array_that_is_still_served(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, case: Case
) -> None:
    damage, more = data.draw(damages(case)), data.draw(damages(case))
    current = {index for index in range(len(case.members())) if index not in case.stale}
    more = replace(more, missing=more.missing if current - damage.missing - more.missing else frozenset())
    folder = tmp_path_factory.mktemp("scene")
    assert_only_less_is_served(
        Scene(case.members(), damage, folder), Scene(case.members(), damage.with_more(more), folder)
    )


def assert_only_less_is_served(before: Scene, after: Scene) -> None:
    """More damage makes bytes be withheld, and changes none."""
    with before.opened() as source:
        content, withheld = read_all(source)
    with after.opened() as source:
        still, withheld_then = read_all(source)
    assert not withheld.difference(withheld_then)
    served = ~mask_of(withheld_then, len(content))
    assert np.array_equal(content[served], still[served])


# Simulated arrays --------------------------------------------------------------------------------------------------


@st.composite
def simulated(draw: st.DrawFn, *, torn: bool = True) -> tuple[Simulation, Damage, list[Range]]:
    """Draw an array as a crash left it, damage of its members by device number, and what of it is known to be quiet.

    Data that move in the direction of travel are left out: md refuses them, and which rule it would follow then depends
    on members that may be missing here.
    """
    array = draw(arrays(torn=torn, is_odd=False))
    return array, draw(simulated_damages(array)), draw(quiet_ranges(array))


@st.composite
def simulated_damages(draw: st.DrawFn, array: Simulation) -> Damage:
    """Draw damage of which at least one current member is left."""
    kept = draw(st.sampled_from(sorted(member.device_number for member in array.roles.values())))
    numbers = range(len(array.members))
    others = [number for number in numbers if number != kept]
    sectors = array.size_of_device // SECTOR
    first = min(min(each.data_offset, each.new_data_offset) for each in array.members) // SECTOR
    start, length = st.integers(first, sectors - 1), st.sampled_from([1, 1, 2, 7, 8, 40])
    place = st.builds(lambda at, n: (at * SECTOR, min(at + n, sectors) * SECTOR), start, length)
    places = st.lists(place, max_size=3).map(Extents)
    cut = None
    if array.after is not None:
        cut = cut_stripe(array.geometry, array.after, array.position, array.size, backwards=array.backwards)
    at_cut = draw(
        cut_damages(cut, {n: (each.data_offset, each.new_data_offset) for n, each in enumerate(array.members)})
    )
    return Damage(
        missing=draw(st.frozensets(st.sampled_from(others), max_size=3)) if others else frozenset(),
        told={number: draw(places).union(at_cut.get(number, Extents())) for number in numbers},
        failing={number: draw(places) for number in numbers} if draw(st.integers(0, 2)) else {},
        cut={draw(st.sampled_from(numbers)): draw(start) * SECTOR} if draw(st.integers(0, 3)) == 0 else {},
    )


@st.composite
def quiet_ranges(draw: st.DrawFn, array: Simulation) -> list[Range]:
    """Draw ranges behind the position in which nothing was written since it was copied."""
    if array.after is None or not draw(st.booleans()):
        return []
    low, high = (array.position, array.size) if array.backwards else (0, min(array.position, array.size))
    old, new = array.content[OLD], array.content[NEW]
    same = [(at, at + SECTOR) for at in range(low, high, SECTOR) if old[at : at + SECTOR] == new[at : at + SECTOR]]
    start, stop = sorted(draw(st.tuples(*[st.integers(low // SECTOR, high // SECTOR)] * 2)))
    return intersection(merged(same), [(start * SECTOR, stop * SECTOR)])


@settings(max_examples=100)
@given(st.data(), simulated())
def test_simulated_arrays(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    drawn: tuple[Simulation, Damage, list[Range]],
) -> None:
    array, damage, quiet = drawn
    folder = tmp_path_factory.mktemp("scene")
    members = array.save(folder)
    spoil(members, damage)
    scene = Scene(members, damage, folder, quiet)
    has_stale_parity = any(owner == STALE for member in array.members for _, _, owner in member.written)
    cuts = data.draw(st.lists(st.integers(0, array.size), max_size=4))
    truth = np.frombuffer(array.truth, dtype=np.uint8)
    assert_reads(scene, truth, IS_REBUILT if has_stale_parity else IS_UNPROVEN, cuts)


@settings(max_examples=60)
@given(simulated())
def test_exactly_what_helps_is_asked_for(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[Simulation, Damage, list[Range]]
) -> None:
    """Of everything that is known not to be readable; what only reading would show is left out here."""
    array, damage, quiet = drawn
    folder = tmp_path_factory.mktemp("scene")
    scene = Scene(array.save(folder), replace(damage, failing={}), folder, quiet)
    with scene.opened() as source:
        members = source.description.sources
        found = {need.source: need.extents for need in needs_of(source.sight.charts, source.sight.flaws)}
        situation = scene.situation()
    expected = needs(situation)
    for role in {member.role for member in members}:
        asked = [found.get(number, Extents()) for number, member in enumerate(members) if member.role == role]
        helps = [
            Extents(expected.get(number, [])) for number, each in enumerate(situation.sources) if each.role == role
        ]
        assert Extents().union(*asked) == Extents().union(*helps), f"role {role}"


@settings(max_examples=60)
@given(st.data(), simulated(torn=False))
def test_more_damage_changes_no_byte_of_a_simulated_array_that_is_still_served(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    drawn: tuple[Simulation, Damage, list[Range]],
) -> None:
    array, damage, quiet = drawn
    more = data.draw(simulated_damages(array))
    current = {member.device_number for member in array.roles.values()}
    more = replace(more, missing=more.missing if current - damage.missing - more.missing else frozenset())
    folder = tmp_path_factory.mktemp("scene")
    members = array.save(folder)
    spoil(members, damage)
    assert_only_less_is_served(
        Scene(members, damage, folder, quiet), Scene(members, damage.with_more(more), folder, quiet)
    )
