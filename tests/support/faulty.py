"""Members that fail while they are read: copies of images on a small file system that goes wrong as a test tells it to.

The file system is a process of its own (`tests.support.faulty_server`), so that whole programs meet its faults.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raidfs.extents import Extents
from tests.support.golden import CHECKOUT


class Faulty:
    """The file system, as a test commands it; every order is in force when the method returns.

    Attributes:
        paths: the files, in the order in which they were given.
    """

    def __init__(self, process: subprocess.Popen[str], paths: Sequence[Path]) -> None:
        """Take over a running server."""
        self._process = process
        self.paths = list(paths)

    def fail(self, path: Path, **rule: Any) -> None:
        """Let reads fail with EIO; see `faulty_server.Fault`."""
        self._order(path, "fault", kind="fail", **rule)

    def cut_short(self, path: Path, **rule: Any) -> None:
        """Let reads return half of what they should."""
        self._order(path, "fault", kind="short", **rule)

    def hang(self, path: Path, **rule: Any) -> None:
        """Let reads wait until `heal`."""
        self._order(path, "fault", kind="hang", **rule)

    def wait_until_it_hangs(self, path: Path) -> None:
        """Wait until a request waits."""
        self._order(path, "await")

    def heal(self, path: Path) -> None:
        """End all faults; what hangs is answered."""
        self._order(path, "clear")

    def vanish(self, path: Path, error: int = errno.ESTALE) -> None:
        """Let the file be gone, also for those who have it open."""
        self._order(path, "vanish", error=error)

    def resize(self, path: Path, size: int) -> None:
        """Cut the file, or let it grow."""
        self._order(path, "resize", size=size)

    def touch(self, path: Path) -> None:
        """Let the file be modified."""
        self._order(path, "touch")

    def n_failed(self, path: Path) -> int:
        """How many requests went wrong so far."""
        return int(self._order(path, "tell")["n_failed"])

    def was_opened_for_reading_only(self) -> bool:
        """Whether nobody ever opened one of the files in another way, and somebody in this one."""
        flags = [each for path in self.paths for each in self._order(path, "tell")["flags"]]
        return bool(flags) and all(each & (os.O_ACCMODE | os.O_TRUNC) == os.O_RDONLY for each in flags)

    def _order(self, path: Path, order: str, **told: Any) -> dict[str, Any]:
        """Give an order and wait for the answer."""
        return _ask(self._process, {"name": path.name, "order": order, **told})


def _ask(process: subprocess.Popen[str], told: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{json.dumps(told)}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, "the faulty file system has ended"
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def faulty_files(mountpoint: Path, paths: Sequence[Path], *, direct: bool = True) -> Iterator[Faulty]:
    """Serve files by the same names at `mountpoint`, which is made.

    Args:
        mountpoint: where.
        paths: what.
        direct: only what is asked for is read, in whatever units it is asked for; else the kernel caches it.
    """
    mountpoint.mkdir()
    command = [sys.executable, "-m", "tests.support.faulty_server", str(mountpoint)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            _ask(process, {"paths": [str(path) for path in paths], "direct": direct})
            yield Faulty(process, [mountpoint / path.name for path in paths])
        finally:
            # ends it and unmounts
            process.communicate()
    assert process.returncode == 0


@contextmanager
def faulty_members(mountpoint: Path, files: Mapping[Path, Extents]) -> Iterator[list[Path]]:
    """Serve files by the same names at `mountpoint`, which is made, with bad ranges each."""
    with faulty_files(mountpoint, list(files)) as faulty:
        for path, bad in zip(faulty.paths, files.values(), strict=True):
            if bad:
                faulty.fail(path, ranges=list(bad))
        yield faulty.paths
