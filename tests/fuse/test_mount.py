"""A real mount: its life, from preparing to the last signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from raidfs.fuse.mountpoint import find_mount
from raidfs.fuse.unmount import end_mount
from tests.fuse.conftest import Mounted, command_for
from tests.fuse.signalled import POINTS
from tests.support.golden import CHECKOUT

pytestmark = pytest.mark.fuse

MountAt = Callable[..., Mounted]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unmounts_and_ends_well(mount_at: MountAt, number: signal.Signals) -> None:
    mounted = mount_at()
    mounted.process.send_signal(number)
    assert mounted.end() == (0, "ended", "")
    assert not mounted.is_mounted
    assert not list(mounted.path.iterdir())


def test_many_signals_are_as_good_as_one(mount_at: MountAt) -> None:
    mounted = mount_at()
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        mounted.process.send_signal(number)
    assert mounted.end() == (0, "ended", "")
    assert not mounted.is_mounted


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_signals_at_any_moment_of_its_life_end_a_mount_well(point: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuse.signalled", str(tmp_path), point]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
    assert find_mount(str(tmp_path)) is None


def test_a_signal_while_preparing_leaves_nothing_mounted(mount_at: MountAt) -> None:
    mounted = mount_at("for_ever", "preparing")
    assert not mounted.is_mounted
    mounted.process.send_signal(signal.SIGTERM)
    assert mounted.end() == (0, "ended", "")
    assert not mounted.is_mounted


def test_unmounting_from_outside_ends_the_server(mount_at: MountAt) -> None:
    mounted = mount_at()
    subprocess.run(["fusermount3", "-u", mounted.path], check=True)
    assert mounted.end() == (0, "ended", "")


def test_a_read_that_hangs_does_not_keep_the_mount(mount_at: MountAt) -> None:
    mounted = mount_at()
    failures: list[OSError] = []

    def read() -> None:
        with (mounted.path / "hanging.img").open("rb", buffering=0) as file:
            opened.set()
            try:
                file.read(512)
            except OSError as error:
                failures.append(error)

    opened = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    opened.wait()
    # others are served meanwhile
    assert (mounted.path / "README.txt").read_text() == "Hello.\n"
    mounted.process.send_signal(signal.SIGTERM)
    mounted.process.send_signal(signal.SIGINT)
    assert mounted.end()[:2] == (0, "ended")
    reader.join()
    assert len(failures) == 1
    assert not mounted.is_mounted


def test_the_kernel_lists_it_read_only_with_our_name(mount_at: MountAt) -> None:
    mounted = mount_at("noatime,nosuid,nodev,noexec")
    mount = find_mount(str(mounted.path))
    assert mount is not None
    assert (mount.fs_type, mount.source) == ("fuse.raidfs", "raidfs")
    flags = os.statvfs(mounted.path).f_flag
    assert flags & os.ST_RDONLY
    assert flags & os.ST_NOEXEC
    assert flags & os.ST_NOATIME


def test_root_gets_a_read_ahead_of_two_requests(mount_at: MountAt) -> None:
    mount = find_mount(str(mount_at().path))
    assert mount is not None
    setting = Path(f"/sys/class/bdi/{mount.device}/read_ahead_kb")
    assert int(setting.read_text()) == (2048 if os.access(setting, os.W_OK) else 128)


def test_owner_and_group_are_as_told(mount_at: MountAt) -> None:
    status = (mount_at("uid=1234,gid=4321").path / "array.img").stat()
    assert (status.st_uid, status.st_gid) == (1234, 4321)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "the mountpoint does not exist; make it with: mkdir -p {}"),
        (lambda path: path.write_text("x"), "the mountpoint must be a directory (it comes last, after the members)"),
        (
            lambda path: (path / "x").mkdir(parents=True),
            "the mountpoint is not empty, a mount would hide what is in it; choose an empty one",
        ),
    ],
)
def test_a_mountpoint_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    target = tmp_path / "target"
    make(target)
    done = subprocess.run(command_for(target), capture_output=True, text=True, check=False)
    assert done.stdout == f"error: {target}: {sentence.format(target)}\n"
    assert done.stderr == ""
    assert done.returncode == 1


def test_a_second_mount_on_the_first_is_refused(mount_at: MountAt) -> None:
    mounted = mount_at()
    done = subprocess.run(command_for(mounted.path), capture_output=True, text=True, check=False)
    assert "a raidfs mount is there already" in done.stdout
    assert done.returncode == 1
    assert (mounted.path / "README.txt").read_text() == "Hello.\n"


def test_a_server_that_was_killed_leaves_a_mount_that_umount_ends(mount_at: MountAt) -> None:
    mounted = mount_at()
    mounted.process.kill()
    mounted.process.wait()
    assert mounted.is_mounted
    end_mount(str(mounted.path))
    assert not mounted.is_mounted
