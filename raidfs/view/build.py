"""The tree of a mounted array: README.txt, status.json, array.img, array.map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from raidfs.block import BlockSource
from raidfs.units import format_size
from raidfs.view.howto import Reader, guide
from raidfs.view.node import Attributes, Directory, FileNode, Node, TextNode
from raidfs.view.probe import Probe
from raidfs.view.writable import WritableImage

_FOREST = (
    "Several arrays, assembled by raidfs. Nothing here can be written. What each of them is and how to use it says:"
)


@dataclass(frozen=True)
class ArrayView:
    """What is shown of one array.

    Attributes:
        title: what it is, such as `RAID5 of 4 members (lab:data)`.
        source: its bytes.
        contents: what was found on it.
        mtime_ns: the newest update time that its superblocks know [ns since 1970].
        status: renders status.json.
        map: renders array.map.
        xattrs: the extended attributes of array.img.
        layers: what lies on it: `partitions`, `volumes`, `files`.
        lines: what is to be said about that.
        writer: what takes writes to array.img; None: nothing.
    """

    title: str
    source: BlockSource
    contents: Probe
    mtime_ns: int
    status: Callable[[], bytes]
    map: Callable[[], bytes]
    xattrs: Attributes
    layers: Mapping[str, Node] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    writer: WritableImage | None = None


def build_tree(array: ArrayView, folder: str, reader: Reader, mountpoint: str | None = None) -> Directory:
    """Return the tree for `folder`, as `reader` will use it; `mountpoint`: where that is not the folder itself."""
    readme = readme_text(array, folder, reader, mountpoint).encode()
    entries: dict[str, Node] = {
        "README.txt": TextNode(lambda: readme, array.mtime_ns),
        "status.json": TextNode(array.status, array.mtime_ns),
        "array.img": FileNode(array.source, array.mtime_ns, array.xattrs, array.writer),
        "array.map": TextNode(array.map, array.mtime_ns),
    }
    entries.update(array.layers)
    return Directory(entries, array.mtime_ns)


def build_forest(trees: Mapping[str, Directory]) -> Directory:
    """Return the tree of several arrays, each in a folder of its own, by name."""
    newest = max((tree.mtime_ns for tree in trees.values()), default=0)
    readme = "".join(f"{line}\n" for line in (_FOREST, *(f"  arrays/{name}/README.txt" for name in trees))).encode()
    entries: dict[str, Node] = {
        "README.txt": TextNode(lambda: readme, newest),
        "arrays": Directory(dict(trees), newest),
    }
    return Directory(entries, newest)


def readme_text(array: ArrayView, folder: str, reader: Reader, mountpoint: str | None = None) -> str:
    """Return the text of README.txt."""
    written = (
        "What is written to images here is kept in the overlay" if reader.can_write else "Nothing here can be written"
    )
    lines = (
        f"{array.title}, assembled by raidfs. {written}; the member images are never changed.",
        f"array.img    the array, {format_size(array.source.size)}: {array.contents.meaning}.",
        "array.map    what of it can be read (ddrescue map: + served, - lost, / doubtful)",
        "status.json  the array, the findings and the account of its bytes",
        *array.lines,
        "What cannot be served fails with an input/output error, never with wrong bytes.",
        "Copy files out with cp -a or rsync -a: both go on after an error and name the files that had one.",
        *guide(array.contents, folder, reader, mountpoint).lines(has_files="files" in array.layers),
    )
    return "\n".join(lines) + "\n"
