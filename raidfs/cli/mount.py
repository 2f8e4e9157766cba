"""`raidfs mount`: assemble in the foreground, serve in the background, and say what to type next."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any

import click

from raidfs.block import BlockSource
from raidfs.cli.contents import Contents, How, KeyOf, ShownAs, contents_of_each, nobody, worth_in_each
from raidfs.cli.daemon import Announce, run_in_background
from raidfs.cli.keys import key_of, key_options
from raidfs.cli.options import expand_folders, members_argument, options_of, split_last
from raidfs.cli.session import ANOTHER, OpenArray, open_array, open_every_array
from raidfs.cli.showing import folder_names, overlay_of, ready_text, shown_of, view_of
from raidfs.engine.health import Policy
from raidfs.errors import OutputError, UsageError
from raidfs.fuse.mountpoint import check_fuse, check_mountpoint
from raidfs.fuse.options import KNOWN, MountOptions, parse_options
from raidfs.report.text import sentence
from raidfs.view.build import ArrayView, build_forest, build_tree
from raidfs.view.filled import in_place_of
from raidfs.view.howto import Reader
from raidfs.view.node import Directory
from raidfs.view.writable import Writing

_SYSLOG = "/dev/log"


@click.command()
@members_argument
@click.option("--all", "every", is_flag=True, help="Mount every array that the members hold, each in arrays/NAME.")
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C ends the mount.")
@click.option("-o", "words", metavar="OPTIONS", multiple=True, help=f"Mount options: {', '.join(KNOWN)}.")
@key_options
@click.option("-v", "--verbose", is_flag=True, help="With -f: say what happens.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def mount(
    members: tuple[str, ...],
    every: bool,
    foreground: bool,
    words: tuple[str, ...],
    ask: bool,
    key_file: str | None,
    verbose: bool,
    quiet: bool,
    **shared: Any,
) -> None:
    """Mount the array that the members hold, read-only; the last argument is the mountpoint.

    Returns once the tree can be read; `raidfs umount MOUNTPOINT` (or fusermount3 -u) ends it.
    """
    if every and shared["uuid"]:
        raise UsageError("--all mounts every array, and --uuid names one: give one of the two")
    paths, mountpoint = split_last(members, "mountpoint", shared["array"])
    options = parse_options(words)
    if options.zero and options.overlay is not None:
        raise UsageError("-o zero and -o overlay=FILE: what writes to an image must not take lost bytes for zeros")
    if every and options.overlay is not None:
        raise UsageError("-o overlay=FILE is for one array: choose it with --uuid instead of --all")
    check_mountpoint(mountpoint)
    check_fuse(options)
    mountpoint = os.path.abspath(mountpoint)
    _check_overlay(options.overlay, mountpoint)
    keys = key_of(ask, key_file)
    policy = Policy(doubtful=options.doubtful, strict=options.strict, check=options.check)
    chosen = options_of(shared, policy)
    opened = (open_every_array if every else open_array)(expand_folders(paths, chosen.patience), chosen)
    with opened as found:
        arrays = found if isinstance(found, list) else [found]
        for array in arrays:
            array.save_learned()  # before anything is served: that it cannot be kept must not come out at the end
        if quiet:  # what cannot be mounted is an error, and told in any case
            for text in _left_out(arrays):
                click.echo(text, err=True)

        def say(text: str) -> None:
            if not quiet:
                click.echo(text)

        if foreground:
            logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, format="raidfs: %(message)s")
            serve_arrays(arrays, mountpoint, options, say, keys, every=every)
        else:

            def body(announce: Announce) -> None:
                _log_to_syslog()
                serve_arrays(arrays, mountpoint, options, announce, keys, every=every)

            say(run_in_background(body))


def _check_overlay(overlay: str | None, mountpoint: str) -> None:
    """Refuse an overlay that the mount would hide.

    Raises:
        UsageError: it is one.
    """
    if overlay is not None and Path(os.path.realpath(overlay)).is_relative_to(os.path.realpath(mountpoint)):
        raise UsageError(f"-o overlay={overlay}: this lies in the mountpoint, where nobody can reach it; name another")


def _log_to_syslog() -> None:
    """Let a daemon, which has no terminal, say there why a read failed; where there is no syslog it stays silent."""
    if os.path.exists(_SYSLOG):
        handler = SysLogHandler(_SYSLOG, SysLogHandler.LOG_DAEMON)
        handler.ident = f"raidfs[{os.getpid()}]: "
        logging.getLogger().addHandler(handler)


def serve_arrays(
    arrays: Sequence[OpenArray],
    mountpoint: str,
    options: MountOptions,
    announce: Announce,
    keys: KeyOf = nobody,
    *,
    every: bool,
) -> None:
    """Mount open arrays and serve them until they are unmounted.

    Args:
        arrays: one, or several with `every`.
        mountpoint: absolute.
        options: of the mount.
        announce: gets the text for the user once the tree can be read.
        keys: gives passphrases.
        every: each array in a folder of its own, below `arrays`.
    """
    # loads the event loop and libfuse: not before it is sure that they are needed, and only in the process that serves
    from raidfs.fuse.mount import serve

    reader = Reader(os.geteuid() == 0, options.allow_other, options.overlay is not None)
    names = folder_names([array.description for array in arrays])
    places = [f"{mountpoint}/arrays/{name}" for name in names] if every else [mountpoint]
    views: list[ArrayView] = []
    found: list[Contents] = []
    stack = ExitStack()

    def prepare() -> Directory:
        for array in arrays:
            array.source.warm_up()
        layers = [_layers_of(array, options, stack) for array in arrays]
        below = [each.below for each in layers]
        shown_as, writing = _shown_as(layers), layers[0].writing  # only one array alone takes writes
        worth_of = worth_in_each(list(zip(arrays, below, strict=True)))
        how = How(worth_of, not options.noreplay, keys, writing, shown_as)
        called = [f"array {name}" for name in names] if every else ["array"]
        found.extend(contents_of_each(list(zip(called, below, strict=True)), how))
        for array, each, contents in zip(arrays, layers, found, strict=True):
            stack.callback(contents.close)
            views.append(view_of(array, each.shown, contents, writing, shown_as))
        trees = [
            build_tree(view, place, reader, mountpoint if every else None)
            for view, place in zip(views, places, strict=True)
        ]
        return build_forest(dict(zip(names, trees, strict=True))) if every else trees[0]

    def ready() -> None:
        told = [
            ready_text(*each, reader, mountpoint if every else None)
            for each in zip(arrays, views, found, places, strict=True)
        ]
        announce("\n".join([*told, *_left_out(arrays)]))

    with stack:
        for array in arrays:
            stack.callback(_keep_learned, array)
        serve(prepare, mountpoint, options, ready)


def _left_out(arrays: Sequence[OpenArray]) -> list[str]:
    """Say which arrays are not among these, though their members are, and why."""
    return [sentence(each) for each in arrays[0].findings if each.subject == ANOTHER]


@dataclass(frozen=True)
class _Layers:
    """What lies over an array: what metadata are read from, what is shown, and what takes writes."""

    below: BlockSource
    shown: BlockSource
    writing: Writing | None = None


def _layers_of(array: OpenArray, options: MountOptions, stack: ExitStack) -> _Layers:
    """Return an array with the layer that takes writes over it; what is opened is left to `stack`."""
    overlay = overlay_of(array, options)
    if overlay is None:
        return _Layers(array.source, shown_of(array, options))
    stack.callback(overlay.close)
    return _Layers(overlay, overlay, Writing(overlay))


def _shown_as(layers: Sequence[_Layers]) -> ShownAs | None:
    """Return what shows data of the arrays; None: as they are. What is lost must not look like zeros in metadata."""
    filled = [each for each in layers if each.shown is not each.below]

    def shown_as(source: BlockSource) -> BlockSource:
        for each in filled:
            source = in_place_of(source, one=each.below, other=each.shown)
        return source

    return shown_as if filled else None


def _keep_learned(array: OpenArray) -> None:
    """Save the read errors that were met; nobody waits for the end of a mount, so a failure goes into the log."""
    try:
        array.save_learned()
    except OutputError as error:
        logging.getLogger(__name__).error("read errors were not kept: %s", error)
