"""A mount over fakes in a process of its own: `python -m tests.fuse.server MOUNTPOINT OPTIONS`; prints `ready`."""

from __future__ import annotations

import itertools
import logging
import sys
import threading

from raidfs.errors import RaidfsError, SourceError
from raidfs.fuse.mount import serve
from raidfs.fuse.options import parse_options
from raidfs.view.node import Directory, FileNode, TextNode
from tests.fuse.fakes import (
    LOSSES,
    BlockingSource,
    FickleSource,
    GoneSource,
    HangingSource,
    QuickSource,
    contents,
)

GROWTH = 1000
MTIME_NS = 1_600_000_000_123_456_789


def tree() -> Directory:
    """Return a tree with one file for each kind of source."""
    data = contents()
    rendered = itertools.count(1)

    def fail() -> bytes:
        raise SourceError("no text today")

    return Directory(
        {
            "README.txt": TextNode(lambda: b"Hello.\n", MTIME_NS),
            "growing.txt": TextNode(lambda: b"x" * (GROWTH * next(rendered)), MTIME_NS),
            "failing.txt": TextNode(fail, MTIME_NS),
            "array.img": FileNode(QuickSource(data, LOSSES), MTIME_NS, lambda: {"user.raidfs.health": b"lost"}),
            "blocking.img": FileNode(BlockingSource(data, LOSSES), MTIME_NS),
            "fickle.img": FileNode(FickleSource(data), MTIME_NS),
            "gone.img": FileNode(GoneSource(SourceError("member a has gone")), MTIME_NS),
            "bug.img": FileNode(GoneSource(KeyError("a bug")), MTIME_NS),
            "hanging.img": FileNode(HangingSource(bytes(4096)), MTIME_NS),
            "folder": Directory({"inner.txt": TextNode(lambda: b"deep", MTIME_NS)}, MTIME_NS),
        },
        MTIME_NS,
    )


def prepare_for_ever() -> Directory:
    """Never come back, as if a kernel took very long to compile."""
    _say("preparing")
    threading.Event().wait()
    return tree()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(mountpoint: str, options: str) -> int:
    """Serve until unmounted; `options` may hold the word `for_ever` besides those of a mount."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    words = options.split(",")
    prepare = prepare_for_ever if "for_ever" in words else tree
    known = parse_options(word for word in words if word != "for_ever")
    try:
        serve(prepare, mountpoint, known, lambda: _say("ready"))
    except RaidfsError as error:
        _say(f"error: {error}")
        return 1
    _say("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
