"""An array description as a TOML text that a person can read and change; `raidfs.array.toml` reads it again.

Only what descriptions need of TOML: the same description gives the same text, down to the byte.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from raidfs.array import drawn
from raidfs.array.description import ArrayDescription
from raidfs.array.toml_fields import Entry, Rows, entries_of, word_of
from raidfs.extents import Extents
from raidfs.units import SECTOR, format_size, format_time

_HEAD = """\
An array of members as raidfs understood it. Every command takes this file in place of superblocks:

    raidfs mount --array THIS_FILE MOUNTPOINT

Change what you know better. Numbers are bytes; a text may have a unit: "64K", "1M", "2048s" (sectors of 512 bytes).
Paths are relative to the folder of this file; "disk.img#2" is the second partition of disk.img. Ranges are
[start, stop], of which stop is not part. A key that is left out has its usual value: none, nothing, or as explained."""
_BESIDE = """\
An array that is a member of another one: its path there is "array" with its name or uuid. --uuid reads it alone."""
_WIDTH = 118
_REFERENCE = re.compile(r",? ?see `\w+`[,.]?")
"""Of docstrings, to what only the code has."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def toml_lines(description: ArrayDescription, arrays: Sequence[ArrayDescription] = ()) -> list[str]:
    """Write a description.

    Args:
        description: the array; the paths of its members are written as they are.
        arrays: those that are members of it, or of each other.

    Returns:
        The lines of the text, without their ends.
    """
    head = [f"# {line}".rstrip() for line in _HEAD.split("\n")]
    told: set[type] = set()
    lines = [*head, "", *_table(description, (), told)]
    lines += ["", *(f"# {line}" for line in _BESIDE.split("\n"))] if arrays else []
    for each in arrays:
        lines += ["", "[[array]]", *_table(each, ("array",), told)]
    return lines


def _table(value: Any, path: tuple[str, ...], told: set[type], *, terse: bool = False) -> Iterator[str]:
    """Yield the lines of a dataclass: its own keys, then the tables in it.

    Args:
        value: the dataclass.
        path: of its table.
        told: kinds of tables of which it was said already what their keys mean.
        terse: leave out what has its usual value; for one table of many.
    """
    kind: type = type(value)
    entries = entries_of(kind)
    if not terse:
        yield from _legend(kind, told)
    for entry in entries:
        held = getattr(value, entry.name)
        if not (entry.is_table or held is None or (terse and held == entry.default)):
            yield from _pair(entry, held)
    for entry in sorted(entries, key=lambda each: each.many):
        held = getattr(value, entry.name)
        place = (*path, entry.key)
        if not entry.is_table or held is None:
            continue
        if not entry.many:
            yield from ("", f"[{'.'.join(place)}]", *_table(held, place, told, terse=terse))
            continue
        if held:
            yield from ("", *_legend(entry.type, told))
        for number, each in enumerate(held):
            yield from ("",) if number else ()
            yield from (f"[[{'.'.join(place)}]]", *_table(each, place, told, terse=True))


def _legend(kind: type, told: set[type]) -> Iterator[str]:
    """Say once what the keys of a kind of table mean."""
    if kind in told:
        return
    told.add(kind)
    for entry in entries_of(kind):
        words = _REFERENCE.sub("", entry.says).replace("None", "none")
        if issubclass(entry.type, Enum):
            words = f"{words} One of {', '.join(map(word_of, entry.type))}."
        if words:
            text = f"{entry.key}: {words.strip()}"
            yield from textwrap.wrap(
                text, _WIDTH, initial_indent="# ", subsequent_indent="#     ", break_long_words=False
            )


def _pair(entry: Entry, held: Any) -> Iterator[str]:
    """Yield `key = value`, with what helps to understand the value."""
    if entry.type in (Extents, Rows):
        yield from _ranges(entry.key, held)
        return
    text = f"[{', '.join(map(_scalar, held))}]" if entry.many else _scalar(held)
    remark = ""
    if entry.is_size and not entry.many and held >= SECTOR:
        parts = [f"{held // SECTOR} sectors"] if held % SECTOR == 0 else []
        parts += [format_size(held)] if held >= 1024 else []
        remark = f"  # {', '.join(parts)}" if parts else ""
    elif entry.name == "updated":
        remark = f"  # {format_time(held)}"
    yield f"{entry.key} = {text}{remark}"


def _ranges(key: str, ranges: Extents | drawn.Rows) -> Iterator[str]:
    """Yield a list of lists of numbers; where there are several, each on a line of its own."""
    lists = [f"[{', '.join(map(str, each))}]" for each in ranges]
    if len(lists) < 2:
        yield f"{key} = [{''.join(lists)}]"
        return
    yield f"{key} = ["
    yield from (f"    {each}," for each in lists)
    yield "]"


def _scalar(value: int | str | bool | Enum) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = word_of(value) if isinstance(value, Enum) else value
    if any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        # a path need not be UTF-8, which a TOML text must be
        return f'{{ hex = "{text.encode(errors="surrogateescape").hex()}" }}'
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    return letter if letter.isprintable() or letter == " " else f"\\U{ord(letter):08X}"
