"""Parity that is read as data: nothing else tells of a reshape in place that was begun anew, or never came so far."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from raidfs.evidence import read_sums
from raidfs.evidence.read_sums import sums_left
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation
from tests.support.restarts import COMPONENT, K, Kind, begun, part, run_again, served
from tests.support.simulated import describe

KINDS = {
    "raid5, chunk": Kind(Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 4, 32 * K), room=0),
    "raid5, layout": Kind(Geometry(5, 2, 4, 32 * K), Geometry(5, 1, 4, 32 * K), room=0),
    "raid6, chunk": Kind(Geometry(6, 2, 5, 16 * K), Geometry(6, 2, 5, 64 * K), room=0),
    "raid6, smaller chunk": Kind(Geometry(6, 2, 5, 64 * K), Geometry(6, 2, 5, 16 * K), room=0),
    "raid6, layout": Kind(Geometry(6, 2, 6, 32 * K), Geometry(6, 3, 6, 32 * K), room=0),
}
LETTERS = b"etaoinshrdlu ,.\n"


def text(size: int, seed: int) -> bytes:
    """What is mixed less than its sums."""
    return Random(seed).randbytes(size).translate(LETTERS * (256 // len(LETTERS)))


def words(kind: Kind) -> bytes:
    return text(kind.before.capacity(COMPONENT), 7)


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.5), (0.5, 0.4)])
@pytest.mark.parametrize("name", KINDS)
def test_a_reshape_in_place_that_was_begun_anew_is_recognised(
    name: str, first: float, second: float, tmp_path: Path
) -> None:
    array = begun(KINDS[name], first, words(KINDS[name]))
    truth = bytes(array.truth)
    run_again(array, second)
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "begun anew" in said


def recorded_at(array: Simulation, position: int, folder: Path) -> list[Path]:
    """Write an array whose superblocks record another position than it came to."""
    array.position = position
    array.checkpoint()
    return array.save(folder)


@pytest.mark.parametrize("name", KINDS)
def test_a_position_that_it_never_came_to_is_recognised(name: str, tmp_path: Path) -> None:
    array = begun(KINDS[name], 0.3, words(KINDS[name]))
    truth = bytes(array.truth)
    wrong, _, said = served(recorded_at(array, part(array, 0.7), tmp_path), truth)
    assert wrong == 0
    assert "lies too far by the data" in said


@pytest.mark.parametrize("backwards", [False, True])
def test_no_place_ahead_of_the_position_was_passed(backwards: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place that the position lies in was reached, others behind it seem not to be."""
    kind = Kind(Geometry(5, 2, 4, 16 * K), Geometry(5, 2, 4, 32 * K), room=0, backwards=backwards)
    array = begun(kind, 0.5)
    description, length = describe(array), 128 * K
    assert description.reshape is not None
    starts = [description.reshape.position - 64 * K + n * length for n in range(-3, 4)]
    behind, ahead = [True] * 3, [None] * 3
    left = [*ahead, False, *behind] if backwards else [*behind, False, *ahead]
    places = read_sums._Places(starts, length, [None] * 7, left)
    monkeypatch.setattr(read_sums, "_look", lambda *_: places)
    assert not sums_left(description, {})


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("gone", [None, 1])
@pytest.mark.parametrize("name", KINDS)
def test_one_run_is_not_taken_for_it(name: str, gone: int | None, share: float, tmp_path: Path) -> None:
    """Files of several kinds lie beside each other: texts, zeros, and what is mixed as sums are."""
    kind, size = KINDS[name], 0
    content, random = bytearray(), Random(3)
    while size < kind.before.capacity(COMPONENT):
        length = random.choice([4 * K, 20 * K, 64 * K, 300 * K])
        content += random.choice([text(length, size), bytes(length), random.randbytes(length)])
        size = len(content)
    array = begun(kind, share, bytes(content[: kind.before.capacity(COMPONENT)]))
    _, _, said = served(array.save(tmp_path, without=() if gone is None else (gone,)), bytes(array.truth))
    assert "parity is read as data" not in said


@pytest.mark.parametrize(
    ("left", "found"), [((True, False, True, True, True, False, True), False), ((True,) * 7, True)]
)
def test_only_places_one_after_the_other_behind_the_position_tell(
    left: tuple[bool, ...], found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a member of a RAID6 missing up to six of some 30 looked so by chance, on a real array with one run."""
    array = begun(KINDS["raid6, layout"], 0.6)
    description = describe(array)
    places = read_sums._Places(list(range(7)), 1, [False] * 7, list(left))
    monkeypatch.setattr(read_sums, "_look", lambda *_: places)
    assert bool(read_sums.sums_left(description, {})) == found


@pytest.mark.parametrize(("name", "stop"), [("raid6, layout", 0.46), ("raid6, smaller chunk", 0.46)])
def test_a_short_second_run_from_the_recorded_position_is_recognised(name: str, stop: float, tmp_path: Path) -> None:
    """Linux took up a reshape from the position that it had recorded, and stopped before it recorded another."""
    kind = KINDS[name]
    array = begun(kind, 0.5, words(kind))
    truth = bytes(array.truth)
    since = 0.44
    run_again(array, stop, since)
    wrong, withheld, said = served(recorded_at(array, part(array, since), tmp_path), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "begun anew" in said


def test_places_in_a_row_tell_at_the_position_and_more_of_them_elsewhere() -> None:
    array = begun(KINDS["raid6, layout"], 0.5)
    description = describe(array)
    asked, reshape = read_sums._asked(description, {}), description.reshape
    assert asked is not None
    assert reshape is not None
    near = reshape.position // asked.length

    def tells(taken: dict[int, bool | None]) -> bool:
        asked.told.clear()
        asked.told.update({number: (taken.get(number, False), False) for number in range(-9, 999)})
        starts = [number * asked.length for number in sorted(taken)]
        none: list[bool | None] = [None] * len(starts)
        return read_sums._in_a_row(asked, reshape, read_sums._Places(starts, asked.length, none, none))

    assert tells({near + 1: True, near + 2: None, near + 3: True, near + 4: True})
    assert not tells({near + 1: True, near + 2: None, near + 3: True})
    assert not tells({near + 1: True, near + 2: False, near + 3: True, near + 4: True, near + 5: True})
    assert not tells(dict.fromkeys(range(5, 10), True))
    assert tells(dict.fromkeys(range(5, 11), True))
    assert not tells({number: None if number in range(7, 11) else True for number in range(5, 15)})
    # one here and one there is chance: with a member of a RAID6 missing sums that are none look like some
    assert not tells({number: number % 3 == 0 for number in range(5, 40)})
