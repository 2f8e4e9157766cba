"""`raidfs mount`, from the command line to the files on the array."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raidfs.fuse.mountpoint import find_mount
from tests.cli.mounting import CHECKOUT, Mount, is_root, mounted, raidfs
from tests.support.golden import Case, fingerprints, golden_case, golden_cases

pytestmark = pytest.mark.fuse

SIMPLE = golden_case("s-r5-la")
_READABLE = {"ext4", "xfs", "btrfs"}


def _one_of_each_kind() -> list[Case]:
    """Return a case for each file system that this kernel may know, clean and dirty."""
    chosen: dict[tuple[str, bool], Case] = {}
    for case in golden_cases(1):
        kind = case.data["created"]["fs"]
        if kind in _READABLE:
            chosen.setdefault((kind, case.is_live), case)
    return list(chosen.values())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.golden
@pytest.mark.parametrize("case", _one_of_each_kind(), ids=lambda case: case.name)
def test_the_printed_commands_work_as_they_stand(case: Case, tmp_path: Path) -> None:
    members = case.members()
    before = fingerprints(members)
    with mounted(tmp_path / "it's here", members) as mount:
        assert _hash(mount.image) == case.expected_sha256
        assert ("was not replayed" in mount.printed) == case.is_live
        if not is_root():
            assert "Only you can see into this mount" in mount.printed
            return
        files = tmp_path / "it's here-files"
        attach, end = mount.commands("To let the kernel read array.img instead:"), mount.commands("To end:")
        script = "\n".join(["set -eu", *attach, f"ls -A {shlex.quote(str(files))}", *end])
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        listed = set(done.stdout.splitlines())
        entries = {entry["path"].lstrip("/") for volume in case.volumes for entry in volume["entries"]}
        assert {entry for entry in entries if "/" not in entry} <= listed
        assert find_mount(str(mount.path)) is None
    assert fingerprints(members) == before


def test_what_is_mounted_is_what_examine_says(tmp_path: Path) -> None:
    members = SIMPLE.members()
    with mounted(tmp_path / "m", members) as mount:
        assert sorted(os.listdir(mount.path)) == ["README.txt", "array.img", "array.map", "files", "status.json"]
        status = json.loads((mount.path / "status.json").read_text())
        file_systems = status.pop("file_systems")
        assert [(each["kind"], each["journal"]) for each in file_systems] == [("ext4", "clean")]
        assert status == json.loads(raidfs("examine", "--json", *members).stdout)
        assert mount.image.stat().st_size == status["array"]["size"]
        assert os.getxattr(mount.image, "user.raidfs.health") == b"good"
        assert os.getxattr(mount.image, "user.raidfs.lost_bytes") == b"0"
        rows = [line for line in (mount.path / "array.map").read_text().splitlines() if not line.startswith("#")]
        assert rows[1:] == [f"0x00000000  0x{status['array']['size']:08X}  +"]
        readme = (mount.path / "README.txt").read_text()
        assert len(readme.splitlines()) <= 15
        for line in mount.commands("To end:"):
            assert line in readme


@pytest.fixture
def half() -> list[Path]:
    """Return half of the members: some of each stripe is lost."""
    members = SIMPLE.members()
    return members[: len(members) // 2]


def _statuses(mount: Mount) -> list[tuple[int, int, str]]:
    rows = [line.split() for line in (mount.path / "array.map").read_text().splitlines() if not line.startswith("#")]
    return [(int(start, 16), int(start, 16) + int(length, 16), status) for start, length, status in rows[1:]]


def test_what_is_lost_fails_and_is_told_of(half: list[Path], tmp_path: Path) -> None:
    with mounted(tmp_path / "m", half) as mount:
        assert "lost: see array.map" in mount.printed
        assert os.getxattr(mount.image, "user.raidfs.health") == b"lost"
        lost = [(start, stop) for start, stop, status in _statuses(mount) if status == "-"]
        assert int(os.getxattr(mount.image, "user.raidfs.lost_bytes")) == sum(stop - start for start, stop in lost) > 0
        with mount.image.open("rb", buffering=0) as file:
            for start, stop, status in _statuses(mount):
                for offset in (start, stop - 512):
                    if status == "-":
                        with pytest.raises(OSError, match="Input/output error"):
                            os.pread(file.fileno(), 512, offset)
                    else:
                        assert len(os.pread(file.fileno(), 512, offset)) == 512


def test_zeros_for_what_is_lost_on_demand(half: list[Path], tmp_path: Path) -> None:
    with mounted(tmp_path / "m", half, "-o", "zero") as mount:
        content = mount.image.read_bytes()
        lost = [(start, stop) for start, stop, status in _statuses(mount) if status == "-"]
        assert lost
        assert all(content[start:stop].count(0) == stop - start for start, stop in lost)


def test_strict_and_doubtful_go_to_the_policy(tmp_path: Path) -> None:
    case = SIMPLE
    with mounted(tmp_path / "a", case.members(), "-o", "strict,noatime") as mount:
        assert _hash(mount.image) == case.expected_sha256
    with mounted(tmp_path / "b", case.members()[1:], "-o", "doubtful,direct_io") as mount:
        assert _hash(mount.image) == case.expected_sha256
        assert os.getxattr(mount.image, "user.raidfs.health") == b"rebuilt"


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", SIMPLE.members(), "-q") as mount:
        assert mount.printed == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "raidfs", "mount", "-f", *map(str, SIMPLE.members()), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert f"is at {tmp_path}/array.img" in process.stdout.readline()
        assert find_mount(str(tmp_path)) is not None
        process.send_signal(number)
        _, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, "")
    assert find_mount(str(tmp_path)) is None


def test_the_members_stay_open_wherever_the_daemon_was_started(tmp_path: Path) -> None:
    folder = tmp_path / "members"
    folder.mkdir()
    SIMPLE.copies(folder)
    with mounted(tmp_path / "m", [folder]) as mount:
        # gone by name, not by contents
        folder.rename(tmp_path / "elsewhere")
        assert _hash(mount.image) == SIMPLE.expected_sha256


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["{mnt}"], 2, "name the members and then the mountpoint"),
        (["{member}", "{mnt}/none"], 1, "the mountpoint does not exist; make it with: mkdir -p"),
        (["{member}", "{member}"], 1, "the mountpoint must be a directory (it comes last, after the members)"),
        (["{member}", "/proc"], 1, "/proc: proc (proc) is mounted there already"),
        (["{member}", "{full}"], 1, "the mountpoint is not empty"),
        (["-o", "sloppy", "{member}", "{mnt}"], 2, "-o sloppy is not known to raidfs"),
        (["-o", "rw", "{member}", "{mnt}"], 2, "-o rw is not possible"),
        (["{text}", "{mnt}"], 1, "holds no md superblock"),
        (["{empty}", "{mnt}"], 1, "empty"),
        (["{mnt}/none", "{mnt}"], 1, "none"),
        (["{member}", "{member}", "{mnt}"], 2, "given twice"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    names = {name: tmp_path / name for name in ("mnt", "full", "text", "empty")}
    names["mnt"].mkdir()
    (names["full"] / "x").mkdir(parents=True)
    names["text"].write_text("no member\n" * 10_000)
    names["empty"].touch()
    done = raidfs("mount", *(word.format(member=SIMPLE.members()[0], **names) for word in words))
    assert sentence in done.stderr
    assert done.stderr.startswith("raidfs: ")
    assert len(done.stderr.splitlines()) == 1
    assert (done.returncode, done.stdout) == (code, "")
    assert find_mount(str(names["mnt"])) is None
