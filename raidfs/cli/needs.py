"""`raidfs needs`: what of each failing member ddrescue should read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from raidfs.cli.members import images_of
from raidfs.cli.nested import Nested
from raidfs.cli.opening import open_images
from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import OpenArray, open_array
from raidfs.cli.unread_metadata import Unread, unread_metadata, unread_superblocks
from raidfs.engine.account import Account
from raidfs.engine.needs import needs_of
from raidfs.errors import NoSuperblock
from raidfs.extents import Extents
from raidfs.image.ddrescue import Status, blocks_of, mapfile_lines
from raidfs.image.raw import RawImage
from raidfs.output import make_folder, refuse_existing, write_text
from raidfs.units import format_size

SUFFIX = ".domain.map"
"""Of a domain map, behind the name of its image."""


@dataclass(frozen=True)
class Wanted:
    """What is to be rescued of one member.

    Attributes:
        path: of the member; of an image that is not known to be one.
        image: on which it lies; None: it is an array itself.
        data: of its data [image bytes].
        unreadable: how much of its data cannot be read [bytes].
        metadata: of what says what it is.
        domain_map: path of the map that says so; None: there is none.
    """

    path: str
    image: RawImage | None
    data: Extents = Extents()
    unreadable: int = 0
    metadata: tuple[Unread, ...] = ()
    domain_map: str | None = None

    @property
    def extents(self) -> Extents:
        """All of it [image bytes]."""
        return self.data.union(*(each.extents for each in self.metadata))


@click.command(short_help="Say which unreadable sectors are worth another attempt.")
@members_argument
@click.option("-o", "--output", "folder", metavar="DIR", required=True, help="Folder for the domain maps; it is made.")
@click.option("--force", is_flag=True, help="Replace domain maps that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; write the maps.")
def needs(members: tuple[str, ...], folder: str, force: bool, as_json: bool, quiet: bool, **shared: Any) -> int:
    """Write, for each failing member, a ddrescue domain map of exactly those sectors whose rescue gives bytes back.

    Sectors that the redundancy makes up for are not in it: a dying disk is read where it matters and nowhere else. A
    superblock, bad-block log, bitmap, write journal or partial parity log that cannot be read is in it if the array
    would have more of its bytes with it.
    """
    paths, options = expand_folders(members, shared["patience"]), options_of(shared)
    try:
        with open_array(paths, options) as array:
            found = _write_maps(array.images.values(), _wanted(array), folder, force=force)
            if not quiet:
                click.echo(_as_json(array.account(), found) if as_json else "\n".join(_lines(array, found)))
    except NoSuperblock as error:
        with ExitStack() as stack:
            images = open_images(paths, options, stack).images.values()
            found = [Wanted(each.path, each.image, metadata=(each,)) for each in unread_superblocks(images)]
            if not found:
                raise
            found = _write_maps(images, _merged(found), folder, force=force)
        if not quiet:
            click.echo(_as_json(None, found) if as_json else "\n".join(_without_array(error, found)))
    return 0


def _merged(found: Sequence[Wanted]) -> list[Wanted]:
    """Put together what is wanted of one path."""
    merged: dict[str, Wanted] = {}
    for each in found:
        before = merged.get(each.path, Wanted(each.path, each.image))
        merged[each.path] = replace(before, metadata=(*before.metadata, *each.metadata))
    return list(merged.values())


def _without_array(error: NoSuperblock, found: Sequence[Wanted]) -> list[str]:
    """Say what to do where no superblock can be read at all."""
    return [f"{error}", "Worth another attempt, since superblocks may lie there:", *_listed(found), *_next(found)]


def _wanted(array: OpenArray) -> list[Wanted]:
    """Return what is to be rescued of each member of which anything cannot be read."""
    found: dict[str, Wanted] = {}
    for need in needs_of(array.charts, array.flaws):
        source = array.serving[need.source][1]
        image = next(iter(images_of(source)), None)
        before = found.get(source.path, Wanted(source.path, image))
        found[source.path] = replace(
            before,
            data=before.data.union(need.extents.shift(source.base)),
            unreadable=before.unreadable + need.unreadable.total,
        )
    for each in unread_metadata(array):
        before = found.get(each.path, Wanted(each.path, each.image))
        found[each.path] = replace(before, metadata=(*before.metadata, each))
    return list(found.values())


def _write_maps(images: Iterable[RawImage], found: Sequence[Wanted], folder: str, *, force: bool) -> list[Wanted]:
    """Write the domain maps, and say where."""
    names = _names([each for each in found if each.extents and each.image], folder)
    protected = [image.describe_inode() for image in images]
    if names:
        make_folder(folder)
    for path in names.values():
        refuse_existing(path, protected, force=force)
    for each in found:
        if each.path not in names or each.image is None:
            continue
        path, extents = names[each.path], each.extents
        size = max(each.image.size, int(extents.array[-1, 1]))
        comments = [
            f"Domain map of {each.image.path!a}: what raidfs needs of it to give back bytes of the array.",
            f"Use: ddrescue -d -r3 -m {Path(path).name!a} DISK IMAGE MAPFILE",
        ]
        blocks = blocks_of(size, [(extents, Status.FINISHED)], Status.NOT_TRIED)
        write_text(path, mapfile_lines(comments, blocks))
    return [replace(each, domain_map=names.get(each.path)) for each in found]


def _names(wanted: Sequence[Wanted], folder: str) -> dict[str, str]:
    """Name the maps after their images, by the path of the member; those of one name are told apart by a number."""
    names = [Path(each.path).name for each in wanted]
    return {
        each.path: str(Path(folder) / (f"{name}{SUFFIX}" if names.count(name) == 1 else f"{name}.{number}{SUFFIX}"))
        for number, (name, each) in enumerate(zip(names, wanted, strict=True))
    }


def _lines(array: OpenArray, found: Sequence[Wanted]) -> list[str]:
    account = array.account()
    withheld = account.lost + account.doubtful
    if not withheld and not any(each.metadata for each in found):
        return ["Nothing is needed: every byte of the array is served."]
    written = [each for each in found if each.domain_map]
    nested = [source for _, source in array.serving if isinstance(source, Nested)]
    nested = [each for each in nested if any(one.path == each.path and one.extents for one in found)]
    if not written and not nested:
        return [
            f"{format_size(withheld)} of the array are lost or doubtful,",
            "but not for sectors that could be read again: no rescue of these images gives them back.",
        ]
    lacking = f"{format_size(withheld)} of the array are lost or doubtful"
    if not withheld:
        lacking = f"{format_size(account.unproven)} of the array are unproven"
    lines = [f"{lacking}. Worth another attempt:"]
    lines += _listed(found)
    lines += [
        f"  {each.path} is an array itself: ask for that array's own needs with --uuid {each.array.description.uuid}"
        for each in nested
    ]
    return [*lines, *_next(found)] if written else lines


def _listed(found: Sequence[Wanted]) -> list[str]:
    """List what is wanted of each member."""
    lines = []
    for each in found:
        told = [f"{format_size(one.extents.total)} of {one.what}" for one in each.metadata]
        if each.unreadable:
            told.append(f"{format_size(each.data.total)} of {format_size(each.unreadable)} that are unreadable")
        lines.append(f"  {each.path}: {' and '.join(told)}" + (f" -> {each.domain_map}" if each.domain_map else ""))
    return lines


def _next(found: Sequence[Wanted]) -> list[str]:
    """Say what to do with the maps; at least one was written."""
    written = [each for each in found if each.domain_map]
    image = written[0].image
    assert image is not None, "what has a map has an image"
    lines = [
        "Next, for each of them, with the disk that the image was made of:",
        f"  ddrescue -d -r3 -m {written[0].domain_map} /dev/DISK {image.path} {image.path}.map",
    ]
    if any(each.metadata for each in found):
        lines.append(
            "Then run `raidfs needs` again: what more is known of a member then may make more of it worth reading."
        )
    return lines


def _as_json(account: Account | None, found: Sequence[Wanted]) -> str:
    data = {
        "schema_version": 1,
        "lost": None if account is None else account.lost,
        "doubtful": None if account is None else account.doubtful,
        "members": [
            {
                "path": each.path,
                "domain_map": each.domain_map,
                "needed": each.data.total,
                "unreadable": each.unreadable,
                "metadata": [{"what": one.what, "ranges": list(one.extents)} for one in each.metadata],
                "ranges": list(each.extents),
            }
            for each in found
        ],
    }
    return json.dumps(data, indent=2)
