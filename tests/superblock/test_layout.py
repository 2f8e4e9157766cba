"""Field tables parse, build and print what they describe, in both byte orders."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.superblock import journal, md0_fields, md1_fields
from raidfs.superblock.layout import UNITS, Field, Table
from tests.support.superblocks import capture

INNER = Table("pair", 8, (Field("low", "u4", 0, "", ""), Field("high", "u4", 4, "bits", "")))
TABLE = Table(
    "sample",
    64,
    (
        Field("count", "u4", 0, "", "how many"),
        Field("shift", "i4", 4, "sectors", "signed", "only on Sundays"),
        Field("half", "i2", 4, "", "overlaps shift"),
        Field("size", "u8", 12, "KiB", "not aligned"),
        Field("name", "V6", 20, "", "opaque"),
        Field("roles", "u2", 28, "", "array", count=4),
        Field("pairs", "V16", 40, "", "structures", inner=INNER),
    ),
)
TABLES = [TABLE, INNER, md0_fields.TABLE, md0_fields.DESCRIPTOR, md1_fields.TABLE, journal.META_TABLE]


@pytest.mark.parametrize("byte_order", ["<", ">"])
@given(
    count=st.integers(0, 2**32 - 1),
    shift=st.integers(-(2**31), 2**31 - 1),
    size=st.integers(0, 2**64 - 1),
    roles=st.lists(st.integers(0, 2**16 - 1), min_size=4, max_size=4),
)
def test_parses_what_struct_packs(byte_order: str, count: int, shift: int, size: int, roles: list[int]) -> None:
    raw = struct.pack(f"{byte_order}Ii4xQ6s2x4H4xIIII4x", count, shift, size, b"abc\0d\0", *roles, 1, 2, 3, 4)
    table = TABLE.in_byte_order(byte_order)
    record = table.parse(raw)
    assert record.number("count") == count
    assert (record.number("shift"), record.quantity("shift")) == (shift, shift * 512)
    assert (record.number("size"), record.quantity("size")) == (size, size * 1024)
    assert record.blob("name") == b"abc\0d\0"
    assert record.numbers("roles") == roles
    assert [(part.number("low"), part.number("high")) for part in record.parts("pairs")] == [(1, 2), (3, 4)]


def test_builds_what_it_parses() -> None:
    values: dict[str, int | bytes | list[int]] = {
        "count": 7,
        "shift": -3,
        "name": b"abcdef",
        "roles": [1, 2],
        "size": 2**63,
    }
    record = TABLE.parse(TABLE.build(values))
    assert record.number("count") == 7
    assert record.number("shift") == -3
    assert record.blob("name") == b"abcdef"
    assert record.numbers("roles") == [1, 2, 0, 0]
    assert record.number("size") == 2**63


def test_rebuilds_a_real_superblock_from_its_fields() -> None:
    raw = capture("grow-1.2").raw
    record = md1_fields.TABLE.parse(raw)
    values: dict[str, int | bytes | list[int]] = {}
    for field in md1_fields.TABLE.fields:
        if field.name.startswith("ppl_"):
            continue
        if field.count:
            values[field.name] = record.numbers(field.name)
        else:
            read = record.blob if field.dtype.startswith("V") else record.number
            values[field.name] = read(field.name)
    assert md1_fields.TABLE.build(values) == raw


def test_build_refuses_unknown_fields_and_values_that_do_not_fit() -> None:
    with pytest.raises(KeyError):
        TABLE.build({"wrong": 1})
    with pytest.raises(OverflowError):
        TABLE.build({"count": 2**32})


def test_missing_bytes_count_as_zero() -> None:
    assert TABLE.parse(b"\x01").number("count") == 1
    assert TABLE.parse(b"").number("size") == 0


def test_a_field_without_a_unit_of_size_has_no_quantity() -> None:
    with pytest.raises(KeyError):
        TABLE.parse(b"").quantity("count")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_fields_are_in_order_named_once_and_inside(table: Table) -> None:
    names = [field.name for field in table.fields]
    assert len(set(names)) == len(names)
    offsets = [field.offset for field in table.fields]
    assert offsets == sorted(offsets)
    assert all(field.offset + field.numpy_dtype("<").itemsize <= table.size for field in table.fields)
    assert all(field.unit in {*UNITS, "", "bits"} for field in table.fields)


def test_annotated_hexdump_shows_offset_bytes_value_in_both_units_and_meaning() -> None:
    raw = TABLE.build({"count": 258, "shift": -2, "name": b"xyz\0\0\0", "roles": [5, 5, 5, 6]})
    lines = TABLE.annotate(raw)
    assert lines[0].split("  ")[0] == "0x0000"
    assert "02 01 00 00" in lines[0]
    assert lines[0].endswith("count = 258: how many")
    assert lines[1].endswith("shift = -2 sectors (-1024 bytes): signed [only on Sundays]")
    assert any(line.endswith("roles = 5*3 6: array") for line in lines)


def test_annotated_hexdump_shows_inner_structures_that_are_not_empty() -> None:
    lines = TABLE.annotate(bytes(48) + struct.pack("<II", 9, 255) + bytes(8))
    assert [line for line in lines if "pairs[" in line] == [
        "0x0030  09 00 00 00 ff 00 00 00                            pairs[1]: low = 9, high = 0xff"
    ]


def test_annotated_hexdump_shows_bytes_that_no_field_covers() -> None:
    lines = TABLE.annotate(b"\0" * 9 + b"\x77" + b"\0" * 50 + b"\x88\0\0\0")
    assert [line for line in lines if "no field" in line] == [
        "0x0008  00 77 00 00                                        (not zero, no field)",
        "0x0038  00 00 00 00 88 00 00 00                            (not zero, no field)",
    ]


@given(st.binary(max_size=100))
def test_annotates_anything(raw: bytes) -> None:
    for table in TABLES:
        assert len(table.annotate(raw)) >= len(table.fields)
