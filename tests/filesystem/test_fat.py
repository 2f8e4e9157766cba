"""Directories of FAT and exFAT with damaged entries: a name is whole, or its directory says that one is missing."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from raidfs.filesystem.exfat import ExfatReader
from raidfs.filesystem.fat import _checksum, _LongName
from tests.support.filesystems import ImageDevice, make

SHORT = b"LONGNA~1TXT"


def long_parts(name: str, short: bytes) -> list[bytes]:
    """Return the entries of a long name in the order of the disk."""
    units = name.encode("utf-16-le") + b"\0\0"
    units = units.ljust(-(-len(units) // 26) * 26, b"\xff")
    parts = []
    for number, at in enumerate(range(0, len(units), 26), start=1):
        part = units[at : at + 26]
        mark = number | (0x40 if at + 26 == len(units) else 0)
        head = bytes([mark]) + part[:10] + b"\x0f\0" + bytes([_checksum(short)])
        parts.append(head + part[10:22] + b"\0\0" + part[22:])
    return parts[::-1]


@pytest.mark.parametrize("cut", range(4))
def test_a_long_name_of_which_a_part_is_gone_is_no_shorter_long_name(cut: int) -> None:
    name = "a name of thirty characters and more.txt"
    entries = [*long_parts(name, SHORT), SHORT + bytes(21)]
    reading = _LongName()
    if cut:
        reading.clear()  # what comes before lay in a sector that is lost
    found = [reading.take(entry) for entry in entries[cut:]][-1]
    assert found == (name.encode() if not cut else b"LONGNA~1.TXT")


def exfat_set(name: str) -> list[bytes]:
    """Return the entries of an empty file."""
    units = name.encode("utf-16-le")
    names = [b"\xc1\0" + units[at : at + 30].ljust(30, b"\0") for at in range(0, len(units), 30)]
    stream = (b"\xc0\1\0" + bytes([len(name)])).ljust(32, b"\0")
    head = bytearray(b"\x85" + bytes([1 + len(names)]) + bytes(30))
    total = 0
    for at, byte in enumerate(b"".join((bytes(head), stream, *names))):
        if at not in (2, 3):
            total = ((total & 1) << 15 | total >> 1) + byte & 0xFFFF
    struct.pack_into("<H", head, 2, total)
    return [bytes(head), stream, *names]


@pytest.mark.parametrize(
    ("number", "byte", "mask"),
    [(3, 0, 0x80), (3, 1, 0x01), (3, 1, 0x02), (4, 0, 0x80), (5, 0, 0x40), (5, 9, 0x10), (3, 0, 0x01)],
)
def test_a_damaged_set_of_exfat_is_missed(number: int, byte: int, mask: int, tmp_path: Path) -> None:
    image = make(tmp_path / "image", 8 << 20, "mkfs.exfat")
    reader = ExfatReader(ImageDevice(image))
    entries = [*exfat_set("one"), *exfat_set("two"), *exfat_set("three")]
    at = next(place for place, raw in reader._entries(reader.root) if raw is not None and raw[0] == 0)
    data = bytearray(image.read_bytes())
    data[at : at + 32 * len(entries)] = b"".join(entries)
    image.write_bytes(data)
    whole = ExfatReader(ImageDevice(image)).names(reader.root)
    assert ([each.name for each in whole.entries], whole.lost) == ([b"one", b"two", b"three"], 0)
    data[at + 32 * number + byte] ^= mask
    image.write_bytes(data)
    left = ExfatReader(ImageDevice(image)).names(reader.root)
    assert b"two" not in [each.name for each in left.entries]
    assert left.lost > 0
