"""Field tables: an on-disk structure described once, used for parsing, for annotated hexdumps and for building.

A `Table` lists what `md_p.h` declares: name, type, byte offset, unit, meaning. From it come a numpy dtype with explicit
offsets and byte order, `Table.parse`, `Table.annotate` (`examine -v`) and `Table.build` (test images). Building with
the table cannot prove its offsets; images made by mdadm do that.

Sectors live here and nowhere else: `Record.quantity` returns bytes whatever unit the field is stored in.

Threading: tables and records are immutable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raidfs.units import SECTOR

UNITS = {"bytes": 1, "sectors": SECTOR, "KiB": 1024}
"""Units of stored quantities, in bytes."""

_BYTES_PER_LINE = 16
_ITEMS_PER_LINE = 12


@dataclass(frozen=True)
class Field:
    """One field of an on-disk structure.

    Attributes:
        name: as the kernel spells it.
        dtype: numpy type without byte order: `u4`, `i4`, `V16` (opaque bytes).
        offset: from the start of the structure [bytes].
        unit: a key of `UNITS` for quantities; `bits` for what is printed in hexadecimal; else empty.
        meaning: what it says, for people.
        only_if: when it is valid, or since when it exists; empty where always.
        count: number of elements of an array field; None for a single value.
        inner: what an opaque field is made of, one after the other; None where it has no structure.
    """

    name: str
    dtype: str
    offset: int
    unit: str
    meaning: str
    only_if: str = ""
    count: int | None = None
    inner: Table | None = None

    def numpy_dtype(self, byte_order: str) -> np.dtype[np.void]:
        """Return the numpy type in the given byte order (`<` or `>`)."""
        element = np.dtype(byte_order + self.dtype)
        return element if self.count is None else np.dtype((element, (self.count,)))


@dataclass(frozen=True)
class Table:
    """An on-disk structure in one byte order.

    Attributes:
        name: what it is, for people.
        size: [bytes].
        fields: ascending by offset; they may overlap where the format has a union.
        byte_order: `<` little-endian, `>` big-endian.
    """

    name: str
    size: int
    fields: tuple[Field, ...]
    byte_order: str = "<"

    def in_byte_order(self, byte_order: str) -> Table:
        """Return the same structure in another byte order."""
        return Table(self.name, self.size, self.fields, byte_order)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The structure as a numpy type with explicit offsets."""
        return np.dtype(
            {
                "names": [field.name for field in self.fields],
                "formats": [field.numpy_dtype(self.byte_order) for field in self.fields],
                "offsets": [field.offset for field in self.fields],
                "itemsize": self.size,
            }
        )

    def field(self, name: str) -> Field:
        """Return the field of that name.

        Raises:
            KeyError: there is none: the caller's bug.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def parse(self, raw: bytes) -> Record:
        """Read the structure from the start of `raw`; bytes that `raw` is short of count as zero."""
        whole = raw[: self.size].ljust(self.size, b"\0")
        return Record(self, np.frombuffer(whole, dtype=self.dtype))

    def build(self, values: Mapping[str, int | bytes | Sequence[int]]) -> bytes:
        """Return the structure with the given fields, in the units in which they are stored; all else is zero.

        Raises:
            KeyError: a field does not exist.
            OverflowError: a value does not fit its field.
        """
        rows = np.zeros(1, dtype=self.dtype)
        for name, value in values.items():
            if self.field(name).count is None:
                rows[name] = value if isinstance(value, int) else np.void(bytes(value))
            else:
                rows[name][0, : len(value)] = value  # type: ignore[arg-type]  # array fields take sequences
        return rows.tobytes()

    def annotate(self, raw: bytes) -> list[str]:
        """Return an annotated hexdump: one line per field with offset, bytes, value and meaning.

        Bytes that no field covers are shown where they are not zero.
        """
        record = self.parse(raw)
        whole = raw[: self.size].ljust(self.size, b"\0")
        lines, reached = [], 0
        for field in self.fields:
            if any(whole[reached : field.offset]):
                lines.append(_line(reached, whole[reached : field.offset], "(not zero, no field)"))
            stop = field.offset + field.numpy_dtype(self.byte_order).itemsize
            lines.append(_line(field.offset, whole[field.offset : stop], record.describe(field.name)))
            lines += record.describe_parts(field.name)
            reached = max(reached, stop)
        if any(whole[reached:]):
            lines.append(_line(reached, whole[reached:], "(not zero, no field)"))
        return lines


@dataclass(frozen=True)
class Record:
    """One structure as it was found.

    Attributes:
        table: how it is laid out.
        row: its fields; structured (1,), read-only.
    """

    table: Table
    row: NDArray[np.void]

    def number(self, name: str) -> int:
        """Return an integer field as it is stored."""
        return int(self.row[name][0])

    def quantity(self, name: str) -> int:
        """Return a size or position in bytes, whatever unit it is stored in; signed where the field is.

        Raises:
            KeyError: the field is no quantity: the caller's bug.
        """
        return self.number(name) * UNITS[self.table.field(name).unit]

    def blob(self, name: str) -> bytes:
        """Return the bytes of an opaque field."""
        return bytes(self.row[name][0].tobytes())

    def numbers(self, name: str) -> list[int]:
        """Return an array field as Python integers."""
        return [int(value) for value in self.row[name][0]]

    def parts(self, name: str) -> list[Record]:
        """Return the structures that an opaque field is made of; none where it has no structure."""
        inner = self.table.field(name).inner
        if inner is None:
            return []
        inner, raw = inner.in_byte_order(self.table.byte_order), self.blob(name)
        return [inner.parse(raw[start : start + inner.size]) for start in range(0, len(raw), inner.size)]

    def describe(self, name: str) -> str:
        """Return `name = value unit (in bytes): meaning [only if]` for people."""
        field = self.table.field(name)
        scope = f" [{field.only_if}]" if field.only_if else ""
        return f"{name}{self._value_text(field)}: {field.meaning}{scope}"

    def describe_parts(self, name: str) -> list[str]:
        """Return one line for each structure in an opaque field that is not zero throughout."""
        start = self.table.field(name).offset
        return [
            _line(start + index * part.table.size, part.row.tobytes(), f"{name}[{index}]: {part.summary()}")
            for index, part in enumerate(self.parts(name))
            if any(part.row.tobytes())
        ]

    def summary(self) -> str:
        """Return all values in one line."""
        return ", ".join(f"{field.name}{self._value_text(field)}" for field in self.table.fields)

    def _value_text(self, field: Field) -> str:
        if field.count is not None:
            return " = " + _runs(self.numbers(field.name))
        if field.dtype.startswith("V"):
            return ""
        value = self.number(field.name)
        if field.unit == "bits":
            return f" = {value:#x}"
        if field.unit in UNITS and field.unit != "bytes":
            return f" = {value} {field.unit} ({value * UNITS[field.unit]} bytes)"
        return f" = {value} {field.unit}".rstrip()


def _line(offset: int, raw: bytes, text: str) -> str:
    """Return one line of a hexdump; long fields are cut after 16 bytes."""
    shown = raw[:_BYTES_PER_LINE].hex(" ") + (" .." if len(raw) > _BYTES_PER_LINE else "")
    return f"{offset:#06x}  {shown:<51}{text}"


def _runs(values: Sequence[int]) -> str:
    """Return values with runs folded (`0 1 2 65535*125`), cut after a dozen."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    shown = [f"{value}*{count}" if count > 1 else str(value) for value, count in runs[:_ITEMS_PER_LINE]]
    return " ".join(shown) + (" .." if len(runs) > _ITEMS_PER_LINE else "")
