"""Life of a mount: prepare, mount, announce, serve, unmount.

    signals ------------------------------------------------+ end it cleanly, at any time
    prepare (thread) -> pyfuse3.init -> pyfuse3.main -------+-> pyfuse3.close
                                         +- announce: once the tree answered a thread of ours

Runs in the main thread of the process and blocks until the mount has ended; one mount per process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pyfuse3
import trio

from raidfs.errors import MountError, RaidfsError
from raidfs.fuse.mountpoint import check_fuse, check_mountpoint, find_mount
from raidfs.fuse.operations import TreeOperations
from raidfs.fuse.options import MountOptions, fuse_options
from raidfs.view.node import Directory

log = logging.getLogger(__name__)

READ_AHEAD_KB = 2048
"""Read-ahead of the mount where we may set it: makes the kernel ask for 1 MiB at once, and for two such at a time."""
_GRACE = 3.0
"""Seconds for requests under way to be answered after a signal."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    prepare: Callable[[], Directory],
    mountpoint: str,
    options: MountOptions,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Mount a tree and serve it until it is unmounted or a signal (INT, TERM, HUP) ends it.

    Args:
        prepare: makes the tree, and whatever is needed to serve it fast (compiled kernels); run in a thread before
            anything is mounted, so that what it raises leaves nothing behind.
        mountpoint: an empty directory.
        options: see `MountOptions`.
        ready: called in the event loop once the tree can be read.

    Raises:
        MountError: the mount cannot be made.
    """
    check_fuse(options)
    check_mountpoint(mountpoint)
    try:
        trio.run(_life, prepare, os.path.abspath(mountpoint), options, ready)
    except BaseExceptionGroup as group:
        deliberate = _first_deliberate(group)
        if deliberate is None:
            raise
        raise deliberate from None


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
    prepare: Callable[[], Directory], mountpoint: str, options: MountOptions, ready: Callable[[], None]
) -> None:
    """See `serve`."""
    async with contextlib.AsyncExitStack() as stack:
        ending = _Ending()
        await stack.enter_async_context(_ended_by_signals(ending))
        root = await trio.to_thread.run_sync(prepare, abandon_on_cancel=True)
        stack.enter_context(_mounted(TreeOperations(root, options), mountpoint, options))
        ending.serving = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_announce, mountpoint, ready)
            await pyfuse3.main()
            nursery.cancel_scope.cancel()


class _Ending:
    """What a signal does: at first let the requests under way finish, then no longer."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.serving = False

    def advance(self) -> None:
        if self.serving and self.scope.deadline == float("inf"):
            self.scope.deadline = trio.current_time() + _GRACE
            pyfuse3.terminate()
        else:
            self.scope.cancel()

    async def watch(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            task_status.started()
            async for number in signals:
                log.debug("ending because of signal %d", number)
                self.advance()


@contextlib.asynccontextmanager
async def _ended_by_signals(ending: _Ending) -> AsyncIterator[None]:
    """Run the body until it is done or a signal ends it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(ending.watch)
        with ending.scope:
            yield
        nursery.cancel_scope.cancel()


@contextlib.contextmanager
def _mounted(operations: TreeOperations, mountpoint: str, options: MountOptions) -> Iterator[None]:
    """Mount for the time of the body; afterwards nothing is mounted, however the body ended."""
    _initialise(operations, mountpoint, options)
    try:
        yield
    finally:
        pyfuse3.close(unmount=True)


def _initialise(operations: TreeOperations, mountpoint: str, options: MountOptions) -> None:
    """Mount; libfuse explains a failure only on file descriptor 2, so that is kept for our sentence."""
    with tempfile.TemporaryFile() as said:
        saved = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
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
