"""Old stripes that the reshape position cuts: their parity joins what lies ahead to what lies behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from raidfs.array.description import ArrayDescription
from raidfs.block import read_exact
from raidfs.engine.account import health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.chart import SectionChart, chart_sections
from raidfs.engine.damage import known_flaws
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.ranges import Range
from tests.oracle.reach import HEALTHS, IS_DOUBTFUL, IS_LOST, IS_REBUILT, healths
from tests.oracle.writer import Simulation, write_array
from tests.support.crashes import Damaged
from tests.support.reachable import whole_situation
from tests.support.reading import extents_of
from tests.support.scenes import cut_stripe
from tests.support.simulated import seated
from tests.support.worth import SECTOR

CHUNK, START = 4096, 256 * 1024
GROWING = (Geometry(5, 2, 3, CHUNK), Geometry(5, 2, 4, CHUNK))
SHRINKING = (Geometry(5, 0, 4, CHUNK), Geometry(5, 3, 3, CHUNK))
WIDER = (Geometry(6, 2, 4, CHUNK), Geometry(6, 2, 5, CHUNK))
NARROWER = (Geometry(6, 8, 5, CHUNK), Geometry(6, 16, 4, CHUNK))
TALLER = (Geometry(5, 2, 4, CHUNK), Geometry(5, 1, 5, 2 * CHUNK))
LOWER = (Geometry(6, 17, 5, 2 * CHUNK), Geometry(6, 2, 4, CHUNK))
ALL = {
    "growing": GROWING,
    "shrinking": SHRINKING,
    "raid6-growing": WIDER,
    "raid6-shrinking": NARROWER,
    "taller": TALLER,
    "raid6-lower-shrinking": LOWER,
}


def cut_array(before: Geometry, after: Geometry) -> Simulation:
    """An array whose reshape stands amid an old stripe, as far from its ends as it may."""
    size = 24 * CHUNK
    step = max(before.chunk, after.chunk) * after.data_disks
    capacity = min(before.capacity(size), after.capacity(size))
    cuts = [at for at in range(step, capacity, step) if at % before.stripe_size]
    shift = -64 * 1024 if after.raid_disks > before.raid_disks else 64 * 1024
    return write_array(
        before, size, after=after, position=cuts[len(cuts) // 2], data_offset=START, new_data_offset=START + shift
    )


def spoilt(array: Simulation) -> Iterator[tuple[tuple[int, Range], ...]]:
    """Every choice of old cells of the cut stripe that are bad, with or without the new ones of one member."""
    assert array.after is not None
    cut = cut_stripe(array.geometry, array.after, array.position, array.size, backwards=array.backwards)
    assert cut is not None
    roles = sorted(array.roles)
    for chosen in product((False, True), repeat=array.geometry.raid_disks):
        old = [(role, shifted(cut[0], array.roles[role].data_offset)) for role, is_bad in enumerate(chosen) if is_bad]
        for more in (None, roles[-1]):
            new = [] if more is None else [(more, shifted(cut[1], array.roles[more].new_data_offset))]
            yield (*old, *new)


def shifted(place: Range, by: int) -> Range:
    return place[0] + by, place[1] + by


def with_quiet(description: ArrayDescription, quiet: Range) -> ArrayDescription:
    assert description.reshape is not None
    return replace(description, reshape=replace(description.reshape, quiet=Extents([quiet])))


@pytest.mark.parametrize("is_quiet", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_whatever_is_bad_in_a_cut_stripe_what_can_be_had_is_had(name: str, *, is_quiet: bool) -> None:
    array = cut_array(*ALL[name])
    truth = np.frombuffer(array.truth, dtype=np.uint8)
    behind = (array.position, array.size) if array.backwards else (0, array.position)
    ahead = np.ones(array.size // SECTOR, dtype=np.bool_)
    ahead[behind[0] // SECTOR : behind[1] // SECTOR] = False
    helped = 0
    for bad in spoilt(array):
        damaged = Damaged(array, bad=bad)
        quiet = behind if is_quiet else (0, 0)
        description = with_quiet(damaged.description, quiet)
        expected = healths(whole_situation(damaged.situation, [quiet] if is_quiet else []))
        source = ArraySource(description, seated(description, damaged.sources), Policy(doubtful=True))
        content, lost = read_exact(source, 0, array.size)
        found = np.zeros_like(expected)
        for start, stop, health in health_runs(source.sight.charts, 0, array.size):
            found[start // SECTOR : stop // SECTOR] = health
        assert [HEALTHS[each] for each in found] == [HEALTHS[each] for each in expected]
        assert lost == extents_of(expected == IS_LOST)
        read = np.repeat(expected != IS_LOST, SECTOR)
        assert np.array_equal(np.frombuffer(content, dtype=np.uint8)[read], truth[read])
        helped += int((ahead & (found == (IS_REBUILT if is_quiet else IS_DOUBTFUL))).sum())
        source.close()
    assert helped, "there is a stripe to which the other geometry helps"


def test_what_is_left_of_a_member_behind_its_whole_chunks_helps_to_nothing() -> None:
    """A reshape from above begins below it: what looks like the parity of one more stripe there was never written."""
    before, after = Geometry(5, 2, 6, CHUNK), Geometry(5, 2, 3, CHUNK)
    array = write_array(
        before,
        24 * CHUNK + SECTOR,
        after=after,
        position=18 * after.stripe_size,
        data_offset=START,
        new_data_offset=START + 64 * 1024,
    )
    for missing in combinations(range(6), 3):
        damaged = Damaged(array, missing=frozenset(missing))
        charts = charts_of(damaged)
        found = np.zeros(array.size // SECTOR, dtype=np.uint8)
        for start, stop, health in health_runs(charts, 0, array.size):
            found[start // SECTOR : stop // SECTOR] = health
        assert np.array_equal(found, healths(whole_situation(damaged.situation)))


def charts_of(damaged: Damaged) -> tuple[SectionChart, ...]:
    description = damaged.description
    members = description.of_roles(sorted(description.serving))
    return chart_sections(
        description, members, known_flaws(description, members, [damaged.array.size_of_device] * len(members))
    )


@pytest.mark.parametrize("name", ["growing", "raid6-growing"])
def test_a_new_copy_that_was_never_copied_is_not_believed(name: str) -> None:
    """It is asked about where it helps to what lies ahead: the row of which it is a cell lies behind the position."""
    array = cut_array(*ALL[name])
    assert array.after is not None
    cut = cut_stripe(array.geometry, array.after, array.position, array.size, backwards=False)
    assert cut is not None
    row = cut[0][0] // CHUNK
    number = row * array.geometry.data_disks
    new_row, k = divmod(number, array.after.data_disks)
    role = array.after.stripe(new_row).data[k]
    place = array.roles[role].new_data_offset + new_row * CHUNK
    array.roles[role].image[place : place + CHUNK] = bytes(CHUNK)
    bad = [(each, shifted(cut[0], array.roles[each].data_offset)) for each in array.geometry.stripe(row).data]
    damaged = Damaged(array, bad=tuple(bad))
    description = with_quiet(damaged.description, (0, array.position))
    for start in (array.position, array.position + SECTOR):
        source = ArraySource(description, seated(description, damaged.sources))
        content, lost = read_exact(source, start, SECTOR)
        assert not lost
        assert content == array.truth[start : start + SECTOR]
        source.close()
