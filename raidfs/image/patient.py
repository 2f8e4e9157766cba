"""Members that are given so long to answer, and no longer: while an array is opened, nothing could replace them yet.

Once it is open, its reads have deadlines of their own (`raidfs.engine.fetch`).

Threading: each question is asked in a thread, which takes the next one when that was answered; so one that is never
answered keeps its thread, until the process ends. There are no idle ones when the process forks.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import ClassVar, Generic, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests, check_requests
from raidfs.errors import SourceSilent
from raidfs.extents import Extents

_Answer = TypeVar("_Answer")


class _Asker:
    """A thread that asks one question after the other: starting one takes longer than most answers."""

    idle: ClassVar[list[_Asker]] = []

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="raidfs-question", daemon=True)
        self._thread.start()

    @classmethod
    def any(cls) -> _Asker:
        """Return one that has nothing to do."""
        try:
            return cls.idle.pop()
        except IndexError:
            return cls()

    def do(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job()
            del job  # or what it uses would be kept until the next one

    @classmethod
    def end_idle(cls) -> None:
        """End those that have nothing to do."""
        while cls.idle:
            asker = cls.idle.pop()
            asker._jobs.put(None)
            asker._thread.join()


os.register_at_fork(before=_Asker.end_idle)


class _Question(Generic[_Answer]):
    """Something that is being asked, in a thread that does nothing else meanwhile."""

    def __init__(self, path: str, ask: Callable[[], _Answer]) -> None:
        self._path = path
        self._answers: queue.SimpleQueue[Callable[[], _Answer]] = queue.SimpleQueue()
        asker = _Asker.any()
        asker.do(partial(self._ask, asker, ask))

    def answer(self, seconds: float, deadline: float) -> _Answer:
        """Wait for the answer; see `in_time`. `seconds` is for the message, `deadline` is of time.monotonic."""
        try:
            given = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise SourceSilent(f"{self._path}: does not answer (waited {seconds:g} seconds for it)") from None
        return given()

    def _ask(self, asker: _Asker, ask: Callable[[], _Answer]) -> None:
        try:
            answer = ask()
        except Exception as error:  # noqa: BLE001  # raised where the answer is waited for
            given: Callable[[], _Answer] = partial(_raise, error)
        else:
            given = partial(_give, answer)
        # before the answer is there: whoever waits for it is the next to ask
        _Asker.idle.append(asker)
        self._answers.put(given)


def _give(answer: _Answer) -> _Answer:
    return answer


def _raise(error: Exception) -> NoReturn:
    raise error


def in_time(path: str, seconds: float, question: Callable[[], _Answer]) -> _Answer:
    """Ask what may never be answered.

    Args:
        path: of the member, for the message.
        seconds: to wait for the answer.
        question: called in a thread of its own, which may outlive us: what it uses must be its own.

    Returns:
        What `question` returns; what it raises is raised here.

    Raises:
        SourceSilent: there was no answer in time; one sentence.
    """
    return _Question(path, question).answer(seconds, time.monotonic() + seconds)


def silent_among(paths: Sequence[str], seconds: float) -> dict[str, SourceSilent]:
    """Find out which paths do not even tell what they are, asking all of them at once; what is missing does answer."""
    deadline = time.monotonic() + seconds
    found = {}
    for path, question in [(path, _Question(path, partial(os.path.exists, path))) for path in paths]:
        try:
            question.answer(seconds, deadline)
        except SourceSilent as silence:
            found[path] = silence
    return found


class TimedSource:
    """A `BlockSource` over one that may never answer.

    After a read that was not answered in time it is not asked again, and all its bytes are losses. As a context it
    raises this as `SourceSilent` at the end, for whoever has to know that they are not losses of the medium.
    """

    def __init__(self, path: str, source: BlockSource, seconds: float) -> None:
        """Wrap a source; see `in_time`."""
        self._path = path
        self._source = source
        self._seconds = seconds
        self._silence: SourceSilent | None = None

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise `SourceSilent` if it was."""
        if error is None and self._silence is not None:
            raise self._silence

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._source.size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        listed = check_requests(requests, self.size, len(out))
        if self._silence is None:
            own = requests.copy()
            try:
                data, lost = in_time(self._path, self._seconds, lambda: self._read(own, len(out)))
            except SourceSilent as silence:
                self._silence = silence
            else:
                for _, length, position in listed:
                    out[position : position + length] = data[position : position + length]
                return lost
        for _, length, position in listed:
            out[position : position + length] = 0
        return Extents([(position, position + length) for _, length, position in listed])

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        return self._source.known_losses(start, stop) if self._silence is None else Extents.span(start, stop)

    def _read(self, requests: Requests, length: int) -> tuple[NDArray[np.uint8], Extents]:
        """Read into memory of our own: it may take until nobody needs it any more."""
        data = np.empty(length, dtype=np.uint8)
        return data, self._source.read_into(requests, data)
