"""The map is one that ddrescue reads: it covers the device once, in order, and agrees with the account."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.account import account_of
from raidfs.engine.health import Health
from raidfs.report.map import map_lines, unknown_map
from tests.engine.test_account import charts_of
from tests.support.crashes import Damaged, arrays, damages

LINE = re.compile(r"0x([0-9A-F]{8,})  0x([0-9A-F]{8,})  ([?*/+-])")


def parse(lines: list[str]) -> list[tuple[int, int, str]]:
    """Read a mapfile as its manual describes: comments, the current position, then the blocks."""
    body = [line for line in lines if not line.startswith("#")]
    assert re.fullmatch(r"0x[0-9A-F]+ +[?*/+-] +[0-9]+", body[0])
    blocks = []
    for line in body[1:]:
        match = LINE.fullmatch(line)
        assert match is not None, line
        blocks.append((int(match[1], 16), int(match[2], 16), match[3]))
    assert all(size > 0 for _, size, _ in blocks)
    assert all(left[0] + left[1] == right[0] for left, right in pairwise(blocks))
    assert all(left[2] != right[2] for left, right in pairwise(blocks))
    return blocks


@settings(max_examples=50)
@given(arrays().flatmap(damages), st.sampled_from([Health.REBUILT, Health.UNPROVEN, Health.DOUBTFUL]))
def test_a_map_agrees_with_the_account(damaged: Damaged, limit: Health) -> None:
    charts, size = charts_of(damaged), damaged.array.size
    blocks = parse(list(map_lines(charts, size, "of a test", limit)))
    assert blocks[0][0] == 0
    assert blocks[-1][0] + blocks[-1][1] == size
    found: Counter[str] = Counter()
    for _, length, status in blocks:
        found[status] += length
    told = account_of(charts)
    assert found["-"] == told.lost
    assert found["/"] == told.doubtful + (told.unproven if limit is Health.REBUILT else 0)
    assert found["+"] == size - found["-"] - found["/"]


def test_a_map_of_what_is_not_known() -> None:
    assert parse(unknown_map(5000, "why")) == [(0, 5000, "?")]
    assert unknown_map(5000, "why")[0] == "# why"


@pytest.mark.parametrize("size", [512, 1 << 32, (1 << 50) + 512])
def test_large_devices(size: int) -> None:
    assert parse(unknown_map(size, "x")) == [(0, size, "?")]
