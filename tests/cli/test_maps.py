"""ddrescue maps of members: which are used, what they say, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.cli import main
from raidfs.cli.maps import assign_mapfiles, is_mapfile_name, without_maps
from raidfs.errors import UsageError
from raidfs.extents import Extents
from raidfs.output import SparseImage
from tests.support.damaged import write_map
from tests.support.golden import golden_case

pytestmark = pytest.mark.golden
CASE = golden_case("s-r5-la")
BAD = Extents([(2_000_000 // 512 * 512, 2_000_000 // 512 * 512 + 1024), (3 << 20, (3 << 20) + 512)])


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    """Return images in a folder of their own, into which maps may be put."""
    return CASE.copies(tmp_path)


def map_of(path: Path, name: Path | str, bad: Extents = BAD, statuses: str = "-*") -> Path:
    """Write a map for an image."""
    written = Path(name) if isinstance(name, Path) else path.parent / name
    write_map(written, path.stat().st_size, bad, statuses)
    return written


def examined(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """Run `examine --json`."""
    assert main(["examine", "--json", *map(str, words)]) in (0, 4)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def about(said: dict[str, Any], word: str) -> list[tuple[str, str]]:
    """Return the findings that hold a word."""
    return [(each["severity"], each["message"]) for each in said["findings"] if word in each["message"]]


def damage(said: dict[str, Any], path: Path) -> dict[str, int]:
    """Return the bytes by reason of one member."""
    (member,) = [each for each in said["members"] if each["path"] == str(path)]
    return {each["reason"]: each["bytes"] for each in member["damage"]}


@pytest.mark.parametrize("name", ["disk1.img.map", "disk1.img.mapfile", "disk1.map", "disk1.mapfile"])
def test_a_map_beside_an_image_is_used_and_said_so(
    name: str, members: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert members[1].name == "disk1.img"
    found = map_of(members[1], name)
    said = examined(capsys, *members)
    assert damage(said, members[1]) == {
        f"bad sector (-) in the map {found}": 1024,
        f"failed, not trimmed (*) in the map {found}": 512,
    }
    ((severity, message),) = about(said, "ddrescue map")
    assert severity == "warning"
    assert message.startswith(f"the ddrescue map {found}, beside the image, is used; not read because of it: ")
    assert 0 < said["account"]["rebuilt"] <= 1536
    assert damage(said, members[0]) == {}
    assert examined(capsys, "--no-mapfiles", *members)["account"]["rebuilt"] == 0


def test_a_map_without_damage_is_a_note(members: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = map_of(members[0], "disk0.img.map", Extents())
    said = examined(capsys, *members)
    text = f"the ddrescue map {found}, beside the image, is used; it calls everything finished"
    assert about(said, "ddrescue map") == [("note", text)]
    assert said["account"]["good"] == CASE.array_size


def test_a_map_that_was_named_is_used_instead_of_that_beside(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    map_of(members[1], "disk1.img.map", Extents.span(0, 1 << 20))
    named = map_of(members[1], tmp_path / "other=place.log", Extents.span(4 << 20, (4 << 20) + 512), "?")
    said = examined(capsys, *members, "--mapfile", f"{members[1]}={named}")
    assert damage(said, members[1]) == {f"not tried (?) in the map {named}": 512}
    assert main(["examine", *map(str, members), "--mapfile", f"{members[1]}={named}", "--no-mapfiles"]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    assert f"--mapfile {members[1]}={named} --no-mapfiles" in command


def test_of_a_folder_maps_are_no_members(members: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    map_of(members[1], "disk1.img.map")
    (members[0].parent / "unrelated.mapfile").write_text("no map\n")
    said = examined(capsys, members[0].parent)
    assert said["account"]["rebuilt"] > 0
    assert about(said, "no md superblock") == []
    assert about(examined(capsys, *sorted(members[0].parent.glob("disk1*")), *members[2:]), "superblock") == []


def test_a_file_beside_an_image_that_is_no_map_is_ignored_and_said_so(
    members: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (members[1].parent / "disk1.map").write_text("from the airport to the hotel\n")
    said = examined(capsys, *members)
    ((severity, message),) = about(said, "no ddrescue map")
    assert severity == "warning"
    assert "line 1 is 'from the airport to the hotel'" in message
    assert message.endswith(f"it lies beside {members[1]} and is ignored")
    assert said["account"]["good"] == CASE.array_size


def test_a_damaged_map_beside_an_image_is_not_passed_over(
    members: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = map_of(members[1], "disk1.img.map")
    found.write_text(found.read_text()[:-5])
    assert main(["examine", *map(str, members)]) == 1
    said = capsys.readouterr().err
    assert f"raidfs: {found}, line " in said
    assert "--no-mapfiles" in said
    assert said.count("\n") == 1
    assert main(["examine", "-q", "--no-mapfiles", *map(str, members)]) == 0
    found.write_text("")
    assert main(["examine", *map(str, members)]) == 1
    assert f"{found} is no whole ddrescue map: it is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "code", "sentence"),
    [
        ("{member}={folder}/none", 1, "none cannot be read: No such file or directory"),
        ("{member}={folder}", 1, "is no ddrescue map: it is no regular file"),
        ("{member}={member}", 1, "is no ddrescue map"),
        ("{folder}/none.img={member}", 2, "none of the members is {folder}/none.img"),
        ("{member}", 2, "write MEMBER=FILE"),
        ("{member}=", 2, "write MEMBER=FILE"),
        ("={member}", 2, "write MEMBER=FILE"),
    ],
)
def test_a_map_that_was_named_has_to_be_one(
    word: str, code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = CASE.members()
    names = {"member": str(members[0]), "folder": str(tmp_path)}
    assert main(["examine", *map(str, members), "--mapfile", word.format(**names)]) == code
    said = capsys.readouterr()
    assert sentence.format(**names) in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


def test_a_map_that_does_not_fit_its_image(members: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    size = members[1].stat().st_size
    write_map(members[1].parent / "disk1.img.map", size - 4096, Extents())
    said = examined(capsys, *members)
    assert list(damage(said, members[1]).values()) == [4096]
    write_map(members[1].parent / "disk1.img.map", size + 4096, Extents())
    said = examined(capsys, *members)
    ((severity, message),) = about(said, "which the image does not hold")
    assert severity == "warning"
    assert f"from {size} to {size + 4096}" in message


def test_a_superblock_in_sectors_that_a_map_calls_bad_is_not_believed(
    members: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    told = re.search(r"Super Offset : (\d+) sectors", CASE.examine_text)
    assert told is not None
    at = int(told[1]) * 512
    map_of(members[1], "disk1.img.map", Extents.span(at, at + 512))
    said = examined(capsys, *members)
    assert [Path(each["path"]).name for each in said["members"]] == ["disk0.img", "disk2.img", "disk3.img"]
    assert said["array"]["missing_roles"]
    assert about(said, "unreadable where a superblock")


def test_explain_tells_the_status_and_the_map(members: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    offset = examined(capsys, *members)["members"][0]["data_offset"]
    found = map_of(members[0], "disk0.img.map", Extents.span(offset, offset + 512), "/")
    assert main(["explain", "--json", *map(str, members), "--at", "0"]) == 0
    place = json.loads(capsys.readouterr().out)["own"]
    assert place["flaws"] == [f"failed, not scraped (/) in the map {found}"]


def test_a_map_that_may_be_that_of_two_images_is_left_to_the_user(
    members: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = members[1].with_suffix(".dd")
    members[2].rename(other)
    map_of(members[1], "disk1.map")
    said = examined(capsys, members[0], members[1], other, *members[3:])
    assert {severity for severity, _ in about(said, "may be the ddrescue map of several images")} == {"warning"}
    assert said["account"]["rebuilt"] == 0


def test_an_export_goes_on_only_under_the_same_maps(
    members: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = members[0].parent / "out" / "array.img"
    target.parent.mkdir()
    for path in members[:2]:
        map_of(path, f"{path.name}.map", Extents.span(2 << 20, 3 << 20))
    words = ["export", "-q", *map(str, members), str(target)]
    append = SparseImage.append

    def append_and_stop(image: SparseImage, data: NDArray[np.uint8]) -> None:
        append(image, data)
        if image.done > 8 << 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SparseImage, "append", append_and_stop)
        assert main(words) == 1
    assert "run the same command again to go on" in capsys.readouterr().err
    holes = target.read_bytes()
    assert main([*words, "--no-mapfiles"]) == 1  # what is a hole by now would be called served
    assert "unfinished export of other members or with other options" in capsys.readouterr().err
    assert target.read_bytes() == holes
    assert main(words) == 4
    assert main([*words, "--no-mapfiles", "--force"]) == 0


def test_members_and_maps_are_found_in_any_spelling(tmp_path: Path) -> None:
    image = tmp_path / "a=b.img"
    image.touch()
    path = str(image)
    assert assign_mapfiles([f"{path}=x=y"], [path]) == {path: ["x=y"]}
    assert assign_mapfiles([f"{tmp_path}/./a=b.img=x", f"{path}=y"], [path]) == {path: ["x", "y"]}
    with pytest.raises(UsageError, match="none of the members is"):
        assign_mapfiles(["b=c"], [path])
    assert without_maps(["d.img", "d.img.map", "d.mapfile", "e.map", "d.img.map.img"]) == [
        "d.img",
        "e.map",
        "d.img.map.img",
    ]
    assert [is_mapfile_name(name) for name in ("a.map", "a.mapfile", "map", "a.img")] == [True, True, False, False]
