"""Arrays of hundreds of members, and reshapes between very different chunks: all bytes are accounted for, in bounds.

None of these is timed: before the equations were solved once for all cells that are gone, they took minutes to hours.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raidfs.array.description import ArrayDescription, Direction, Reshape
from raidfs.array.shape import Level
from raidfs.cli.advice import findings_of_array
from raidfs.engine.account import Account, account_of
from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import known_flaws
from raidfs.engine.joint import is_too_large
from tests.support.simulated import plain_description

ROOM = 1 << 30


def without(description: ArrayDescription, *missing: int) -> ArrayDescription:
    return replace(description, members=tuple(each for each in description.members if each.role not in missing))


def account(description: ArrayDescription) -> Account:
    sizes = [ROOM + description.component_size] * len(description.sources)
    return account_of(
        chart_sections(description, description.sources, known_flaws(description, description.sources, sizes))
    )


@pytest.mark.parametrize(
    ("level", "layout", "raid_disks", "missing", "lost"),
    [
        (Level.RAID6, "left-symmetric", 100, (3, 77), 0),
        (Level.RAID5, "left-symmetric", 384, (100,), 0),
        (Level.RAID5, "left-symmetric", 384, tuple(range(4, 384)), 380 * 383),
        (Level.RAID6, "left-symmetric", 257, tuple(range(4, 257)), 253 * 255),
    ],
)
def test_wide_arrays(level: Level, layout: str, raid_disks: int, missing: tuple[int, ...], lost: int) -> None:
    """`lost`: chunks, where each role holds each kind of symbol equally often."""
    whole = plain_description(level, layout, raid_disks, 4096, rows=raid_disks)
    found = account(without(whole, *missing))
    assert found.total == whole.size
    assert found.lost == lost * 4096
    assert found.good + found.rebuilt == whole.size - found.lost


def reshaping(before: tuple[int, int], after: tuple[int, int], *missing: int) -> ArrayDescription:
    """A RAID6 half way from one (members, chunk) to the other."""
    n, chunk = after
    step = max(before[1], chunk)
    rows = 64 * step // chunk
    plain = plain_description(Level.RAID6, "left-symmetric", n, chunk, rows)
    old = replace(plain.shape, raid_disks=before[0], chunk_size=before[1])
    members = tuple(replace(each, data_offset=ROOM, new_data_offset=ROOM - 8 * step) for each in plain.members)
    position = 32 * step * plain.shape.n_data
    reshape = Reshape(old, plain.shape, position, Direction.FORWARD)
    size = min(old.array_size([plain.component_size] * before[0]), plain.size)
    return without(replace(plain, members=members, reshape=reshape, size=size), *missing)


@pytest.mark.parametrize(
    ("before", "after", "missing", "large"),
    [
        ((5, 4096), (6, 4096), (0, 1, 2), False),
        ((99, 4096), (100, 4096), (0, 1), True),
        ((99, 4096), (100, 4096), (0, 1, 2), True),
        ((5, 4096), (5, 256 << 10), (0, 1, 2), False),
        ((5, 4096), (5, 32 << 20), (0, 1, 2), True),
        ((5, 4096), (5, 3 * 4096 * 1021), (0, 1, 2), True),
    ],
)
def test_reshapes_of_much_that_repeats_together_late(
    before: tuple[int, int], after: tuple[int, int], missing: tuple[int, ...], large: bool
) -> None:
    description = reshaping(before, after, *missing)
    found = account(description)
    assert found.total == description.size
    assert is_too_large(description) == large
    told = [finding.message for finding in findings_of_array(description, found)]
    assert any("old places is not used" in each for each in told) == (large and len(missing) > 2)
