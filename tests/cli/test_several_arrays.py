"""Several arrays on the same disks, as a NAS has them: listed, one chosen, or all mounted."""

from __future__ import annotations

import json
import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from raidfs.array.description import State
from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array, open_every_array
from raidfs.errors import UnsupportedMetadata
from raidfs.extents import Extents
from tests.cli.mounting import mounted
from tests.oracle.superblock import Superblock, build_v1
from tests.support.cli import raidfs
from tests.support.disks import Slice, gpt_disk
from tests.support.filesystems import make
from tests.support.golden import fingerprints
from tests.support.lvm_writer import EXTENT, group, logical, physical, segment
from tests.support.nowait import answers_at_once
from tests.support.stacked import OFFSET, raid5, uuid_of


@pytest.fixture
def disks(tmp_path: Path) -> tuple[list[str], dict[str, bytes]]:
    """Three disks with two partitions each, which belong to two arrays; and what the arrays hold, by uuid."""
    arrays = [raid5(tmp_path / f"array{seed}", seed) for seed in (1, 2)]
    paths = []
    for role in range(3):
        parts = [images[role].read_bytes() for _, images in arrays]
        starts = [64, 64 + len(parts[0]) // 512 + 8]
        slices = [Slice(start, len(part) // 512, part) for start, part in zip(starts, parts, strict=True)]
        disk = gpt_disk(slices, starts[1] + len(parts[1]) // 512 + 64)
        (tmp_path / f"sd{role}.img").write_bytes(disk)
        paths.append(str(tmp_path / f"sd{role}.img"))
    return paths, {uuid_of(array): array.truth for array, _ in arrays}


def test_several_arrays_are_listed_and_one_is_chosen(
    disks: tuple[list[str], dict[str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths, truths = disks
    assert main(["examine", *paths]) == 1
    said = capsys.readouterr().err
    assert "the images hold members of 2 arrays; choose one with --uuid" in said
    for number, uuid in enumerate(truths, start=1):
        assert uuid in said
        assert f"{paths[0]}#{number}" in said
    for uuid, truth in truths.items():
        with open_array(paths, Options(uuid=uuid)) as array:
            assert read_exact(array.source, 0, array.source.size) == (truth, Extents())
            out = np.zeros(len(truth), dtype=np.uint8)
            if answers_at_once(Path(paths[0])):  # the fast executor reads at the partition's place in the file
                assert array.source.try_read_into(0, out)
                assert out.tobytes() == truth
        assert main(["examine", "--json", "--uuid", uuid, *paths]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["account"]["good"] == len(truth)


def test_every_command_reads_members_in_partitions(
    disks: tuple[list[str], dict[str, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, truths = disks
    uuid, truth = next(iter(truths.items()))
    before = fingerprints([Path(path) for path in paths])
    chosen = ["--uuid", uuid, *paths]
    assert main(["verify", *chosen]) == 0
    assert main(["export", *chosen, str(tmp_path / "out.img")]) == 0
    assert (tmp_path / "out.img").read_bytes() == truth
    capsys.readouterr()
    assert main(["explain", "--json", *chosen, "--at", "5000"]) == 0
    (place,) = json.loads(capsys.readouterr().out)["used"]
    with open(place["path"].partition("#")[0], "rb") as image:
        image.seek(place["image_offset"])
        assert image.read(1) == truth[5000:5001]
    # without one disk everything is rebuilt; a map is of the whole disk
    assert main(["export", "--uuid", uuid, *paths[1:], str(tmp_path / "rebuilt.img")]) == 0
    assert (tmp_path / "rebuilt.img").read_bytes() == truth
    bad = f"0x0 + 1\n0 {64 * 512 + OFFSET} +\n{64 * 512 + OFFSET} 1024 -\n{64 * 512 + OFFSET + 1024} {1 << 30} +\n"
    (tmp_path / "sd0.map").write_text(bad)
    with open_array(paths, Options(uuid=uuid)) as array:
        assert array.account().rebuilt in (0, 1024)
        assert [flaw.extents for flaw in array.flaws if flaw.curable] == [Extents.span(OFFSET, OFFSET + 1024)]
        assert read_exact(array.source, 0, array.source.size) == (truth, Extents())
    capsys.readouterr()
    maps = ["--mapfile", f"{paths[1]}={tmp_path / 'sd0.map'}"]
    assert main(["needs", "--json", *maps, *chosen, "-o", str(tmp_path / "needs")]) == 0
    asked = json.loads(capsys.readouterr().out)
    starts = {start for member in asked["members"] for start, _ in member["ranges"]}
    assert starts == {64 * 512 + OFFSET}
    assert fingerprints([Path(path) for path in paths]) == before


@pytest.mark.fuse
def test_every_array_is_mounted_in_a_folder_of_its_own(
    disks: tuple[list[str], dict[str, bytes]], tmp_path: Path
) -> None:
    paths, truths = disks
    tree = tmp_path / "tree"
    tree.mkdir()
    done = raidfs("mount", "--all", *paths, tree)
    assert done.returncode == 0, done.stderr
    try:
        folders = sorted(path.name for path in (tree / "arrays").iterdir())
        assert len(folders) == 2
        found = {}
        for name in folders:
            folder = tree / "arrays" / name
            assert f"arrays/{name}/README.txt" in (tree / "README.txt").read_text()
            status = json.loads((folder / "status.json").read_text())
            content = (folder / "array.img").read_bytes()
            assert status["account"]["good"] == len(content)
            assert f"umount {tree}" in (folder / "README.txt").read_text()
            found[status["array"]["uuid"]] = content
        assert found == truths
    finally:
        assert raidfs("umount", tree).returncode == 0


def test_an_export_of_one_of_several_needs_a_choice(
    disks: tuple[list[str], dict[str, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, _ = disks
    assert main(["export", *paths, str(tmp_path / "out.img")]) == 1
    assert "choose one with --uuid" in capsys.readouterr().err
    assert not (tmp_path / "out.img").exists()
    assert main(["examine", "--uuid", "ffffffff", *paths]) == 1
    assert "no array here has the uuid or name 'ffffffff'" in capsys.readouterr().err


@pytest.mark.fuse
def test_an_array_that_cannot_be_assembled_is_left_out_and_named(
    disks: tuple[list[str], dict[str, bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, truths = disks
    odd = Superblock(5, 2, 4096, 3, 65536, 0, (0, 1, 2), data_offset=OFFSET, data_size=65536, features=1 << 20)
    image = bytearray(1 << 20)
    image[4096:4096] = build_v1(odd, 4096)
    (tmp_path / "odd.img").write_bytes(image[: 1 << 20])
    with open_every_array([*paths, str(tmp_path / "odd.img")]) as arrays:
        assert {array.description.uuid for array in arrays} == set(truths)
        for array in arrays:
            said = [finding.message for finding in array.findings]
            assert any(each.startswith(f"another array is left out: {tmp_path}/odd.img: ") for each in said)
    tree = tmp_path / "tree"
    tree.mkdir()
    done = raidfs("mount", "--all", *paths, tmp_path / "odd.img", tree)
    assert raidfs("umount", tree).returncode == 0
    assert f"another array is left out: {tmp_path}/odd.img: " in done.stdout
    quietly = raidfs("mount", "--all", "-q", *paths, tmp_path / "odd.img", tree)
    assert raidfs("umount", tree).returncode == 0
    assert not quietly.stdout
    assert f"another array is left out: {tmp_path}/odd.img: " in quietly.stderr
    with pytest.raises(UnsupportedMetadata), open_every_array([str(tmp_path / "odd.img")]):
        pass
    assert main(["mount", "--all", "--uuid", "1234", *paths, str(tmp_path)]) == 2
    assert "--all mounts every array, and --uuid names one" in capsys.readouterr().err


def test_members_of_other_arrays_on_the_same_disks_are_not_mentioned(
    disks: tuple[list[str], dict[str, bytes]], tmp_path: Path
) -> None:
    paths, truths = disks
    uuid = next(iter(truths))
    _, others = raid5(tmp_path / "third", 3)
    with open_array([*paths, str(others[0])], Options(uuid=uuid)) as array:
        foreign = [member.path for member in array.description.members if member.state is State.FOREIGN]
        assert foreign == [str(others[0])]  # an image of its own, given by mistake
        assert [finding.subject for finding in array.findings] == foreign
        assert len(array.superblocks) == 4


@pytest.mark.fuse
def test_a_volume_group_over_several_arrays_is_joined(tmp_path: Path) -> None:
    uuids = ["A" * 32, "B" * 32]
    volume = logical("data", segment(0, 1, "striped", ("pv0", 1)), segment(1, 1, "striped", ("pv1", 1)))
    told = group("vg", uuids, volume)
    members = []
    for number, uuid in enumerate(uuids):
        start = physical(uuid, told)[: 128 << 10]
        members += raid5(tmp_path / f"array{number}", number, start.ljust(4 << 20, b"%d" % number))[1]
    with mounted(tmp_path / "mnt", members, "--all") as mount:
        (image,) = (mount.path / "arrays").glob("*/volumes/vg/data.img")
        assert image.read_bytes() in (a + b for a, b in permutations((b"0" * EXTENT, b"1" * EXTENT)))
        assert "volume group vg lies in part on array" not in mount.printed  # a note
        assert "missing" not in mount.printed
        usage = os.statvfs(mount.path)
        arrays = sum(path.stat().st_size for path in mount.path.glob("arrays/*/array.img"))
        assert usage.f_blocks * usage.f_frsize == arrays  # volumes are parts of them


def test_the_files_of_every_array_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file system on a volume that lies on two arrays; by one of them alone, its other half is said to be missing."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content" * 1000)
    image = make(tmp_path / "image", 2 * EXTENT, "mkfs.ext4", "-q", "-O", "^has_journal", "-d", str(tmp_path / "tree"))
    content, uuids = image.read_bytes(), ["A" * 32, "B" * 32]
    volume = logical("data", segment(0, 1, "striped", ("pv0", 1)), segment(1, 1, "striped", ("pv1", 1)))
    told = group("vg", uuids, volume)
    members: list[str] = []
    for number, uuid in enumerate(uuids):
        held = bytearray(physical(uuid, told)[: 128 << 10].ljust(4 << 20, b"\0"))
        start = (128 << 10) + EXTENT
        held[start : start + EXTENT] = content[number * EXTENT : (number + 1) * EXTENT]
        members += map(str, raid5(tmp_path / f"array{number}", number, bytes(held))[1])
    assert main(["files", "--all", *members]) == 0
    said = capsys.readouterr().out
    assert "1 files: 1 whole" in said
    assert "vg-data/file" in said
    uuid = json.loads(examined_as_json(capsys, members[:3]))["array"]["uuid"]
    main(["files", "--uuid", uuid, *members])
    assert "if it lies on another array of these members, --all finds it" in capsys.readouterr().out
    assert main(["files", "--all", "--uuid", uuid, *members]) == 2
    assert "--all lists the files of every array" in capsys.readouterr().err


def examined_as_json(capsys: pytest.CaptureFixture[str], members: list[str]) -> str:
    assert main(["examine", "--json", *members]) == 0
    return capsys.readouterr().out
