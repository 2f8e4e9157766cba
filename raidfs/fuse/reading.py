"""How a read is answered: at once into one reusable buffer, or in a thread; always whole, or not at all.

The first way never blocks and runs in the event loop. Its buffer may be used again for the next request, because a
reply is sent before anything else runs in that thread. Where a source would block (or holds anything unusual) the read
goes to one of a few threads with a buffer of its own.
"""

from __future__ import annotations

import errno
import logging
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np
import trio
from numpy.typing import NDArray
from pyfuse3 import FUSEError

from raidfs.block import BlockSource, NowaitSource, nowait_of, one_request
from raidfs.errors import RaidfsError
from raidfs.extents import Extents

log = logging.getLogger(__name__)

MAX_REQUEST = 1 << 20
"""Largest read [bytes] that the kernel sends (256 pages); a larger one would cost a buffer of its own."""
_THREADS = 4
_SENTENCES = 1000
"""Distinct faults that are logged; what comes then is more of the same."""

_FAULTS = (
    RaidfsError,
    OSError,
    MemoryError,
    # bugs below us: they cost the request that met them and are logged whole, but never end the mount
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class OpenSource:
    """A source that is open in the mount.

    Attributes:
        source: its bytes.
        size: its size [bytes].
        nowait: the same source, where it can try to read at once.
    """

    source: BlockSource
    size: int
    nowait: NowaitSource | None


def opened(source: BlockSource) -> OpenSource:
    """Look once at what a source offers."""
    return OpenSource(source, source.size, nowait_of(source))


def errno_of(losses: Extents) -> int:
    """Return the error number that answers a read with these losses; 0 where it is answered with its bytes."""
    return errno.EIO if losses else 0


class Reading:
    """The buffers and threads of one mount. To be used from its event loop only."""

    def __init__(self) -> None:
        """Take the memory for reads that do not block; there are no threads yet."""
        self._inline = Buffer(MAX_REQUEST)
        self._spare: list[Buffer] = []
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._logged: set[str] = set()
        self.n_waiting = 0

    async def read(self, file: OpenSource, offset: int, size: int) -> memoryview:
        """Return exactly [offset, offset + size) of the file, clipped at its end.

        The view is good until the caller awaits anything.

        Raises:
            FUSEError: any byte of it cannot be served.
        """
        length = min(size, file.size - offset)
        if length <= 0:
            return self._inline.view[:0]
        try:
            nowait = file.nowait if length <= MAX_REQUEST else None
            if nowait is not None and nowait.try_read_into(offset, self._inline.array[:length]):
                return self._inline.view[:length]
            return await self._read_in_thread(file.source, offset, length)
        except _FAULTS as fault:
            self._fail(fault)

    async def _read_in_thread(self, source: BlockSource, offset: int, length: int) -> memoryview:
        """Read where it may block."""
        buffer = self._spare.pop() if self._spare and length <= MAX_REQUEST else Buffer(max(length, MAX_REQUEST))
        request, out = one_request(offset, length), buffer.array[:length]
        losses = await self._in_thread(source.read_into, request, out, limiter=self._limiter, abandon_on_cancel=True)
        # not reached when cancelled: then the thread still owns the buffer
        if len(buffer.array) == MAX_REQUEST and len(self._spare) < _THREADS:
            self._spare.append(buffer)
        failure = errno_of(losses)
        if failure:
            raise FUSEError(failure)
        return buffer.view[:length]

    async def in_thread(self, function: Callable[[], _Result], limiter: trio.CapacityLimiter | None = None) -> _Result:
        """Call what may take a while, in one of the threads of `limiter`.

        Raises:
            FUSEError: it failed.
        """
        try:
            return await self._in_thread(function, limiter=limiter, abandon_on_cancel=True)
        except _FAULTS as fault:
            self._fail(fault)

    async def written(self, write: Callable[[], None]) -> None:
        """Write in a thread.

        Raises:
            FUSEError: it failed; a full disk is told as such.
        """
        try:
            await self._in_thread(write)
        except OSError as fault:
            log.error("%s", fault)
            raise FUSEError(fault.errno or errno.EIO) from fault
        except _FAULTS as fault:
            self._fail(fault)

    async def _in_thread(self, function: Callable[..., _Result], *arguments: Any, **settings: Any) -> _Result:
        """Do as `trio.to_thread.run_sync`, and count."""
        self.n_waiting += 1
        try:
            return await trio.to_thread.run_sync(function, *arguments, **settings)
        finally:
            self.n_waiting -= 1

    def _fail(self, fault: Exception) -> NoReturn:
        """Answer `EIO`, and say why once."""
        expected = isinstance(fault, (RaidfsError, OSError))
        sentence = str(fault) if expected else f"a bug in raidfs, please report it: {type(fault).__name__}: {fault}"
        if sentence not in self._logged and len(self._logged) < _SENTENCES:
            self._logged.add(sentence)
            log.error("%s", sentence, exc_info=None if expected else fault)
        raise FUSEError(errno.EIO) from fault


class Buffer:
    """Zeroed memory that starts on a page.

    Attributes:
        array: uint8 (length,), for sources to fill.
        view: the same bytes, for replies: slicing it copies nothing.
    """

    def __init__(self, length: int) -> None:
        """Take `length` bytes."""
        self.array: NDArray[np.uint8] = np.frombuffer(mmap.mmap(-1, length), dtype=np.uint8)
        self.view = self.array.data
