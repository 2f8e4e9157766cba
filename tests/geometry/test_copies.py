"""Layouts of RAID10 have names and numbers, both of which may be nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.array.copies_layout import CopiesLayout
from raidfs.array.shape import Level, Shape, layout_name
from raidfs.errors import InconsistentDescription


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x102, "near=2"),
        (0x103, "near=3"),
        (0x201, "far=2"),
        (0x301, "far=3"),
        (0x10201, "offset=2"),
        (0x202, "near=2, far=2"),
        (0x20201, "far=2, buggy far sets"),
        (0x40201, "far=2, far sets"),
        (0x101, "near=1"),
    ],
)
def test_names_and_numbers_of_raid10_layouts(number: int, name: str) -> None:
    copies = CopiesLayout.from_number(number)
    assert copies is not None
    assert (copies.name, copies.number) == (name, number)
    assert CopiesLayout.from_name(name) == copies
    assert layout_name(Level.RAID10, number) == name


@pytest.mark.parametrize("number", [0, 0x100, 0x002, 0x80102, -1, 0x60201])
def test_numbers_that_are_no_layout(number: int) -> None:
    assert CopiesLayout.from_number(number) is None


@given(st.text(alphabet="nearfofset=, 0123456789buggy ", max_size=20))
def test_any_name_is_a_layout_or_none(name: str) -> None:
    found = CopiesLayout.from_name(name)
    assert found is None or found.name == name


def test_more_copies_than_members_cannot_be() -> None:
    with pytest.raises(InconsistentDescription, match=r"raid_disks is 2, too few for a raid10 \(near=3\)"):
        Shape(Level.RAID10, "near=3", 4096, 2)
