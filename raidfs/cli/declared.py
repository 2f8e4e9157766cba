"""An array that a file declares: its images are opened as members, whatever superblocks they have.

Superblocks are looked at all the same, for md's logs are found by them; they count only where they say the same array.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from raidfs.array.assemble import assemble
from raidfs.array.choose import arrays_in
from raidfs.array.description import ArrayDescription
from raidfs.array.reshaping import undeclared
from raidfs.array.toml import MAX_SIZE, Declaration, read_toml
from raidfs.array.toml_against import Against, Heard
from raidfs.cli.declared_places import Family, Places, from_folder, places_as_written, places_beside
from raidfs.cli.listed import without_disproven
from raidfs.cli.maps import without_maps
from raidfs.cli.members import MemberSource
from raidfs.cli.nested import Nested
from raidfs.cli.opening import Opened, Options, add_member, is_same, open_images
from raidfs.cli.searching import windows_of
from raidfs.errors import BadArrayFile, RaidfsError, SourceError
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.image.raw import RawImage
from raidfs.image.window import Window
from raidfs.partition import read_partitions
from raidfs.units import format_offset


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


Nest = Callable[[Declared, str], Nested | None]
"""Makes a source of an array that is a member and is called so there; None: it cannot serve."""


def open_declared(file: str, paths: Sequence[str], options: Options, stack: ExitStack, nest: Nest) -> Declared:
    """Open the images of an array that a file declares.

    Args:
        file: the file.
        paths: images that take the place of its paths; empty: its own paths count, from the folder of the file on.
        options: what the user decided; of several arrays that the file declares, the first counts, or the wanted one.
        stack: closes the images.
        nest: makes sources of those that are members.

    Raises:
        BadArrayFile: it cannot be understood, or does not fit the images; names the line.
        UsageError: nothing tells which image is which member.
        AssemblyError: it declares other arrays than the one that is wanted.
        RaidfsError: see `raidfs.cli.opening.open_images`.
    """
    family = Family.of(read_toml(_content(file), file), file, options.uuid)
    beside = [path for path in without_maps(paths) if not is_same(path, file)]  # it may lie in the folder of the images
    places = places_beside(family, beside) if beside else places_as_written(family)
    named = list(dict.fromkeys(place.image for place in places.found.values()))
    if not named:
        raise BadArrayFile(f"{file}: none of its members is there")
    try:
        opened = open_images(named, options, stack)
    except SourceError as error:
        where = [] if beside else [places.line_of(family, each) for each in named if str(error).startswith(f"{each}: ")]
        if not where:
            raise
        raise type(error)(f"{where[0]}: {error}") from error
    opened.findings += places.findings
    nested: dict[str, Nested] = {}
    *inner, outer = family.order
    for name in inner:
        mine = Opened(opened.images, opened.told)
        members = family.arrays[name].members
        if any(
            array == name and members[number].state.serves and place.image in opened.images
            for (array, number), place in places.found.items()
        ) or any(member.path in nested for member in members):
            source = nest(_declared(family, name, places, mine, nested, options), name)
            if source is not None:
                nested[name] = source
    return _declared(family, outer, places, opened, nested, options)


def _declared(
    family: Family, name: str, places: Places, opened: Opened, nested: Mapping[str, Nested], options: Options
) -> Declared:
    """Open the members of one of the arrays."""
    file, declaration = family.file, family.arrays[name]
    numbers = _open_members(family, name, places, opened, nested)
    there = {number: (source.path, source.size) for number, source in numbers.items()}
    there |= {
        number: (from_folder(file, declaration.members[number].path), 0)
        for array, number in places.absent
        if array == name
    }
    description = declaration.describe(dict(sorted(there.items())))
    if description.reshape is not None and description.reshape.backup is not None:
        backup = from_folder(file, description.reshape.backup)
        description = replace(description, reshape=replace(description.reshape, backup=backup))
    if not description.alternatives:  # whoever writes that a layout is not declared leaves it open
        description = replace(description, alternatives=undeclared(description.shape))
    if not declaration.size_given:
        size = format_offset(description.component_size)
        text = f"{file} does not give component_size; the members have room for {size}, which is taken"
        opened.findings.append(Finding(Severity.NOTE, "array", text))
    if options.ignore_bad_block_log:
        description = _without_bad_blocks(description, opened)
    against = Against(declaration.text, {path: number for number, (path, _) in there.items()})
    opened.findings += _hear_superblocks(description, opened, against, options)
    return Declared(description, opened, declaration.front_given)


def relative_to(description: ArrayDescription, file: str, arrays: Collection[str]) -> ArrayDescription:
    """Return a description as it can be written into a file: relative paths count from the folder of the file.

    Args:
        description: the array.
        file: the file.
        arrays: paths of members that are arrays; they stay.
    """
    folder = os.path.realpath(os.path.dirname(os.path.abspath(file)))

    def moved(path: str) -> str:
        if os.path.isabs(path) or path in arrays:
            return path
        inside, name = os.path.split(path)
        return os.path.relpath(os.path.join(os.path.realpath(inside or "."), name), folder)

    members = tuple(replace(member, path=moved(member.path)) for member in description.members)
    reshape = description.reshape
    if reshape is not None and reshape.backup is not None:
        reshape = replace(reshape, backup=moved(reshape.backup))
    return replace(description, members=members, reshape=reshape)


def _content(file: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise BadArrayFile(f"{file} declares no array: it is no regular file")
        with open(file, "rb") as opened:
            return opened.read(MAX_SIZE + 1)
    except OSError as error:
        raise BadArrayFile(f"{file} cannot be read: {error.strerror}") from error


def _open_members(
    family: Family, name: str, places: Places, opened: Opened, nested: Mapping[str, Nested]
) -> dict[int, MemberSource]:
    """Take images, partitions of them, or arrays as members; those of images that are left out are left out too."""
    declaration = family.arrays[name]
    found: dict[int, MemberSource] = {}
    for number, member in enumerate(declaration.members):
        place = places.found.get((name, number))
        source: MemberSource | None = nested.get(member.path)
        if source is None and place is not None and place.image in opened.images:
            source = _part(declaration, number, opened.images[place.image], place.partition)
        if source is None:
            continue
        if source.path in opened.members:
            raise BadArrayFile(f"{declaration.line_of(number)}: {source.path} is another member already")
        opened.members[source.path] = source
        found[number] = source
    return found


def _part(declaration: Declaration, number: int, image: RawImage, partition: str | None) -> RawImage | Window:
    """Return an image, or one of its partitions.

    Raises:
        BadArrayFile: it has no such partition.
    """
    if partition is None:
        return image
    partitions, _ = read_partitions(image, image.path)
    parts = windows_of(image, partitions)
    windows = {name: each for each in parts for name in each.names}
    if partition not in windows:
        there = ", ".join(each.names[0] for each in parts) or "none"
        what = f"{image.path} has no partition {partition}; it has {there}"
        raise BadArrayFile(f"{declaration.line_of(number)}: {what}")
    return windows[partition]


def _without_bad_blocks(description: ArrayDescription, opened: Opened) -> ArrayDescription:
    """Forget what the file says of bad blocks, and tell so."""
    for member in description.members:
        if member.bad_blocks:
            text = f"{member.path}: the bad-block log ({member.bad_blocks.total} bytes) is ignored as asked"
            opened.findings.append(Finding(Severity.WARNING, member.path, text))
    members = tuple(replace(member, bad_blocks=Extents()) for member in description.members)
    return replace(description, members=members)


def _hear_superblocks(
    description: ArrayDescription, opened: Opened, against: Against, options: Options
) -> Iterator[Finding]:
    """Take the superblocks along, by which md's logs are found, where they say the same array as the file.

    Yields:
        What they, and the sizes of the images, say against the file.

    Raises:
        BadArrayFile: the images are too short for it.
    """
    yield from against.unlike_md(description)
    scratch = Opened(opened.images, opened.told)
    for source in opened.members.values():
        add_member(scratch, source, options)
    heard, problem = _heard(scratch, description.uuid)
    yield from problem
    if heard is not None:
        if _essence(heard.description) == _essence(description):
            opened.superblocks.update(scratch.superblocks)
        yield from against.contradictions(description, heard)
    sizes = {path: source.size for path, source in opened.members.items()}
    yield from against.too_short(description, sizes, heard)


def _heard(scratch: Opened, uuid: str) -> tuple[Heard | None, list[Finding]]:
    """Put together what superblocks say: of the array with that uuid, else of the one with most members."""
    arrays = arrays_in(scratch.claimed)
    if not arrays:
        return None, []
    wanted = uuid if uuid in arrays else max(arrays, key=lambda each: len(arrays[each]))
    try:
        said = assemble(scratch.claimed, wanted).description
        said, _ = without_disproven(said, scratch.members)
    except RaidfsError as error:
        text = f"the superblocks of the members give no array ({error}); the file counts"
        return None, [Finding(Severity.WARNING, "array", text)]
    others = {
        each.path: each.claim.array_uuid
        for each in scratch.claimed
        if each.claim.array_uuid != wanted and each.claim.array_uuid in arrays
    }
    return Heard(said, others), []


def _essence(description: ArrayDescription) -> tuple[object, ...]:
    """Return what must be the same for the logs of one to be those of the other."""
    places: Mapping[int, tuple[object, ...]] = {
        role: (member.path, member.data_offset, member.new_data_offset) for role, member in description.serving.items()
    }
    return description.shapes, description.component_size, places
