"""Ending a mount from outside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raidfs.errors import MountError
from raidfs.fuse.unmount import end_mount
from tests.fuse.conftest import Mounted

pytestmark = pytest.mark.fuse

MountAt = Callable[..., Mounted]


def test_it_is_gone_and_its_daemon_has_ended(mount_at: MountAt) -> None:
    mounted = mount_at()
    end_mount(str(mounted.path))
    assert not mounted.is_mounted
    # ended, so this does not wait
    assert os.waitid(os.P_PID, mounted.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_it_may_be_named_by_a_link_or_a_relative_path(
    mount_at: MountAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = mount_at()
    (tmp_path / "link").symlink_to(mounted.path)
    monkeypatch.chdir(tmp_path)
    end_mount("link")
    assert not mounted.is_mounted


def test_an_open_file_is_named(mount_at: MountAt) -> None:
    mounted = mount_at()
    image = mounted.path / "array.img"
    with image.open("rb"), pytest.raises(MountError) as raised:
        end_mount(str(mounted.path))
    assert str(raised.value).startswith(f"{mounted.path}: busy, held by ")
    assert f"(pid {os.getpid()}), with {image} open" in str(raised.value)
    end_mount(str(mounted.path))
    assert not mounted.is_mounted


def test_a_working_directory_is_named(mount_at: MountAt) -> None:
    mounted = mount_at()
    # waits for the end of its standard input
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=mounted.path / "folder", stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(MountError, match=rf"\(pid {process.pid}\), working in {mounted.path}/folder"):
            end_mount(str(mounted.path))
        process.communicate()
    end_mount(str(mounted.path))


def test_a_mount_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(
        MountError, match=re.escape("/proc: not a raidfs mount but proc (proc); end it with: umount /proc")
    ):
        end_mount("/proc")
    with pytest.raises(MountError, match=rf"^{tmp_path}: nothing is mounted there$"):
        end_mount(str(tmp_path))


def test_fusermount3_is_not_needed_where_umount_may(mount_at: MountAt, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = mount_at()
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name: None if name == "fusermount3" else which(name))
    if os.geteuid() == 0:
        end_mount(str(mounted.path))
        assert not mounted.is_mounted
    else:
        with pytest.raises(MountError, match="cannot be unmounted"):
            end_mount(str(mounted.path))
