"""A reshape that was begun anew over what an earlier run had moved is recognised, and nothing of it is served."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.evidence.front import find_front
from raidfs.evidence.moved_twice import moved_twice
from raidfs.evidence.restarted import written_too_far
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation
from tests.support.crashes import reshaping_arrays
from tests.support.restarts import COMPONENT, K, Kind, begun, part, run_again, run_another, served
from tests.support.simulated import describe, images_of, memory_sources
from tests.support.storms import storms

KINDS = {
    "grown": Kind(Geometry(5, 2, 3, 16 * K), Geometry(5, 2, 4, 16 * K)),
    "shrunk": Kind(Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 3, 16 * K)),
    "raid6": Kind(Geometry(6, 2, 5, 16 * K), Geometry(6, 2, 6, 16 * K)),
    "two more": Kind(Geometry(5, 2, 3, 16 * K), Geometry(5, 2, 5, 16 * K)),
}


@pytest.mark.parametrize("second", [0.0, 0.02])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reshape_that_was_begun_anew_is_recognised(kind: str, second: float, tmp_path: Path) -> None:
    array = begun(KINDS[kind], 0.7)
    truth = bytes(array.truth)
    run_again(array, second)
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "an earlier run came so far and it was begun anew" in said
    reached = int(said.partition("up to about array byte ")[2].partition(":")[0])
    assert abs(reached - part(array, 0.7)) < 1 << 21


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("grown", 0.45, 0.3),
        ("grown", 0.3, 0.3),  # the first run came no further than the second
        ("grown", 0.3, 0.4),
        ("shrunk", 0.6, 0.6),
        ("raid6", 0.45, 0.3),
        ("two more", 0.5, 0.3),
    ],
)
@pytest.mark.parametrize("gone", [None, 1])
def test_what_was_moved_twice_tells_within_the_limit(
    kind: str, first: float, second: float, gone: int | None, tmp_path: Path
) -> None:
    """The first run came no further than the kernel may have come from the position that the second one recorded."""
    array = begun(KINDS[kind], first)
    truth = bytes(array.truth)
    run_again(array, second)
    description = describe(array)
    assert not written_too_far(description, dict(memory_sources(images_of(array, description))))
    if gone is not None:
        array.fail(gone)
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "an earlier run came so far and it was begun anew" in said


def test_a_second_reshape_to_another_geometry_is_recognised(tmp_path: Path) -> None:
    """First to five members, then to four over it; the fifth is gone."""
    array = begun(KINDS["two more"], 0.6)
    truth = bytes(array.truth)
    other = run_another(array, KINDS["grown"], 0.0)
    wrong, withheld, said = served(other.save(tmp_path), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "satisfy neither geometry" in said


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_one_that_was_not_is_served(kind: str, share: float, tmp_path: Path) -> None:
    array = begun(KINDS[kind], share)
    truth = bytes(array.truth)
    assert served(array.save(tmp_path), truth)[:2] == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_content_that_repeats_itself_is_no_evidence(kind: str, tmp_path: Path) -> None:
    size = KINDS[kind].before.capacity(COMPONENT)
    for content in (bytes(size), b"same" * (size // 4), random.Random(3).randbytes(4 * K) * (size // (4 * K))):
        folder = tmp_path / str(content[0])
        folder.mkdir()
        array = begun(KINDS[kind], 0.3, content)
        wrong, _, said = served(array.save(folder), bytes(array.truth))
        assert wrong == 0
        assert "cannot have come to" not in said


@settings(max_examples=60, deadline=None)
@given(reshaping_arrays(is_odd=False), st.data())
def test_a_crash_is_never_taken_for_it(array: Simulation, data: st.DataObject) -> None:
    gone = data.draw(st.none() | st.sampled_from(sorted(array.roles)))
    description = describe(array, without=[] if gone is None else [gone])
    images = dict(memory_sources(images_of(array, description)))
    assert not written_too_far(description, images)
    assert not moved_twice(find_front(description, images), images)


def test_no_storm_of_crashes_is_taken_for_it() -> None:
    for crash in islice(storms(4242), 60):
        images = dict(crash.sources)
        assert not moved_twice(find_front(crash.description, images, crash.in_flight), images), crash.story


def test_a_file_that_is_there_twice_is_no_evidence(tmp_path: Path) -> None:
    """Two copies of a mebibyte, one of which was written over the old place of the other."""
    array = begun(KINDS["grown"], 0.6)
    data = random.Random(8).randbytes(1 << 20)
    for start in (3 << 20, (3 << 20) * 3 // 2 + 3 * (1 << 20)):
        array.user_write(start, data)
    assert served(array.save(tmp_path), bytes(array.truth))[:2] == (0, 0)


@pytest.mark.parametrize("fill", [b"\0", b"lost", None])
@pytest.mark.parametrize("kind", ["grown", "raid6", "two more"])
def test_a_copy_with_gaps_at_old_places_is_not_taken_for_it(kind: str, fill: bytes | None, tmp_path: Path) -> None:
    """Rows ahead of the position are written, but the old place of what they hold was not copied from the disk."""
    array = begun(KINDS[kind], 0.3)
    truth, position, old = bytes(array.truth), array.position, array.geometry
    assert array.after is not None
    array.tear(position + 16 * array.after.stripe_size)
    member = array.roles[0]
    start = member.data_offset + position // len(old.stripe(0).data)
    n = 1 << 20
    member.image[start : start + n] = (fill * (n // len(fill))) if fill else random.Random(5).randbytes(n)
    description = describe(array)
    assert not written_too_far(description, dict(memory_sources(images_of(array, description))))
    assert len(truth) == description.size
