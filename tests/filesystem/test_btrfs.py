"""What is special about btrfs: names and data that are there twice, files in many pieces, devices that are missing."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import BlockSource, MemorySource, one_request
from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.extents import Extents
from raidfs.filesystem import btrfs_tree, btrfs_volume, remote
from raidfs.filesystem.btrfs import BtrfsReader
from raidfs.filesystem.entry import UNKNOWN, Attributes, Contents, Packed, Record, Run
from raidfs.filesystem.kinds import open_reader
from raidfs.filesystem.remote import RemoteFileSystem
from raidfs.filesystem.wire import unpack_contents, unpack_record
from raidfs.filesystem.worker import Desk
from raidfs.view.file_bytes import ThroughReader
from raidfs.view.files import FileTree
from tests.support.filesystems import ImageDevice, kernel_mount, make

MIB = 1 << 20
NODE = 16384
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


def blocks_of(image: Path, text: bytes) -> list[int]:
    """Return where blocks of trees begin that hold a text."""
    raw = image.read_bytes()
    found, at = set(), raw.find(text)
    while at >= 0:
        found.add(at // NODE * NODE)
        at = raw.find(text, at + 1)
    return sorted(found)


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


def test_names_in_a_block_that_is_lost_are_in_another(many: Path) -> None:
    blocks = blocks_of(many, name_of(1500))
    assert len(blocks) >= 3  # by number, by hash, and where the inode tells its name
    whole = {name_of(number) for number in range(N_NAMES)}
    hidden = []
    for block in blocks:
        device = ImageDevice(many)
        inode = directory_of(opened(device))
        device.lost = Extents.span(block + 512, block + 1024)
        reader = opened(device)
        names = reader.names(inode)
        assert names.lost == 0
        assert [each.name for each in names.entries].count(name_of(1500)) == 1
        assert {each.name for each in names.entries} == whole
        assert len(names.entries) == N_NAMES
        hidden.append(sum(isinstance(attributes_of(reader, each.inode), str) for each in names.entries))
    assert min(hidden) == 0
    assert max(hidden) > 0


def attributes_of(reader: BtrfsReader, inode: int) -> Attributes | str:
    try:
        return reader.attributes(inode)
    except Unreadable as error:
        return str(error)


def test_names_that_are_lost_twice_are_missed(many: Path) -> None:
    device = ImageDevice(many)
    inode = directory_of(opened(device))
    device.lost = Extents((block, block + 512) for block in blocks_of(many, name_of(1500)))
    names = opened(device).names(inode)
    found = [each.name for each in names.entries]
    assert names.lost >= NODE
    assert len(set(found)) == len(found) < N_NAMES
    assert len(found) > N_NAMES * 0.9
    assert set(found) < {name_of(number) for number in range(N_NAMES)}


def test_a_directory_of_which_nothing_can_be_read_says_why(many: Path) -> None:
    device = ImageDevice(many)
    inode = directory_of(opened(device))
    reader = opened(device)
    device.lost = Extents.span(0, device.size)
    with pytest.raises(Lost):
        reader.names(inode)


# -------------------------------------------------------------------------------------------- files in very many pieces


def test_a_file_in_many_pieces_is_told_in_parts_and_read_from_where_it_is_asked(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can fill the file system
    image = make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", "-q")
    with kernel_mount(image, tmp_path / "mnt", "compress-force=zstd") as folder:
        data = b"".join(b"%015d\n" % number for number in range(8 * MIB // 16))
        (folder / "file").write_bytes(data)
    reader = opened(ImageDevice(image))
    inode = directory_of(reader)
    whole = reader.contents(inode)
    assert len(whole.packed) == 64
    assert [each.start for each in whole.packed] == list(range(0, 8 * MIB, 128 << 10))
    parts: list[Packed] = []
    rest: int | None = 0
    while rest is not None:
        part, rest = reader.part(inode, rest, 10)
        assert part.through
        assert len(part.packed) <= 10
        parts += part.packed
    assert tuple(parts) == whole.packed
    for at in (0, 5000, (128 << 10) - 8, 5 * MIB + 3):
        assert reader.read(inode, at, 70_000) == data[at : at + 70_000]
    seen: list[int] = []
    places = reader._places

    def counted(address: int, length: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        seen.append(address)
        return places(address, length)

    reader._places = counted  # type: ignore[method-assign]  # to see how much is looked at
    record = unpack_record(Desk(reader).answer({"op": "record", "inode": inode})[0]["record"])
    assert record.contents is None
    assert len(seen) <= 32
    answer, _ = Desk(reader).answer({"op": "contents", "inode": inode, "start": 0})
    assert unpack_contents(answer["contents"]) == whole
    assert answer["rest"] is None


def test_what_a_lost_block_of_the_tree_tells_of_a_file_is_missing_and_the_rest_is_there(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can fill the file system
    image = make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", "-q", "-m", "single")
    n = 2000
    with kernel_mount(image, tmp_path / "mnt", "rw") as folder, (folder / "file").open("wb") as file:
        for number in range(n):
            file.seek(number * 8192)
            file.write(b"%04d" % number * 1024)
    device = ImageDevice(image)
    reader = opened(device)
    inode = directory_of(reader)
    whole = reader.contents(inode).runs
    assert len(whole) == n
    places = {place for place in device.places if place % NODE == 0 and place + NODE <= device.size}
    n_hidden = []
    for place in sorted(places):
        device.lost = Extents.span(place, place + 512)
        try:
            reader = opened(device)
            runs = reader.contents(inode).runs
        except Unreadable:
            continue  # what leads to the file
        hidden = Extents((start, start + length) for start, length, at in runs if at == UNKNOWN)
        assert [each for each in runs if each.place != UNKNOWN] == [each for each in whole if each in runs]
        assert all(each in runs or hidden.contains(each.start, each.start + 4096) for each in whole)
        n_hidden.append(sum(each not in runs for each in whole))
        for start, length in ((each.start, each.length) for each in whole[::100]):
            if hidden.overlaps(start, start + length):
                with pytest.raises(Lost):
                    reader.read(inode, start, length)
            else:
                assert reader.read(inode, start, length) == b"%04d" % (start // 8192) * 1024
    assert any(0 < each < n / 2 for each in n_hidden)


class InPieces(RemoteFileSystem):
    """A file system with one file in many pieces, which are told one by one."""

    def __init__(self, source: BlockSource, n_pieces: int, *, through: bool) -> None:
        """Have that many."""
        super().__init__("btrfs", source)
        self.n_pieces, self.through = n_pieces, through
        self.asked: list[int] = []

    def record(self, inode: int) -> Record:
        """Return a record without contents."""
        return Record(Attributes(inode, 0o100644, 1, 0, 0, (0, 0), self.n_pieces * 4096, 0, 0, 0, 0), None, {})

    def part(self, inode: int, start: int = 0) -> tuple[Contents, int | None]:
        """Return one piece."""
        self.asked.append(start)
        rest = start + 4096 if start + 4096 < self.n_pieces * 4096 else None
        if self.through:
            return Contents(through=True, packed=(Packed(start, 4096, start // 4096 * 512, 512),)), rest
        return Contents((Run(start, 4096, start),)), rest

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return some bytes."""
        return b"r" * length


def tree_over(system: RemoteFileSystem) -> FileTree:
    return FileTree(system, lambda *_: "good")


def test_a_file_that_goes_through_the_reader_is_opened_without_its_whole_map() -> None:
    system = InPieces(MemorySource(bytes(8192), Extents.span(1024, 1030)), 8, through=True)
    source = tree_over(system).open(2)
    out = np.zeros(100, dtype=np.uint8)
    assert not source.read_into(one_request(30_000, 100), out)
    assert out.tobytes() == b"r" * 100
    assert system.asked == [0]
    assert tree_over(system).losses(2) == Extents.span(8192, 12288)
    assert system.asked[-1] == 7 * 4096


def test_what_nobody_knows_of_a_file_that_goes_through_the_reader_is_lost() -> None:
    system = InPieces(MemorySource(bytes(1 << 16)), 16, through=True)
    runs = (Run(4096, 4096, UNKNOWN), Run(12288, 1 << 62, UNKNOWN), Run(1 << 40, 4096, 0))
    packed = (Packed(0, 4096, 0, 512), Packed(8192, 4096, UNKNOWN, 512))
    source = ThroughReader(system, 2, 1 << 16, Contents(runs, None, through=True, packed=packed))
    assert source.known_losses(0, source.size) == Extents.span(4096, 1 << 16)


@pytest.mark.parametrize("through", [False, True])
def test_a_file_in_too_many_pieces_is_read_and_its_losses_are_not_told(
    through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = InPieces(MemorySource(bytes(1 << 16)), 16, through=through)
    assert tree_over(system).losses(2) == Extents()
    monkeypatch.setattr(remote, "_MOST_PIECES", 4)
    source = tree_over(system).open(2)
    assert isinstance(source, ThroughReader)
    out = np.zeros(100, dtype=np.uint8)
    assert not source.read_into(one_request(30_000, 100), out)
    assert out.tobytes() == b"r" * 100
    with pytest.raises(Unreadable, match="more than 4 pieces"):
        tree_over(system).losses(2)


# ------------------------------------------------------------------------------------------- devices that are missing


@contextmanager
def attached(images: list[Path]) -> Iterator[list[str]]:
    """Attach images as loop devices (root only)."""
    with ExitStack() as stack:
        devices = []
        for image in images:
            done = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=True)
            devices.append(done.stdout.strip())
            stack.callback(subprocess.run, ["losetup", "-d", devices[-1]], check=True)
        yield devices


@pytest.mark.parametrize("profile", ["single", "raid0", "raid1"])
def test_a_file_system_of_which_a_device_is_missing_shows_what_is_on_the_others(profile: str, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can fill the file system
    images = [tmp_path / "one", tmp_path / "other"]
    for image in images:
        with image.open("wb") as file:
            file.truncate(160 * MIB)
    subprocess.run(["mkfs.btrfs", "-q", "-d", profile, "-m", "raid1", *images], check=True, capture_output=True)
    data = {f"file-{number}": os.urandom(size) for number, size in enumerate([90_000, 1000, 3 * MIB, 500_000] * 8)}
    with attached(images) as devices:
        subprocess.run(["btrfs", "device", "scan", *devices], check=True, capture_output=True)
        folder = tmp_path / "mnt"
        folder.mkdir()
        subprocess.run(["mount", "-o", f"device={devices[1]}", devices[0], folder], check=True)
        try:
            for name, true in data.items():
                (folder / name).write_bytes(true)
                if len(true) > MIB:
                    os.sync()  # the file system has to find a place for each by itself
        finally:
            subprocess.run(["umount", folder], check=True)
            subprocess.run(["btrfs", "device", "scan", "--forget", *devices], check=False, capture_output=True)
    served: dict[str, list[int]] = {}
    for image in images:
        device = ImageDevice(image)
        reader = opened(device)
        names = reader.names(reader.root)
        assert {each.name.decode() for each in names.entries} == set(data)
        for each in names.entries:
            true = data[each.name.decode()]
            contents = reader.contents(each.inode)
            if contents.inline is not None:
                assert contents.inline == true
                continue
            n_served = 0
            for start, length, place in contents.runs:
                if place != UNKNOWN:
                    n = min(length, len(true) - start)
                    assert device.read(place, n) == true[start : start + n]
                    n_served += n
            assert sum(length for _, length, _ in contents.runs) >= len(true)
            served.setdefault(each.name.decode(), []).append(n_served)
    for name, parts in served.items():
        assert sum(parts) == len(data[name]) * (2 if profile == "raid1" else 1)
    assert any(parts[0] for parts in served.values())
    assert any(parts[1] for parts in served.values())


# ------------------------------------------------------------------------------------------------------- second copies


@pytest.mark.parametrize("compressed", [False, True])
def test_second_copies_of_data_stand_for_lost_ones(compressed: bool, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can fill the file system
    image = make(tmp_path / "image", 300 * MIB, "mkfs.btrfs", "-q", "-d", "dup")
    data = b"".join(b"%07d\n" % number for number in range(40_000))
    with kernel_mount(image, tmp_path / "mnt", "compress-force=zstd" if compressed else "rw") as folder:
        (folder / "file").write_bytes(data)
    device = ImageDevice(image)
    reader = opened(device)
    inode = directory_of(reader)
    contents = reader.contents(inode)
    assert contents.through == compressed
    assert contents.twins
    place, _, other = contents.twins[0]
    for lost, n_lost in (
        ([], 0),
        ([(place + 512, place + 1024)], 0),
        ([(other + 512, other + 1024)], 0),
        ([(place + 512, place + 1024), (other + 1024, other + 1536)], 0),
        ([(place + 512, place + 1536), (other + 1024, other + 2048)], 128 << 10 if compressed else 512),
    ):
        device.lost = Extents(lost)
        tree = FileTree(RemoteFileSystem("btrfs", device), worst_in(device))
        try:
            source = tree.open(inode)
            out = np.zeros(len(data), dtype=np.uint8)
            gone = source.read_into(one_request(0, len(data)), out)
            told = tree.losses(inode)
            assert told.total == n_lost
            assert gone == told
            assert tree.health(inode) == ("lost" if n_lost else "good", n_lost)
            if not n_lost:
                assert out.tobytes() == data
        finally:
            tree.close()


def worst_in(device: ImageDevice) -> Callable[[BlockSource, Extents], str]:
    return lambda _, extents: "lost" if extents.intersection(device.lost) else "good"


def test_two_copies_of_a_block_of_a_tree_make_one(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(20):
        (tmp_path / "tree" / f"file-{number}").touch()
    options = ("-q", "-m", "dup", "--rootdir", str(tmp_path / "tree"))
    device = ImageDevice(make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", *options))
    whole = opened(device).names(opened(device).root)
    one, other = blocks_of(tmp_path / "image", b"file-13")
    device.lost = Extents([(one, one + 4096), (other + 4096, other + NODE)])
    assert opened(device).names(opened(device).root) == whole


# --------------------------------------------------------------------------------------------------------------- damage


def test_whatever_trees_say_something_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums keep most of this away; here they are not looked at."""
    monkeypatch.setattr(btrfs_volume.Volume, "_check", lambda *_: None)
    (tmp_path / "tree" / "dir").mkdir(parents=True)
    for number in range(30):
        (tmp_path / "tree" / "dir" / f"file-{number}").write_bytes(b"%d" % number * (number * 40))
    (tmp_path / "tree" / "link").symlink_to("dir")
    options = ("-q", "-m", "single", "--rootdir", str(tmp_path / "tree"))
    device = ImageDevice(make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", *options))
    n_answers = asked_for_everything(device)
    raw = (tmp_path / "image").read_bytes()
    blocks = [place for place in device.places if place % 4096 == 0 and place > 68 << 10]
    places = [place for block in blocks for place in range(block + 80, min(block + NODE, len(raw))) if raw[place]]
    for seed in range(200):
        chosen = random.Random(seed)
        device.changed = {chosen.choice(places): chosen.randrange(1, 256) for _ in range(chosen.choice((1, 2, 5)))}
        with suppress(Unreadable):
            asked_for_everything(device)
    assert n_answers > 30 * 5


def asked_for_everything(device: ImageDevice) -> int:
    """Ask all that can be asked; returns the number of answers."""
    reader = opened(device)
    desk, waiting, seen, n_answers = Desk(reader), [reader.root], {reader.root}, 0
    while waiting:
        inode = waiting.pop()
        for request in (
            {"op": "list", "start": 0, "count": 512, "full": True},
            {"op": "record"},
            {"op": "contents", "start": 0},
            {"op": "read", "offset": 3000, "length": 5000},
            {"op": "target"},
            {"op": "xattrs"},
        ):
            with suppress(Unreadable):
                answer, _ = desk.answer({**request, "inode": inode})
                n_answers += 1
                found = {each[1] for each in answer.get("entries", ())} - seen
                waiting += found
                seen |= found
    return n_answers


def test_what_is_too_large_for_its_metadata_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btrfs_volume.Volume, "_check", lambda *_: None)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"d" * 1234)
    options = ("-q", "-m", "single", "--rootdir", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", *options)
    device = ImageDevice(image)
    reader = opened(device)
    inode = directory_of(reader)
    assert reader.contents(inode).inline == b"d" * 1234
    size = (1234).to_bytes(8, "little")
    raw, at = image.read_bytes(), -1
    while (at := raw.find(size, at + 1)) >= 0:
        device.changed[at + 5] = 1  # some of it is the size of the inode: now a terabyte
    with pytest.raises(Damaged, match="too large for what lies in its metadata"):
        opened(device).contents(inode)
