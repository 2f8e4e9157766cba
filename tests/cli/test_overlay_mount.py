"""`-o overlay=FILE`: the kernel writes to the images, into a file; members stay as they are."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.mounting import is_root, mounted, raidfs
from tests.support.arrays import mirrored
from tests.support.cli import run
from tests.support.filesystems import make
from tests.support.golden import cases_here, fingerprints

pytestmark = pytest.mark.fuse


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    """Return the members of an array with an ext4 in a partition."""
    image = make(tmp_path / "part", 16 << 20, "mkfs.ext4", "-q")
    whole = tmp_path / "whole"
    with whole.open("wb") as file:
        # an MBR with one partition at 1 MiB
        entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (32768).to_bytes(4, "little")
        file.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        file.seek(1 << 20)
        file.write(image.read_bytes())
    return mirrored(whole, tmp_path)


def test_what_is_written_is_there_the_next_time_and_not_in_the_members(members: list[Path], tmp_path: Path) -> None:
    before = fingerprints(members)
    overlay = tmp_path / "overlay.img"
    with mounted(tmp_path / "mnt", members, "-o", f"overlay={overlay}") as mount:
        part = mount.path / "partitions" / "1.img"
        with part.open("r+b") as file:
            file.seek(8 << 20)
            file.write(b"written")
        with mount.image.open("rb") as file:
            file.seek(9 << 20)
            assert file.read(7) == b"written"
        for name in ("README.txt", "status.json"):
            with pytest.raises(OSError, match="Read-only") as caught:
                (mount.path / name).open("r+b")
            assert caught.value.errno == errno.EROFS
        with pytest.raises(OSError, match="No space"), mount.image.open("ab") as file:
            file.write(b"x")
    with mounted(tmp_path / "mnt", members, "-o", f"overlay={overlay}") as mount, mount.image.open("rb") as file:
        file.seek(9 << 20)
        assert file.read(7) == b"written"
    assert fingerprints(members) == before


def test_without_an_overlay_nothing_can_be_written(members: list[Path], tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", members) as mount, pytest.raises(OSError, match="Read-only"):
        os.open(mount.path / "partitions" / "1.img", os.O_RDWR)


def test_a_file_in_the_mountpoint_is_no_overlay(members: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    done = raidfs("mount", "-o", f"overlay={tmp_path / 'mnt' / 'x'}", *members, tmp_path / "mnt")
    assert done.returncode == 2
    assert "this lies in the mountpoint" in done.stderr
    assert not list((tmp_path / "mnt").iterdir())


def test_a_member_is_no_overlay(members: list[Path], tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    done = raidfs("mount", "-o", f"overlay={members[0]}", *members, tmp_path / "mnt")
    assert done.returncode == 1
    assert "it is one of the members, which are never written" in done.stderr


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here("j-r5-3to4-12-64k-live"), ids=lambda case: case.name)
def test_the_kernel_replays_a_journal_into_it(case, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # pytest's own
    if not is_root():
        return
    members = case.members()
    before = fingerprints(members)
    with mounted(tmp_path / "mnt", members, "-o", f"overlay={tmp_path / 'overlay'}") as mount:
        device = run("losetup", "--show", "-f", mount.image).strip()
        try:
            (tmp_path / "k").mkdir()
            run("mount", device, tmp_path / "k")
            assert len(list((tmp_path / "k" / "live").iterdir())) == 180
            run("umount", tmp_path / "k")
            checked = subprocess.run(["e2fsck", "-f", "-n", device], capture_output=True, text=True, check=False)
            assert (checked.returncode, checked.stdout.count("Pass")) == (0, 5)
        finally:
            run("losetup", "-d", device)
        with pytest.raises(OSError, match="Stale"):
            os.listdir(mount.path / "files")
    assert fingerprints(members) == before
