"""File systems made for tests: by their own mkfs, filled by the kernel or by what needs no kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raidfs.block import Requests, check_requests
from raidfs.errors import Damaged, Lost
from raidfs.extents import Extents

OLD_NS, LATE_NS = -3_599_876_543_211, 7_258_215_845_987_654_321
"""Times before 1970 and after 2106 [ns since 1970]."""


def make(path: Path, size: int, *command: str) -> Path:
    """Make an empty file system of `size` bytes with `command`, whose last word is added."""
    with path.open("wb") as file:
        file.truncate(size)
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program is not None, f"{command[0]} is not installed"
    done = subprocess.run([program, *command[1:], path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@contextmanager
def kernel_mount(image: Path, folder: Path, options: str) -> Iterator[Path]:
    """Let the kernel mount an image (root only)."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", f"loop,{options}", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path, n_many: int = 300) -> None:
    """Put in everything that a copy must keep."""
    (folder / "dir").mkdir()
    small = folder / "dir" / "small"
    small.write_bytes(b"hello")
    (folder / "dir" / "hard").hardlink_to(small)
    (folder / "dir" / "link").symlink_to("small")
    (folder / "dir" / "far").symlink_to("x" * 200 + "/y")
    (folder / "dir" / "farther").symlink_to(f"{'x' * 100}/" * 10 + "y")
    os.mknod(folder / "dir" / "null", 0o20644, os.makedev(1, 3))
    os.mknod(folder / "dir" / "disk", 0o60640, os.makedev(259, 70000))
    os.mkfifo(folder / "dir" / "fifo")
    os.setxattr(small, "user.short", b"value")
    os.setxattr(small, "user.long", bytes(range(256)) * 2)
    os.setxattr(small, "trusted.t", b"\0\xff")
    os.setxattr(small, "system.posix_acl_access", ACL)
    attributes = folder / "dir" / "attributes"
    attributes.touch()
    os.setxattr(attributes, "user.a", b"")
    for number in range(3):
        os.setxattr(attributes, f"user.{number}", bytes([number]) * 240)
    with (folder / "dir" / "hole").open("wb") as file:
        file.seek(4_500_000_000)
        file.write(b"end")
        file.truncate(5 << 30)
    with (folder / "dir" / "unwritten").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        file.seek(70_000)
        file.write(b"abc")
    with (folder / "dir" / "pieces").open("wb") as file:
        for number in range(400):
            file.seek(number * 16384)
            file.write(b"%d" % number * 100)
    odd = folder / "dir" / "odd"
    odd.write_bytes(b"x")
    os.chown(odd, 100_000, 70_000)
    odd.chmod(0o6755)
    for name in ODD_NAMES:
        (Path(os.fsdecode(os.fsencode(folder / "dir") + b"/" + name))).write_bytes(name)
    (folder / "many").mkdir()
    for number in range(n_many):
        (folder / "many" / f"file-{number:06}").write_bytes(b"%d\n" % number * 30)
    for path in (small, folder / "dir"):
        os.utime(path, ns=(OLD_NS, LATE_NS))


ODD_NAMES = (b"caf\xe9", b"\xff\xfe\xfd", b"new\nline", b"a" * 255, b"quote'\"\\$", "\u044f".encode() * 127)
ACL = bytes.fromhex(
    "0200000001000600ffffffff02000500d204000004000400ffffffff080006006300000010000700ffffffff20000400ffffffff"
)
"""An access ACL with a named user and a named group, as `getxattr(2)` gives it."""


class ImageDevice:
    """A `Device` and a `BlockSource` over an image, with losses and changed bytes."""

    def __init__(self, path: Path, lost: Extents = Extents()) -> None:
        """Read the image when asked."""
        self._path = path
        self.size = path.stat().st_size
        self.lost = lost
        self.changed: dict[int, int] = {}
        self.places: set[int] = set()

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; see `Device`."""
        if not 0 <= offset <= self.size - length:
            raise Damaged("outside")
        if self.lost.overlaps(offset, offset + length):
            raise Lost("lost")
        return self._bytes(offset, length)

    def _bytes(self, offset: int, length: int) -> bytes:
        with self._path.open("rb") as file:
            raw = bytearray(os.pread(file.fileno(), length, offset))
        self.places.add(offset)
        for place, mask in self.changed.items():
            if offset <= place < offset + length:
                raw[place - offset] ^= mask
        return bytes(raw)

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        lost: list[tuple[int, int]] = []
        for offset, length, position in check_requests(requests, self.size, len(out)):
            out[position : position + length] = np.frombuffer(self._bytes(offset, length), dtype=np.uint8)
            for start, stop in self.lost.clip(offset, offset + length).shift(position - offset):
                out[start:stop] = 0
                lost.append((start, stop))
        return Extents(lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return the losses."""
        return self.lost.clip(start, stop)
