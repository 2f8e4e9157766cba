"""A file system whose files are images that fail as told: `python -m tests.support.faulty_server MOUNTPOINT`.

Takes orders, one JSON object a line, from stdin, and answers each with one on stdout once it is in force; ends, and
unmounts, with its stdin. Knows nothing of raidfs. Nothing about the files is cached by the kernel, and with `direct`
nothing that they hold either: a read is then answered as it comes here. (Without it the kernel reads ahead, and takes
a short answer for the end of the file.)
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyfuse3
import trio


@dataclass
class Fault:
    """A rule by which requests for an image go wrong.

    Attributes:
        kind: `fail` (EIO), `short` (half of the bytes), `hang` (no answer before it is cleared).
        request: which ones: `read`, or `getattr` (what fstat asks).
        ranges: only those that touch one of these [start, stop) bytes; None: all.
        every: only each n-th of them.
        seed: how many were counted before the first one.
        times: how often at most; None: for ever.
    """

    kind: str
    request: str = "read"
    ranges: list[tuple[int, int]] | None = None
    every: int = 1
    seed: int = 0
    times: int | None = None

    def strikes(self, request: str, start: int, stop: int) -> bool:
        """Count a request; tell whether it goes wrong."""
        touched = self.ranges is None or any(start < high and low < stop for low, high in self.ranges)
        if request != self.request or not touched or self.times == 0:
            return False
        self.seed += 1
        if self.seed % self.every:
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass
class Image:
    """A file.

    Attributes:
        name: in the folder.
        fd: of what it shows.
        size: how much of it [bytes]; zeros behind its end.
        mtime_ns: modification time.
        faults: what goes wrong.
        error: errno of every request for it; 0: it is there.
        flags: of every open so far.
        n_failed: requests that went wrong.
        n_waiting: requests that hang.
        changed: set, and replaced, when any of this changes.
    """

    name: str
    fd: int
    size: int
    mtime_ns: int
    faults: list[Fault] = field(default_factory=list)
    error: int = 0
    flags: list[int] = field(default_factory=list)
    n_failed: int = 0
    n_waiting: int = 0
    changed: trio.Event = field(default_factory=trio.Event)

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        self.changed.set()
        self.changed = trio.Event()

    async def suffer(self, request: str, start: int = 0, stop: int = 0) -> Fault | None:
        """Let what was told go wrong with a request; return the fault with which the answer is still to be given."""
        fault = next((each for each in self.faults if each.strikes(request, start, stop)), None)
        self.n_failed += fault is not None
        if fault is not None and fault.kind == "hang":
            self.n_waiting += 1
            self.tell()
            while fault in self.faults:
                await self.changed.wait()
            self.n_waiting -= 1
        if self.error:
            raise pyfuse3.FUSEError(self.error)
        if fault is not None and fault.kind == "fail":
            raise pyfuse3.FUSEError(errno.EIO)
        return fault


class FaultyFiles(pyfuse3.Operations):
    """A folder of images."""

    def __init__(self, paths: Sequence[str], *, direct: bool) -> None:
        super().__init__()
        self._direct = direct
        self._files: dict[int, Image] = {}
        for inode, path in enumerate(paths, pyfuse3.ROOT_INODE + 1):
            fd = os.open(path, os.O_RDONLY)
            status = os.fstat(fd)
            self._files[inode] = Image(os.path.basename(path), fd, status.st_size, status.st_mtime_ns)

    def image(self, name: str) -> Image:
        """Return the file of that name."""
        return next(image for image in self._files.values() if image.name == name)

    def release_all(self) -> None:
        """Let nothing hang any more."""
        for image in self._files.values():
            image.error = errno.EIO
            image.faults.clear()
            image.tell()

    async def lookup(self, parent_inode: Any, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        """Find a file."""
        for inode, image in self._files.items():
            if image.name == os.fsdecode(name) and not image.error:
                return self._attributes(inode)
        raise pyfuse3.FUSEError(errno.ENOENT)

    async def getattr(self, inode: Any, ctx: Any) -> pyfuse3.EntryAttributes:
        """Return size and times."""
        if inode in self._files:
            await self._files[inode].suffer("getattr")
        return self._attributes(inode)

    def _attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        image = self._files.get(inode)
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = pyfuse3.InodeT(inode)
        entry.st_mode = pyfuse3.ModeT(0o040555 if image is None else 0o100444)
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        entry.st_size = 0 if image is None else image.size
        entry.st_mtime_ns = 0 if image is None else image.mtime_ns
        entry.entry_timeout = entry.attr_timeout = 0
        return entry

    async def opendir(self, inode: Any, ctx: Any) -> Any:
        """Open the folder."""
        return inode

    async def readdir(self, fh: Any, start_id: int, token: Any) -> None:
        """List the files."""
        there = [(inode, image) for inode, image in self._files.items() if inode > start_id and not image.error]
        for inode, image in there:
            name = pyfuse3.FileNameT(os.fsencode(image.name))
            if not pyfuse3.readdir_reply(token, name, self._attributes(inode), inode):
                return

    async def open(self, inode: Any, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        """Open a file, and remember how."""
        image = self._files[inode]
        image.flags.append(flags)
        if image.error:
            raise pyfuse3.FUSEError(image.error)
        return pyfuse3.FileInfo(fh=inode, direct_io=self._direct, keep_cache=False)

    async def read(self, fh: Any, off: int, size: int) -> bytes:
        """Read, unless that goes wrong."""
        image = self._files[fh]
        fault = await image.suffer("read", off, off + size)
        length = max(0, min(size, image.size - off))
        if fault is not None and fault.kind == "short":
            length //= 2
        return os.pread(image.fd, length, off).ljust(length, b"\0")


def obey(files: FaultyFiles, name: str, order: str, **told: Any) -> dict[str, Any]:
    """Do what one order says.

    Args:
        files: the files.
        name: of the one that it concerns.
        order: `fault` (with what `Fault` is made of), `clear`, `vanish` (with `error`), `resize` (with `size`),
            `touch`, or `tell`.
        told: the rest of it.
    """
    image = files.image(name)
    does: dict[str, Callable[..., None]] = {
        "fault": lambda **rule: image.faults.append(Fault(**rule)),
        "clear": image.faults.clear,
        "vanish": lambda error: setattr(image, "error", error),
        "resize": lambda size: setattr(image, "size", size),
        "touch": lambda: setattr(image, "mtime_ns", image.mtime_ns + 1),
        "tell": lambda: None,
    }
    does[order](**told)
    image.tell()
    return {"n_failed": image.n_failed, "flags": image.flags}


async def take_orders(files: FaultyFiles, nursery: trio.Nursery) -> None:
    """Obey until there is nobody who gives orders."""
    received = b""
    async with trio.lowlevel.FdStream(os.dup(0)) as stream:
        async for chunk in stream:
            *lines, received = (received + chunk).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if order["order"] == "await":
                    nursery.start_soon(answer_when_it_hangs, files.image(order["name"]))
                else:
                    answer(obey(files, **order))
    files.release_all()
    pyfuse3.terminate()


async def answer_when_it_hangs(image: Image) -> None:
    """Answer once a request for the image waits."""
    while not image.n_waiting:
        await image.changed.wait()
    answer({})


def answer(told: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


async def live(files: FaultyFiles) -> None:
    """Serve as long as orders may come."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_orders, files, nursery)
        await pyfuse3.main()
        nursery.cancel_scope.cancel()


def main(mountpoint: str) -> None:
    """Read what to serve, mount it, and live."""
    told = json.loads(os.fdopen(os.dup(0), "rb", buffering=0).readline())
    files = FaultyFiles(told["paths"], direct=told["direct"])
    pyfuse3.init(files, mountpoint, {"fsname=faulty", "ro", "default_permissions"})
    try:
        answer({})
        trio.run(live, files)
    finally:
        pyfuse3.close(unmount=True)


if __name__ == "__main__":
    main(sys.argv[1])
