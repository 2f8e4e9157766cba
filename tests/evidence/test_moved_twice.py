"""Reshapes over what an earlier one had moved, told by pages that are read in the stead of others."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.cli.session import open_array
from raidfs.errors import SourceError
from raidfs.evidence.front import find_front
from raidfs.evidence.moved_twice import moved_twice
from tests.oracle.layouts import Geometry
from tests.oracle.places import Copies
from tests.oracle.writer import Simulation
from tests.support.crashes import reshaping_arrays
from tests.support.restarts import COMPONENT, K, Kind, Mirror, begun, copied, part, run_again, run_another, served
from tests.support.simulated import describe, images_of, memory_sources

NEAR, OFFSET = 0x102, 0x10201


def raid5(raid_disks: int, chunk: int = 16 * K, layout: int = 2) -> Geometry:
    return Geometry(5, layout, raid_disks, chunk)


def raid10(layout: int, raid_disks: int, chunk: int = 64 * K) -> Copies:
    return Copies(layout, raid_disks, chunk, COMPONENT)


AGAIN = {
    "a shrink of which nothing is at risk": (Kind(raid5(4), raid5(3)), 0.7, 0.4),
    "a larger shrink": (Kind(raid5(6), raid5(5)), 0.45, 0.3),
    "with little room": (Kind(raid5(3), raid5(4), room=64 * K), 0.45, 0.3),
    "only a little way": (Kind(raid5(3), raid5(4), room=64 * K), 0.05, 0.8),
    "in place": (Kind(raid5(3), raid5(4), room=0), 0.3, 0.3),
    "in place, only a little way": (Kind(raid5(4, 64 * K), raid5(6, 64 * K), room=0), 0.05, 0.8),
    "in place, shrunk": (Kind(raid5(4), raid5(3), room=0), 0.45, 0.3),
    "raid6": (Kind(Geometry(6, 2, 5, 16 * K), Geometry(6, 2, 6, 16 * K)), 0.7, 0.4),
    "chunk": (Kind(raid5(4), raid5(4, 32 * K)), 0.3, 0.3),
    "chunk, with the front of the first run": (Kind(raid5(4), raid5(4, 32 * K)), 0.45, 0.3),
    "layout": (Kind(raid5(4), raid5(4, layout=1)), 0.45, 0.4),
    "chunk, far beyond": (Kind(raid5(4), raid5(4, 32 * K), room=512 * K), 0.8, 0.05),
    "raid5 from raid0": (Kind(raid5(4, layout=5), raid5(4), room=256 * K, filled=(3,)), 0.45, 0.25),
    "raid5 from raid0, further": (Kind(raid5(4, layout=5), raid5(4), room=256 * K, filled=(3,)), 0.3, 0.7),
    "raid5 from raid0, wide": (Kind(raid5(5, 64 * K, 5), raid5(5, 64 * K), room=512 * K, filled=(4,)), 0.4, 0.8),
}
COPIED = {
    "members": (Mirror(raid10(NEAR, 4), raid10(NEAR, 6)), 0.7, 0.4),
    "the same place": (Mirror(raid10(NEAR, 4), raid10(NEAR, 6)), 0.45, 0.45),
    "an odd number of members": (Mirror(raid10(NEAR, 4), raid10(NEAR, 5)), 0.45, 0.3),
    "fewer members": (Mirror(raid10(NEAR, 6), raid10(NEAR, 4)), 0.45, 0.3),
    "offset copies": (Mirror(raid10(OFFSET, 4), raid10(OFFSET, 6), room=512 * K), 0.45, 0.3),
    "to offset copies": (Mirror(raid10(NEAR, 4), raid10(OFFSET, 4), room=512 * K), 0.3, 0.3),
}
ANOTHER = {
    "more, then fewer": (Kind(raid5(3), raid5(5)), Kind(raid5(3), raid5(4))),
    "fewer, then more": (Kind(raid5(3), raid5(4)), Kind(raid5(3), raid5(5))),
    "shrunk": (Kind(raid5(6), raid5(4)), Kind(raid5(6), raid5(5))),
}


@pytest.mark.parametrize("gone", [None, 1])
@pytest.mark.parametrize("kind", AGAIN)
def test_a_reshape_that_was_begun_anew_is_recognised(kind: str, gone: int | None, tmp_path: Path) -> None:
    reshape, first, second = AGAIN[kind]
    array = begun(reshape, first)
    truth = bytes(array.truth)
    run_again(array, second)
    wrong, withheld, said = served(array.save(tmp_path, without=() if gone is None else (gone,)), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "an earlier run came so far and it was begun anew" in said


@pytest.mark.parametrize("gone", [None, 1])
@pytest.mark.parametrize("kind", COPIED)
def test_so_is_one_of_a_raid10(kind: str, gone: int | None, tmp_path: Path) -> None:
    reshape, first, second = COPIED[kind]
    truth = copied(reshape, 0.0).truth
    written = copied(reshape, first, second)
    wrong, withheld, said = served(written.save(tmp_path, without=() if gone is None else (gone,)), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "an earlier run came so far and it was begun anew" in said


@pytest.mark.parametrize("gone", [0, 3])
@pytest.mark.parametrize("second", [0.0, 0.4])
@pytest.mark.parametrize("kind", ANOTHER)
def test_so_is_another_reshape_over_the_first_with_a_member_missing(
    kind: str, second: float, gone: int, tmp_path: Path
) -> None:
    first, other = ANOTHER[kind]
    truth = bytes(begun(other, 0.0).truth)
    array = run_another(begun(first, 0.5), other, second)
    wrong, withheld, said = served(array.save(tmp_path, without=(gone,)), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "a reshape to another geometry (raid5" in said


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("kind", COPIED)
def test_one_run_of_a_raid10_is_served(kind: str, share: float, tmp_path: Path) -> None:
    reshape, _, _ = COPIED[kind]
    written = copied(reshape, share)
    wrong, _, said = served(written.save(tmp_path), written.truth)
    assert wrong == 0
    assert "moved from places" not in said


@pytest.mark.parametrize("unit", [4 * K, 64 * K, 192 * K, 1 << 20])
@pytest.mark.parametrize("kind", [*AGAIN, *COPIED])
def test_content_that_repeats_itself_is_no_evidence(kind: str, unit: int, tmp_path: Path) -> None:
    """Also where it does so at the distance to which pages are moved."""
    if kind in COPIED:
        size = COPIED[kind][0].before.size
        paths = copied(COPIED[kind][0], 0.45, content=(Random(3).randbytes(unit) * (size // unit + 1))[:size]).save(
            tmp_path
        )
    else:
        size = AGAIN[kind][0].before.capacity(COMPONENT)
        paths = begun(AGAIN[kind][0], 0.45, (Random(3).randbytes(unit) * (size // unit + 1))[:size]).save(tmp_path)
    with open_array([str(path) for path in paths]) as opened:
        assert not any("moved from places" in finding.message for finding in opened.findings)


def in_pairs(size: int, unit: int, apart: int) -> bytes:
    """Files of `unit` bytes; of each there is a copy that lies `apart` files away."""
    random, found = Random(unit + apart), bytearray()
    while len(found) < size:
        found += 2 * random.randbytes(unit * apart)
    return bytes(found[:size])


@pytest.mark.parametrize("share", [0.2, 0.6])
@pytest.mark.parametrize(("unit", "apart"), [(64 * K, 1), (128 * K, 1), (64 * K, 3), (192 * K, 1)])
@pytest.mark.parametrize("kind", ["members", "the same place", "fewer members", "to offset copies"])
def test_copies_of_files_are_no_evidence(kind: str, unit: int, apart: int, share: float, tmp_path: Path) -> None:
    """All over the array, and just as far away as pages are moved."""
    if kind in COPIED:
        mirror = COPIED[kind][0]
        paths = copied(mirror, share, content=in_pairs(mirror.before.size, unit, apart)).save(tmp_path)
    else:
        reshape = AGAIN[kind][0]
        paths = begun(reshape, share, in_pairs(reshape.before.capacity(COMPONENT), unit, apart)).save(tmp_path)
    with open_array([str(path) for path in paths]) as opened:
        assert not any("moved from places" in finding.message for finding in opened.findings)


@pytest.mark.parametrize("missing", [0, 5, 12])
def test_pages_that_change_places_are_read_from_one(missing: int, tmp_path: Path) -> None:
    """In place: of two such pages near the front one is known to be moved, and of the other it is open."""
    kind = Kind(Geometry(6, 2, 5, 64 * K), Geometry(6, 2, 5, 16 * K), room=0)
    array = begun(kind, 0.0)
    progress = part(array, 1 / 3)
    stop = progress // kind.after.data_disks - missing * 4 * K
    array.tear(progress, lambda component_offset, _role: component_offset < stop)
    wrong, withheld, said = served(array.save(tmp_path), bytes(array.truth))
    assert wrong == 0
    assert withheld < kind.before.stripe_size * 4
    assert "moved from places" not in said


def said_of(description: ArrayDescription, images: dict[int, BlockSource]) -> str:
    return moved_twice(find_front(description, images), images)


@settings(max_examples=60, deadline=None)
@given(reshaping_arrays(is_odd=False), st.data())
def test_no_crash_is_taken_for_it(array: Simulation, data: st.DataObject) -> None:
    gone = data.draw(st.none() | st.sampled_from(sorted(array.roles)))
    description = describe(array, without=[] if gone is None else [gone])
    assert not said_of(description, dict(memory_sources(images_of(array, description))))


def test_a_guess_that_fails_does_not_cost_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(description: ArrayDescription, images: object, *, wanted: bool) -> ArrayDescription:
        raise SourceError("a member is gone")

    monkeypatch.setattr("raidfs.cli.deciding.with_likely_cut", gone)
    reshape, first, second = AGAIN["a shrink of which nothing is at risk"]
    array = begun(reshape, first)
    truth = bytes(array.truth)
    run_again(array, second)
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert (wrong, withheld) == (0, len(truth))
    assert "begun anew" in said


def test_a_proof_that_cannot_be_asked_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(description: ArrayDescription, images: object) -> str:
        raise SourceError("a member is gone")

    monkeypatch.setattr("raidfs.cli.deciding.moved_twice", gone)
    array = begun(AGAIN["layout"][0], 0.45)
    _, _, said = served(array.save(tmp_path), bytes(array.truth))
    assert "whether an earlier run of the reshape went over the array before is not known: a member is gone" in said
