"""The tree as values."""

from __future__ import annotations

import itertools
import stat

import pytest

from raidfs.block import MemorySource
from raidfs.view.node import Directory, FileNode, KeptWhileUnchanged, Node, TextNode, mode_of, size_of, walk

FILE = FileNode(MemorySource(b"abc"))
TEXT = TextNode(lambda: b"hello")
TREE = Directory({"b.img": FILE, "a.txt": TEXT, "inner": Directory({"c": FILE})})


@pytest.mark.parametrize(
    ("node", "mode", "size"), [(FILE, "-r--r--r--", 3), (TEXT, "-r--r--r--", 5), (TREE, "dr-xr-xr-x", 0)]
)
def test_attributes(node: Node, mode: str, size: int) -> None:
    assert stat.filemode(mode_of(node)) == mode
    assert size_of(node) == size
    assert node.xattrs() == {}


def test_walking_keeps_the_order() -> None:
    assert [path for path, _ in walk(TREE)] == ["", "b.img", "a.txt", "inner", "inner/c"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        Directory({name: FILE})


def test_a_value_is_made_again_only_when_its_subject_changed() -> None:
    numbers = itertools.count(1)
    generation = 0
    kept = KeptWhileUnchanged(lambda: next(numbers), lambda: generation)
    assert [kept(), kept()] == [1, 1]
    generation = 5
    assert [kept(), kept()] == [2, 2]


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    divisors = iter([0, 2])
    kept = KeptWhileUnchanged(lambda: 14 // next(divisors), lambda: 0)
    with pytest.raises(ZeroDivisionError):
        kept()
    assert kept() == 7
