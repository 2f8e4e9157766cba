"""The exported image: its bytes, its holes, its map, and everything that must not be overwritten."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import MemorySource, Requests
from raidfs.cli import main
from raidfs.cli.export import _copy, _prepare
from raidfs.cli.session import open_array
from raidfs.engine.array_source import ArraySource
from raidfs.errors import SourceError
from raidfs.extents import Extents
from tests.support.golden import fingerprints, golden_case

pytestmark = pytest.mark.golden
CASE = golden_case("s-r5-la")
GROWN = golden_case("a-r5-3to4-12-64k-40")


def export(target: Path, *words: str, members: list[Path] | None = None) -> int:
    return main(["export", "-q", *words, *map(str, CASE.members() if members is None else members), str(target)])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_image_is_the_array_and_zeros_are_holes(tmp_path: Path) -> None:
    target = tmp_path / "array.img"
    assert export(target) == 0
    assert digest(target) == CASE.expected_sha256
    assert os.stat(target).st_blocks * 512 < CASE.array_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["array.img"]


def test_lost_ranges_are_holes_and_named_in_the_map(tmp_path: Path) -> None:
    target, mapfile = tmp_path / "array.img", tmp_path / "array.map"
    assert export(target, "--map", str(mapfile), members=CASE.members()[2:]) == 4
    whole = tmp_path / "whole.img"
    assert export(whole) == 0
    content, truth = target.read_bytes(), whole.read_bytes()
    rows = [line.split() for line in mapfile.read_text().splitlines() if not line.startswith("#")][1:]
    position = 0
    for start, size, status in rows:
        low, high = int(start, 16), int(start, 16) + int(size, 16)
        assert low == position
        position = high
        assert content[low:high] == (truth[low:high] if status == "+" else bytes(high - low))
        assert status in "+-"
    assert position == CASE.array_size


def test_an_existing_file_is_only_replaced_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "array.img"
    target.write_bytes(b"precious")
    assert export(target) == 1
    assert "exists" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"
    assert export(target, "--force") == 0
    assert digest(target) == CASE.expected_sha256


@pytest.mark.parametrize("disguise", ["itself", "symlink", "hard link", "forgotten", "map"])
def test_a_member_is_never_written_whatever_was_asked(
    disguise: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = CASE.copies(tmp_path)
    before = fingerprints(members)
    target, words = members[0], ["--force"]
    if disguise == "symlink":
        target = tmp_path / "link"
        target.symlink_to(members[0])
    elif disguise == "hard link":
        target = tmp_path / "link"
        target.hardlink_to(members[0])
    elif disguise == "forgotten":
        members, target = members[:3], members[3]
    elif disguise == "map":
        words, target = ["--force", "--map", str(members[1])], tmp_path / "new.img"
    if disguise == "itself":
        assert main(["export", "-q", "--force", *map(str, members), str(target)]) == 1
    else:
        assert export(target, *words, members=members) == 1
    assert "never written" in capsys.readouterr().err
    assert fingerprints(list(before)) == before


def test_a_block_device_or_folder_is_no_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path, "--force") == 1
    assert export(Path("/dev/null"), "--force") == 1
    assert export(tmp_path / "missing" / "array.img") == 1
    assert capsys.readouterr().err.count("\n") == 3


def test_doubtful_bytes_are_holes_unless_asked_for(tmp_path: Path) -> None:
    members = GROWN.copies(tmp_path)
    for path in members:  # all checksums wrong: nothing that the array is made of is certain
        with path.open("r+b") as file:
            file.seek(4096 + 216)
            file.write(b"\xff\xff\xff\xff")
    withheld, served = tmp_path / "withheld.img", tmp_path / "served.img"
    assert export(withheld, members=members) == 4
    assert os.stat(withheld).st_blocks == 0
    assert export(served, "--doubtful", members=members) == 4
    assert digest(served) == GROWN.expected_sha256


@pytest.mark.parametrize("how", ["left out of the command", "excluded"])
def test_no_map_is_written_over_a_member(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = CASE.copies(tmp_path)
    before = fingerprints(members)
    words = ["--force", "--map", str(members[3])]
    words += ["--exclude", str(members[3])] if how == "excluded" else []
    given = members if how == "excluded" else members[:3]
    assert export(tmp_path / "new.img", *words, members=given) == 1
    assert "never written" in capsys.readouterr().err
    assert fingerprints(members) == before


def test_an_unfinished_export_is_not_gone_on_with_when_other_bytes_are_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members, target = CASE.copies(tmp_path), tmp_path / "array.img"
    with open_array([str(path) for path in members[1:]]) as array:
        image = _prepare(array, str(target), None, force=False)
        image.append(np.zeros(4096, dtype=np.uint8))
        image.save()
        image.close()
    with members[1].open("r+b") as file:  # the same file to the eye, but cut: other bytes are lost now
        file.truncate(members[1].stat().st_size - 8192)
    os.utime(members[1], ns=(0, 0))
    assert export(target, members=members[1:]) != 0
    assert "unfinished export" in capsys.readouterr().err


class Silent(MemorySource):
    """A member that does not answer until it is told to."""

    def __init__(self, data: bytes, answer: threading.Event) -> None:
        super().__init__(data)
        self._answer = answer

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        self._answer.wait()
        return super().read_into(requests, out)


def test_a_member_that_does_not_answer_stops_the_export_instead_of_leaving_a_hole(tmp_path: Path) -> None:
    answer = threading.Event()
    with open_array([str(path) for path in CASE.members()[1:]]) as array:
        images = [(member, Silent(Path(image.path).read_bytes(), answer)) for member, image in array.serving]
        array._source = ArraySource(array.description, images, patience=0.01)
        image = _prepare(array, str(tmp_path / "array.img"), None, force=False)
        try:
            with pytest.raises(SourceError, match="does not answer"):
                _copy(array, image, quiet=True)
            assert image.done == 0
        finally:
            answer.set()
            image.close()
