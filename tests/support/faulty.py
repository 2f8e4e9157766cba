"""Members that fail: a small file system whose files are golden images with bad sectors, for whole programs.

`python -m tests.support.faulty MOUNTPOINT` reads a line of JSON (path and bad ranges of each file) and serves them
until it is unmounted. With direct I/O, so that only what is asked for fails, in whatever units it is asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raidfs.block import MemorySource, Requests, check_requests
from raidfs.extents import Extents
from raidfs.fuse.mount import serve
from raidfs.fuse.options import MountOptions
from raidfs.view.node import Directory, FileNode
from tests.support.golden import CHECKOUT

MTIME_NS = 1_700_000_000_000_000_000


class BadFile(MemorySource):
    """A file with bad ranges."""

    def __init__(self, path: Path, bad: Extents) -> None:
        super().__init__(b"", bad)
        self._content = np.memmap(path, dtype=np.uint8, mode="r")
        self._bad = bad

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self._content)

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        lost = Extents()
        for offset, length, position in check_requests(requests, self.size, len(out)):
            out[position : position + length] = self._content[offset : offset + length]
            lost = lost.union(self._bad.clip(offset, offset + length).shift(position - offset))
        for start, stop in lost:
            out[start:stop] = 0
        return lost


@contextmanager
def faulty_members(mountpoint: Path, files: Mapping[Path, Extents]) -> Iterator[list[Path]]:
    """Serve copies of files by the same names at `mountpoint`, which is made, with bad ranges each."""
    mountpoint.mkdir()
    told = json.dumps({str(path): list(bad) for path, bad in files.items()})
    command = [sys.executable, "-m", "tests.support.faulty", str(mountpoint)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{told}\n")
        process.stdin.flush()
        try:
            assert process.stdout.readline() == "ready\n"
            yield [mountpoint / path.name for path in files]
        finally:
            process.terminate()


def main(mountpoint: str) -> int:
    """Serve until unmounted, or until a signal comes."""
    told = json.loads(sys.stdin.readline())
    nodes = {
        Path(path).name: FileNode(BadFile(Path(path), Extents([(start, stop) for start, stop in bad])), MTIME_NS)
        for path, bad in told.items()
    }

    def say() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    serve(lambda: Directory(nodes, MTIME_NS), mountpoint, MountOptions(direct_io=True), say)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
