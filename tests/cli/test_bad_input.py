"""Bad input: one clear sentence on standard error, the right exit code, never a traceback."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raidfs.cli import main
from tests.support.golden import golden_case

pytestmark = pytest.mark.golden
GROWN = golden_case("a-r5-3to4-12-64k-40")
OTHER = golden_case("s-r5-la")
Complaint = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complaint:
    """Run a command that must fail; return its one sentence."""

    def run(code: int, *words: str | Path) -> str:
        assert main([str(word) for word in words]) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("raidfs: ")
        assert "Traceback" not in said.err
        return said.err

    return run


@pytest.mark.parametrize("command", [["examine"], ["explain", "--at", "0"]])
def test_files_that_are_no_members(complaint: Complaint, command: list[str], tmp_path: Path) -> None:
    text, empty = tmp_path / "notes.txt", tmp_path / "empty.img"
    text.write_text("call the customer back\n")
    empty.touch()
    assert "holds no md superblock" in complaint(1, *command, text)
    assert "empty" in complaint(1, *command, empty)
    assert "none of the 2 images" in complaint(1, *command, text, empty)
    assert "cannot be opened" in complaint(1, *command, tmp_path / "missing.img")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "holds no file" in complaint(2, *command, folder)


def test_members_of_two_arrays_are_listed_and_uuid_chooses(
    complaint: Complaint, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = [*GROWN.members(), *OTHER.members()[:2]]
    said = complaint(1, "examine", *mixed)
    assert "members of 2 arrays; choose one with --uuid" in said
    uuids = [line.split()[0] for line in said.splitlines()[1:]]
    assert len(uuids) == 2
    assert main(["examine", "--uuid", uuids[0], *map(str, mixed)]) == 0
    assert "belongs to another array" in capsys.readouterr().out
    assert "no array here has the uuid or name" in complaint(1, "examine", "--uuid", "nonsense", *mixed)


def test_the_same_image_twice(complaint: Complaint, tmp_path: Path) -> None:
    first, second, *_ = GROWN.members()
    link = tmp_path / "link.img"
    link.symlink_to(first)
    assert "is given twice" in complaint(2, "examine", first, second, first)
    assert f"(also as {first})" in complaint(2, "examine", first, second, link)


def test_a_truncated_image_is_said_and_rebuilt_around(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = GROWN.copies(tmp_path)
    with members[1].open("r+b") as file:
        file.truncate(10_000_000)
    assert main(["examine", *map(str, members)]) == 0
    text = capsys.readouterr().out
    assert "10000000 bytes: it was cut" in text
    assert "rebuilt from parity" in text


def test_a_wrong_command_line(complaint: Complaint, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name the members and then the image" in complaint(2, "export", GROWN.members()[0])
    assert "is no size" in complaint(2, "explain", GROWN.members()[0], "--at", "12 parsecs")
    for words in ([], ["examine"], ["frobnicate"], ["explain", "x"]):
        assert main(words) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_every_member_excluded(complaint: Complaint) -> None:
    first = GROWN.members()[0]
    assert "leave at least one" in complaint(2, "examine", "--exclude", first, first)


def test_a_level_that_is_not_read_is_named(complaint: Complaint, tmp_path: Path) -> None:
    image = OTHER.copies(tmp_path)[0]
    raw = bytearray(image.read_bytes())
    at = next(at for at in range(len(raw) - 4096, 0, -4096) if raw[at : at + 4] == b"\xfc\x4e\x2b\xa9")
    raw[at + 72 : at + 76] = (-4).to_bytes(4, "little", signed=True)
    raw[at + 216 : at + 220] = bytes(4)
    n_roles = int.from_bytes(raw[at + 220 : at + 224], "little")
    covered = raw[at : at + 256 + 2 * n_roles]
    total = sum(int.from_bytes(covered[i : i + 4], "little") for i in range(0, len(covered), 4))
    raw[at + 216 : at + 220] = ((total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF).to_bytes(4, "little")
    image.write_bytes(raw)
    said = complaint(1, "examine", image)
    assert "level is -4 (multipath)" in said
    assert str(image) in said


def test_an_exclude_that_names_no_member_is_refused_and_spelling_does_not_matter(
    complaint: Complaint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = members = GROWN.members()
    assert "none of the members" in complaint(2, "examine", "--exclude", "missing.img", *members)
    assert "none of the members" in complaint(2, "examine", "--exclude", OTHER.members()[0], *members)
    monkeypatch.chdir(first.parent)
    assert main(["examine", "--exclude", first.name, *map(str, members)]) == 0
    assert "no image serves role 0" in capsys.readouterr().out


def test_old_metadata_at_the_end_of_disk_and_partition_belong_to_the_partition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, start = golden_case("s-r5-rs"), 2048 * 512
    disks = []
    for member in case.members():
        size = member.stat().st_size
        table = bytes([0x80, 0, 0, 0, 0xFD, 0, 0, 0]) + struct.pack("<II", 2048, size // 512)
        disk = tmp_path / member.name
        disk.write_bytes(bytes(446) + table + bytes(48) + b"\x55\xaa" + bytes(start - 512) + member.read_bytes())
        disks.append(str(disk))
    assert main(["examine", *disks]) == 0
    assert f"{disks[0]}#1" in capsys.readouterr().out
    assert main(["export", *disks, str(tmp_path / "image")]) == 0
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == case.expected_sha256


def test_a_damaged_superblock_with_impossible_offsets_costs_one_member(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = GROWN.copies(tmp_path)
    for at in (4096 + 135, 4096 + 127):  # the high bytes of data_offset and new_offset
        with members[1].open("r+b") as file:
            file.seek(at)
            old = file.read(1)
            file.seek(at)
            file.write(bytes([old[0] ^ 0x40]))
        assert main(["examine", *map(str, members)]) == 0
        assert "rebuilt from parity" in capsys.readouterr().out


def test_a_full_standard_output_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "raidfs", "examine", *map(str, GROWN.members())]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot write to the standard output" in done.stderr


def test_names_with_control_characters_do_not_break_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = GROWN.copies(tmp_path)
    odd = members[0].rename(tmp_path / "disk\n0\x1b.img")
    assert main(["examine", str(odd), *map(str, members[1:])]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 20
    assert "disk\\x0a0\\x1b.img" in text
