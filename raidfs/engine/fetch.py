"""Running the reads of a plan: one thread and queue per member, so that a slow or hanging one delays no other.

A read that is not answered by its deadline counts, for this request, as failed; its late answer goes into memory of its
own and is dropped. A member that still owes an answer is not asked again until it has given it. Whether it is still the
member that was opened is asked in the same thread and before the same deadline, for that may hang, too.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests
from raidfs.engine.damage import UNREADABLE
from raidfs.errors import SourceChanged, SourceError, SourceGone
from raidfs.extents import Extents

EVERYTHING = Extents.span(0, 1 << 62)
"""Every byte of any image."""
_FAREWELL = 1.0
"""Seconds that a member's thread is given to end."""


@runtime_checkable
class FileSource(Protocol):
    """A source whose bytes are a plain file's or device's, readable through its descriptor."""

    @property
    def fd(self) -> int:
        """File descriptor, open for reading."""

    @property
    def base(self) -> int:
        """Where the source begins in that file [bytes]."""

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when the file is no longer what was opened."""


@dataclass(frozen=True)
class Failure:
    """Reads that brought no data.

    Attributes:
        source: index of the source.
        extents: [image bytes].
        lasting: the bytes are lost for good; else only for this request (the member did not answer in time).
        reason: why they are lost for good.
    """

    source: int
    extents: Extents
    lasting: bool
    reason: str = UNREADABLE


@dataclass
class _Job:
    """The reads of one request from one source.

    Attributes:
        requests: what is read.
        length: of the memory for it [bytes].
        data: uint8 (length,): what was read.
        lost: the parts of it that are not data.
        gone: nothing was read.
        erased: why nothing of the source is to be used any more, or ''.
        bug: what should not have happened.
        done: set once the rest is final.
    """

    requests: Requests
    length: int
    data: NDArray[np.uint8] = field(init=False)
    lost: Extents = field(init=False, default_factory=Extents)
    gone: bool = False
    erased: str = ""
    bug: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


class MemberReader:
    """Reads one source in a thread of its own, started at the first read.

    Attributes:
        erased: why nothing of the source is to be used any more, as a read has found; else ''.
    """

    def __init__(self, source: BlockSource, check: Callable[[], None] | None = None) -> None:
        """Wrap a source; nothing is started yet.

        Args:
            source: what is read.
            check: called after each read; raises `SourceChanged` or `SourceGone` if nothing of it is to be used.
        """
        self._source = source
        self._check = check
        self.erased = ""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._overdue: _Job | None = None

    def submit(self, requests: Requests, length: int) -> _Job | None:
        """Queue reads into fresh memory of `length` bytes; None: the member still owes an answer to an overdue read."""
        with self._lock:
            if self._overdue is not None:
                if not self._overdue.done.is_set():
                    return None
                self._overdue = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="raidfs-member", daemon=True)
                self._thread.start()
        job = _Job(requests, length)
        self._jobs.put(job)
        return job

    def wait(self, job: _Job, deadline: float) -> bool:
        """Wait for a job until `deadline` (time.monotonic); False: not in time, and the member is overdue now."""
        if job.done.wait(max(0.0, deadline - time.monotonic())):
            return True
        with self._lock:
            self._overdue = job
        return False

    def close(self) -> None:
        """Let the thread end after what is queued; a member that hangs is not waited for."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(_FAREWELL)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._answer(job)
            except (SourceChanged, SourceGone) as error:
                job.erased = self.erased = str(error)
            except Exception as error:  # noqa: BLE001  # raised where somebody waits; here it would only end the thread
                job.bug = error
            job.done.set()

    def _answer(self, job: _Job) -> None:
        job.data = np.empty(job.length, dtype=np.uint8)
        try:
            job.lost = self._source.read_into(job.requests, job.data)
        except (SourceChanged, SourceGone):
            raise
        except SourceError:
            job.gone = True
        if self._check is not None:
            self._check()


class PatientSource:
    """A member for whoever reads it in other ways than by a plan; what does not answer in time is lost to that reader.

    Attributes:
        overdue: parts that did not answer in time [image bytes]; these are not lost for good.
    """

    def __init__(self, source: BlockSource, reader: MemberReader, patience: float) -> None:
        """Wrap a source; `patience` [s] is that of each call."""
        self._source = source
        self._reader = reader
        self._patience = patience
        self._lock = threading.Lock()
        self.overdue = Extents()

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._source.size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`. A source that is gone, or has changed, is lost as a whole."""
        ends = np.cumsum(requests[:, 1])
        packed = np.stack((requests[:, 0], requests[:, 1], ends - requests[:, 1]), axis=1)
        deadline = time.monotonic() + self._patience
        job = self._reader.submit(packed, int(ends[-1]) if len(ends) else 0)
        in_time = job is not None and self._reader.wait(job, deadline)
        if job is not None and in_time and job.bug is not None:
            raise job.bug
        if job is None or not in_time or job.gone or job.erased:
            if not in_time:
                asked = Extents(np.stack((requests[:, 0], requests[:, 0] + requests[:, 1]), axis=1))
                with self._lock:
                    self.overdue = self.overdue.union(asked)
            for _, length, position in requests.tolist():
                out[position : position + length] = 0
            return Extents(np.stack((requests[:, 2], requests[:, 2] + requests[:, 1]), axis=1))
        lost = []
        for (_, length, position), at in zip(requests.tolist(), packed[:, 2].tolist(), strict=True):
            out[position : position + length] = job.data[at : at + length]
            if job.lost:
                lost.append(job.lost.clip(at, at + length).shift(position - at))
        return Extents().union(*lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        return self._source.known_losses(start, stop)


class PatientFile(PatientSource):
    """The same of a plain file, which may also be read through its descriptor."""

    def __init__(self, source: BlockSource, file: FileSource, reader: MemberReader, patience: float) -> None:
        """Wrap a source that is that file."""
        super().__init__(source, reader, patience)
        self._file = file

    @property
    def fd(self) -> int:
        """File descriptor, open for reading."""
        return self._file.fd

    @property
    def base(self) -> int:
        """Where the source begins in that file [bytes]."""
        return self._file.base

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when the file is no longer what was opened."""
        self._file.assert_unchanged()


def answers_at_once(source: BlockSource) -> bool:
    """Tell whether some reads of a source may be answered without waiting: its file system knows `RWF_NOWAIT`.

    Such a one does not hang when it is asked for sizes and times either; network and FUSE file systems do.
    """
    if not isinstance(source, FileSource):
        return False
    try:
        os.preadv(source.fd, [bytearray(1)], source.base, os.RWF_NOWAIT)
    except OSError as error:
        return error.errno != errno.EOPNOTSUPP
    return True


def patient(source: BlockSource, reader: MemberReader, patience: float) -> PatientSource:
    """Wrap a source so that nobody waits for it longer than `patience` [s]."""
    if isinstance(source, FileSource):
        return PatientFile(source, source, reader, patience)
    return PatientSource(source, reader, patience)


def run_reads(
    readers: Sequence[MemberReader], reads: NDArray[np.int64], arena: NDArray[np.uint8], patience: float
) -> list[Failure]:
    """Fill the arena.

    Args:
        readers: by source.
        reads: int64 (k, 4): source, offset [image bytes], length [bytes], position [arena bytes].
        arena: uint8 (m,).
        patience: seconds until a read counts as failed.

    Returns:
        What failed; empty: everything is in the arena.
    """
    deadline = time.monotonic() + patience
    pending = []
    failures = []
    for source in np.unique(reads[:, 0]).tolist():
        mine = reads[reads[:, 0] == source]
        ends = np.cumsum(mine[:, 2])
        requests = np.stack((mine[:, 1], mine[:, 2], ends - mine[:, 2]), axis=1)
        pending.append((source, mine, requests, readers[source].submit(requests, int(ends[-1]))))
    for source, mine, requests, job in pending:
        asked = Extents(np.stack((mine[:, 1], mine[:, 1] + mine[:, 2]), axis=1))
        if job is None or not readers[source].wait(job, deadline):
            failures.append(Failure(source, asked, lasting=False))
        elif job.bug is not None:
            raise job.bug
        elif job.erased:
            failures.append(Failure(source, EVERYTHING, lasting=True, reason=job.erased))
        elif job.gone:
            failures.append(Failure(source, asked, lasting=True))
        elif job.lost:
            failures.append(Failure(source, _image_extents(job.lost, requests), lasting=True))
        else:
            for (_, _, length, position), at in zip(mine.tolist(), requests[:, 2].tolist(), strict=True):
                arena[position : position + length] = job.data[at : at + length]
    return failures


def _image_extents(lost: Extents, requests: Requests) -> Extents:
    """Translate losses from buffer to image bytes."""
    found = Extents()
    for offset, length, position in requests.tolist():
        found = found.union(lost.clip(position, position + length).shift(offset - position))
    return found
