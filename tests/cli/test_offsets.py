"""Members whose superblocks say that their data begin where they do not: never believed in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_accusing import assert_alike, each_order, seen, true_content
from tests.support.golden import Case, cases_here
from tests.support.rewritten import DATA_OFFSET, rewrite

IN_SUPERBLOCK = cases_here("s-r5-default", "s-r6-la", "s-r1-2", "s-r10-n2-4", "s-r1-3-10")


@pytest.mark.parametrize("case", IN_SUPERBLOCK, ids=lambda case: case.name)
@pytest.mark.parametrize("odd", [0, 1])
def test_data_that_would_lie_over_the_superblock_are_not_believed(case: Case, odd: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    sector = 64 if case.name == "s-r1-3-10" else 0  # of 1.0 the superblock lies behind the data
    if sector:
        rewrite(members[odd], "Q", 80, 20963328 // 512 - 8)
        rewrite(members[odd], "Q", 136, 20963328 // 512)
    rewrite(members[odd], "Q", DATA_OFFSET, sector)
    found = assert_alike(each_order(members))
    assert not (found.content != true_content(case))[found.good].any()
    told = [each for each in found.findings if members[odd].name in each and ("data begin" in each or "says" in each)]
    assert told
    if not sector:
        assert not found.lost.any()
        assert np.array_equal(found.content, true_content(case))
        assert any("data_offset" in each and "superblock" in each for each in told)


@pytest.mark.parametrize("case", cases_here("s-r5-default"), ids=lambda case: case.name)
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_without_redundancy_such_data_are_doubtful(case: Case, odd: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[odd], "Q", DATA_OFFSET, 0)
    there = [path for number, path in enumerate(members) if number != (odd + 1) % 3]
    found = seen(there)
    assert found.account.doubtful
    assert not (found.content != true_content(case))[found.good].any()
    assert not (found.content != true_content(case))[~found.lost].any()


SHIFTED = cases_here("s-r5-default", "s-r6-la", "s-r10-n2-4", "s-r5-pl", "s-r10-f2-4")


@pytest.mark.parametrize("case", SHIFTED, ids=lambda case: case.name)
@pytest.mark.parametrize(("odd", "sector"), [(0, 64), (1, 1024), (2, 4104)])
def test_an_offset_that_the_redundancy_disproves(case: Case, odd: int, sector: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[odd], "Q", DATA_OFFSET, sector)
    found = assert_alike(each_order(members))
    assert not (found.content != true_content(case))[found.good].any()
    assert not found.lost.any()
    assert np.array_equal(found.content, true_content(case))
    assert any("which the data disprove" in each for each in found.findings)


@pytest.mark.parametrize("case", cases_here("s-r5-default"), ids=lambda case: case.name)
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_with_a_member_missing_file_systems_tell(case: Case, odd: int, tmp_path: Path) -> None:
    """Where they lie on the member; else it is said that nothing tells."""
    members = case.copies(tmp_path)
    rewrite(members[odd], "Q", DATA_OFFSET, 1024)
    found = seen([path for number, path in enumerate(members) if number != (odd + 1) % 3])
    said = [each for each in found.findings if "data begin at 524288 bytes" in each]
    assert len(said) == 1
    if "which the data disprove" in said[0]:
        assert np.array_equal(found.content, true_content(case))
        assert found.account.unproven
    else:
        assert "nothing tells whether it is right" in said[0]
        assert odd


@pytest.mark.parametrize("case", cases_here("s-r1-2"), ids=lambda case: case.name)
def test_two_copies_that_agree_if_either_begins_elsewhere(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[1], "Q", DATA_OFFSET, 1024)
    found = assert_alike(each_order(members))
    assert not (found.content != true_content(case))[found.good].any()
    assert found.account.doubtful or found.account.unproven


@pytest.mark.parametrize("case", cases_here("v-r5-offsets-static", "s-r5-default"), ids=lambda case: case.name)
def test_offsets_that_differ_by_right_raise_no_alarm(case: Case) -> None:
    found = seen(case.members())
    assert found.account.good == len(found.content)
    assert not found.findings
    for left_out in range(len(case.members())):
        with_hole = seen([path for number, path in enumerate(case.members()) if number != left_out])
        assert with_hole.good.all()
        assert np.array_equal(with_hole.content, true_content(case))
