"""Fills of every kind on one member, or on two that overlap: what is served as certain is the truth, on real arrays."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.account import health_runs
from raidfs.engine.health import Health, Policy
from tests.support.fills import filled, is_filled, located
from tests.support.golden import SECTOR, Case, cases_here
from tests.test_fills import data_sectors, described, images_of, opened, read_all, truth_of

pytestmark = pytest.mark.golden

CASES = cases_here("s-r6-pf6", "s-r6-ls", "s-r1-3-10", "s-r10-n3-5")
KINDS = (b"\0", b"\xff", b"BADSECT ", b"BaDbLoCk", None)
"""None: ddrescue's location data."""


def spoil(case: Case, roles: Sequence[int], kinds: Sequence[bytes | None], chance: random.Random) -> dict[int, bytes]:
    """Fill random ranges of members, three near each other at a time."""
    images = {role: bytearray(image) for role, image in images_of(case, case.members()).items()}
    places, base = data_sectors(case), 0
    for number in range(30):
        if number % 3 == 0:
            base = chance.choice(places)
        first = min(base + chance.randrange(64), places.stop - 1)
        start = first * SECTOR
        length = (min(first + chance.choice([1, 8, 64, 400, 3000]), places.stop) - first) * SECTOR
        kind = chance.choice(kinds)
        fill = located(start, length) if kind is None else filled(kind, length)
        images[chance.choice(roles)][start : start + length] = fill
    return {role: bytes(image) for role, image in images.items()}


@settings(max_examples=4, deadline=None)
@given(st.sampled_from(CASES), st.integers(1, 2), st.booleans(), st.integers(0, 1 << 20))
def test_what_is_certain_is_the_truth_and_one_member_costs_nothing(case: Case, n: int, check: bool, seed: int) -> None:
    chance = random.Random(seed)
    kinds = KINDS if n == 2 else (chance.choice(KINDS),)  # of two kinds on one member either may be of a pair
    images = spoil(case, chance.sample(sorted(described(case).serving), n), kinds, chance)
    with opened(case, images, (), Policy(check=check)) as source:
        content, lost = read_all(source)
        is_right = content == truth_of(case)
        for start, stop in lost:
            is_right[start:stop] = True
        if n == 1:
            assert is_right.all()
            assert case.level != "raid6" or not lost
            for start, stop in lost:  # 0xff or texts of most copies beside zeros
                for at in range(start, stop, SECTOR):
                    assert is_filled(truth_of(case)[at : at + SECTOR].tobytes())
                    assert truth_of(case)[at : at + SECTOR].any()
        for start, stop, health in health_runs(source.sight.charts, 0, source.size):
            assert health > Health.REBUILT or is_right[start:stop].all()
