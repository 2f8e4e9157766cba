"""What cannot be in a file that declares an array, although each value is of its kind; refused with the line.

Where the text alone tells, it is refused when the text is read; where the array must be known, when it is described.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from raidfs.array.description import LARGEST, ArrayDescription, Direction, Member, Past, Reshape, State
from raidfs.array.dispute import Dispute
from raidfs.array.front import Front
from raidfs.array.toml_fields import Entry, entries_of
from raidfs.array.toml_places import Path
from raidfs.array.toml_source import TomlText
from raidfs.extents import Extents
from raidfs.units import SECTOR

FORMATS = ("0.90", "1.0", "1.1", "1.2", "none")
"""Of superblocks, as mdadm names them; none: the array has no superblocks."""

_UUID = re.compile(r"[0-9a-f]{8}(:[0-9a-f]{8}){3}")
_ROLELESS = (State.SPARE, State.JOURNAL, State.BACKUP)
_WITH_ROLE = (State.IN_SYNC, State.RECOVERING, State.DAMAGED, State.REPLACEMENT)

_COMPONENT, _ARRAY, _SYNCED = "what each member gives", "the array", "what is kept in sync"
_WITHIN: Mapping[tuple[type, str], str] = {
    (ArrayDescription, "unsynced"): _SYNCED,
    (Reshape, "quiet"): _ARRAY,
    (Reshape, "disputed"): _ARRAY,
    (Dispute, "agreed"): _ARRAY,
    **{(Past, name): _COMPONENT for name in ("held", "held_before", "proven", "likely", "likely_before")},
    **{(Front, name): _COMPONENT for name in ("written", "likely_written", "likely_left", "left")},
    **{(Front, name): _ARRAY for name in ("agreed", "likely_agreed")},
}
"""What ranges are parts of, by field; ranges of other fields may lie anywhere."""


def checked_text(text: TomlText, entry: Entry, value: str, at: Path) -> str:
    """Return a text as md writes it; refuse it where it is none of those that its key can have."""
    if entry.name in ("uuid", "device_uuid"):
        value = value.lower()
        if not _UUID.fullmatch(value):
            text.refuse(
                at, f"{entry.key} is {value!r}, not four groups of eight hexadecimal digits with colons between"
            )
    if entry.name == "metadata" and value not in FORMATS:
        text.refuse(at, f"metadata is {value!r}; known are {', '.join(FORMATS)}")
    return value


def check_members(text: TomlText, members: tuple[Member, ...], n_roles: int) -> None:
    """Refuse roles that cannot be, and what contradicts the state of a member."""
    taken: dict[int, int] = {}
    for number, member in enumerate(members):
        path: Path = ("member", number)
        if member.role is None and member.state in _WITH_ROLE:
            text.refuse(path, f"role is missing: {member.path} is {member.state.value}, so it has one")
        if member.role is not None and member.state in _ROLELESS:
            what = f"role is {member.role}, but {member.path} is a {member.state.value}, which has none"
            text.refuse((*path, "role"), what)
        if member.state is State.RECOVERING and member.recovered_to is None:
            what = f"recovered_to is missing: {member.path} is recovering, and nothing says how far it has come"
            text.refuse(path, what)
        if member.role is None or member.state not in _WITH_ROLE:
            continue
        if member.role >= n_roles:
            what = f"role is {member.role}, but the array has the roles 0 to {n_roles - 1}"
            text.refuse((*path, "role"), what)
        if member.state.serves and member.role in taken:
            other = text.place(("member", taken[member.role], "role"))
            text.refuse((*path, "role"), f"role {member.role} is taken by another member ({other})")
        if member.state.serves:
            taken[member.role] = number
        check_sizes(text, Member, vars(member), path)


def check_sizes(text: TomlText, cls: type, values: Mapping[str, Any], at: Path) -> None:
    """Refuse numbers of bytes that cannot be; where members are concerned, md counts sectors."""
    for entry in entries_of(cls):
        value = values.get(entry.name) if entry.is_size and not entry.many else None
        if value is None:
            continue
        if not 0 <= value < LARGEST:
            text.refuse((*at, entry.key), f"{entry.key} is {value} bytes, which cannot be")
        if cls is Member and entry.name != "component_size" and value % SECTOR:  # an image may have any size
            text.refuse((*at, entry.key), f"{entry.key} is {value} bytes, which is no multiple of {SECTOR}")


def check_front(text: TomlText, reshape: Reshape | None) -> None:
    """Refuse a front that lies before the position: one of them was changed without the other."""
    if reshape is None or reshape.front is None:
        return
    cut, forward = reshape.front.cut, reshape.direction is Direction.FORWARD
    if cut < reshape.position if forward else cut > reshape.position:
        what = f"cut is {cut}, but the reshape has come to {reshape.position} already; correct it or take front out"
        text.refuse(("reshape", "front", "cut"), what)


def check_direction(text: TomlText, values: Mapping[str, Any], at: Path) -> None:
    """Refuse a direction that md does not take: members are added forward, and taken away backward."""
    before, after, direction = values["before"], values["after"], values["direction"]
    growth = after.raid_disks - before.raid_disks
    if growth and (growth > 0) != direction.is_forward and not before.obstacle_to(after):
        told = f"from {before.raid_disks} to {after.raid_disks} members"
        text.refuse((*at, "direction"), f"direction is {direction.value!r}, but {told} it cannot be")


def check_extent(text: TomlText, description: ArrayDescription, numbers: Sequence[int]) -> None:
    """Refuse what lies outside the array that the file declares.

    Args:
        text: of the file.
        description: the array.
        numbers: of its members in the file.
    """
    reached = max(shape.array_size(description.component_sizes[: shape.raid_disks]) for shape in description.shapes)
    component = max(description.component_sizes)
    ends = {_COMPONENT: component, _ARRAY: reached, _SYNCED: component}
    if description.shape.counts_in_array_bytes:
        ends[_SYNCED] = reached
    _check_ranges(text, ArrayDescription, description, (), ends, numbers)
    for number, member in zip(numbers, description.members, strict=True):
        if member.recovered_to is not None and member.state.serves and member.recovered_to > component:
            what = f"recovered_to is {member.recovered_to}, but what each member gives ends at {component}"
            text.refuse(("member", number, "recovered_to"), what)
    front = description.reshape.front if description.reshape is not None else None
    if front is not None and front.cut > reached:
        text.refuse(("reshape", "front", "cut"), f"cut is {front.cut}, but the array ends at {reached}")


def _check_ranges(
    text: TomlText, cls: type, value: Any, at: Path, ends: Mapping[str, int], numbers: Sequence[int] = ()
) -> None:
    """Refuse ranges of a table, or of those in it, that are no parts of what they should be parts of.

    Args:
        text: of the file.
        cls: of the table.
        value: the table.
        at: where it stands.
        ends: of what ranges can be parts of [bytes].
        numbers: of the members in the file, where the table has some.
    """
    for entry in entries_of(cls):
        held, path = getattr(value, entry.name), (*at, entry.key)
        if is_dataclass(entry.type) and held is not None:
            for number, each in enumerate(held) if entry.many else ():
                within = numbers[number] if entry.type is Member else number
                _check_ranges(text, entry.type, each, (*path, within), ends)
            if not entry.many:
                _check_ranges(text, entry.type, held, path, ends)
        whole = _WITHIN.get((cls, entry.name))
        if whole is None:
            continue
        outside: Extents = held.difference(Extents.span(0, ends[whole]))
        if outside:
            start, stop = next(iter(outside))
            what = f"{entry.key} holds [{start}, {stop}], but {whole} ends at {ends[whole]}"
            text.refuse(path, what)
