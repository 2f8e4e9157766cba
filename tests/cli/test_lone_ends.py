"""Superblocks that say that a reshape has ended, while the others record it in the middle: the data are asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_accusing import assert_alike, each_order, seen, true_content
from tests.oracle.labels import device_size
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation
from tests.support.golden import Case, cases_here
from tests.support.rewritten import CHUNK, DATA_OFFSET, DATA_SIZE, EVENTS, NEW_OFFSET, field_of, rewrite

FEATURES, LAYOUT, NEW_LAYOUT, NEW_CHUNK = 8, 76, 116, 120
"""Where fields lie in a superblock [bytes]; all are u32."""
RESHAPE, MOVES, BACKWARDS = 4, 64, 32
"""Bits of FEATURES."""


def end(image: Path) -> None:
    """Let a member say, one event later, that the reshape has ended."""
    features = field_of(image, FEATURES, "I")
    move = field_of(image, NEW_OFFSET, "i") if features & MOVES else 0
    rewrite(image, "I", LAYOUT, field_of(image, NEW_LAYOUT, "I"))
    rewrite(image, "I", CHUNK, field_of(image, NEW_CHUNK, "I"))
    rewrite(image, "I", FEATURES, features & ~(RESHAPE | MOVES | BACKWARDS))
    rewrite(image, "Q", DATA_OFFSET, field_of(image, DATA_OFFSET) + move)
    rewrite(image, "Q", DATA_SIZE, field_of(image, DATA_SIZE) - move)
    rewrite(image, "Q", EVENTS, field_of(image, EVENTS) + 1)


TOLD = cases_here(
    "a-r5-3to4-12-64k-40",
    "h-r6-4to6-12-64k",
    "i-r10-n2-4to6-12-64k",
    "g-r5to6-4to5-12-64k",
    "r-r1-to-r5-3",
    "f-r5-layout-ls-to-ra",
    "f-r5-chunk-64to128-12",
)


@pytest.mark.golden
@pytest.mark.parametrize("case", TOLD, ids=lambda case: case.name)
def test_one_that_says_so_alone_is_disproved_by_the_data(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    end(members[1])
    found = assert_alike(each_order(members))
    assert np.array_equal(found.content, true_content(case))
    assert not found.lost.any()
    assert any("never moved, so it has not ended" in each for each in found.findings)


UNTOLD = cases_here("r-r10-o2-to-n2", "r-r10-chunk-64to128")


@pytest.mark.golden
@pytest.mark.parametrize("case", UNTOLD, ids=lambda case: case.name)
def test_where_the_data_do_not_tell_what_differs_is_doubtful(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    end(members[1])
    found = assert_alike(each_order(members))
    whole = true_content(case)
    assert np.array_equal(found.content[~found.lost], whole[~found.lost])
    assert found.account.doubtful
    assert found.account.good
    assert any("the data do not tell: what differs is doubtful" in each for each in found.findings)


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here("a-r5-3to4-12-64k-40"), ids=lambda case: case.name)
def test_half_of_the_members_do_not_outvote_the_data(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    for image in members[:2]:
        end(image)
    found = seen(members)
    assert np.array_equal(found.content, true_content(case))
    assert any("never moved, so it has not ended" in each for each in found.findings)


# Those that are only not updated yet -------------------------------------------------------------------------------

ENDS = {
    "grow": (Geometry(5, 2, 3, 16384), Geometry(5, 2, 4, 16384)),
    "two parities": (Geometry(6, 2, 4, 16384), Geometry(6, 2, 5, 16384)),
    "layout": (Geometry(5, 2, 4, 16384), Geometry(5, 3, 4, 16384)),
    "chunk": (Geometry(5, 2, 4, 8192), Geometry(5, 2, 4, 16384)),
}
ROOM = 1 << 18


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("who", [(1,), (0, 2)], ids=str)
def test_members_that_do_not_know_yet_that_the_reshape_has_ended(
    name: str, who: tuple[int, ...], tmp_path: Path
) -> None:
    """A few stripes before the end the last position was recorded on all of them."""
    before, after = ENDS[name]
    size = 64 * 16384
    array = Simulation(
        before, size, data_offsets=[2 * ROOM] * before.raid_disks, size_of_device=device_size(size, 2 * ROOM)
    )
    array.start_reshape(after, [ROOM] * after.raid_disks)
    step, whole = 16384 * after.data_disks, array.size
    last = whole // step * step
    array.advance(last - 4 * step)
    array.tear(whole // step * step)
    members = array.save(tmp_path)
    for number in who:
        end(members[number])
    found = assert_alike(each_order(members))
    content, kept = found.content[:whole], ~found.lost[:whole]
    assert np.array_equal(content[:last][kept[:last]], np.frombuffer(array.truth, np.uint8)[:last][kept[:last]])
    assert np.count_nonzero(~kept[:last]) == 0
    assert not any("has not ended" in each for each in found.findings)
    assert found.account.doubtful == 0
