"""Two images of one member: where they differ nothing is sure of it, whichever was given first."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import read_exact
from raidfs.cli.session import open_array
from raidfs.engine.account import health_runs
from raidfs.engine.health import Health
from tests.support.golden import Case, cases_here
from tests.support.rewritten import EVENTS, rewrite
from tests.support.truth import truth


def truth_size(case: Case) -> int:
    return len(truth(case))


REAL = cases_here("s-r5-la", "s-r1-2-090", "s-r10-f2-5")


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("case", REAL, ids=lambda case: case.name)
def test_what_differs_between_two_copies_is_never_good(case: Case, is_first: bool, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    other = Path(shutil.copy(members[0], tmp_path / "other.img"))
    given = [other, *members] if is_first else [*members, other]
    with open_array([str(path) for path in given]) as array:
        assert array.account().good == array.source.size
        assert not any("differ, first seen" in each.message for each in array.findings)
    with other.open("r+b") as image:
        image.seek(other.stat().st_size // 2)
        image.write(b"\xa5" * 5000)
    with open_array([str(path) for path in given]) as array:
        content, lost = read_exact(array.source, 0, array.source.size)
        account = array.account()
        assert any("claim to be the same member, and differ, first seen" in each.message for each in array.findings)
        differ = np.frombuffer(content, np.uint8) != np.frombuffer(truth(case), np.uint8)
        good = [each for each in health_runs(array.source.sight.charts, 0, array.source.size) if each[2] is Health.GOOD]
    assert not any(differ[start:stop].any() for start, stop, _ in good)
    assert not differ.any(), "the redundancy makes up for what is not sure"
    assert not lost
    assert account.rebuilt
    without = [str(path) for path in given if path != members[1]]
    with open_array(without) as array:
        account = array.account()
    assert account.good + account.rebuilt + account.doubtful == truth_size(case) - account.lost
    assert account.doubtful


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("case", cases_here("s-r5-la"), ids=lambda case: case.name)
def test_the_newer_of_two_copies_serves_and_is_unproven(case: Case, is_first: bool, tmp_path: Path) -> None:
    members = case.copies(tmp_path)
    other = Path(shutil.copy(members[0], tmp_path / "other.img"))
    rewrite(other, "Q", EVENTS, 17)
    with other.open("r+b") as image:
        image.seek(other.stat().st_size // 2)
        image.write(b"\xa5" * 5000)
    given = [other, *members] if is_first else [*members, other]
    with open_array([str(path) for path in given if path != members[1]]) as array:
        content, lost = read_exact(array.source, 0, array.source.size)
        account = array.account()
    assert content == truth(case)
    assert not lost
    assert account.unproven
