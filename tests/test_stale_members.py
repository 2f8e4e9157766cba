"""Members that md threw out, put back: taken for current ones they give wrong bytes, through raidfs never."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from raidfs.engine.health import Policy
from tests.oracle import reader
from tests.oracle.reach import IS_DOUBTFUL, IS_LOST, IS_UNPROVEN, healths
from tests.oracle.scan import describe, scan
from tests.support.golden import Case, cases_here, golden_case
from tests.support.reading import extents_of, mask_of, read_all, truth_of
from tests.support.scenes import Damage, Scene

pytestmark = pytest.mark.golden

WRONG = {
    "l-r5-3to4-degraded-before": 8_790_808,
    "l-r5-3to4-degraded-during": 3_576_435,
    "s-r6-degraded2": 10_075_302,
    "s-r5-recovery": 0,
}
"""How many bytes are wrong if the stale members are taken for current ones.

None in the last case: nothing was written since its member left. There the new member, rebuilt half-way, is the trap.
"""

HALF_REBUILT = 5_076_489
"""How many bytes are wrong in the last case if the member that is being rebuilt is taken for a whole one."""

every_case = pytest.mark.parametrize("case", cases_here(*WRONG), ids=lambda case: case.name)


def taken_for_current(case: Case) -> reader.Array:
    """The array with each stale member in its old role, whoever has that now."""
    images = case.members()
    array = describe(images)
    old = {scan(images[index])[2]: images[index] for index in case.stale}
    members = {member.role: member for member in array.members}
    for superblock, image in old.items():
        role = superblock.device_roles[superblock.device_number]
        moved = array.members[0].new_data_offset - array.members[0].data_offset
        offset = superblock.data_offset
        members[role] = reader.Member(role, image, offset, offset + moved)
    return replace(array, members=tuple(members.values()))


@every_case
def test_taken_for_current_they_give_wrong_bytes(case: Case) -> None:
    content, lost = reader.read(taken_for_current(case))
    assert not lost
    wrong = np.frombuffer(content, dtype=np.uint8)[: case.array_size] != truth_of(case)
    assert np.count_nonzero(wrong) == WRONG[case.name]


def test_a_half_rebuilt_member_taken_for_a_whole_one_gives_wrong_bytes() -> None:
    case = golden_case("s-r5-recovery")
    array = describe(case.members())
    members = tuple(replace(member, recovered_to=None) for member in array.members)
    content, lost = reader.read(replace(array, members=members))
    assert not lost
    assert np.count_nonzero(np.frombuffer(content, dtype=np.uint8) != truth_of(case)) == HALF_REBUILT


@every_case
def test_none_through_raidfs(case: Case, tmp_path: Path) -> None:
    """Whoever else is missing: what is served is the truth; what only a stale member holds is withheld as doubtful."""
    current = [index for index in range(len(case.members())) if index not in case.stale]
    n_doubtful = 0
    for missing in (missing for n in range(3) for missing in combinations(current, n) if n < len(current)):
        scene = Scene(case.members(), Damage(missing=frozenset(missing)), tmp_path)
        with scene.opened() as source:
            found = healths(scene.situation())
            content, withheld = read_all(source)
        assert withheld == extents_of(found > IS_UNPROVEN)
        assert missing or not withheld
        served = ~mask_of(withheld, len(content))
        assert np.array_equal(content[served], truth_of(case)[served]), f"without {missing}"
        with scene.opened(Policy(doubtful=True)) as source:
            assert source.known_losses(0, source.size) == extents_of(found == IS_LOST)
        n_doubtful += int(np.count_nonzero(found == IS_DOUBTFUL))
    assert n_doubtful
