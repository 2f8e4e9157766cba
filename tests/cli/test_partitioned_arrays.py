"""A partition table on the first image: is it that of the disk, or does the array begin with it?

With metadata 0.90 and 1.0 an array begins where its members do, so that its partition table is seen on one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array, open_every_array
from raidfs.extents import Extents
from raidfs.image import open_image
from raidfs.partition import read_partitions
from tests.oracle.layouts import Geometry
from tests.oracle.superblock import superblock_offset
from tests.oracle.writer import write_array
from tests.support.disks import Slice, gpt_disk, mbr_disk
from tests.support.stacked import raid5

SECTOR = 512
CHUNK = 65536
ROWS = 12
COMPONENT = ROWS * CHUNK
N_DATA = 2

Table = Callable[[list[Slice], int], bytes]


def gpt(slices: list[Slice], size: int) -> bytes:
    return bytes(gpt_disk(slices, size // SECTOR))


def mbr(slices: list[Slice], size: int) -> bytes:
    return bytes(mbr_disk(slices, size))


every_table = pytest.mark.parametrize("table", [gpt, mbr])
at_the_end = pytest.mark.parametrize("metadata", ["0.90", "1.0"])


def inner_member(folder: Path) -> bytes:
    """A member of yet another array, which was made before the one on whose partition it lies was last written."""
    _, images = raid5(folder, 7)
    return images[1].read_bytes()


def partitioned(table: Table, size: int, inner: bytes) -> bytes:
    """A content that begins with a table; what its partitions hold looks like members, as far as one can see it.

    The first is within the first chunk, so that it is seen whole on the first member of any array; the others end
    behind the end of a member, and with the array.
    """
    slices = [
        Slice(64, 32, b"a small partition" * 100),
        Slice(512, len(inner) // SECTOR, inner),
        Slice(size // 2 // SECTOR, size // 2 // SECTOR - 64),
    ]
    return table(slices, size)


def opens_as_a_whole(paths: list[Path], truth: bytes) -> None:
    """The array is opened from the whole images, with or without some member, and nothing else is found."""
    with open_array([str(path) for path in paths]) as array:
        assert [member.path for member in array.description.members] == [str(path) for path in paths]
        assert read_exact(array.source, 0, array.source.size) == (truth, Extents())
        assert array.account().good == len(truth)
    for left in paths:
        with open_array([str(path) for path in paths if path != left]) as array:
            assert not any("#" in member.path for member in array.description.members)
            assert read_exact(array.source, 0, array.source.size) == (truth, Extents())
    with open_every_array([str(path) for path in paths]) as arrays:
        assert len(arrays) == 1


def shows_partitions(path: Path) -> int:
    """Return how many partitions an image seems to have."""
    image = open_image(str(path))
    try:
        return len(read_partitions(image, str(path))[0])
    finally:
        image.close()


@every_table
@at_the_end
def test_a_striped_array_that_begins_with_a_table(tmp_path: Path, table: Table, metadata: str) -> None:
    (tmp_path / "images").mkdir()
    content = partitioned(table, N_DATA * COMPONENT, inner_member(tmp_path / "inner"))
    array = write_array(Geometry(5, 2, 3, CHUNK), COMPONENT, data_offset=0, metadata=metadata, data=content)
    paths = array.save(tmp_path / "images")
    assert shows_partitions(paths[0]) >= 3
    opens_as_a_whole(paths, array.truth)


@every_table
@at_the_end
def test_a_pair_whose_members_all_begin_with_a_table(tmp_path: Path, table: Table, metadata: str) -> None:
    """A RAID5 of two members is a mirror."""
    (tmp_path / "images").mkdir()
    content = partitioned(table, COMPONENT, inner_member(tmp_path / "inner"))
    array = write_array(Geometry(5, 2, 2, CHUNK), COMPONENT, data_offset=0, metadata=metadata, data=content)
    paths = array.save(tmp_path / "images")
    assert min(shows_partitions(path) for path in paths) >= 3
    opens_as_a_whole(paths, array.truth)


@every_table
@at_the_end
def test_a_partition_that_ends_with_the_first_member_by_chance(tmp_path: Path, table: Table, metadata: str) -> None:
    """The superblock of the whole disk is then where one of that partition would be, too.

    But the table tells of more than this disk has.
    """
    probe = write_array(Geometry(5, 2, 3, CHUNK), COMPONENT, data_offset=0, metadata=metadata)
    end = len(probe.members[0].image)
    start = superblock_offset(metadata, end) % CHUNK + CHUNK
    slices = [Slice(start // SECTOR, (end - start) // SECTOR), Slice(end // SECTOR - 128, 256)]
    content = table(slices, N_DATA * COMPONENT)
    array = write_array(Geometry(5, 2, 3, CHUNK), COMPONENT, data_offset=0, metadata=metadata, data=content)
    paths = array.save(tmp_path)
    assert shows_partitions(paths[0]) >= 2
    if metadata == "0.90":  # 1.0 says where it lies
        with open_array([str(path) for path in paths]) as opened:
            assert any("its partition table tells of more" in finding.message for finding in opened.findings)
    opens_as_a_whole(paths, array.truth)


@every_table
@at_the_end
def test_members_in_partitions_that_end_with_the_disk(tmp_path: Path, table: Table, metadata: str) -> None:
    """The converse: the table is that of the disk, also where a superblock is seen from both."""
    array = write_array(Geometry(5, 2, 3, CHUNK), COMPONENT, data_offset=0, metadata=metadata)
    disks = []
    for member in array.members:
        start, size = 2048, len(member.image) // SECTOR
        content = table([Slice(start, size, bytes(member.image))], (start + size + (table is gpt) * 64) * SECTOR)
        disks.append(tmp_path / f"sd{member.device_number}.img")
        disks[-1].write_bytes(content)
    members = [f"{disk}#1" for disk in disks]
    with open_array([str(disk) for disk in disks]) as opened:
        assert [member.path for member in opened.description.members] == members
        assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())
    with open_array([str(disk) for disk in disks], Options(exclude=(members[1],))) as opened:
        assert [member.path for member in opened.description.members] == [members[0], members[2]]
        assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())
