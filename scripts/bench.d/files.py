"""Copying files out: many small ones against fuse2fs over a plain image, a large one against array.img."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np
from arrays import Array, write_data
from mounts import raidfs
from work import read_through_mount

N_SMALL = 20_000
_LARGE = 400 << 20
_SIZE = 1008 << 20
"""Of the file system: a multiple of what a RAID5 of four members takes in one stripe [bytes]."""


def write_files(folder: Path) -> Array:
    """Write an array with an ext4 of 20,000 files of 1 to 20 kB and one of 400 MB."""
    folder.mkdir()
    tree, data = folder / "tree", random.Random(3).randbytes(1 << 20)
    for number in range(N_SMALL):
        parent = tree / "small" / f"{number // 500:03}"
        if number % 500 == 0:
            parent.mkdir(parents=True)
        start = number * 37 % 900_000
        (parent / f"{number:05}").write_bytes(data[start : start + 1000 + number * 7919 % 19_000])
    with (tree / "large").open("wb") as file:
        generator = np.random.default_rng(3)
        for _ in range(_LARGE >> 20):
            file.write(generator.bytes(1 << 20))
    image = folder / "ext4.img"
    with image.open("wb") as file:
        file.truncate(_SIZE)
    mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin") or "mkfs.ext4"
    subprocess.run([mkfs, "-q", "-N", str(2 * N_SMALL), "-d", tree, image], check=True)  # noqa: S603  # no shell
    shutil.rmtree(tree)
    return write_data(folder / "members", 4, 1, np.fromfile(image, dtype=np.uint64))


def file_variants(stack: ExitStack, folder: Path, fast: Path) -> dict[str, Callable[[], float]]:
    """Write the array and mount it; return what is to be timed."""
    array = write_files(folder / "with-files")
    mounted = stack.enter_context(raidfs(array.members, folder / "files")).parent
    variants = {
        "small files": lambda: copy_small(_fresh(array, folder), fast / "small"),
        "large file": lambda: read_through_mount(mounted / "files" / "large"),
        "large image": lambda: read_through_mount(mounted / "array.img"),
    }
    if shutil.which("fuse2fs"):
        variants["fuse2fs"] = lambda: copy_small(_fuse2fs(array, folder), fast / "small")
    return variants


@contextmanager
def _fresh(array: Array, folder: Path) -> Iterator[Path]:
    """Mount the array anew: nothing of its files is cached by the kernel."""
    with raidfs(array.members, folder / "fresh") as image:
        yield image.parent / "files"
    (folder / "fresh").rmdir()


@contextmanager
def _fuse2fs(array: Array, folder: Path) -> Iterator[Path]:
    """Mount the same file system from a plain image with fuse2fs."""
    mountpoint = folder / "fuse2fs"
    mountpoint.mkdir()
    command = ["fuse2fs", "-o", "ro,norecovery,fakeroot", array.plain, mountpoint]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # a list, and no shell
    try:
        yield mountpoint
    finally:
        subprocess.run(["fusermount", "-u", mountpoint], check=True)  # noqa: S603, S607  # a list, and no shell
        mountpoint.rmdir()


def copy_small(mount: AbstractContextManager[Path], target: Path) -> float:
    """Copy the small files out of a mount; returns GB/s."""
    with mount as files:
        started = time.perf_counter()
        subprocess.run(["cp", "-a", files / "small", target], check=True)  # noqa: S603, S607  # a list, and no shell
        elapsed = time.perf_counter() - started
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    shutil.rmtree(target)
    return size / elapsed / 1e9
