"""Whose superblock is it: the whole disk's, or that of a partition."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.searching import members_on
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.image.raw import RawImage
from tests.oracle.labels import device_size
from tests.oracle.superblock import Superblock, build_v0, build_v1, superblock_offset
from tests.oracle.writer import Simulation
from tests.support.disks import Slice, gpt_disk, mbr_disk, write_table
from tests.support.stacked import CHUNK, OFFSET, raid5

MIB = 1 << 20


SECOND = 1_000_000


def superblock(size: int = 8 * MIB, *, data_offset: int = 0, created: int = 10, array: bytes = bytes(16)) -> Superblock:
    return Superblock(
        level=5,
        layout=2,
        chunk=CHUNK,
        raid_disks=3,
        component_size=size,
        device_number=0,
        device_roles=(0, 1, 2),
        data_offset=data_offset,
        data_size=size,
        array_uuid=array,
        created=created * SECOND,
        updated=(created + 10) * SECOND,
    )


def put(disk: bytearray, at: int, content: bytes) -> None:
    disk[at : at + len(content)] = content


def seen(folder: Path, disk: bytes | bytearray) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Return (name in the image, format, place) of what is found, and what is said."""
    path = folder / "disk.img"
    path.write_bytes(disk)
    image = RawImage(str(path))
    try:
        members, findings = members_on(image)
    finally:
        image.close()
    names = [(each.source.path.removeprefix(str(path)), each.found.metadata, each.place) for each in members]
    return names, [finding.message.replace(str(path), "DISK") for finding in findings]


def last_place(size: int) -> int:
    """Return where 0.90 lies in a device of that size."""
    return size // 65536 * 65536 - 65536


def test_what_is_seen_from_both_belongs_to_the_partition(tmp_path: Path) -> None:
    disk = mbr_disk([Slice(2048, 16 * 2048)], 17 * MIB)
    put(disk, last_place(17 * MIB), build_v0(superblock()))
    found, said = seen(tmp_path, disk)
    assert found == [("#1", "0.90", last_place(17 * MIB))]
    assert said == [
        "the superblock 0.90 on DISK would be right for the whole disk as well as for DISK#1: "
        "it is taken for that of the partition"
    ]


def test_a_component_that_has_no_room_in_the_partition_is_that_of_the_whole_disk(tmp_path: Path) -> None:
    disk = mbr_disk([Slice(2048, 16 * 2048)], 17 * MIB)
    put(disk, last_place(17 * MIB), build_v0(superblock(last_place(17 * MIB))))
    assert seen(tmp_path, disk) == ([("", "0.90", last_place(17 * MIB))], [])


def test_a_partition_that_the_image_cuts_has_no_superblock_at_its_end(tmp_path: Path) -> None:
    """The table is that of the array, whose first member this is."""
    disk = mbr_disk([Slice(2048, 40 * 2048)], 17 * MIB)
    put(disk, last_place(17 * MIB), build_v0(superblock()))
    assert seen(tmp_path, disk) == ([("", "0.90", last_place(17 * MIB))], [])


def test_1_0_knows_its_place(tmp_path: Path) -> None:
    disk = mbr_disk([Slice(2048, 16 * 2048)], 17 * MIB)
    place = 16 * MIB - 8192
    put(disk, MIB + place, build_v1(superblock(), place))
    assert seen(tmp_path, disk) == ([("#1", "1.0", MIB + place)], [])
    put(disk, MIB + place, build_v1(superblock(), MIB + place))
    assert seen(tmp_path, disk)[0] == [("", "1.0", MIB + place)]


def member_in(disk: bytearray, start: int, created: int = 10) -> None:
    """Put a member with metadata 1.2 at a byte."""
    put(disk, start + 4096, build_v1(superblock(4 * MIB, data_offset=MIB, created=created), 4096))


@pytest.mark.parametrize("metadata", ["0.90", "1.0", "1.2"])
def test_leftovers_on_the_whole_disk_do_not_hide_partitions(tmp_path: Path, metadata: str) -> None:
    disk = mbr_disk([Slice(2048, 8 * 2048)], 20 * MIB)
    member_in(disk, MIB, created=100)
    place = superblock_offset(metadata, 20 * MIB)
    old = superblock(created=1, array=b"some other array", data_offset=MIB if metadata == "1.2" else 0)
    put(disk, place, build_v0(old) if metadata == "0.90" else build_v1(old, place))
    assert seen(tmp_path, disk)[0] == [("", metadata, place), ("#1", "1.2", MIB + 4096)]


@pytest.mark.parametrize("metadata", ["0.90", "1.0"])
def test_the_partitions_of_an_array_are_not_those_of_its_first_member(tmp_path: Path, metadata: str) -> None:
    disk = mbr_disk([Slice(2048, 8 * 2048)], 20 * MIB)
    member_in(disk, MIB, created=15)
    place = superblock_offset(metadata, 20 * MIB)
    whole = superblock(16 * MIB, array=b"some other array")
    put(disk, place, build_v0(whole) if metadata == "0.90" else build_v1(whole, place))
    found, said = seen(tmp_path, disk)
    assert found == [("", metadata, place)]
    assert said == [
        "DISK is a member as a whole, and its partition table that of its array: what looks like another array's "
        "member in it (DISK#1) lies on the array; export that, and give the image, to read it"
    ]


def test_of_two_tables_that_show_one_member_the_first_counts(tmp_path: Path) -> None:
    disk = gpt_disk([Slice(2048, 8 * 2048), Slice(30000, 100)], 20 * 2048)
    write_table(disk, 0, [(0xFD, 2048, 9 * 2048), (0x83, 30000, 50)])
    member_in(disk, MIB)
    member_in(disk, 30000 * 512)
    assert [name for name, _, _ in seen(tmp_path, disk)[0]] == ["#1", "#2"]


def test_partitions_of_one_number_are_told_apart(tmp_path: Path) -> None:
    disk = gpt_disk([Slice(2048, 8 * 2048)], 20 * 2048)
    write_table(disk, 0, [(0xFD, 10 * 2048, 8 * 2048)])
    member_in(disk, MIB)
    member_in(disk, 10 * MIB)
    assert [name for name, _, _ in seen(tmp_path, disk)[0]] == ["#1", f"#1@{MIB}"]


def test_a_damaged_table_is_told_with_its_members(tmp_path: Path) -> None:
    disk = gpt_disk([Slice(2048, 8 * 2048)], 20 * 2048)
    disk[512 + 60] ^= 1
    assert seen(tmp_path, disk)[1] == []  # nothing here is ours
    member_in(disk, MIB)
    found, said = seen(tmp_path, disk)
    assert [name for name, _, _ in found] == ["#1"]
    assert said[0] == "DISK: the primary GPT is damaged: the checksum of its header is wrong"


@settings(max_examples=30)
@given(st.data())
def test_anything_at_the_places_of_superblocks_is_taken_or_left(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    disk = mbr_disk([Slice(64, 2000), Slice(2100, 1900)], 4 * MIB)
    for base, size in ((0, 4 * MIB), (64 * 512, 2000 * 512), (2100 * 512, 1900 * 512)):
        for metadata in ("0.90", "1.0", "1.1", "1.2"):
            place = superblock_offset(metadata, size)
            what = superblock(MIB // 2, data_offset=0 if metadata in ("0.90", "1.0") else 8192)
            raw = build_v0(what) if metadata == "0.90" else build_v1(what, place)
            if data.draw(st.booleans()):
                put(disk, base + place, raw[: data.draw(st.integers(0, len(raw)))])
    found, _ = seen(tmp_path_factory.mktemp("any"), disk)
    assert len({place for _, _, place in found}) == len(found)


@pytest.fixture
def disks(tmp_path: Path) -> tuple[Simulation, list[str]]:
    """A RAID5 whose members lie in partitions of different kinds of disks; and the disks."""
    array, images = raid5(tmp_path / "array", 5)
    members = [image.read_bytes() for image in images]
    length = len(members[0])
    whole = [
        bytes(gpt_disk([Slice(100, 8), Slice(64 * 8, length // 4096, members[0])], 2048, 4096)),
        bytes(mbr_disk([Slice(63, 100), Slice(2049, length // 512, members[1])], 4 * MIB)),
    ]
    extended = bytearray(4 * MIB)
    write_table(extended, 0, [(0x83, 64, 64), (0x0F, 2048, 4096)])
    write_table(extended, 2048 * 512, [(0xFD, 64, length // 512)])
    put(extended, (2048 + 64) * 512, members[2])
    paths = []
    for number, content in enumerate([*whole, bytes(extended)]):
        paths.append(tmp_path / f"sd{number}.img")
        paths[-1].write_bytes(content)
    return array, [str(path) for path in paths]


def test_members_on_disks_of_every_kind(disks: tuple[Simulation, list[str]]) -> None:
    array, paths = disks
    with open_array(paths) as opened:
        members = [member.path for member in opened.description.sources]
        assert members == [f"{paths[0]}#2", f"{paths[1]}#2", f"{paths[2]}#5"]
        assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())
    for left in range(3):
        with open_array([path for number, path in enumerate(paths) if number != left]) as opened:
            assert read_exact(opened.source, 0, opened.source.size) == (array.truth, Extents())


def test_a_partition_is_excluded_by_its_name(
    disks: tuple[Simulation, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, paths = disks
    monkeypatch.chdir(Path(paths[0]).parent)
    with open_array(paths, Options(exclude=("sd1.img#2",))) as opened:
        assert [member.path for member in opened.description.sources] == [f"{paths[0]}#2", f"{paths[2]}#5"]
    with open_array(paths, Options(exclude=(paths[1],))) as opened:
        assert len(opened.description.sources) == 2
    assert main(["examine", "--exclude", "sd1.img#7", *paths]) == 2
    assert "--exclude sd1.img#7: no member lies in such a partition" in capsys.readouterr().err
    assert main(["examine", "--exclude", "sd1.img#2", paths[1]]) == 2
    assert "every MEMBER is excluded" in capsys.readouterr().err


def test_every_name_that_is_printed_is_understood(disks: tuple[Simulation, list[str]], tmp_path: Path) -> None:
    """On a disk of large sectors the other reading of the table has its own first partition; both have names."""
    _, paths = disks
    content = bytearray(Path(paths[1]).read_bytes())[2049 * 512 :]
    for start, name in ((256, "#1"), (257, f"#1@{257 * 4096}")):  # at a whole MiB, and not
        large = bytearray(start * 4096) + content
        write_table(large, 0, [(0xFD, start, len(content) // 4096)])
        large += bytes(-len(large) % 4096)
        disk = tmp_path / "large.img"
        disk.write_bytes(large)
        given = [paths[0], str(disk), paths[2]]
        with open_array(given) as opened:
            printed = [member.path for member in opened.description.sources]
        assert printed[1] == f"{disk}{name}"
        for word in (printed[1], f"{disk}#1@{start * 4096}"):
            with open_array(given, Options(exclude=(word,))) as opened:
                assert [member.path for member in opened.description.sources] == [printed[0], printed[2]]
        kept = tmp_path / f"{start}.toml"
        assert main(["examine", "-q", "-o", str(kept), *given]) == 0
        kept.write_text(kept.read_text().replace(name, f"#1@{start * 4096}"))
        with open_array([], Options(array=str(kept))) as opened:
            assert len(opened.description.sources) == 3


def test_a_disk_that_was_cut_gives_what_is_there(disks: tuple[Simulation, list[str]]) -> None:
    array, paths = disks
    with open(paths[1], "r+b") as file:
        file.truncate(2049 * 512 + device_size(16 * CHUNK, OFFSET) // 2)
    with open_array([paths[0], paths[1]]) as opened:
        content, lost = read_exact(opened.source, 0, opened.source.size)
        assert 0 <= lost.total < opened.source.size
        for start, stop in Extents.span(0, len(content)).difference(lost):
            assert content[start:stop] == array.truth[start:stop]
        said = [finding.message for finding in opened.findings]
    assert any("behind the end of the image" in each for each in said)
