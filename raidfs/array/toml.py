"""A file that says what an array is, in place of superblocks: TOML text -> description; nonsense is named by its line.

`raidfs.array.toml_text` writes such files. One may as well be written by hand: most keys have a usual value. What the
images must tell (how large the components are, where the file does not say) is asked for after they are open.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace
from enum import Enum
from typing import Any

from raidfs.array import drawn
from raidfs.array.description import ArrayDescription, Member, Reshape, State, usable_size
from raidfs.array.shape import Level, Shape
from raidfs.array.toml_checks import (
    check_direction,
    check_extent,
    check_front,
    check_members,
    check_sizes,
    checked_text,
)
from raidfs.array.toml_fields import Entry, Rows, entries_of, word_of
from raidfs.array.toml_places import Path
from raidfs.array.toml_source import TomlText
from raidfs.errors import BadArrayFile, InconsistentDescription, UsageError
from raidfs.extents import Extents
from raidfs.units import SECTOR, parse_size

MAX_SIZE = 64 << 20
"""No array needs a larger file [bytes]."""
_MOST_DISKS = 4096
"""More roles than any superblock of md has room for."""
_FAR = 1 << 63
"""Bad-block logs and damaged superblocks may say anything below."""
_USUAL = {"uuid": "00000000:00000000:00000000:00000000", "name": None, "metadata": "none"}
_USUAL_LAYOUT = {Level.LINEAR: "concatenated", Level.RAID1: "mirrored", Level.RAID4: "parity-last"}
_WITHOUT_CHUNK = (Level.LINEAR, Level.RAID1)
_TABLE = ("layout", "table", "exponents", "regions")
"""Keys of a shape that say together how it is laid out."""
_AT_LINE = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL)


@dataclass(frozen=True)
class Declaration:
    """An array as a file declares it.

    Attributes:
        members: as they are declared, but for what the images must tell.
        given: everything else that the file gives, by field of `ArrayDescription`.
        front_given: the file says how far the reshape really came, so that the data are not asked.
        text: where all of it stands.
        arrays: declared beside it: those that are members of it, or of each other.
    """

    members: tuple[Member, ...]
    given: Mapping[str, Any]
    front_given: bool
    text: TomlText
    arrays: tuple[Declaration, ...] = ()

    @property
    def uuid(self) -> str:
        """As for `ArrayDescription`."""
        return str(self.given["uuid"])

    @property
    def name(self) -> str | None:
        """As for `ArrayDescription`."""
        name: str | None = self.given["name"]
        return name

    @property
    def size_given(self) -> bool:
        """Whether the file gives the component size, or the images must tell."""
        return "component_size" in self.given

    def line_of(self, number: int) -> str:
        """Return where a member stands, for messages; `number`: from 0 on."""
        return self.text.place(("member", number))

    def describe(self, members: Mapping[int, tuple[str, int]]) -> ArrayDescription:
        """Return the array.

        Args:
            members: by number, (path, size of the member [bytes]) of those that are there; others are left out.

        Raises:
            BadArrayFile: the file contradicts itself or the images; names the line.
        """
        shape: Shape = self.given["shape"]
        found = [replace(self.members[number], path=path) for number, (path, _) in members.items()]
        sizes = [size for _, size in members.values()]
        if shape.has_own_sizes and not self.size_given:
            found = [
                replace(member, component_size=size - member.data_offset) if member.component_size is None else member
                for member, size in zip(found, sizes, strict=True)
            ]
        given = dict(self.given)
        if not self.size_given:
            self._check_room(members)
            given["component_size"] = self._component_size(shape, found, sizes)
        if "size" not in given:
            given["size"] = self._usable_size(found, given)
        try:
            description = ArrayDescription(members=tuple(found), **given)
        except InconsistentDescription as error:
            self.text.refuse(self.text.culprit(str(error)), str(error))
        check_extent(self.text, description, list(members))
        return description

    def _check_room(self, members: Mapping[int, tuple[str, int]]) -> None:
        """Refuse offsets that lie behind the end of an image, where its size is to tell how large components are."""
        for number, (path, size) in members.items():
            for key in ("data_offset", "new_data_offset"):
                offset = getattr(self.members[number], key)
                if self.members[number].state.serves and offset >= size:
                    self.text.refuse(("member", number, key), f"{key} is {offset}, but {path} has only {size} bytes")

    def _component_size(self, shape: Shape, members: list[Member], sizes: list[int]) -> int:
        """Return what the members have room for."""
        serving = [(member, size) for member, size in zip(members, sizes, strict=True) if member.state.serves]
        if not serving:
            self.text.refuse((), "component_size is not given, and there is no member that would tell")
        if shape.has_own_sizes:
            return max(member.component_size or 0 for member, _ in serving)
        return min(size - max(member.data_offset, member.new_data_offset) for member, size in serving)

    def _usable_size(self, members: list[Member], given: Mapping[str, Any]) -> int:
        """Return what the array holds, where the file does not say it."""
        reshape: Reshape | None = given.get("reshape")
        shapes = (reshape.before, reshape.after) if reshape else (given["shape"],)
        own = {member.role: member.component_size for member in members if member.state.serves}
        largest: int = given["component_size"]
        roles = range(max(shape.raid_disks for shape in shapes))
        each = [size if (size := own.get(role)) is not None else largest for role in roles]
        return usable_size(shapes, each)


def read_toml(raw: bytes, name: str) -> Declaration:
    """Understand a file.

    Args:
        raw: its content.
        name: of the file, for messages.

    Raises:
        BadArrayFile: one sentence: which line, what is wrong with it.
    """
    if len(raw) > MAX_SIZE:
        raise BadArrayFile(f"{name} is no description of an array: it has {len(raw)} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadArrayFile(f"{name}, line {line}: this is no UTF-8, so this is no description of an array") from None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise BadArrayFile(f"{name} nests values too deep to describe an array") from None
    except ValueError as error:
        found = _AT_LINE.fullmatch(str(error))
        where, what = (f", line {found[2]}", found[1]) if found else ("", str(error))
        raise BadArrayFile(f"{name}{where}: this is no TOML: {what[:1].lower()}{what[1:]}") from None
    whole = TomlText(text, name)
    beside = document.pop("array", [])
    if not isinstance(beside, list):
        whole.refuse(("array",), f"array is {_shown(beside)}, not [[array]]")
    arrays = tuple(_Reader(whole.within(("array", number))).read(each) for number, each in enumerate(beside))
    return replace(_Reader(whole).read(document), arrays=arrays)


class _Reader:
    """Reads one document; every method raises `BadArrayFile`."""

    def __init__(self, text: TomlText) -> None:
        self._text = text
        self._shape: Shape | None = None  # of the array, for what refers to it

    def read(self, document: dict[str, Any]) -> Declaration:
        """Understand the document, or a table of it."""
        values = {**_USUAL, **self._values(ArrayDescription, document, ())}
        for name in ("shape", "members"):
            if name not in values:
                key = name.removesuffix("s")
                self._text.refuse((), f"there is no [{key}]" if name == "shape" else f"there is no [[{key}]]")
        members: tuple[Member, ...] = values.pop("members")
        reshape: Reshape | None = values.get("reshape")
        check_front(self._text, reshape)
        shapes = [values["shape"], *([reshape.before] if reshape else [])]
        check_members(self._text, members, max(shape.raid_disks for shape in shapes))
        front_given = reshape is not None and reshape.front is not None
        return Declaration(members, values, front_given, self._text)

    def _values(self, cls: type, data: object, at: Path) -> dict[str, Any]:
        """Understand the keys of a table, by field."""
        if not isinstance(data, dict):
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not a table")
        entries = {entry.key: entry for entry in entries_of(cls)}
        for key in data:
            if key not in entries:
                self._text.refuse((*at, key), f"{key!r} is unknown here; known are {', '.join(entries)}")
        return {entry.name: self._value(entry, data[key], (*at, key)) for key, entry in entries.items() if key in data}

    def _value(self, entry: Entry, data: object, at: Path) -> Any:
        if not entry.many:
            return self._one(entry, data, at)
        if not isinstance(data, list):
            kind = f"[[{'.'.join(map(str, at))}]]" if entry.is_table else "a list"
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not {kind}")
        return tuple(self._one(entry, each, (*at, number)) for number, each in enumerate(data))

    def _one(self, entry: Entry, data: object, at: Path) -> Any:
        """Understand one value."""
        if entry.is_table:
            return self._table(entry.type, data, at)
        if entry.type is Extents:
            return self._extents(data, at)
        if entry.type is Rows:
            return self._rows(data, at)
        if issubclass(entry.type, Enum):
            return self._word(entry.type, data, at)
        if entry.type is str:
            return checked_text(self._text, entry, self._string(data, at), at)
        if entry.type is bool:
            if not isinstance(data, bool):
                self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not true or false")
            return data
        return self._number(data, at, units=entry.is_size)

    def _table(self, cls: type, data: object, at: Path) -> Any:
        """Understand a table, and put the usual values where it says nothing."""
        values = self._values(cls, data, at)
        self._complete(cls, values, at)
        for entry in entries_of(cls):
            if entry.name not in values and entry.default is MISSING:
                self._text.refuse(at, f"{entry.key} is missing in {_called(at)}: {entry.says}")
        if cls is not Member:  # one that is set apart may say anything, the others are judged when all are known
            check_sizes(self._text, cls, values, at)
        if cls is Reshape:
            check_direction(self._text, values, at)
        try:
            made = cls(**values)
        except InconsistentDescription as error:
            self._text.refuse(self._text.culprit(str(error), at), str(error))
        if at == ("shape",):
            self._shape = made
        return made

    def _complete(self, cls: type, values: dict[str, Any], at: Path) -> None:
        """Put in what follows from the rest of the file."""
        if cls is Member:
            values.setdefault("state", State.IN_SYNC)
            values.setdefault("role", None)
            if "data_offset" in values:
                values.setdefault("new_data_offset", values["data_offset"])
        elif cls is Reshape:
            if self._shape is None:
                self._text.refuse(at, "there is no [shape], which says what the array becomes")
            values["after"] = self._shape
        elif cls is Shape:
            if "table" in values:
                values.setdefault("layout", drawn.DRAWN)
            own = _TABLE if "layout" in values else ()  # nothing of another table
            for entry in entries_of(Shape) if self._shape is not None else ():
                if entry.name not in own:
                    values.setdefault(entry.name, getattr(self._shape, entry.name))
            level = values.get("level")
            if level in _USUAL_LAYOUT:
                values.setdefault("layout", _USUAL_LAYOUT[level])
            if level in _WITHOUT_CHUNK:
                values.setdefault("chunk_size", 0)
            if values.get("raid_disks", 0) > _MOST_DISKS:
                self._text.refuse((*at, "raid_disks"), f"raid_disks is {values['raid_disks']}, which cannot be")
            if values.get("chunk_size", 0) % SECTOR:
                what = f"chunk_size is {values['chunk_size']} bytes, which is no multiple of {SECTOR}"
                self._text.refuse((*at, "chunk_size"), what)

    def _extents(self, data: object, at: Path) -> Extents:
        ranges = []
        if not isinstance(data, list):
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not a list of [start, stop]")
        for number, each in enumerate(data):
            place = (*at, number)
            if not isinstance(each, list) or len(each) != 2:
                self._text.refuse(place, f"{_called(at)} holds {_shown(each)}, which is no [start, stop]")
            start, stop = (self._number(bound, (*place, which), units=True) for which, bound in enumerate(each))
            if not -_FAR < start <= stop < _FAR:
                self._text.refuse(place, f"{_called(at)} holds [{start}, {stop}], which is no range of bytes")
            ranges.append((start, stop))
        return Extents(ranges)

    def _rows(self, data: object, at: Path) -> drawn.Rows:
        if not isinstance(data, list):
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not a list of rows")
        for number, row in enumerate(data):
            if not isinstance(row, list):
                self._text.refuse((*at, number), f"{_called(at)} holds {_shown(row)}, which is no row of numbers")
        return tuple(
            tuple(self._number(each, (*at, number, place), units=False) for place, each in enumerate(row))
            for number, row in enumerate(data)
        )

    def _word(self, kind: type[Enum], data: object, at: Path) -> Enum:
        known = {word_of(each): each for each in kind}
        if not isinstance(data, str) or data not in known:
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}; known are {', '.join(known)}")
        return known[data]

    def _string(self, data: object, at: Path) -> str:
        if isinstance(data, dict) and isinstance(text := data.get("hex"), str) and len(data) == 1:
            try:
                return bytes.fromhex(text).decode(errors="surrogateescape")
            except ValueError:
                self._text.refuse(at, f"{_called(at)} is {_shown(data)}, which is no text in hexadecimal digits")
        if not isinstance(data, str):
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not a text")
        if at[-1] == "path" and (not data or "\0" in data):
            self._text.refuse(at, f"path is {_shown(data)}, which names no file")
        return data

    def _number(self, data: object, at: Path, *, units: bool) -> int:
        if isinstance(data, str) and units:
            try:
                return parse_size(data)
            except (UsageError, ValueError) as error:  # the latter: more digits than Python takes
                self._text.refuse(at, f"{_called(at)}: {error}")
        if isinstance(data, bool) or not isinstance(data, int):
            self._text.refuse(at, f"{_called(at)} is {_shown(data)}, not a {'size' if units else 'whole number'}")
        least = -1 if at[-1] == "device_number" else 0  # -1: nobody knows it
        if not units and not least <= data < 1 << 64:
            self._text.refuse(at, f"{_called(at)} is {data}, which cannot be")
        return data


def _called(at: Path) -> str:
    """Return what something is called, for messages."""
    keys = [key for key in at if isinstance(key, str)]
    return keys[-1] if keys else "the file"


def _shown(data: object) -> str:
    """Show a value in few words."""
    if isinstance(data, dict | list):
        return "a table" if isinstance(data, dict) else "a list"
    text = str(data).lower() if isinstance(data, bool) else repr(data)
    return text if len(text) <= 40 else f"{text[:40]}..."
