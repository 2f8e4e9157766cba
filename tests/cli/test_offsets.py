"""Members whose superblocks say that their data begin where they do not: never believed in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_accusing import assert_alike, each_order, seen, true_content
from tests.support.golden import Case, cases_here
from tests.support.rewritten import DATA_OFFSET, DATA_SIZE, NEW_OFFSET, field_of, rewrite

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
    rewrite(members[odd], "Q", DATA_SIZE, members[odd].stat().st_size // 512 - 1024)
    found = seen([path for number, path in enumerate(members) if number != (odd + 1) % 3])
    said = [each for each in found.findings if "data begin at 524288 bytes" in each]
    assert len(said) == 1
    if "file systems disprove" in said[0]:
        assert np.array_equal(found.content, true_content(case))
        assert found.account.unproven
    else:
        assert "nothing tells whether it is right" in said[0]
        assert odd


WITHOUT = {"s-r5-default": (0,), "s-r0": (), "s-linear": (), "i-r0-3to4-12-64k": (), "a-r5-3to4-12-64k-40": (2,)}


@pytest.mark.parametrize("case", cases_here(*WITHOUT), ids=lambda case: case.name)
@pytest.mark.parametrize("sector", [1024, 4608])
def test_where_nothing_else_tells_data_end_with_their_image(case: Case, sector: int, tmp_path: Path) -> None:
    """They do so by their recorded length, if they begin where those of the others do."""
    members = case.copies(tmp_path)
    rewrite(members[1], "Q", DATA_OFFSET, sector)
    found = seen([path for number, path in enumerate(members) if number not in WITHOUT[case.name]])
    assert found.account.unproven
    assert not found.lost.any()
    content = found.content[: case.array_size]
    assert np.array_equal(content, true_content(case))
    (said,) = [each for each in found.findings if "recorded length" in each or "file systems disprove" in each]
    assert members[1].name in said


RESHAPED = cases_here(
    "a-r5-3to4-12-64k-40",
    "v-r5-3to4-offsets",
    "h-r6-4to6-12-64k",
    "f-r5-layout-ls-to-ra",
    "e-r5-4to3-12-64k-backup",
    "i-r10-n2-4to6-12-64k",
    "r-r10-o2-to-n2",
    "r-r10-chunk-64to128",
)


@pytest.mark.golden
@pytest.mark.parametrize("case", RESHAPED, ids=lambda case: case.name)
@pytest.mark.parametrize(("odd", "more"), [(0, 2048), (1, 4104), (-1, 1024)])
def test_an_offset_that_is_disproved_in_the_middle_of_a_reshape(
    case: Case, odd: int, more: int, tmp_path: Path
) -> None:
    """It governs both geometries, as the new one begins so far from the old one."""
    members = case.copies(tmp_path)
    rewrite(members[odd], "Q", DATA_OFFSET, field_of(members[odd], DATA_OFFSET) + more)
    found = assert_alike(each_order(members))
    content = found.content[: case.array_size]
    assert np.array_equal(content, true_content(case)[: len(content)])
    assert not found.lost.any()
    (said,) = [each for each in found.findings if "which the data disprove" in each]
    assert members[odd].name in said


@pytest.mark.golden
@pytest.mark.parametrize("case", cases_here("a-r5-3to4-12-64k-40", "r-r10-o2-to-n2"), ids=lambda case: case.name)
@pytest.mark.parametrize(("old", "new"), [(0, 2048), (2048, -2048), (2048, 512)])
def test_the_offsets_of_both_geometries_are_asked_by_themselves(case: Case, old: int, new: int, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[1], "Q", DATA_OFFSET, field_of(members[1], DATA_OFFSET) + old)
    rewrite(members[1], "i", NEW_OFFSET, field_of(members[1], NEW_OFFSET, "i") + new)
    found = seen(members)
    assert np.array_equal(found.content, true_content(case))
    assert any("which the data disprove" in each for each in found.findings)


@pytest.mark.parametrize("case", cases_here("v-r5-offsets-static"), ids=lambda case: case.name)
@pytest.mark.parametrize("odd", range(4))
def test_one_that_is_wrong_among_members_that_all_differ(case: Case, odd: int, tmp_path: Path) -> None:
    """The others look wrong only as long as it is read in their place."""
    members = case.copies(tmp_path)
    rewrite(members[odd], "Q", DATA_OFFSET, field_of(members[odd], DATA_OFFSET) + 2048)
    found = assert_alike(each_order(members))
    assert np.array_equal(found.content, true_content(case))
    assert not found.lost.any()
    (said,) = [each for each in found.findings if "which the data disprove" in each]
    assert members[odd].name in said


@pytest.mark.parametrize("case", cases_here("s-r1-2"), ids=lambda case: case.name)
def test_two_copies_that_agree_if_either_begins_elsewhere(case: Case, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    rewrite(members[1], "Q", DATA_OFFSET, 1024)
    found = assert_alike(each_order(members))
    assert not (found.content != true_content(case))[found.good].any()
    assert found.account.doubtful or found.account.unproven


@pytest.mark.parametrize(
    "case", cases_here("v-r5-offsets-static", "s-r5-default", "v-r5-3to4-offsets"), ids=lambda case: case.name
)
def test_offsets_that_differ_by_right_raise_no_alarm(case: Case) -> None:
    found = seen(case.members())
    assert found.account.good == len(found.content)
    assert not found.findings
    for left_out in range(len(case.members())):
        with_hole = seen([path for number, path in enumerate(case.members()) if number != left_out])
        assert with_hole.good.all()
        assert np.array_equal(with_hole.content, true_content(case))
