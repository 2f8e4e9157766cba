"""A mount that signals itself: `python -m tests.fuse.signalled MOUNTPOINT POINT`, with every signal at that point.

The points are entered through what our code calls or is called by, whatever it looks like inside. Where no signal would
come before anything is mounted, the first one is sent as soon as the tree can be read, so that the mount always ends.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import pyfuse3
import trio

from raidfs.fuse.mount import serve
from raidfs.fuse.options import MountOptions
from raidfs.signals import ENDING
from raidfs.view.node import Directory
from tests.fuse.server import tree

CALLED: tuple[tuple[Any, str], ...] = (
    (trio, "run"),
    (pyfuse3, "init"),
    (pyfuse3, "main"),
    (pyfuse3, "close"),
    (socket.socket, "close"),
)
"""What is called in a life, and where it is found; sockets are how signals wake the event loop."""
POINTS = (
    *(f"{when} {holder.__name__}.{name}" for holder, name in CALLED for when in ("before", "after")),
    "preparing",
    "ready",
    "served",
    "exiting",
    "gone",
)
"""Moments of a life; at the last one the interpreter has taken its signal handlers away already."""


class LastWord:
    """Signals when the interpreter clears the modules, which is the last thing that it does."""

    kill, pid, numbers = os.kill, os.getpid(), ENDING

    def __del__(self) -> None:
        """Send every signal."""
        for number in self.numbers:
            LastWord.kill(self.pid, number)


def send_all() -> None:
    """Let every signal come to this thread, now."""
    for number in ENDING:
        signal.raise_signal(number)


def signalling(function: Callable[..., Any], *, before: bool, after: bool) -> Callable[..., Any]:
    """Return what does the same, and signals before or after it."""

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        if before:
            send_all()
        try:
            return function(*arguments, **named)
        finally:
            if after:
                send_all()

    @functools.wraps(function)
    async def run_async(*arguments: Any, **named: Any) -> Any:
        if before:
            send_all()
        try:
            return await function(*arguments, **named)
        finally:
            if after:
                send_all()

    return run_async if function is pyfuse3.main else run


def main(mountpoint: str, point: str) -> None:
    """Serve until the signals have ended it."""
    for holder, name in CALLED:
        before, after = (f"{when} {holder.__name__}.{name}" == point for when in ("before", "after"))
        setattr(holder, name, signalling(getattr(holder, name), before=before, after=after))
    if point == "exiting":
        atexit.register(send_all)

    def prepare() -> Directory:
        if point == "preparing":
            # to the process: the thread that prepares is not the one that handles signals
            for number in ENDING:
                os.kill(os.getpid(), number)
        return tree()

    def ready() -> None:
        if point == "ready":
            send_all()
        else:
            signal.raise_signal(signal.SIGTERM)

    serve(prepare, mountpoint, MountOptions(), ready)
    if point == "served":
        send_all()
    sys.stdout.write("ended\n")


if __name__ == "__main__":
    if sys.argv[2] == "gone":
        last_word = LastWord()
    main(*sys.argv[1:])
