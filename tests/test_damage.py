"""Lost sectors on real arrays: what is served is the truth, and what is not served is what no equation reaches."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.block import BlockSource, one_request
from raidfs.cli.session import open_array
from raidfs.engine.array_source import ArraySource
from raidfs.extents import Extents
from raidfs.geometry.reshape import at_risk_bytes
from tests.support.damaged import Damage, damaged_array, oracle_array
from tests.support.golden import SECTOR, Case, golden_case
from tests.support.worth import LOST, Situation, healths

pytestmark = pytest.mark.golden

CASES = [golden_case(name) for name in ("a-r5-3to4-12-64k-40", "s-r5-la", "h-r6-4to6-12-64k", "s-r6-ls6")]
WINDOW = (3 << 20) - 512

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@cache
def truth_of(case: Case) -> NDArray[np.uint8]:
    with open_array([str(path) for path in case.members()]) as array:
        content, lost = read_all(array.source)
    assert not lost
    assert hashlib.sha256(content.data).hexdigest() == case.expected_sha256
    return content


def read_all(source: BlockSource) -> tuple[NDArray[np.uint8], Extents]:
    """Read a source from end to end: its bytes, and what is lost."""
    content = np.zeros(source.size, dtype=np.uint8)
    lost = []
    for start in range(0, source.size, WINDOW):
        window = content[start : start + WINDOW]
        lost.append(source.read_into(one_request(start, len(window)), window).shift(start))
    return content, Extents().union(*lost)


def lost_by_oracle(source: ArraySource, case: Case, bad: Damage) -> Extents:
    """Return the array bytes that the definition calls lost."""
    assert not at_risk_bytes(source.description)
    paths = [str(path) for path in case.members()]
    told = {paths[index]: extents for index, extents in bad.items()}
    found = healths(Situation(oracle_array(source.description, told)))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], found == LOST, [0])))).reshape(-1, 2)
    return Extents(edges * SECTOR)


def assert_right(case: Case, source: ArraySource, bad: Damage) -> Extents:
    """Read all; return what is lost."""
    content, lost = read_all(source)
    expected = truth_of(case).copy()
    for start, stop in lost:
        expected[start:stop] = 0
    assert np.array_equal(content, expected)
    assert lost == lost_by_oracle(source, case, bad)
    assert source.known_losses(0, source.size) == lost
    return lost


def sectors(numbers: Collection[int]) -> Extents:
    return Extents([(number * SECTOR, (number + 1) * SECTOR) for number in numbers])


def split_by_way(bad: dict[int, Extents], way: str) -> tuple[Damage, Damage]:
    """Return what maps tell, and what reading finds; `both`: every other range of each."""
    if way == "both":
        told = {index: Extents(extents.array[::2]) for index, extents in bad.items()}
        return told, {index: Extents(extents.array[1::2]) for index, extents in bad.items()}
    return (bad, {}) if way == "map" else ({}, bad)


def data_sectors(case: Case) -> range:
    """Return the sectors of an image that hold data in both geometries."""
    with open_array([str(path) for path in case.members()]) as array:
        members = array.description.serving.values()
        start = max(offset for member in members for offset in (member.data_offset, member.new_data_offset))
        stop = min(member.data_offset for member in members) + array.description.component_size
        return range(start // SECTOR, (stop - (1 << 20)) // SECTOR)


@every_case
@pytest.mark.parametrize("way", ["map", "reading", "both"])
def test_bad_sectors_on_every_member_lose_nothing_when_no_two_meet(case: Case, way: str, tmp_path: Path) -> None:
    members = case.members()
    chosen = random.Random(1).sample(data_sectors(case), 500 * len(members))
    bad = {index: sectors(chosen[index :: len(members)]) for index in range(len(members))}
    with damaged_array(members, tmp_path, *split_by_way(bad, way)) as source:
        assert not assert_right(case, source, bad)


@pytest.mark.parametrize("case", [CASES[0], CASES[1]], ids=lambda case: case.name)
@pytest.mark.parametrize("way", ["map", "reading"])
def test_a_member_missing_and_a_thousand_bad_sectors_on_another(case: Case, way: str, tmp_path: Path) -> None:
    bad = {1: sectors(random.Random(2).sample(data_sectors(case), 1000))}
    with damaged_array(case.members(), tmp_path, *split_by_way(bad, way), missing={2}) as source:
        lost = assert_right(case, source, bad)
        # of each slice the bad sector's own byte and the missing member's, as far as they are data and not parity
        assert 1000 * SECTOR < lost.total < 2 * 1000 * SECTOR


@pytest.mark.parametrize("case", [CASES[2], CASES[3]], ids=lambda case: case.name)
def test_of_a_raid6_a_member_missing_and_a_thousand_bad_sectors_lose_nothing(case: Case, tmp_path: Path) -> None:
    bad = {1: sectors(random.Random(3).sample(data_sectors(case), 1000))}
    with damaged_array(case.members(), tmp_path, *split_by_way(bad, "both"), missing={2}) as source:
        assert not assert_right(case, source, bad)


@st.composite
def damages(draw: st.DrawFn) -> tuple[Case, dict[int, Extents], str, set[int]]:
    """Draw bad sectors of a case, near each other so that they meet; and members that are missing."""
    case = draw(st.sampled_from(CASES))
    members = range(len(case.members()))
    whole = data_sectors(case)
    places = draw(st.lists(st.sampled_from(whole[:-64]), min_size=1, max_size=4))
    sector = st.builds(lambda place, by: place + by, st.sampled_from(places), st.integers(0, 40))
    bad = {index: sectors(draw(st.sets(sector, max_size=12))) for index in members}
    most = 2 if case.level == "raid6" else 1
    return (
        case,
        bad,
        draw(st.sampled_from(["map", "reading", "both"])),
        draw(st.sets(st.sampled_from(members), max_size=most)),
    )


@settings(max_examples=12)
@given(damages())
def test_whatever_is_bad_only_the_truth_is_served(
    tmp_path_factory: pytest.TempPathFactory, damage: tuple[Case, dict[int, Extents], str, set[int]]
) -> None:
    case, bad, way, missing = damage
    bad = {index: extents for index, extents in bad.items() if index not in missing}
    folder = tmp_path_factory.mktemp("maps")
    with damaged_array(case.members(), folder, *split_by_way(bad, way), missing=missing) as source:
        assert_right(case, source, bad)
