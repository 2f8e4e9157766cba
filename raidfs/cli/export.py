"""`raidfs export`: the virtual array as a new sparse image, and its map."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from typing import Any

import click
import numpy as np
from rich.progress import TaskID

from raidfs.block import one_request
from raidfs.cli.members import images_below
from raidfs.cli.noted import flaws_noted, notes_of
from raidfs.cli.opening import refuse_member
from raidfs.cli.options import expand_folders, members_argument, options_of, split_last
from raidfs.cli.progress import progress_bar
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.health import Health, Policy
from raidfs.errors import Interrupted, OutputError, SourceError
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.output import SparseImage, refuse_existing, write_text
from raidfs.report.facts import gather
from raidfs.report.json import as_data
from raidfs.report.map import map_lines
from raidfs.report.text import sentence
from raidfs.units import format_size

WINDOW = 2 << 20
"""Bytes per step: large enough that what each step costs does not count, small enough for the caches."""
_SAVE_EVERY = 5.0
"""Seconds between two states."""
DAMAGE = 4
"""Exit code: done, but some bytes are lost or doubtful."""


@click.command()
@members_argument
@click.option("--map", "map_file", metavar="FILE", help="Write the ddrescue map of the array there.")
@click.option("--doubtful", is_flag=True, help="Write doubtful bytes too, instead of holes.")
@click.option("--check", is_flag=True, help="Compare every row with its parity before it is written.")
@click.option("--force", is_flag=True, help="Replace IMAGE (and the map) if it exists; never a member.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Tell notes too, not only warnings.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def export(
    members: tuple[str, ...],
    map_file: str | None,
    doubtful: bool,
    check: bool,
    force: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **shared: Any,
) -> int:
    """Write the virtual array to a new sparse image: MEMBER... IMAGE.

    Lost and doubtful ranges are holes. An export that was stopped goes on when the same command is run again.
    """
    words, target = split_last(members, "image", shared["array"])
    opened = options_of(shared, Policy(doubtful=doubtful, check=check))
    with open_array(expand_folders(words, opened.patience), opened) as array:
        array.save_learned()  # that it cannot be kept must not come out at the end
        image = _prepare(array, target, map_file, force=force)
        with closing(image):
            _copy(array, image, quiet=quiet or as_json)
        account = array.account()
        if map_file is not None:
            comment = f"raidfs map of the array {array.description.uuid}"
            limit = array.options.policy.limit
            write_text(map_file, map_lines(array.charts, array.description.size, comment, limit))
        if as_json:
            facts = gather(array.description, account, array.findings, array.damage)
            click.echo(json.dumps({**as_data(facts), "image": target, "map": map_file}, indent=2))
        elif not quiet:
            _tell(array, target, Severity.NOTE if verbose else Severity.WARNING)
        return DAMAGE if account.worst >= Health.DOUBTFUL else 0


def _prepare(array: OpenArray, target: str, map_file: str | None, *, force: bool) -> SparseImage:
    """Open the image to be written, or the unfinished one."""
    protected = [image.describe_inode() for image in array.images.values()]
    if map_file is not None:
        refuse_existing(map_file, protected, force=force)
        if os.path.exists(map_file):
            refuse_member(map_file)
        if os.path.abspath(map_file) == os.path.abspath(target):
            raise OutputError(f"{map_file} is both the image and its map; name two files")
    image = SparseImage(target, array.description.size, _identity(array))
    if not force and image.resume(protected):
        learned = flaws_noted(image.notes.get("learned", []))
        if learned:
            array.source.take(learned)
        return image
    refuse_existing(target, protected, force=force)
    if os.path.exists(target):
        refuse_member(target)
    image.open_new()
    return image


def _identity(array: OpenArray) -> str:
    """Name what is exported: the array, its members as they are, what is said against them, and what is served."""
    members = [
        (member.role, source.base, source.size, [image.mtime_ns for image in images_below(source)])
        for member, source in array.serving
    ]
    flaws = [(flaw.source, list(flaw.extents), flaw.trust, flaw.reason, str(flaw.side)) for flaw in array.known]
    said = [array.description.uuid, array.description.size, members, flaws, array.given, repr(array.options.policy)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _copy(array: OpenArray, image: SparseImage, *, quiet: bool) -> None:
    """Read and write window by window; learned damage is saved with the state.

    Raises:
        Interrupted: Ctrl-C; what is written is kept.
        SourceChanged: a member changed.
    """
    source, size = array.source, array.description.size
    buffer = np.zeros(min(WINDOW, size), dtype=np.uint8)
    saved = time.monotonic()
    with progress_bar(quiet) as progress:
        task = progress.add_task("export", total=size, completed=image.done) if progress else TaskID(0)
        try:
            while image.done < size:
                window = buffer[: min(WINDOW, size - image.done)]
                lost = source.read_into(one_request(image.done, len(window)), window)
                _refuse_passing(array, image, lost)
                image.append(window)
                if progress:
                    progress.update(task, completed=image.done)
                if time.monotonic() - saved > _SAVE_EVERY:
                    array.assert_unchanged()
                    _save(array, image)
                    saved = time.monotonic()
        except (OutputError, SourceError):
            with suppress(OutputError):  # what is wrong is told already
                _save(array, image)
            raise
        except KeyboardInterrupt:
            _save(array, image)
            told = f"{format_size(image.done)} of {format_size(size)} are in {image.path}"
            raise Interrupted(f"stopped: {told}; run the same command again to go on") from None
    array.assert_unchanged()
    image.finish()
    array.save_learned()


def _refuse_passing(array: OpenArray, image: SparseImage, lost: Extents) -> None:
    """Stop where bytes are missing that are not lost: a member did not answer in time, and may answer later.

    Raises:
        SourceError: there are such bytes.
    """
    passing = lost.shift(image.done).difference(array.source.known_losses(image.done, image.done + WINDOW))
    if passing:
        told = f"{passing.total} bytes from array byte {next(iter(passing))[0]} on need a member that does not answer"
        raise SourceError(f"{told}; what is written is kept: run the same command again to go on")


def _save(array: OpenArray, image: SparseImage) -> None:
    """Note how far it came, and what was learned about the members."""
    image.notes["learned"] = notes_of(array.learned)
    image.save()
    array.save_learned()


def _tell(array: OpenArray, target: str, least: Severity) -> None:
    account = array.account()
    click.echo(f"{target}: {format_size(account.total)} ({account.total} bytes) of the array {array.description.uuid}")
    parts: Iterable[tuple[int, str]] = (
        (account.rebuilt, f"rebuilt from {array.description.shape.redundancy}"),
        (account.unproven, "unproven"),
        (account.doubtful, "doubtful" if array.options.policy.doubtful else "doubtful, left as holes"),
        (account.lost, "lost, left as holes"),
    )
    for value, word in parts:
        if value:
            click.echo(f"  {format_size(value)} ({value} bytes) {word}")
    for finding in array.findings:
        if finding.severity >= least:
            click.echo(f"  ! {sentence(finding)}")
