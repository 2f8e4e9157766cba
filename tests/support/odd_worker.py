"""A worker whose reader does what readers of others may do: `python -m tests.support.odd_worker odd`."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Mapping

from raidfs.filesystem import kinds
from raidfs.filesystem.entry import Attributes, Contents, Device, Name, Names, Usage
from raidfs.filesystem.worker import main

ODDITIES = (b"good", b"crashes", b"loops", b"eats", b"raises", b"garbles")
"""The files of its only directory; what each does is done when its attributes are asked for, from inode 2 on."""


class OddReader:
    """A `Reader` with one directory."""

    root = 1

    def __init__(self, device: Device) -> None:
        """Read the first bytes: they may be lost."""
        device.read(0, 512)

    def usage(self) -> Usage:
        """Return something."""
        return Usage(512, 1, 0, 1, 0)

    def names(self, inode: int) -> Names:
        """List the oddities."""
        return Names(tuple(Name(name, number, stat.S_IFREG) for number, name in enumerate(ODDITIES, start=2)))

    def attributes(self, inode: int) -> Attributes:
        """Do what the name says."""
        if inode != self.root:
            does(ODDITIES[inode - 2])
        mode = stat.S_IFDIR | 0o755 if inode == self.root else stat.S_IFREG | 0o644
        return Attributes(inode, mode, 1, 0, 0, (0, 0), 0, 0, 0, 0, 0)

    def contents(self, inode: int) -> Contents:
        """Return nothing."""
        return Contents()

    def target(self, inode: int) -> bytes:
        """Return nothing."""
        return b""

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return nothing."""
        return {}

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return nothing."""
        return b""


def does(what: bytes) -> None:
    """Do one oddity."""
    if what == b"crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == b"loops":
        while True:
            pass
    if what == b"eats":
        eaten = [bytes(1 << 20) for _ in range(1 << 20)]
        raise AssertionError(len(eaten))
    if what == b"raises":
        raise ZeroDivisionError("by damage")
    if what == b"garbles":
        os.write(0, b"\xff" * 64)


if __name__ == "__main__":
    kinds.READERS["odd"] = ("odd", "OddReader")
    sys.modules["raidfs.filesystem.odd"] = sys.modules["__main__"]
    sys.exit(main())
