"""Mount points as the kernel lists them, and what is checked before a mount."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.errors import MountError
from raidfs.fuse.mountpoint import Mount, check_fuse, check_mountpoint, find_mount, mounts, parse_mountinfo
from raidfs.fuse.options import MountOptions

LINES = r"""22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
36 35 98:0 /mnt1 /mnt\040two rw,noatime master:1 - ext3 /dev/root rw,errors=continue
41 28 0:44 / /mnt/a\134b ro,nosuid - fuse.raidfs raidfs ro,user_id=0
"""


def test_lines_of_mountinfo() -> None:
    assert parse_mountinfo(LINES) == [
        Mount("0:20", "/sys", "sysfs", "sysfs"),
        Mount("98:0", "/mnt two", "ext3", "/dev/root"),
        Mount("0:44", "/mnt/a\\b", "fuse.raidfs", "raidfs"),
    ]


@given(st.text())
def test_any_text_is_read_as_far_as_it_makes_sense(text: str) -> None:
    assert all(isinstance(mount, Mount) for mount in parse_mountinfo(text))


def test_this_process_sees_mounts(tmp_path: Path) -> None:
    assert any(mount.mountpoint == "/proc" for mount in mounts())
    proc = find_mount("/proc")
    assert proc is not None
    assert proc.fs_type == "proc"
    (tmp_path / "link").symlink_to("/proc")
    assert find_mount(str(tmp_path / "link")) == find_mount("/proc/../proc/") == proc
    assert find_mount(str(tmp_path)) is None


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    check_mountpoint(str(tmp_path))


def test_what_is_mounted_already_is_busy() -> None:
    with pytest.raises(MountError, match=r"^/proc: proc \(proc\) is mounted there already; choose an empty directory$"):
        check_mountpoint("/proc")


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MountError, match="the mountpoint cannot be used: Not a directory"):
        check_mountpoint(str(tmp_path / "file" / "below"))


def test_no_fuse_device(tmp_path: Path) -> None:
    with pytest.raises(MountError, match="/fuse is missing; load FUSE with: modprobe fuse"):
        check_fuse(MountOptions(), device=str(tmp_path / "fuse"))


def test_a_fuse_device_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MountError, match="cannot be opened: Is a directory"):
        check_fuse(MountOptions(), device=str(tmp_path))
