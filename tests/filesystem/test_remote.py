"""A worker that crashes, loops, eats memory or says rubbish costs what was asked, and nothing else."""

from __future__ import annotations

import os
import random
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import MemorySource, one_request
from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import Name
from raidfs.filesystem.remote import RemoteFileSystem
from raidfs.view.files import MARK, FileTree
from raidfs.view.walk import Visited, visit
from tests.support.filesystems import ImageDevice, kernel_mount, make
from tests.support.odd_worker import ODDITIES

PATIENCE = 4.0
"""Seconds; even a busy machine starts a process and answers within them."""


@pytest.mark.parametrize("number", range(1, len(ODDITIES)))
def test_an_odd_file_fails_and_the_others_do_not(number: int) -> None:
    remote = RemoteFileSystem("odd", MemorySource(bytes(4096)), PATIENCE, "tests.support.odd_worker")
    try:
        assert remote.root == 1
        with pytest.raises(Unreadable):
            remote.record(2 + number)
        told = remote.record(2).attributes
        assert told is not None
        assert told.mode == stat.S_IFREG | 0o644
    finally:
        remote.close()


def test_a_listing_with_an_odd_file_has_all_names() -> None:
    remote = RemoteFileSystem("odd", MemorySource(bytes(4096)), PATIENCE, "tests.support.odd_worker")
    try:
        page = remote.page(1, 0, 100)
        assert [entry.name for entry, _ in page.entries] == list(ODDITIES)
        assert remote.deaths == 1
    finally:
        remote.close()


def test_what_is_lost_is_lost_to_the_reader() -> None:
    source = MemorySource(bytes(4096), Extents([(100, 200)]))
    remote = RemoteFileSystem("odd", source, PATIENCE, "tests.support.odd_worker")
    try:
        with pytest.raises(Unreadable, match="byte 100 of the file system is lost"):
            assert remote.root
    finally:
        remote.close()


def test_a_folder_of_the_user_is_not_taken_for_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("raidfs", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    remote = RemoteFileSystem("odd", MemorySource(bytes(4096)), PATIENCE, "tests.support.odd_worker")
    try:
        assert remote.root == 1
    finally:
        remote.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file system of 300 files and two levels of directories."""
    folder = tmp_path_factory.mktemp("tree")
    for number in range(300):
        (folder / f"d{number % 5}").mkdir(exist_ok=True)
        (folder / f"d{number % 5}" / f"f{number}").write_bytes(b"%d" % number * (number * 20))
    image = folder.parent / "small.img"
    command = ("mkfs.ext4", "-q", "-b", "1024", "-O", "^metadata_csum", "-d", str(folder))
    return make(image, 16 << 20, *command)


def tree_of(device: ImageDevice, kind: str = "ext4") -> FileTree:
    """Return the files on a device."""
    return FileTree(RemoteFileSystem(kind, device), lambda _source, _extents: "good")


def test_changed_bits_in_metadata_cost_what_they_hit_and_end_nothing(small: Path) -> None:
    device = ImageDevice(small)
    tree = tree_of(device)
    assert sum(each.is_whole for each in visit(tree)) == 307  # and the root, and lost+found
    tree.close()
    chosen = random.Random(5)
    places = sorted(place + sector for place in device.places for sector in range(0, 65536, 512))
    used = [place for place in places if place + 512 <= device.size and any(device.read(place, 512))]
    n_whole = 0
    for _ in range(12):
        device.changed = {
            chosen.choice(used) + chosen.randrange(512): 1 << chosen.randrange(8)
            for _ in range(chosen.choice((1, 10, 100)))
        }
        tree = tree_of(device)
        n_whole += sum(each.is_whole for each in visit(tree))
        tree.close()
    assert n_whole > 12 * 150


def test_a_directory_of_which_a_block_is_lost_says_so(small: Path) -> None:
    device = ImageDevice(small)
    tree = tree_of(device)
    (inode,) = [entry.inode for entry, _ in tree.page(tree.root, 0).entries if entry.name == b"d3"]
    runs = tree_of_inode(tree, inode)
    tree.close()
    device.lost = Extents.span(runs, runs + 512)
    tree = tree_of(device)
    page = tree.page(inode, 0)
    assert page.lost > 0
    assert page.entries[-1][0].name == MARK
    assert page.total == len(page.entries)
    with pytest.raises(Unreadable, match="nobody knows whether it has this name"):
        tree.find(inode, b"f3")
    found = tree.find(inode, MARK)
    assert found is not None
    mark = tree.open(found[0])
    assert mark.known_losses(0, mark.size).total == mark.size == page.lost
    assert [each.path for each in visit(tree) if not each.is_whole] == [b"d3"]
    assert tree.health(inode) == ("lost", page.lost)
    tree.close()


def test_a_hole_in_a_directory_of_ext_hides_names(tmp_path: Path) -> None:
    (tmp_path / "tree" / "d").mkdir(parents=True)
    for number in range(60):
        (tmp_path / "tree" / "d" / f"{number:040}").touch()
    image = make(tmp_path / "image", 8 << 20, "mkfs.ext4", "-q", "-b", "1024", "-d", str(tmp_path / "tree"))
    subprocess.run(["/sbin/debugfs", "-w", "-R", "punch /d 1 2", image], check=True, capture_output=True)
    tree = tree_of(ImageDevice(image))
    (inode,) = [entry.inode for entry, _ in tree.page(tree.root, 0).entries if entry.name == b"d"]
    page = tree.page(inode, 0)
    tree.close()
    assert len(page.entries) < 60
    assert page.lost == 2048


def tree_of_inode(tree: FileTree, inode: int) -> int:
    """Return where a directory of one block or more begins [bytes]."""
    return tree.contents(inode).runs[0].place


def test_what_a_compressed_file_has_lost_is_known_before_it_is_read(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can fill the file system
    image = make(tmp_path / "image", 120 << 20, "mkfs.btrfs", "-q")
    with kernel_mount(image, tmp_path / "mnt", "compress=zstd") as folder:
        chosen = random.Random(1)
        parts = [b"much alike\n" * 30_000, chosen.randbytes(300_000), b"and again\n" * 40_000]
        (folder / "file").write_bytes(b"".join(parts))
        os.sync()
        with (folder / "file").open("r+b") as file:
            file.seek(50_000)
            file.write(b"x" * 5000)
    device = ImageDevice(image)
    tree = tree_of(device, "btrfs")
    (inode,) = [entry.inode for entry, _ in tree.page(tree.root, 0).entries]
    contents, size = tree.contents(inode), tree.attributes(inode).size
    assert contents.through
    assert contents.runs
    assert len(contents.packed) > 3
    assert tree.health(inode) == ("good", 0)
    for place in (contents.packed[0].place + 600, contents.packed[-1].place, contents.runs[0].place + 9000):
        tree.close()  # its reader keeps what it has read
        device.lost = Extents.span(place // 512 * 512, place // 512 * 512 + 512)
        source = tree.open(inode)
        failing = []
        for at in range(0, size, 4096):
            n = min(4096, size - at)
            if source.read_into(one_request(at, n), np.zeros(n, dtype=np.uint8)):
                failing.append((at, at + n))
        told = Visited(b"file", 0, size, tree.losses(inode)).failing
        assert told == Extents(failing)
        assert told
        assert tree.health(inode)[1] == tree.losses(inode).total
    tree.close()


def test_a_lost_inode_has_a_name_and_no_attributes(small: Path) -> None:
    device = ImageDevice(small)
    tree = tree_of(device)
    (inode,) = [entry.inode for entry, _ in tree.page(tree.root, 0).entries if entry.name == b"d2"]
    names = [entry for entry, _ in tree.page(inode, 0).entries]
    tree.close()
    victim: Name = names[10]
    table = next(place for place in range(0, device.size, 1024) if _is_table(device, place))
    at = table + (victim.inode - 1) * 256
    device.lost = Extents.span(at // 512 * 512, at // 512 * 512 + 512)
    tree = tree_of(device)
    lost = {entry.name for entry, record in tree.page(inode, 0).entries if record and record.attributes is None}
    assert victim.name in lost
    with pytest.raises(Unreadable):
        tree.attributes(victim.inode)
    tree.close()


def _is_table(device: ImageDevice, place: int) -> bool:
    """Tell whether the first table of inodes begins here: inode 2 is the root, a directory."""
    return device.read(place + 256, 2) == b"\xed\x41" and device.read(place + 256 + 26, 2) == b"\x08\x00"
