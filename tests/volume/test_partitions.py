"""Partitions are windows; of two readings of a table the one counts that leads to something."""

from __future__ import annotations

import struct

import pytest

from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.volume.partitions import recognise
from tests.support.golden import cases_here


def has_mark(source: BlockSource) -> bool:
    return read_exact(source, 0, 4)[0] == b"MARK"


def mbr(*entries: tuple[int, int]) -> bytes:
    table = b"".join(struct.pack("<B3xB3xII", 0, 0x83, start, count) for start, count in entries)
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize("unit", [512, 4096])
def test_the_reading_counts_that_leads_to_something(unit: int) -> None:
    image = bytearray(mbr((8, 8), (16, 8)).ljust(1 << 20, b"\0"))
    for start in (8, 16):
        image[start * unit : start * unit + 4] = b"MARK"
    volumes = recognise(MemorySource(bytes(image), Extents.span(9 * unit, 9 * unit + 512)), "array", has_mark)
    assert [(each.name, each.source.size) for each in volumes.volumes] == [("1", 8 * unit), ("2", 8 * unit)]
    data, lost = read_exact(volumes.volumes[0].source, 0, 8 * unit)
    assert data[:4] == b"MARK"
    assert lost == Extents.span(unit, unit + 512)


def test_one_that_was_cut_is_as_large_as_it_was() -> None:
    volumes = recognise(MemorySource(mbr((8, 100)).ljust(50 * 512, b"x")), "array", has_mark)
    data, lost = read_exact(volumes.volumes[0].source, 0, 100 * 512)
    assert data[: 42 * 512] == b"x" * 42 * 512
    assert lost == Extents.span(42 * 512, 100 * 512)
    assert "behind the end of the image" in volumes.findings[0].message


def test_no_table_no_partitions() -> None:
    assert not recognise(MemorySource(bytes(1 << 16)), "array", has_mark).volumes


@pytest.mark.golden
def test_real_tables_on_real_arrays() -> None:
    for case in cases_here("k-r5-3to4-gpt", "k-r5-3to4-4kn-gpt"):
        with open_array([str(path) for path in case.members()]) as array:
            volumes = recognise(array.source, "array", has_mark)
            first, second = (read_exact(each.source, 0, 2048)[0] for each in volumes.volumes)
        assert [each.name for each in volumes.volumes] == ["1", "2"]
        assert first[1024 + 0x38 : 1024 + 0x3A] == b"\x53\xef"
        assert second[:4] == b"XFSB"
