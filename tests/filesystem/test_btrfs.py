"""What is special about btrfs: names that are there twice, files in very many pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from raidfs.errors import Lost
from raidfs.extents import Extents
from raidfs.filesystem import btrfs_tree
from raidfs.filesystem.btrfs import BtrfsReader
from raidfs.filesystem.entry import Contents
from raidfs.filesystem.kinds import open_reader
from raidfs.filesystem.wire import unpack_record
from raidfs.filesystem.worker import Desk
from tests.support.filesystems import ImageDevice, make

MIB = 1 << 20
N_NAMES = 3000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file system with many names in a directory, and one copy of each block."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "tree" / "dir").mkdir(parents=True)
    for number in range(N_NAMES):
        (folder / "tree" / "dir" / name_of(number).decode()).touch()
    return make(folder / "image", 120 * MIB, "mkfs.btrfs", "-q", "-m", "single", "--rootdir", str(folder / "tree"))


def name_of(number: int) -> bytes:
    return b"name-%06d" % number


def directory_of(reader: BtrfsReader) -> int:
    (entry,) = reader.names(reader.root).entries
    return entry.inode


def opened(device: ImageDevice) -> BtrfsReader:
    reader = open_reader("btrfs", device)
    assert isinstance(reader, BtrfsReader)
    return reader


def test_what_is_told_of_files_is_looked_up_in_the_blocks_at_hand(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    get = btrfs_tree.Blocks.get

    def counted(blocks: btrfs_tree.Blocks, pointer: btrfs_tree.Pointer) -> btrfs_tree.Block:
        asked.append(pointer)
        return get(blocks, pointer)

    monkeypatch.setattr(btrfs_tree.Blocks, "get", counted)
    reader = opened(ImageDevice(many))
    desk = Desk(reader)
    names = reader.names(directory_of(reader)).entries
    for inode in sorted(each.inode for each in names):
        told = unpack_record(desk.answer({"op": "record", "inode": inode})[0]["record"])
        assert (told.attributes is not None, told.contents, told.xattrs) == (True, Contents(), {})
    assert len(names) == N_NAMES
    assert len(asked) < N_NAMES / 4


def test_a_directory_of_which_nothing_can_be_read_says_why(many: Path) -> None:
    device = ImageDevice(many)
    inode = directory_of(opened(device))
    reader = opened(device)
    device.lost = Extents.span(0, device.size)
    with pytest.raises(Lost):
        reader.names(inode)
