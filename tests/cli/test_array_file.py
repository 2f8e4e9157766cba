"""ARRAY.toml: written by `examine -o`, taken by every command in place of superblocks, and by hand."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from raidfs.array.description import ArrayDescription
from raidfs.array.toml import read_toml
from raidfs.array.toml_text import toml_lines
from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array, open_every_array
from raidfs.engine.health import Policy
from raidfs.errors import NoSuperblock, RaidfsError
from tests.cli.mounting import mounted
from tests.cli.test_ppl import crashed
from tests.cli.test_ppl import save as save_with_logs
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.disks import Slice, gpt_disk
from tests.support.golden import CHECKOUT, Case, fingerprints, golden_case, golden_cases
from tests.support.samples import SAMPLES, sample

CHUNK = 4096
BY_HAND = golden_case("s-r5-ra")
"""The array of which the README's example speaks."""
GROWN = golden_case("a-r5-3to4-12-64k-40")
Complaint = Callable[..., str]


def again(description: ArrayDescription) -> ArrayDescription:
    """Write and read a description."""
    declared = read_toml("\n".join(toml_lines(description)).encode(), "ARRAY.toml")
    return declared.describe({number: (member.path, 0) for number, member in enumerate(declared.members)})


def declare(folder: Path, array: Simulation) -> tuple[Path, list[Path]]:
    """Save an array and the file that `examine -o` makes of it."""
    paths = array.save(folder)
    with suppress(FileNotFoundError):
        (folder / "ARRAY.toml").unlink()
    assert main(["examine", "-q", "-o", str(folder / "ARRAY.toml"), *map(str, paths)]) in (0, 4)
    return folder / "ARRAY.toml", paths


def content_of(file: Path, *paths: Path, uuid: str | None = None) -> bytes:
    """Read an array that a file declares; no byte may be lost."""
    with open_array([str(path) for path in paths], Options(array=str(file), uuid=uuid)) as array:
        content, lost = read_exact(array.source, 0, array.description.size)
    assert not lost
    return content


def plain(seed: int = 1) -> Simulation:
    return write_array(Geometry(5, 2, 3, CHUNK), 16 * CHUNK, data_offset=65536, seed=seed)


def wipe(path: Path) -> None:
    """Overwrite whatever superblock lies in the first 64 KiB."""
    with path.open("r+b") as file:
        file.write(bytes(65536))


def complaint(capsys: pytest.CaptureFixture[str], code: int, *words: str | Path) -> str:
    """Run a command that must fail; return its one sentence."""
    assert main([str(word) for word in words]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("raidfs: ")
    assert said.err.count("\n") == 1
    return said.err


NOT_YET = frozenset(
    f"e-{name}"
    for name in [
        *("ddf-r10", "ddf-r5", "ddf-r5-degraded", "ddf-r6"),
        *("imsm-r0", "imsm-r0-2to3", "imsm-r10", "imsm-r5", "imsm-r5-3to4", "imsm-r5-chunk", "imsm-two-volumes"),
    ]
)
"""Cases that have no superblock of md's own."""


@pytest.mark.golden
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.name)
def test_every_real_array_is_the_same_after_it_was_written(case: Case) -> None:
    paths = [str(path) for path in case.members()]
    if case.name in NOT_YET:
        with pytest.raises(NoSuperblock), open_every_array(paths):
            pass
        return
    with open_every_array(paths) as arrays:
        assert len(arrays) > len(case.data.get("extra_arrays") or ())
        for array in arrays:
            assert again(array.recorded) == array.recorded
            assert again(array.description) == array.description


@pytest.mark.parametrize("name", SAMPLES)
def test_simulated_arrays_are_read_alike(name: str, tmp_path: Path) -> None:
    file, paths = declare(tmp_path, sample(name))
    with open_array([str(path) for path in paths]) as there, open_array([], Options(array=str(file))) as here:
        assert here.description == there.description
        assert here.account() == there.account()
        assert read_exact(here.source, 0, here.description.size) == read_exact(there.source, 0, there.description.size)


def example() -> str:
    """The example of the README."""
    text = (CHECKOUT / "README.md").read_text()
    _, _, section = text.partition("### An array declared by hand\n")
    found = re.search(r"\n\n((?:    .*\n|\n)+)", section)
    assert found is not None
    return "".join(line.removeprefix("    ") for line in found[1].splitlines(keepends=True))


@pytest.mark.golden
def test_the_example_of_the_readme_is_read_without_superblocks(tmp_path: Path) -> None:
    members = BY_HAND.copies(tmp_path)
    for member in members:
        with member.open("r+b") as file:
            file.write(bytes(1 << 20))
    assert main(["examine", *map(str, members)]) == 1
    (tmp_path / "array.toml").write_text(example())
    assert 9 <= len(example().split("\n")) <= 16
    assert main(["export", "-q", "--array", str(tmp_path / "array.toml"), str(tmp_path / "image")]) == 0
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == BY_HAND.expected_sha256


@pytest.mark.golden
@pytest.mark.fuse
def test_the_example_of_the_readme_mounts(tmp_path: Path) -> None:
    members = BY_HAND.copies(tmp_path)
    before = fingerprints(members)
    (tmp_path / "array.toml").write_text(example())
    with mounted(tmp_path / "mnt", [], "--array", str(tmp_path / "array.toml")) as mount:
        assert hashlib.sha256(mount.image.read_bytes()).hexdigest() == BY_HAND.expected_sha256
    assert fingerprints(members) == before


@pytest.mark.golden
def test_every_command_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here those that need no mountpoint; the one that does is above."""
    members = GROWN.copies(tmp_path)
    file = tmp_path / "kept.toml"
    assert main(["examine", "-q", "-o", str(file), *map(str, members[1:])]) == 0
    for member in members:
        wipe(member)
    capsys.readouterr()
    given = ["--array", str(file)]
    assert main(["examine", *given]) == 0
    assert f"raidfs mount --array {file} /mnt/rescue" in capsys.readouterr().out
    assert main(["export", "-q", *given, str(tmp_path / "image")]) == 0
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == GROWN.expected_sha256
    assert main(["verify", *given, "-q"]) == 0
    assert main(["explain", *given, "--at", "1M", "--json"]) == 0
    assert str(members[1].parent) in capsys.readouterr().out
    assert main(["needs", *given, "-o", str(tmp_path / "needs")]) == 0
    assert main(["examine", *given, "-q", "-o", str(tmp_path / "again.toml")]) == 0
    assert (tmp_path / "again.toml").read_text() == file.read_text()


def test_a_file_is_one_array_where_every_array_is_asked_for(tmp_path: Path) -> None:
    file, _ = declare(tmp_path, plain())
    with open_every_array([], Options(array=str(file))) as arrays:
        assert [array.description.size for array in arrays] == [2 * 16 * CHUNK]


def test_what_is_written_by_hand_counts_not_the_superblocks(tmp_path: Path) -> None:
    array = plain()
    file, _ = declare(tmp_path, array)
    other = file.read_text().replace("left-symmetric", "right-symmetric")
    (tmp_path / "other.toml").write_text(other)
    assert content_of(file) == array.truth
    assert content_of(tmp_path / "other.toml") != array.truth
    with open_array([], Options(array=str(tmp_path / "other.toml"))) as opened:
        assert opened.description.shape.layout == "right-symmetric"
        assert any("the file counts" in finding.message for finding in opened.findings)
        assert opened.superblocks == {}


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = plain()
    (tmp_path / "images").mkdir()
    (tmp_path / "kept").mkdir()
    array.save(tmp_path / "images")
    monkeypatch.chdir(tmp_path / "images")
    assert (
        main(["examine", "-q", "-o", "../kept/a.toml", "disk0.img", "disk1.img", str(tmp_path / "images/disk2.img")])
        == 0
    )
    text = (tmp_path / "kept" / "a.toml").read_text()
    assert re.findall(r'^path = "(.*)"', text, flags=re.MULTILINE) == [
        "../images/disk0.img",
        "../images/disk1.img",
        str(tmp_path / "images/disk2.img"),
    ]
    monkeypatch.chdir(tmp_path)
    assert content_of(Path("kept/a.toml")) == array.truth


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    array = plain()
    for path in array.save(tmp_path):
        os.rename(os.fsencode(path), os.fsencode(path) + b"\xff")
    paths = sorted(str(path) for path in tmp_path.iterdir())
    assert main(["examine", "-q", "-o", str(tmp_path / "a.toml"), *paths]) == 0
    assert "hex" in (tmp_path / "a.toml").read_text()
    assert content_of(tmp_path / "a.toml") == array.truth


def test_members_in_partitions(tmp_path: Path) -> None:
    array = plain()
    disks = []
    for path in array.save(tmp_path):
        part = path.read_bytes()
        path.unlink()
        disks.append(tmp_path / f"sd{path.name}")
        disks[-1].write_bytes(gpt_disk([Slice(64, len(part) // 512, part)], len(part) // 512 + 128))
    file = tmp_path / "a.toml"
    assert main(["examine", "-q", "-o", str(file), *map(str, disks)]) == 0
    assert 'sddisk1.img#1"' in file.read_text()
    assert content_of(file) == array.truth
    assert content_of(file, *reversed(disks)) == array.truth
    file.write_text(file.read_text().replace("disk2.img#1", "disk2.img#3"))
    line = file.read_text()[: file.read_text().index("disk2.img#3")].count("\n")
    with pytest.raises(RaidfsError, match=rf"a.toml, line {line}: .*sddisk2.img has no partition 3; it has 1$"):
        content_of(file)


def test_images_beside_a_file_are_matched_by_name(tmp_path: Path) -> None:
    array = plain()
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    file, paths = declare(tmp_path / "old", array)
    moved = [path.rename(tmp_path / "new" / path.name) for path in paths]
    assert content_of(file, *reversed(moved)) == array.truth
    with open_array([str(path) for path in [*moved[:2], file]], Options(array=str(file))) as opened:
        assert sorted(opened.description.serving) == [0, 1]
        assert opened.findings == tuple(each for each in opened.findings if "no image serves role 2" in each.message)
    other = tmp_path / "new" / "notes.txt"
    other.write_text("call back")
    with open_array([str(path) for path in [*moved, other]], Options(array=str(file))) as opened:
        assert any("notes.txt is none of the members" in finding.message for finding in opened.findings)


def test_images_of_other_names_are_taken_in_the_order_of_the_roles_and_that_is_said(tmp_path: Path) -> None:
    array = plain()
    file, paths = declare(tmp_path, array)
    moved = [path.rename(tmp_path / f"copy-{name}") for path, name in zip(paths, "zya", strict=True)]
    assert content_of(file, *moved) == array.truth
    assert content_of(file, moved[0], moved[2], moved[1]) != array.truth
    with open_array([str(path) for path in moved], Options(array=str(file))) as opened:
        told = [finding.message for finding in opened.findings if "by the order of the roles" in finding.message]
    assert [text.split(" is taken for role ")[1][0] for text in told] == ["0", "1", "2"]
    with pytest.raises(RaidfsError, match=r"nothing tells which member is which of .*copy-z, .*copy-y: 3 members"):
        content_of(file, *moved[:2])


def test_logs_count_where_superblocks_tell_of_them(tmp_path: Path) -> None:
    """The parity that partial parity logs settle is used as without the file; without superblocks it is unproven."""
    array, entries = crashed(0b0101)
    paths = save_with_logs(array, entries, tmp_path, 0)
    file = tmp_path / "a.toml"
    assert main(["examine", "-q", "-o", str(file), *paths]) == 0
    strict = Policy(strict=True)
    with (
        open_array(paths, Options(policy=strict)) as there,
        open_array([], Options(array=str(file), policy=strict)) as here,
    ):
        assert here.account() == there.account()
        assert here.account().rebuilt > 0
        assert read_exact(here.source, 0, array.size) == read_exact(there.source, 0, array.size)
    for path in paths:
        wipe(Path(path))
    with open_array([], Options(array=str(file))) as here:
        assert here.account().rebuilt == 0 < here.account().unproven


def test_the_shared_options_count(tmp_path: Path) -> None:
    array = plain()
    file, paths = declare(tmp_path, array)
    (tmp_path / "disk1.map").write_text("0 + 1\n0 0x10000 +\n0x10000 0x1000 -\n0x11000 0x1000000 +\n")
    with open_array([], Options(array=str(file))) as opened:
        assert opened.account().rebuilt == 4096
    with open_array([], Options(array=str(file), no_mapfiles=True, exclude=(str(paths[2]),))) as opened:
        assert opened.description.missing_roles == (2,)
    with open_array([], Options(array=str(file), uuid=array.array_uuid.hex())) as opened:
        assert opened.description.missing_roles == ()
    with pytest.raises(RaidfsError, match=r"declares the array .*, not 'other'"):
        content_of(file, uuid="other")


def test_bad_block_lists_of_a_file(tmp_path: Path) -> None:
    file, _ = declare(tmp_path, plain())
    file.write_text(file.read_text().replace("role = 1", 'role = 1\nbad_blocks = [["64K", "72K"]]'))
    with open_array([], Options(array=str(file))) as opened:
        assert opened.account().rebuilt > 0
    with open_array([], Options(array=str(file), ignore_bad_block_log=True)) as opened:
        assert opened.account().rebuilt == 0
        assert any("ignored as asked" in finding.message for finding in opened.findings)


def test_files_are_never_replaced_unasked_and_members_never(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, paths = declare(tmp_path, plain())
    other = tmp_path / "other"
    other.mkdir()
    foreign = plain(seed=9).save(other)[0]
    before = fingerprints([*paths, foreign])
    assert "exists" in complaint(capsys, 1, "examine", "-o", file, *paths)
    assert main(["examine", "-q", "--force", "-o", str(file), *map(str, paths)]) == 0
    assert "is one of the members" in complaint(capsys, 1, "examine", "--force", "-o", paths[0], *paths)
    assert "is one of the members" in complaint(capsys, 1, "examine", "--force", "-o", paths[0], "--array", file)
    assert "is a member of an array" in complaint(capsys, 1, "examine", "--force", "-o", foreign, *paths)
    assert "folder does not exist" in complaint(capsys, 1, "examine", "-o", tmp_path / "no" / "a.toml", *paths)
    assert fingerprints([*paths, foreign]) == before


def test_bad_files_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, paths = declare(tmp_path, plain())
    text = file.read_text()
    assert "ARRAY.toml cannot be read: No such file" in complaint(capsys, 1, "examine", "--array", "no/ARRAY.toml")
    assert "is no regular file" in complaint(capsys, 1, "examine", "--array", tmp_path)
    assert "this is no UTF-8" in complaint(capsys, 1, "examine", "--array", paths[0])
    twice = tmp_path / "twice.toml"
    twice.write_text(text.replace("disk1.img", "disk0.img"))
    line = text[: text.index("disk1.img")].count("\n")
    assert f"twice.toml, line {line}: {paths[0]} is another member already" in complaint(
        capsys, 1, "examine", "--array", twice
    )
    paths[1].unlink()
    said = complaint(capsys, 1, "export", "--array", file, tmp_path / "image")
    assert said.startswith(f"raidfs: {file}, line {line}: there is no {paths[1]}; correct the path, or take")
    assert "name the members and then the image" in complaint(capsys, 2, "export", "--array", file)
    assert "name at least one MEMBER" in complaint(capsys, 2, "examine")


def test_members_that_are_set_apart_need_not_be_there(tmp_path: Path) -> None:
    array = plain()
    file, _ = declare(tmp_path, array)
    spare = '\n[[member]]\npath = "gone.img"\nstate = "spare"\ndata_offset = 0\n'
    file.write_text(file.read_text() + spare)
    assert content_of(file) == array.truth
    file.write_text(file.read_text().replace('"spare"', '"journal"'))
    with open_array([], Options(array=str(file))) as opened:
        assert opened.account().doubtful == array.size  # it may hold what is newer than the members
    past = spare.replace('"spare"', '"stale"\nrole = 1') + "past = { held = [[0, 4096]] }\n"
    file.write_text(file.read_text().partition('\n[[member]]\npath = "gone')[0] + past)
    with open_array([], Options(array=str(file))) as opened:
        assert any("gone.img is not there; what it still held is not used" in each.message for each in opened.findings)


def test_json_of_an_array_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = plain()
    array.save(tmp_path)
    members = "".join(f'[[member]]\npath = "disk{role}.img"\nrole = {role}\ndata_offset = "64K"\n' for role in range(3))
    shape = 'shape = { level = "raid5", layout = "left-symmetric", chunk_size = "4K", raid_disks = 3 }\n'
    (tmp_path / "a.toml").write_text(shape + members)
    assert main(["examine", "--json", "--array", str(tmp_path / "a.toml")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["array"]["size"] >= array.size
    assert any("does not give component_size" in finding["message"] for finding in said["findings"])
