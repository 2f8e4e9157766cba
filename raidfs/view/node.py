"""The tree that is mounted, as values: directories, files over a block source, and texts rendered when asked for.

Not a file system: no inodes, no handles, no error numbers. `raidfs.fuse.operations` gives it those. Nodes are immutable
and may be used from several threads at once; the callables in them must allow that too.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from raidfs.block import BlockSource
from raidfs.view.files import FileTree
from raidfs.view.writable import WritableImage

_Value = TypeVar("_Value")

DIRECTORY_MODE = stat.S_IFDIR | 0o555
FILE_MODE = stat.S_IFREG | 0o444
WRITABLE_MODE = stat.S_IFREG | 0o644

Attributes = Callable[[], Mapping[str, bytes]]
"""Extended attributes by name; called anew at every question, for they change when damage is learned."""


def _no_attributes() -> Mapping[str, bytes]:
    return {}


@dataclass(frozen=True)
class FileNode:
    """A file whose bytes are a block source's.

    Attributes:
        source: the bytes.
        mtime_ns: modification time [ns since 1970].
        xattrs: its extended attributes.
        writer: what takes writes to it; None: nothing.
        is_part: its bytes are those of another file as well: of the array that it lies on.
    """

    source: BlockSource
    mtime_ns: int = 0
    xattrs: Attributes = field(default=_no_attributes)
    writer: WritableImage | None = None
    is_part: bool = False


@dataclass(frozen=True)
class TextNode:
    """A small file whose text is rendered when it is asked for; its size may differ from one time to the next.

    Attributes:
        render: returns the whole text; may take a while, may raise `RaidfsError`.
        mtime_ns: modification time [ns since 1970].
        xattrs: its extended attributes.
    """

    render: Callable[[], bytes]
    mtime_ns: int = 0
    xattrs: Attributes = field(default=_no_attributes)


@dataclass(frozen=True)
class Directory:
    """A directory.

    Attributes:
        entries: its nodes by name, in the order in which they are listed.
        mtime_ns: modification time [ns since 1970].
        xattrs: its extended attributes.

    Raises:
        ValueError: a name cannot be the name of a file.
    """

    entries: Mapping[str, Node]
    mtime_ns: int = 0
    xattrs: Attributes = field(default=_no_attributes)

    def __post_init__(self) -> None:
        """Refuse names that no directory can hold."""
        for name in self.entries:
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise ValueError(f"{name!r} cannot be the name of a file")


@dataclass(frozen=True)
class TreeNode:
    """A directory whose entries are the files of a file system, which are looked up when somebody asks.

    Attributes:
        tree: the file system.
        mtime_ns: modification time [ns since 1970], where its own cannot be read.
        xattrs: its extended attributes.
    """

    tree: FileTree
    mtime_ns: int = 0
    xattrs: Attributes = field(default=_no_attributes)


Node = Directory | FileNode | TextNode | TreeNode


def mode_of(node: Node) -> int:
    """Return type and permissions as in `st_mode`: nothing can be written but images over a layer for that."""
    if isinstance(node, FileNode) and node.writer is not None:
        return WRITABLE_MODE
    return DIRECTORY_MODE if isinstance(node, Directory | TreeNode) else FILE_MODE


def size_of(node: Node) -> int:
    """Return the size [bytes]; renders a text, so it may take as long as reading it."""
    if isinstance(node, FileNode):
        return node.source.size
    return len(node.render()) if isinstance(node, TextNode) else 0


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Yield (path relative to the root, node), parents before their entries, in listing order."""
    yield path, node
    if isinstance(node, Directory):
        for name, entry in node.entries.items():
            yield from walk(entry, f"{path}/{name}" if path else name)


class KeptWhileUnchanged(Generic[_Value]):
    """A value that is made again only when its subject changed: `stat` and `cat` ask for a text again and again."""

    def __init__(self, make: Callable[[], _Value], generation: Callable[[], int]) -> None:
        """Make it with `make` whenever `generation()` is not what it was at the last time."""
        self._make = make
        self._generation = generation
        self._lock = threading.Lock()
        self._last: tuple[int, _Value] | None = None

    def __call__(self) -> _Value:
        """Return the value as of now."""
        with self._lock:
            generation = self._generation()
            if self._last is None or self._last[0] != generation:
                self._last = (generation, self._make())
            return self._last[1]
