"""What is asked of ddrescue is enough, and it is not more than helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.image.ddrescue import Status, parse_mapfile
from tests.support.golden import fingerprints, golden_case

pytestmark = pytest.mark.golden
GROWN = golden_case("a-r5-3to4-12-64k-40")
SECTOR = 512
PLACE = 8 << 20
"""Of bad sectors, in the data of both geometries."""


def write_map(path: Path, bad: Extents) -> Path:
    """Write a map over a whole image."""
    lines, at = ["0x0 + 1"], 0
    for start, stop in bad:
        lines += [f"{at} {start - at} +", f"{start} {stop - start} -"]
        at = stop
    path.write_text("\n".join([*lines, f"{at} {1 << 30} +"]) + "\n")
    return path


@pytest.fixture
def bad() -> dict[int, Extents]:
    """Bad sectors by image: those of two members meet at PLACE, the others are made up for."""
    met = Extents.span(PLACE, PLACE + 4 * SECTOR)
    return {0: met.union(Extents.span(PLACE + (1 << 20), PLACE + (1 << 20) + SECTOR)), 1: met}


def test_exactly_what_is_lost_is_asked_for(
    bad: dict[int, Extents], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [str(path) for path in GROWN.members()]
    before = fingerprints(GROWN.members())
    maps = [f"{members[n]}={write_map(tmp_path / f'{n}.map', extents)}" for n, extents in bad.items()]
    words = [word for each in maps for word in ("--mapfile", each)]
    assert main(["needs", "--json", *words, *members, "-o", str(tmp_path / "needs")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["lost"] + said["doubtful"] > 0
    asked = {}
    for member in said["members"]:
        index = members.index(member["path"])
        asked[index] = Extents([tuple(each) for each in member["ranges"]])
        domain = parse_mapfile(Path(member["domain_map"]).read_bytes(), "domain")
        assert domain.blocks[Status.FINISHED] == asked[index]
        assert domain.stop == Path(member["path"]).stat().st_size
    assert asked == {0: Extents.span(PLACE, PLACE + 4 * SECTOR), 1: Extents.span(PLACE, PLACE + 4 * SECTOR)}
    # rescuing it on one of the two members gives everything back
    rescued = [maps[0], f"{members[1]}={write_map(tmp_path / 'rescued.map', Extents())}"]
    with open_array(members, Options(mapfiles=tuple(rescued))) as array:
        assert (array.account().lost, array.account().doubtful) == (0, 0)
    assert fingerprints(GROWN.members()) == before


def test_without_losses_nothing_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(path) for path in GROWN.members()]
    assert main(["needs", *members[1:], "-o", str(tmp_path / "needs")]) == 0
    assert capsys.readouterr().out == "Nothing is needed: every byte of the array is served.\n"
    assert not (tmp_path / "needs").exists()


def test_what_no_rescue_gives_back_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(path) for path in GROWN.members()]
    assert main(["needs", *members[2:], "-o", str(tmp_path / "needs")]) == 0
    assert "no rescue of these images gives them back" in capsys.readouterr().out
    assert not (tmp_path / "needs").exists()


def test_what_there_is_to_do_is_said_with_the_next_command(
    bad: dict[int, Extents], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [str(path) for path in GROWN.members()]
    words = []
    for n, extents in bad.items():
        words += ["--mapfile", f"{members[n]}={write_map(tmp_path / f'{n}.map', extents)}"]
    assert main(["needs", *words, *members, "-o", str(tmp_path / "needs")]) == 0
    out = capsys.readouterr().out
    assert f"ddrescue -d -r3 -m {tmp_path}/needs/disk0.img.domain.map /dev/DISK" in out
    # a second run does not write over what is there, unless told to
    assert main(["needs", *words, *members, "-o", str(tmp_path / "needs")]) == 1
    assert "disk0.img.domain.map exists" in capsys.readouterr().err
    assert main(["needs", "-q", "--force", *words, *members, "-o", str(tmp_path / "needs")]) == 0
    assert capsys.readouterr().out == ""
