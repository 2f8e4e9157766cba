"""The program as users run it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TIMEOUT = 600
"""Seconds after which a command counts as hung."""

Word = str | Path


def raidfs(*words: Word) -> subprocess.CompletedProcess[str]:
    """Run `raidfs WORDS...` to its end, whatever its exit code."""
    command = [sys.executable, "-m", "raidfs", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def run(*words: Word) -> str:
    """Run another program; return what it printed.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, f"{words} failed ({done.returncode}): {done.stderr}"
    return done.stdout


@contextmanager
def mounted(members: Sequence[Word], mountpoint: Path, *options: Word) -> Iterator[Path]:
    """Mount members at `mountpoint`, which is made; unmounted at the end."""
    mountpoint.mkdir()
    done = raidfs("mount", *options, *members, mountpoint)
    assert done.returncode == 0, done.stderr
    try:
        yield mountpoint
    finally:
        ended = raidfs("umount", mountpoint)
    assert ended.returncode == 0, ended.stderr


@contextmanager
def loop_mounted(image: Path, mountpoint: Path, options: str) -> Iterator[Path]:
    """Let the kernel mount the file system in `image`, as a user would."""
    mountpoint.mkdir()
    run("mount", "-o", f"ro,loop,{options}", image, mountpoint)
    try:
        yield mountpoint
    finally:
        run("umount", mountpoint)
