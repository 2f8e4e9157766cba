"""A mount in a child process, for as long as a test or a module needs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from raidfs.fuse.mountpoint import find_mount

_CHECKOUT = Path(__file__).parents[2]


class Mounted:
    """A running server and where it is mounted."""

    def __init__(self, path: Path, process: subprocess.Popen[str]) -> None:
        """Hold both."""
        self.path = path
        self.process = process

    def line(self) -> str:
        """Return what the server says next, waiting for it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str, str]:
        """Wait for the server's end; return its exit code, what it still said, and its log."""
        said, logged = self.process.communicate()
        return self.process.returncode, said.strip(), logged.strip()

    @property
    def is_mounted(self) -> bool:
        """Whether the kernel lists the mount."""
        return find_mount(str(self.path)) is not None


def command_for(path: Path, options: str = "") -> list[str]:
    """Return the command that serves at `path`; to be run in the checkout."""
    return [sys.executable, "-m", "tests.fuse.server", str(path), options]


@contextmanager
def running(path: Path, options: str = "", first: str = "ready") -> Iterator[Mounted]:
    """Run a server at `path` until the block ends; enter it once the server has said `first`."""
    path.mkdir()
    pipe = subprocess.PIPE
    with subprocess.Popen(command_for(path, options), cwd=_CHECKOUT, stdout=pipe, stderr=pipe, text=True) as process:
        mounted = Mounted(path, process)
        try:
            said = mounted.line()
            assert said == first, (said, mounted.end())
            yield mounted
        finally:
            process.terminate()


@pytest.fixture
def mount_at(tmp_path: Path) -> Iterator[Callable[..., Mounted]]:
    """Return a function that mounts for the rest of the test."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running(tmp_path / "mnt", *arguments))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a mount that the tests of a module share; they only read."""
    with running(tmp_path_factory.mktemp("shared") / "mnt") as mounted:
        yield mounted.path
        assert mounted.process.poll() is None


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the same with `-o direct_io`."""
    with running(tmp_path_factory.mktemp("direct") / "mnt", "direct_io") as mounted:
        yield mounted.path
        assert mounted.process.poll() is None
