"""Every golden case from end to end: the right bytes, the right words, untouched originals.

Left-out members are tried in this process, against the source; the program and the mount run once per case.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import BlockSource, one_request, read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array, open_every_array
from raidfs.engine.health import Policy
from tests.support.cli import loop_mounted, mounted, raidfs
from tests.support.golden import CHECKOUT, SECTOR, Case, fingerprints, golden_cases
from tests.support.mdadm import shapes, told_of_members

pytestmark = pytest.mark.golden

LATER = CHECKOUT / "tests" / "golden" / "LATER.md"
"""Cases that do not give all their bytes yet."""


def later() -> dict[str, str]:
    """The part in which each case's turn comes, by name."""
    rows = [line.strip("|").split("|") for line in LATER.read_text().splitlines() if line.startswith("|")][2:]
    return {name.strip(): part.strip() for name, part in rows}


READ = tuple(case for case in golden_cases() if case.name not in later())
CASES = tuple(case for case in READ if not (case.is_open or case.is_disputed))
MOST_WITHHELD = {"c-r5-3to4-12-128k-torn": 2048, "f-r5-chunk-64to128-backup": 6784, "r-r0-to-r5": 96}
"""Sectors that the front of these cases leaves open at most."""
PROVEN_TOGETHER = (
    "c-r5-3to4-12-512k-backup-critical",
    "g-r5to6-4to5-12-64k",
    "g-r5to6-4to5-12-64k-backup",
    "g-r6to5-5to4-12-64k",
)
"""Cases whose recorded position lags, and where it takes all members to prove how far the reshape came."""
WINDOW = (3 << 20) - 512
"""Bytes per read; neither chunks nor stripes are aligned to it."""

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@contextmanager
def untouched(case: Case) -> Iterator[list[Path]]:
    """Prove that a case's images are the same at the end of the block, and what they were when they were made."""
    members = case.members()
    before = fingerprints(members)
    assert [before[path].sha256 for path in members] == [member["sha256"] for member in case.data["members"]]
    yield members
    assert fingerprints(members) == before


def read_all(source: BlockSource) -> NDArray[np.uint8]:
    """Read a source from end to end; all of it must be there."""
    content = np.zeros(source.size, dtype=np.uint8)
    for start in range(0, source.size, WINDOW):
        window = content[start : start + WINDOW]
        lost = source.read_into(one_request(start, len(window)), window)
        assert not lost, f"lost: {lost.shift(start)}"
    return content


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@every_case
def test_all_bytes_are_there_whoever_is_missing(case: Case) -> None:
    with untouched(case) as members:
        options = Options(uuid=case.uuid)
        with open_array([str(path) for path in members], options) as array:
            truth = read_all(array.source)
        assert len(truth) == case.array_size
        assert hashlib.sha256(truth.data).hexdigest() == case.expected_sha256, case.wrong_blocks(truth)
        for left_out in case.leave_outs:
            there = [str(path) for index, path in enumerate(members) if index not in left_out]
            with open_array(there, options) as array:
                if case.name in PROVEN_TOGETHER:
                    assert_true(array.source, truth)
                    continue
                content = read_all(array.source)
            assert np.array_equal(content, truth), f"without {left_out}: {case.wrong_blocks(content)}"


@pytest.mark.parametrize("case", [case for case in READ if case.is_open], ids=lambda case: case.name)
def test_what_nothing_proves_is_withheld(case: Case) -> None:
    with untouched(case) as members:
        paths = [str(path) for path in members]
        with open_array(paths, Options(policy=Policy(doubtful=True))) as array:
            truth = read_all(array.source)
        assert hashlib.sha256(truth.data).hexdigest() == case.expected_sha256, case.wrong_blocks(truth)
        with open_array(paths) as array:
            withheld = assert_true(array.source, truth)
            assert withheld == array.account().doubtful
        assert 0 < withheld <= MOST_WITHHELD[case.name] * SECTOR
        for left_out in case.leave_outs:
            with open_array([path for index, path in enumerate(paths) if index not in left_out]) as array:
                assert_true(array.source, truth)


def assert_true(source: BlockSource, truth: NDArray[np.uint8]) -> int:
    """Read a source of which not all is served: what is must be right. Returns the bytes that are not."""
    content, lost = read_exact(source, 0, source.size)
    served = np.ones(len(truth), dtype=np.bool_)
    for start, stop in lost:
        served[start:stop] = False
    assert np.array_equal(np.frombuffer(content, np.uint8)[served], truth[served])
    return lost.total


@every_case
def test_export(case: Case, tmp_path: Path) -> None:
    with untouched(case) as members:
        done = raidfs("export", *case.choice, "--map", tmp_path / "map", *members, tmp_path / "image")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "image").stat().st_size == case.array_size
    assert sha256_of(tmp_path / "image") == case.expected_sha256
    ranges = [line for line in (tmp_path / "map").read_text().splitlines() if not line.startswith("#")][1:]
    assert ranges == [f"0x00000000  0x{case.array_size:08X}  +"]


@every_case
def test_examine_says_what_md_said(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    with untouched(case) as members:
        assert main(["examine", "--json", *case.choice, *(str(path) for path in members)]) == 0
    said = json.loads(capsys.readouterr().out)
    before, after = shapes(case)
    if said["array"]["layout"] == "undeclared":  # sysfs names the one that the kernel took, which makes no difference
        after["layout"] = "undeclared"
    assert said["array"] == said["array"] | after
    assert said["array"]["size"] == sum(said["account"].values()) == case.array_size
    written = case.data["before_crash"]["metadata_version"]
    assert said["array"]["metadata"] == ("0.90" if written == "0.91" else written)  # its mark of a reshape
    if case.data["reshape_position"] is None:
        assert said["reshape"] is None
    else:
        direction = case.data["before_crash"]["reshape_direction"].removesuffix("s")
        told = {"before": before, "after": after, "direction": direction}
        told["position"] = case.data["reshape_position"] * SECTOR
        assert said["reshape"] == said["reshape"] | told


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not (case.is_partitioned or case.data.get("dropped_members"))],
    ids=lambda case: case.name,
)
def test_examine_says_of_each_member_what_mdadm_said(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(path) for path in case.members()]
    assert main(["examine", "--json", *members]) == 0
    said = {member["path"]: member for member in json.loads(capsys.readouterr().out)["members"]}
    assert sorted(said) == sorted(members)
    for index, (path, told) in enumerate(zip(members, told_of_members(case), strict=True)):
        member = said[path]
        assert member["events"] == told.events
        assert member["role"] == told.role
        if told.data_offset is not None:
            assert member["data_offset"] == told.data_offset
            assert member["new_data_offset"] == (told.new_data_offset or told.data_offset)
        assert (member["state"] not in ("stale", "faulty")) == (index not in case.stale), member


@pytest.mark.fuse
@every_case
def test_mount(case: Case, tmp_path: Path) -> None:
    with untouched(case) as members, mounted([*case.choice, *members], tmp_path / "array") as tree:
        assert (tree / "array.img").stat().st_size == case.array_size
        assert sha256_of(tree / "array.img") == case.expected_sha256
        bare = "LUKS" not in str(case.data) and [volume["fs"] for volume in case.volumes] == ["ext4"]
        if bare and not case.is_live:
            with loop_mounted(tree / "array.img", tmp_path / "files", "noload") as files:
                assert_files(files, case)


def assert_files(files: Path, case: Case) -> None:
    """Compare the files of a mounted volume with the manifest."""
    entries = [entry for volume in case.volumes for entry in volume["entries"]]
    assert any(entry["type"] == "file" for entry in entries)
    for entry in entries:
        path = files / entry["path"]
        if entry["type"] == "file":
            assert (path.stat().st_size, sha256_of(path)) == (entry["size"], entry["sha256"]), path
        elif entry["type"] == "symlink":
            assert str(path.readlink()) == entry["target"]
        else:
            assert path.is_dir()


@pytest.mark.parametrize("case", [case for case in CASES if case.data.get("extra_arrays")], ids=lambda case: case.name)
def test_the_other_arrays_on_the_same_disks(case: Case) -> None:
    truths = {extra["truth_sha256"] for extra in case.data["extra_arrays"]} | {case.expected_sha256}
    with untouched(case) as members, open_every_array([str(path) for path in members]) as arrays:
        found = {hashlib.sha256(read_all(array.source).data).hexdigest() for array in arrays}
    assert truths <= found


def test_what_a_clone_carries_is_small() -> None:
    carried = [path for path in (CHECKOUT / "tests" / "golden").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in carried) < 25 << 20


def test_later_cases_are_listed() -> None:
    """Each case that does not give its bytes yet is named, with the part in which it will."""
    parts = {case.name: str(case.part or "later") for case in golden_cases()}
    listed = later()
    assert {name: part for name, part in parts.items() if name in listed} == {
        name: part for name, part in listed.items() if name in parts
    }
    assert not {name for name, part in parts.items() if part in ("1", "2")} & listed.keys()
