"""`raidfs umount`."""

from __future__ import annotations

from pathlib import Path

import pytest

from raidfs.fuse.mountpoint import find_mount
from tests.cli.mounting import mounted, raidfs
from tests.support.golden import golden_case

pytestmark = pytest.mark.fuse


def test_it_returns_when_all_is_gone(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", golden_case("s-r5-la").members()) as mount:
        done = raidfs("umount", mount.path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert find_mount(str(mount.path)) is None


def test_a_busy_mount_names_who_holds_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", golden_case("s-r5-la").members()) as mount:
        with mount.image.open("rb"):
            done = raidfs("umount", mount.path)
        assert done.returncode == 1
        assert f"raidfs: {mount.path}: busy, held by " in done.stderr
        assert f"with {mount.image} open" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_where_nothing_is_mounted(tmp_path: Path) -> None:
    done = raidfs("umount", tmp_path)
    assert (done.returncode, done.stderr) == (1, f"raidfs: {tmp_path}: nothing is mounted there\n")
