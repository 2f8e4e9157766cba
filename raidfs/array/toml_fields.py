"""How the fields of a description are called in a file, and what they hold: read off the dataclasses themselves.

So a field that is added to `raidfs.array.description` is written and read without a word here; a field of a type that
nobody can write is refused where it is met first, which is in the tests.
"""

from __future__ import annotations

import inspect
import re
import types
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from raidfs.array import drawn
from raidfs.array.shape import Level
from raidfs.extents import Extents

COUNTS = frozenset({"role", "raid_disks", "device_number", "events", "updated", "count", "regions"})
"""Whole numbers that are no bytes. All others are: they may be written with a unit, and get a comment."""

IMPLIED = frozenset({("Reshape", "after")})
"""(class, field) of what is said elsewhere in the file already, so that both cannot disagree."""


class Rows:
    """Stands for rows of whole numbers (`drawn.Rows`) as the type of an entry."""


_ATTRIBUTE = re.compile(r"^    (\w+): (.*)$")


@dataclass(frozen=True)
class Entry:
    """One field of a dataclass, as a key of a table.

    Attributes:
        name: of the field.
        key: in the file: tables of which there are many are called by what one is.
        type: of the value; of one of them where there are many.
        optional: it may be None, which is written as no key at all.
        many: it is a tuple of such values.
        default: the value where there is no key; `dataclasses.MISSING`: there is none.
        says: what it means, one paragraph.
    """

    name: str
    key: str
    type: type
    optional: bool
    many: bool
    default: Any
    says: str

    @property
    def is_table(self) -> bool:
        """Whether the value is a table of its own, or several."""
        return is_dataclass(self.type)

    @property
    def is_size(self) -> bool:
        """Whether the value counts bytes."""
        return self.type is int and self.name not in COUNTS


@cache
def entries_of(cls: type) -> tuple[Entry, ...]:
    """Return the fields of a dataclass in their order.

    Raises:
        TypeError: a field is of a type that cannot be written.
    """
    hints = get_type_hints(cls)
    said = _attributes(cls)
    return tuple(
        _entry(cls, each.name, hints[each.name], each.default, said.get(each.name, ""))
        for each in fields(cls)
        if (cls.__name__, each.name) not in IMPLIED
    )


def _entry(cls: type, name: str, hint: Any, default: Any, says: str) -> Entry:
    optional = many = False
    if get_origin(hint) in (types.UnionType, Union):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
        optional = True
    if hint == drawn.Rows:
        hint = Rows
    if get_origin(hint) is tuple:
        hint, *_ = get_args(hint)
        many = True
    known = hint in (int, str, bool, Extents, Rows) or (
        isinstance(hint, type) and (issubclass(hint, Enum) or is_dataclass(hint))
    )
    if not known or (optional and (many or default not in (None, MISSING))):
        raise TypeError(f"{cls.__name__}.{name} is of a type that a file cannot hold")
    if optional:
        default = None
    return Entry(
        name, name.removesuffix("s") if many and is_dataclass(hint) else name, hint, optional, many, default, says
    )


def word_of(value: Enum) -> str:
    """Return how a file names a value: as reports do."""
    return value.title if isinstance(value, Level) else str(value.value)


def _attributes(cls: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of its attributes (nothing where docstrings are stripped)."""
    found: dict[str, str] = {}
    name = ""
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    for line in section.split("\n"):
        if match := _ATTRIBUTE.match(line):
            name = match[1]
            found[name] = match[2]
        elif name and line.startswith("        "):
            found[name] += f" {line.strip()}"
        else:
            name = ""
    return found
