"""`raidfs export`: the virtual array as a new sparse image, and its map."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import click
import numpy as np
from rich.progress import TaskID

from raidfs.block import one_request
from raidfs.cli.options import expand_folders, members_argument, options_of, split_last
from raidfs.cli.progress import progress_bar
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.health import Health, Policy
from raidfs.errors import Interrupted, OutputError
from raidfs.extents import Extents
from raidfs.finding import Severity
from raidfs.image import open_image
from raidfs.output import SparseImage, refuse_existing, write_text
from raidfs.report.facts import gather
from raidfs.report.json import as_data
from raidfs.report.map import map_lines
from raidfs.report.text import sentence
from raidfs.superblock import scan
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
@click.option("--force", is_flag=True, help="Replace IMAGE (and the map) if it exists; never a member.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def export(
    members: tuple[str, ...],
    map_file: str | None,
    doubtful: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    **shared: Any,
) -> int:
    """Write the virtual array to a new sparse image: MEMBER... IMAGE.

    Lost and doubtful ranges are holes. An export that was stopped goes on when the same command is run again.
    """
    words, target = split_last(members, "image")
    with open_array(expand_folders(words), options_of(shared, Policy(doubtful=doubtful))) as array:
        image = _prepare(array, target, map_file, force=force)
        with closing(image):
            _copy(array, image, quiet=quiet or as_json)
        account = array.account()
        if map_file is not None:
            comment = f"raidfs map of the array {array.description.uuid}"
            limit = array.options.policy.limit
            write_text(map_file, map_lines(array.charts, array.description.size, comment, limit))
        if as_json:
            facts = gather(array.description, account, array.findings)
            click.echo(json.dumps({**as_data(facts), "image": target, "map": map_file}, indent=2))
        elif not quiet:
            _tell(array, target)
        return DAMAGE if account.worst >= Health.DOUBTFUL else 0


def _prepare(array: OpenArray, target: str, map_file: str | None, *, force: bool) -> SparseImage:
    """Open the image to be written, or the unfinished one."""
    protected = [image.describe_inode() for image in array.images.values()]
    if map_file is not None:
        refuse_existing(map_file, protected, force=force)
        if os.path.abspath(map_file) == os.path.abspath(target):
            raise OutputError(f"{map_file} is both the image and its map; name two files")
    image = SparseImage(target, array.description.size, _identity(array))
    if not force and image.resume():
        learned = [(int(n), Extents(extents), str(reason)) for n, extents, reason in image.notes.get("learned", [])]
        if learned:
            array.source.learn(learned)
        return image
    refuse_existing(target, protected, force=force)
    if os.path.exists(target):
        _refuse_member(target)
    image.open_new()
    return image


def _refuse_member(target: str) -> None:
    """Refuse to replace a file that is a member of any array: an original, forgotten on the command line."""
    if os.path.getsize(target) == 0:
        return
    with closing(open_image(target)) as image:
        if scan(image, target).found:
            raise OutputError(f"{target} holds an md superblock: it is a member of an array and is never written")


def _identity(array: OpenArray) -> str:
    """Name what is exported: the array, its members as they are, and what is served."""
    members = [(role, image.size, os.fstat(image.fd).st_mtime_ns) for role, image in array.serving]
    said = [array.description.uuid, array.description.size, members, repr(array.options.policy)]
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
    n_known = len(array.flaws)
    with progress_bar(quiet) as progress:
        task = progress.add_task("export", total=size, completed=image.done) if progress else TaskID(0)
        try:
            while image.done < size:
                window = buffer[: min(WINDOW, size - image.done)]
                source.read_into(one_request(image.done, len(window)), window)
                image.append(window)
                if progress:
                    progress.update(task, completed=image.done)
                if time.monotonic() - saved > _SAVE_EVERY:
                    array.assert_unchanged()
                    image.notes["learned"] = _learned(array, n_known)
                    image.save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            image.notes["learned"] = _learned(array, n_known)
            image.save()
            told = f"{format_size(image.done)} of {format_size(size)} are in {image.path}"
            raise Interrupted(f"stopped: {told}; run the same command again to go on") from None
    array.assert_unchanged()
    image.finish()


def _learned(array: OpenArray, n_known: int) -> list[tuple[int, list[tuple[int, int]], str]]:
    return [(flaw.source, list(flaw.extents), flaw.reason) for flaw in array.flaws[n_known:]]


def _tell(array: OpenArray, target: str) -> None:
    account = array.account()
    click.echo(f"{target}: {format_size(account.total)} ({account.total} bytes) of the array {array.description.uuid}")
    parts: Iterable[tuple[int, str]] = (
        (account.rebuilt, "rebuilt from parity"),
        (account.unproven, "rebuilt but unproven"),
        (account.doubtful, "doubtful" if array.options.policy.doubtful else "doubtful, left as holes"),
        (account.lost, "lost, left as holes"),
    )
    for value, word in parts:
        if value:
            click.echo(f"  {format_size(value)} ({value} bytes) {word}")
    for finding in array.findings:
        if finding.severity >= Severity.WARNING:
            click.echo(f"  ! {sentence(finding)}")
