"""Checksums are compared as md does; what is wrong is collected with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.finding import Severity
from raidfs.superblock.checks import Notes, is_fold_equal


@given(st.integers(0, 2**32 - 1), st.integers(0, 31))
def test_one_flipped_bit_changes_the_fold(checksum: int, bit: int) -> None:
    assert is_fold_equal(checksum, checksum)
    assert not is_fold_equal(checksum, checksum ^ 1 << bit)


def test_values_that_fold_to_the_same_sixteen_bits_are_equal() -> None:
    assert is_fold_equal(0x12345678, 0x68AC)
    assert is_fold_equal(0xFFFF0001, 0x0001)


def test_notes_name_member_format_and_place() -> None:
    notes = Notes.of("sda", "1.2", 4096)
    notes.warn("one", "two")
    notes.note("three")
    notes.refuse("four")
    where = "superblock 1.2 at 4096 bytes (sector 8): "
    assert [(each.severity, each.subject, each.message, each.evidence) for each in notes.findings] == [
        (Severity.WARNING, "sda", f"{where}one", "two"),
        (Severity.NOTE, "sda", f"{where}three", ""),
    ]
    assert notes.unsupported == [f"{where}four"]


@pytest.mark.parametrize("level", [-1, 0, 1, 4, 5, 6, 10])
def test_levels_of_md_are_known(level: int) -> None:
    notes = Notes.of("sda", "1.2", 0)
    notes.check_level("level", level)
    assert notes.unsupported == []


@pytest.mark.parametrize(
    ("level", "chunk_size", "says"),
    [
        (5, 0, "chunksize is 0, which level 5 cannot have"),
        (5, 1536, "chunksize is 1536 bytes (3 sectors), which level 5 cannot have: md takes powers of two from 4096 "),
        (6, 12288, "chunksize is 12288 bytes (24 sectors), which level 6 cannot have"),
        (10, 2048, "chunksize is 2048 bytes (4 sectors), which level 10 cannot have"),
        (0, 0, "chunksize is 0, which level 0 cannot have"),
    ],
)
def test_a_chunk_that_md_does_not_accept_is_named(level: int, chunk_size: int, says: str) -> None:
    notes = Notes.of("sda", "1.2", 0)
    notes.check_chunk("chunksize", chunk_size, level)
    (finding,) = notes.findings
    assert says in finding.message


@pytest.mark.parametrize(("level", "chunk_size"), [(0, 12288), (0, 1536), (1, 0), (-1, 0), (5, 4096), (10, 1 << 20)])
def test_a_chunk_that_md_accepts_is_not_named(level: int, chunk_size: int) -> None:
    notes = Notes.of("sda", "1.2", 0)
    notes.check_chunk("chunksize", chunk_size, level)
    assert not notes.findings
