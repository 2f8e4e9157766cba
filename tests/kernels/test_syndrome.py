"""Verdicts on rows, compiled and not, against parity by its definition: every layout, every wrong member."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.kernels.syndrome import AGREES, NOBODY, SECTOR, UNCHECKABLE, UNCHECKED, UNLOCATED, check_rows
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.parity import fill

SIXES = [Geometry(6, layout, disks, 1024) for layout in LAYOUT_NAMES[6] for disks in (4, 5, 8)]
FIVES = [Geometry(5, layout, disks, 1024) for layout in LAYOUT_NAMES[5] for disks in (2, 3, 5)]


def kernel_arrays(geometry: Geometry) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Steps and parities of as many stripes as there are before every layout repeats."""
    n = geometry.raid_disks
    stripes = [geometry.stripe(row) for row in range(n * (n - 1))]
    if geometry.level < 6:
        return np.array([s.data for s in stripes], np.int16), np.array([(s.p, -1) for s in stripes], np.int16)
    steps = np.full((len(stripes), n), -1, dtype=np.int16)
    for row, stripe in enumerate(stripes):
        for role, exponent in zip(stripe.data, stripe.exponent, strict=True):
            steps[row, n - 1 - exponent] = role
    return steps, np.array([(s.p, s.q) for s in stripes], np.int16)


def rows_of(geometry: Geometry, first: int, n: int, random: Random) -> NDArray[np.uint8]:
    """Right content of `n` sectors of every role from a component sector on."""
    per_chunk = geometry.chunk // SECTOR
    data = np.zeros((geometry.raid_disks, n * SECTOR), dtype=np.uint8)
    for sector in range(n):
        stripe = geometry.stripe((first + sector) // per_chunk)
        for role, block in fill(stripe, [random.randbytes(SECTOR) for _ in stripe.data]).items():
            data[role, sector * SECTOR : (sector + 1) * SECTOR] = np.frombuffer(block, np.uint8)
    return data


def judge(
    geometry: Geometry, data: NDArray[np.uint8], first: int, absent: list[int], *, compiled: bool = True
) -> list[int]:
    steps, parity = kernel_arrays(geometry)
    verdict = np.full(len(absent), 99, dtype=np.int16)
    check = check_rows if compiled else cast(Any, check_rows).py_func
    check(data, np.array(absent, np.int16), steps, parity, first, geometry.chunk // SECTOR, verdict)
    found: list[int] = verdict.tolist()
    return found


def spoil(data: NDArray[np.uint8], role: int, sector: int, random: Random, n_bytes: int = SECTOR) -> None:
    """Change some bytes of one role in one sector, none to what it was."""
    for at in random.sample(range(SECTOR), n_bytes):
        data[role, sector * SECTOR + at] ^= random.randrange(1, 256)


@pytest.mark.parametrize("geometry", SIXES, ids=str)
def test_the_one_wrong_member_is_named_in_every_layout(geometry: Geometry) -> None:
    random = Random(1)
    n = 2 * geometry.raid_disks * (geometry.raid_disks - 1)
    data = rows_of(geometry, 3, n, random)
    assert judge(geometry, data, 3, [NOBODY] * n) == [AGREES] * n
    wrong = [random.randrange(-1, geometry.raid_disks) for _ in range(n)]
    for sector, role in enumerate(wrong):
        if role >= 0:
            spoil(data, role, sector, random, random.choice([1, 2, 511, 512]))
    assert judge(geometry, data, 3, [NOBODY] * n) == [AGREES if role < 0 else role for role in wrong]


@pytest.mark.parametrize("geometry", SIXES, ids=str)
def test_with_one_missing_the_other_equation_still_detects(geometry: Geometry) -> None:
    random = Random(2)
    n = geometry.raid_disks * (geometry.raid_disks - 1)
    data = rows_of(geometry, 0, n, random)
    for missing in range(geometry.raid_disks):
        damaged = data.copy()
        damaged[missing] = np.frombuffer(random.randbytes(n * SECTOR), np.uint8)
        assert judge(geometry, damaged, 0, [missing] * n) == [AGREES] * n
        expected = []
        for sector in range(n):
            role = random.randrange(geometry.raid_disks)
            expected.append(AGREES if role == missing else UNLOCATED)
            spoil(damaged, role, sector, random, random.choice([1, 512]))
        assert judge(geometry, damaged, 0, [missing] * n) == expected


@pytest.mark.parametrize("geometry", FIVES, ids=str)
def test_one_parity_detects_only(geometry: Geometry) -> None:
    random = Random(3)
    n = 2 * geometry.raid_disks
    data = rows_of(geometry, 5, n, random)
    assert judge(geometry, data, 5, [NOBODY] * n) == [AGREES] * n
    for sector in range(0, n, 2):
        spoil(data, random.randrange(geometry.raid_disks), sector, random, 1)
    assert judge(geometry, data, 5, [NOBODY] * n) == [UNLOCATED, AGREES] * geometry.raid_disks


@settings(max_examples=60)
@given(st.sampled_from(SIXES), st.integers(0, 100), st.integers(0, 1 << 30))
def test_two_wrong_members_are_not_blamed_on_one(geometry: Geometry, first: int, seed: int) -> None:
    random = Random(seed)
    data = rows_of(geometry, first, 2, random)
    for role in random.sample(range(geometry.raid_disks), 2):
        spoil(data, role, 1, random)
    assert judge(geometry, data, first, [NOBODY] * 2) == [AGREES, UNLOCATED]


def test_two_members_wrong_at_different_bytes_of_a_sector_are_not_blamed_on_one() -> None:
    geometry = Geometry(6, 2, 5, 1024)
    data = rows_of(geometry, 0, 1, Random(4))
    data[0, 7] ^= 1
    data[3, 8] ^= 1
    assert judge(geometry, data, 0, [NOBODY]) == [UNLOCATED]


@settings(max_examples=40)
@given(st.sampled_from(SIXES + FIVES), st.integers(0, 1 << 20), st.integers(0, 40), st.integers(0, 1 << 30))
def test_compiled_and_not_are_the_same(geometry: Geometry, first: int, n: int, seed: int) -> None:
    random = Random(seed)
    data = rows_of(geometry, first, n, random)
    for sector in range(n):
        for _ in range(random.choice([0, 0, 1, 2])):
            spoil(data, random.randrange(geometry.raid_disks), sector, random, random.choice([1, 512]))
    choices = [NOBODY, UNCHECKABLE, *(range(geometry.raid_disks) if geometry.level == 6 else [])]
    absent = [random.choice(choices) for _ in range(n)]
    verdict = judge(geometry, data, first, absent)
    assert verdict == judge(geometry, data, first, absent, compiled=False)
    assert [each == UNCHECKED for each in verdict] == [each == UNCHECKABLE for each in absent]
