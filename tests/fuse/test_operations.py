"""The tree as the kernel shows it: names, attributes, texts, and that nothing can be changed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pyfuse3
import pytest
import trio
from pyfuse3 import FlagT, FUSEError, InodeT, RequestContext

from raidfs.block import MemorySource
from raidfs.fuse.operations import TreeOperations
from raidfs.fuse.options import MountOptions
from raidfs.view.node import Directory, FileNode, TextNode
from tests.fuse.fakes import SIZE
from tests.fuse.server import GROWTH, MTIME_NS

pytestmark = pytest.mark.fuse


def test_the_tree_is_listed_in_its_order(shared: Path) -> None:
    names = [entry.name for entry in os.scandir(shared)]
    assert names[:3] == ["README.txt", "growing.txt", "failing.txt"]
    assert names[-1] == "folder"
    assert [entry.name for entry in os.scandir(shared / "folder")] == ["inner.txt"]
    assert (shared / "folder" / "inner.txt").read_bytes() == b"deep"
    assert (shared / "folder" / ".." / "README.txt").exists()


def test_attributes(shared: Path) -> None:
    status = (shared / "array.img").stat()
    assert stat.filemode(status.st_mode) == "-r--r--r--"
    assert stat.filemode(shared.stat().st_mode) == "dr-xr-xr-x"
    assert (status.st_size, status.st_mtime_ns, status.st_nlink) == (SIZE, MTIME_NS, 1)
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    assert (shared / "README.txt").stat().st_size == len("Hello.\n")


def test_a_missing_name_is_missing(shared: Path) -> None:
    with pytest.raises(FileNotFoundError):
        (shared / "nothing").stat()
    with pytest.raises(NotADirectoryError):
        (shared / "README.txt" / "x").stat()
    assert not list(shared.glob("*/nothing"))


def test_a_text_is_whole_although_it_grew_since_it_was_measured(shared: Path) -> None:
    path = shared / "growing.txt"
    sizes = []
    for _ in range(3):
        measured = path.stat().st_size
        with path.open("rb") as file:
            text = file.read()
            file.seek(0)
            assert file.read() == text
        assert len(text) > measured
        sizes.append(len(text))
    assert sizes == sorted(set(sizes))
    assert all(size % GROWTH == 0 for size in sizes)


def test_extended_attributes(shared: Path) -> None:
    image = shared / "array.img"
    assert os.listxattr(image) == ["user.raidfs.health"]
    assert os.getxattr(image, "user.raidfs.health") == b"lost"
    assert os.listxattr(shared / "README.txt") == []
    for name in ("user.raidfs.other", "user.other", "security.selinux"):
        with pytest.raises(OSError, match="No data available"):
            os.getxattr(image, name)
    server = int(os.getxattr(shared, "user.raidfs.pid"))
    assert "tests.fuse.server" in Path(f"/proc/{server}/cmdline").read_text()


def test_the_file_system_is_full_and_as_large_as_its_files(shared: Path) -> None:
    status = os.statvfs(shared)
    assert status.f_bavail == status.f_bfree == status.f_ffree == 0
    assert status.f_blocks * status.f_frsize >= 2 * SIZE


CHANGES: dict[str, Callable[[Path], object]] = {
    "open for writing": lambda path: os.open(path / "array.img", os.O_WRONLY),
    "open for both": lambda path: os.open(path / "array.img", os.O_RDWR),
    "open to append": lambda path: os.open(path / "array.img", os.O_WRONLY | os.O_APPEND),
    "truncate": lambda path: os.truncate(path / "array.img", 0),
    "create": lambda path: os.open(path / "new", os.O_CREAT | os.O_WRONLY),
    "make a directory": lambda path: (path / "new").mkdir(),
    "remove": lambda path: (path / "array.img").unlink(),
    "remove a directory": lambda path: (path / "folder").rmdir(),
    "rename": lambda path: (path / "array.img").rename(path / "new"),
    "link": lambda path: os.link(path / "array.img", path / "new"),
    "link symbolically": lambda path: (path / "new").symlink_to("x"),
    "make a pipe": lambda path: os.mkfifo(path / "new"),
    "change the mode": lambda path: (path / "array.img").chmod(0o600),
    "change the owner": lambda path: os.chown(path / "array.img", 1, 1),
    "change the times": lambda path: os.utime(path / "array.img", (1, 1)),
    "set an attribute": lambda path: os.setxattr(path / "array.img", "user.x", b""),
    "remove an attribute": lambda path: os.removexattr(path / "array.img", "user.raidfs.health"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_can_be_changed(shared: Path, change: str) -> None:
    with pytest.raises(OSError, match="Read-only file system") as raised:
        CHANGES[change](shared)
    assert raised.value.errno == errno.EROFS


# the kernel refuses the above by itself; what follows asks us, as a kernel would that does not

ROOT = pyfuse3.ROOT_INODE


def _operations() -> TreeOperations:
    root = Directory({"a": FileNode(MemorySource(b"abc")), "b": TextNode(lambda: b"text")})
    return TreeOperations(root, MountOptions())


def _errno(action: Callable[[TreeOperations, RequestContext], object]) -> int:
    async def run() -> object:
        return await action(_operations(), RequestContext.__new__(RequestContext))  # type: ignore[misc]  # a coroutine

    with pytest.raises(FUSEError) as raised:
        trio.run(run)
    return raised.value.errno


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC])
def test_opening_for_writing_is_refused_by_us_too(flags: int) -> None:
    assert _errno(lambda operations, ctx: operations.open(InodeT(2), FlagT(flags), ctx)) == errno.EROFS


@pytest.mark.parametrize(
    "name",
    "setattr mknod mkdir unlink rmdir symlink rename link create setxattr removexattr".split(),  # noqa: SIM905  # a list of words
)
def test_every_request_that_changes_something_is_refused_by_us_too(name: str) -> None:
    assert _errno(lambda operations, ctx: getattr(operations, name)(InodeT(2), ctx)) == errno.EROFS


def test_writing_is_refused_by_us_too() -> None:
    async def write(operations: TreeOperations, ctx: RequestContext) -> object:
        file = await operations.open(InodeT(2), FlagT(os.O_RDONLY), ctx)
        return await operations.write(file.fh, 0, b"x")

    assert _errno(write) == errno.EROFS


def test_requests_for_the_wrong_kind_of_node() -> None:
    assert _errno(lambda operations, ctx: operations.open(ROOT, FlagT(os.O_RDONLY), ctx)) == errno.EISDIR
    assert _errno(lambda operations, ctx: operations.opendir(InodeT(2), ctx)) == errno.ENOTDIR
    assert _errno(lambda operations, ctx: operations.getattr(InodeT(99), ctx)) == errno.ENOENT
    assert _errno(lambda operations, ctx: operations.readlink(InodeT(2), ctx)) == errno.EINVAL


def test_closed_files_are_forgotten() -> None:
    async def run() -> tuple[bytes, bytes]:
        operations, ctx = _operations(), RequestContext.__new__(RequestContext)
        file = await operations.open(InodeT(2), FlagT(os.O_RDONLY), ctx)
        text = await operations.open(InodeT(3), FlagT(os.O_RDONLY), ctx)
        read = bytes(await operations.read(file.fh, 1, 100)), bytes(await operations.read(text.fh, 2, 100))
        await operations.release(file.fh)
        await operations.release(text.fh)
        with pytest.raises(KeyError):
            await operations.read(file.fh, 0, 1)
        return read

    assert trio.run(run) == (b"bc", b"xt")
