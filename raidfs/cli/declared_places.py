"""Where the members lie of an array that a file declares: which image, or array, is which of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from raidfs.array.choose import is_called
from raidfs.array.description import Member, State
from raidfs.array.toml import Declaration
from raidfs.cli.opening import is_same
from raidfs.errors import AssemblyError, BadArrayFile, UsageError
from raidfs.finding import Finding, Severity

_PARTITION = re.compile(r"(.+)#(\d{1,9}(?:@\d{1,20})?)", re.DOTALL)
_ARRAY = "array "
"""Of a path: what follows is the name or uuid of an array in the same file."""

_DEEPEST = 16
"""Arrays on arrays."""

Spot = tuple[str, int]
"""An array, as a `Family` calls it, and the number of a member in it."""


@dataclass(frozen=True)
class Family:
    """An array of a file, with those that are its members, and theirs.

    Attributes:
        file: the file.
        arrays: by what they are called as members; the array itself is called ''.
        order: their names, each after those of its members; the last is the array itself.
    """

    file: str
    arrays: Mapping[str, Declaration]
    order: tuple[str, ...]

    @classmethod
    def of(cls, declaration: Declaration, file: str, wanted: str | None) -> Family:
        """Choose an array of a file.

        Raises:
            AssemblyError: the wanted one is none of its arrays.
            BadArrayFile: an array is a member of itself.
        """
        everyone = (declaration, *declaration.arrays)
        chosen = [each for each in everyone if wanted is None or is_called(each.uuid, each.name, wanted)]
        if not chosen:
            told = ", ".join(each.uuid for each in everyone)
            raise AssemblyError(f"{file} declares the array {told}, not {wanted!r}")
        arrays: dict[str, Declaration] = {}
        order: list[str] = []
        _descend(declaration.arrays, "", (chosen[0],), arrays, order)
        return cls(file, arrays, tuple(order))

    def spots(self) -> Iterator[tuple[Spot, Declaration, Member]]:
        """Yield every member that is no array."""
        for name, declaration in self.arrays.items():
            for number, member in enumerate(declaration.members):
                if member.path not in self.arrays:
                    yield (name, number), declaration, member


def _descend(
    beside: Sequence[Declaration],
    name: str,
    above: tuple[Declaration, ...],
    arrays: dict[str, Declaration],
    order: list[str],
) -> None:
    """Collect the last of some arrays, each a member of the one before, and all that it lies on."""
    *_, declaration = above
    for number, member in enumerate(declaration.members):
        inner = _array_called(beside, member.path)
        if inner is None:
            continue
        if len(above) == _DEEPEST or any(inner is each for each in above):
            where = "lies too deep" if len(above) == _DEEPEST else "would be a member of itself"
            raise BadArrayFile(f"{declaration.line_of(number)}: {member.path} {where}")
        if any(inner is each for each in arrays.values()):
            raise BadArrayFile(f"{declaration.line_of(number)}: {member.path} is another member already")
        _descend(beside, member.path, (*above, inner), arrays, order)
    arrays[name] = declaration
    order.append(name)


def _array_called(beside: Iterable[Declaration], path: str) -> Declaration | None:
    """Return the array that a path names, of those in the file."""
    if not path.startswith(_ARRAY):
        return None
    name = path.removeprefix(_ARRAY)
    return next((each for each in beside if is_called(each.uuid, each.name, name)), None)


@dataclass(frozen=True)
class Place:
    """Where a member lies: on the image of that path, in that partition of it (None: all of it is the member)."""

    image: str
    partition: str | None = None


@dataclass
class Places:
    """Where the members lie, and what is to be told about it.

    Attributes:
        found: by member.
        absent: members that are set apart, and not there.
        findings: about members.
    """

    found: dict[Spot, Place] = field(default_factory=dict)
    absent: list[Spot] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def line_of(self, family: Family, image: str) -> str:
        """Return where the first member stands that lies on an image, for messages."""
        name, number = next(spot for spot, place in self.found.items() if place.image == image)
        return family.arrays[name].line_of(number)

    def warn(self, subject: str, text: str) -> None:
        """Tell something."""
        self.findings.append(Finding(Severity.WARNING, subject, text))

    def miss(self, spot: Spot, member: Member) -> None:
        """Take note of a member that is set apart and not there; what it would give is given up."""
        if member.past is not None or member.state is State.REPLACEMENT:
            self.warn(member.path, f"{member.path} is not there; what it still held is not used")
        else:
            self.absent.append(spot)


def from_folder(file: str, path: str) -> str:
    """Return a path that is written in a file as it is from here."""
    return os.path.join(os.path.dirname(file), path)


def places_as_written(family: Family) -> Places:
    """Find the members where the file says that they are.

    Raises:
        BadArrayFile: one is not there; names the line.
    """
    places = Places()
    for spot, declaration, member in family.spots():
        path = from_folder(family.file, member.path)
        place = Place(path) if os.path.lexists(path) else _split(path)
        if os.path.lexists(place.image):
            places.found[spot] = place
        elif member.state.serves:
            what = f"there is no {path}; correct the path, or take the member out if it is lost"
            raise BadArrayFile(f"{declaration.line_of(spot[1])}: {what}")
        else:
            places.miss(spot, member)
    return places


def places_beside(family: Family, paths: Sequence[str]) -> Places:
    """Find the members among images that were named: by the names of the files, else by the order of the roles.

    Raises:
        UsageError: nothing tells which is which.
    """
    places = Places()
    members = {spot: member for spot, _, member in family.spots()}
    named = {os.path.basename(path): path for path in paths if _is_only(os.path.basename(path), paths)}
    for spot, member in members.items():
        name = os.path.basename(member.path)
        place = Place(name) if name in named else _split(name)
        own = named.get(place.image)
        if own is not None and _is_only(name, [other.path for other in members.values()]):
            places.found[spot] = replace(place, image=own)
        elif (same := _same(from_folder(family.file, member.path), paths)) is not None:
            places.found[spot] = same
    used = {place.image for place in places.found.values()}
    files = [path for path in paths if path not in used]
    left = sorted(
        (spot for spot in members if spot not in places.found), key=lambda spot: (members[spot].role or 0, spot)
    )
    serving = [spot for spot in left if members[spot].state.serves]
    if serving and files:
        if len(serving) != len(files) or len(family.arrays) > 1:
            raise UsageError(
                f"nothing tells which member is which of {', '.join(files)}: {len(serving)} members of {family.file} "
                "have other names; name the images as it does, or correct its paths"
            )
        for spot, path in zip(serving, files, strict=True):
            member = members[spot]
            places.found[spot] = Place(path, _split(member.path).partition)
            places.warn(
                path,
                f"{path} is taken for role {member.role} ({member.path} in {family.file}) by the order of the roles",
            )
        files = []
    for path in files:
        places.warn(path, f"{path} is none of the members that {family.file} names and is left out")
    for spot in left:
        if not members[spot].state.serves:
            places.miss(spot, members[spot])
    return places


def _same(written: str, paths: Sequence[str]) -> Place | None:
    """Return the place of a member if the file names one of the images itself, whatever other images are called."""
    place = Place(written) if os.path.lexists(written) else _split(written)
    own = next((path for path in paths if is_same(place.image, path)), None)
    return None if own is None else replace(place, image=own)


def _split(path: str) -> Place:
    """Understand `disk.img#2`."""
    match = _PARTITION.fullmatch(path)
    return Place(match[1], match[2]) if match else Place(path)


def _is_only(name: str, paths: Sequence[str]) -> bool:
    """Tell whether no two of the paths have that name."""
    return Counter(map(os.path.basename, paths))[name] <= 1
