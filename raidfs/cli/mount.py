"""`raidfs mount`: assemble in the foreground, serve in the background, and say what to type next."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from itertools import islice
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING, Any

import click

from raidfs.cli.daemon import Announce, run_in_background
from raidfs.cli.options import expand_folders, members_argument, options_of, split_last
from raidfs.cli.session import OpenArray, open_array
from raidfs.engine.account import Account, extents_with
from raidfs.engine.health import Health, Policy
from raidfs.errors import OutputError
from raidfs.extents import Extents
from raidfs.fuse.mountpoint import check_fuse, check_mountpoint
from raidfs.fuse.options import KNOWN, MountOptions, parse_options
from raidfs.report.facts import gather
from raidfs.report.json import render_json
from raidfs.report.map import map_lines, unknown_map
from raidfs.units import format_size
from raidfs.view.build import ArrayView, build_tree
from raidfs.view.filled import ZeroFilled
from raidfs.view.howto import Reader, guide
from raidfs.view.node import Directory, KeptWhileUnchanged
from raidfs.view.probe import probe

if TYPE_CHECKING:
    from raidfs.block import BlockSource

_SYSLOG = "/dev/log"


_MOST_MAP_LINES = 250_000
"""A longer array.map is not made: it would cost the mount more memory than everything else."""


@click.command()
@members_argument
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C ends the mount.")
@click.option("-o", "words", metavar="OPTIONS", multiple=True, help=f"Mount options: {', '.join(KNOWN)}.")
@click.option("-v", "--verbose", is_flag=True, help="With -f: say what happens.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def mount(
    members: tuple[str, ...], foreground: bool, words: tuple[str, ...], verbose: bool, quiet: bool, **shared: Any
) -> None:
    """Mount the array that the members hold, read-only; the last argument is the mountpoint.

    Returns once the tree can be read; `raidfs umount MOUNTPOINT` (or fusermount3 -u) ends it.
    """
    paths, mountpoint = split_last(members, "mountpoint")
    options = parse_options(words)
    check_mountpoint(mountpoint)
    check_fuse(options)
    mountpoint = os.path.abspath(mountpoint)
    policy = Policy(doubtful=options.doubtful, strict=options.strict)
    with open_array(expand_folders(paths, shared["patience"]), options_of(shared, policy)) as array:
        array.save_learned()  # before anything is served: that it cannot be kept must not come out at the end

        def say(text: str) -> None:
            if not quiet:
                click.echo(text)

        if foreground:
            logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="raidfs: %(message)s")
            serve_array(array, mountpoint, options, say)
        else:

            def body(announce: Announce) -> None:
                _log_to_syslog()
                serve_array(array, mountpoint, options, announce)

            say(run_in_background(body))


def _log_to_syslog() -> None:
    """Let a daemon, which has no terminal, say there why a read failed; where there is no syslog it stays silent."""
    if os.path.exists(_SYSLOG):
        handler = SysLogHandler(_SYSLOG, SysLogHandler.LOG_DAEMON)
        handler.ident = f"raidfs[{os.getpid()}]: "
        logging.getLogger().addHandler(handler)


def serve_array(array: OpenArray, mountpoint: str, options: MountOptions, announce: Announce) -> None:
    """Mount an open array and serve it until it is unmounted; `announce` gets the text for the user once it is up."""
    # loads the event loop and libfuse: not before it is sure that they are needed, and only in the process that serves
    from raidfs.fuse.mount import serve

    reader = Reader(os.geteuid() == 0, options.allow_other)
    views: list[ArrayView] = []

    def prepare() -> Directory:
        array.source.warm_up()
        views.append(view_of(array, options))
        return build_tree(views[0], mountpoint, reader)

    try:
        serve(prepare, mountpoint, options, lambda: announce(ready_text(array, views[0], mountpoint, reader)))
    finally:
        _keep_learned(array)


def _keep_learned(array: OpenArray) -> None:
    """Save the read errors that were met; nobody waits for the end of a mount, so a failure goes into the log."""
    try:
        array.save_learned()
    except OutputError as error:
        logging.getLogger(__name__).error("read errors were not kept: %s", error)


def view_of(array: OpenArray, options: MountOptions) -> ArrayView:
    """Return what the mount shows of an open array."""
    source = array.source
    account = KeptWhileUnchanged(array.account, lambda: source.generation)

    def health() -> Mapping[str, bytes]:
        now = account()
        return {"user.raidfs.health": now.worst.word.encode(), "user.raidfs.lost_bytes": str(now.lost).encode()}

    shown = _shown(array, options)
    return ArrayView(
        title=title_of(array),
        source=shown,
        contents=probe(shown),
        mtime_ns=array.description.updated * 1000,
        status=KeptWhileUnchanged(lambda: _status(array), lambda: source.generation),
        map=KeptWhileUnchanged(lambda: _map(array), lambda: source.generation),
        xattrs=health,
    )


def _shown(array: OpenArray, options: MountOptions) -> BlockSource:
    """Return the array's bytes, with zeros for what is lost where that was asked for."""
    source = array.source
    if not options.zero:
        return source

    def lost_in(start: int, stop: int) -> Extents:
        return extents_with(source.sight.charts, frozenset((Health.LOST,)), start, stop)

    return ZeroFilled(source, lost_in)


def _status(array: OpenArray) -> bytes:
    return render_json(gather(array.description, array.account(), array.findings, array.damage)).encode()


def _map(array: OpenArray) -> bytes:
    size = array.description.size
    lines = list(
        islice(map_lines(array.charts, size, title_of(array), array.options.policy.limit), _MOST_MAP_LINES + 1)
    )
    if len(lines) > _MOST_MAP_LINES:
        lines = unknown_map(size, f"more than {_MOST_MAP_LINES} ranges: `raidfs export --map FILE` writes them all")
    return "".join(f"{line}\n" for line in lines).encode()


def title_of(array: OpenArray) -> str:
    """Return what the array is, in a few words."""
    shape = array.description.shape
    name = f" ({array.description.name})" if array.description.name else ""
    return f"{shape.level.title} array of {shape.raid_disks} members{name}"


def ready_text(array: OpenArray, view: ArrayView, mountpoint: str, reader: Reader) -> str:
    """Return what is told once the tree can be read."""
    size = format_size(view.source.size)
    lines = [f"{title_of(array)}, {size}, is at {mountpoint}/array.img: {view.contents.meaning}."]
    lines += _damage_lines(array.account(), array.options.policy)
    lines += guide(view.contents, mountpoint, reader).lines()
    return "\n".join(lines)


def _damage_lines(account: Account, policy: Policy) -> list[str]:
    withheld = [(n, word) for n, word in ((account.doubtful, "doubtful"), (account.lost, "lost")) if n]
    lines = []
    if account.unproven:
        served = "withheld (-o strict)" if policy.strict else "served"
        lines.append(f"{format_size(account.unproven)} are rebuilt from parity that may be stale: {served}.")
    if withheld:
        told = " and ".join(f"{format_size(n)} {word}" for n, word in withheld)
        lines.append(f"{told}: see array.map; what is withheld fails with an input/output error.")
    return lines
