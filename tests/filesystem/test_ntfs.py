"""What Windows compresses: its losses are known before anything is read, and are those that reading meets.

And what the records of files tell where the index of a directory is damaged.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.errors import Damaged, Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import Packed
from raidfs.filesystem.kinds import open_reader
from raidfs.filesystem.ntfs_records import Records, parse_record
from tests.support.filesystems import ImageDevice

PAGE = 4096
UNIT = 16 * PAGE
FILES = {
    "text": "a16c6335a3694d33fca4ef43a3d7fa2db2e51f385208556d86f0eaf61c3705d8",
    "mixed": "d716dd6a06786d6cd1f6b6b0e73da76dc42d7154d733bc8b4cdb7e5c0543d303",
    "holes": "be214302e4b9792f8c5b35d973dea62093203b11e6e16ea29247569555201bbc",
}
"""In the folder `packed`, as ntfs-3g wrote them: each has units that are compressed, holes, or stored as they are."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ntfs") / "image"
    packed = Path(__file__).parent / "data" / "ntfs-packed.img.zst"
    subprocess.run(["zstd", "-dq", packed, "-o", path], check=True)
    return path


def numbers(image: Path) -> dict[str, int]:
    reader = open_reader("ntfs", ImageDevice(image))
    (folder,) = [each.inode for each in reader.names(reader.root).entries if each.name == b"packed"]
    return {each.name.decode(): each.inode for each in reader.names(folder).entries}


def lost_by(packed: tuple[Packed, ...], lost: Extents) -> Extents:
    return Extents().union(
        *(Extents.span(start, start + n) for start, n, place, size in packed if lost.overlaps(place, place + size))
    )


@pytest.mark.parametrize("name", FILES)
def test_units_of_a_compressed_file_fail_with_what_they_are_made_from(name: str, image: Path) -> None:
    inode = numbers(image)[name]
    reader = open_reader("ntfs", ImageDevice(image))
    size, contents = reader.attributes(inode).size, reader.contents(inode)
    data = reader.read(inode, 0, size)
    assert hashlib.sha256(data).hexdigest() == FILES[name]
    assert contents.through
    assert contents.packed
    assert all(start % UNIT == 0 and n == min(UNIT, size - start) for start, n, _, _ in contents.packed)
    for _, _, place, stored in contents.packed:
        for at in {place, place + stored - 512}:
            lost = Extents.span(at, at + 512)
            damaged = open_reader("ntfs", ImageDevice(image, lost))
            failed = []
            for start in range(0, size, PAGE):
                n = min(PAGE, size - start)
                try:
                    assert damaged.read(inode, start, n) == data[start : start + n]
                except Unreadable:
                    failed.append((start, start + n))
            assert Extents(failed) == lost_by(contents.packed, lost)


def index_blocks(image: Path) -> list[int]:
    """Return where blocks of indexes lie [bytes]."""
    data = image.read_bytes()
    return [at for at in range(0, len(data), PAGE) if data[at : at + 4] == b"INDX"]


def test_a_directory_whose_index_is_lost_is_listed_by_the_records_of_its_files(image: Path) -> None:
    whole = open_reader("ntfs", ImageDevice(image))
    expected, told = set(whole.names(whole.root).entries), whole.attributes(whole.root)
    assert b"packed" in {each.name for each in expected}
    lost = Extents((at + 1024, at + 1536) for at in index_blocks(image))
    reader = open_reader("ntfs", ImageDevice(image, lost))
    found = reader.names(reader.root)
    assert (set(found.entries), found.lost) == (expected, 0)
    now = reader.attributes(reader.root)
    assert stat.S_ISDIR(now.mode)
    assert (now.atime_ns, now.mtime_ns, now.ctime_ns) == (told.atime_ns, told.mtime_ns, told.ctime_ns)
    with pytest.raises(Damaged):
        reader.xattrs(reader.root)


def test_records_that_are_lost_too_may_be_of_any_directory(image: Path) -> None:
    table = image.read_bytes().index(b"FILE0")
    lost = Extents((at + 1024, at + 1536) for at in index_blocks(image))
    gone = table + 1024 * numbers(image)["text"]
    reader = open_reader("ntfs", ImageDevice(image, lost.union(Extents.span(gone, gone + 512))))
    found = reader.names(reader.root)
    assert b"packed" in {each.name for each in found.entries}
    assert found.lost == 1024


def file_record(name: bytes, n_characters: int) -> bytes:
    """A record whose name is said to have so many characters."""
    content = struct.pack("<Q56xBB", 5 | 7 << 48, n_characters, 1) + name
    head = struct.pack("<4sHHQHHHHIIQ", b"FILE", 48, 3, 0, 3, 1, 56, 3, 0, 1024, 0).ljust(48, b"\0")
    named = struct.pack("<IIBBHHHIHH", 0x30, 104, 0, 0, 0, 0, 0, len(content), 24, 0) + content.ljust(80, b"\0")
    raw = bytearray((head + b"\1\0" + bytes(6) + named + b"\xff" * 4).ljust(1024, b"\0"))
    raw[510:512] = raw[1022:1024] = b"\1\0"
    return bytes(raw)


@pytest.mark.parametrize(("name", "n_characters"), [(b"a", 1), (b"a\0b", 2), (b"a\0", 2), (b"", 0)])
def test_a_name_that_is_cut_off_is_damage(name: bytes, n_characters: int) -> None:
    assert parse_record(file_record(b"a\0", 1)) is not None
    with pytest.raises(Damaged):
        parse_record(file_record(name, n_characters))


class Table:
    """File records as a device, of which it is known how much was read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.n_read = data, len(data), 0

    def read(self, start: int, length: int) -> bytes:
        self.n_read += length
        return self.data[start : start + length]


def test_records_behind_those_that_are_looked_at_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raidfs.filesystem.ntfs_records._MOST", 64)
    table = Table(file_record(b"a\0", 1) * 1000)
    records = Records(table, [(0, 500 << 10), (500 << 10, 500 << 10)], 1024)
    assert records.n_bad == 1000 - 64
    assert records.get(63) is not None
    assert records.get(64) is None
    assert table.n_read == 64 << 10


@given(seed=st.integers(0, 1 << 60))
def test_a_record_with_any_bits_is_read_or_refused(seed: int) -> None:
    chance = Random(seed)
    name = "caf\u00e9".encode("utf-16-le")
    content = struct.pack("<Q56xBB", 5 | 7 << 48, 4, 1) + name
    head = (
        struct.pack("<4sHHQHHHHIIQ", b"FILE", 48, 3, 0, 3, 1, 56, 3, 0, 1024, 0).ljust(48, b"\0") + b"\1\0" + bytes(6)
    )
    standard = struct.pack("<IIBBHHHIHH4Q", 0x10, 56, 0, 0, 0, 0, 0, 32, 24, 0, 1, 2, 3, 4)
    named = struct.pack("<IIBBHHHIHH", 0x30, 104, 0, 0, 0, 0, 0, len(content), 24, 0) + content.ljust(80, b"\0")
    raw = bytearray((head + standard + named + b"\xff" * 4).ljust(1024, b"\0"))
    raw[510:512] = raw[1022:1024] = b"\1\0"
    found = parse_record(bytes(raw))
    assert found is not None
    assert (found.sequence, found.is_directory, found.times) == (3, True, (4, 2, 3))
    assert found.names == ((5, 7, "caf\u00e9".encode()),)
    for _ in range(chance.choice((1, 4, 40))):
        raw[chance.randrange(256)] ^= 1 << chance.randrange(8)
    try:
        parse_record(bytes(raw))
    except Damaged:
        return
