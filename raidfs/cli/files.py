"""`raidfs files`: which files are whole, and what of the others is lost, without mounting or reading them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import click

from raidfs.cli.contents import Contents, FileSystem, contents_of, worth_in
from raidfs.cli.keys import key_of, key_options
from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import open_array
from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.report.files import Line, Tally, as_json, lines_of
from raidfs.report.text import sentence
from raidfs.view.walk import Visited, visit

DAMAGE = 4
"""Exit code: done, but some bytes are lost or doubtful."""
CANNOT = 1
"""Exit code: there is no file system that could be read."""


@click.command(short_help="Say which files are whole, and what of the others is lost.")
@members_argument
@key_options
@click.option("--lost-only", is_flag=True, help="List only what has losses.")
@click.option("--no-replay", is_flag=True, help="Look at file systems as they lie there, without replaying journals.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells whether every file is whole.")
def files(
    members: tuple[str, ...],
    ask: bool,
    key_file: str | None,
    lost_only: bool,
    no_replay: bool,
    as_data: bool,
    quiet: bool,
    **shared: Any,
) -> int:
    """List the files on the array with their health: first a summary, then what has losses, then all others.

    Files are not read: where their bytes lie tells what of them is lost. What is listed is what fails in a mount.
    """
    keys = key_of(ask, key_file)
    with ExitStack() as stack:
        array = stack.enter_context(open_array(expand_folders(members, shared["patience"]), options_of(shared)))
        found = contents_of(array.source, worth_in(array, array.source), replay_journals=not no_replay, key_of=keys)
        stack.callback(found.close)
        tallies = [tally_of(each, keep=not lost_only and not quiet) for each in found.file_systems]
        if as_data:
            click.echo(as_json(tallies), nl=False)
        elif not quiet:
            for text in (*lines_of(tallies), *_also(found)):
                click.echo(text)
    if not tallies:
        return CANNOT
    return DAMAGE if any(tally.affected for tally in tallies) else 0


def tally_of(system: FileSystem, *, keep: bool) -> Tally:
    """Walk a file system; `keep`: also what is whole."""
    tally = Tally(system.name, system.meaning)
    for each in visit(system.tree):
        tally.add(_line(system.name, each), keep=keep)
    try:
        usage = system.tree.usage()
        tally.used = usage.inodes - usage.free_inodes if usage.free_inodes else None
    except Unreadable:
        tally.used = None
    return tally


def _line(folder: str, each: Visited) -> Line:
    path = b"/".join(filter(None, (folder.encode(), each.path)))
    is_directory = stat.S_ISDIR(each.mode)
    return Line(
        path,
        each.mode,
        each.size,
        Extents() if is_directory else each.lost,
        Extents() if is_directory else each.failing,
        each.lost.total if is_directory else 0,
        each.why,
    )


def _also(found: Contents) -> Iterator[str]:
    """Yield what else is to be told."""
    if not found.file_systems:
        yield f"There is no file system that raidfs can read: {found.whole.meaning}."
    for finding in found.findings:
        yield sentence(finding)
