"""Protocol adapter between the kernel's requests and file trees: inodes of the mount <-> inodes of file systems.

    inode of the mount:   number of the tree << 56 | inode of the file system, 0 for its root

So an inode is the same for as long as the mount lives, hard links share one, and nothing has to be remembered for it.
What is at hand is answered at once; for everything else a thread asks the tree.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileHandleT, FileNameT, FUSEError, InodeT, ModeT, ReaddirToken, XAttrNameT

from raidfs.block import BlockSource
from raidfs.filesystem.entry import NO_OWNER, Attributes, Name, Record
from raidfs.filesystem.remote import Page
from raidfs.fuse.options import MountOptions
from raidfs.fuse.reading import Reading
from raidfs.view.files import FileTree

_SHIFT = 56
_INSIDE = (1 << _SHIFT) - 1
_FOREVER = 86400.0
_BLOCK = 4096
_THREADS = 4
"""Threads that wait for trees; reads of everything else must not wait for them."""
_OURS = b"user.raidfs."
_Value = TypeVar("_Value")


@dataclass
class _Listing:
    """An open directory: the last page that was had of it."""

    tree: FileTree
    inode: int
    start: int = 0
    page: Page | None = None


class MountedTrees:
    """The file trees of a mount. To be used from its event loop only."""

    def __init__(self, trees: Sequence[FileTree], options: MountOptions, reading: Reading) -> None:
        """Number the trees from 1 on; none of them is asked anything yet."""
        self._trees = dict(enumerate(trees, start=1))
        self._owner, self._uid, self._gid = options.owner, options.uid, options.gid
        self._reading = reading
        self._limiter = trio.CapacityLimiter(_THREADS)
        # directories that are no trees have their inode as handle, which is less
        self._handles = itertools.count(1 << _SHIFT)
        self._listings: dict[int, _Listing] = {}

    @staticmethod
    def owns(inode: int) -> bool:
        """Tell whether an inode, or the handle of a directory, belongs to a tree."""
        return inode > _INSIDE

    @staticmethod
    def root_of(number: int) -> InodeT:
        """Return the inode of the root of a tree, by its number."""
        return InodeT(number << _SHIFT)

    def unknown_root(self, inode: InodeT) -> EntryAttributes:
        """Return attributes of a root for a listing, without asking for them."""
        return self._listed(inode, Name(b"", 0, stat.S_IFDIR), None)

    async def lookup(self, parent: InodeT, name: FileNameT) -> EntryAttributes:
        """Find an entry of a directory."""
        tree, inode = await self._place(parent)
        found = await self._ask(lambda: tree.find(inode, name))
        if found is None:
            raise FUSEError(errno.ENOENT)
        return self._entry(tree, parent, *found)

    async def getattr(self, inode: InodeT) -> EntryAttributes:
        """Return the attributes of an inode."""
        tree, inside = await self._place(inode)
        record = tree.peek(inside)
        if record is None or record.attributes is None:
            attributes = await self._ask(lambda: tree.attributes(inside))
        else:
            attributes = record.attributes
        return self._attributes(inode, attributes)

    async def readlink(self, inode: InodeT) -> bytes:
        """Return where a symbolic link leads."""
        tree, inside = await self._place(inode)
        record = tree.peek(inside)
        if record is not None and record.target is not None:
            return record.target
        return await self._ask(lambda: tree.target(inside))

    async def getxattr(self, inode: InodeT, name: XAttrNameT) -> bytes:
        """Return an extended attribute: one of the file system's, or what raidfs says of the file's health."""
        tree, inside = await self._place(inode)
        if name.startswith(_OURS):
            word, lost = await self._ask(lambda: tree.health(inside))
            known = {b"user.raidfs.health": word.encode(), b"user.raidfs.lost_bytes": str(lost).encode()}
            value = known.get(name)
        else:
            record = tree.peek(inside)
            at_hand = record is not None and record.xattrs is not None
            xattrs = record.xattrs if record is not None and at_hand else await self._ask(lambda: tree.xattrs(inside))
            value = (xattrs or {}).get(name)
        if value is None:
            raise FUSEError(pyfuse3.ENOATTR)
        return value

    async def listxattr(self, inode: InodeT) -> Sequence[XAttrNameT]:
        """Name the extended attributes of the file system; ours are not named, or every copy would have them."""
        tree, inside = await self._place(inode)
        record = tree.peek(inside)
        if record is not None and record.xattrs is not None:
            return [XAttrNameT(name) for name in record.xattrs]
        return [XAttrNameT(name) for name in await self._ask(lambda: tree.xattrs(inside))]

    async def open(self, inode: InodeT) -> BlockSource:
        """Return the bytes of a file."""
        tree, inside = await self._place(inode)
        at_hand = tree.open_at_once(inside)
        return await self._ask(lambda: tree.open_to_show(inside)) if at_hand is None else at_hand

    # ------------------------------------------------------------------------------------------------------ directories

    async def opendir(self, inode: InodeT) -> FileHandleT:
        """Open a directory."""
        tree, inside = await self._place(inode)
        handle = FileHandleT(next(self._handles))
        self._listings[handle] = _Listing(tree, inside)
        return handle

    async def readdir(self, handle: FileHandleT, start: int, token: ReaddirToken) -> None:
        """List an open directory from its entry number `start` on."""
        listing = self._listings[handle]
        number = next(number for number, tree in self._trees.items() if tree is listing.tree)
        while True:
            page = listing.page
            if page is None or not listing.start <= start < listing.start + len(page.entries):
                if page is not None and start >= page.total:
                    return
                page = await self._ask(partial(listing.tree.page, listing.inode, start))
                listing.page, listing.start = page, start
                if not page.entries:
                    return
            for position in range(start - listing.start, len(page.entries)):
                name, record = page.entries[position]
                start = listing.start + position + 1
                attributes = self._listed(InodeT(number << _SHIFT | name.inode), name, record)
                if not pyfuse3.readdir_reply(token, FileNameT(name.name), attributes, start):
                    return

    def releasedir(self, handle: FileHandleT) -> None:
        """Close a directory."""
        self._listings.pop(handle, None)

    # ------------------------------------------------------------------------------------------------------------------

    async def _place(self, inode: InodeT) -> tuple[FileTree, int]:
        """Return the tree of an inode and the inode in it."""
        tree = self._trees.get(inode >> _SHIFT)
        if tree is None:
            raise FUSEError(errno.ENOENT)
        if tree.is_old:
            raise FUSEError(errno.ESTALE)
        inside = inode & _INSIDE
        if not inside:
            known = tree.root_at_once
            inside = await self._ask(lambda: tree.root) if known is None else known
        return tree, inside

    async def _ask(self, question: Callable[[], _Value]) -> _Value:
        """Ask what may take a while, in a thread."""
        return await self._reading.in_thread(question, self._limiter)

    def _entry(self, tree: FileTree, parent: InodeT, inode: int, attributes: Attributes) -> EntryAttributes:
        return self._attributes(InodeT((parent >> _SHIFT) << _SHIFT | inode), attributes)

    def _listed(self, inode: InodeT, name: Name, record: Record | None) -> EntryAttributes:
        """Return attributes for a listing; where there are none, such as make the kernel ask, and fail, when needed."""
        if record is not None and record.attributes is not None:
            return self._attributes(inode, record.attributes)
        mode = name.type or stat.S_IFREG
        unknown = Attributes(name.inode, mode, 1, 0, 0, (0, 0), 0, 0, 0, 0, 0)
        return self._attributes(inode, unknown, timeout=0.0)

    def _attributes(self, inode: InodeT, told: Attributes, timeout: float = _FOREVER) -> EntryAttributes:
        """Return attributes in the kernel's form."""
        entry = EntryAttributes()
        entry.st_ino = inode
        entry.st_mode = ModeT(told.mode)
        entry.st_nlink = told.n_links
        mine = self._owner
        entry.st_uid = mine[0] if told.uid == NO_OWNER or self._uid is not None else told.uid
        entry.st_gid = mine[1] if told.gid == NO_OWNER or self._gid is not None else told.gid
        if told.device != (0, 0):
            entry.st_rdev = os.makedev(*told.device)
        entry.st_size = told.size
        entry.st_blksize = _BLOCK
        entry.st_blocks = -(-told.allocated // 512)
        entry.st_atime_ns = told.atime_ns
        entry.st_mtime_ns = told.mtime_ns
        entry.st_ctime_ns = told.ctime_ns
        entry.generation = 0
        entry.entry_timeout = entry.attr_timeout = timeout
        return entry
