"""A writable layer over a source: what is written goes into a sparse file, and the source is never touched.

    file      | header | map: a bit for each block | the blocks that were written, at their own places |
                 4 KiB    1 bit for 4 KiB             as large as the source, all else are holes

It keeps what it was given as a disk with a write cache does: what was written before a `flush` is there ever after;
what was written since may be lost if raidfs or the machine stops, block by block, and then is what it was before: the
map learns of a block after its contents have reached the disk.

Threading: may be read and written from several threads at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests, check_requests, nowait_of, one_request
from raidfs.errors import OutputError
from raidfs.extents import Extents
from raidfs.units import align_up, format_size

BLOCK = 4096
"""Bytes that are written together."""
_MAGIC = b"raidfs overlay 1\n"
_PAGE = 4096
"""Bytes of the map that are kept and written together: those of 128 MiB."""
_SPAN = _PAGE * 8 * BLOCK
_FAILED = (errno.EIO, errno.ENODATA, errno.EILSEQ)


class Overlay:
    """A `BlockSource` that can be written.

    Attributes:
        path: the file that holds what is written.
    """

    def __init__(
        self, source: BlockSource, path: str, identity: str, protected: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Open the file, or make it.

        Args:
            source: what lies below.
            path: the file; a new one, an empty one, or one that was made for the same source.
            identity: of the source: never the same for two that differ.
            protected: (st_dev, st_ino) of files that must never be written, whatever was asked.

        Raises:
            OutputError: the file cannot be used for this.
        """
        self.path = path
        self._source = source
        self._nowait = nowait_of(source)
        self._data_start = _PAGE + align_up(-(-source.size // (8 * BLOCK)), _PAGE)
        self._lock = threading.Lock()
        self._pages: dict[int, NDArray[np.uint8]] = {}
        self._dirty: set[int] = set()
        header = json.dumps({"identity": identity, "size": source.size, "block": BLOCK}, sort_keys=True)
        self._header = (_MAGIC + header.encode() + b"\n").ljust(_PAGE, b"\0")
        if len(self._header) > _PAGE:
            raise ValueError("the identity is too long")
        self._fd = self._open(set(protected))
        try:
            self._begin(identity)
        except BaseException:
            os.close(self._fd)
            raise

    def _failure(self, reason: str) -> OutputError:
        return OutputError(f"cannot use {self.path} as an overlay: {reason}")

    def _open(self, protected: set[tuple[int, int]]) -> int:
        try:
            with contextlib.suppress(FileNotFoundError):  # what is not ours is not even opened for writing
                self._refuse(os.stat(self.path), protected)
                self._look()
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise self._failure(error.strerror or str(error)) from error
        try:
            self._refuse(os.fstat(fd), protected)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise self._failure("another mount uses it") from error
        except OutputError:
            os.close(fd)
            raise
        return fd

    def _look(self) -> None:
        """Refuse a file that holds something else: it may be a disk that is no member now."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.pread(fd, len(_MAGIC), 0)
        finally:
            os.close(fd)
        if found and found != _MAGIC:
            raise self._failure("it holds something else; name a new file")

    def _refuse(self, status: os.stat_result, protected: set[tuple[int, int]]) -> None:
        if (status.st_dev, status.st_ino) in protected:
            raise self._failure("it is one of the members, which are never written")
        if not stat.S_ISREG(status.st_mode):
            raise self._failure("it is no regular file")

    def _begin(self, identity: str) -> None:
        """Check what the file is, or make it one; then read its map."""
        size = self._data_start + self._source.size
        try:
            found = os.pread(self._fd, _PAGE, 0)
            if not found:
                os.ftruncate(self._fd, size)
                os.pwrite(self._fd, self._header, 0)
                os.fsync(self._fd)
            elif found != self._header:
                raise self._failure(_difference(found, identity, self._source.size))
            elif os.fstat(self._fd).st_size != size:
                raise self._failure("it was cut, or is not complete")
            self._load()
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.EFBIG:
                reason = (
                    f"its file system has no files of {format_size(size)}, which is what it would look like;"
                    " XFS, btrfs and tmpfs have"
                )
            raise self._failure(reason) from error

    def _load(self) -> None:
        """Read those pages of the map that are no holes."""
        at = _PAGE
        while at < self._data_start:
            try:
                at = os.lseek(self._fd, at, os.SEEK_DATA) // _PAGE * _PAGE
            except OSError as error:
                if error.errno == errno.ENXIO:  # there are only holes
                    return
                raise
            if at >= self._data_start:
                return
            page = np.frombuffer(bytearray(os.pread(self._fd, _PAGE, at).ljust(_PAGE, b"\0")), dtype=np.uint8)
            if page.any():
                self._pages[at // _PAGE - 1] = page
            at += _PAGE

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._source.size

    @property
    def n_written(self) -> int:
        """How much is kept in the file [bytes]."""
        with self._lock:
            return sum(int(np.bitwise_count(page).sum()) for page in self._pages.values()) * BLOCK

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        below: list[tuple[int, int, int]] = []
        lost: list[Extents] = []
        for offset, length, position in check_requests(requests, self.size, len(out)):
            for start, stop, is_written in self._runs(offset, offset + length):
                at = position + start - offset
                if not is_written:
                    below.append((start, stop - start, at))
                elif not self._read_file(start, out[at : at + stop - start]):
                    out[at : at + stop - start] = 0
                    lost.append(Extents.span(at, at + stop - start))
        if below:
            lost.append(self._source.read_into(np.array(below, dtype=np.int64), out))
        return Extents().union(*lost)

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` on if that needs no waiting; else return False."""
        for start, stop, is_written in self._runs(offset, offset + len(out)):
            part = out[start - offset : stop - offset]
            if is_written:
                try:
                    if os.preadv(self._fd, [part.data], self._data_start + start, os.RWF_NOWAIT) != len(part):
                        return False
                except OSError:
                    return False
            elif self._nowait is None or not self._nowait.try_read_into(start, part):
                return False
        return True

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop): of the source, where nothing was written."""
        lost = self._source.known_losses(start, stop)
        if not lost:
            return lost
        return lost.difference(
            Extents((begin, end) for begin, end, is_written in self._runs(start, stop) if is_written)
        )

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write [offset, offset + len(data)).

        Blocks that are not covered whole are completed with what lies below.

        Raises:
            ValueError: it is outside the source: the caller's bug.
            OutputError: a block would have to be completed with bytes that are lost.
            OSError: the file cannot be written: its disk is full, or fails.
        """
        stop = offset + len(data)
        if not 0 <= offset <= stop <= self.size:
            raise ValueError(f"[{offset}, {stop}) outside a source of {self.size} bytes")
        if not data:
            return
        first, last = offset // BLOCK * BLOCK, min(align_up(stop, BLOCK), self.size)
        with self._lock:
            head = self._completion(first, offset, first)
            tail = self._completion(stop, last, last - 1)
            whole = b"".join((head, data, tail))
            at = self._data_start + first
            while whole:  # what was written of a block that is not in the map yet does not count
                n_written = os.pwrite(self._fd, whole, at)
                whole, at = whole[n_written:], at + n_written
            self._note(first // BLOCK, -(-last // BLOCK))

    def _completion(self, start: int, stop: int, inside: int) -> bytes:
        """Return what [start, stop) holds; nothing where the block around it was written and keeps it anyway."""
        out = np.empty(stop - start, dtype=np.uint8)
        if not len(out):
            return b""
        if self._is_written(inside // BLOCK):
            if not self._read_file(start, out):
                raise OSError(errno.EIO, "the overlay cannot be read")
        elif self._source.read_into(one_request(start, stop - start), out):
            raise OutputError(
                f"bytes {start} to {stop} cannot be read, and would have to complete a block of the overlay"
            )
        return out.tobytes()

    def flush(self) -> None:
        """Make what was written last.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            os.fdatasync(self._fd)
            for number in sorted(self._dirty):
                os.pwrite(self._fd, self._pages[number].tobytes(), (number + 1) * _PAGE)
            os.fdatasync(self._fd)
            self._dirty.clear()

    def close(self) -> None:
        """Flush, and close the file; it cannot be used any more.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            self.flush()
        finally:
            os.close(self._fd)

    def _read_file(self, start: int, out: NDArray[np.uint8]) -> bool:
        """Read what was written; False where the file cannot be read."""
        view = out.data
        while view:
            try:
                n_read = os.preadv(self._fd, [view], self._data_start + start)
            except OSError as error:
                if error.errno in _FAILED:
                    return False
                raise
            if not n_read:
                return False
            view, start = view[n_read:], start + n_read
        return True

    # ------------------------------------------------------------------------------------------------------- the map

    def _note(self, first: int, stop: int) -> None:
        """Take blocks [first, stop) into the map; the caller has the lock."""
        per_page = _PAGE * 8
        for number in range(first // per_page, -(-stop // per_page)):
            page = self._pages.get(number)
            bits = np.zeros(per_page, dtype=np.uint8) if page is None else np.unpackbits(page, bitorder="little")
            bits[max(0, first - number * per_page) : stop - number * per_page] = 1
            self._pages[number] = np.packbits(bits, bitorder="little")  # a new one: readers may have the old one
            self._dirty.add(number)

    def _is_written(self, block: int) -> bool:
        page = self._pages.get(block // (_PAGE * 8))
        at = block % (_PAGE * 8)
        return page is not None and bool(page[at // 8] >> (at % 8) & 1)

    def _runs(self, start: int, stop: int) -> Iterator[tuple[int, int, bool]]:
        """Yield (start, stop, whether it was written) of the runs in [start, stop)."""
        if start // _SPAN == (stop - 1) // _SPAN and start // _SPAN not in self._pages:
            yield from ((start, stop, False),) if start < stop else ()
            return
        while start < stop:
            number = start // _SPAN
            end = min(stop, (number + 1) * _SPAN)
            page = self._pages.get(number)
            first, last = start // BLOCK - number * _PAGE * 8, -(-end // BLOCK) - number * _PAGE * 8
            bits = np.zeros(0, dtype=np.uint8)
            if page is not None:
                bits = np.unpackbits(page[first // 8 : -(-last // 8)], bitorder="little")[first % 8 :][: last - first]
            cuts = (np.flatnonzero(np.diff(bits)) + 1 + start // BLOCK) * BLOCK
            bounds = [start, *cuts.tolist(), end]
            is_written = len(bits) > 0 and bool(bits[0])
            for begin, until in pairwise(bounds):
                yield begin, until, is_written
                is_written = not is_written
            start = end


def _difference(found: bytes, identity: str, size: int) -> str:
    """Say why a file is not the overlay that is wanted."""
    if not found.startswith(_MAGIC):
        return "it holds something else; name a new file"
    told = None
    with contextlib.suppress(ValueError):
        told = json.loads(found[len(_MAGIC) :].split(b"\n")[0])
    if not isinstance(told, dict):
        return "its header is damaged"
    if told.get("identity") != identity:
        return f"it was made for another array ({told.get('identity')})"
    if told.get("size") != size:
        return f"it was made for an array of {told.get('size')} bytes, this one has {size}"
    return "it was made by another version of raidfs"
