"""RAID10 whose good members Linux threw out in a reshape: what is sure is served, and the rest only if asked for."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.array.assemble import assemble
from raidfs.array.description import ArrayDescription
from raidfs.array.shape import Level, Shape
from raidfs.array.strays import Strays, strays_of
from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.account import account_of
from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import known_flaws
from raidfs.engine.health import Policy
from raidfs.superblock.claim import ReshapeClaim
from tests.support.claims import claimed
from tests.support.cli import raidfs
from tests.support.golden import Case, fingerprints, golden_cases

CASES = [case for case in golden_cases() if case.is_disputed]
OFFSET = 1 << 16 | 2 << 8 | 1
LEFT = "members_failed_by_the_kernel"

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_all_of_it_is_there_for_whoever_takes_what_is_doubtful(case: Case, tmp_path: Path) -> None:
    members = case.members()
    before = fingerprints(members)
    done = raidfs("export", "--doubtful", *members, tmp_path / "image")
    assert done.returncode == 4
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == case.expected_sha256
    assert fingerprints(members) == before


def served(paths: list[Path], policy: Policy = Policy()) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read all that is served; bytes, and which of them are."""
    with open_array([str(path) for path in paths], Options(policy=policy)) as array:
        content, lost = read_exact(array.source, 0, array.source.size)
        there = np.ones(len(content), dtype=np.bool_)
        for start, stop in lost:
            there[start:stop] = False
        account = array.account()
        assert there.sum() == array.description.size - account.lost - (0 if policy.doubtful else account.doubtful)
    return np.frombuffer(content, np.uint8), there


@each_case
def test_what_is_served_is_right_whoever_is_missing(case: Case) -> None:
    members = case.members()
    truth, _ = served(members, Policy(doubtful=True))
    for n in range(1, len(members) + 1):
        for left in combinations(members, n):
            content, there = served(list(left))
            assert np.array_equal(content[there], truth[there])
            if n == len(members):
                assert there.sum() > len(truth) // 2


@each_case
def test_those_that_stayed_are_not_believed_alone(case: Case) -> None:
    left = case.data["expect"][LEFT]
    _, there = served([path for number, path in enumerate(case.members()) if number not in left])
    assert not there.any()


@each_case
def test_examine_names_the_members_to_trust(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    members = case.members()
    left = [str(members[number]) for number in case.data["expect"][LEFT]]
    assert main(["examine", "--json", *map(str, members)]) == 4
    said = json.loads(capsys.readouterr().out)
    (told,) = [each["message"] for each in said["findings"] if each["message"].startswith("trust ")]
    assert all(path in told.partition(":")[0] for path in left)
    assert "threw them out" in told
    assert {each["path"] for each in said["members"] if each["state"] == "in-sync"} == set(left)


@each_case
def test_a_file_keeps_it(case: Case, tmp_path: Path) -> None:
    members = case.members()
    assert main(["examine", "-q", *map(str, members), "-o", str(tmp_path / "array.toml")]) == 4
    content, there = served(members)
    with open_array([], Options(array=str(tmp_path / "array.toml"))) as array:
        again, lost = read_exact(array.source, 0, array.source.size)
    assert lost.total == (~there).sum()
    assert np.array_equal(np.frombuffer(again, np.uint8)[there], content[there])


def reshaped(roles: range, position: int, new_offset: int) -> ArrayDescription:
    """A RAID10 of four members in a reshape from near to offset copies, in which nobody failed."""
    told = ReshapeClaim(position, 0, 10, OFFSET, 65536, backwards=new_offset > 0, new_offset=new_offset)
    common: dict[str, Any] = {
        "level": 10,
        "layout": 0x102,
        "component_size": 16 << 20,
        "data_offset": 8 << 20,
        "reshape": told,
    }
    return assemble([claimed(role, data_size=20 << 20, **common) for role in roles]).description


@pytest.mark.parametrize("new_offset", [-(2 << 20), 2 << 20])
def test_second_copies_of_such_a_reshape_are_not_believed(new_offset: int) -> None:
    """Also where no member has failed: the first copies are right, the second ones were never written."""
    there = reshaped(range(4), 16 << 20, new_offset)
    assert there.strays is not None
    overrun = (4 << 20) if new_offset < 0 else 0
    assert there.strays.overrun.total == overrun
    assert health(there)["good"] == there.size - overrun
    without = health(reshaped(range(1, 4), 16 << 20, new_offset))
    assert without["doubtful"] == overrun + (4 << 20)  # of the new half, each fourth chunk has its first copy there
    assert without["good"] + without["rebuilt"] == there.size - without["doubtful"]


def test_a_member_that_failed_after_such_a_reshape_makes_all_of_it_doubtful() -> None:
    last = ReshapeClaim((32 << 20) - 65536, 0, 10, OFFSET, 65536, backwards=False, new_offset=-(2 << 20))
    common: dict[str, Any] = {
        "level": 10,
        "layout": OFFSET,
        "component_size": 16 << 20,
        "last_reshape": last,
        "data_size": 20 << 20,
    }
    whole = assemble([claimed(role, **common) for role in range(4)]).description
    assert health(whole)["good"] == whole.size - (4 << 20)
    left = assemble([claimed(role, device_roles=(0, 1, -2, 3), **common) for role in (0, 1, 3)]).description
    assert health(left)["good"] == health(left)["rebuilt"] == 0
    healed = last.__class__(0, 1, 10, OFFSET, 65536, backwards=False, new_offset=-(2 << 20))
    grown = assemble([claimed(role, **{**common, "last_reshape": healed}) for role in range(4)]).description
    assert health(grown)["good"] == grown.size


def health(description: ArrayDescription) -> dict[str, int]:
    members = description.sources
    flaws = known_flaws(description, members, [1 << 40] * len(members))
    account = account_of(chart_sections(description, members, flaws))
    return {name: getattr(account, name) for name in ("good", "rebuilt", "doubtful", "lost")}


@pytest.mark.parametrize(
    ("before", "after", "shift", "expected"),
    [
        ("near=2", "offset=2", 1 << 20, Strays()),
        ("offset=2", "near=2", -(1 << 20), None),
        ("offset=2", "offset=2", -(1 << 20), None),
        ("near=2", "near=2", -(1 << 20), None),
    ],
)
def test_when_there_are_strays(before: str, after: str, shift: int, expected: Strays | None) -> None:
    old, new = (Shape(Level.RAID10, layout, 65536, 4) for layout in (before, after))
    assert strays_of(old, new, shift, 16 << 20) == expected


def test_strays_lie_over_the_end_of_the_old_data() -> None:
    old, new = (Shape(Level.RAID10, layout, 65536, 4) for layout in ("near=2", "offset=2"))
    found = strays_of(old, new, -(2 << 20), 16 << 20)
    assert found is not None
    assert list(found.overrun) == [(28 << 20, 32 << 20)]
    assert strays_of(None, new, -(2 << 20), 16 << 20) == found
