"""The system calls of a program, as strace saw them: what was done to the members.

Judged by a list of what is allowed: any call that names a member, by its path or by a descriptor of it, has to be one
that only reads. A file per thread (`-ff`) keeps each call on one line; `-y` writes the path behind each descriptor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import Word

_CALL = re.compile(r"^(\w+)\((.*)\) += (.*)$")
_DESCRIPTOR = re.compile(r"<(/[^<>]*)>")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')

_OPENING = {"open", "openat", "openat2"}
_WRITABLE = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")
_READING = {
    *("read", "readv", "pread64", "preadv", "preadv2", "lseek", "fadvise64", "close", "dup", "dup2", "dup3"),
    *("stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2"),
    *("readlink", "readlinkat", "getxattr", "fgetxattr", "listxattr", "flistxattr"),
}
_READING_IOCTLS = re.compile(r"\b(BLKGETSIZE64|BLKSSZGET|BLKPBSZGET|BLKROGET|TCGETS|FIGETBSZ|FS_IOC_FIEMAP)\b")
_READING_FCNTLS = re.compile(r"\bF_(GETFD|SETFD|GETFL|DUPFD|DUPFD_CLOEXEC)\b")
_WITH_DATA = {"read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "execve"}
"""Calls whose strings are data, or arguments of a program, not paths."""


@dataclass(frozen=True)
class Trace:
    """What one program and its children did to members.

    Attributes:
        reached: members of which a descriptor was open.
        violations: calls on a member that do more than read, as strace printed them.
    """

    reached: frozenset[Path]
    violations: tuple[str, ...]


def under_strace(folder: Path, command: Sequence[Word]) -> list[Word]:
    """Return the command that runs `command` with all its children, and writes the trace into `folder`."""
    calls = "trace=%file,%desc,io_uring_setup,io_uring_enter"
    return ["strace", "-ff", "-qq", "-y", "-e", calls, "-e", "signal=none", "-o", folder / "trace", *command]


def read_trace(folder: Path, members: Sequence[Path]) -> Trace:
    """Judge the trace in `folder`; members are regular files or devices, by their real paths."""
    by_path = {str(member): member for member in members}
    names = {member.name for member in members}
    reached: set[Path] = set()
    violations = []
    for line in _lines(folder):
        call = _CALL.match(line)
        if call is None:
            if any(name in line for name in names) or line.startswith("io_uring"):
                violations.append(line)  # cut short: nobody can say what it did
            continue
        name, arguments, result = call.groups()
        descriptors = {by_path[path] for path in _DESCRIPTOR.findall(arguments + result) if path in by_path}
        paths = set() if name in _WITH_DATA else {Path(text).name for text in _STRING.findall(arguments)}
        reached |= descriptors
        if name.startswith("io_uring") or ((descriptors or paths & names) and not _only_reads(name, arguments)):
            violations.append(line)
    return Trace(frozenset(reached), tuple(violations))


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("trace.*")):
        with path.open(errors="replace") as file:
            yield from file


def _only_reads(name: str, arguments: str) -> bool:
    if name in _OPENING:
        return "O_RDONLY" in arguments and not _WRITABLE.search(arguments)
    if name == "ioctl":
        return bool(_READING_IOCTLS.search(arguments))
    if name == "fcntl":
        return bool(_READING_FCNTLS.search(arguments))
    return name in _READING
