"""Members that contradict each other at equal events, byte for byte: the order of arguments decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import read_exact
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.account import Account, health_runs
from raidfs.engine.health import Health, Policy
from tests.oracle.layouts import Geometry
from tests.oracle.writer import write_array
from tests.support.cli import raidfs
from tests.support.golden import Case, cases_here
from tests.support.rewritten import CHUNK, EVENTS, POSITION, UPDATED, accuse, rewrite, spoil
from tests.support.truth import truth

EXTRA = b"\xa5" * 5000


@dataclass(frozen=True)
class Seen:
    """What an array gives.

    Attributes:
        content: what is served; zeros where nothing is.
        lost: bool by byte: it is not served.
        good: bool by byte: it is called good or rebuilt.
        account: of the array.
        findings: their messages.
    """

    content: NDArray[np.uint8]
    lost: NDArray[np.bool_]
    good: NDArray[np.bool_]
    account: Account
    findings: tuple[str, ...]


def seen(members: list[Path], *, doubtful: bool = False) -> Seen:
    options = Options(policy=Policy(doubtful=doubtful))
    with open_array([str(path) for path in members], options) as array:
        content, missing = read_exact(array.source, 0, array.source.size)
        lost, good = (np.zeros(array.source.size, dtype=np.bool_) for _ in range(2))
        for start, stop in missing:
            lost[start:stop] = True
        for start, stop, health in health_runs(array.source.sight.charts, 0, array.source.size):
            good[start:stop] = health in (Health.GOOD, Health.REBUILT)
        told = tuple(finding.message for finding in array.findings)
        return Seen(np.frombuffer(content, np.uint8), lost, good, array.account(), told)


def true_content(case: Case) -> NDArray[np.uint8]:
    return np.frombuffer(truth(case), np.uint8)


def each_order(members: list[Path]) -> list[Seen]:
    orders = [members, members[::-1], [*members[1:], members[0]]]
    return [seen(order) for order in orders]


def assert_alike(results: list[Seen]) -> Seen:
    first = results[0]
    for each in results[1:]:
        assert np.array_equal(each.content, first.content)
        assert np.array_equal(each.lost, first.lost)
        assert np.array_equal(each.good, first.good)
        assert sorted(each.findings) == sorted(first.findings)
    return first


# Mirrors -----------------------------------------------------------------------------------------------------------

MIRRORS = cases_here("s-r1-2")


def split(case: Case, tmp_path: Path) -> list[Path]:
    members = case.copies(tmp_path)
    accuse(members[0], 1)
    accuse(members[1], 0)
    return members


@pytest.mark.parametrize("case", MIRRORS, ids=lambda case: case.name)
@pytest.mark.parametrize("later", [None, 0, 1])
def test_halves_of_a_mirror_that_both_ran_are_compared(case: Case, later: int | None, tmp_path: Path) -> None:
    members = split(case, tmp_path)
    if later is not None:
        rewrite(members[later], "Q", UPDATED, 1_900_000_000)
    place = 1048576 + 3_000_000
    spoil(members[1], place, EXTRA)
    found = assert_alike(each_order(members))
    start = 3_000_000 // 4096 * 4096
    assert found.lost[start + 4096 : 3_005_000].all()
    assert found.account.doubtful == np.count_nonzero(found.lost) <= 3 * 4096
    assert np.array_equal(found.content[~found.lost], true_content(case)[~found.lost])
    assert any("contradict each other" in each and "both sides" in each for each in found.findings)
    alone = [seen(members[:1]), seen(members[1:])]
    assert all(each.good.all() for each in alone)
    assert not np.array_equal(alone[0].content, alone[1].content)
    served = seen(members, doubtful=True)
    assert np.array_equal(served.content, alone[later or 0].content)


@pytest.mark.parametrize("case", cases_here("s-r1-2-090"), ids=lambda case: case.name)
def test_halves_of_a_mirror_without_a_place_for_data_offsets(case: Case, tmp_path: Path) -> None:
    members = split(case, tmp_path)
    spoil(members[0], 4096 * 700, EXTRA)
    found = assert_alike(each_order(members))
    assert found.lost[4096 * 700 : 4096 * 700 + 5000].all()
    assert found.account.doubtful == np.count_nonzero(found.lost) <= 2 * 4096
    assert np.array_equal(found.content[~found.lost], true_content(case)[~found.lost])


@pytest.mark.parametrize("case", MIRRORS, ids=lambda case: case.name)
def test_halves_of_a_mirror_that_hold_the_same_are_good(case: Case, tmp_path: Path) -> None:
    found = assert_alike(each_order(split(case, tmp_path)))
    assert found.account.good == len(found.content)
    assert np.array_equal(found.content, true_content(case))
    assert any("contradict each other" in each for each in found.findings)


@pytest.mark.parametrize("case", MIRRORS, ids=lambda case: case.name)
@pytest.mark.parametrize("accuser", [0, 1])
def test_who_is_accused_and_accuses_nobody_is_older(case: Case, accuser: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    accuse(members[accuser], 1 - accuser)
    spoil(members[1 - accuser], 1048576 + 3_000_000, EXTRA)
    found = assert_alike(each_order(members))
    assert np.array_equal(found.content, true_content(case)), "the accuser serves"
    assert not found.good[3_000_000 + 4096]
    assert found.account.unproven <= 3 * 4096
    assert any("contradict each other" in each for each in found.findings)


@pytest.mark.parametrize("case", cases_here("s-r1-3-10"), ids=lambda case: case.name)
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_two_of_three_copies_outvote_the_third(case: Case, odd: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    others = [number for number in range(3) if number != odd]
    accuse(members[odd], *others)
    for number in others:
        accuse(members[number], odd)
    spoil(members[odd], 3_000_000, EXTRA)
    found = assert_alike(each_order(members))
    assert not found.lost.any()
    assert np.array_equal(found.content, true_content(case))
    assert 5000 <= found.account.unproven <= 3 * 4096


@pytest.mark.parametrize("case", MIRRORS, ids=lambda case: case.name)
@pytest.mark.parametrize("n_more", [1, 5])
def test_mirrors_that_ran_apart_to_unequal_events_are_named(case: Case, n_more: int, tmp_path: Path) -> None:
    members = split(case, tmp_path)
    rewrite(members[1], "Q", EVENTS, 17 + n_more)
    spoil(members[0], 1048576 + 3_000_000, EXTRA)
    found = assert_alike(each_order(members))
    assert np.array_equal(found.content, true_content(case)), "the freshest serves"
    assert any("ran on without" in each and "both have written" in each for each in found.findings)


@pytest.mark.parametrize("case", cases_here("s-r10-n2-4"), ids=lambda case: case.name)
def test_halves_of_a_raid10(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    for number in (0, 2):
        accuse(members[number], 1, 3)
        accuse(members[number + 1], 0, 2)
    spoil(members[1], 1048576 + 65536 * 7, EXTRA)
    found = assert_alike(each_order(members))
    assert np.array_equal(found.content[~found.lost], true_content(case)[~found.lost])
    assert 0 < found.account.doubtful == np.count_nonzero(found.lost) <= 3 * 4096


# Parity ------------------------------------------------------------------------------------------------------------

FIVES = cases_here("s-r5-la")


@pytest.mark.parametrize("case", FIVES, ids=lambda case: case.name)
@pytest.mark.parametrize("odd", [0, 1, 2, 3])
@pytest.mark.parametrize("late", [0, 1])
def test_one_that_accuses_all_others_is_outvoted(case: Case, odd: int, late: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    accuse(members[odd], *({0, 1, 2, 4} - {(0, 1, 2, 4)[odd]}))
    rewrite(members[odd], "Q", UPDATED, 1_900_000_000 * (1 - late))
    spoil(members[odd], 3_000_000, EXTRA)
    found = assert_alike(each_order(members))
    assert not found.lost.any()
    assert np.array_equal(found.content, true_content(case))
    assert found.good.all()
    assert found.account.rebuilt
    assert any("contradict each other" in each for each in found.findings)
    without = [path for number, path in enumerate(members) if number != (odd + 1) % 4]
    found = assert_alike(each_order(without))
    assert not (found.content != true_content(case))[found.good].any()


@pytest.mark.parametrize("case", FIVES, ids=lambda case: case.name)
def test_where_each_accuses_all_others_nothing_is_sure(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    for number, image in enumerate(members):
        accuse(image, *({0, 1, 2, 4} - {(0, 1, 2, 4)[number]}))
    found = assert_alike(each_order(members))
    assert found.lost.all()
    whole = seen(members, doubtful=True)
    assert np.array_equal(whole.content, true_content(case))


@pytest.mark.parametrize("case", cases_here("s-r6-la"), ids=lambda case: case.name)
def test_a_raid6_of_which_two_are_accused_by_three(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    for number in range(5):
        accuse(members[number], *((3, 4) if number < 3 else (0, 1, 2)))
    spoil(members[3], 3_000_000, EXTRA)
    found = assert_alike(each_order(members))
    assert not found.lost.any()
    assert np.array_equal(found.content, true_content(case))


# Shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", FIVES, ids=lambda case: case.name)
@pytest.mark.parametrize("odd", [0, 3])
@pytest.mark.parametrize("n_more", [0, 1])
def test_a_lone_other_chunk_size_is_outvoted(case: Case, odd: int, n_more: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[odd], "I", CHUNK, 128)
    rewrite(members[odd], "Q", EVENTS, 18 + n_more)
    found = assert_alike(each_order(members))
    assert not found.lost.any()
    assert np.array_equal(found.content, true_content(case))
    assert found.account.rebuilt
    assert any("chunk_size" in each for each in found.findings)
    without = [path for number, path in enumerate(members) if number != 1]
    found = assert_alike(each_order(without))
    assert not (found.content != true_content(case))[found.good].any()
    assert found.account.good == 0 or not n_more


@pytest.mark.parametrize("case", FIVES, ids=lambda case: case.name)
def test_two_against_two_about_the_chunk_size_is_withheld(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    for image in members[2:]:
        rewrite(image, "I", CHUNK, 128)
    found = [seen(list(order)) for order in list(permutations(members))[::5]]
    first = assert_alike(found)
    assert first.lost.all()
    assert any("tell of different arrays" in each for each in first.findings)


@pytest.mark.parametrize("case", FIVES, ids=lambda case: case.name)
def test_a_lone_newer_superblock_against_older_ones_that_agree(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[0], "I", CHUNK, 128)
    rewrite(members[0], "Q", EVENTS, 30)
    found = assert_alike(each_order(members))
    assert not found.good.any()
    assert any("alone says chunk_size" in each for each in found.findings)


# Kept in a file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s-r1-2", "s-r5-la"])
def test_what_is_contested_is_kept_in_a_file(name: str, tmp_path: Path) -> None:
    """What is written and read again gives every byte the same worth."""
    for case in cases_here(name):
        members = split(case, tmp_path) if name == "s-r1-2" else case.copies(tmp_path)
        spoil(members[1], 3_000_000, EXTRA)
        if name == "s-r5-la":
            accuse(members[1], 0, 2, 4)
        there = [*members] if name == "s-r1-2" else members[:3]
        before = seen(there)
        assert before.account.unproven or before.account.doubtful
        file = tmp_path / "ARRAY.toml"
        done = raidfs("examine", "-q", "-o", file, *there)
        assert done.returncode == (4 if before.account.doubtful else 0), done.stderr
        with open_array([], Options(array=str(file))) as array:
            assert array.account() == before.account
            content, _ = read_exact(array.source, 0, array.source.size)
        assert np.array_equal(np.frombuffer(content, np.uint8), before.content)


@pytest.mark.parametrize("n_disks", [4])
def test_halves_of_a_raid6_that_are_both_enough(n_disks: int, tmp_path: Path) -> None:
    """What both sides tell alike is right; a member of one side that was written since is doubtful, row by row."""
    array = write_array(Geometry(6, 2, n_disks, 4096), 64 * 4096, data_offset=65536)
    members = array.save(tmp_path)
    for number in (0, 1):
        accuse(members[number], 2, 3)
        accuse(members[number + 2], 0, 1)
    same = assert_alike(each_order(members))
    assert not same.lost.any()
    assert same.content.tobytes() == bytes(array.truth)
    assert same.good.all()
    spoil(members[2], 65536 + 7 * 4096 + 100, b"\xa5" * 300)
    found = assert_alike(each_order(members))
    right = np.frombuffer(bytes(array.truth), np.uint8)
    assert not (found.content != right)[found.good].any()
    assert 0 < np.count_nonzero(found.lost) <= 2 * 4096


# Positions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases_here("a-r5-3to4-12-64k-40", "h-r6-4to6-12-64k"), ids=lambda case: case.name)
@pytest.mark.parametrize("sector", [777, 1 << 40, (1 << 63) + 5])
@pytest.mark.parametrize("odd", [0, 1, 3])
def test_a_position_where_no_reshape_stands_is_not_believed(case: Case, sector: int, odd: int, tmp_path: Path) -> None:
    """Not at a whole new stripe, or beyond the end: one member that says so costs none of the array."""
    members = case.copies(tmp_path)
    rewrite(members[odd], "Q", POSITION, sector)
    found = assert_alike(each_order(members))
    truth_there = true_content(case)
    assert np.array_equal(found.content[: len(truth_there)], truth_there)
    assert not found.lost.any()
    assert any(str(members[odd]) in each and "position" in each for each in found.findings)
