"""What superblocks and images say against a file that declares an array: one finding for each value, with its line.

The file counts: whoever writes one knows better, or wants to try. But a value that was changed by mistake must not go
unnoticed, so each that the superblocks of the members have otherwise is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from enum import Enum
from typing import Any

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.shape import Shape
from raidfs.array.toml_fields import Entry, entries_of, word_of
from raidfs.array.toml_places import Path
from raidfs.array.toml_source import TomlText
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity

_PLACES = frozenset(
    {"level", "layout", "chunk_size", "raid_disks", "table", "component_size", "size", "reshape", "position"}
    | {"direction", "role", "state", "data_offset", "new_data_offset", "recovered_to"}
)
"""Of what it depends which bytes are read; what the file does not say of these follows from the rest of it."""
_OWN_WORDS = frozenset(
    {"path", "note", "position_source", "front", "backup", "alternatives", "dispute", "strays", "withheld", "quiet"}
    | {"disputed", "contested"}
)
"""What is no word of superblocks, or what raidfs finds out anew each time."""
_SILENT = (State.FOREIGN, State.DUPLICATE, State.INCOMPATIBLE)
"""Members whose superblocks say nothing of this array that counts."""
_LONGEST = 60


@dataclass(frozen=True)
class Heard:
    """What the superblocks of the members say together.

    Attributes:
        description: the array.
        others: superblocks of other arrays, by path of the member: their uuid.
    """

    description: ArrayDescription
    others: Mapping[str, str]


@dataclass(frozen=True)
class Against:
    """Compares a file with what the superblocks say; see `contradictions`.

    Attributes:
        text: of the file.
        numbers: of the members in the file, by path.
    """

    text: TomlText
    numbers: Mapping[str, int]

    def contradictions(self, declared: ArrayDescription, heard: Heard) -> Iterator[Finding]:
        """Yield a finding for each value that the superblocks have otherwise.

        Args:
            declared: the array of the file.
            heard: what superblocks say.
        """
        said = _decided(heard.description, declared.shape)
        yield from self._table(ArrayDescription, declared, said, (), "the superblocks say")
        if said.withheld and not declared.withheld:
            yield self._finding(("withheld",), f"withheld is empty, but by the superblocks {said.withheld}")
        theirs = {member.path: member for member in said.members}
        for member in declared.members:
            number = self.numbers[member.path]
            if member.path in heard.others:
                what = f"{member.path} has the superblock of another array ({heard.others[member.path]})"
                yield self._finding(("member", number), what)
            elif member.path in theirs:
                yield from self._member(member, theirs[member.path], ("member", number))

    def too_short(self, declared: ArrayDescription, sizes: Mapping[str, int], heard: Heard | None) -> Iterator[Finding]:
        """Yield a finding for each member whose image ends before what it should give.

        Args:
            declared: the array of the file.
            sizes: of the members that are there, by path [bytes].
            heard: what superblocks say, if there are any.

        Raises:
            BadArrayFile: no superblock says that it is so large.
        """
        theirs = {} if heard is None else {member.path: member for member in heard.description.members}
        for member in declared.serving.values():
            size, number = sizes[member.path], self.numbers[member.path]
            own = member.component_size is not None
            component = declared.component_size if member.component_size is None else member.component_size
            key = "data_offset" if member.data_offset >= member.new_data_offset else "new_data_offset"
            offset: int = getattr(member, key)
            if offset + component <= size:
                continue
            path: Path = ("member", number, "component_size") if own else ("component_size",)
            what = f"component_size is {component}, but {member.path} has only {max(0, size - offset)} bytes"
            what = f"{what} from {key} {offset} on"
            if offset >= size:
                path, what = ("member", number, key), f"{key} is {offset}, but {member.path} has only {size} bytes"
            said = theirs.get(member.path)
            agrees = said is not None and heard is not None and _as_large(member, said, declared, heard.description)
            if not agrees:
                self.text.refuse(path, what)
            text = f"{self.text.place(path)}: {what}: what lies beyond its end is lost"
            yield Finding(Severity.WARNING, member.path, text)

    def unlike_md(self, declared: ArrayDescription) -> Iterator[Finding]:
        """Yield a finding for each value that md has in no array."""
        reshape = declared.reshape
        shapes = (
            (declared.shape, ("shape",)),
            *(() if reshape is None else ((reshape.before, ("reshape", "before")),)),
        )
        for shape, at in shapes:
            if shape.oddity:
                yield self._finding((*at, "chunk_size"), shape.oddity)

    def _member(self, mine: Member, theirs: Member, at: Path) -> Iterator[Finding]:
        if theirs.state in _SILENT and mine.state != theirs.state:
            what = f"state is {mine.state.value!r}, but by its superblock {mine.path} {theirs.note}"
            yield self._finding((*at, "state"), what)
            return
        yield from self._table(Member, mine, theirs, at, f"the superblock of {mine.path} says")

    def _table(self, cls: type, mine: Any, theirs: Any, at: Path, who: str) -> Iterator[Finding]:
        """Compare the values of two tables, and the tables in them."""
        for entry in entries_of(cls):
            if entry.name in _OWN_WORDS or entry.type is Member:
                continue
            here, there, path = getattr(mine, entry.name), getattr(theirs, entry.name), (*at, entry.key)
            if is_dataclass(entry.type) and here is not None and there is not None:
                yield from self._table(entry.type, here, there, path, who)
            elif here != there and (entry.name in _PLACES or self.text.has(path)):
                severity = Severity.WARNING if entry.name in _PLACES or entry.name == "uuid" else Severity.NOTE
                yield self._finding(path, f"{_told(entry, here)}, but {who} {_shown(there)}", severity)

    def _finding(self, path: Path, what: str, severity: Severity = Severity.WARNING) -> Finding:
        return Finding(severity, "array", f"{self.text.place(path)}: {what}; the file counts")


def _decided(said: ArrayDescription, shape: Shape) -> ArrayDescription:
    """Return what superblocks say in that shape, if it is one of those that they leave open."""
    open_shapes = [said.shape.declared, *(each.shape for each in said.alternatives)]
    return said.taken_as(shape) if said.reshape is None and shape in open_shapes else said


def _as_large(mine: Member, theirs: Member, declared: ArrayDescription, said: ArrayDescription) -> bool:
    """Tell whether a superblock says the same of how much its member should hold."""
    places = [(each.data_offset, each.new_data_offset, each.component_size) for each in (mine, theirs)]
    return places[0] == places[1] and declared.component_size <= said.component_size


def _told(entry: Entry, value: Any) -> str:
    """Say what a file says."""
    return f"there is no {entry.key}" if value is None else f"{entry.key} is {_shown(value)}"


def _shown(value: Any) -> str:
    """Show a value as a file has it, in few words."""
    if value is None:
        return "that there is none"
    if is_dataclass(value):
        return "that there is one"
    if isinstance(value, Extents):
        text = str([list(each) for each in value])
    elif isinstance(value, Enum):
        text = repr(word_of(value))
    else:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
