"""Raw images: a regular file or a block device, byte for byte.

Opened read-only; read by position only, never mapped (a bad sector would be a signal, not an error). Bytes that cannot
be read are found by bisection, remembered and never asked for again: a dying disk takes seconds for each failure.

Threading: may be read from several threads; the lock only guards what is remembered.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from raidfs.block import Requests, check_requests
from raidfs.errors import EmptySource, SourceChanged, SourceError
from raidfs.extents import Extents
from raidfs.units import SECTOR, align_down, align_up

Reader = Callable[[int, list[memoryview], int], int]
"""Reads from a file descriptor into buffers at an offset, like `os.preadv`."""

_MEDIA_ERRORS = frozenset(
    (
        errno.EIO,
        errno.ENODATA,
        errno.EILSEQ,
        errno.EREMOTEIO,
        errno.ETIMEDOUT,
        errno.ENOLINK,
        errno.EBADE,
        errno.EBADMSG,
        errno.EUCLEAN,
    )
)
"""How block layer (`blk-core.c: blk_errors`) and file systems report that some bytes cannot be had."""


class RawImage:
    """A `BlockSource` over a file or block device.

    Attributes:
        path: as given.
        fd: file descriptor, read-only; stays open until `close`.
        is_regular: a regular file, not a block device.
    """

    def __init__(self, path: str, reader: Reader = os.preadv, sys: str = "/sys") -> None:
        """Open the image.

        Args:
            path: of a regular file or a block device.
            reader: what reads; for tests.
            sys: where sysfs is mounted; for tests.

        Raises:
            EmptySource: it has no bytes; one sentence.
            SourceError: it cannot be opened, or is of another kind; one sentence.
        """
        self.path = path
        self._reader = reader
        self._sys = sys
        self._lock = threading.Lock()
        self._losses = Extents()
        self.fd = _open(path)
        try:
            self._opened = os.fstat(self.fd)
            self.is_regular = stat.S_ISREG(self._opened.st_mode)
            self._size = self._current_size()
            self._unit = SECTOR if self.is_regular else _logical_block_size(self._opened.st_rdev, sys)
            if self._size == 0:
                raise EmptySource(f"{path}: {_no_size(self.is_regular, sys)}")
        except SourceError:
            os.close(self.fd)
            raise

    @property
    def size(self) -> int:
        """Size in bytes, as it was when the image was opened."""
        return self._size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`. Bytes known to be lost are not asked for again."""
        view = out.data
        lost: list[tuple[int, int]] = []
        for offset, length, position in check_requests(requests, self._size, len(out)):
            readable = Extents.span(offset, offset + length).difference(self._losses) if self._losses else None
            for start, stop in [(offset, offset + length)] if readable is None else readable:
                self._read_range(start, stop, view[position + start - offset : position + stop - offset])
            for start, stop in self._losses.clip(offset, offset + length).shift(position - offset):
                out[start:stop] = 0
                lost.append((start, stop))
        return Extents(lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what could not be read so far in [start, stop)."""
        return self._losses.clip(start, stop)

    def _read_range(self, start: int, stop: int, target: memoryview) -> None:
        """Read [start, stop) into `target`, and remember what cannot be read."""
        pending, read_to = [(start, stop)], 0
        lost = []
        while pending:
            begin, end = pending.pop()
            here, is_end_of_file = self._read_while_possible(begin, end, target, start)
            read_to = here if here > begin else read_to
            if here == end:
                continue
            if is_end_of_file:
                lost.append((here, self._size))
            elif (middle := self._middle(here, end)) is None:
                first = max(align_down(here, self._unit), read_to)
                lost.append((first, min(align_up(end, self._unit), self._size)))
            else:
                pending += [(middle, end), (here, middle)]
        if lost:
            with self._lock:
                self._losses = self._losses.union(Extents(lost))

    def _read_while_possible(self, here: int, end: int, target: memoryview, start: int) -> tuple[int, bool]:
        """Read from `here` on; `target` begins at `start`.

        Returns:
            How far it came, and whether the file ended there; else, short of `end`, a media error stands there.
        """
        while here < end:
            try:
                n_read = self._reader(self.fd, [target[here - start : end - start]], here)
            except OSError as error:
                if error.errno in _MEDIA_ERRORS:
                    return here, False
                raise SourceError(f"{self.path}: reading at {here} bytes failed: {error.strerror}") from error
            if n_read == 0:
                return here, True
            here += n_read
        return here, False

    def _middle(self, start: int, stop: int) -> int | None:
        """Return where to cut a range that failed, on the unit in which the medium fails; None within one unit."""
        first, last = start // self._unit, (stop - 1) // self._unit
        return None if first == last else (first + last + 1) // 2 * self._unit

    def assert_unchanged(self) -> None:
        """Make sure that the image is still what was opened.

        A file that was deleted or replaced under its name stays readable through its descriptor: that is no change.

        Raises:
            SourceChanged: its size or modification time differ, or the device is gone; one sentence.
        """
        now = os.fstat(self.fd)
        size = now.st_size if self.is_regular else self._current_size()
        if size != self._size:
            raise SourceChanged(
                f"{self.path}: had {self._size} bytes when it was opened and has {size} now;"
                " stop whatever changes it, then start again"
            )
        if self.is_regular and now.st_mtime_ns != self._opened.st_mtime_ns:
            raise SourceChanged(
                f"{self.path}: was written to while it was read; stop whatever writes to it, then start again"
            )

    def describe_inode(self) -> tuple[int, int]:
        """Return what two paths of the same image have in common: (st_dev, st_ino), for devices (-1, st_rdev)."""
        if self.is_regular:
            return self._opened.st_dev, self._opened.st_ino
        return -1, self._opened.st_rdev

    def close(self) -> None:
        """Close the descriptor; the image must not be read any more."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        """Return the image; it is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the image."""
        self.close()

    def _current_size(self) -> int:
        """Return the size in bytes; 0 for a device that is gone."""
        if self.is_regular:
            return os.fstat(self.fd).st_size
        return (_sysfs_number(self._opened.st_rdev, self._sys, ("size",)) or 0) * SECTOR


def _open(path: str) -> int:
    """Open for reading, and only files and block devices: opening other kinds may wait or have effects."""
    try:
        mode = os.stat(path).st_mode
        kind = next((kind for is_kind, kind in _REFUSED_KINDS if is_kind(mode)), None)
        if kind is not None:
            raise SourceError(f"{path}: {kind}, neither an image file nor a block device")
        flags = os.O_RDONLY | os.O_CLOEXEC
        with suppress(PermissionError):
            return os.open(path, flags | os.O_NOATIME)
        return os.open(path, flags)
    except PermissionError as error:
        raise SourceError(f"{path}: may not be read ({error.strerror}); run as its owner or as root") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(f"{path}: cannot be opened: {reason}") from error


_REFUSED_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
)


def _no_size(is_regular: bool, sys: str) -> str:
    if is_regular:
        return "empty, so it holds nothing of a member; check how the image was made"
    return f"a block device without a size; check that it holds a medium and that {sys} is mounted"


def _logical_block_size(rdev: int, sys: str) -> int:
    """Return the unit in which a device reads and fails [bytes]."""
    names = ("queue/logical_block_size", "../queue/logical_block_size")
    return _sysfs_number(rdev, sys, names) or SECTOR


def _sysfs_number(rdev: int, sys: str, names: tuple[str, ...]) -> int | None:
    """Return the number in the first of a device's attributes that exists."""
    folder = Path(sys, "dev/block", f"{os.major(rdev)}:{os.minor(rdev)}")
    for text in _contents(folder, names):
        return int(text)
    return None


def _contents(folder: Path, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        with suppress(OSError):
            yield (folder / name).read_text()
