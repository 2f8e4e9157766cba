"""The oracle against reality: arrays that mdadm made and Linux crashed, read whole by the naive reader."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tests.oracle.at_risk import Reshape, at_risk_data
from tests.oracle.reader import Array, read
from tests.oracle.scan import describe
from tests.support.golden import Case, golden_cases

CASES = golden_cases(part=1)
WINDOW = 1 << 20

pytestmark = pytest.mark.golden
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
with_spare_members = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.at_limit], ids=lambda case: case.name
)


@by_name
def test_the_whole_device(case: Case) -> None:
    content, lost = read(describe(case.members()))
    assert lost == []
    assert len(content) == case.array_size
    assert hashlib.sha256(content).hexdigest() == case.expected_sha256


@by_name
def test_the_description_agrees_with_the_kernel(case: Case) -> None:
    array = describe(case.members())
    said = case.data["before_crash"]  # by sysfs
    now = array.after or array.geometry
    assert case.level == f"raid{now.level}"
    assert now.level == 4 or said["layout"].split()[0] == str(now.layout)
    assert said["chunk_size"].split()[0] == str(now.chunk)
    assert said["raid_disks"].split()[0] == str(now.raid_disks)
    assert array.component_size == int(said["component_size"]) * 1024
    if array.after is not None:
        assert array.position == case.data["reshape_position"] * 512
        assert array.backwards == (said["reshape_direction"] == "backwards")


@with_spare_members
def test_the_whole_device_with_members_left_out(case: Case) -> None:
    array = describe(case.members())
    content, lost = read(without(array, range(tolerable(array))))
    assert lost == []
    assert hashlib.sha256(content).hexdigest() == case.expected_sha256


@with_spare_members
def test_windows_with_every_tolerable_set_of_members_left_out(case: Case) -> None:
    array = describe(case.members())
    whole = {start: read(array, start, stop)[0] for start, stop in windows(array)}
    for left_out in combinations(sorted(member.role for member in array.members), tolerable(array)):
        for start, stop in windows(array):
            assert read(without(array, left_out), start, stop) == (whole[start], [])


def tolerable(array: Array) -> int:
    """How many members of a whole array may be missing."""
    return 2 if array.geometry.level == 6 else 1


def without(array: Array, roles: Collection[int]) -> Array:
    """The array without the members of some roles."""
    return replace(array, members=tuple(member for member in array.members if member.role not in roles))


def windows(array: Array) -> list[tuple[int, int]]:
    """The start, the surroundings of the position, and the end of an array."""
    starts = {0, min(max(array.position - WINDOW // 2, 0), array.size - WINDOW), array.size - WINDOW}
    return [(start, start + WINDOW) for start in sorted(starts)]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.data["reshape_position"] is not None], ids=lambda case: case.name
)
def test_the_recorded_position_is_exact(case: Case) -> None:
    array = describe(case.members())
    assert array.after is not None
    offsets = {member.role: (member.data_offset, member.new_data_offset) for member in array.members}
    reshape = Reshape(array.geometry, array.after, array.component_size, array.position, array.backwards, offsets)
    assert at_risk_data(reshape) == []


def test_the_oracle_shares_no_code_with_the_project() -> None:
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "raidfs" for name in names), path.name
