"""What is asked for is exactly what helps: no sector less, and none that could not give anything back."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription
from raidfs.engine.account import account_of, extents_with
from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import Flaw, known_flaws
from raidfs.engine.health import Health, Trust
from raidfs.engine.needs import needs_of
from raidfs.extents import Extents
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe

SECTOR = 512
WITHHELD = frozenset((Health.DOUBTFUL, Health.LOST))


def bad(source: int, sectors: set[int], *, curable: bool = True) -> Flaw:
    ranges = [(sector * SECTOR, (sector + 1) * SECTOR) for sector in sectors]
    return Flaw(source, Extents(ranges), Trust.NONE, "bad", curable=curable)


def withheld(description: ArrayDescription, flaws: list[Flaw]) -> int:
    charts = chart_sections(description, description.sources, flaws)
    return extents_with(charts, WITHHELD, 0, description.size).total


@st.composite
def scenes(draw: st.DrawFn) -> tuple[ArrayDescription, list[Flaw], list[Flaw]]:
    """Draw an array with bad sectors near each other, some of them beyond help, and members that are gone."""
    array = sample(draw(st.sampled_from(SAMPLES)))
    gone = draw(st.sets(st.sampled_from(sorted(array.roles)), max_size=2))
    description = describe(array, without=gone)
    start = array.members[0].data_offset // SECTOR
    place = draw(st.integers(start, start + description.component_size // SECTOR - 8))
    sectors = st.sets(st.integers(place, place + 3), max_size=3)
    fixed = list(known_flaws(description, description.sources, [array.size_of_device] * len(description.sources)))
    curable = [bad(source, draw(sectors)) for source in range(len(description.sources))]
    fixed += [
        bad(source, draw(sectors), curable=False) for source in range(len(description.sources)) if draw(st.booleans())
    ]
    return description, fixed, [flaw for flaw in curable if flaw.extents]


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_a_sector_is_needed_exactly_if_it_helps_with_some_others(
    scene: tuple[ArrayDescription, list[Flaw], list[Flaw]],
) -> None:
    description, fixed, curable = scene
    charts = chart_sections(description, description.sources, [*fixed, *curable])
    needed = {
        (need.source, sector)
        for need in needs_of(charts, [*fixed, *curable])
        for start, stop in need.extents
        for sector in range(start // SECTOR, stop // SECTOR)
    }
    failing = [
        (flaw.source, start // SECTOR + at)
        for flaw in curable
        for start, stop in flaw.extents
        for at in range((stop - start) // SECTOR)
    ]
    if len(failing) > 7:
        failing = failing[:7]  # 2 ** 7 accounts are enough; the others stay bad
    others = {(flaw.source, s) for flaw in curable for a, b in flaw.extents for s in range(a // SECTOR, b // SECTOR)}
    others -= set(failing)

    def left(rescued: frozenset[tuple[int, int]]) -> int:
        still = (others | set(failing)) - rescued
        flaws = [bad(flaw.source, {sector for source, sector in still if source == flaw.source}) for flaw in curable]
        return withheld(description, [*fixed, *flaws])

    found = {
        frozenset(some): left(frozenset(some)) for n in range(len(failing) + 1) for some in combinations(failing, n)
    }
    helps = {
        each
        for each in failing
        if any(found[some | {each}] < count for some, count in found.items() if each not in some)
    }
    assert helps <= needed
    if not others:
        assert helps == needed


def test_what_parity_makes_up_for_is_not_asked_for() -> None:
    description = describe(sample("raid5"))
    place = description.sources[0].data_offset // SECTOR
    flaws = [bad(0, {place}), bad(1, {place + 1}), bad(2, {place, place + 9})]
    charts = chart_sections(description, description.sources, flaws)
    assert account_of(charts).lost > 0
    needs = {need.source: need for need in needs_of(charts, flaws)}
    assert needs[0].extents == Extents.span(place * SECTOR, (place + 1) * SECTOR)
    assert not needs[1].extents
    assert needs[2].extents == Extents.span(place * SECTOR, (place + 1) * SECTOR)
    assert needs[2].unreadable.total == 2 * SECTOR


def test_what_stays_lost_whatever_is_rescued_is_not_asked_for() -> None:
    description = describe(sample("raid5"))
    place = description.sources[0].data_offset // SECTOR
    everywhere = [bad(source, {place}, curable=source == 3) for source in range(4)]
    needs = needs_of(chart_sections(description, description.sources, everywhere), everywhere)
    parity = sample("raid5").geometry.stripe(0).p == 3
    assert [need.source for need in needs] == [3]
    assert bool(needs[0].extents) != parity


def test_the_rest_of_an_image_that_was_cut_is_asked_for_in_one_piece() -> None:
    array = sample("raid5")
    description = describe(array, without=(1,))
    cut = description.sources[0].data_offset + description.component_size // 2
    flaws = known_flaws(description, description.sources, [cut, array.size_of_device, array.size_of_device])
    (need,) = needs_of(chart_sections(description, description.sources, flaws), flaws)
    end = description.sources[0].data_offset + description.usable_size // description.shape.n_data
    assert need.extents == Extents.span(cut, end)
    assert np.array_equal(need.unreadable.array[:, 0], [cut])
