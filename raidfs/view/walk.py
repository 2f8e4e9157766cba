"""Every file of a file system and what of it cannot be served, found out without reading a file."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from raidfs.errors import Unreadable
from raidfs.extents import Extents
from raidfs.filesystem.entry import Name, Record
from raidfs.view.files import UNPROVEN, FileTree, is_mark

PAGE = 4096
"""What fails in the mount fails in these units, the kernel's pages [bytes]."""


@dataclass(frozen=True, slots=True)
class Visited:
    """One name of a file system.

    Attributes:
        path: from its root, with `/` between names.
        mode: type and permissions; the type alone where the rest is lost.
        size: [bytes].
        lost: what of its bytes is not served; of a directory, how much of it cannot be read, as a range from 0.
        why: why the whole of it cannot be had, or '': then `lost` says nothing.
        attributes: why its extended attributes cannot be had, which fails a copy that asks for them, or ''.
        is_unproven: some of its bytes are served unproven, as far as that was asked.
    """

    path: bytes
    mode: int
    size: int
    lost: Extents = Extents()
    why: str = ""
    attributes: str = ""
    is_unproven: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, or may be one."""
        return stat.S_IFMT(self.mode) in (stat.S_IFREG, 0)

    @property
    def is_whole(self) -> bool:
        """Whether all of it can be had."""
        return not (self.lost or self.why or self.attributes)

    @property
    def failing(self) -> Extents:
        """The pages that fail when the file is read [bytes of the file]."""
        pages = Extents((start // PAGE * PAGE, -(-stop // PAGE) * PAGE) for start, stop in self.lost)
        return pages.clip(0, self.size)


def visit(tree: FileTree, *, ask_worth: bool = False) -> Iterator[Visited]:
    """Yield everything in a file system, its root too, directory by directory.

    Args:
        tree: the file system.
        ask_worth: ask of each file whether it is unproven, too.
    """
    try:
        root = tree.root
    except Unreadable as error:
        yield Visited(b"", stat.S_IFDIR, 0, why=str(error))
        return
    waiting = [(b"", root)]
    seen = {root}
    while waiting:
        path, inode = waiting.pop()
        below: list[tuple[bytes, int]] = []
        yield from _directory(tree, path, inode, below, ask_worth=ask_worth)
        # a directory has one parent; where damage gives it several, it is shown once
        waiting += [each for each in reversed(below) if each[1] not in seen]
        seen |= {inode for _, inode in below}


def _directory(
    tree: FileTree, path: bytes, inode: int, below: list[tuple[bytes, int]], *, ask_worth: bool
) -> Iterator[Visited]:
    """Yield a directory and what is in it, but what is in its directories, which are added to `below`."""
    start, lost = 0, 0
    try:
        while True:
            page = tree.page(inode, start)
            lost = page.lost
            for name, record in page.entries:
                if is_mark(name.inode):
                    continue
                whole = path + b"/" + name.name if path else name.name
                found = _entry(tree, whole, name, record, ask_worth=ask_worth)
                if stat.S_ISDIR(found.mode) and not found.why:
                    below.append((whole, name.inode))
                else:
                    yield found
            start += len(page.entries)
            if start >= page.total or not page.entries:
                break
    except Unreadable as error:
        yield Visited(path, stat.S_IFDIR, 0, why=str(error))
        return
    yield Visited(path, stat.S_IFDIR, 0, Extents.span(0, lost), attributes=_no_attributes(tree, inode))


def _entry(tree: FileTree, path: bytes, name: Name, record: Record | None, *, ask_worth: bool) -> Visited:
    """Look at one entry."""
    try:
        record = tree.record(name.inode) if record is None or record.attributes is None else record
        told = record.attributes
        assert told is not None
        if stat.S_ISLNK(told.mode):
            tree.target(name.inode)
        lost = tree.losses(name.inode) if stat.S_ISREG(told.mode) else Extents()
        attributes = _no_attributes(tree, name.inode) if record.xattrs is None else ""
        asked = ask_worth and stat.S_ISREG(told.mode) and not lost
        is_unproven = asked and tree.worth(name.inode) == UNPROVEN
        return Visited(path, told.mode, told.size, lost, attributes=attributes, is_unproven=is_unproven)
    except Unreadable as error:
        return Visited(path, name.type, 0, why=str(error))


def _no_attributes(tree: FileTree, inode: int) -> str:
    """Say why extended attributes, ACLs among them, cannot be had, or ''."""
    try:
        tree.xattrs(inode)
    except Unreadable as error:
        return str(error)
    return ""
