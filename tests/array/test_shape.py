"""Shapes are possible or refused; md's numbers have mdadm's names."""

from __future__ import annotations

import pytest

from raidfs.array.shape import LAYOUT_NAMES, Level, Shape, shape_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from tests.oracle.layouts import LAYOUT_NAMES as ORACLE_NAMES
from tests.support.simulated import GEOMETRIES, shape


def test_measures() -> None:
    for geometry in GEOMETRIES:
        told = shape(geometry)
        assert (told.n_data, told.stripe_size) == (geometry.data_disks, geometry.stripe_size)
        assert told.n_parity == geometry.raid_disks - geometry.data_disks
        assert told.level.value == geometry.level


def test_layouts_have_mdadms_names() -> None:
    assert LAYOUT_NAMES[Level.RAID5] == ORACLE_NAMES[5]
    assert LAYOUT_NAMES[Level.RAID6] == ORACLE_NAMES[6]
    assert {shape_of(4, layout, 4096, 3).layout for layout in range(6)} == {"parity-last"}


def test_it_describes_itself() -> None:
    assert str(shape_of(6, 2, 512 * 1024, 6)) == "raid6, left-symmetric, chunk 512 KiB, 6 members"


@pytest.mark.parametrize(
    ("level", "layout", "message"),
    [
        (-4, 1, "raidfs reads linear, raid0, raid1, raid4, raid5, raid6, raid10"),
        (-4, 0, r"level -4 \(multipath\)"),
        (10, 0x002, "layout 0x2, which raid10 does not have"),
        (10, 0x80102, "layout 0x80102"),
        (0, 3, "layout 3, which raid0 does not have"),
        (77, 0, "the unknown level 77"),
        (5, 6, "layout 6, which raid5 does not have"),
        (5, 16, "layout 16"),
        (6, 7, "layout 7"),
        (6, 21, "layout 21"),
    ],
)
def test_what_is_not_read_is_refused(level: int, layout: int, message: str) -> None:
    with pytest.raises(UnsupportedMetadata, match=message):
        shape_of(level, layout, 4096, 5)


@pytest.mark.parametrize(
    ("level", "layout", "chunk", "disks", "message"),
    [
        (Level.RAID5, "left-symmetric", 0, 4, "chunk_size is 0 bytes"),
        (Level.RAID5, "left-symmetric", -512, 4, "chunk_size is -512 bytes"),
        (Level.RAID5, "left-symmetric", 1000, 4, "no multiple of 512"),
        (Level.RAID5, "left-symmetric", 4096, 1, "raid_disks is 1, too few for a raid5"),
        (Level.RAID4, "parity-last", 4096, 1, "raid_disks is 1, too few for a raid4"),
        (Level.RAID6, "left-symmetric", 4096, 258, "raid_disks is 258, too many for a raid6"),
        (Level.RAID6, "left-symmetric", 4096, 3, "raid_disks is 3, too few for a raid6"),
        (Level.RAID6, "left-symmetric", 4096, -3, "raid_disks is -3, too few for a raid6"),
        (Level.RAID5, "ddf-N-restart", 4096, 4, "raid5 has no layout 'ddf-N-restart'"),
        (Level.RAID4, "left-symmetric", 4096, 4, "raid4 has no layout"),
    ],
)
def test_what_cannot_be_is_refused(level: Level, layout: str, chunk: int, disks: int, message: str) -> None:
    with pytest.raises(InconsistentDescription, match=message):
        Shape(level, layout, chunk, disks)
