"""Rows of which nobody knows whether a reshape wrote them: what both geometries have at one place is checked, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import one_request
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.cli.verification import Verification
from raidfs.engine.account import Account
from raidfs.engine.health import Policy
from raidfs.engine.undecided_rows import undecided_rows
from raidfs.extents import Extents
from tests.support.golden import Case, cases_here

pytestmark = pytest.mark.golden
SECTOR = 512
CASES = cases_here("g-r5to6-4to5-12-64k", "g-r6to5-5to4-12-64k")


def read(paths: Sequence[Path], *, check: bool) -> tuple[NDArray[np.uint8], Extents, Account]:
    """Read all of an array; return its bytes, what is not served, and its account after that."""
    with open_array([str(path) for path in paths], Options(policy=Policy(check=check))) as array:
        content = np.zeros(array.description.size, dtype=np.uint8)
        lost = array.source.read_into(one_request(0, len(content)), content)
        return content, lost, array.account()


def places(paths: Sequence[Path], random: Random, n: int) -> list[tuple[Path, int]]:
    """Draw sectors of undecided rows, one in a row: member and image offset."""
    with open_array([str(path) for path in paths]) as array:
        rows = undecided_rows(array.description)
        heights = random.sample([at for start, stop in rows for at in range(start, stop, SECTOR)], n)
        members = [member for _, member in sorted(array.description.serving.items())]
        drawn = [(random.choice(members), height) for height in heights]
        return [(Path(member.path), member.new_data_offset + height) for member, height in drawn]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("has_zeros", [False, True])
def test_what_neither_geometry_explains_is_not_served(case: Case, has_zeros: bool, tmp_path: Path) -> None:
    paths, random = case.copies(tmp_path), Random(6)
    truth, _, sound = read(paths, check=True)
    assert sound.doubtful == sound.lost == 0
    for path, at in places(paths, random, 60):
        with path.open("r+b") as image:
            image.seek(at)
            image.write(bytes(SECTOR) if has_zeros else random.randbytes(SECTOR))
    content, lost, account = read(paths, check=not has_zeros)
    served = np.ones(len(content), dtype=np.bool_)
    for start, stop in lost:
        served[start:stop] = False
    assert np.array_equal(content[served], truth[served])
    assert account.good > sound.good - 60 * 5 * SECTOR
    if not has_zeros:
        with open_array([str(path) for path in paths]) as array:
            Verification(array, None, hashing=False).run(quiet=True)
            assert array.account() == account
