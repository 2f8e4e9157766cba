"""The files of one file system, as the mount shows them: asked for when somebody looks, and kept for a while.

Nothing is walked ahead. What is known of an inode, its record, is kept for the last ones that were asked for; nothing
else is remembered, so memory is bounded however many files there are, and the mount need not be told what the kernel
forgets.

Where a file's bytes lie comes from the reader; the bytes do not. A file is a map of pieces of the source below, which
for a file on a volume on a partition is a map of pieces of the array itself.
"""

from __future__ import annotations

import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

from raidfs.block import BlockSource, nowait_of
from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import Attributes, Contents, Name, Record, Usage
from raidfs.filesystem.remote import Page, RemoteFileSystem, TooMany
from raidfs.filesystem.wire import LARGEST_INODE
from raidfs.linear import MISSING, ZEROS, LinearMap
from raidfs.view.file_bytes import OneRun, ThroughReader, bytes_of
from raidfs.view.writable import Writing

UNPROVEN = "unproven"  # the word for it, as for the others in `worst_of`
PAGE = 512
"""Entries that are asked for at once."""
_MOST_RECORDS = 1 << 16
MARK = b"raidfs-lost-names"
"""Name of the entry that stands in a directory for names that are lost."""
_MARKED = LARGEST_INODE + 1
"""Added to the inode of a directory, the inode of that entry."""


def is_mark(inode: int) -> bool:
    """Tell whether an inode is that of the entry that stands for lost names."""
    return bool(inode & _MARKED)


WorthOf = Callable[[BlockSource, Extents], str]
"""Returns the worst health of some bytes of a source."""


class FileTree:
    """One file system to be looked at. Thread-safe; what is not marked otherwise may block, and raise `Unreadable`."""

    def __init__(
        self,
        remote: RemoteFileSystem,
        worth_of: WorthOf,
        writing: Writing | None = None,
        shown_as: Callable[[BlockSource], BlockSource] | None = None,
    ) -> None:
        """Show what `remote` reads.

        Args:
            remote: the file system.
            worth_of: for `user.raidfs.health`.
            shown_as: what the bytes of files are shown as when they are opened; None: as they are.
            writing: the layer that it lies on, where that can be written.
        """
        self._writing = writing
        self._shown_as = shown_as
        self._remote = remote
        self._worth_of = worth_of
        self._lock = threading.Lock()
        self._records: OrderedDict[int, Record] = OrderedDict()

    @property
    def is_old(self) -> bool:
        """Whether something was written below it, so that what is known of it may not be true any more."""
        return self._writing is not None and self._writing.has_begun

    @property
    def source(self) -> BlockSource:
        """What it lies on."""
        return self._remote.source

    @property
    def root(self) -> int:
        """The inode of its root."""
        return self._remote.root

    @property
    def root_at_once(self) -> int | None:
        """The same, if it is at hand; never blocks."""
        return self._remote.root_at_once

    def usage(self) -> Usage:
        """Return how full it is."""
        return self._remote.usage()

    def close(self) -> None:
        """End its reader."""
        self._remote.close()

    # ---------------------------------------------------------------------------------------------------------- inodes

    def peek(self, inode: int) -> Record | None:
        """Return the record of an inode, if it is at hand; never blocks."""
        return self._records.get(inode)

    def record(self, inode: int) -> Record:
        """Return the record of an inode, which has attributes."""
        found = self._records.get(inode)
        if found is None:
            found = self._mark(inode) if inode & _MARKED else self._remote.record(inode)
            self._keep({inode: found})
        if found.attributes is None:
            raise Unreadable(found.why)
        return found

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an inode."""
        told = self.record(inode).attributes
        assert told is not None
        return told

    def find(self, parent: int, name: bytes) -> tuple[int, Attributes] | None:
        """Return the inode of that name in a directory, and its attributes; None: there is no such name."""
        try:
            found = self._remote.find(parent, name)
        except Unreadable:
            if name != MARK:
                raise
            found = None
        if found is None:
            return self._find_mark(parent) if name == MARK else None
        inode, record = found
        if record.attributes is None:
            raise Unreadable(record.why)
        self._keep({inode: record})
        return inode, record.attributes

    def page(self, inode: int, start: int) -> Page:
        """Return entries of a directory from number `start` on; behind the last the mark, where names are lost."""
        page = self._remote.page(inode, start, PAGE)
        self._keep({entry.inode: record for entry, record in page.entries if record is not None})
        if not page.lost:
            return page
        entries, total = page.entries, page.total
        if start <= total < start + PAGE:
            entries = (*entries, (Name(MARK, inode | _MARKED, stat.S_IFREG), self._mark_of(page.lost)))
        return Page(entries, total + 1, page.lost)

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        known = self.record(inode).target
        return self._remote.target(inode) if known is None else known

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return what extended attributes the file system has of an inode."""
        known = self.record(inode).xattrs
        return self._remote.xattrs(inode) if known is None else known

    def _keep(self, records: Mapping[int, Record]) -> None:
        """Keep records for a while, but for those that tell of something lost: that may be had the next time."""
        with self._lock:
            for inode, record in records.items():
                if record.attributes is not None:
                    self._records[inode] = record
            while len(self._records) > _MOST_RECORDS:
                self._records.popitem(last=False)

    # ---------------------------------------------------------------------------------------------- names that are lost

    def _find_mark(self, parent: int) -> tuple[int, Attributes] | None:
        lost = self._remote.page(parent, 0, 0).lost
        if not lost:
            return None
        told = self._mark_of(lost).attributes
        assert told is not None
        return parent | _MARKED, told

    def _mark(self, inode: int) -> Record:
        return self._mark_of(self._remote.page(inode & ~_MARKED, 0, 0).lost)

    @staticmethod
    def _mark_of(lost: int) -> Record:
        told = Attributes(0, stat.S_IFREG | 0o444, 1, 0, 0, (0, 0), lost, lost, 0, 0, 0)
        return Record(told, Contents((), None), {}, None)

    # ------------------------------------------------------------------------------------------------------------- data

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file, or of a directory, lie."""
        known = self.record(inode).contents
        return self._remote.contents(inode) if known is None else known

    def open(self, inode: int) -> BlockSource:
        """Return the bytes of a file."""
        record = self.record(inode)
        told = record.attributes
        assert told is not None
        if inode & _MARKED:
            return LinearMap(told.size, ())
        contents, rest = (record.contents, None) if record.contents is not None else self._remote.part(inode)
        try:
            if rest is not None and not contents.through:
                contents, rest = self._remote.contents(inode), None
        except TooMany:
            contents = replace(contents, through=True)
        if contents.through:
            return ThroughReader(self._remote, inode, told.size, contents if rest is None else None)
        return bytes_of(contents, told.size, self.source)

    def open_to_show(self, inode: int) -> BlockSource:
        """Return the bytes of a file as they are shown."""
        source = self.open(inode)
        return source if self._shown_as is None else self._shown_as(source)

    def open_at_once(self, inode: int) -> BlockSource | None:
        """Return the bytes of a file as they are shown if that needs no waiting."""
        if self._shown_as is not None:
            return None
        record = self._records.get(inode)
        if record is None or record.attributes is None or record.contents is None or inode & _MARKED:
            return None
        contents, size = record.contents, record.attributes.size
        if contents.through:
            return ThroughReader(self._remote, inode, size, contents)
        source = self.source
        at_once = nowait_of(source)
        if len(contents.runs) == 1 and not contents.twins and at_once is not None:
            start, length, place = contents.runs[0]
            # most files: making a map for each would take longer than reading it
            if start == 0 and length >= size and 0 <= place <= source.size - size:
                return OneRun(source, at_once, place, size)
        return bytes_of(contents, size, source)

    def losses(self, inode: int) -> Extents:
        """Return which bytes of a file are withheld, as far as it is known without reading."""
        source = self.open(inode)
        return source.known_losses(0, source.size)

    def health(self, inode: int) -> tuple[str, int]:
        """Return the worst health of a file or directory, with its extended attributes, and how many bytes are lost."""
        word, lost = self._health_of_bytes(inode)
        try:
            self.xattrs(inode)
        except Unreadable:
            word = "lost"
        return word, lost

    def worth(self, inode: int) -> str:
        """Return the worst health of the bytes of a file."""
        return self._health_of_bytes(inode)[0]

    def _health_of_bytes(self, inode: int) -> tuple[str, int]:
        told = self.attributes(inode)
        if stat.S_ISDIR(told.mode):
            lost = self._remote.page(inode, 0, 0).lost
            return ("lost" if lost else "good"), lost
        if not stat.S_ISREG(told.mode):
            return "good", 0
        source = self.open(inode)
        lost = source.known_losses(0, source.size).total
        if isinstance(source, ThroughReader):
            source = source.raw
        assert isinstance(source, LinearMap)
        return worst_of(source, self._worth_of), lost


def worst_of(source: LinearMap, worth_of: WorthOf) -> str:
    """Return the worst health of the bytes that a map is made of."""
    order = ("good", "rebuilt", UNPROVEN, "doubtful", "lost")
    asked: dict[int, tuple[BlockSource, list[tuple[int, int]]]] = {}
    for piece in source.pieces():
        asked.setdefault(id(piece.source), (piece.source, []))[1].append((piece.place, piece.place + piece.length))
    words = ["good"]
    for below, places in asked.values():
        if below is MISSING:
            return "lost"
        if below is not ZEROS:
            words.append(worth_of(below, Extents(places)))
    return max(words, key=order.index)
