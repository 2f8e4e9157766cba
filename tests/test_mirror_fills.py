"""Copies of real mirrors with zeros, holes and fill patterns that no map tells of: the truth, and said."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.array.description import Member
from raidfs.block import MemorySource, one_request
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.support.cli import mounted, raidfs
from tests.support.fills import PATTERNS, filled, is_filled
from tests.support.golden import SECTOR, Case, cases_here
from tests.test_fills import described, images_of, read_all, truth_of

pytestmark = pytest.mark.golden

CASES = cases_here("s-r1-2", "s-r1-2-090", "s-r1-3-10", "s-r10-f2-4", "s-r10-f2-5", "s-r10-n3-5", "s-r10-o2-4")
TWOFOLD = [case for case in CASES if case.name not in ("s-r1-3-10", "s-r10-n3-5")]
RESHAPED = cases_here("r-r10-o2-to-n2")
CONTESTED = "data, but no fewer copies are filled alike, or those that md reads first: either may be wrong"
NEVER_COPIED = "filled, and another copy holds data: this was never copied"

every_case = pytest.mark.parametrize("case", CASES + RESHAPED, ids=lambda case: case.name)


def member_of(case: Case, role: int) -> Member:
    return described(case).serving[role]


def copy_of(case: Case, members: list[Path], role: int) -> Path:
    """The copy of the image that serves a role."""
    return members[[str(path) for path in case.members()].index(member_of(case, role).path)]


def data_of(case: Case, role: int) -> tuple[int, int]:
    """Where a member holds data of the array [image bytes]."""
    member = member_of(case, role)
    start = max(member.data_offset, member.new_data_offset)
    return start, min(member.data_offset, member.new_data_offset) + described(case).component_size


def spoil(path: Path, how: str, start: int, stop: int) -> None:
    """Put into a copy what its tool left there."""
    chance, size = random.Random(how), path.stat().st_size
    with path.open("r+b") as file:
        tail = os.pread(file.fileno(), size - stop, stop)
        if how == "aborted":
            os.ftruncate(file.fileno(), start)
            os.ftruncate(file.fileno(), size)
            os.pwrite(file.fileno(), tail, stop)  # a superblock at the end
            return
        for at in range(start, stop - 4096, 4096):
            if how == "0xff" or chance.random() < 0.1:
                os.pwrite(file.fileno(), (b"\xff" if how == "0xff" else b"\0") * 4096, at)


def without(truth: NDArray[np.uint8], lost: Extents) -> NDArray[np.uint8]:
    """The truth with zeros where it is withheld."""
    left = truth.copy()
    for start, stop in lost:
        left[start:stop] = 0
    return left


def assert_only_fills(truth: NDArray[np.uint8], lost: Extents) -> None:
    """What its user filled, and the copy is filled in another way: which of the two is right nobody can tell."""
    for low, high in lost:
        assert all(is_filled(truth[at : at + SECTOR].tobytes()) for at in range(low, high, SECTOR))
    assert lost.total < len(truth) // 2


def changed(before: bytes, after: bytes) -> NDArray[np.bool_]:
    """Which sectors of an image are not what they were."""
    differs = np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8)
    found: NDArray[np.bool_] = differs[: len(differs) // SECTOR * SECTOR].reshape(-1, SECTOR).any(axis=1)
    return found


@every_case
@pytest.mark.parametrize("how", ["aborted", "0xff", "noerror"])
def test_one_copy_with_fills_gives_the_truth_and_is_named(case: Case, how: str, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    chosen = copy_of(case, members, 0)
    start, stop = data_of(case, 0)
    before = chosen.read_bytes()
    spoil(chosen, how, (start + (stop - start) // 8) // 4096 * 4096, stop // 4096 * 4096)
    with open_array([str(path) for path in members]) as array:
        found, lost = read_all(array.source)
        truth = truth_of(case)
        assert np.array_equal(found, without(truth, lost))
        assert_only_fills(truth, lost)
        named = Extents().union(*(flaw.extents for flaw in array.learned if flaw.reason == NEVER_COPIED))
        assert named
        wrong = changed(before, chosen.read_bytes())
        assert all(wrong[low // SECTOR : high // SECTOR].all() for low, high in named)
        told = [each.message for each in array.findings if NEVER_COPIED in each.message]
        assert len(told) == 1
        assert told[0].startswith(f"{chosen}: {named.total} bytes at ")
        assert array.account().rebuilt > 0


@every_case
def test_with_check_every_difference_is_named(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    role = max(described(case).serving)
    chosen = copy_of(case, members, role)
    start, stop = data_of(case, role)
    spoil(chosen, "noerror", start // 4096 * 4096, stop // 4096 * 4096)
    with open_array([str(path) for path in members], Options(policy=Policy(check=True))) as array:
        found, lost = read_all(array.source)
        assert np.array_equal(found, without(truth_of(case), lost))
        assert_only_fills(truth_of(case), lost)
        assert NEVER_COPIED in {flaw.reason for flaw in array.learned}


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(CASES), st.booleans(), st.integers(0, 1 << 20))
def test_more_damage_never_changes_a_byte_that_is_still_served(case: Case, check: bool, seed: int) -> None:
    """Fills on any members but one, which is whole, and on a RAID10 on one of each neighbouring pair at most."""
    chance = random.Random(seed)
    images: Mapping[int, bytes] = images_of(case, case.members())
    now = {role: bytearray(image) for role, image in images.items()}
    roles = sorted(now)
    spoiled = roles[1:] if case.level == "raid1" else [chance.choice(roles)]
    truth = truth_of(case)
    for _ in range(3):
        for _ in range(20):
            role = chance.choice(spoiled)
            start, stop = data_of(case, role)
            at = chance.randrange(start // SECTOR, stop // SECTOR) * SECTOR
            length = min(chance.choice([1, 8, 100, 3000]) * SECTOR, stop - at)
            now[role][at : at + length] = filled(chance.choice(PATTERNS), length)
        members = [(member_of(case, role), MemorySource(bytes(image))) for role, image in sorted(now.items())]
        source = ArraySource(described(case), members, Policy(check=check))
        try:
            content, lost = read_all(source)
            for at in (chance.randrange(source.size - 70000) for _ in range(8)):
                piece = np.zeros(70000, dtype=np.uint8)
                assert source.read_into(one_request(at, 70000), piece) == lost.clip(at, at + 70000).shift(-at)
                assert np.array_equal(piece, content[at : at + 70000])
        finally:
            source.close()
        assert np.array_equal(content, without(truth, lost))


def spoiled(case: Case, folder: Path, lengths: Mapping[int, int]) -> tuple[list[Path], int]:
    """Let an array hold zeros, and some members garbage amid them, so many sectors; returns how many bytes of it."""
    members = case.copies(folder)
    chance = random.Random(case.name)
    for role in described(case).serving:
        start, stop = data_of(case, role)
        with copy_of(case, members, role).open("r+b") as file:
            os.pwrite(file.fileno(), bytes(stop - start), start)
            if role in lengths:
                garbage = chance.randbytes(lengths[role] * SECTOR)
                os.pwrite(
                    file.fileno(), garbage, start + (2 + 3 * role) * (stop - start) // 8 // 65536 * 65536 + SECTOR
                )
    return members, sum(lengths.values()) * SECTOR


@pytest.mark.parametrize("case", TWOFOLD, ids=lambda case: case.name)
@pytest.mark.parametrize("n_sectors", [1, 8, 100])
def test_garbage_amid_zeros_of_both_copies_is_served_as_unproven(case: Case, n_sectors: int, tmp_path: Path) -> None:
    members, n_bytes = spoiled(case, tmp_path, {0: n_sectors, 1: n_sectors})
    paths = [str(path) for path in members]
    accounts = []
    for policy in (Policy(), Policy(check=True), Policy(strict=True, check=True)):
        with open_array(paths, Options(policy=policy)) as array:
            _, lost = read_all(array.source)
            account = array.account()
            assert account.rebuilt == 0
            assert NEVER_COPIED not in {flaw.reason for flaw in array.learned}
            named = Extents().union(*(flaw.extents for flaw in array.learned if flaw.reason == CONTESTED))
            assert named.total == account.unproven
            assert any(CONTESTED in each.message for each in array.findings) == bool(named)
            assert lost.total == (n_bytes if policy.strict else 0)
            accounts.append(account)
    assert accounts[0].unproven <= accounts[1].unproven == n_bytes  # garbage may be md's first choice


# As users see it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES[:1], ids=lambda case: case.name)
@pytest.mark.parametrize("options", [(), ("--check",)])
def test_export_says_which_ranges_it_did_not_believe(case: Case, options: tuple[str, ...], tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    chosen = copy_of(case, members, 0)
    _, stop = data_of(case, 0)
    spoil(chosen, "aborted", 2 << 20, stop)
    done = raidfs("export", *options, *members, tmp_path / "image")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "image").read_bytes() == truth_of(case).tobytes()
    assert f"! {chosen}: " in done.stdout
    assert NEVER_COPIED in " ".join(done.stdout.split())


@pytest.mark.fuse
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mount_says_so_too(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    chosen = copy_of(case, members, 0)
    start, stop = data_of(case, 0)
    spoil(chosen, "aborted", (start + (stop - start) // 8) // 4096 * 4096, stop // 4096 * 4096)
    with mounted(members, tmp_path / "array") as tree:
        assert (tree / "array.img").read_bytes() == truth_of(case).tobytes()
        status = json.loads((tree / "status.json").read_text())
    assert status["account"]["rebuilt"] > 0
    (member,) = [each for each in status["members"] if each["path"] == str(chosen)]
    assert NEVER_COPIED in {each["reason"] for each in member["damage"]}
    assert sum(NEVER_COPIED in each["message"] for each in status["findings"]) == 1


@pytest.mark.parametrize("case", TWOFOLD, ids=lambda case: case.name)
def test_whoever_is_asked_says_the_same_of_garbage_amid_zeros(case: Case, tmp_path: Path) -> None:
    members, n_bytes = spoiled(case, tmp_path, {1: 1})
    verified = json.loads(raidfs("verify", "--json", "--no-hash", *members).stdout)
    (different,) = verified["verify"]["differences"]
    assert (verified["account"]["rebuilt"], verified["account"]["unproven"]) == (0, n_bytes)
    told = " ".join(raidfs("verify", "--no-hash", *members).stdout.split())
    assert "served of those that do not look as if they were never copied" in told
    exported = raidfs("export", "--check", *members, tmp_path / "image")
    assert f"{n_bytes} bytes ({n_bytes} bytes) unproven" in exported.stdout
    assert CONTESTED in " ".join(exported.stdout.split())
    assert "their copies differ, and nothing tells which is right" in " ".join(exported.stdout.split())
    explained = json.loads(raidfs("explain", "--json", "--at", str(different["array_start"]), *members).stdout)
    is_second = different["copies"][1]["path"] == str(copy_of(case, members, 1))
    assert explained["health"] == ("unproven" if is_second else "good")  # nobody asks about data that md reads first
