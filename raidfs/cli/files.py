"""`raidfs files`: which files are whole, and what of the others is lost, without mounting or reading them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import click

from raidfs.cli.contents import Contents, FileSystem, How, contents_of_each, worth_in_each
from raidfs.cli.keys import key_of, key_options
from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import ANOTHER, open_array, open_every_array
from raidfs.cli.showing import folder_names
from raidfs.errors import Unreadable, UsageError
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.report.files import Line, Tally, as_json, lines_of
from raidfs.report.text import sentence
from raidfs.view.walk import Visited, visit

DAMAGE = 4
"""Exit code: done, but some bytes are lost or doubtful."""
CANNOT = 1
"""Exit code: there is no file system that could be read."""


@click.command(short_help="Say which files are whole, and what of the others is lost.")
@members_argument
@click.option("--all", "every", is_flag=True, help="Of every array that the members hold, as in `mount --all`.")
@key_options
@click.option("--lost-only", is_flag=True, help="List only what has losses.")
@click.option("--no-replay", is_flag=True, help="Look at file systems as they lie there, without replaying journals.")
@click.option("--json", "as_data", is_flag=True, help="Print JSON and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells whether every file is whole.")
def files(
    members: tuple[str, ...],
    every: bool,
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
    if every and shared["uuid"]:
        raise UsageError("--all lists the files of every array, and --uuid names one: give one of the two")
    keys = key_of(ask, key_file)
    with ExitStack() as stack:
        paths, options = expand_folders(members, shared["patience"]), options_of(shared)
        if every:
            arrays = stack.enter_context(open_every_array(paths, options))
        else:
            arrays = [stack.enter_context(open_array(paths, options))]
        names = folder_names([array.description for array in arrays]) if every else [""]
        called = [f"array {name}".strip() for name in names]
        how = How(worth_in_each([(array, array.source) for array in arrays]), not no_replay, keys)
        found = contents_of_each([(each, array.source) for each, array in zip(called, arrays, strict=True)], how)
        for each in found:
            stack.callback(each.close)
        keep, ask_worth = not (lost_only or quiet), any(array.account().unproven for array in arrays)
        tallies = [
            tally_of("/".join(filter(None, (name, system.name))), system, keep=keep, ask_worth=ask_worth)
            for name, each in zip(names, found, strict=True)
            for system in each.file_systems
        ]
        also = [text for name, each in zip(called, found, strict=True) for text in _also(name, each)]
        also += [sentence(finding) for finding in arrays[0].findings if finding.subject == ANOTHER]
        if as_data:
            click.echo(as_json(tallies, also), nl=False)
        elif not quiet:
            for text in (*lines_of(tallies), *also):
                click.echo(text)
    if not tallies:
        return CANNOT
    # of what lies on a lost part of a volume it may not even be known that there were files
    is_damaged = any(finding.severity >= Severity.ERROR for each in found for finding in each.findings)
    return DAMAGE if is_damaged or any(tally.affected or tally.is_behind for tally in tallies) else 0


def tally_of(folder: str, system: FileSystem, *, keep: bool, ask_worth: bool) -> Tally:
    """Walk a file system that is shown in a folder; `keep`: also what is whole; `ask_worth`: see `visit`."""
    tally = Tally(folder, system.meaning, system.is_behind, system.note)
    for each in visit(system.tree, ask_worth=ask_worth):
        tally.add(_line(folder, each), keep=keep)
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
        each.attributes,
        each.is_unproven,
    )


def _also(name: str, found: Contents) -> Iterator[str]:
    """Yield what else is to be told."""
    if not found.file_systems:
        where = f" on {name}" if name != "array" else ""
        yield f"There is no file system that raidfs can read{where}: {found.whole.meaning}."
    for finding in found.findings:
        yield sentence(finding)
