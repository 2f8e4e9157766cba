"""An array that a file declares: its images are opened as members, whatever superblocks they have.

Superblocks are looked at all the same, for md's logs are found by them; they count only where they say the same array.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from raidfs.array.assemble import assemble
from raidfs.array.choose import is_called
from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.toml import MAX_SIZE, Declaration, read_toml
from raidfs.cli.maps import without_maps
from raidfs.cli.opening import MemberSource, Opened, Options, add_member, is_same, open_images
from raidfs.cli.searching import windows_of
from raidfs.errors import AssemblyError, BadArrayFile, RaidfsError, UsageError
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.partition import read_partitions
from raidfs.units import format_offset

_PARTITION = re.compile(r"(.+)#(\d{1,9}(?:@\d{1,20})?)", re.DOTALL)


@dataclass(frozen=True)
class Declared:
    """What came out.

    Attributes:
        description: the array.
        opened: its members.
        front_given: the file says how far a reshape really came.
    """

    description: ArrayDescription
    opened: Opened
    front_given: bool


@dataclass(frozen=True)
class _Place:
    """Where a member lies: on the image of that path, in that partition of it (None: all of it is the member)."""

    image: str
    partition: str | None = None


@dataclass
class _Places:
    """Where the members lie, by their number in the file, and what is to be told about it."""

    found: dict[int, _Place] = field(default_factory=dict)
    absent: list[int] = field(default_factory=list)  # set apart, and not there
    findings: list[Finding] = field(default_factory=list)

    def warn(self, subject: str, text: str) -> None:
        """Tell something."""
        self.findings.append(Finding(Severity.WARNING, subject, text))


def open_declared(file: str, paths: Sequence[str], options: Options, stack: ExitStack) -> Declared:
    """Open the images of an array that a file declares.

    Args:
        file: the file.
        paths: images that take the place of its paths; empty: its own paths count, from the folder of the file on.
        options: what the user decided.
        stack: closes the images.

    Raises:
        BadArrayFile: it cannot be understood, or does not fit the images; names the line.
        UsageError: nothing tells which image is which member.
        AssemblyError: it declares another array than the one that is wanted.
        RaidfsError: see `raidfs.cli.opening.open_images`.
    """
    declaration = read_toml(_content(file), file)
    beside = [path for path in without_maps(paths) if not is_same(path, file)]  # it may lie in the folder of the images
    places = _beside(declaration, file, beside) if beside else _as_written(declaration, file)
    named = list(dict.fromkeys(place.image for place in places.found.values()))
    if not named:
        raise BadArrayFile(f"{file}: none of its members is there")
    opened = open_images(named, options, stack)
    opened.findings += places.findings
    numbers = _open_members(declaration, places, opened)
    there = {number: (source.path, source.size) for number, source in numbers.items()}
    there |= {number: (_from_folder(file, declaration.members[number].path), 0) for number in places.absent}
    description = declaration.describe(dict(sorted(there.items())))
    if options.uuid is not None and not is_called(description.uuid, description.name, options.uuid):
        raise AssemblyError(f"{file} declares the array {description.uuid}, not {options.uuid!r}")
    if not declaration.size_given:
        size = format_offset(description.component_size)
        text = f"{file} does not give component_size; the members have room for {size}, which is taken"
        opened.findings.append(Finding(Severity.NOTE, "array", text))
    if options.ignore_bad_block_log:
        description = _without_bad_blocks(description, opened)
    _hear_superblocks(description, opened, file, options)
    return Declared(description, opened, declaration.front_given)


def relative_to(description: ArrayDescription, file: str) -> ArrayDescription:
    """Return a description as it can be written into a file: relative paths count from the folder of the file."""
    folder = os.path.realpath(os.path.dirname(os.path.abspath(file)))
    members = []
    for member in description.members:
        path = member.path
        if not os.path.isabs(path):
            inside, name = os.path.split(path)
            path = os.path.relpath(os.path.join(os.path.realpath(inside or "."), name), folder)
        members.append(replace(member, path=path))
    return replace(description, members=tuple(members))


def _content(file: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise BadArrayFile(f"{file} declares no array: it is no regular file")
        with open(file, "rb") as opened:
            return opened.read(MAX_SIZE + 1)
    except OSError as error:
        raise BadArrayFile(f"{file} cannot be read: {error.strerror}") from error


def _from_folder(file: str, path: str) -> str:
    """Return a path that is written in a file as it is from here."""
    return os.path.join(os.path.dirname(file), path)


def _split(path: str) -> _Place:
    """Understand `disk.img#2`."""
    match = _PARTITION.fullmatch(path)
    return _Place(match[1], match[2]) if match else _Place(path)


def _as_written(declaration: Declaration, file: str) -> _Places:
    """Find the members where the file says that they are."""
    places = _Places()
    for number, member in enumerate(declaration.members):
        path = _from_folder(file, member.path)
        place = _Place(path) if os.path.lexists(path) else _split(path)
        if os.path.lexists(place.image):
            places.found[number] = place
        elif member.state.serves:
            what = f"there is no {path}; correct the path, or take the member out if it is lost"
            raise BadArrayFile(f"{declaration.line_of(number)}: {what}")
        else:
            _miss(places, number, member)
    return places


def _miss(places: _Places, number: int, member: Member) -> None:
    """Take note of a member that is set apart and not there; what it would give is given up."""
    if member.past is not None or member.state is State.REPLACEMENT:
        places.warn(member.path, f"{member.path} is not there; what it still held is not used")
    else:
        places.absent.append(number)


def _beside(declaration: Declaration, file: str, paths: Sequence[str]) -> _Places:
    """Find the members among images that were named: by the names of the files, else by the order of the roles."""
    places = _Places()
    members = list(enumerate(declaration.members))
    named = {os.path.basename(path): path for path in paths if _is_only(os.path.basename(path), paths)}
    for number, member in members:
        name = os.path.basename(member.path)
        place = _Place(name) if name in named else _split(name)
        if place.image in named and _is_only(name, [other.path for _, other in members]):
            places.found[number] = replace(place, image=named[place.image])
    used = {place.image for place in places.found.values()}
    files = [path for path in paths if path not in used]
    left = sorted((member.role or 0, number) for number, member in members if number not in places.found)
    serving = [number for _, number in left if declaration.members[number].state.serves]
    if serving and files:
        if len(serving) != len(files):
            raise UsageError(
                f"nothing tells which member is which of {', '.join(files)}: {len(serving)} members of {file} have "
                "other names; name the images as it does, or correct its paths"
            )
        for number, path in zip(serving, files, strict=True):
            member = declaration.members[number]
            places.found[number] = _Place(path, _split(member.path).partition)
            places.warn(
                path, f"{path} is taken for role {member.role} ({member.path} in {file}) by the order of the roles"
            )
        files = []
    for path in files:
        places.warn(path, f"{path} is none of the members that {file} names and is left out")
    for _, number in left:
        if not declaration.members[number].state.serves:
            _miss(places, number, declaration.members[number])
    return places


def _is_only(name: str, paths: Sequence[str]) -> bool:
    """Tell whether no two of the paths have that name."""
    return Counter(map(os.path.basename, paths))[name] <= 1


def _open_members(declaration: Declaration, places: _Places, opened: Opened) -> dict[int, MemberSource]:
    """Take images, or partitions of them, as members; those of images that are left out are left out too."""
    found: dict[int, MemberSource] = {}
    for number, place in places.found.items():
        image = opened.images.get(place.image)
        if image is None:
            continue
        source: MemberSource = image
        if place.partition is not None:
            partitions, _ = read_partitions(image, image.path)
            windows = {each.path.rpartition("#")[2]: each for each in windows_of(image, partitions)}
            if place.partition not in windows:
                there = ", ".join(windows) or "none"
                what = f"{image.path} has no partition {place.partition}; it has {there}"
                raise BadArrayFile(f"{declaration.line_of(number)}: {what}")
            source = windows[place.partition]
        if source.path in opened.members:
            raise BadArrayFile(f"{declaration.line_of(number)}: {source.path} is another member already")
        opened.members[source.path] = source
        found[number] = source
    return found


def _without_bad_blocks(description: ArrayDescription, opened: Opened) -> ArrayDescription:
    """Forget what the file says of bad blocks, and tell so."""
    for member in description.members:
        if member.bad_blocks:
            text = f"{member.path}: the bad-block log ({member.bad_blocks.total} bytes) is ignored as asked"
            opened.findings.append(Finding(Severity.WARNING, member.path, text))
    members = tuple(replace(member, bad_blocks=Extents()) for member in description.members)
    return replace(description, members=members)


def _hear_superblocks(description: ArrayDescription, opened: Opened, file: str, options: Options) -> None:
    """Take the superblocks along, by which md's logs are found, where they say the same array as the file."""
    scratch = Opened(opened.images, opened.told)
    for source in opened.members.values():
        add_member(scratch, source, options)
    if not scratch.claimed:
        return
    try:
        said = assemble(scratch.claimed, description.uuid).description
    except RaidfsError:
        said = None
    if said is not None and _essence(said) == _essence(description):
        opened.superblocks.update(scratch.superblocks)
    else:
        text = f"the members have superblocks that say something else than {file}; the file counts"
        opened.findings.append(Finding(Severity.NOTE, "array", text))


def _essence(description: ArrayDescription) -> tuple[object, ...]:
    """Return what must be the same for the logs of one to be those of the other."""
    places: Mapping[int, tuple[object, ...]] = {
        role: (member.path, member.data_offset, member.new_data_offset) for role, member in description.serving.items()
    }
    return description.shapes, description.component_size, places
