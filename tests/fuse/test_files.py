"""The files of a file system through the kernel: what `cp -a`, `tar` and `find` see of them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from raidfs.fuse.options import fuse_options, parse_options
from tests.cli.mounting import mounted
from tests.support.arrays import mirrored
from tests.support.filesystems import ODD_NAMES, fill, kernel_mount, make

pytestmark = pytest.mark.fuse
N_MANY = 2000


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the members of an array with an ext4 that holds everything."""
    folder = tmp_path_factory.mktemp("members")
    image = make(folder / "image", 48 << 20, "mkfs.ext4", "-q", "-N", "4000")
    if os.geteuid() == 0:
        with kernel_mount(image, folder / "mnt", "rw") as mount:
            fill(mount, N_MANY)
    return mirrored(image, folder)


def test_a_copy_is_what_the_kernel_would_have_copied(members: list[Path], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can fill the file system
    with (
        mounted(tmp_path / "ours", members) as ours,
        kernel_mount(members[0].parent / "image", tmp_path / "k", "ro") as k,
    ):
        told = [listing(folder) for folder in (ours.path / "files", k)]
        assert told[0] == told[1]
        subprocess.run(["cp", "-a", ours.path / "files" / "dir", tmp_path / "copy"], check=True)
        assert listing(tmp_path / "copy") == listing(k / "dir")
        for path in (k / "dir").iterdir():
            if path.is_file() and path.stat().st_size < 64 << 20:
                assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()
        hole = (tmp_path / "copy" / "hole").stat()
        assert hole.st_size == 5 << 30
        assert hole.st_blocks < 1000
        with (tmp_path / "copy" / "hole").open("rb") as file:
            assert os.pread(file.fileno(), 8, 4_499_999_998) == b"\0\0end\0\0\0"


def listing(folder: Path) -> list[tuple[object, ...]]:
    """Return what `lstat` and the extended attributes tell of everything below a folder."""
    found: list[tuple[object, ...]] = []
    for top, folders, names in os.walk(os.fsencode(folder)):
        folders.sort()
        for name in sorted(folders + names):
            path = top + b"/" + name
            told = os.lstat(path)
            size = 0 if stat.S_ISDIR(told.st_mode) else told.st_size
            xattrs = [
                (each, os.getxattr(path, each, follow_symlinks=False))
                for each in sorted(os.listxattr(path, follow_symlinks=False))
            ]
            fields = (told.st_mode, told.st_nlink, told.st_uid, told.st_gid, told.st_rdev, size, told.st_mtime_ns)
            target = os.readlink(path) if stat.S_ISLNK(told.st_mode) else b""
            found.append((path[len(os.fsencode(folder)) :], *fields, xattrs, target))
    return found


def test_names_links_and_inodes(members: list[Path], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return
    with mounted(tmp_path / "mnt", members) as mount:
        folder = mount.path / "files" / "dir"
        assert set(ODD_NAMES) <= set(os.listdir(os.fsencode(folder)))
        assert (folder / "small").stat().st_ino == (folder / "hard").stat().st_ino
        assert (folder / "small").stat().st_ino != (folder / "odd").stat().st_ino
        before = {name: os.lstat(folder / name).st_ino for name in os.listdir(folder)}
        Path("/proc/sys/vm/drop_caches").write_text("2")
        assert {name: os.lstat(folder / name).st_ino for name in os.listdir(folder)} == before
        assert len(os.listdir(mount.path / "files" / "many")) == N_MANY
        with pytest.raises(FileNotFoundError):
            (folder / "nothing").stat()
        with pytest.raises(OSError, match="Read-only") as caught:
            (folder / "small").write_bytes(b"x")
        assert caught.value.errno == errno.EROFS
        assert os.getxattr(folder / "small", "user.raidfs.health") == b"good"
        assert os.getxattr(folder / "small", "user.raidfs.lost_bytes") == b"0"
        assert b"user.raidfs.health" not in map(os.fsencode, os.listxattr(folder / "small"))
        assert (mount.path / "README.txt").read_text().count("files/") >= 1


def test_who_mounts_alone_may_read_everything() -> None:
    assert "default_permissions" not in fuse_options(parse_options([]))
    assert "default_permissions" in fuse_options(parse_options(["allow_other"]))
