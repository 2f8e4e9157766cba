"""Going to the background: the parent waits until the child says that it is ready, or what went wrong, in one message.

To be used before any thread exists in the process, for a fork keeps only the one that forks.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

from raidfs.errors import Interrupted, MountError, RaidfsError
from raidfs.signals import ENDING, held_back, on_ending

Announce = Callable[[str], None]
"""Tells the parent that everything is ready, with a text for the user."""

_BUG = 3


def run_in_background(body: Callable[[Announce], None]) -> str:
    """Run `body` in a child process of its own session; return once it announced that it is ready.

    Signals that ask us to end (INT, TERM, HUP) end the child, as long as it has not announced anything. They are
    ignored afterwards, whatever came of it: this process is to say so and end.

    Args:
        body: what the child does; ends with it. Raises `RaidfsError` where it cannot go on. A signal kills it until it
            says otherwise.

    Returns:
        The text that `body` announced.

    Raises:
        MountError: the child could not go on; its sentence.
        Interrupted: the user stopped us; the child has ended.
    """
    _give_back_memory()
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child, stopped_by = 0, list[int]()

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped_by.append(number)
        if child:
            os.kill(child, signal.SIGTERM)  # not waited for yet: there is nobody else of that number

    on_ending(stop)
    with held_back() as before:  # from the child, until it does something else about them
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_the_child(body, writing, before)
    if stopped_by:
        os.kill(child, signal.SIGTERM)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        message = pipe.read()
    on_ending(signal.SIG_IGN)
    if stopped_by:
        os.waitpid(child, 0)
        raise Interrupted("stopped; nothing is mounted")
    return _understand(message, child)


def _give_back_memory() -> None:
    """Return to the system what the work before took and no longer needs; the child would keep it for weeks.

    glibc keeps freed blocks in its heap. Where the C library has no `malloc_trim` the memory stays.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _understand(message: bytes, child: int) -> str:
    """Return the child's announcement, or raise its error."""
    if not message:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == _BUG:
            raise RuntimeError("the background process met a bug; it is described above")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise MountError(f"the background process {how} before the mount was ready")
    told: dict[str, str] = json.loads(message)
    if "error" in told:
        os.waitpid(child, 0)
        raise MountError(told["error"])
    return told["ready"]


def _be_the_child(body: Callable[[Announce], None], writing: int, held_before: set[signal.Signals]) -> None:
    """Run `body` and end the process; never returns."""
    code = _BUG
    try:
        os.setsid()
        on_ending(signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, set(ENDING) - held_before)
        body(lambda text: _tell(writing, ready=text))
        code = 0
    except RaidfsError as error:
        code = 1
        _tell(writing, error=str(error))
    finally:
        # nothing may leave this function: above it is what only the parent should do
        if code == _BUG:
            traceback.print_exc()
        os._exit(code)


def _tell(writing: int, **message: str) -> None:
    """Send the one message and let go of the terminal; where the parent has gone nobody needs it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    sys.stdout.flush()
    sys.stderr.flush()
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    try:
        os.write(writing, json.dumps(message).encode())
    except BrokenPipeError:
        return
    finally:
        os.close(writing)
