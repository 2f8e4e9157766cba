"""Read errors that were met are kept where that was asked for, and heeded by the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.learned import LearnedDamage
from raidfs.cli.session import open_array
from raidfs.errors import BadMapfile, UsageError
from raidfs.extents import Extents
from raidfs.image.ddrescue import Status, parse_mapfile
from raidfs.image.isolate import Budget
from raidfs.image.raw import RawImage
from tests.support.cli import mounted, raidfs
from tests.support.damaged import FailingReads
from tests.support.faulty import faulty_members
from tests.support.golden import golden_case

CASE = golden_case("s-r5-la")
BAD = Extents([(2_113_536, 2_114_048), (3 << 20, (3 << 20) + 1536)])
"""In chunks of data: parity that nobody needs is not read."""
SIZE = 40 * 512


def image_at(path: Path, bad: Extents = Extents(), n_failures: int = 100) -> RawImage:
    """Open a small image that fails."""
    path.write_bytes(bytes(SIZE))
    image = RawImage(str(path), FailingReads(bad), budget=Budget(n_failures))
    read_exact(image, 0, SIZE)
    return image


def saved(folder: Path, name: str = "disk.img") -> dict[Status, Extents]:
    """Return what a file of the folder says is unreadable."""
    file = folder / f"{name}.map"
    return parse_mapfile(file.read_bytes(), str(file)).unreadable(SIZE)


def test_what_was_isolated_and_what_was_not_is_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "here"
    with image_at(tmp_path / "disk.img", Extents([(512, 1024)])) as image:
        LearnedDamage(str(folder), {image.path: image}).save()
    assert saved(folder) == {Status.BAD: Extents([(512, 1024)])}
    with image_at(tmp_path / "disk.img", Extents([(0, 512), (2048, 2560)]), n_failures=2) as image:
        damage = LearnedDamage(str(folder), {image.path: image})
        assert [each.extents for each in damage.told(image.path)] == [Extents([(512, 1024)])]
        assert "delete it to have them tried once more" in damage.findings()[0].message
        damage.save()
    both = saved(folder)
    assert both[Status.BAD] == Extents([(512, 1024)])
    assert both[Status.NOT_TRIMMED] == Extents([(0, 512), (1024, SIZE)])
    assert [path.name for path in folder.iterdir()] == ["disk.img.map"]


def test_nothing_is_written_where_nothing_was_learned(tmp_path: Path) -> None:
    with image_at(tmp_path / "disk.img") as image:
        damage = LearnedDamage(str(tmp_path / "kept"), {image.path: image})
        assert damage.findings() == []
        damage.save()
    assert list((tmp_path / "kept").iterdir()) == []


def test_what_a_map_says_is_not_kept_as_learned(tmp_path: Path) -> None:
    with image_at(tmp_path / "disk.img", Extents([(512, 1024)])) as image:
        image.declare_lost(Extents([(4096, 8192)]))
        LearnedDamage(str(tmp_path / "kept"), {image.path: image}).save()
    assert saved(tmp_path / "kept") == {Status.BAD: Extents([(512, 1024)])}


def test_a_map_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "disk.img.map"
    theirs.write_text(f"# Mapfile. Created by GNU ddrescue version 1.27\n0 + 1\n0 {SIZE} +\n")
    with image_at(tmp_path / "disk.img", Extents([(0, 512)])) as image:
        with pytest.raises(BadMapfile, match=r"disk.img.map was not written by raidfs .* name another folder"):
            LearnedDamage(str(tmp_path), {image.path: image})
        theirs.write_bytes(b"\0" * 100)
        with pytest.raises(BadMapfile, match="no ddrescue map"):
            LearnedDamage(str(tmp_path), {image.path: image})


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with (
        image_at(tmp_path / "a" / "disk.img") as one,
        image_at(tmp_path / "b" / "disk.img") as other,
        pytest.raises(UsageError, match=r"would share .*kept/disk\.img\.map; name them through links"),
    ):
        LearnedDamage(str(tmp_path / "kept"), {one.path: one, other.path: other})


@pytest.mark.golden
def test_a_member_that_fails_too_often_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    first = str(CASE.members()[0])
    budgets = {first: Budget(n_failures=0)}
    monkeypatch.setattr("raidfs.cli.opening.open_image", lambda path: RawImage(path, budget=budgets.get(path)))
    with open_array([str(path) for path in CASE.members()]) as array:
        (message,) = [each.message for each in array.findings if each.subject == first]
    assert message.startswith(f"{first} fails too often or for too long")
    assert "ddrescue" in message


@pytest.mark.golden
def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    words = [*map(str, CASE.members()), str(tmp_path / "array.img")]
    assert main(["export", "--learned", str(tmp_path / "file"), *words]) == 1
    assert "cannot make the folder" in capsys.readouterr().err
    assert not (tmp_path / "array.img").exists()


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[list[Path]]:
    """Mount members of which the second one has bad sectors."""
    members = CASE.members()
    bad = {path: BAD if path is members[1] else Extents() for path in members}
    with faulty_members(tmp_path / "faulty", bad) as found:
        yield found


def damage_of(text: str, name: str) -> dict[str, int]:
    """Return the bytes by reason of a member, out of JSON."""
    (member,) = [each for each in json.loads(text)["members"] if Path(each["path"]).name == name]
    return {each["reason"]: each["bytes"] for each in member["damage"]}


@pytest.mark.fuse
@pytest.mark.golden
def test_an_export_keeps_what_it_met(faulty: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, kept = tmp_path / "array.img", tmp_path / "kept"
    done = raidfs("export", "--json", "--learned", kept, *faulty, image)
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.sha256(image.read_bytes()).hexdigest() == CASE.expected_sha256
    assert damage_of(done.stdout, faulty[1].name) == {"could not be read": BAD.total}
    written = parse_mapfile((kept / f"{faulty[1].name}.map").read_bytes(), "map")
    assert written.unreadable(faulty[1].stat().st_size) == {Status.BAD: BAD}
    assert len(list(kept.iterdir())) == 1
    # the same members, whole: what was learned is heeded all the same, and by everybody
    assert main(["examine", "--json", "--learned", str(kept), *map(str, CASE.members())]) == 0
    told = damage_of(capsys.readouterr().out, faulty[1].name)
    assert told == {f"bad sector (-) in the map {kept / faulty[1].name}.map": BAD.total}
    assert main(["examine", "--learned", str(kept), *map(str, CASE.members())]) == 0
    assert f"mount --learned {kept}" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.fuse
@pytest.mark.golden
def test_a_mount_keeps_what_it_met_when_it_ends(faulty: list[Path], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with mounted(faulty, tmp_path / "tree", "--learned", kept) as tree:
        assert hashlib.sha256((tree / "array.img").read_bytes()).hexdigest() == CASE.expected_sha256
        status = (tree / "status.json").read_text()
        assert damage_of(status, faulty[1].name) == {"could not be read": BAD.total}
        assert any("could not be read" in each["message"] for each in json.loads(status)["findings"])
    written = parse_mapfile((kept / f"{faulty[1].name}.map").read_bytes(), "map")
    assert written.unreadable(faulty[1].stat().st_size) == {Status.BAD: BAD}
