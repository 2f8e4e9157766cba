"""A file system whose reader works in a process of its own: asked in turn, given its bytes, bounded, and replaced.

The worker is started when it is first needed, and again after it died: by a crash, for using too much memory or because
it took too long. What was asked then fails; whoever comes next gets an answer again. While it works, the thread that
asked hands it the bytes that it wants, from the block source; lost ones as lost, so that nothing is taken for zeros.

Threading: may be used from several threads at once; the worker serves one after the other.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from raidfs.block import BlockSource, one_request
from raidfs.errors import Lost, RaidfsError, Unreadable
from raidfs.filesystem import wire
from raidfs.filesystem.entry import Contents, Name, Record, Usage
from raidfs.filesystem.wire import Garbled, Message

_Value = TypeVar("_Value")

PATIENCE = 10.0
"""Seconds that the worker may take for one request, besides waiting for us."""
_LONGEST_REQUEST = 120.0
"""Seconds for one request, waiting for members included."""
_LARGEST_NEED = 1 << 20
_MOST_PIECES = 1 << 20
"""Pieces of a file that are kept, of some 200 bytes each."""
_PACKAGE = str(Path(__file__).parents[2])


class TooMany(Unreadable):
    """A file lies in more pieces than can be kept: only its reader can give its bytes."""


@dataclass(frozen=True)
class Page:
    """Some of the entries of a directory.

    Attributes:
        entries: each with its record, as far as that was had.
        total: number of all entries of the directory.
        lost: bytes of the directory that are lost or make no sense.
    """

    entries: tuple[tuple[Name, Record | None], ...]
    total: int
    lost: int


class RemoteFileSystem:
    """One file system on a block source; everything may raise `Unreadable`."""

    def __init__(
        self, kind: str, source: BlockSource, patience: float = PATIENCE, module: str = "raidfs.filesystem.worker"
    ) -> None:
        """Start nothing yet.

        Args:
            kind: as `raidfs.view.probe` names it.
            source: its bytes.
            patience: seconds that the worker may take for one request.
            module: what the worker runs.
        """
        self.kind = kind
        self.source = source
        self._patience = patience
        self._module = module
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._opened: tuple[int, Usage] | None = None
        self.deaths = 0

    @property
    def root(self) -> int:
        """The inode of the root."""
        return self._open()[0]

    @property
    def root_at_once(self) -> int | None:
        """The same, if it was told before."""
        return None if self._opened is None else self._opened[0]

    def usage(self) -> Usage:
        """Return how full it is."""
        return self._open()[1]

    def page(self, inode: int, start: int, count: int) -> Page:
        """Return entries of a directory from number `start` on; without records where those cannot be had in time."""
        request = {"op": "list", "inode": inode, "start": start, "count": count, "full": True}
        deaths = self.deaths
        try:
            answer, _ = self._ask(request)
        except Unreadable:
            if self.deaths == deaths:
                raise
            # some entry may have been too much: by itself it will fail alone
            answer, _ = self._ask({**request, "full": False})
        return _understood(lambda: _page(answer))

    def find(self, inode: int, name: bytes) -> tuple[int, Record] | None:
        """Return where a name in a directory leads; None: it is not there.

        Raises:
            Lost: it is not there, but parts of the directory are lost.
        """
        answer, _ = self._ask({"op": "find", "inode": inode, "name": wire.text_of(name)})
        if answer.get("inode") is None:
            if answer.get("lost"):
                raise Lost("parts of the directory are lost, so nobody knows whether it has this name")
            return None
        return _understood(lambda: (int(answer["inode"]), wire.unpack_record(answer["record"])))

    def record(self, inode: int) -> Record:
        """Return what can be told about an inode."""
        answer, _ = self._ask({"op": "record", "inode": inode})
        return _understood(lambda: wire.unpack_record(answer["record"]))

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie.

        Raises:
            TooMany: in more pieces than can be kept.
        """
        parts: list[Contents] = []
        rest: int | None = 0
        while rest is not None:
            if sum(len(each.runs) + len(each.packed) for each in parts) > _MOST_PIECES:
                raise TooMany(f"it lies in more than {_MOST_PIECES} pieces, which are too many to look at")
            part, rest = self.part(inode, rest)
            parts.append(part)
        runs = tuple(chain.from_iterable(each.runs for each in parts))
        packed = tuple(chain.from_iterable(each.packed for each in parts))
        twins = tuple(chain.from_iterable(each.twins for each in parts))
        return Contents(runs, parts[0].inline, any(each.through for each in parts), packed, twins)

    def part(self, inode: int, start: int = 0) -> tuple[Contents, int | None]:
        """Return where the bytes of a file lie from `start` on, and where the rest begins, if there is one."""
        answer, _ = self._ask({"op": "contents", "inode": inode, "start": start})
        contents, rest = _understood(
            lambda: (wire.unpack_contents(answer["contents"]), None if answer["rest"] is None else int(answer["rest"]))
        )
        if rest is not None and rest <= start:
            raise Unreadable("the reader's answer makes no sense")
        return contents, rest

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        return self._ask({"op": "target", "inode": inode})[1]

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the extended attributes of an inode."""
        answer, _ = self._ask({"op": "xattrs", "inode": inode})
        return _understood(
            lambda: {wire.bytes_of(name): wire.bytes_of(value) for name, value in answer["xattrs"].items()}
        )

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return bytes of a file through the reader."""
        data = self._ask({"op": "read", "inode": inode, "offset": offset, "length": length})[1]
        if len(data) != length:
            raise Unreadable(f"the reader gave {len(data)} bytes instead of {length}")
        return data

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._end()

    def _open(self) -> tuple[int, Usage]:
        if self._opened is None:
            answer, _ = self._ask({"op": "open"})
            self._opened = _understood(lambda: (int(answer["root"]), Usage(*map(int, answer["usage"]))))
        return self._opened

    def _ask(self, request: Message) -> tuple[Message, bytes]:
        """Send one request, serve what the worker needs for it, and return the answer."""
        with self._lock:
            try:
                if self._worker is None:
                    self._worker = _Worker(self._module, self.kind, self.source.size)
                answer, data = _converse(self._worker.channel, request, self.source, self._patience)
            except (EOFError, OSError, Garbled, MemoryError) as error:
                self._end()
                self.deaths += 1
                what = request["op"]
                how = "took too long" if isinstance(error, TimeoutError) else f"died ({_reason(error)})"
                raise Unreadable(f"the reader of {self.kind} {how} at {what} of {request.get('inode', '')}") from None
        if "why" in answer:
            raise Unreadable(str(answer["why"]))
        return answer, data

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


class _Worker:
    """A running worker and the socket to it."""

    def __init__(self, module: str, kind: str, size: int) -> None:
        self.channel, theirs = socket.socketpair()
        paths = os.pathsep.join(filter(None, (_PACKAGE, os.environ.get("PYTHONPATH"))))
        # one thread: more would each take address space, of which there is a limit
        environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        # not from the working directory: a folder of the user may have the name of a module
        command = [sys.executable, "-P", "-m", module, kind]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own program, and no shell
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        wire.send(self.channel, {"size": size})

    def end(self) -> None:
        """Kill it: it has nothing to lose."""
        self.channel.close()
        with suppress(OSError):
            self._process.kill()
        self._process.wait()


def _converse(channel: socket.socket, request: Message, source: BlockSource, patience: float) -> tuple[Message, bytes]:
    """Send a request, hand over the bytes that it needs, and return the answer."""
    began = time.monotonic()
    left = patience
    wire.send(channel, request)
    while True:
        waited_from = time.monotonic()
        channel.settimeout(max(left, 0.01))
        answer, data = wire.receive(channel)
        now = time.monotonic()
        left -= now - waited_from
        if left <= 0 or now - began > _LONGEST_REQUEST:
            raise TimeoutError
        need = answer.get("need")
        if need is None:
            return answer, data
        try:
            offset, length = map(int, need)
        except (TypeError, ValueError) as error:
            raise Garbled("the worker asked for something odd") from error
        if not (0 <= offset and 0 < length <= _LARGEST_NEED and offset + length <= source.size):
            raise Garbled("the worker asked for what is not there")
        wire.send(channel, *_bytes(source, offset, length))


def _bytes(source: BlockSource, offset: int, length: int) -> tuple[Message, memoryview]:
    """Read for the worker; what is lost is told, and so is everything where the source has gone."""
    out = np.zeros(length, dtype=np.uint8)
    try:
        lost = [list(each) for each in source.read_into(one_request(offset, length), out)]
    except RaidfsError:
        lost = [[0, length]]
    return {"lost": lost}, out.data


def _page(answer: Message) -> Page:
    entries = []
    for text, inode, kind, packed in answer["entries"]:
        name = wire.bytes_of(text)
        if not name or b"/" in name or b"\0" in name or name in (b".", b"..") or not 0 < inode <= wire.LARGEST_INODE:
            raise Garbled("an entry that cannot be one")
        entries.append((Name(name, int(inode), int(kind)), None if packed is None else wire.unpack_record(packed)))
    return Page(tuple(entries), int(answer["total"]), int(answer["lost"]))


def _understood(make: Callable[[], _Value]) -> _Value:
    """Take an answer apart; it may say anything."""
    try:
        return make()
    except (LookupError, TypeError, ValueError, AttributeError, Garbled) as error:
        raise Unreadable("the reader's answer makes no sense") from error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
