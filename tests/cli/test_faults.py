"""Commands over members that go wrong meanwhile; how a mount fares is told in `tests/fuse/test_faults.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raidfs.extents import Extents
from raidfs.image.ddrescue import Status, parse_mapfile
from tests.support.faulty import Faulty, faulty_files
from tests.support.golden import CHECKOUT, golden_case
from tests.support.truth import truth

pytestmark = [pytest.mark.fuse, pytest.mark.golden, pytest.mark.slow]

CASE = golden_case("a-r5-3to4-12-64k-40")
LATER = (20578304, 20643840)
"""Bytes of a member that are data in the old geometry, well behind the reshape position; nobody asks for them early."""
PATIENCE = 5
"""Seconds; a member that is well answers sooner, however busy the machine is."""


def start(*words: object) -> subprocess.Popen[str]:
    """Start raidfs."""
    command = [sys.executable, "-m", "raidfs", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for its end; return exit code, output and complaints."""
    said, complaint = process.communicate()
    return process.returncode, said, complaint


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Faulty]:
    """Return the members of an array, which may go wrong; nobody ever opens them for writing."""
    with faulty_files(tmp_path / "members", CASE.members()) as faulty:
        yield faulty
        assert faulty.was_opened_for_reading_only()


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[Faulty]:
    """Return the same, read through the page cache: who waits for that can be ended."""
    with faulty_files(tmp_path / "members", CASE.members(), direct=False) as faulty:
        yield faulty
        assert faulty.was_opened_for_reading_only()


# Export ------------------------------------------------------------------------------------------------------------


def assert_exported(image: Path, lost: Extents) -> None:
    """All of it is the truth, but for what is lost, which is zero."""
    expected = bytearray(truth(CASE))
    for begin, end in lost:
        expected[begin:end] = bytes(end - begin)
    assert image.read_bytes() == expected


def test_what_cannot_be_read_is_a_hole_that_the_map_names(members: Faulty, tmp_path: Path) -> None:
    image, map_file = tmp_path / "image", tmp_path / "map"
    at = 8 << 20
    first, second, third = members.paths[:3]
    members.fail(first, ranges=[(at, at + 65536)])
    members.fail(second, ranges=[(at + 4096, at + 12288)])
    members.fail(third, every=5)
    code, said, complaint = ended(start("export", "--map", map_file, *members.paths, image))
    found = parse_mapfile(map_file.read_bytes(), "map").blocks
    withheld = [extents for status, extents in found.items() if status is not Status.FINISHED and extents]
    holes = Extents().union(*withheld)  # lost, or doubtful where an old copy is left
    assert holes
    assert holes == Extents.span(0, len(truth(CASE))).difference(found[Status.FINISHED])
    assert_exported(image, holes)
    assert (code, complaint) == (4, "")
    assert all(f"({extents.total} bytes) " in said for extents in withheld)
    assert "left as holes" in said


def test_an_export_goes_on_without_a_member_that_vanishes(members: Faulty, tmp_path: Path) -> None:
    gone = members.paths[1]
    members.hang(gone, ranges=[LATER])
    process = start("export", *members.paths, tmp_path / "image")
    members.wait_until_it_hangs(gone)
    members.vanish(gone)
    members.heal(gone)
    code, said, complaint = ended(process)
    assert (code, complaint) == (0, "")
    assert f"{gone}: is gone: Stale file handle" in said
    assert_exported(tmp_path / "image", Extents())


def test_an_export_stops_when_a_member_is_written_to(members: Faulty, tmp_path: Path) -> None:
    changed = members.paths[1]
    members.hang(changed, ranges=[LATER])
    process = start("export", *members.paths, tmp_path / "image")
    members.wait_until_it_hangs(changed)
    members.touch(changed)
    members.heal(changed)
    code, said, complaint = ended(process)
    assert (code, said) == (1, "")
    assert complaint == (
        f"raidfs: {changed}: was written to while it was read; stop whatever writes to it, then start again\n"
    )


def test_an_export_that_needs_members_that_hang_can_be_gone_on_with(cached: Faulty, tmp_path: Path) -> None:
    words = ["export", "--patience", PATIENCE, *cached.paths, tmp_path / "image"]
    for path in cached.paths[1:3]:
        cached.hang(path, ranges=[LATER])
    code, said, complaint = ended(start(*words))
    assert (code, said) == (1, "")
    assert "need a member that does not answer" in complaint
    assert complaint.endswith("run the same command again to go on\n")
    assert len(complaint.splitlines()) == 1
    for path in cached.paths:
        cached.heal(path)
    code, _, complaint = ended(start(*words))
    assert (code, complaint) == (0, "")
    assert_exported(tmp_path / "image", Extents())


# Opening -----------------------------------------------------------------------------------------------------------


def test_a_member_that_hangs_while_it_is_examined_is_left_out(cached: Faulty) -> None:
    hangs = cached.paths[0]
    cached.hang(hangs)
    code, said, complaint = ended(start("examine", "--json", "--patience", PATIENCE, *cached.paths))
    assert (code, complaint) == (0, "")
    found = json.loads(said)
    told = [each["message"] for each in found["findings"] if each["subject"] == str(hangs)]
    assert told == [f"{hangs}: does not answer (waited {PATIENCE} seconds for it); it is left out"]
    assert str(hangs) not in [member["path"] for member in found["members"]]
    assert found["account"]["lost"] == 0
    assert found["account"]["rebuilt"] > 0


def test_a_member_that_hangs_when_it_is_opened_is_left_out(cached: Faulty) -> None:
    hangs = cached.paths[0]
    cached.hang(hangs, request="getattr")
    process = start("examine", "--json", "--patience", PATIENCE, *cached.paths)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
    # all is said; but a process cannot end before the kernel has the answer
    cached.heal(hangs)
    assert ended(process) == (0, "", "")
    told = f"{hangs}: does not answer (waited {PATIENCE} seconds for it); it is left out"
    assert told in [each["message"] for each in json.loads("".join(lines))["findings"]]


def test_when_nobody_answers_that_is_what_is_said(cached: Faulty) -> None:
    for path in cached.paths:
        cached.hang(path)
    code, said, complaint = ended(start("examine", "--patience", PATIENCE / 5, *cached.paths))
    assert (code, said) == (1, "")
    assert complaint == f"raidfs: {cached.paths[-1]}: does not answer (waited 1 seconds for it)\n"


def test_a_member_that_is_gone_when_it_is_examined_is_left_out(members: Faulty, tmp_path: Path) -> None:
    gone = members.paths[0]
    members.hang(gone, times=1)
    process = start("export", *members.paths, tmp_path / "image")
    members.wait_until_it_hangs(gone)
    members.vanish(gone)
    members.heal(gone)
    code, said, complaint = ended(process)
    assert (code, complaint) == (0, "")
    assert f"{gone}: reading at " in said
    assert "failed: Stale file handle; it is left out" in said
    assert_exported(tmp_path / "image", Extents())


def test_a_superblock_that_cannot_be_read_costs_one_member(members: Faulty) -> None:
    members.fail(members.paths[0], ranges=[(0, 1 << 20)])
    code, said, complaint = ended(start("examine", *members.paths))
    assert (code, complaint) == (0, "")
    assert "no image serves role" in said
