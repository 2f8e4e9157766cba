"""No command ever opens a member for writing, maps it, or does anything to it but read: seen from the kernel's side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from raidfs.cli import COMMANDS
from raidfs.extents import Extents
from tests.support.cli import TIMEOUT, Word, raidfs, run
from tests.support.faulty import faulty_members
from tests.support.golden import fingerprints, golden_case
from tests.support.trace import Trace, read_trace, under_strace

pytestmark = pytest.mark.golden

CASE = "a-r5-3to4-12-64k-40"
RAIDFS = (sys.executable, "-m", "raidfs")


def trace(folder: Path, members: list[Path], *command: Word) -> Trace:
    """Run a command to its end under strace, and judge what it did."""
    done = subprocess.run(
        under_strace(folder, command), capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return read_trace(folder, members)


def trace_examine(folder: Path, members: list[Path]) -> Trace:
    return trace(folder, members, *RAIDFS, "examine", "-v", *members)


def trace_explain(folder: Path, members: list[Path]) -> Trace:
    return trace(folder, members, *RAIDFS, "explain", "--at", "1M", *members)


def trace_export(folder: Path, members: list[Path]) -> Trace:
    return trace(folder, members, *RAIDFS, "export", "--map", folder / "map", *members, folder / "image")


def trace_mount(folder: Path, members: list[Path]) -> Trace:
    """Trace the daemon while its tree is read from end to end, and until it has ended."""
    tree = folder / "tree"
    tree.mkdir()
    command = under_strace(folder, [*RAIDFS, "mount", *members, tree])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline()  # printed once the tree can be read
        assert (tree / "status.json").read_text()
        with (tree / "array.img").open("rb") as image:
            while image.read(1 << 20):
                pass
        assert raidfs("umount", tree).returncode == 0
    return read_trace(folder, members)


def trace_umount(folder: Path, members: list[Path]) -> Trace:
    """Trace what ends a mount."""
    (folder / "tree").mkdir()
    assert raidfs("mount", *members, folder / "tree").returncode == 0
    return trace(folder, members, *RAIDFS, "umount", folder / "tree")


def trace_verify(folder: Path, members: list[Path]) -> Trace:
    return trace(folder, members, *RAIDFS, "verify", "--state", folder / "state", *members)


def trace_files(folder: Path, members: list[Path]) -> Trace:
    return trace(folder, members, *RAIDFS, "files", *members)


def trace_needs(folder: Path, members: list[Path]) -> Trace:
    """Trace it where there is something to be asked for."""
    half = folder / "half.map"
    half.write_text("0 + 1\n0 0x800000 +\n0x800000 0x1000 -\n0x801000 0x10000000 +\n")
    maps = [word for member in members[:2] for word in ("--mapfile", f"{member}={half}")]
    found = trace(folder, members, *RAIDFS, "needs", *maps, *members, "-o", folder / "needs")
    assert list((folder / "needs").iterdir())
    return found


TRACED: dict[str, Callable[[Path, list[Path]], Trace]] = {
    "examine": trace_examine,
    "explain": trace_explain,
    "export": trace_export,
    "files": trace_files,
    "mount": trace_mount,
    "needs": trace_needs,
    "umount": trace_umount,
    "verify": trace_verify,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where traces and output go: not beside the members."""
    (tmp_path / "traced").mkdir()
    return tmp_path / "traced"


every_command = pytest.mark.parametrize(
    "command",
    [
        pytest.param(command.name, marks=[pytest.mark.fuse] if command.name in ("mount", "umount") else [])
        for command in COMMANDS
    ],
)


@every_command
@pytest.mark.parametrize(("case", "missing"), [(CASE, 0), (CASE, 1), ("s-r5-partitions", 0)])
def test_members_are_only_read(command: str, case: str, missing: int, folder: Path) -> None:
    members = golden_case(case).members()[missing:]
    before = fingerprints(members)
    found = TRACED[command](folder, members)
    assert found.violations == ()
    assert found.reached == (set() if command == "umount" else set(members))
    assert fingerprints(members) == before


def test_devices_are_only_read(folder: Path, tmp_path: Path) -> None:
    images = golden_case(CASE).copies(tmp_path)
    before = fingerprints(images)
    with ExitStack() as stack:
        devices = []
        for image in images:
            devices.append(Path(run("losetup", "--find", "--show", image).strip()))
            stack.callback(run, "losetup", "--detach", devices[-1])
        found = trace_export(folder, devices)
    assert found.violations == ()
    assert found.reached == set(devices)
    assert fingerprints(images) == before


@pytest.mark.fuse
def test_read_errors_are_kept_only_where_that_was_asked_for(folder: Path, tmp_path: Path) -> None:
    members = golden_case(CASE).members()
    bad = Extents([(at, at + 512) for at in (8 << 20, (8 << 20) + (64 << 10))])  # one of two chunks holds data
    files = {path: bad if path == members[0] else Extents() for path in members}
    with faulty_members(tmp_path / "faulty", files) as faulty:
        found = trace(folder, faulty, *RAIDFS, "export", "--learned", folder / "kept", *faulty, folder / "image")
        assert found.violations == ()
        assert found.reached == set(faulty)
    assert (folder / "kept" / f"{members[0].name}.map").read_text().count("  -\n") in (1, 2)
    assert [path.name for path in (folder / "kept").iterdir()] == [f"{members[0].name}.map"]
    assert {path.name for path in folder.iterdir() if not path.name.startswith("trace.")} == {"image", "kept"}


@pytest.mark.parametrize(
    "sin",
    [
        "os.open(path, os.O_RDWR)",
        "os.open(path, os.O_WRONLY | os.O_APPEND)",
        "os.open(path, os.O_RDONLY | os.O_TRUNC)",
        "open(os.path.basename(path), 'r+b')",
        "os.write(os.dup(os.open('/proc/self/fd/%d' % os.open(path, os.O_RDONLY), os.O_WRONLY)), b'x')",
        "mmap.mmap(os.open(path, os.O_RDONLY), 0, prot=mmap.PROT_READ)",
        "fcntl.ioctl(os.open(path, os.O_RDONLY), 0x127D)",  # BLKDISCARD's number
        "os.utime(path)",
        "os.truncate(path, 1)",
        "os.rename(path, path + '.old')",
        "os.unlink(path)",
        "os.link(path, path + '.new')",
        "os.chmod(path, 0o644)",
        "os.setxattr(path, 'user.x', b'x')",
    ],
)
def test_the_trace_would_show_it(sin: str, tmp_path: Path) -> None:
    member = tmp_path / "member.img"
    member.write_bytes(bytes(4096))
    program = (
        f"import contextlib, fcntl, mmap, os\npath = {str(member)!r}\nwith contextlib.suppress(OSError):\n    {sin}"
    )
    assert trace(tmp_path, [member], sys.executable, "-S", "-c", program).violations
