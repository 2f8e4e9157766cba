"""Protocol adapter between the kernel's requests and the node tree: inode <-> node.

How a read is answered is the business of `raidfs.fuse.reading`. Runs in the thread of the event loop; texts and
extended attributes, which may take a while, are asked for in other threads.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import pyfuse3
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    FUSEError,
    InodeT,
    ModeT,
    ReaddirToken,
    RequestContext,
    StatvfsData,
    XAttrNameT,
)

from raidfs.fuse.mountpoint import PID_XATTR
from raidfs.fuse.options import MountOptions
from raidfs.fuse.reading import OpenSource, Reading, opened
from raidfs.fuse.trees import MountedTrees
from raidfs.units import SECTOR
from raidfs.view.files import FileTree
from raidfs.view.node import Directory, FileNode, Node, TextNode, TreeNode, mode_of
from raidfs.view.writable import WritableImage

_FOREVER = 86400.0
"""Seconds for which the kernel may keep what never changes."""
_BLOCK = 4096


async def _refuse(*arguments: object) -> NoReturn:
    """Refuse: nothing can be written."""
    raise FUSEError(errno.EROFS)


_REFUSE: Any = _refuse
"""The one answer to every request that would change something, whatever its parameters."""


class TreeOperations(pyfuse3.Operations):
    """Serves a tree of nodes, which never changes its shape."""

    def __init__(self, root: Directory, options: MountOptions) -> None:
        """Number the nodes of `root`; nothing is read or rendered yet."""
        super().__init__()
        self._nodes: dict[int, Directory | FileNode | TextNode] = {}
        self._roots: list[FileTree] = []
        self._entries: dict[int, dict[bytes, InodeT]] = {}
        self._parents: dict[int, InodeT] = {}
        self._number(root, itertools.count(pyfuse3.ROOT_INODE), pyfuse3.ROOT_INODE)
        self._options = options
        self._owner = options.owner
        self._reading = Reading()
        self._trees = MountedTrees(self._roots, options, self._reading)
        self._handles = itertools.count(1)
        self._files: dict[int, OpenSource] = {}
        self._writers: dict[int, WritableImage] = {}
        self._texts: dict[int, memoryview] = {}

    def _number(self, node: Node, inodes: Iterator[int], parent: InodeT) -> InodeT:
        if isinstance(node, TreeNode):
            self._roots.append(node.tree)
            return MountedTrees.root_of(len(self._roots))
        inode = InodeT(next(inodes))
        self._nodes[inode], self._parents[inode] = node, parent
        if isinstance(node, Directory):
            entries = node.entries.items()
            self._entries[inode] = {os.fsencode(name): self._number(entry, inodes, inode) for name, entry in entries}
        return inode

    def is_busy(self) -> bool:
        """Tell whether a thread works on a request."""
        return self._reading.n_waiting > 0

    # ------------------------------------------------------------------------------------------------ names, attributes

    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        """Find an entry of a directory."""
        if self._trees.owns(parent_inode):
            return await self._trees.lookup(parent_inode, name)
        if name == b".":
            return await self.getattr(parent_inode, ctx)
        if name == b"..":
            return await self.getattr(self._parents[parent_inode], ctx)
        inode = self._entries.get(parent_inode, {}).get(name)
        if inode is None:
            raise FUSEError(errno.ENOENT)
        return await self.getattr(inode, ctx)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """Do nothing: inodes live as long as the mount, and those of files are nothing but numbers."""

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        """Return the attributes of a node."""
        if self._trees.owns(inode):
            return await self._trees.getattr(inode)
        node = self._node(inode)
        if isinstance(node, TextNode):
            return self._attributes(inode, len(await self._reading.in_thread(node.render)))
        return self._attributes(inode, node.source.size if isinstance(node, FileNode) else 0)

    def _node(self, inode: InodeT) -> Directory | FileNode | TextNode:
        try:
            return self._nodes[inode]
        except KeyError:
            raise FUSEError(errno.ENOENT) from None

    def _attributes(self, inode: InodeT, size: int) -> EntryAttributes:
        node = self._nodes[inode]
        entry = EntryAttributes()
        entry.st_ino = inode
        entry.st_mode = ModeT(mode_of(node))
        entry.st_nlink = 2 if isinstance(node, Directory) else 1
        entry.st_uid, entry.st_gid = self._owner
        entry.st_size = size
        # the kernel caches, and fails, in these units
        entry.st_blksize = _BLOCK
        entry.st_blocks = -(-size // SECTOR)
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = node.mtime_ns
        entry.generation = 0
        entry.entry_timeout = _FOREVER
        # a text's size changes when damage is learned
        entry.attr_timeout = 0.0 if isinstance(node, TextNode) else _FOREVER
        return entry

    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        """Return an extended attribute; the node is asked for names of ours only."""
        if self._trees.owns(inode):
            return await self._trees.getxattr(inode, name)
        if name.startswith(b"user.raidfs."):
            value = (await self._xattrs(inode)).get(os.fsdecode(name))
            if value is not None:
                return value
        raise FUSEError(pyfuse3.ENOATTR)

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        """Name the extended attributes."""
        if self._trees.owns(inode):
            return await self._trees.listxattr(inode)
        return [XAttrNameT(os.fsencode(name)) for name in await self._xattrs(inode)]

    async def _xattrs(self, inode: InodeT) -> Mapping[str, bytes]:
        xattrs = await self._reading.in_thread(self._node(inode).xattrs)
        return {**xattrs, PID_XATTR: str(os.getpid()).encode()} if inode == pyfuse3.ROOT_INODE else xattrs

    async def access(self, inode: InodeT, mode: ModeT, ctx: RequestContext) -> bool:
        """Grant everything but writing, and that where it is possible (the kernel has checked the permissions)."""
        if mode & os.W_OK and not self._takes_writes(inode):
            raise FUSEError(errno.EROFS)
        return True

    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        """Report a full file system of the size of its arrays."""
        files = (node for node in self._nodes.values() if isinstance(node, FileNode) and not node.is_part)
        total = sum(node.source.size for node in files)
        answer = StatvfsData()
        answer.f_bsize = answer.f_frsize = _BLOCK
        answer.f_blocks = -(-total // _BLOCK)
        answer.f_bfree = answer.f_bavail = answer.f_ffree = answer.f_favail = 0
        answer.f_files = len(self._nodes)
        answer.f_namemax = 255
        return answer

    # ------------------------------------------------------------------------------------------------------ directories

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        """Open a directory; its handle is its inode, or one of the trees'."""
        if self._trees.owns(inode):
            return await self._trees.opendir(inode)
        if inode not in self._entries:
            raise FUSEError(errno.ENOTDIR)
        return FileHandleT(inode)

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        """List a directory from its entry number `start_id` on."""
        if self._trees.owns(fh):
            await self._trees.readdir(fh, start_id, token)
            return
        for position, (name, inode) in enumerate(self._entries[fh].items()):
            if position < start_id:
                continue
            if self._trees.owns(inode):
                # that of a root may take a while, or fail: then the kernel asks when somebody wants to know
                attributes = self._trees.unknown_root(inode)
                if not pyfuse3.readdir_reply(token, FileNameT(name), attributes, position + 1):
                    return
                continue
            node = self._nodes[inode]
            # the size of a text is asked for again before it is shown, so a listing need not render it
            size = node.source.size if isinstance(node, FileNode) else 0
            if not pyfuse3.readdir_reply(token, FileNameT(name), self._attributes(inode, size), position + 1):
                return

    async def releasedir(self, fh: FileHandleT) -> None:
        """Close a directory."""
        self._trees.releasedir(fh)

    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        """Do nothing: there is nothing to write."""

    # ------------------------------------------------------------------------------------------------------------ files

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        """Open a file for reading; a text is rendered now, and stays as it is for this handle."""
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if flags & os.O_TRUNC or (writes and not self._takes_writes(inode)):
            raise FUSEError(errno.EROFS)
        handle = FileHandleT(next(self._handles))
        if self._trees.owns(inode):
            self._files[handle] = opened(await self._trees.open(inode))
            return FileInfo(fh=handle, direct_io=False, keep_cache=True)
        node = self._node(inode)
        if isinstance(node, Directory):
            raise FUSEError(errno.EISDIR)
        if isinstance(node, TextNode):
            self._texts[handle] = memoryview(await self._reading.in_thread(node.render))
            # read by what it holds, not by the size that was true when the kernel asked
            return FileInfo(fh=handle, direct_io=True, keep_cache=False)
        self._files[handle] = opened(node.source)
        if node.writer is not None:
            self._writers[handle] = node.writer
            # several images may be of the same bytes: none of them may be kept by the kernel
            return FileInfo(fh=handle, direct_io=True, keep_cache=False)
        return FileInfo(fh=handle, direct_io=self._options.direct_io, keep_cache=True)

    def _takes_writes(self, inode: InodeT) -> bool:
        node = self._nodes.get(inode)
        return isinstance(node, FileNode) and node.writer is not None

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        """Write to an image, which cannot grow."""
        writer, file = self._writers.get(fh), self._files.get(fh)
        if writer is None or file is None:
            raise FUSEError(errno.EROFS)
        data = memoryview(buf)[: max(0, file.size - off)]
        if buf and not data:
            raise FUSEError(errno.ENOSPC)
        await self._reading.written(lambda: writer.write(off, data))
        return len(data)

    async def read(  # type: ignore[override]  # declared to return bytes, sends any buffer without a copy
        self, fh: FileHandleT, off: int, size: int
    ) -> memoryview:
        """Return exactly the requested bytes, clipped at the end of the file, or fail as a whole."""
        file = self._files.get(fh)
        if file is None:
            return self._texts[fh][off : off + size]
        return await self._reading.read(file, off, size)

    async def release(self, fh: FileHandleT) -> None:
        """Close a file; what was written to it is made to last."""
        writer = self._writers.pop(fh, None)
        if writer is not None:
            await self._reading.written(writer.flush)
        self._files.pop(fh, None)
        self._texts.pop(fh, None)

    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        """Make what was written last; of what cannot be written there is nothing to do."""
        writer = self._writers.get(fh)
        if writer is not None:
            await self._reading.written(writer.flush)

    # ------------------------------------------------------------------------------------ what is not there, or writes

    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        """Return where a symbolic link leads; there are none but in file systems."""
        if self._trees.owns(inode):
            return FileNameT(await self._trees.readlink(inode))
        raise FUSEError(errno.EINVAL)

    setattr = mknod = mkdir = unlink = rmdir = symlink = rename = link = _REFUSE
    create = setxattr = removexattr = _REFUSE
