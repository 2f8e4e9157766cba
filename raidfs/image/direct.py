"""Reads of a block device past the page cache, so that one bad sector does not take the rest of its page with it.

A second descriptor of the same open device, `O_RDONLY | O_DIRECT`; made when it is first needed. Offsets, lengths and
memory are aligned to the logical block size, as open(2) demands.

Threading: one read at a time.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Callable

from raidfs.image.isolate import PAGE
from raidfs.units import align_down, align_up

Reader = Callable[[int, list[memoryview], int], int]
"""Reads from a file descriptor into buffers at an offset, like `os.preadv`."""

_REFUSED = frozenset((errno.EINVAL, errno.EOPNOTSUPP))
"""How a device says that it cannot be read so."""


def open_again(fd: int) -> int:
    """Open what `fd` is of once more, for direct reads; by way of /proc, for its name may mean something else by now.

    Raises:
        OSError: it cannot be read so.
    """
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)


class DirectReader:
    """Reads small pieces of a device directly, or through the page cache where that is not possible."""

    def __init__(
        self, fd: int, unit: int, reader: Reader = os.preadv, reopen: Callable[[int], int] = open_again
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            fd: of the device.
            unit: its logical block size [bytes].
            reader: what reads; for tests.
            reopen: what opens the second descriptor; for tests.
        """
        self._fd = fd
        self._unit = unit
        self._reader = reader
        self._reopen = reopen
        self._lock = threading.Lock()
        self._direct_fd: int | None = None
        self._buffer: mmap.mmap | None = None  # anonymous memory begins at a page
        self._is_refused = False

    def read(self, offset: int, target: memoryview) -> int:
        """Read at most a page (or a logical block, where that is larger) from `offset` [bytes] on.

        Returns:
            Number of bytes; 0 at the end.

        Raises:
            OSError: of the device.
        """
        with self._lock:
            if self._can_be_used():
                try:
                    return self._read_aligned(offset, target)
                except OSError as error:
                    if error.errno not in _REFUSED:
                        raise
                    self._is_refused = True
        return self._reader(self._fd, [target], offset)

    def close(self) -> None:
        """Close the second descriptor; while a read hangs it stays open, and nobody waits for that."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._direct_fd is not None:
                os.close(self._direct_fd)
                self._direct_fd = None
            self._is_refused = True
        finally:
            self._lock.release()

    def _can_be_used(self) -> bool:
        if self._direct_fd is None and not self._is_refused:
            try:
                self._direct_fd = self._reopen(self._fd)
            except OSError:
                self._is_refused = True
        return not self._is_refused

    def _read_aligned(self, offset: int, target: memoryview) -> int:
        assert self._direct_fd is not None
        if self._buffer is None:
            self._buffer = mmap.mmap(-1, 2 * max(PAGE, self._unit))
        start = align_down(offset, self._unit)
        stop = align_up(min(offset + len(target), start + len(self._buffer)), self._unit)
        with memoryview(self._buffer) as whole, whole[: stop - start] as part:
            n_read = self._reader(self._direct_fd, [part], start)
            n_wanted = min(len(target), n_read - (offset - start))
            if n_read and n_wanted <= 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))  # it stopped within the block that was asked for
            target[: max(0, n_wanted)] = part[offset - start : offset - start + max(0, n_wanted)]
        return max(0, n_wanted)
