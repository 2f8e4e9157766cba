"""A cell that is not what a write would have put there was not written; no parity is needed to prove it."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.block import MemorySource
from raidfs.evidence.cells import N_SAMPLES, samples_of, sector_ids
from raidfs.evidence.expected import are_unlike, would_be
from raidfs.evidence.front import find_front
from raidfs.evidence.window import PAGE, window_of
from raidfs.extents import Extents
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import describe, images_of

K, MIB = 1 << 10, 1 << 20
PARITY_LAST = 5
RAID0, RAID5 = Geometry(5, PARITY_LAST, 4, 64 * K), Geometry(5, 2, 4, 64 * K)
COMPONENT = 6 * MIB
ROWS = COMPONENT // PAGE
ROOM = 128
POSITION = 10 * RAID5.stripe_size


def samples(pages: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return samples_of(pages, sector_ids(pages.reshape(-1, PAGE)).reshape(*pages.shape[:-1], -1))


def raid0_that_grows(content: bytes, progress: int) -> Simulation:
    """As `mdadm --grow --level=5` makes it: parity comes last, and its member is new."""
    array = Simulation(RAID0, COMPONENT, data_offsets=[4 * MIB] * 4, size_of_device=11 * MIB, data=content, seed=1)
    array.fail(3)
    array.start_reshape(RAID5, [4 * MIB - ROOM * PAGE] * 4, backwards=False, fill=(3,))
    array.advance(POSITION)
    array.tear(progress)
    return array


def rows_known_to_be_left(array: Simulation) -> set[int]:
    description = describe(array)
    images = {role: MemorySource(image) for role, image in images_of(array, description).items()}
    reshape = find_front(description, images).reshape
    assert reshape is not None
    assert reshape.front is not None
    start, stop = POSITION // RAID5.data_disks, array.progress // RAID5.data_disks
    assert not reshape.front.written.difference(Extents.span(start, stop))
    return {row for low, high in reshape.front.left for row in range(low // PAGE, high // PAGE)}


def test_a_recorded_position_that_is_exact_is_proven_without_any_parity() -> None:
    array = raid0_that_grows(Random(1).randbytes(RAID0.capacity(COMPONENT)), POSITION)
    assert rows_known_to_be_left(array) == set(range(POSITION // 3 // PAGE, ROWS))


def test_no_row_that_was_written_is_taken_for_one_that_is_left() -> None:
    progress = 40 * RAID5.stripe_size
    array = raid0_that_grows(Random(2).randbytes(RAID0.capacity(COMPONENT)), progress)
    left = rows_known_to_be_left(array)
    assert min(left) == progress // 3 // PAGE


def test_where_pages_are_zero_nothing_is_proven() -> None:
    """Stripes 11 and 19 are empty: in the rows of 19 nothing tells, so what those of 11 are made of is not sure."""
    content = bytearray(Random(3).randbytes(RAID0.capacity(COMPONENT)))
    for stripe in (11, 19):
        content[stripe * RAID5.stripe_size : (stripe + 1) * RAID5.stripe_size] = bytes(RAID5.stripe_size)
    left = rows_known_to_be_left(raid0_that_grows(bytes(content), POSITION))
    silent = {row for row in range(POSITION // 3 // PAGE, ROWS) if row // (RAID5.chunk // PAGE) in (11, 19)}
    assert left.isdisjoint(silent)
    assert left | silent == set(range(POSITION // 3 // PAGE, ROWS))


@pytest.mark.parametrize(
    ("level", "layout"), [(level, each) for level, names in LAYOUT_NAMES.items() for each in names]
)
def test_what_would_be_written_is_what_the_oracle_writes(level: int, layout: int) -> None:
    """Of a reshape that did not come far, the rows behind the position hold what was expected of them."""
    geometry = Geometry(level, layout, 5, 8 * K)
    before = Geometry(level, layout, 5, 4 * K)
    rows_behind = 4
    array = write_array(
        before,
        256 * K,
        after=geometry,
        position=rows_behind * geometry.stripe_size,
        data_offset=512 * K,
        new_data_offset=256 * K,
        data=Random(layout).randbytes(before.capacity(256 * K)),
    )
    window = window_of(describe(array))
    assert window is not None
    written = np.arange(rows_behind * geometry.chunk // PAGE, dtype=np.int64)
    pages = np.zeros((len(written), 5, PAGE), dtype=np.uint8)
    cells, have = pages.copy(), np.zeros(pages.shape[:2], dtype=np.bool_)
    truth = np.frombuffer(bytes(array.truth), dtype=np.uint8)
    for role, member in array.roles.items():
        start = member.new_data_offset
        cells[:, role] = np.frombuffer(member.image, np.uint8)[start : start + len(written) * PAGE].reshape(-1, PAGE)
        page = window.after.page_of(role, written)
        have[:, role] = page >= 0
        for row in np.flatnonzero(page >= 0).tolist():
            pages[row, role] = truth[page[row] * PAGE : page[row] * PAGE + PAGE]
    expected, known = would_be(window.after, written, samples(pages), have)
    assert known.all()
    assert (expected == samples(cells)).all()


@given(st.data())
def test_pages_are_unlike_if_each_of_their_sectors_is(data: st.DataObject) -> None:
    chance = Random(data.draw(st.integers(0, 1 << 30)))
    page = np.frombuffer(chance.randbytes(PAGE), np.uint8)
    same = data.draw(st.sets(st.integers(0, 7)))
    other = page.copy().reshape(8, 512)
    for sector in set(range(8)) - same:
        other[sector] = np.frombuffer(chance.randbytes(512), np.uint8)
    assert samples(page).shape == (N_SAMPLES,)
    assert bool(are_unlike(samples(page), samples(other.reshape(-1)))) is (not same)
