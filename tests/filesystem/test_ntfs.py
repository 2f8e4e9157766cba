"""What Windows compresses: its losses are known before anything is read, and are those that reading meets."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import Packed
from raidfs.filesystem.kinds import open_reader
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
