"""What a reader of a file system gives: names, attributes, where the bytes of a file lie, and what keeps it from that.

Values only: they cross the border between the worker and the mount (`raidfs.filesystem.wire`).
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

NO_OWNER = -1
"""User or group where the file system knows none: then whoever mounts is it."""


class Name(NamedTuple):
    """One name in a directory: what it is called, which inode it leads to, and the type (`S_IFMT`) or 0."""

    name: bytes
    inode: int
    type: int


@dataclass(frozen=True, slots=True)
class Names:
    """What a directory holds.

    Attributes:
        entries: in the order of the directory, without `.` and `..`.
        lost: bytes of the directory that are lost or make no sense: names may be missing.
    """

    entries: tuple[Name, ...]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Attributes:
    """What `stat` tells.

    Attributes:
        inode: its number in the file system.
        mode: type and permissions.
        n_links: number of names.
        uid, gid: owner.
        device: (major, minor) of a device node.
        size: [bytes].
        allocated: space that it takes [bytes].
        atime_ns, mtime_ns, ctime_ns: [ns since 1970].
    """

    inode: int
    mode: int
    n_links: int
    uid: int
    gid: int
    device: tuple[int, int]
    size: int
    allocated: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int

    @property
    def type(self) -> int:
        """The type alone (`S_IFMT`)."""
        return stat.S_IFMT(self.mode)


class Run(NamedTuple):
    """Bytes of a file that lie together: [start, start + length) of the file, at `place` of its device."""

    start: int
    length: int
    place: int


class Packed(NamedTuple):
    """Bytes of a file that are made from others: [start, start + length) of it from all `size` bytes at `place`."""

    start: int
    length: int
    place: int
    size: int


class Twin(NamedTuple):
    """Bytes that lie there twice: all `length` at `place` of the device at another place, too."""

    place: int
    length: int
    other: int


UNKNOWN = -1
"""The place of bytes of which nobody knows where they lie, since the block that tells is lost."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Where the bytes of a file lie; what is in no run is a hole.

    Attributes:
        runs: ascending, within the size.
        inline: the bytes themselves, where they lie among the metadata; then there are no runs.
        through: they are compressed or the like: only the reader can give them.
        packed: what such bytes are made from, as far as the reader tells.
        twins: where the bytes of a whole run, or what others are made from, lie a second time.
    """

    runs: tuple[Run, ...] = ()
    inline: bytes | None = None
    through: bool = False
    packed: tuple[Packed, ...] = ()
    twins: tuple[Twin, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """Everything about one inode, as far as it was cheap to tell; None: to be asked for.

    Attributes:
        attributes: what `stat` tells; None where it cannot be had.
        contents: of a file.
        xattrs: extended attributes by name.
        target: of a symbolic link.
        why: what keeps the attributes from being had, or ''.
    """

    attributes: Attributes | None
    contents: Contents | None = None
    xattrs: Mapping[bytes, bytes] | None = None
    target: bytes | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What `statfs` tells: block size [bytes], numbers of blocks and inodes."""

    block_size: int
    blocks: int
    free_blocks: int
    inodes: int
    free_inodes: int


class Reader(Protocol):
    """Reads one file system; for one thread. Everything may raise `Unreadable`."""

    root: int
    """The inode of the root."""

    def usage(self) -> Usage:
        """Return how full it is."""

    def names(self, inode: int) -> Names:
        """List a directory."""

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an inode."""

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie."""

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the extended attributes by their whole names, ACLs in the form of `getxattr(2)`."""

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return bytes of a file whose contents are to be read through the reader."""


@runtime_checkable
class Expecting(Protocol):
    """A reader that is faster when it knows what it will be asked."""

    def expect(self, inodes: Sequence[int]) -> None:
        """Read inodes that will be asked for; raises nothing about them."""


@runtime_checkable
class InParts(Protocol):
    """A reader that can tell where large files lie part by part; its `read` gives bytes of every file."""

    def part(self, inode: int, start: int, most: int) -> tuple[Contents, int | None]:
        """Return where the bytes of a file lie from what covers `start` on, and from where on to ask for the rest.

        Args:
            inode: of the file.
            start: 0, or what the part before told.
            most: pieces of the file, more than 0; a piece may become several runs.
        """


class Device(Protocol):
    """The bytes that a file system lies on."""

    size: int
    """[bytes]."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly these bytes; raises `Lost` where any of them are lost, `Damaged` where they are not there."""
