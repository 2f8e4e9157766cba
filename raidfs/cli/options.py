"""Arguments that the commands share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from raidfs.cli.maps import is_mapfile_name
from raidfs.cli.opening import Options
from raidfs.engine.health import Policy
from raidfs.errors import UsageError
from raidfs.image.patient import in_time, silent_among

_F = TypeVar("_F", bound=Callable[..., Any])

_SHARED: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--array",
        metavar="ARRAY.toml",
        help="What the array is, in place of superblocks; MEMBERs beside it take the place of its paths.",
    ),
    click.option("--uuid", metavar="UUID|NAME", help="Which array, where the images hold members of several."),
    click.option(
        "--layout",
        metavar="LAYOUT[,CHUNK]",
        help="Which layout, where the superblocks leave it open; findings name the choices.",
    ),
    click.option(
        "--backup-file",
        metavar="FILE",
        help="The backup that mdadm made of what a reshape overwrites; of a disk that was added it is found.",
    ),
    click.option("--exclude", metavar="MEMBER", multiple=True, help="Leave this image out; may be repeated."),
    click.option("--force-live", is_flag=True, help="Read members although they are in use or change."),
    click.option(
        "--mapfile",
        "mapfiles",
        metavar="MEMBER=FILE",
        multiple=True,
        help="The ddrescue map of that image; may be repeated. A MEMBER.map or MEMBER.mapfile beside it is found.",
    ),
    click.option("--no-mapfiles", is_flag=True, help="Do not look for ddrescue maps beside the images."),
    click.option(
        "--learned",
        metavar="DIR",
        help="Heed the read errors that earlier runs kept in DIR; mount and export add those that they meet.",
    ),
    click.option(
        "--patience",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=Options.patience,
        help="How long a member may take to answer before raidfs goes on without it (20).",
    ),
    click.option("--ignore-bad-block-log", is_flag=True, help="Read sectors that a bad-block log calls bad."),
)


def members_argument(function: _F) -> _F:
    """Add the MEMBER... argument and the options that go with it."""
    for option in reversed(_SHARED):
        function = option(function)
    return click.argument("members", nargs=-1, metavar="MEMBER...")(function)


def options_of(given: dict[str, Any], policy: Policy = Policy()) -> Options:
    """Take the shared options out of a command's parameters."""
    return Options(
        array=given.pop("array"),
        uuid=given.pop("uuid"),
        layout=given.pop("layout"),
        backup_file=given.pop("backup_file"),
        exclude=tuple(given.pop("exclude")),
        force_live=given.pop("force_live"),
        ignore_bad_block_log=given.pop("ignore_bad_block_log"),
        mapfiles=tuple(given.pop("mapfiles")),
        no_mapfiles=given.pop("no_mapfiles"),
        learned=given.pop("learned"),
        patience=given.pop("patience"),
        policy=policy,
    )


def split_last(members: Sequence[str], name: str, array: str | None = None) -> tuple[tuple[str, ...], str]:
    """Split `MEMBER... LAST`; where a file declares the array, there need be no member.

    Raises:
        UsageError: there is only one word, so either the members or the last argument are missing.
    """
    if len(members) < (2 if array is None else 1):
        raise UsageError(f"name the members and then the {name}: MEMBER... {name.upper()}")
    return tuple(members[:-1]), members[-1]


def expand_folders(paths: Sequence[str], patience: float = Options.patience) -> tuple[str, ...]:
    """Replace folders by the files in them, sorted by name; hidden files, sub-folders and maps are passed over.

    Args:
        paths: of files and folders; what does not answer is taken for a file.
        patience: seconds to wait for an answer.

    Raises:
        UsageError: a folder holds no file.
        SourceSilent: something in a folder does not answer.
    """
    silent = silent_among(paths, patience)
    found: list[str] = []
    for path in paths:
        found += [path] if path in silent else in_time(path, patience, partial(_files_of, path))
    return tuple(found)


def _files_of(path: str) -> list[str]:
    """Return the files in a folder; of anything else itself."""
    if not os.path.isdir(path):
        return [path]
    inside = sorted(str(each) for each in Path(path).iterdir() if each.is_file() and not each.name.startswith("."))
    inside = [each for each in inside if not is_mapfile_name(each)]
    if not inside:
        raise UsageError(f"the folder {path} holds no file")
    return inside
