"""Who may be writing to a member is found in procfs and sysfs: in trees built here, and once in the real ones."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.errors import SourceError, SourceGone
from raidfs.extents import Extents
from raidfs.image import open_image
from raidfs.image.raw import RawImage
from raidfs.image.usage import users_of, users_of_device


class Machine:
    """A procfs and a sysfs of our own."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys = root / "proc", root / "sys"
        (self.proc / "self").mkdir(parents=True)
        (self.sys / "dev/block").mkdir(parents=True)
        (self.sys / "block").mkdir()
        self.mounts()
        self.swaps()

    def mounts(self, *lines: str) -> None:
        (self.proc / "self/mountinfo").write_text("".join(f"{line}\n" for line in lines))

    def swaps(self, *names: str) -> None:
        text = "Filename Type Size Used Priority\n" + "".join(f"{name} partition 1024 0 -2\n" for name in names)
        (self.proc / "swaps").write_text(text)

    def disk(self, name: str, number: str) -> Path:
        return self._add(self.sys / "devices/block" / name, name, number)

    def partition(self, disk: Path, name: str, number: str) -> Path:
        folder = self._add(disk / name, name, number)
        (folder / "partition").write_text("1\n")
        return folder

    def _add(self, folder: Path, name: str, number: str) -> Path:
        (folder / "holders").mkdir(parents=True)
        (folder / "dev").write_text(f"{number}\n")
        (self.sys / "dev/block" / number).symlink_to(folder)
        (self.sys / "block" / name).symlink_to(folder)
        return folder

    def hold(self, held: Path, holder: Path) -> None:
        (held / "holders" / holder.name).symlink_to(holder)

    def array(self, name: str) -> Path:
        folder = self.disk(name, "9:0")
        (folder / "md").mkdir()
        return folder

    def loop(self, name: str, backing: Path | str, is_read_only: bool) -> Path:
        folder = self.disk(name, "7:0")
        (folder / "loop").mkdir()
        (folder / "loop/backing_file").write_text(f"{backing}\n")
        (folder / "ro").write_text(f"{int(is_read_only)}\n")
        return folder

    def users(self, number: str) -> list[str]:
        return users_of_device(number, str(self.proc), str(self.sys))

    def users_of_file(self, path: Path) -> list[str]:
        return users_of(str(path), str(self.proc), str(self.sys))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "member.img"
    path.write_bytes(bytes(4096))
    return path


def mount(number: str, mountpoint: str, options: str, super_options: str, source: str = "/dev/x") -> str:
    return f"36 25 {number} / {mountpoint} {options},relatime shared:1 - ext4 {source} {super_options}"


def test_a_device_that_nobody_uses(machine: Machine) -> None:
    disk = machine.disk("sda", "8:0")
    machine.partition(disk, "sda1", "8:1")
    machine.mounts(mount("8:16", "/", "rw", "rw"), "nonsense", "")
    assert machine.users("8:0") == machine.users("8:1") == []
    assert machine.users("8:99") == []


def test_a_mounted_device(machine: Machine) -> None:
    machine.disk("sda", "8:0")
    machine.mounts(mount("8:0", "/srv/my\\040data", "rw", "rw"), mount("8:0", "/mnt", "ro", "rw"))
    assert machine.users("8:0") == [
        "/dev/sda is mounted at /srv/my data (writable); unmount it first",
        "/dev/sda is mounted at /mnt (read-only); unmount it first",
    ]


def test_partitions_and_disk_count_too_but_not_the_neighbour(machine: Machine) -> None:
    disk = machine.disk("sda", "8:0")
    machine.partition(disk, "sda1", "8:1")
    machine.partition(disk, "sda2", "8:2")
    machine.mounts(mount("8:1", "/boot", "rw", "rw"))
    assert machine.users("8:0") == ["/dev/sda1 is mounted at /boot (writable); unmount it first"]
    assert machine.users("8:1") == machine.users("8:0")
    assert machine.users("8:2") == []
    machine.mounts(mount("8:0", "/disk", "rw", "rw"))
    assert machine.users("8:2") == ["/dev/sda is mounted at /disk (writable); unmount it first"]


def test_a_member_of_a_running_array(machine: Machine) -> None:
    partition = machine.partition(machine.disk("sda", "8:0"), "sda1", "8:1")
    machine.hold(partition, machine.array("md127"))
    expected = ["/dev/sda1 is part of the running array /dev/md127; stop it first (mdadm --stop /dev/md127)"]
    assert machine.users("8:1") == expected
    assert machine.users("8:0") == expected


def test_a_device_under_a_mapping(machine: Machine) -> None:
    disk = machine.disk("nvme0n1", "259:0")
    machine.hold(disk, machine.disk("dm-3", "253:3"))
    assert machine.users("259:0") == ["/dev/nvme0n1 is held by /dev/dm-3; remove that first"]


def test_a_device_used_as_swap(machine: Machine) -> None:
    machine.disk("cciss!c0d0", "104:0")
    machine.swaps("/dev/cciss/c0d0", "/dev/other")
    assert machine.users("104:0") == ["/dev/cciss/c0d0 is used as swap; run swapoff first"]


def test_a_file_that_nobody_uses(machine: Machine, image: Path) -> None:
    machine.loop("loop0", "/somewhere/else.img", is_read_only=False)
    machine.mounts(mount("7:0", "/mnt", "rw", "rw"))
    assert machine.users_of_file(image) == []


def test_a_file_under_a_writable_loop_device(machine: Machine, image: Path) -> None:
    machine.loop("loop0", image, is_read_only=False)
    expected = [f"{image} can be written through /dev/loop0; detach it first (losetup -d /dev/loop0)"]
    assert machine.users_of_file(image) == expected
    machine.mounts(mount("7:0", "/mnt", "rw", "rw"))
    assert machine.users_of_file(image) == [*expected, "/dev/loop0 is mounted at /mnt (writable); unmount it first"]


def test_a_file_is_recognised_by_any_of_its_names(machine: Machine, image: Path, tmp_path: Path) -> None:
    os.link(image, tmp_path / "other name.img")
    (tmp_path / "link").symlink_to(image)
    machine.loop("loop0", tmp_path / "other name.img", is_read_only=False)
    assert len(machine.users_of_file(image)) == len(machine.users_of_file(tmp_path / "link")) == 1


def test_a_read_only_loop_device_only_counts_when_held(machine: Machine, image: Path) -> None:
    loop = machine.loop("loop0", image, is_read_only=True)
    machine.mounts(mount("7:0", "/mnt", "ro", "ro"))
    assert machine.users_of_file(image) == []
    machine.hold(loop, machine.array("md1"))
    assert len(machine.users_of_file(image)) == 1
    assert "running array /dev/md1" in machine.users_of_file(image)[0]


def test_a_file_used_as_swap(machine: Machine, image: Path) -> None:
    machine.swaps(str(image))
    assert machine.users_of_file(image) == [f"{image} is used as swap; run swapoff first"]


def test_without_procfs_and_sysfs_nobody_is_seen(image: Path, tmp_path: Path) -> None:
    assert users_of(str(image), str(tmp_path / "none"), str(tmp_path / "none")) == []
    assert users_of_device("8:0", str(tmp_path / "none"), str(tmp_path / "none")) == []


def test_what_is_neither_file_nor_device_has_no_users(tmp_path: Path) -> None:
    assert users_of(str(tmp_path)) == []
    assert users_of("/dev/null") == []
    with pytest.raises(FileNotFoundError):
        users_of(str(tmp_path / "missing"))


@pytest.mark.fuse
def test_a_real_loop_device(tmp_path: Path) -> None:
    """A block device is read like a file, and its mount is seen (needs the right to attach loop devices)."""
    path, mountpoint = tmp_path / "disk.img", tmp_path / "mnt"
    path.write_bytes(bytes(1 << 20))
    mountpoint.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)
    loop = _run("losetup", "--find", "--show", str(path))
    try:
        subprocess.run(["mount", loop, mountpoint], check=True)
        mounted = f"{loop} is mounted at {mountpoint} (writable); unmount it first"
        written = f"{path} can be written through {loop}; detach it first (losetup -d {loop})"
        assert users_of(loop) == [mounted]
        assert users_of(str(path)) == [written, mounted]
        subprocess.run(["umount", mountpoint], check=True)
        assert users_of(loop) == []
        assert users_of(str(path)) == [written]
        _assert_reads_like_the_file(loop, path, tmp_path)
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)
    assert users_of(str(path)) == []


def _assert_reads_like_the_file(loop: str, path: Path, tmp_path: Path) -> None:
    with open_image(loop) as image:
        assert not image.is_regular
        assert image.size == 1 << 20
        assert image.describe_inode() == (-1, os.stat(loop).st_rdev)
        assert read_exact(image, 0, image.size) == (path.read_bytes(), Extents())
        image.assert_unchanged()
    with pytest.raises(SourceError, match=r"a block device without a size; check .* that .*/none is mounted"):
        RawImage(loop, sys=str(tmp_path / "none"))
    number = f"{os.major(os.stat(loop).st_rdev)}:{os.minor(os.stat(loop).st_rdev)}"
    (tmp_path / "sys/dev/block" / number).mkdir(parents=True)
    size = tmp_path / "sys/dev/block" / number / "size"
    size.write_text("2048\n")
    with RawImage(loop, sys=str(tmp_path / "sys")) as image:
        size.unlink()
        with pytest.raises(SourceGone, match="the device is gone"):
            image.assert_unchanged()


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
