"""The oracle's maps of copies and stripes: the documented examples, and what must hold of any map."""

from __future__ import annotations

import pytest

from tests.oracle.places import ALTERNATE, ORIGINAL, Copies, Linear, Mirrored, Placement, Striped

FAR, OFFSET, SETS = 8, 1 << 16, 17


def drawn(placement: Placement, n_rows: int, height: int) -> list[str]:
    """Which chunk each member holds, row by row; members have at most 36 chunks."""
    grid = [["."] * placement.raid_disks for _ in range(n_rows)]
    for number in range(placement.size // height):
        for role, offset in placement.places(number * height):
            assert grid[offset // height][role] == ".", "two chunks on one place"
            grid[offset // height][role] = "0123456789abcdefghijklmnopqrstuvwxyz"[number]
    return ["".join(row) for row in grid]


@pytest.mark.parametrize(
    ("layout", "raid_disks", "n_rows", "expected"),
    [  # md(4), and the pictures at the top of `raid10.c`
        (2 | 1 << FAR, 4, 2, ["0011", "2233"]),
        (2 | 1 << FAR, 5, 4, ["00112", "23344", "55667", "78899"]),
        (3 | 1 << FAR, 5, 3, ["00011", "12223", "33444"]),
        (1 | 2 << FAR, 4, 4, ["0123", "4567", "3012", "7456"]),
        (1 | 2 << FAR, 5, 2, ["01234", "40123"]),
        (1 | 2 << FAR | 2 << SETS, 4, 2, ["0123", "1032"]),
        (1 | 2 << FAR | 2 << SETS, 5, 2, ["01234", "10423"]),
        (1 | 2 << FAR | OFFSET, 4, 4, ["0123", "3012", "4567", "7456"]),
        (1 | 3 << FAR | OFFSET, 4, 3, ["0123", "3012", "2301"]),
    ],
)
def test_copies_lie_where_the_manual_shows_them(layout: int, raid_disks: int, n_rows: int, expected: list[str]) -> None:
    assert drawn(Copies(layout, raid_disks, 8, n_rows * 8), n_rows, 8) == expected


def test_far_copies_begin_behind_all_first_ones() -> None:
    array = Copies(1 | 2 << FAR, 3, 8, 11 * 8 + 5)  # the odd row is not used
    assert (array.size, array.stride) == (15 * 8, 5 * 8)
    assert array.places(0) == [(0, 0), (1, 40)]


def test_a_raid0_of_unequal_members() -> None:
    """Members of 1, 4 and 3 chunks: three zones, of three members, of two, of one."""
    sizes = (8 + 3, 32, 24)
    assert drawn(Striped(sizes, 8, ALTERNATE), 4, 8) == ["012", ".34", ".56", ".7."]
    assert drawn(Striped(sizes, 8, ORIGINAL), 4, 8) == ["012", ".43", ".65", ".7."]
    assert Striped(sizes, 8, ORIGINAL).size == 64


def test_members_of_a_linear_array_follow_each_other() -> None:
    assert drawn(Linear((8, 24, 16)), 3, 8) == ["014", ".25", ".3."]
    rounded = Linear((15, 26), 8)
    assert (rounded.size, rounded.places(8)) == (32, [(1, 0)])
    assert rounded.run(10) == 22
    with pytest.raises(ValueError, match="behind the end"):
        rounded.places(32)


def test_a_mirror() -> None:
    assert Mirrored(3, 100).places(7) == [(0, 7), (1, 7), (2, 7)]
    assert Mirrored(3, 100).run(7) == 93
