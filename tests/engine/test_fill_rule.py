"""What looks as if it was never copied is believed only where parity agrees: against the rule, one sector at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.engine import judge, rows, scrutiny
from raidfs.engine.account import account_of, health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.crashes import Damaged
from tests.support.fill_rule import believed
from tests.support.filled_arrays import arrays, copies
from tests.support.filled_bench import START, opened, own, read
from tests.support.simulated import describe, images_of, memory_sources
from tests.support.worth import REBUILT, SECTOR, UNPROVEN, situation_of

PLAIN = (b"\0", b"\xff", b"\x5a")
POLICIES = [Policy(), Policy(), Policy(check=True), Policy(doubtful=True), Policy(strict=True)]


@contextmanager
def units_of(size: int) -> Iterator[None]:
    """Settle so many bytes of each member at least; in so many rows speak for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scrutiny, "UNIT", size)
        patch.setattr(judge, "_PIECE", size // SECTOR)
        patch.setattr(rows, "PIECE", size)
        yield


def per_sector(array: ArraySource) -> NDArray[np.uint8]:
    """Health of each sector, from the runs."""
    runs = health_runs(array.sight.charts, 0, array.size)
    return np.concatenate([np.full((stop - start) // SECTOR, health, dtype=np.uint8) for start, stop, health in runs])


def told_at_once(damaged: Damaged) -> list[tuple[int, BlockSource]]:
    """The sources, with all bad places known: what reading finds would depend on what is read."""
    found = []
    for role, source in damaged.sources:
        source.read_into(np.array([[0, source.size, 0]]), np.zeros(source.size, dtype=np.uint8))
        found.append((role, source))
    return found


@settings(max_examples=600)
@given(st.data(), copies(), st.sampled_from(POLICIES))
def test_what_is_believed_follows_the_rule(data: st.DataObject, damaged: Damaged, policy: Policy) -> None:
    if policy.doubtful and damaged.array.after is not None:
        policy = Policy()  # what old copies are good for then is another story
    images = {role: bytes(member.image) for role, member in damaged.array.roles.items()}
    unit = data.draw(st.sampled_from([4096, 65536]))
    noticed: set[int] = set()
    sectors = sorted(believed(damaged.situation, images, check=policy.check, nearby=unit, noticed=noticed))
    if noticed and policy.strict:
        policy = Policy()  # which would withhold what is seen by chance, if it is seen
    worth = np.array([health for _, health, _ in sectors], dtype=np.uint8)
    expected = [content for _, _, content in sectors]
    served = worth <= policy.limit
    description, size = damaged.description, damaged.array.size
    with units_of(unit), opened(description, told_at_once(damaged), policy) as array:
        content, lost = read_exact(array, 0, size)
        withheld = [(at * SECTOR, (at + 1) * SECTOR) for at in np.flatnonzero(~served).tolist()]
        assert lost == Extents(withheld) == array.known_losses(0, size)
        assert content == b"".join(
            block if is_served else bytes(SECTOR) for block, is_served in zip(expected, served, strict=True)
        )
        found = per_sector(array)
        differs = served & (found != worth)
        is_unasked = noticed and (worth[differs] == UNPROVEN).all() and (found[differs] <= REBUILT).all()
        assert not differs.any() or is_unasked
        assert (found[~served] > policy.limit).all()
        assert account_of(array.sight.charts).total == size
    edges = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=6))})
    pieces = data.draw(st.permutations(list(pairwise(edges))))
    with units_of(unit), opened(description, told_at_once(damaged), policy) as array:
        for start, stop in pieces:
            there = content[start:stop], lost.clip(start, stop).shift(-start)
            assert read_exact(array, start, stop - start) == there


@settings(max_examples=60)
@given(st.data(), arrays(reshaped=False, patterns=PLAIN))
def test_one_member_filled_in_a_row_gives_the_truth_or_nothing(data: st.DataObject, array: Simulation) -> None:
    """Zeros on all members, but never two in one row; on RAID6 nothing is missing then that was zeros.

    A mark of another tool that was stored by the user, beside zeros in rows of their own, would be taken for theirs.
    """
    random = Random(data.draw(st.integers(0, 1 << 20)))
    truth = array.truth
    for sector in range(array.component_size // SECTOR):
        member = array.roles[random.choice([*array.roles, *array.roles])]
        if random.random() < 0.5:
            at = member.data_offset + sector * SECTOR
            member.image[at : at + SECTOR] = bytes(SECTOR)
    description = describe(array)
    with opened(description, memory_sources(images_of(array, description))) as source:
        content, lost = read_exact(source, 0, source.size)
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == truth[start:stop]
    assert array.geometry.level != 6 or not lost


@settings(max_examples=60)
@given(arrays(levels=(6,), reshaped=False, patterns=PLAIN), st.booleans(), st.integers(0, 1 << 20))
def test_two_that_are_zeros_in_a_row_of_raid6_are_never_taken_for_others(
    array: Simulation, is_whole: bool, seed: int
) -> None:
    """Two wrong members, or one beside a missing one, are as much as RAID6 bears; data that are alike look alike.

    A text that was repeated by the user, alone in its row, would be taken for a fill.
    """
    random = Random(seed)
    truth = array.truth
    missing = [] if is_whole else [random.choice(sorted(array.roles))]
    for sector in range(array.component_size // SECTOR):
        for role in random.sample(sorted(array.roles.keys() - set(missing)), 2 - len(missing)):
            if random.random() < 0.8:
                at = array.roles[role].data_offset + sector * SECTOR
                array.roles[role].image[at : at + SECTOR] = bytes(SECTOR)
    content, lost, _ = read(array, without=missing)
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == truth[start:stop]


def spoil_one_member_in_many_rows(array: Simulation, random: Random) -> None:
    """Change a byte of one member in many sectors, in both geometries."""
    for sector in range(array.component_size // SECTOR):
        member = array.roles[random.choice(sorted(array.roles))]
        for offset in {member.data_offset, member.new_data_offset}:
            if random.random() < 0.4:
                member.image[offset + sector * SECTOR + random.randrange(SECTOR)] ^= random.randrange(1, 256)


def checked(array: Simulation) -> tuple[bytes, Extents]:
    """Read all with everything compared; the bytes, and what is withheld."""
    description = describe(array)
    with opened(description, memory_sources(images_of(array, description)), Policy(check=True)) as source:
        content, lost = read_exact(source, 0, source.size)
        assert lost == source.known_losses(0, source.size)
        return content, lost


@settings(max_examples=60)
@given(arrays(levels=(6,), kinds="r"), st.integers(0, 1 << 20))
def test_check_corrects_one_wrong_member_of_raid6(array: Simulation, seed: int) -> None:
    truth = array.truth
    spoil_one_member_in_many_rows(array, Random(seed))
    assert checked(array) == (truth, Extents())


@settings(max_examples=60)
@given(arrays(levels=(6,)), st.integers(0, 1 << 20))
def test_check_withholds_of_raid6_what_may_be_a_pair_of_fills_and_nothing_else(array: Simulation, seed: int) -> None:
    """Beside a wrong member, what looks as if two were never copied may be just that: the rule says where."""
    truth = array.truth
    spoil_one_member_in_many_rows(array, Random(seed))
    images = {role: bytes(member.image) for role, member in array.roles.items()}
    told = believed(situation_of(array, {}), images, check=True)
    withheld = Extents([(at, at + SECTOR) for at, health, _ in told if health > UNPROVEN])
    content, lost = checked(array)
    assert lost == withheld
    for start, stop in Extents.span(0, len(truth)).difference(lost):
        assert content[start:stop] == truth[start:stop]


@settings(max_examples=30)
@given(st.sampled_from([2, 3, 5]), st.sampled_from([4, 5]), st.integers(0, 1 << 20))
def test_check_withholds_every_row_of_raid5_that_is_wrong_and_no_other(disks: int, level: int, seed: int) -> None:
    array = write_array(Geometry(level, 0, disks, 1024), 8192, data_offset=START, seed=seed)
    truth = array.truth
    before = {role: bytes(member.image) for role, member in array.roles.items()}
    spoil_one_member_in_many_rows(array, Random(seed))
    wrong = Extents()
    for role, member in array.roles.items():
        differs = np.frombuffer(before[role], np.uint8) != np.frombuffer(member.image, np.uint8)
        heights = np.flatnonzero(differs.reshape(-1, SECTOR).any(axis=1)) * SECTOR - START
        wrong = wrong.union(*(own(array, each, at, at + SECTOR) for at in heights.tolist() for each in range(disks)))
    content, lost, _ = read(array, Policy(check=True))
    assert lost == wrong
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == truth[start:stop]
