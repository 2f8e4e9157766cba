"""`raidfs examine`: what each member says, what the array is, what can be read, and what to do next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Any

import click

from raidfs.array.toml_text import toml_lines
from raidfs.cli.declared import relative_to
from raidfs.cli.nested import InnerArray
from raidfs.cli.opening import refuse_member
from raidfs.cli.options import expand_folders, members_argument, options_of
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.health import Health
from raidfs.output import refuse_existing, replace_text
from raidfs.report.facts import gather
from raidfs.report.json import render_json
from raidfs.report.text import render_text

DAMAGE = 4
"""Exit code: done, but some bytes are lost or doubtful."""


@click.command()
@members_argument
@click.option("-o", "--output", "target", metavar="ARRAY.toml", help="Write the array to a file, for --array.")
@click.option("--force", is_flag=True, help="Replace ARRAY.toml if it exists; never a member.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Show every finding, and the superblocks field by field.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells whether everything can be read.")
def examine(
    members: tuple[str, ...],
    target: str | None,
    force: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **shared: Any,
) -> int:
    """Say what the members hold, what can be read of the array, and which command to run next."""
    words = list(members)
    with open_array(expand_folders(members, shared["patience"]), options_of(shared)) as array:
        account = array.account()
        if target is not None:
            _keep(array, target, force=force)
        facts = gather(array.description, account, array.findings, array.damage)
        if as_json:
            click.echo(render_json(facts), nl=False)
        elif not quiet:
            click.echo(render_text(facts, next_command(words, array), verbose=verbose), nl=False)
            if verbose:
                click.echo("\n".join(_superblocks(array)))
        return DAMAGE if account.worst >= Health.DOUBTFUL else 0


def next_command(words: list[str], array: OpenArray) -> str:
    """Return the command that mounts the array as it was examined."""
    options = array.options
    extra = ["--array", options.array] if options.array else []
    extra += ["--uuid", options.uuid] if options.uuid else []
    extra += ["--layout", options.layout] if options.layout else []
    for path in options.exclude:
        extra += ["--exclude", path]
    extra += ["--force-live"] if options.force_live else []
    extra += ["--ignore-bad-block-log"] if options.ignore_bad_block_log else []
    for word in options.mapfiles:
        extra += ["--mapfile", word]
    extra += ["--no-mapfiles"] if options.no_mapfiles else []
    extra += ["--learned", options.learned] if options.learned else []
    return shlex.join(["raidfs", "mount", *extra, *words, "/mnt/rescue"])


def _keep(array: OpenArray, target: str, *, force: bool) -> None:
    """Write the array to a file.

    Raises:
        OutputError: it cannot or must not be written.
    """
    refuse_existing(target, [image.describe_inode() for image in array.images.values()], force=force)
    if os.path.exists(target):
        refuse_member(target)
    inner = list(_arrays_below(array))
    arrays = [relative_to(each.recorded, target, each.nested) for each in inner]
    replace_text(target, toml_lines(relative_to(array.recorded, target, array.nested), arrays))


def _arrays_below(array: InnerArray) -> Iterator[InnerArray]:
    """Yield the arrays that are members of an array, and those that are theirs."""
    for nested in array.nested.values():
        yield nested.array
        yield from _arrays_below(nested.array)


def _superblocks(array: OpenArray) -> list[str]:
    lines = []
    for path, found in array.superblocks.items():
        lines += ["", f"{path}: superblock {found.metadata} at byte {found.offset}", *found.annotate()]
    return lines
