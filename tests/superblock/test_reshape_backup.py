"""mdadm's backups: real headers, those of the oracle, damaged ones and arbitrary bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.superblock.claim import BackupPart
from raidfs.superblock.reshape_backup import is_backup_file, read_backup_file, read_backup_on_member
from tests.oracle.backup import AHEAD, SECTOR, backup_file, header, put_on_member
from tests.support.golden import cases_here
from tests.support.sources import BadSectors

UUID = bytes(range(16))
SIZE = 1 << 20
END = 900 * 1024
CONTENT = bytes(range(256)) * 96
FIRST, SECOND = (24576, CONTENT), (49152, CONTENT[::-1])


def on_member(image: bytes, losses: Extents = Extents()) -> str | None:
    found = read_backup_on_member(BadSectors(image, losses), END // 2, END // 2)
    return None if found is None else found.problem


def test_a_file_with_one_part_or_two() -> None:
    one = read_backup_file(MemorySource(backup_file(UUID, [FIRST], 5)))
    assert (one.array_uuid, one.written, one.problem) == (UUID, 5, "")
    assert one.parts == (BackupPart(24576, len(CONTENT), AHEAD),)
    two = read_backup_file(MemorySource(backup_file(UUID, [SECOND, FIRST])))
    assert two.parts == (BackupPart(49152, len(CONTENT), AHEAD), BackupPart(24576, len(CONTENT), AHEAD + len(CONTENT)))
    assert is_backup_file(MemorySource(backup_file(UUID, [FIRST])))


@pytest.mark.parametrize("case", cases_here("f-r5-chunk-64to128-backup"), ids=lambda case: case.name)
def test_a_real_one(case) -> None:  # type: ignore[no-untyped-def]  # a case
    raw = case.backup().read_bytes()
    found = read_backup_file(MemorySource(raw))
    assert found.problem == ""
    assert [(part.array_start, part.length, part.at) for part in found.parts] == [
        (67584 * SECTOR, 1536 * SECTOR, 4096),
        (66048 * SECTOR, 1536 * SECTOR, 4096 + 1536 * SECTOR),
    ]
    parts = [(part.array_start, part.length) for part in found.parts]
    assert header(found.array_uuid, parts, [part.at for part in found.parts], found.written) == raw[:512]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (bytes(8192), "took no backup yet"),
        (b"", "too short"),
        (b"md_backup_data-1", "too short"),
        (b"x" * 8192, "does not begin like"),
        (backup_file(UUID, [FIRST])[:-1], "reach beyond it"),
        (backup_file(UUID, [(0, b"")]), "gave it up"),
        (backup_file(UUID, [SECOND, FIRST]).replace(b"data-2", b"data-1", 1), ""),
    ],
)
def test_what_cannot_be_used_says_why(raw: bytes, reason: str) -> None:
    assert reason in read_backup_file(MemorySource(raw)).problem


@pytest.mark.parametrize("at", [64, 66, 70, 97, 100, 511])
def test_a_torn_header_is_noticed(at: int) -> None:
    raw = bytearray(backup_file(UUID, [SECOND, FIRST]))
    raw[at] ^= 1
    assert "torn or damaged" in read_backup_file(MemorySource(bytes(raw))).problem


def test_a_header_that_cannot_be_read() -> None:
    raw = backup_file(UUID, [FIRST])
    assert "cannot be read" in read_backup_file(BadSectors(raw, Extents.span(0, 512))).problem


def test_parts_that_overlap() -> None:
    raw = header(UUID, [(0, 8192), (8192, 8192)], [4096, 8192]).ljust(1 << 16, b"\0")
    assert "overlap" in read_backup_file(MemorySource(raw)).problem


def test_the_backup_on_a_disk_that_was_added() -> None:
    image = bytearray(SIZE)
    assert on_member(bytes(image)) is None
    put_on_member(image, END, UUID, CONTENT)
    found = read_backup_on_member(MemorySource(bytes(image)), END // 2, END // 2)
    assert found is not None
    assert found.parts == (BackupPart(0, len(CONTENT), END - 4096 - len(CONTENT)),)
    first = found.parts[0].at - 4096
    assert on_member(bytes(image), Extents.span(first, first + 512)) == "its two headers differ"
    image[first + 50] ^= 1
    assert on_member(bytes(image)) == "its two headers differ"
    put_on_member(image, END, UUID, CONTENT, given_up=True)
    assert "gave it up" in (on_member(bytes(image)) or "")
    assert read_backup_on_member(MemorySource(bytes(image)), 0, 2048) is None


@given(
    st.binary(max_size=1024),
    st.integers(0, 1200),
    st.lists(st.tuples(st.integers(0, 120), st.binary(max_size=9)), max_size=4),
)
@example(b"", 0, [])
def test_arbitrary_bytes_are_a_backup_or_say_why_not(tail: bytes, size: int, changes: list[tuple[int, bytes]]) -> None:
    raw = bytearray(backup_file(UUID, [SECOND, FIRST])[:1024] + tail)
    for at, new in changes:
        raw[at : at + len(new)] = new
    source = MemorySource(bytes(raw[:size]))
    found = read_backup_file(source)
    assert bool(found.problem) != bool(found.parts)
    for part in found.parts:
        assert 512 <= part.at <= part.at + part.length <= source.size
    on_disk = read_backup_on_member(source, 0, 4096)
    assert on_disk is None or bool(on_disk.problem) != bool(on_disk.parts)
