"""A superblock 1.0 is found although the end of its image moved."""

from __future__ import annotations

import pytest

from raidfs.extents import Extents
from raidfs.superblock import scan
from raidfs.superblock.moved import SEARCHED, find_moved
from tests.support.superblocks import PlacedSource, capture


@pytest.mark.parametrize("grown", [4096, 65536, 500_000, SEARCHED - 8192])
def test_image_that_grew(grown: int) -> None:
    taken = capture("grow-1.0")
    scanned = scan(PlacedSource(taken.size + grown, {taken.at: taken.raw}), "sda")
    assert [(found.offset, found.intact) for found in scanned.found] == [(taken.at, True)]
    assert "it says itself that it belongs here: the image was cut or grown" in scanned.found[0].findings[-1].message


def test_image_that_was_cut_behind_the_superblock() -> None:
    taken = capture("grow-1.0")
    scanned = scan(PlacedSource(taken.at + 4096, {taken.at: taken.raw}), "sda")
    assert [(found.offset, found.intact) for found in scanned.found] == [(taken.at, True)]


def test_only_the_last_mebibyte_is_searched() -> None:
    taken = capture("grow-1.0")
    assert find_moved(PlacedSource(taken.size + SEARCHED, {taken.at: taken.raw}), "sda") == []


def test_superblock_of_a_partition_is_not_taken_for_one_of_the_disk() -> None:
    taken = capture("grow-1.0")
    start = 1 << 20
    disk = PlacedSource(start + taken.size + 33 * 512, {start + taken.at: taken.raw})
    assert scan(disk, "sda").found == ()


def test_other_formats_are_not_searched_for() -> None:
    for name in ("grow-0.90", "grow-1.2"):
        taken = capture(name)
        assert find_moved(PlacedSource(1 << 20, {500 * 1024: taken.raw}), "sda") == []


def test_no_search_where_the_superblock_is_in_its_place() -> None:
    taken = capture("grow-1.0")
    source = PlacedSource(taken.size, {taken.at: taken.raw, taken.at - 8192: taken.raw})
    assert [found.offset for found in scan(source, "sda").found] == [taken.at]


def test_damage_and_tiny_images_do_not_stop_the_search() -> None:
    taken = capture("grow-1.0")
    size = taken.size + 65536
    source = PlacedSource(size, {taken.at: taken.raw}, Extents([(size - SEARCHED, taken.at)]))
    assert [found.offset for found in find_moved(source, "sda")] == [taken.at]
    for tiny in (0, 1, 8192, 12287, 12288, 16384):
        assert find_moved(PlacedSource(tiny, {}), "sda") == []
