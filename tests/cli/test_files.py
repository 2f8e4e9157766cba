"""`raidfs files`, and the files in a mount: golden arrays against their manifests, and what is lost against reading."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raidfs.block import BlockSource, one_request
from raidfs.cli import main
from raidfs.cli.contents import contents_of, worth_in
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.view.files import FileTree, is_mark
from raidfs.view.walk import PAGE
from tests.cli.mounting import mounted
from tests.support.arrays import DATA_OFFSET, mirrored
from tests.support.damaged import write_map
from tests.support.filesystems import make
from tests.support.golden import Case, cases_here, fingerprints, golden_case
from tests.support.lvm_writer import group, logical, physical, segment

GROWN = golden_case("a-r5-3to4-12-64k-40")
KINDS = cases_here(
    "a-r5-3to4-12-64k-40", "j-r5-3to4-12-64k-live", "k-r5-3to4-lvm", "k-r5-3to4-gpt", "k-r5-3to4-4kn-gpt",
    "k-r5-3to4-xfs", "k-r5-3to4-btrfs", "f-ntfs-3to4", "f-exfat-3to4", "f-vfat-3to4", "l-luks-3to4",
)  # fmt: skip
"""One case for each kind of file system and of what may lie below it."""
ALIKE = ("j-r5-3to4-12-64k-live", "k-r5-3to4-gpt", "k-r5-3to4-4kn-gpt")
"""Those of which losses tell nothing that others do not."""


def words_of(case: Case, folder: Path) -> list[str]:
    """Return the options that open what is encrypted."""
    secret = case.data["created"].get("passphrase") or case.data.get("passphrase")
    if not secret:
        return []
    key = folder / "key"
    key.write_bytes(secret.encode())
    return ["--key-file", str(key)]


def folders_of(files: Path, case: Case) -> list[Path]:
    """Return the folder of each volume of the manifest."""
    several = len(case.volumes) > 1
    return sorted(each for each in files.iterdir() if each.is_dir()) if several else [files]


@pytest.mark.golden
@pytest.mark.fuse
@pytest.mark.parametrize("case", KINDS, ids=lambda case: case.name)
def test_a_copy_has_every_file_of_the_manifest_with_its_hash(case: Case, tmp_path: Path) -> None:
    members = case.members()
    before = fingerprints(members)
    left = members[1:] if case.leave_outs else members
    with mounted(tmp_path / "mnt", left, *words_of(case, tmp_path)) as mount:
        subprocess.run(["cp", "-a", mount.path / "files", tmp_path / "copy"], check=True)
        status = json.loads((mount.path / "status.json").read_text())
        assert len(status["file_systems"]) == len(case.volumes)
        replayed = [each["journal"] == "replayed" for each in status["file_systems"]]
        assert any(replayed) == case.is_live == ("the journal was replayed in memory" in mount.printed)
    for volume, folder in zip(case.volumes, folders_of(tmp_path / "copy", case), strict=True):
        for entry in volume["entries"]:
            assert_right(folder / entry["path"], entry, folder)
    assert fingerprints(members) == before
    shutil.rmtree(tmp_path / "copy")


def assert_right(path: Path, entry: dict[str, Any], folder: Path) -> None:
    """Compare one copied file with the manifest."""
    if entry["type"] == "symlink":
        assert os.readlink(path) == entry["target"]
    elif entry["type"] == "dir":
        assert path.is_dir()
    else:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        assert digest in (entry["sha256"], *entry.get("or_sha256", ())), path
        if entry.get("hardlink_of"):
            assert path.stat().st_ino == (folder / entry["hardlink_of"]).stat().st_ino


def examined(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run `files --json`."""
    code = main(["files", "--json", *map(str, words)])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, said


@pytest.mark.golden
def test_a_whole_array_has_whole_files(capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(path) for path in GROWN.members()]
    n_files = sum(entry["type"] == "file" for entry in GROWN.volumes[0]["entries"])
    assert main(["files", *map(str, members)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{n_files} files: {n_files} whole (ext4 file system, unmounted cleanly)"
    assert len(lines) > n_files
    assert main(["files", "--lost-only", *members]) == 0
    assert capsys.readouterr().out.splitlines() == lines[:1]


def bad_sectors(case: Case, folder: Path, n_bad: int) -> dict[str, Any]:
    """Make sectors of the members bad, in more of them than their redundancy makes up for; returns the options."""
    chosen = random.Random(case.name)
    members = case.members()
    mapfiles = []
    for number, member in enumerate(members):
        size = member.stat().st_size
        first = DATA_START // 512
        sectors = [chosen.randrange(first, size // 512) for _ in range(n_bad)]
        bad = Extents((at * 512, at * 512 + chosen.choice((512, 4096, 65536))) for at in sectors).clip(0, size)
        write_map(folder / f"{number}.map", size, bad)
        mapfiles.append(f"{member}={folder / f'{number}.map'}")
    missing = (str(members[0]),) if case.leave_outs else ()
    return {"mapfiles": tuple(mapfiles), "exclude": missing}


DATA_START = 2 << 20
"""Where bad sectors begin: superblocks and bitmaps are not the subject here [bytes of the member]."""


@pytest.mark.golden
@pytest.mark.parametrize("case", [case for case in KINDS if case.name not in ALIKE], ids=lambda case: case.name)
def test_what_is_told_to_be_lost_is_what_fails_by_page(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = bad_sectors(case, tmp_path, 40)
    words = words_of(case, tmp_path)
    options = [word for each in given["mapfiles"] for word in ("--mapfile", each)]
    options += [word for each in given["exclude"] for word in ("--exclude", each)]
    code, said = examined(capsys, *words, *options, *case.members())
    assert code == 4
    told = {entry["path"]: entry for each in said["file_systems"] for entry in each["entries"]}
    n_failing = 0
    key = Path(words[1]).read_bytes() if words else None
    with open_array([str(path) for path in case.members()], Options(**given)) as array:
        found = contents_of(array.source, worth_in(array, array.source), key_of=lambda _subject: key)
        for system in found.file_systems:
            for path, inode in everything(system.tree, system.tree.root, f"{system.name}/".lstrip("/")):
                entry = told.pop(path)
                if entry["type"] == "file" and not entry["why"]:
                    failing = failing_pages(system.tree.open(inode))
                    assert [list(each) for each in failing] == entry["failing"], path
                    n_failing += len(failing)
        found.close()
    # what is left could not even be looked at, but for the roots of the file systems
    assert all(entry["why"] or entry["type"] == "directory" for entry in told.values())
    assert n_failing


def everything(tree: FileTree, inode: int, path: str) -> Iterator[tuple[str, int]]:
    """Yield (path, inode) of everything below a directory that can be read."""
    start = 0
    while True:
        try:
            page = tree.page(inode, start)
        except Unreadable:
            return
        for name, record in page.entries:
            if is_mark(name.inode):
                continue
            whole = path + os.fsdecode(name.name)
            yield whole, name.inode
            if record is not None and record.attributes is not None and stat.S_ISDIR(record.attributes.mode):
                yield from everything(tree, name.inode, f"{whole}/")
        start += len(page.entries)
        if start >= page.total:
            return


def failing_pages(source: BlockSource) -> Extents:
    """Read a file page by page; returns those that fail."""
    bad = []
    for at in range(0, source.size, PAGE):
        length = min(PAGE, source.size - at)
        if source.read_into(one_request(at, length), np.empty(length, dtype=np.uint8)):
            bad.append((at, at + length))
    return Extents(bad)


@pytest.mark.golden
@pytest.mark.fuse
def test_a_file_with_losses_is_right_or_fails_through_the_mount(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = bad_sectors(GROWN, tmp_path, 40)
    options = [word for each in given["mapfiles"] for word in ("--mapfile", each)]
    options += [word for each in given["exclude"] for word in ("--exclude", each)]
    _, said = examined(capsys, *options, *GROWN.members())
    told = {entry["path"]: entry for entry in said["file_systems"][0]["entries"]}
    with mounted(tmp_path / "mnt", GROWN.members(), *options) as mount:
        for entry in GROWN.volumes[0]["entries"]:
            path = mount.path / "files" / entry["path"]
            lost = told.get(entry["path"])
            if lost is None or lost["why"]:
                with pytest.raises(OSError, match=r"Input/output error|No such file"):
                    path.lstat()
            elif entry["type"] == "file":
                assert pages_that_fail(path) == Extents(map(tuple, lost["failing"]))
                if not lost["failing"]:
                    assert_right(path, {**entry, "hardlink_of": None}, mount.path)
                word, n_lost = (os.getxattr(path, f"user.raidfs.{name}") for name in ("health", "lost_bytes"))
                assert int(n_lost) == sum(stop - start for start, stop in lost["lost"])
                assert (word in (b"lost", b"doubtful")) == bool(lost["lost"])


def pages_that_fail(path: Path) -> Extents:
    """Read a file page by page through the kernel; returns the pages that fail."""
    bad = []
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for at in range(0, size, PAGE):
            try:
                os.pread(file.fileno(), PAGE, at)
            except OSError as error:
                bad.append((0, size) if error.errno != errno.EIO else (at, min(at + PAGE, size)))
    return Extents(bad)


def test_names_are_escaped_and_what_is_lost_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in (b"red\x1b[31m", b"caf\xe9", b"line\nbreak", b"back\\slash"):
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(b"x" * 9000)
    image = make(tmp_path / "image", 8 << 20, "mkfs.ext4", "-q", "-b", "4096", "-d", str(tree))
    members = mirrored(image, tmp_path)
    assert main(["files", *map(str, members)]) == 0
    printed = capsys.readouterr().out
    for shown in (r"red\033[31m", r"caf\351", r"line\012break", r"back\\slash"):
        assert shown in printed
    assert "\x1b" not in printed


def test_lost_attributes_are_told_before_a_copy_fails_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files and a directory whose attributes lie in blocks of their own: what a copy with `-a` asks for."""
    tree, value = tmp_path / "tree", b"attributes " * 250
    (tree / "folder").mkdir(parents=True)
    for name in ("whole", "marked"):
        (tree / name).write_bytes(b"x" * 9000)
    for name in ("marked", "folder"):
        os.setxattr(tree / name, "user.long", name.encode() + value)
    image = make(tmp_path / "image", 8 << 20, "mkfs.ext4", "-q", "-b", "4096", "-d", str(tree))
    members = mirrored(image, tmp_path)
    content = image.read_bytes()
    places = [content.index(name + value) + DATA_OFFSET for name in (b"marked", b"folder")]
    options = []
    for member in members:
        lost = Extents((place // 4096 * 4096, place // 4096 * 4096 + 4096) for place in places)
        write_map(tmp_path / f"{member.name}.map", member.stat().st_size, lost)
        options += ["--mapfile", f"{member}={tmp_path / member.name}.map"]
    code, said = examined(capsys, *options, *members)
    assert code == 4
    (system,) = said["file_systems"]
    told = {entry["path"]: entry for entry in system["entries"]}
    assert {path for path, entry in told.items() if entry["attributes"]} == {"marked", "folder"}
    assert not any(entry["lost"] or entry["why"] for entry in told.values())
    assert (said["files"], said["whole"]) == (2, 1)
    assert main(["files", *options, *map(str, members)]) == 4
    assert "lost   marked: its extended attributes cannot be read (" in capsys.readouterr().out
    maps = tuple(options[1::2])
    with open_array([str(path) for path in members], Options(mapfiles=maps)) as array:
        found = contents_of(array.source, worth_in(array, array.source))
        tree_there = found.file_systems[0].tree
        words = {path: tree_there.health(inode) for path, inode in everything(tree_there, tree_there.root, "")}
        found.close()
    assert {words[path][0] for path in ("marked", "folder")} == {"lost"}
    assert words["whole"] == ("good", 0)


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here("j-r5-3to4-12-64k-live"), ids=lambda case: case.name)
def test_a_journal_that_is_not_replayed_is_no_whole_file_system(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    members = case.members()
    for words, behind in (([], False), (["--no-replay"], True)):
        code, said = examined(capsys, *words, *members)
        assert [system["behind"] for system in said["file_systems"]] == [behind]
        assert code == (4 if behind else 0)


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here("w-r5-degraded-dirty-bitmap", "w-r5-degraded-dirty"), ids=lambda c: c.name)
def test_files_that_are_unproven_are_counted_and_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(path) for path in case.members()]
    with open_array(members) as array:
        assert array.account().unproven
        found = contents_of(array.source, worth_in(array, array.source))
        (system,) = found.file_systems
        words = {path: system.tree.health(inode) for path, inode in everything(system.tree, system.tree.root, "")}
        found.close()
    expected = {path for path, word in words.items() if word == ("unproven", 0)}
    _, said = examined(capsys, *members)
    (told,) = said["file_systems"]
    assert {entry["path"] for entry in told["entries"] if entry["unproven"]} == expected
    assert said["unproven"] == len(expected) > 0
    main(["files", *members])
    assert f"({len(expected):,} of them in part unproven)" in capsys.readouterr().out


def test_a_volume_of_which_a_part_is_missing_is_damage_though_all_that_is_listed_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x" * 5000)
    system = make(tmp_path / "ext4", 4 << 20, "mkfs.ext4", "-q", "-d", str(tmp_path / "tree")).read_bytes()
    uuids = ["A" * 32, "B" * 32]
    here, gone = (logical(name, segment(0, 4, "striped", (f"pv{n}", 0))) for n, name in enumerate(("here", "gone")))
    for volumes, code in ((here, 0), (here + gone, 4)):
        image = tmp_path / "image"
        raw = physical(uuids[0], group("vg", uuids[: 1 + code // 4], volumes), 6 << 20)
        image.write_bytes(raw[: 128 << 10] + system + raw[(128 << 10) + len(system) :])
        members = [str(path) for path in mirrored(image, tmp_path)]
        assert main(["files", *members]) == code
        said = capsys.readouterr().out
        assert "1 files: 1 whole" in said
        assert ("logical volume vg/gone: what lies on" in said) == bool(code)
        assert main(["files", "-q", *members]) == code


def test_without_a_file_system_there_is_nothing_to_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(4 << 20))
    assert main(["files", *map(str, mirrored(image, tmp_path))]) == 1
    assert "no file system that raidfs can read" in capsys.readouterr().out


@pytest.mark.fuse
def test_zeros_for_lost_data_are_no_zeros_for_metadata(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    for number in range(40):
        (tree / "folder" / f"{number:02}").write_bytes(b"%02d" % number * 8192)
    image = make(tmp_path / "image", 8 << 20, "mkfs.ext4", "-q", "-b", "4096", "-d", str(tree))
    members = mirrored(image, tmp_path)
    raw = image.read_bytes()
    blocks = [raw[at : at + 4096] for at in range(0, len(raw), 4096)]
    names = [b"%02d" % number for number in range(40)]
    data = [4096 * blocks.index(name * 2048) for name in names]
    directory = 4096 * next(n for n, each in enumerate(blocks) if each[8:9] == b"." and all(x in each for x in names))
    lost = Extents([(place + DATA_OFFSET, place + DATA_OFFSET + 512) for place in (*data, directory + 1024)])
    words = []
    for member in members:
        write_map(tmp_path / f"{member.name}.map", member.stat().st_size, lost)
        words += ["--mapfile", f"{member}={tmp_path / f'{member.name}.map'}"]
    with mounted(tmp_path / "mnt", members, *words, "-o", "zero") as mount:
        folder = mount.path / "files" / "folder"
        listed = set(os.listdir(folder))
        assert len(listed) == 40  # all but the last name, and one for what is lost
        for name in listed - {"raidfs-lost-names"}:
            assert (folder / name).read_bytes() == bytes(512) + name.encode() * (8192 - 256)
        assert "raidfs-lost-names" in listed
        with pytest.raises(OSError, match="Input/output error"):
            (folder / "raidfs-lost-names").read_bytes()


@pytest.mark.fuse
@pytest.mark.parametrize("command", [("mkfs.btrfs", "-q", "--rootdir"), ("mkfs.ext4", "-q", "-d")])
def test_that_data_were_not_compared_with_checksums_is_said(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x" * 9000)
    image = make(tmp_path / "image", 120 << 20, *command, str(tmp_path / "tree"))
    members = mirrored(image, tmp_path)
    is_btrfs = command[0] == "mkfs.btrfs"
    text = "data were not compared with their checksums"
    assert main(["files", *map(str, members)]) == 0
    assert capsys.readouterr().out.splitlines().count(text) == is_btrfs
    _, said = examined(capsys, *members)
    assert said["file_systems"][0]["note"] == (text if is_btrfs else None)
    with mounted(tmp_path / "mnt", members) as mount:
        readme = (mount.path / "README.txt").read_text()
    assert readme.count(f"Its {text}.\n") == is_btrfs
