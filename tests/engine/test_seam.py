"""Where new parity ends ahead of the recorded position, and what cannot be told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.damage import known_flaws
from raidfs.engine.seam import Seam, find_seam
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import describe, images_of, memory_sources

START = 512 * 1024
SIZE = 96 * 1024
THREE, FOUR = Geometry(5, 2, 3, 4096), Geometry(5, 2, 4, 4096)
SIX = Geometry(6, 2, 6, 8192)


def seam_of(array: Simulation, *, without: tuple[int, ...] = ()) -> Seam | None:
    description = describe(array, without=without)
    sources = memory_sources(images_of(array, description))
    roles = [role for role, _ in sources]
    flaws = known_flaws(description, description.of_roles(roles), [source.size for _, source in sources])
    return find_seam(description, description.of_roles(roles), flaws, [source for _, source in sources])


@settings(max_examples=30)
@given(st.integers(0, 8), st.integers(0, 3), st.booleans())
def test_the_reshape_is_found_to_have_gone_on_as_far_as_it_did(recorded: int, more: int, backwards: bool) -> None:
    before, after = (FOUR, THREE) if backwards else (THREE, FOUR)
    step = 4096 * after.data_disks
    position, progress = recorded * step, (recorded + more) * step
    if backwards:
        position, progress = 2 * SIZE - position, 2 * SIZE - progress
    array = write_array(before, SIZE, after=after, position=position, progress=progress, data_offset=START)
    seam = seam_of(array)
    assert seam is not None
    assert seam.position == position
    assert seam.new_until == seam.certain_until == seam.old_from == progress
    assert seam.neither == 0
    assert seam.tells


def test_of_torn_rows_it_is_said_that_neither_parity_holds() -> None:
    landed = {(0, 2)}
    array = write_array(
        THREE, SIZE, after=FOUR, position=0, progress=4096 * 3, data_offset=START, landed=lambda *at: at in landed
    )
    seam = seam_of(array)
    assert seam is not None
    assert (seam.new_until, seam.certain_until, seam.neither) == (0, 0, 4096)
    assert seam.old_from == 4096 * 3


def test_parity_of_the_same_members_cannot_tell() -> None:
    other = Geometry(5, 1, 3, 4096)
    array = write_array(THREE, SIZE, after=other, position=8192 * 3, data_offset=START)
    seam = seam_of(array)
    assert seam is not None
    assert not seam.tells
    assert seam.old_from is None


def test_q_tells_of_the_same_members() -> None:
    array = write_array(SIX, SIZE, after=Geometry(6, 1, 6, 8192), position=0, progress=32768, data_offset=START)
    seam = seam_of(array)
    assert seam is not None
    assert seam.tells
    assert seam.certain_until == 32768


@pytest.mark.parametrize("missing", [0, 3])
def test_with_too_few_members_nothing_is_said(missing: int) -> None:
    array = write_array(THREE, SIZE, after=FOUR, position=4096 * 6, data_offset=START)
    seam = seam_of(array, without=(missing,))
    assert seam is not None
    assert seam.new_until is None
    assert not seam.tells


def test_at_the_end_and_without_a_reshape() -> None:
    assert seam_of(write_array(THREE, SIZE, data_offset=START)) is None
    array = write_array(THREE, SIZE, after=FOUR, position=SIZE * 3, data_offset=START)
    seam = seam_of(array)
    assert seam is not None
    assert (seam.looked_at, seam.new_until, seam.tells) == (0, None, False)
