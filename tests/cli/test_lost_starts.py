"""Sectors at the start of what lies on an array are lost: copies of them elsewhere tell what it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raidfs.block import BlockSource, MemorySource
from raidfs.cli.contents import Contents, contents_of
from raidfs.extents import Extents
from raidfs.view.secondary import probe_start
from raidfs.view.walk import visit
from tests.support.filesystems import ImageDevice, kernel_mount, make
from tests.view import disks

MIB = 1 << 20
EXT = ("mkfs.ext4", "-q", "-b", "1024", "-d", "TREE")
MADE: dict[str, tuple[int, tuple[str, ...], tuple[int, int]]] = {
    "ext4": (24 * MIB, EXT, (1024, 2048)),
    "ext4 with 4 KiB": (160 * MIB, ("mkfs.ext4", "-q", "-b", "4096", "-d", "TREE"), (0, 4096)),
    "ext2": (24 * MIB, ("mkfs.ext2", "-q", "-b", "1024", "-d", "TREE"), (0, 2048)),
    "xfs": (320 * MIB, ("mkfs.xfs", "-q"), (0, 512)),
    "xfs with stripes": (520 * MIB, ("mkfs.xfs", "-q", "-d", "su=64k,sw=3"), (0, 4096)),
    "btrfs": (120 * MIB, ("mkfs.btrfs", "-q", "--rootdir", "TREE"), (65536, 69632)),
    "ntfs": (16 * MIB, ("mkfs.ntfs", "-q", "-F"), (0, 512)),
    "vfat": (80 * MIB, ("mkfs.vfat", "-F", "32"), (0, 512)),
    "exfat": (16 * MIB, ("mkfs.exfat",), (0, 512)),
}
"""What is made: its size, the command, and the bytes that are lost."""


@contextmanager
def found_on(source: BlockSource) -> Iterator[Contents]:
    """Look at a source."""
    found = contents_of(source, lambda _source, _extents: "good")
    try:
        yield found
    finally:
        found.close()


def paths_of(found: Contents) -> list[tuple[bytes, bool]]:
    """List all files of the only file system."""
    (only,) = found.file_systems
    return sorted((each.path, each.is_whole) for each in visit(only.tree))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with files."""
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    for number in range(40):
        (folder / "sub" / f"file-{number}").write_bytes(b"%d" % number * 3000)
    return folder


@pytest.mark.parametrize("how", ["lost", "overwritten"])
@pytest.mark.parametrize("name", MADE)
def test_a_file_system_without_its_start_shows_its_files(name: str, how: str, tree: Path, tmp_path: Path) -> None:
    size, command, (start, stop) = MADE[name]
    image = make(tmp_path / "image", size, *(str(tree) if word == "TREE" else word for word in command))
    if "mkfs.xfs" in command and os.geteuid() == 0:
        with kernel_mount(image, tmp_path / "mnt", "rw") as folder:
            subprocess.run(["cp", "-a", tree / "sub", folder], check=True)
    device = ImageDevice(image)
    with found_on(device) as found:
        kind = found.file_systems[0].contents.kind
        before = paths_of(found)
        assert before[0] == (b"", True)
    if how == "lost":
        device.lost = Extents.span(start, stop)
    else:
        with image.open("r+b") as file:
            file.seek(start)
            file.write(bytes(stop - start))
    with found_on(device) as found:
        assert found.file_systems[0].contents.kind == kind
        assert "is used" in found.file_systems[0].contents.meaning
        assert any("is used" in each.message for each in found.findings)
        after = paths_of(found)
        if "ext" not in name:
            assert after == before
        else:  # what the first sectors hold besides may be lost with them
            assert {path for path, _ in after} == {path for path, _ in before}


@pytest.mark.parametrize(("name", "place"), [("ext4", 1024 + 0x70), ("xfs", 200), ("xfs with stripes", 200)])
def test_a_superblock_with_a_wrong_checksum_gives_way(name: str, place: int, tree: Path, tmp_path: Path) -> None:
    size, command, _ = MADE[name]
    image = make(tmp_path / "image", size, *(str(tree) if word == "TREE" else word for word in command))
    device = ImageDevice(image)
    with found_on(device) as found:
        before = paths_of(found)
        usage = found.file_systems[0].tree.usage()
    device.changed[place] = 0x40
    with found_on(device) as found:
        assert paths_of(found) == before
        assert found.file_systems[0].tree.usage().blocks == usage.blocks


def test_the_only_superblock_of_ext4_counts_with_a_wrong_checksum_if_it_leads_on(tree: Path, tmp_path: Path) -> None:
    """A file system of one block group has no backup; descriptors and inodes have checksums of their own."""
    image = make(tmp_path / "image", 6 * MIB, *(str(tree) if word == "TREE" else word for word in EXT))
    device = ImageDevice(image)
    with found_on(device) as found:
        before = paths_of(found)
    device.changed[1024 + 0x34] = 0x40  # how often it was mounted
    with found_on(device) as found:
        assert paths_of(found) == before
    device.changed[1024 + 0x70] = 0x40  # its uuid, with which all checksums begin
    with found_on(device) as found:
        assert not any(is_whole for _, is_whole in paths_of(found))


def test_a_partition_table_without_its_start_leads_to_its_partitions(tree: Path, tmp_path: Path) -> None:
    inner = make(tmp_path / "inner", 24 * MIB, *EXT[:-1], str(tree))
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.seek(MIB)
        file.write(inner.read_bytes())
        file.truncate(26 * MIB)
    subprocess.run(["/sbin/sgdisk", "-n", f"1:2048:+{24 * 1024}K", image], check=True, capture_output=True)
    device = ImageDevice(image)
    with found_on(device) as found:
        assert found.whole.kind == "gpt"
        before = paths_of(found)
    device.lost = Extents.span(0, 34 * 512)
    with found_on(device) as found:
        assert found.whole.kind == "gpt"
        assert paths_of(found) == before
        assert any("backup GPT" in each.message for each in found.findings)


def test_copies_of_several_kinds_tell_nothing(tmp_path: Path) -> None:
    image = make(tmp_path / "image", 24 * MIB, "mkfs.ext4", "-q", "-b", "1024")
    data = bytearray(image.read_bytes())
    data[:4096] = bytes(4096)
    boot = bytes(disks.ntfs()[:512])
    data[-512:] = boot
    found = probe_start(MemorySource(bytes(data)))
    assert found.contents.kind == "unknown"
    assert "ext4" in found.note
    assert "ntfs" in found.note
    # where the start is known, nothing else is looked at
    data[1024 : 1024 + 4096] = image.read_bytes()[1024 : 1024 + 4096]
    assert probe_start(MemorySource(bytes(data))).note == ""


def test_what_is_no_copy_is_not_taken_for_one() -> None:
    for image in (disks.blank(), disks.mbr([(0x80, 0x83, 63, 100)])):
        assert probe_start(MemorySource(image)).note == ""
    for kind in (disks.ext(), disks.xfs(), disks.btrfs()):
        # a start in the middle: of an image file, not of this source
        assert probe_start(MemorySource(bytes(MIB) + bytes(kind) + bytes(MIB))).note == ""
