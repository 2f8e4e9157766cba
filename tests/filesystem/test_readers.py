"""Readers against the kernel: every name, attribute and byte of file systems that mkfs made and the kernel filled."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from raidfs.errors import Damaged, Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import UNKNOWN, Contents, Names, Reader, Run
from raidfs.filesystem.ext import ExtReader
from raidfs.filesystem.ext_inode import INDEX
from raidfs.filesystem.kinds import open_reader
from raidfs.filesystem.wire import bytes_of, unpack_record
from raidfs.filesystem.worker import Desk
from raidfs.filesystem.xfs import XfsReader
from raidfs.filesystem.xfs_names import torn_names
from tests.support.filesystems import ImageDevice, fill, kernel_mount, make

MIB = 1 << 20
MADE = {
    "ext2": (32 * MIB, "ext2", ("mkfs.ext2", "-q", "-b", "1024", "-O", "large_file"), "ro"),
    "ext3": (48 * MIB, "ext3", ("mkfs.ext3", "-q", "-b", "4096"), "ro,noload"),
    "ext4": (32 * MIB, "ext4", ("mkfs.ext4", "-q"), "ro,noload"),
    "ext4 with data in inodes": (32 * MIB, "ext4", ("mkfs.ext4", "-q", "-O", "inline_data"), "ro,noload"),
    "ext4 in clusters": (64 * MIB, "ext4", ("mkfs.ext4", "-q", "-O", "bigalloc", "-C", "16384"), "ro,noload"),
    "ext4 as it was": (32 * MIB, "ext4", ("mkfs.ext4", "-q", "-I", "128", "-O", "^metadata_csum,^64bit"), "ro,noload"),
    "ext4 in meta groups": (64 * MIB, "ext4", ("mkfs.ext4", "-q", "-O", "meta_bg,^resize_inode"), "ro,noload"),
    "xfs": (320 * MIB, "xfs", ("mkfs.xfs", "-q"), "ro,norecovery"),
    "xfs with small blocks": (
        320 * MIB,
        "xfs",
        ("mkfs.xfs", "-q", "-b", "size=1024", "-n", "size=8192"),
        "ro,norecovery",
    ),
    "btrfs": (120 * MIB, "btrfs", ("mkfs.btrfs", "-q"), "ro"),
    "btrfs, compressed": (120 * MIB, "btrfs", ("mkfs.btrfs", "-q"), "ro"),
}
"""What is made: its size, its kind, the command, and how the kernel mounts it to be compared."""


@pytest.mark.parametrize("name", MADE)
def test_everything_is_as_the_kernel_has_it(name: str, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can ask the kernel
    size, kind, command, options = MADE[name]
    image = make(tmp_path / "image", size, *command)
    with kernel_mount(image, tmp_path / "mnt", "compress-force=zstd" if "compressed" in name else "rw") as folder:
        fill(folder)
    with kernel_mount(image, tmp_path / "mnt", options) as folder:
        device = ImageDevice(image)
        reader = open_reader(kind, device)
        n_compared = 0
        for path, inode in walk(reader, reader.root, folder):
            compare(reader, device, inode, path)
            n_compared += 1
        assert n_compared > 300


def walk(reader: Reader, inode: int, folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield (path in the kernel's mount, inode of ours) of everything below a directory."""
    names = reader.names(inode)
    assert names.lost == 0
    assert sorted(each.name for each in names.entries) == sorted(os.listdir(os.fsencode(folder)))
    for each in names.entries:
        path = folder / os.fsdecode(each.name)
        assert each.type == stat.S_IFMT(path.lstat().st_mode)
        yield path, each.inode
        if each.type == stat.S_IFDIR:
            yield from walk(reader, each.inode, path)


def compare(reader: Reader, device: ImageDevice, inode: int, path: Path) -> None:
    """Compare one file."""
    told, true = reader.attributes(inode), path.lstat()
    assert (told.mode, told.n_links, told.uid, told.gid) == (true.st_mode, true.st_nlink, true.st_uid, true.st_gid)
    assert (told.atime_ns, told.mtime_ns, told.ctime_ns) == (true.st_atime_ns, true.st_mtime_ns, true.st_ctime_ns)
    assert os.makedev(*told.device) == true.st_rdev
    names = os.listxattr(path, follow_symlinks=False)
    xattrs = {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in names}
    # the kernel shows root the ACLs of XFS a second time, in the form in which they are stored
    assert reader.xattrs(inode) == {name: value for name, value in xattrs.items() if b"SGI_ACL" not in name}
    if stat.S_ISLNK(true.st_mode):
        assert os.fsdecode(reader.target(inode)) == os.readlink(path)
    if stat.S_ISREG(true.st_mode):
        assert told.size == true.st_size
        with path.open("rb") as file:
            assert_same(reader, device, inode, reader.contents(inode), file.fileno())


def assert_same(reader: Reader, device: ImageDevice, inode: int, contents: Contents, fd: int) -> None:
    """Compare the bytes of a file, but most of those of its holes."""
    size = os.fstat(fd).st_size
    if contents.inline is not None or contents.through:
        data = reader.read(inode, 0, size) if contents.inline is None and size < 64 * MIB else contents.inline
        assert data is None or data == os.pread(fd, size, 0)
        return
    at = 0
    for start, length, place in contents.runs:
        assert place != UNKNOWN
        end = min(start + length, size)
        assert os.pread(fd, min(start - at, MIB), at) == bytes(min(start - at, MIB))
        assert os.pread(fd, end - start, start) == device.read(place, end - start)
        at = end
    assert os.pread(fd, min(size - at, MIB), at) == bytes(min(size - at, MIB))


def test_what_is_no_file_system_is_refused_by_every_reader(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(1 << 20))
    for kind in ("ext4", "xfs", "btrfs", "ntfs", "vfat", "exfat"):
        with pytest.raises(Unreadable):
            open_reader(kind, ImageDevice(image))


@pytest.mark.parametrize("options", [("-n", "ftype=0"), ("-n", "ftype=1"), ("-n", "size=8192", "-b", "size=2048")])
def test_xfs_of_version_4_which_new_kernels_do_not_mount(options: tuple[str, ...], tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "data").write_bytes(data)
    names = [f"name-{number:05}-{'q' * (number % 60)}" for number in range(2000)]
    lines = ["/dev/null", "0 0", "d--755 0 0", f"data -u-644 5 6 {tmp_path / 'data'}"]
    lines += ["link l--777 0 0 some/target", f"long l--777 0 0 {'t' * 900}", "disk b--640 0 0 8 17", "pipe p--600 0 0"]
    lines += ["many d--711 7 8", *(f"{name} ---600 0 0 /dev/null" for name in names), "$", "$"]
    (tmp_path / "proto").write_text("\n".join(lines) + "\n")
    command = ("mkfs.xfs", "-q", "-m", "crc=0", *options, "-p", str(tmp_path / "proto"))
    device = ImageDevice(make(tmp_path / "image", 320 * MIB, *command))
    reader = open_reader("xfs", device)
    found = {each.name.decode(): each.inode for each in reader.names(reader.root).entries}
    assert set(found) == {"data", "link", "long", "disk", "pipe", "many"}
    told = {name: reader.attributes(inode) for name, inode in found.items()}
    assert (told["data"].mode, told["data"].uid, told["data"].gid) == (0o104644, 5, 6)
    assert (told["disk"].type, told["disk"].device) == (stat.S_IFBLK, (8, 17))
    assert (told["pipe"].type, told["many"].mode) == (stat.S_IFIFO, 0o40711)
    assert (reader.target(found["link"]), reader.target(found["long"])) == (b"some/target", b"t" * 900)
    runs = reader.contents(found["data"]).runs
    assert b"".join(device.read(place, length) for _, length, place in runs)[: len(data)] == data
    assert sorted(each.name.decode() for each in reader.names(found["many"]).entries) == names


def test_an_index_that_leaves_no_room_for_names_hides_them_and_says_so(tmp_path: Path) -> None:
    lines = ["/dev/null", "0 0", "d--755 0 0", *(f"name{number:050} ---600 0 0 /dev/null" for number in range(30)), "$"]
    (tmp_path / "proto").write_text("\n".join((*lines, "")))
    image = make(tmp_path / "image", 320 * MIB, "mkfs.xfs", "-q", "-m", "crc=0", "-p", str(tmp_path / "proto"))
    device = ImageDevice(image)
    reader = open_reader("xfs", device)
    assert isinstance(reader, XfsReader)
    (run,) = reader._runs(reader._inode(reader.root).data, 1)
    assert len(reader.names(reader.root).entries) == 30
    device.changed = {run.place + 4096 - 6: 0x80}  # of 32 entries there are 32,800 now
    assert reader.names(reader.root) == Names((), 4096)


@pytest.mark.parametrize("version", [("-m", "crc=0"), ("-m", "crc=1")])
@pytest.mark.parametrize("size", [4096, 16384])
def test_names_around_a_lost_sector_of_xfs_are_shown(version: tuple[str, str], size: int, tmp_path: Path) -> None:
    names = [b"name%050d" % number for number in range(40)]
    lines = ["/dev/null", "0 0", "d--755 0 0", *(f"{name.decode()} ---600 0 0 /dev/null" for name in names), "$", ""]
    (tmp_path / "proto").write_text("\n".join(lines))
    command = ("mkfs.xfs", "-q", *version, "-n", f"size={size}", "-p", str(tmp_path / "proto"))
    image = make(tmp_path / "image", 320 * MIB, *command)
    raw = image.read_bytes()
    at = raw.index(names[0]) // size * size
    # an entry begins 9 bytes before its name, and ends 3 or 4 behind it, padded to 8
    places = [raw.index(name, at) - at - 9 for name in names]
    for sector in range(size // 512):
        start, stop = 512 * sector, 512 * sector + 512
        device = ImageDevice(image, Extents.span(at + start, at + stop))
        reader = open_reader("xfs", device)
        found = reader.names(reader.root)
        shown = [each.name for each in found.entries]
        whole = [name for name, place in zip(names, places, strict=True) if place + 72 <= start or place >= stop]
        assert shown == whole
        assert found.lost or shown == names
        if stop <= places[-1]:
            assert found.lost <= 512 + 2 * 72


def test_names_in_gaps_of_xfs_are_none_even_if_a_lost_sector_hides_where_the_gap_begins(tmp_path: Path) -> None:
    image = make(tmp_path / "image", 320 * MIB, "mkfs.xfs", "-q")
    told = open_reader("xfs", ImageDevice(image))
    assert isinstance(told, XfsReader)

    def entry(at: int, tag: int | None = None) -> bytes:
        return (
            struct.pack(">QB", 130 + at, 12) + b"name%08d" % at + b"\1" + struct.pack(">H", at if tag is None else tag)
        )

    n, block = len(entry(0)), bytearray(4096)
    assert n == 24
    # names in a row, and a gap that was made of 40 of them: of its names all but the ends are still there
    gap = (600, 600 + 40 * n)
    for at in range(600 - 20 * n, 4096 - 40, n):
        block[at : at + n] = entry(at, gap[0] if at == gap[1] - n else None)
    end = at + n
    block[gap[0] : gap[0] + 4] = struct.pack(">HH", 0xFFFF, gap[1] - gap[0])
    block[end:] = struct.pack(">HH", 0xFFFF, 4096 - end).ljust(4096 - end - 2, b"\0") + struct.pack(">H", end)
    for start in range(512, 4096, 512):
        names, bad = torn_names(bytes(block), frozenset(range(start // 512)), told._super)
        places = [int(each.name[4:]) for each in names]
        first = next(place for place in range(600 - 20 * n, 4096, n) if place >= start and not gap[0] < place < gap[1])
        assert places == [place for place in range(first, end, n) if not gap[0] <= place < gap[1]]
        assert bad == first


@pytest.mark.parametrize("magic", [b"XDD3", b"XDB3"])
def test_names_of_xfs_are_not_lost_in_silence_where_the_end_of_a_block_makes_no_sense(
    magic: bytes, tmp_path: Path
) -> None:
    """Behind the lost first sector lies one gap, and what looks like the tail of a block is left of a name in it."""
    told = open_reader("xfs", ImageDevice(make(tmp_path / "image", 320 * MIB, "mkfs.xfs", "-q")))
    assert isinstance(told, XfsReader)
    block = bytearray(magic.ljust(4096, b"\0"))
    block[-8:] = b"name" + b"\0\0" + struct.pack(">H", 256)
    assert torn_names(bytes(block), frozenset({0}), told._super) == ([], 4096)
    names, lost = torn_names(bytes(block), frozenset({3}), told._super)
    assert not names
    assert lost >= 4096 - 64


def test_an_inode_of_xfs_is_of_the_version_of_its_file_system(tmp_path: Path) -> None:
    """Inodes of earlier versions have no checksum: with a flipped bit there a wrong map was believed."""
    (tmp_path / "proto").write_text("/dev/null\n0 0\nd--755 0 0\nfile ---600 0 0 /dev/null\n$\n")
    for crc in (0, 1):
        command = ("mkfs.xfs", "-q", "-m", f"crc={crc}", "-p", str(tmp_path / "proto"))
        device = ImageDevice(make(tmp_path / "image", 320 * MIB, *command))
        reader = open_reader("xfs", device)
        assert isinstance(reader, XfsReader)
        (entry,) = reader.names(reader.root).entries
        place = reader._super.place_of_inode(entry.inode)
        for flip in (1, 2):
            device.changed = {place + 4: flip}  # of version 3: to 2 and 1, and of version 2: to 3 and 0
            with pytest.raises(Damaged):
                open_reader("xfs", device).attributes(entry.inode)


def test_of_inodes_of_xfs_that_are_checked_together_the_damaged_one_fails(tmp_path: Path) -> None:
    names = [f"name{number:02}" for number in range(40)]
    lines = ["/dev/null", "0 0", "d--755 0 0", *(f"{name} ---600 0 0 /dev/null" for name in names), "$", ""]
    (tmp_path / "proto").write_text("\n".join(lines))
    device = ImageDevice(make(tmp_path / "image", 320 * MIB, "mkfs.xfs", "-q", "-p", str(tmp_path / "proto")))
    reader = open_reader("xfs", device)
    assert isinstance(reader, XfsReader)
    inodes = {each.name: each.inode for each in reader.names(reader.root).entries}
    device.changed = {reader._super.place_of_inode(inodes[b"name07"]) + 8: 1}  # its owner
    answer, _ = Desk(open_reader("xfs", device)).answer(
        {"op": "list", "inode": reader.root, "start": 0, "count": 99, "full": True}
    )
    told = {name: unpack_record(record) for name, _, _, record in answer["entries"]}
    assert sorted(told) == names
    assert "checksum of inode" in told.pop("name07").why
    assert {each.attributes for each in told.values()} == {
        reader.attributes(inode) for name, inode in inodes.items() if name != b"name07"
    }


def test_what_is_of_no_kind_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "proto").write_text("/dev/null\n0 0\nd--755 0 0\nfile ---600 0 0 /dev/null\n$\n")
    image = make(tmp_path / "image", 320 * MIB, "mkfs.xfs", "-q", "-m", "crc=0", "-p", str(tmp_path / "proto"))
    device = ImageDevice(image)
    reader = open_reader("xfs", device)
    assert isinstance(reader, XfsReader)
    (entry,) = reader.names(reader.root).entries
    device.changed = {reader._super.place_of_inode(entry.inode) + 2: 0x10}
    answer, _ = Desk(open_reader("xfs", device)).answer({"op": "record", "inode": entry.inode})
    record = unpack_record(answer["record"])
    assert record.attributes is None
    assert "of no kind" in record.why


def test_blocks_of_xfs_that_belong_elsewhere_are_damaged(tmp_path: Path) -> None:
    lines = ["/dev/null", "0 0", "d--755 0 0"]
    for letter in "ab":
        names = (f"{letter}{number:050} ---600 0 0 /dev/null" for number in range(40))
        lines += [f"d{letter} d--755 0 0", *names, "$"]
    (tmp_path / "proto").write_text("\n".join((*lines, "$", "")))
    image = make(tmp_path / "image", 320 * MIB, "mkfs.xfs", "-q", "-p", str(tmp_path / "proto"))
    reader = open_reader("xfs", ImageDevice(image))
    assert isinstance(reader, XfsReader)
    found = {each.name: each.inode for each in reader.names(reader.root).entries}
    assert len(reader.names(found[b"da"]).entries) == 40
    data = bytearray(image.read_bytes())
    one, other = (reader._runs(reader._inode(found[name]).data, 1)[0].place for name in (b"da", b"db"))
    data[one : one + 4096], data[other : other + 4096] = data[other : other + 4096], data[one : one + 4096]
    image.write_bytes(data)
    reader = open_reader("xfs", ImageDevice(image))
    assert reader.names(found[b"da"]) == reader.names(found[b"db"]) == Names((), 4096)


@pytest.mark.parametrize("features", ["extent", "^extent,^64bit"])
def test_a_size_that_no_map_can_reach_is_damaged(features: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"12345")
    options = ("-b", "1024", "-O", f"{features},^metadata_csum", "-d", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 8 * MIB, "mkfs.ext4", "-q", *options)
    for size, is_right in ((3 << 32, True), (5 << 52, False)):
        command = ["/sbin/debugfs", "-w", "-R", f"sif /file size {size}", str(image)]
        subprocess.run(command, check=True, capture_output=True)
        reader = open_reader("ext4", ImageDevice(image))
        (inode,) = [each.inode for each in reader.names(reader.root).entries if each.name == b"file"]
        if is_right:
            assert reader.attributes(inode).size == size
            continue
        with pytest.raises(Damaged, match="contradicts itself"):
            reader.attributes(inode)


def test_data_in_an_inode_without_their_second_part_are_damaged_and_no_zeros(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    data = bytes(range(90))  # 60 bytes lie in the block map, the others among the attributes
    (tmp_path / "tree" / "file").write_bytes(data)
    features = ("-I", "256", "-O", "inline_data,^metadata_csum", "-d", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 8 * MIB, "mkfs.ext4", "-q", *features)
    reader = open_reader("ext4", ImageDevice(image))
    (inode,) = [each.inode for each in reader.names(reader.root).entries if each.name == b"file"]
    assert reader.contents(inode).inline == data
    raw = image.read_bytes()
    rest = data[60:]
    assert raw.count(rest) == 1
    entry = raw.rindex(b"data", 0, raw.index(rest))  # "system." is an index
    image.write_bytes(raw[:entry] + b"DATA" + raw[entry + 4 :])
    with pytest.raises(Unreadable, match="second part"):
        open_reader("ext4", ImageDevice(image)).contents(inode)


def test_a_subvolume_in_a_snapshot_is_an_empty_directory_as_for_the_kernel(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can ask the kernel
    image = make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", "-q")
    with kernel_mount(image, tmp_path / "mnt", "rw") as folder:
        for command in (("create", "sub"), ("create", "sub/inner"), ("snapshot", "sub", "copy")):
            subprocess.run(
                ["btrfs", "-q", "subvolume", command[0], *(folder / word for word in command[1:])], check=True
            )
        (folder / "sub" / "inner" / "file").touch()
    reader = open_reader("btrfs", ImageDevice(image))
    with kernel_mount(image, tmp_path / "mnt", "ro") as folder:
        walked = {str(path.relative_to(folder)): inode for path, inode in walk(reader, reader.root, folder)}
        assert set(walked) == {"sub", "sub/inner", "sub/inner/file", "copy", "copy/inner"}
        assert len(set(walked.values())) == 5
        for path, inode in walked.items():
            told, true = reader.attributes(inode), (folder / path).lstat()
            assert (told.mode, told.uid, told.gid) == (true.st_mode, true.st_uid, true.st_gid)
            assert not reader.xattrs(inode)


def test_a_file_that_lies_in_its_metadata_takes_space(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x" * 700)
    (tmp_path / "tree" / "empty").touch()
    image = make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", "-q", "--rootdir", str(tmp_path / "tree"))
    desk = Desk(open_reader("btrfs", ImageDevice(image)))
    listed, _ = desk.answer({"op": "list", "inode": 5 << 32 | 256, "start": 0, "count": 9, "full": True})
    told = {bytes_of(name): unpack_record(record).attributes for name, _, _, record in listed["entries"]}
    # tar and cp take a file without space for one hole
    assert {name: each and each.allocated for name, each in told.items()} == {b"file": 4096, b"empty": 0}


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_a_flipped_bit_in_an_index_of_ext4_makes_no_names(block_size: int, tmp_path: Path) -> None:
    (tmp_path / "tree" / "many").mkdir(parents=True)
    for number in range(1500):
        (tmp_path / "tree" / "many" / f"file-{number:040}").touch()
    options = ("-b", str(block_size), "-N", "2000", "-d", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 24 * MIB, "mkfs.ext4", "-q", *options)
    # this makes the index
    subprocess.run(["/sbin/e2fsck", "-fyD", image], check=False, capture_output=True)
    device = ImageDevice(image)
    reader = open_reader("ext4", device)
    assert isinstance(reader, ExtReader)
    inode = next(each.inode for each in reader.names(reader.root).entries if each.name == b"many")
    true = reader.names(inode)
    assert len(true.entries) == 1500
    assert true.lost == 0
    assert reader._inode(inode).flags & INDEX
    place = reader._runs(reader._inode(inode))[0].place
    for at in range(64):
        device.changed = {place + at: 1 << at % 8}
        assert reader.names(inode) == Names(true.entries, block_size)


def test_large_attributes_are_asked_for_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").touch()
    (tmp_path / "value").write_bytes(bytes(range(256)) * 12)
    options = ("-b", "4096", "-O", "ea_inode", "-d", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 24 * MIB, "mkfs.ext4", "-q", *options)
    kept = []
    for name in ("user.one", "user.other"):
        command = ["/sbin/debugfs", "-w", "-R", f"ea_set -f {tmp_path / 'value'} /file {name}", str(image)]
        subprocess.run(command, check=True, capture_output=True)
        desk = Desk(open_reader("ext4", ImageDevice(image)))
        found, _ = desk.answer({"op": "find", "inode": 2, "name": "file"})
        told, _ = desk.answer({"op": "xattrs", "inode": found["inode"]})
        assert bytes_of(told["xattrs"][name]) == (tmp_path / "value").read_bytes()
        kept.append(unpack_record(found["record"]).xattrs)
    assert kept == [{b"user.one": (tmp_path / "value").read_bytes()}, None]


@pytest.mark.parametrize("features", ["ea_inode", "ea_inode,^metadata_csum"])
def test_an_attribute_in_an_inode_of_its_own_is_not_passed_on_with_a_wrong_checksum(
    features: str, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").touch()
    value = os.urandom(4090)
    (tmp_path / "value").write_bytes(value)
    options = ("-b", "4096", "-O", features, "-d", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 24 * MIB, "mkfs.ext4", "-q", *options)
    command = ["/sbin/debugfs", "-w", "-R", f"ea_set -f {tmp_path / 'value'} /file user.large", str(image)]
    subprocess.run(command, check=True, capture_output=True)
    device = ImageDevice(image)
    reader = open_reader("ext4", device)
    inode = next(each.inode for each in reader.names(reader.root).entries if each.name == b"file")
    assert reader.xattrs(inode) == {b"user.large": value}
    device.changed = {image.read_bytes().index(value) + 1000: 4}
    with pytest.raises(Damaged, match="checksum of the extended attribute in inode"):
        reader.xattrs(inode)


@pytest.mark.parametrize("kind", ["crc32c", "xxhash", "sha256", "blake2"])
def test_every_checksum_of_btrfs_is_compared(kind: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(20):
        (tmp_path / "tree" / f"file-{number}").write_bytes(b"%d" % number)
    options = ("-q", "--csum", kind, "-m", "single", "--rootdir", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 120 * MIB, "mkfs.btrfs", *options)
    device = ImageDevice(image)
    reader = open_reader("btrfs", device)
    assert len(reader.names(reader.root).entries) == 20
    at = image.read_bytes().index(b"file-13")
    device.changed = {at + 6: 1}
    with pytest.raises(Unreadable):
        open_reader("btrfs", device).names(reader.root)


def test_what_no_extent_of_ntfs_covers_is_lost_and_no_hole() -> None:
    from raidfs.filesystem.ntfs import _runs

    assert _runs([(8192, 4096, 0), (0, 4096, 1)], 10_000) == (Run(0, 4096, 8192), Run(8192, 1808, UNKNOWN))


def test_an_extent_of_btrfs_that_decodes_to_too_little_is_damaged_and_no_zeros() -> None:
    from raidfs.filesystem.btrfs import _whole

    assert _whole(b"12345", 5) == b"12345"
    with pytest.raises(Damaged, match="holds 4 bytes and should hold 5"):
        _whole(b"1234", 5)


BARE = "^metadata_csum,^uninit_bg,^64bit"


@pytest.mark.parametrize(
    "features", ["^metadata_csum,uninit_bg", "^metadata_csum,uninit_bg,^64bit", "metadata_csum", BARE]
)
def test_a_damaged_descriptor_of_ext_gives_way_to_its_backup(features: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(40):
        (tmp_path / "tree" / f"file-{number}").write_bytes(b"%d" % number)
    options = ("-b", "1024", "-O", features, "-d", str(tmp_path / "tree"))
    image = make(tmp_path / "image", 40 * MIB, "mkfs.ext4", "-q", *options)

    def told(device: ImageDevice) -> dict[bytes, bytes | None]:
        reader = open_reader("ext4", device)
        names = reader.names(reader.root).entries
        return {each.name: contents_of(reader, device, each.inode) for each in names if each.name != b"lost+found"}

    device = ImageDevice(image)
    expected = told(device)
    assert expected[b"file-7"] == b"7"
    for mask in (1, 4, 128):
        device.changed = {2048 + 8: mask}  # where the table of inodes of the first group lies
        assert told(device) == expected
    if ",uninit_bg" in features:
        narrow = "^64bit" in features
        for block in (8194, 24578):  # the backups in groups 1 and 3
            device.changed |= {block * 1024 + 0x1E: 1, block * 1024 + (32 if narrow else 64) + 0x1E: 1}
        with pytest.raises(Damaged, match="checksum of the descriptor of block group 0 is wrong"):
            told(device)


def contents_of(reader: Reader, device: ImageDevice, inode: int) -> bytes:
    """Return the bytes of a small file."""
    (run,) = reader.contents(inode).runs
    return device.read(run.place, reader.attributes(inode).size)
