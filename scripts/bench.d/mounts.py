"""The two file systems that are compared: raidfs, and a minimal one in C, compiled here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raidfs.fuse.mount import READ_AHEAD_KB
from raidfs.fuse.mountpoint import find_mount

_HERE = Path(__file__).parent


def compile_yardstick(folder: Path) -> Path:
    """Compile the yardstick; return the program."""
    program = folder / "yardstick"
    flags = _run("pkg-config", "--cflags", "--libs", "fuse3").split()
    _run("gcc", "-O2", "-Wall", "-o", program, _HERE / "yardstick.c", *flags, "-pthread")
    return program


def _run(*command: str | Path) -> str:
    """Run a program; return what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # a list, and no shell
    return done.stdout


@contextmanager
def yardstick(program: Path, file: Path, mountpoint: Path, *words: str) -> Iterator[Path]:
    """Serve `file` with the yardstick, with the same read-ahead as raidfs; yield it as it is seen through the mount."""
    mountpoint.mkdir()
    with subprocess.Popen([program, file, mountpoint, *words]) as process:  # noqa: S603  # a list, and no shell
        try:
            # answers once it serves; before, the name is not there
            while not (mountpoint / "array.img").exists():
                if process.poll() is not None:
                    raise RuntimeError("the yardstick has ended")
            _raise_read_ahead(mountpoint)
            yield mountpoint / "array.img"
        finally:
            process.terminate()


def _raise_read_ahead(mountpoint: Path) -> None:
    mount = find_mount(str(mountpoint))
    if mount is not None and os.geteuid() == 0:
        Path(f"/sys/class/bdi/{mount.device}/read_ahead_kb").write_text(str(READ_AHEAD_KB))


@contextmanager
def raidfs(members: Sequence[Path], mountpoint: Path, *words: str) -> Iterator[Path]:
    """Mount an array as a user would; yield its image."""
    mountpoint.mkdir()
    command = (sys.executable, "-m", "raidfs")
    _run(*command, "mount", "-q", *words, *members, mountpoint)
    try:
        yield mountpoint / "array.img"
    finally:
        _run(*command, "umount", mountpoint)
