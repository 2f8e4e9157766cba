"""Whatever members hold, the evidence ends in a front that contradicts neither itself nor what is recorded."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.evidence.front import find_front
from raidfs.evidence.survey import Surveyor
from raidfs.evidence.window import window_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import lag_limit, rows_of_reshape, sections_of, undecided_by_front
from tests.oracle.at_risk import Reshape
from tests.oracle.layouts import Geometry
from tests.support.reshapes import described, reshapes
from tests.support.sources import BadSectors

PAGE = 4096


@st.composite
def members(draw: st.DrawFn) -> tuple[Reshape, dict[int, BlockSource]]:
    """Draw a reshape, and images of any size that hold anything: noise, zeros, pages that are found everywhere."""
    reshape = draw(reshapes(chunks=(4096, 8192, 2048)))
    random = Random(draw(st.integers(0, 1 << 30)))
    pool = [bytes(PAGE), *(random.randbytes(PAGE) for _ in range(draw(st.integers(0, 6))))]
    whole = 256 * 1024 + 24 * PAGE + reshape.component_size
    images: dict[int, BlockSource] = {}
    sizes = draw(st.sampled_from([[whole], [whole, whole, 300 * 1024 + 700, 1000], [1000]]))
    for role in reshape.offsets:
        size = draw(st.sampled_from(sizes))
        kind = draw(st.sampled_from(["noise", "pool", "zeros"]))
        pages = [random.randbytes(PAGE) if kind == "noise" else random.choice(pool) for _ in range(size // PAGE + 1)]
        image = bytes(size) if kind == "zeros" else b"".join(pages)[:size]
        start = draw(st.integers(0, size))
        bad = draw(st.sampled_from([Extents(), Extents.span(start, min(start + 5000, size))]))
        images[role] = BadSectors(image, bad)
    return reshape, images


@settings(max_examples=120, deadline=None)
@given(members(), st.sampled_from([None, 1, 4]))
def test_any_bytes_give_a_front(drawn: tuple[Reshape, dict[int, BlockSource]], in_flight: int | None) -> None:
    reshape, images = drawn
    description = described(reshape)
    found = find_front(description, images, in_flight)
    assert find_front(description, images, in_flight) == found
    if found.reshape is None or found.reshape.front is None:
        assert found == description
        return
    assert_consistent(description, found)


def assert_consistent(recorded: ArrayDescription, found: ArrayDescription) -> None:
    assert recorded.reshape is not None
    assert found.reshape is not None
    front, limit = found.reshape.front, lag_limit(recorded)
    assert front is not None
    low, high = sorted((found.reshape.position, limit))
    window = Extents.span(low // found.reshape.after.n_data, high // found.reshape.after.n_data)
    for rows in (front.written, front.likely_written, front.likely_left, front.left):
        assert not rows.difference(window)
    for proof in front.proofs:
        assert all(window.overlaps(row, row + PAGE) for row in (proof.first, proof.last))
    states = rows_of_reshape(found)
    before = rows_of_reshape(recorded)
    assert states is not None
    assert before is not None
    assert not before.written.difference(states.written)
    assert not undecided_by_front(found).difference(Extents.span(0, found.size))
    sections = sections_of(found)
    assert sections[0].array_start == 0
    assert sections[-1].array_stop == found.size


def test_the_member_that_a_shrink_leaves_may_be_missing() -> None:
    """No new row holds a cell of it, so none rebuilds one."""
    before, after = Geometry(6, 2, 6, 4096), Geometry(6, 2, 5, 4096)
    component, offset = 64 * PAGE, 16 * PAGE
    reshape = Reshape(before, after, component, 90 * PAGE, True, dict.fromkeys(range(5), (offset, offset)))
    random = Random(5)
    images: dict[int, BlockSource] = {
        role: BadSectors(random.randbytes(offset + component), Extents()) for role in reshape.offsets
    }
    window = window_of(described(reshape))
    assert window is not None
    survey = Surveyor(window, images).survey(0, window.after.n_rows)
    assert len(survey.rows) == window.after.n_rows
