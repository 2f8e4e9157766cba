"""What the signals that ask a process to end (INT, TERM, HUP) do, from its first import to its last moment.

    imports                  commands                     the end
    `end_at_once` ---------> `Interrupts`: the first ---> ignored
                             is a KeyboardInterrupt
                                 |
                                 +--> a mount, from `raidfs.fuse.mount.serve` on: ends it, raises nothing

A Ctrl-C within an import is never an exception: it might come out of a callback of the import system, where Python can
only print it; nor is it one within the callbacks of LLVM while compiled code is loaded. At the end the signals are
ignored, and not left to a handler: the interpreter takes handlers away before it is gone, and the next signal would
kill a process that has done its work.

To be used in the main thread only. Imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to end."""
_STOPPED = 1
"""Exit code of a command that was stopped."""
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
_CALLBACKS = frozenset(("_raw_object_cache_notify", "_raw_object_cache_getbuffer"))
"""What LLVM calls (`llvmlite/binding/executionengine.py`); exceptions do not come back through it."""

Action = Callable[[int, FrameType | None], object] | signal.Handlers
"""What a signal does; see `signal.signal`."""


def on_ending(action: Action, always: Collection[signal.Signals] = ()) -> None:
    """Let the signals that ask us to end do something else from now on.

    Args:
        action: what they do.
        always: those that do it even if whoever started us had us ignore them; the others stay ignored then (nohup).
    """
    for number in ENDING:
        if number in always or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, action)


def end_at_once(_number: int, _frame: FrameType | None) -> None:
    """End the process, where nothing is open that must be closed."""
    tell_stopped()
    os._exit(_STOPPED)


def tell_stopped() -> None:
    """Say so; past Python's own buffers, in which we may be just now."""
    try:
        os.write(2, b"raidfs: stopped\n")
    except OSError:
        return  # nobody listens


@contextmanager
def held_back() -> Iterator[set[signal.Signals]]:
    """Hold the signals back from this thread, and from programs that it starts, until the end of the block.

    Yields:
        The signals that were held back before.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield {signal.Signals(number) for number in before if number in ENDING}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Interrupts:
    """Raises `KeyboardInterrupt` for the first signal within a block; a second one ends us at once.

    What comes after the block changes nothing any more.
    """

    def __init__(self) -> None:
        """Prepare; nothing is heard yet."""
        self._is_within = False
        self._may_raise = False

    def __enter__(self) -> Self:
        """Listen from now on."""
        self._is_within = self._may_raise = True
        on_ending(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise nothing from now on."""
        self._is_within = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Be the handler of a signal."""
        if not self._is_within:
            return
        if not self._may_raise or _is_deaf(frame):
            end_at_once(number, frame)
        self._may_raise = False
        raise KeyboardInterrupt


def _is_deaf(frame: FrameType | None) -> bool:
    """Tell whether an exception would get lost where the signal met us."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM or frame.f_code.co_name in _CALLBACKS:
            return True
        frame = frame.f_back
    return False
