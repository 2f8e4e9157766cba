"""Mounting as a user does: the program in a process of its own, what it printed, and the mount until the block ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raidfs.fuse.mountpoint import find_mount

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mount:
    """A mounted array.

    Attributes:
        path: the mountpoint.
        printed: what the command printed.
    """

    path: Path
    printed: str

    @property
    def image(self) -> Path:
        """The array."""
        return self.path / "array.img"

    def commands(self, heading: str) -> list[str]:
        """Return the commands that were printed below a heading."""
        lines = self.printed.splitlines()
        below = lines[lines.index(heading) + 1 :]
        end = next((at for at, line in enumerate(below) if not line.startswith("    ")), len(below))
        return [line.strip() for line in below[:end]]


def raidfs(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, "-m", "raidfs", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)


@contextmanager
def mounted(path: Path, members: Sequence[Path], *words: str) -> Iterator[Mount]:
    """Mount an array at `path`; the block may unmount it itself."""
    path.mkdir(exist_ok=True)
    done = raidfs("mount", *words, *members, path)
    assert (done.returncode, done.stderr) == (0, "")
    try:
        yield Mount(path, done.stdout)
    finally:
        if find_mount(str(path)) is not None:
            ended = raidfs("umount", path)
            assert (ended.returncode, ended.stderr) == (0, "")


def is_root() -> bool:
    """Tell whether loop devices can be used."""
    return os.geteuid() == 0
