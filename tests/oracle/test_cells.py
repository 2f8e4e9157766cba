"""What each cell holds, against the writer, who remembers for which geometry each byte was last written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings

from tests.oracle.cells import FAILING, NEW, NOTHING, OLD, SECTOR, SURE, Situation, Source, classes
from tests.oracle.crashed import COMPONENT, Crashed, crashed_arrays
from tests.oracle.layouts import Geometry
from tests.oracle.member import NEW as BY_NEW
from tests.oracle.member import OLD as BY_OLD

N_SECTORS = COMPONENT // SECTOR


def sectors(ranges: list[tuple[int, int]]) -> set[int]:
    return {sector for start, stop in ranges for sector in range(start // SECTOR, stop // SECTOR)} & {*range(N_SECTORS)}


@settings(max_examples=150)
@given(crashed_arrays(torn=False) | crashed_arrays(torn=True))
def test_what_is_believed_to_be_there_is_there(crashed: Crashed) -> None:
    """And nothing else, unless writes beyond the position leave it open."""
    array = crashed.build(crashed.content, {})
    situation = crashed.situation(array)
    for member, source in zip(array.members, situation.sources, strict=True):
        for side in range(len(situation.geometries)):
            found = classes(situation, replace(source, failing=()), side, N_SECTORS)
            there = sectors(member.owned(BY_NEW if side == NEW else BY_OLD))
            believed, sure = {*np.flatnonzero(found != NOTHING)}, {*np.flatnonzero(found == SURE)}
            if not crashed.is_torn:
                assert believed == there
            elif side == OLD:
                assert sure <= there <= believed
            else:
                assert sure <= there
            assert source.trust == SURE or not sure


@given(crashed_arrays(torn=False))
def test_what_fails_may_be_rescued(crashed: Crashed) -> None:
    situation = crashed.situation(crashed.build(crashed.content, {}))
    for source in situation.sources:
        for side in range(len(situation.geometries)):
            offset = source.new_data_offset if side == NEW else source.data_offset
            failing = sectors([(start - offset, stop - offset) for start, stop in source.failing])
            found = classes(situation, source, side, N_SECTORS)
            whole = classes(situation, replace(source, failing=()), side, N_SECTORS)
            assert {*np.flatnonzero(found & FAILING)} == failing & {*np.flatnonzero(whole != NOTHING)}
            assert np.array_equal(np.where(found & FAILING, found - FAILING, found), whole)


def test_an_image_that_is_cut_short_may_be_completed() -> None:
    source = Source(0, size=8192 + 600, data_offset=4096, new_data_offset=4096)
    situation = Situation(Geometry(5, 2, 3, 4096), COMPONENT, (source,))
    found = classes(situation, source, OLD, N_SECTORS)
    assert np.flatnonzero(found == SURE).tolist() == list(range(9))
    found = classes(situation, replace(source, failing=((8192, 1 << 20),)), OLD, N_SECTORS)
    assert np.flatnonzero(found == SURE).tolist() == list(range(8))
    assert np.flatnonzero(found == FAILING).tolist() == list(range(8, N_SECTORS))
