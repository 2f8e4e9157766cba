"""The tree of a mounted array."""

from __future__ import annotations

import pytest

from raidfs.block import MemorySource
from raidfs.view.build import ArrayView, build_tree, readme_text
from raidfs.view.howto import Reader
from raidfs.view.node import FileNode, TextNode, walk
from raidfs.view.probe import Probe

READER = Reader(is_root=True, allow_other=False)


def _view(kind: str = "ext4", meaning: str = "ext4 file system, unmounted cleanly") -> ArrayView:
    return ArrayView(
        title="raid5 array of 4 members (lab:data)",
        source=MemorySource(bytes(3 << 20)),
        contents=Probe(kind, meaning),
        mtime_ns=1_600_000_000 * 10**9,
        status=lambda: b"{}\n",
        map=lambda: b"# map\n",
        xattrs=lambda: {"user.raidfs.health": b"good"},
    )


def test_names_kinds_and_times() -> None:
    view = _view()
    tree = build_tree(view, "/mnt/r", READER)
    assert list(tree.entries) == ["README.txt", "status.json", "array.img", "array.map"]
    assert {node.mtime_ns for _, node in walk(tree)} == {view.mtime_ns}
    image, status, array_map = (tree.entries[name] for name in ("array.img", "status.json", "array.map"))
    assert isinstance(image, FileNode)
    assert image.source is view.source
    assert image.xattrs() == {"user.raidfs.health": b"good"}
    assert isinstance(status, TextNode)
    assert status.render() == b"{}\n"
    assert isinstance(array_map, TextNode)
    assert array_map.render() == b"# map\n"


@pytest.mark.parametrize("kind", ["ext4", "gpt", "lvm2", "luks", "unknown", "swap"])
@pytest.mark.parametrize("reader", [READER, Reader(False, False), Reader(False, True), Reader(True, True, True)])
def test_the_readme_has_what_one_needs_in_15_lines(kind: str, reader: Reader) -> None:
    text = readme_text(_view(kind), "/mnt/r", reader)
    assert len(text.splitlines()) <= 15
    assert text.endswith("\n")
    for needed in ("raid5 array of 4 members (lab:data)", "3 MiB", "array.map", "status.json", "cp -a", "/mnt/r"):
        assert needed in text
    tree = build_tree(_view(kind), "/mnt/r", reader)
    readme = tree.entries["README.txt"]
    assert isinstance(readme, TextNode)
    assert readme.render().decode() == text
