"""`raidfs needs`: what of each failing member ddrescue should read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from raidfs.cli.nested import Nested
from raidfs.cli.opening import images_of
from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.account import Account
from raidfs.engine.needs import Need, needs_of
from raidfs.image.ddrescue import Status, blocks_of, mapfile_lines
from raidfs.output import make_folder, refuse_existing, write_text
from raidfs.units import format_size

SUFFIX = ".domain.map"
"""Of a domain map, behind the name of its image."""


@click.command(short_help="Say which unreadable sectors are worth another attempt.")
@members_argument
@click.option("-o", "--output", "folder", metavar="DIR", required=True, help="Folder for the domain maps; it is made.")
@click.option("--force", is_flag=True, help="Replace domain maps that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; write the maps.")
def needs(members: tuple[str, ...], folder: str, force: bool, as_json: bool, quiet: bool, **shared: Any) -> int:
    """Write, for each failing member, a ddrescue domain map of exactly those sectors whose rescue gives bytes back.

    Sectors that the redundancy makes up for are not in it: a dying disk is read where it matters and nowhere else.
    """
    with open_array(expand_folders(members, shared["patience"]), options_of(shared)) as array:
        found = needs_of(array.charts, array.flaws)
        written = _write_maps(array, found, folder, force=force)
        if not quiet:
            click.echo(_as_json(array, found, written) if as_json else "\n".join(_lines(array, found, written)))
    return 0


def _write_maps(array: OpenArray, found: Sequence[Need], folder: str, *, force: bool) -> dict[int, str]:
    """Write the domain maps; returns the path of each, by source."""
    wanted = [need for need in found if need.extents and images_of(array.serving[need.source][1])]
    paths = dict(zip((need.source for need in wanted), _names(array, wanted, folder), strict=True))
    protected = [image.describe_inode() for image in array.images.values()]
    if wanted:
        make_folder(folder)
    for path in paths.values():
        refuse_existing(path, protected, force=force)
    for need in wanted:
        source = array.serving[need.source][1]
        (image,), wanted_bytes = images_of(source), need.extents.shift(source.base)
        size = max(image.size, int(wanted_bytes.array[-1, 1]))
        comments = [
            f"Domain map of {image.path!a}: what raidfs needs of it to give back bytes of the array.",
            f"Use: ddrescue -d -r3 -m {Path(paths[need.source]).name!a} DISK IMAGE MAPFILE",
        ]
        blocks = blocks_of(size, [(wanted_bytes, Status.FINISHED)], Status.NOT_TRIED)
        write_text(paths[need.source], mapfile_lines(comments, blocks))
    return paths


def _names(array: OpenArray, wanted: Sequence[Need], folder: str) -> list[str]:
    """Name the maps after their images; images of one name from several folders are told apart by their role."""
    names = [Path(array.serving[need.source][0].path).name for need in wanted]
    return [
        str(Path(folder) / (f"{name}{SUFFIX}" if names.count(name) == 1 else f"{name}.{need.source}{SUFFIX}"))
        for name, need in zip(names, wanted, strict=True)
    ]


def _lines(array: OpenArray, found: Sequence[Need], written: dict[int, str]) -> list[str]:
    account = array.account()
    withheld = account.lost + account.doubtful
    if not withheld:
        return ["Nothing is needed: every byte of the array is served."]
    sources = [array.serving[need.source][1] for need in found if need.extents]
    nested = [each for each in sources if isinstance(each, Nested)]
    if not written and not nested:
        return [
            f"{format_size(withheld)} of the array are lost or doubtful,",
            "but not for sectors that could be read again: no rescue of these images gives them back.",
        ]
    lines = [f"{format_size(withheld)} of the array are lost or doubtful. Worth another attempt:"]
    for need in found:
        path = array.serving[need.source][0].path
        told = f"{format_size(need.extents.total)} of {format_size(need.unreadable.total)} that are unreadable"
        lines.append(f"  {path}: {told}" + (f" -> {written[need.source]}" if need.source in written else ""))
    lines += [
        f"  {each.path} is an array itself: ask for that array's own needs with --uuid {each.array.description.uuid}"
        for each in nested
    ]
    if not written:
        return lines
    first = next(iter(written.values()))
    (image,) = images_of(array.serving[next(iter(written))][1])
    return [
        *lines,
        "Next, for each of them, with the disk that the image was made of:",
        f"  ddrescue -d -r3 -m {first} /dev/DISK {image.path} {image.path}.map",
    ]


def _as_json(array: OpenArray, found: Sequence[Need], written: dict[int, str]) -> str:
    account: Account = array.account()
    data = {
        "schema_version": 1,
        "lost": account.lost,
        "doubtful": account.doubtful,
        "members": [
            {
                "path": array.serving[need.source][0].path,
                "domain_map": written.get(need.source),
                "needed": need.extents.total,
                "unreadable": need.unreadable.total,
                "ranges": [[start, stop] for start, stop in need.extents.shift(array.serving[need.source][1].base)],
            }
            for need in found
        ],
    }
    return json.dumps(data, indent=2)
