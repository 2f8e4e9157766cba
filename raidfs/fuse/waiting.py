"""How the event loop waits for the kernel's next request: briefly itself, and only then through trio.

Where requests come one after the other, as they do when many small files are copied, the next one is there before trio
has turned to its other tasks and back, which takes as long as answering it. So while no thread works for the mount
(and nothing else can happen in the loop) the wait for the device is a plain one, for a moment. And before it sleeps it
looks again and again: waking up takes a processor that has nothing else to do longer than answering, so copies of small
files take a third less time. Whoever else wants the processor gets it meanwhile. pyfuse3 looks its trio up in one
place, which its own support of asyncio replaces as well.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from types import ModuleType, TracebackType

import pyfuse3
import trio

_AWAKE = 0.0002
"""Seconds for which the next request is looked for before sleeping: what `cp` does between two takes less."""
_MOMENT = 0.0005
"""Seconds for which signals, and tasks that were just started, may have to wait."""
MOST_IN_A_ROW = 64
"""Requests after which other tasks have their turn in any case."""


class Lock:
    """A lock for tasks that come back at once: who frees it wakes a waiting task, but may have it again before that.

    pyfuse3 holds it while it waits for a request, and has another task in wait for the next. Were it handed over, each
    request would cost a change of tasks, and with it a turn of trio, also where answering it takes no waiting.
    """

    def __init__(self) -> None:
        """Leave it free."""
        self._is_held = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> None:
        """Take it."""
        while self._is_held:
            await self._waiting.park()
        self._is_held = True

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self._is_held = False
        if self._waiting:
            self._waiting.unpark()


class Waiting:
    """Waits for the device."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """Ask `is_busy` whether something else may happen in the loop."""
        self._is_busy = is_busy
        self._in_a_row = 0

    async def wait_readable(self, descriptor: int) -> None:
        """Return when the descriptor can be read."""
        if self._in_a_row < MOST_IN_A_ROW and not self._is_busy():
            self._in_a_row += 1
            if _is_soon_readable(descriptor) or select.select((descriptor,), (), (), _MOMENT)[0]:
                return
        self._in_a_row = 0
        await trio.lowlevel.wait_readable(descriptor)


def _is_soon_readable(descriptor: int) -> bool:
    """Look for a request without sleeping."""
    until = time.perf_counter() + _AWAKE
    while not select.select((descriptor,), (), (), 0)[0]:
        if time.perf_counter() > until:
            return False
        os.sched_yield()
    return True


def wait_briefly(is_busy: Callable[[], bool]) -> None:
    """Have pyfuse3 wait as told above; `is_busy` tells whether a thread works for the mount."""
    low = _Replaced(trio.lowlevel, wait_readable=Waiting(is_busy).wait_readable)
    vars(pyfuse3)["trio"] = _Replaced(trio, Lock=Lock, lowlevel=low)


class _Replaced:
    """A module with some of its names replaced; whatever else is asked for is its own."""

    def __init__(self, module: ModuleType, **names: object) -> None:
        self._module = module
        vars(self).update(names)

    def __getattr__(self, name: str) -> object:
        return getattr(self._module, name)
