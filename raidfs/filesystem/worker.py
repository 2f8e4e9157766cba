"""The process that reads one file system: `python -m raidfs.filesystem.worker KIND`, with a socket for standard input.

It gets the bytes of the file system from the mount through that socket, and nothing else: it has no member, no mount,
no other descriptor. If a reader crashes, loops or takes too much memory, this process ends and no other.

    mount   {"op": "list", ...} ->              <- {"need": [offset, length]}    as often as the reader asks
            {"lost": [[start, stop], ...]} + bytes ->            <- {"entries": [...]} or {"why": "..."}
"""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import socket
import stat
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.filesystem import wire
from raidfs.filesystem.entry import Contents, Expecting, InParts, Names, Reader, Record
from raidfs.filesystem.kinds import open_reader
from raidfs.filesystem.wire import Message

MEMORY = 1 << 30
"""Address space of the process [bytes]."""
_CPU = 12
"""Seconds of computing for one request; the mount gives up earlier, this is for when there is no mount any more."""
_CHUNK = 1 << 16
_SECTOR = 512
_MOST_CHUNKS = 512
_MOST_NAMES = 400_000
"""Names of directories that are kept, besides those of the last one."""
_MOST_RUNS = 32
_MOST_AT_ONCE = 1 << 15
"""Pieces of a file that are told in one answer, where a reader can tell them in parts."""
_LARGEST_KEPT = 4096
"""Bytes of data, or of extended attributes, of one inode that go with its record; the mount keeps many of them."""
_TYPES = {stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFBLK, stat.S_IFREG, stat.S_IFLNK, stat.S_IFSOCK}
_ENOUGH = 2.0
"""Seconds after which the rest of a listing goes without attributes."""


class ChannelDevice:
    """A `Device` whose bytes come from the mount, in chunks, the last of which are kept."""

    def __init__(self, channel: socket.socket, size: int) -> None:
        """Ask through `channel` for a device of `size` bytes."""
        self.size = size
        self._channel = channel
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._torn: dict[int, tuple[bytes, list[list[int]]]] = {}

    def forget_losses(self) -> None:
        """Ask again for what was lost: a member that did not answer may do so the next time."""
        self._torn.clear()

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes; see `Device`."""
        if not (0 <= offset and 0 <= length <= self.size - offset):
            raise Damaged(f"bytes {offset} to {offset + length} are not on the device")
        first, last = offset // _CHUNK, (offset + length - 1) // _CHUNK
        if first == last:
            start = offset - first * _CHUNK
            return self._part(first, start, start + length)
        parts = []
        for number in range(first, last + 1):
            base = number * _CHUNK
            parts.append(self._part(number, max(offset - base, 0), min(offset + length - base, _CHUNK)))
        return b"".join(parts)

    def _part(self, number: int, start: int, stop: int) -> bytes:
        """Return bytes of one chunk."""
        kept = self._chunks.get(number)
        if kept is not None:
            self._chunks.move_to_end(number)
            return kept[start:stop]
        data, lost = self._torn[number] if number in self._torn else self._fetch(number)
        for begin, end in lost:
            if begin < stop and start < end:
                at = number * _CHUNK + max(begin, start)
                raise Lost(f"byte {at} of the file system is lost")
        return data[start:stop]

    def _fetch(self, number: int) -> tuple[bytes, list[list[int]]]:
        offset = number * _CHUNK
        wire.send(self._channel, {"need": [offset, min(_CHUNK, self.size - offset)]})
        told, data = wire.receive(self._channel)
        if told["lost"]:
            self._torn[number] = (data, told["lost"])
        else:
            self._chunks[number] = data
            if len(self._chunks) > _MOST_CHUNKS:
                self._chunks.popitem(last=False)
        return data, told["lost"]


class Desk:
    """Answers requests about one file system."""

    def __init__(self, reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask `reader`."""
        self._reader = reader
        self._in_parts = reader if isinstance(reader, InParts) else None
        self._clock = clock
        self._names: OrderedDict[int, tuple[Names, dict[bytes, int]]] = OrderedDict()

    def answer(self, request: Message) -> tuple[Message, bytes]:
        """Answer one request; raises `Unreadable`."""
        operation, inode = request["op"], request.get("inode", 0)
        if operation == "open":
            used = self._reader.usage()
            numbers = [used.block_size, used.blocks, used.free_blocks, used.inodes, used.free_inodes]
            return {"root": self._reader.root, "usage": numbers}, b""
        if operation == "list":
            return self._list(inode, request["start"], request["count"], full=request["full"]), b""
        if operation == "find":
            return self._find(inode, wire.bytes_of(request["name"])), b""
        if operation == "record":
            return {"record": wire.pack_record(self._record(inode))}, b""
        if operation == "contents":
            contents, rest = self._part(inode, request["start"], _MOST_AT_ONCE)
            return {"contents": wire.pack_contents(contents), "rest": rest}, b""
        if operation == "target":
            return {}, self._reader.target(inode)
        if operation == "xattrs":
            found = self._reader.xattrs(inode)
            return {"xattrs": {wire.text_of(name): wire.text_of(value) for name, value in found.items()}}, b""
        return {}, self._reader.read(inode, request["offset"], request["length"])

    def _directory(self, inode: int) -> tuple[Names, dict[bytes, int]]:
        """Return the names in a directory, and where each leads; those of the last directories are kept."""
        kept = self._names.pop(inode, None)
        if kept is None:
            names = self._reader.names(inode)
            kept = names, {entry.name: entry.inode for entry in reversed(names.entries)}
        while self._names and sum(len(names.entries) for names, _ in self._names.values()) > _MOST_NAMES:
            self._names.popitem(last=False)
        self._names[inode] = kept
        return kept

    def _list(self, inode: int, start: int, count: int, *, full: bool) -> Message:
        names, _ = self._directory(inode)
        began = self._clock()
        entries = []
        if full and isinstance(self._reader, Expecting):
            self._reader.expect([entry.inode for entry in names.entries[start : start + count]])
        for entry in names.entries[start : start + count]:
            record = self._record(entry.inode) if full and self._clock() - began < _ENOUGH else None
            packed = None if record is None else wire.pack_record(record)
            entries.append([wire.text_of(entry.name), entry.inode, entry.type, packed])
        return {"entries": entries, "total": len(names.entries), "lost": names.lost}

    def _find(self, inode: int, name: bytes) -> Message:
        names, by_name = self._directory(inode)
        found = by_name.get(name)
        if found is None:
            return {"inode": None, "lost": names.lost}
        return {"inode": found, "record": wire.pack_record(self._record(found))}

    def _part(self, inode: int, start: int, most: int) -> tuple[Contents, int | None]:
        """Return where the bytes of a file lie from `start` on, and where the rest begins that was not told."""
        if self._in_parts is None:
            return self._reader.contents(inode), None
        return self._in_parts.part(inode, start, most)

    def _record(self, inode: int) -> Record:
        """Return all about an inode that is cheap to tell."""
        reader = self._reader
        try:
            told = reader.attributes(inode)
        except Unreadable as error:
            return Record(None, why=str(error))
        if told.type not in _TYPES or told.size >= 1 << 63:
            return Record(None, why=f"inode {inode} is of no kind that there is, or of no size that there can be")
        xattrs = contents = target = rest = None
        try:
            xattrs = reader.xattrs(inode)
            if stat.S_ISREG(told.mode):
                contents, rest = self._part(inode, 0, _MOST_RUNS)
            elif stat.S_ISLNK(told.mode):
                target = reader.target(inode)
        except Unreadable:
            pass  # whoever asks for it hears why
        if contents is not None and told.size and not told.allocated and _has_data(contents):
            # programs take a file that takes no space for one hole, and do not read it
            told = replace(told, allocated=-(-told.size // _SECTOR) * _SECTOR)
        if contents is not None and (
            rest is not None
            or len(contents.runs) + len(contents.packed) > _MOST_RUNS
            or len(contents.inline or b"") > _LARGEST_KEPT
        ):
            contents = None
        if xattrs is not None and sum(len(name) + len(value) for name, value in xattrs.items()) > _LARGEST_KEPT:
            xattrs = None
        return Record(told, contents, xattrs, target)


def _has_data(contents: Contents) -> bool:
    return bool(contents.runs or contents.inline or contents.through)


def serve(channel: socket.socket, kind: str) -> None:
    """Answer requests until the mount has gone."""
    told, _ = wire.receive(channel)
    device = ChannelDevice(channel, told["size"])
    desk: Desk | None = None
    while True:
        try:
            request, _ = wire.receive(channel)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, _CPU)
        device.forget_losses()
        try:
            desk = desk or Desk(open_reader(kind, device))
            answer, data = desk.answer(request)
        except Unreadable as error:
            answer, data = {"why": str(error)}, b""
        except Exception as error:  # noqa: BLE001  # readers make anything of damage; it says nothing about what comes next
            answer, data = {"why": f"the reader failed: {type(error).__name__}: {error}"[:500]}, b""
        signal.setitimer(signal.ITIMER_PROF, 0)
        wire.send(channel, answer, data)


def main() -> int:
    """Run until the mount has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # listings make many small objects and no cycles
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError, ConnectionError):
        serve(socket.socket(fileno=0), sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
