"""Raw images: a regular file or a block device, byte for byte.

Opened read-only; read by position only, never mapped (a bad sector would be a signal, not an error). Bytes that cannot
be read are isolated (`raidfs.image.isolate`; on devices by direct reads), remembered and never asked for again. What is
known to be bad beforehand is declared, and treated alike: nobody gets these bytes, whichever way they are asked for.

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
from raidfs.errors import EmptySource, SourceChanged, SourceError, SourceGone
from raidfs.extents import Extents
from raidfs.image.direct import DirectReader, Reader
from raidfs.image.isolate import Budget, Losses, MediaError, Medium, halves, pages_then_units, read_around
from raidfs.units import SECTOR

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
        base: where it begins in that file: 0.
        is_regular: a regular file, not a block device.
    """

    def __init__(self, path: str, reader: Reader = os.preadv, sys: str = "/sys", budget: Budget | None = None) -> None:
        """Open the image.

        Args:
            path: of a regular file or a block device.
            reader: what reads; for tests.
            sys: where sysfs is mounted; for tests.
            budget: how often it may fail; for tests.

        Raises:
            EmptySource: it has no bytes; one sentence.
            SourceError: it cannot be opened, or is of another kind; one sentence.
        """
        self.path = path
        self.base = 0
        self._reader = reader
        self._sys = sys
        self._lock = threading.Lock()
        self._declared = Extents()
        self._found = Losses()
        self._losses = Extents()
        self._budget = Budget() if budget is None else budget
        self.fd = _open(path)
        try:
            self._opened = os.fstat(self.fd)
            self.is_regular = stat.S_ISREG(self._opened.st_mode)
            self._size = self._current_size()
            unit = SECTOR if self.is_regular else _logical_block_size(self._opened.st_rdev, sys)
            self._direct = None if self.is_regular else DirectReader(self.fd, unit, reader)
            cut = halves(unit) if self.is_regular else pages_then_units(unit)
            self._medium = Medium(self._read, cut, unit, self._size)
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
        known = self._losses
        listed = check_requests(requests, self._size, len(out))
        for (offset, length, position), is_whole in zip(listed, _are_whole(requests, known), strict=True):
            may_skip = is_whole and self._losses is known  # as long as nobody found more
            for start, stop in [(offset, offset + length)] if may_skip else self._readable(offset, length):
                self._read_range(start, stop, view[position + start - offset : position + stop - offset])
            if may_skip and self._losses is known:
                continue
            for start, stop in self._losses.clip(offset, offset + length).shift(position - offset):
                out[start:stop] = 0
                lost.append((start, stop))
        return Extents(lost)

    def _readable(self, offset: int, length: int) -> Extents:
        """Return what is not known to be lost."""
        return Extents.span(offset, offset + length).difference(self._losses.clip(offset, offset + length))

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what was declared lost, or could not be read so far, in [start, stop)."""
        return self._losses.clip(start, stop)

    def declare_lost(self, extents: Extents) -> None:
        """Take bytes as unreadable, without asking for them."""
        with self._lock:
            self._declared = self._declared.union(extents.clip(0, self._size))
            self._losses = self._declared.union(self._found.all)

    @property
    def found(self) -> Losses:
        """What could not be read so far; bytes that were declared lost are not among it."""
        return self._found

    @property
    def is_budget_used_up(self) -> bool:
        """Whether it failed so often, or for so long, that failures are no longer isolated."""
        return self._budget.is_used_up

    def _read_range(self, start: int, stop: int, target: memoryview) -> None:
        """Read [start, stop) into `target`, and remember what cannot be read."""
        lost = read_around(self._medium, start, stop, target, self._budget)
        if lost:
            with self._lock:
                self._found = self._found.union(lost)
                self._losses = self._declared.union(self._found.all)

    def _read(self, offset: int, target: memoryview, level: int) -> int:
        """Read once; pieces of a range that failed on a device are read directly."""
        try:
            if level and self._direct is not None:
                n_read = self._direct.read(offset, target)
            else:
                n_read = self._reader(self.fd, [target], offset)
            if n_read == 0 and offset < self._current_size():
                raise MediaError  # not its end
            return n_read
        except OSError as error:
            if error.errno in _MEDIA_ERRORS:
                raise MediaError from error
            raise SourceError(f"{self.path}: reading at {offset} bytes failed: {error.strerror}") from error

    def assert_unchanged(self) -> None:
        """Make sure that the image is still what was opened.

        A file that was deleted or replaced under its name stays readable through its descriptor: that is no change.

        Raises:
            SourceChanged: its size or modification time differ; one sentence.
            SourceGone: the device, or the file system that the file lies on, is gone; one sentence.
        """
        now = self._status()
        size = now.st_size if self.is_regular else self._current_size()
        if size == 0 and not self.is_regular:
            raise SourceGone(f"{self.path}: the device is gone")
        if size != self._size:
            raise SourceChanged(
                f"{self.path}: had {self._size} bytes when it was opened and has {size} now;"
                " stop whatever changes it, then start again"
            )
        if self.is_regular and now.st_mtime_ns != self._opened.st_mtime_ns:
            raise SourceChanged(
                f"{self.path}: was written to while it was read; stop whatever writes to it, then start again"
            )

    @property
    def mtime_ns(self) -> int:
        """Modification time as it is now; 0 for devices, which have none of their own.

        Raises:
            SourceGone: see `assert_unchanged`.
        """
        return self._status().st_mtime_ns if self.is_regular else 0

    def describe_inode(self) -> tuple[int, int]:
        """Return what two paths of the same image have in common: (st_dev, st_ino), for devices (-1, st_rdev)."""
        if self.is_regular:
            return self._opened.st_dev, self._opened.st_ino
        return -1, self._opened.st_rdev

    def close(self) -> None:
        """Close the descriptors; the image must not be read any more."""
        if self._direct is not None:
            self._direct.close()
        os.close(self.fd)

    def __enter__(self) -> Self:
        """Return the image; it is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the image."""
        self.close()

    def _status(self) -> os.stat_result:
        try:
            return os.fstat(self.fd)
        except OSError as error:
            raise SourceGone(f"{self.path}: is gone: {error.strerror}") from error

    def _current_size(self) -> int:
        """Return the size in bytes; 0 for a device that is gone."""
        if self.is_regular:
            return self._status().st_size
        return (_sysfs_number(self._opened.st_rdev, self._sys, ("size",)) or 0) * SECTOR


def _are_whole(requests: Requests, losses: Extents) -> list[bool]:
    """Tell in which requests nothing is lost."""
    starts = np.append(losses.array[:, 0], np.iinfo(np.int64).max)
    following = np.searchsorted(losses.array[:, 1], requests[:, 0], side="right")
    found: list[bool] = (starts[following] >= requests[:, 0] + requests[:, 1]).tolist()
    return found


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
