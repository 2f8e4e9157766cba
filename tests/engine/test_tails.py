"""Copies that were given up and hold zeros up to their end: told at any distance, where other members tell it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import read_exact
from raidfs.engine import judge
from raidfs.engine.account import health_runs
from raidfs.engine.health import Health, Policy
from raidfs.engine.tails import PieceSigns, find_tails
from raidfs.extents import Extents
from tests.engine.test_fill_rule import per_sector, units_of
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support import fill_rows
from tests.support.fill_rule import believed
from tests.support.filled_bench import FOUR, START, fill, opened, read, whole
from tests.support.simulated import describe, images_of, memory_sources
from tests.support.worth import SECTOR, UNPROVEN, situation_of

PIECE = 4096
SIZE = 32 * PIECE


@contextmanager
def short_sighted() -> Iterator[None]:
    """Follow runs for two chunks only, so that most of an array is far away from any row."""
    with units_of(PIECE), pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "_FAR", PIECE)
        patch.setattr(fill_rows, "FAR", PIECE)
        yield


@st.composite
def given_up(draw: st.DrawFn) -> Simulation:
    """Draw an array with few data, of which some copies were given up, each at a height of its own."""
    random = Random(draw(st.integers(0, 1 << 20)))
    level = draw(st.sampled_from([4, 5, 6]))
    layout = draw(st.sampled_from(sorted(LAYOUT_NAMES[level])))
    geometry = Geometry(level, layout, draw(st.integers(4, 6)), draw(st.sampled_from([1024, 4096])))
    data = bytearray(geometry.capacity(SIZE))
    for _ in range(draw(st.integers(1, 6))):
        start = random.randrange(len(data) // SECTOR) * SECTOR
        length = min(random.choice([1, 8, 40, 200]) * SECTOR, len(data) - start)
        data[start : start + length] = random.randbytes(length)
    array = write_array(geometry, SIZE, data_offset=START, data=bytes(data), seed=random.randrange(1 << 20))
    for role in draw(st.sets(st.sampled_from(sorted(array.roles)), max_size=4)):
        fill(array, role, random.randrange(SIZE // SECTOR) * SECTOR, SIZE)
    return array


@settings(max_examples=80)
@given(st.data(), given_up(), st.booleans())
def test_what_is_believed_follows_the_rule(data: st.DataObject, array: Simulation, check: bool) -> None:
    description, size, policy = describe(array), array.size, Policy(check=check)
    images, noticed = images_of(array, describe(array)), set[int]()
    with short_sighted():
        told = sorted(believed(situation_of(array, {}), images, check=check, nearby=PIECE, noticed=noticed))
        withheld = Extents([(at, at + SECTOR) for at, health, _ in told if health > UNPROVEN])
        expected = b"".join(bytes(SECTOR) if health > UNPROVEN else content for _, health, content in told)
        with opened(description, memory_sources(images), policy) as source:
            assert read_exact(source, 0, size) == (expected, withheld)
            assert noticed or per_sector(source).tolist() == [health for _, health, _ in told]
        edges = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=6))})
        with opened(description, memory_sources(images), policy) as source:
            for start, stop in data.draw(st.permutations(list(pairwise(edges)))):
                there = expected[start:stop], withheld.clip(start, stop).shift(-start)
                assert read_exact(source, start, stop - start) == there


def sparse() -> Simulation:
    """Data in the first quarter and shortly before the end; between them one stripe of which two cells are data."""
    data = bytearray(FOUR.capacity(SIZE))
    quarter = len(data) // 4
    data[:quarter] = Random(1).randbytes(quarter)
    data[-quarter // 2 : -quarter // 4] = Random(2).randbytes(quarter // 4)
    first = FOUR.stripe_size * 20  # a stripe of which only D0 holds data, and so the parity
    data[first : first + 4096] = Random(3).randbytes(4096)
    return whole(FOUR, bytes(data), SIZE)


def test_zeros_far_away_from_where_two_copies_were_given_up_are_withheld() -> None:
    array = sparse()
    truth, stripe = array.truth, FOUR.stripe(20)
    assert stripe.p is not None
    fill(array, stripe.data[0], 9 * PIECE, SIZE)
    fill(array, stripe.p, 10 * PIECE, SIZE)
    with short_sighted():
        content, lost, learned = read(array)
        description = describe(array)
        with opened(description, memory_sources(images_of(array, description))) as source:
            read_exact(source, 0, source.size)
            runs = health_runs(source.sight.charts, 0, source.size)
            unproven = Extents([(start, stop) for start, stop, health in runs if health is Health.UNPROVEN])
    first = 20 * FOUR.stripe_size
    assert not Extents.span(first, first + 4096).difference(lost)  # agrees, zeros with zeros
    assert not Extents.span(first + 4096, first + FOUR.stripe_size).difference(unproven)
    for start, stop in Extents.span(0, len(truth)).difference(lost):
        assert content[start:stop] == truth[start:stop]
    assert any("zeros up to the end of the member" in each for each in learned)


@pytest.mark.parametrize("n_given_up", [0, 1])
def test_zeros_of_a_sparse_array_are_zeros(n_given_up: int) -> None:
    """One copy that was given up is rebuilt, or doubtful beside honest zeros; not so far away where all are zeros."""
    array = sparse()
    fill(array, 0, (8 if n_given_up else 32) * PIECE, SIZE)
    with short_sighted():
        content, lost, _ = read(array)
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == array.truth[start:stop]
    assert bool(lost) <= bool(n_given_up)


def test_all_copies_given_up_at_about_the_same_height_are_told_by_their_stairs() -> None:
    data = Random(1).randbytes(FOUR.capacity(SIZE))
    array = whole(FOUR, data, SIZE)
    for role in range(4):
        fill(array, role, (9 + role) * PIECE, SIZE)
    with short_sighted():
        content, lost, _ = read(array)
        description = describe(array)
        with opened(description, memory_sources(images_of(array, description))) as source:
            read_exact(source, 0, source.size)
            runs = health_runs(source.sight.charts, 0, source.size)
            sure = Extents([(start, stop) for start, stop, health in runs if health <= Health.REBUILT])
    for start, stop in sure:
        assert content[start:stop] == array.truth[start:stop]
    assert lost.total > array.size // 3


@pytest.mark.parametrize("begins", [(5, 1 << 20, 1 << 24), (1, 1, 1), ((1 << 26) - 1, 77, 1 << 26)])
def test_tails_are_found_by_looking_at_a_few_pieces_of_very_many(begins: tuple[int, ...]) -> None:
    n_pieces, looked_at = 1 << 26, []  # of 64 KiB: 4 TiB

    def look(number: int) -> PieceSigns:
        looked_at.append(number)
        return PieceSigns(np.array([number >= begin for begin in begins]), number == begins[1])

    found = find_tails(look, n_pieces)
    assert found.begin.tolist() == list(begins)
    assert found.is_suspect.tolist() == [begin <= begins[1] for begin in begins]
    assert len(looked_at) == len(set(looked_at)) <= 2 * 26 * len(begins)


def test_members_that_do_not_end_in_zeros_cost_one_look() -> None:
    looked_at = []

    def look(number: int) -> PieceSigns:
        looked_at.append(number)
        return PieceSigns(np.array([False, True, False]), is_torn=False)

    assert find_tails(look, 1000).begin.tolist() == [1000] * 3
    assert looked_at == [999]
