"""Life of a mount: prepare, mount, announce, serve, unmount.

    signals ---------------------------------------------------+ end it cleanly, at any time
    prepare (thread) -> pyfuse3.init -> pyfuse3.main ----------+-> pyfuse3.close -> signals are ignored
                                         +- announce: once the tree answered a thread of ours

Runs in the main thread of the process and blocks until the mount has ended; one mount per process.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pyfuse3
import trio

from raidfs.errors import MountError, RaidfsError
from raidfs.fuse.mountpoint import check_fuse, check_mountpoint, find_mount
from raidfs.fuse.operations import TreeOperations
from raidfs.fuse.options import MountOptions, fuse_options
from raidfs.fuse.waiting import wait_briefly
from raidfs.signals import held_back, on_ending
from raidfs.view.node import Directory

log = logging.getLogger(__name__)

READ_AHEAD_KB = 2048
"""Read-ahead of the mount where we may set it: makes the kernel ask for 1 MiB at once, and for two such at a time."""
_GRACE = 3.0
"""Seconds for requests under way to be answered after a signal."""
_ALWAYS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a mount even if whoever started us had us ignore them, as shells do with jobs in the background."""


def serve(
    prepare: Callable[[], Directory],
    mountpoint: str,
    options: MountOptions,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Mount a tree and serve it until it is unmounted or a signal (INT, TERM, HUP) ends it.

    The signals are ours from here on, and ignored for the rest of the process once nothing is mounted: what is left to
    do then is short, and one that comes late must not turn a good end into a bad one.

    Args:
        prepare: makes the tree, and whatever is needed to serve it fast (compiled kernels); run in a thread before
            anything is mounted, so that what it raises leaves nothing behind.
        mountpoint: an empty directory.
        options: see `MountOptions`.
        ready: called in the event loop once the tree can be read.

    Raises:
        MountError: the mount cannot be made.
    """
    ending = _Ending()
    on_ending(ending.hear, _ALWAYS)
    try:
        check_fuse(options)
        check_mountpoint(mountpoint)
        trio.run(_life, prepare, os.path.abspath(mountpoint), options, ready, ending)
    except BaseExceptionGroup as group:
        deliberate = _first_deliberate(group)
        if deliberate is None:
            raise
        raise deliberate from None
    finally:
        on_ending(signal.SIG_IGN)


def _first_deliberate(group: BaseExceptionGroup[BaseException]) -> RaidfsError | None:
    """Return the error for the user that ended the event loop, unless something else went wrong too."""
    deliberate, other = group.split(RaidfsError)
    if deliberate is None or other is not None:
        return None
    error: BaseException = deliberate
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, RaidfsError) else None


async def _life(
    prepare: Callable[[], Directory],
    mountpoint: str,
    options: MountOptions,
    ready: Callable[[], None],
    ending: _Ending,
) -> None:
    """See `serve`."""
    with ending.in_this_loop():
        root = await trio.to_thread.run_sync(prepare, abandon_on_cancel=True)
        _collect_seldom()
        with _mounted(TreeOperations(root, options), mountpoint, options), ending.gently():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_announce, mountpoint, ready)
                await pyfuse3.main()
                nursery.cancel_scope.cancel()


def _collect_seldom() -> None:
    """Have Python look for garbage seldom: what serves a mount makes no cycles, and what is there by now stays."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class _Ending:
    """What a signal does: at first let the requests under way finish, then no longer.

    `hear` is a signal's handler: it runs between any two steps of the main thread, within the event loop, before it has
    begun or after it has ended, and leaves everything else to the loop.
    """

    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self._loop: trio.lowlevel.TrioToken | None = None
        self._is_heard = False
        self._is_serving = False

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        self._is_heard = True
        if self._loop is not None:
            with suppress(trio.RunFinishedError):
                self._loop.run_sync_soon(self._advance)

    @contextmanager
    def in_this_loop(self) -> Iterator[None]:
        """Run the body until it is done or a signal ends it, also one that came before."""
        self._loop = trio.lowlevel.current_trio_token()
        if self._is_heard:
            self._advance()
        try:
            with self._scope:
                yield
        finally:
            # the loop need not be woken any more, and trio closes what signals wake it by while they still do
            signal.set_wakeup_fd(-1)

    @contextmanager
    def gently(self) -> Iterator[None]:
        """Let the first signal within the body end the service, and not the body at once."""
        self._is_serving = True
        try:
            yield
        finally:
            self._is_serving = False

    def _advance(self) -> None:
        if self._is_serving and self._scope.deadline == float("inf"):
            log.debug("ending because of a signal")
            self._scope.deadline = trio.current_time() + _GRACE
            pyfuse3.terminate()
        else:
            self._scope.cancel()


@contextmanager
def _mounted(operations: TreeOperations, mountpoint: str, options: MountOptions) -> Iterator[None]:
    """Mount for the time of the body; afterwards nothing is mounted, however the body ended.

    A Ctrl-C at the terminal comes to fusermount3, too: it must not end that in the middle of its work.
    """
    _initialise(operations, mountpoint, options)
    try:
        yield
    finally:
        with held_back():
            pyfuse3.close(unmount=True)


def _initialise(operations: TreeOperations, mountpoint: str, options: MountOptions) -> None:
    """Mount; libfuse explains a failure only on file descriptor 2, so that is kept for our sentence."""
    with tempfile.TemporaryFile() as said, held_back():
        saved = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            wait_briefly(operations.is_busy)
            pyfuse3.init(operations, mountpoint, fuse_options(options))
        except RuntimeError as error:
            said.seek(0)
            reason = " ".join(said.read().decode(errors="replace").split()) or str(error)
            raise MountError(f"{mountpoint}: the mount failed: {reason}") from None
        finally:
            os.dup2(saved, 2)
            os.close(saved)


async def _announce(mountpoint: str, ready: Callable[[], None]) -> None:
    """Wait until the tree can be read, raise the read-ahead, and say so."""
    await trio.to_thread.run_sync(_prepare, mountpoint, abandon_on_cancel=True)
    ready()


def _prepare(mountpoint: str) -> None:
    """Ask our own file system for its root (blocks until it serves), then raise its read-ahead.

    A value written before the kernel has our answer to its first request is reset by it; one written after a file was
    opened does not reach that file.
    """
    try:
        os.stat(mountpoint)
    except OSError as error:
        raise MountError(f"{mountpoint}: the mount does not answer: {error.strerror}") from None
    mount = find_mount(mountpoint)
    if mount is None or os.geteuid() != 0:
        return
    try:
        Path(f"/sys/class/bdi/{mount.device}/read_ahead_kb").write_text(f"{READ_AHEAD_KB}\n", encoding="ascii")
    except OSError as error:
        # slower, not wrong: some containers have /sys read-only
        log.debug("the read-ahead stays as it is: %s", error)
