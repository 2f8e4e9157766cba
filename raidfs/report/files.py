"""What `raidfs files` says: a summary, the files with losses, then all others; for people, and as JSON."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from raidfs.extents import Extents
from raidfs.units import format_size

SCHEMA_VERSION = 1
_MOST_RANGES = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One name of a file system.

    Attributes:
        path: from the top of `files/`.
        mode, size: as `stat` tells them.
        lost: the bytes of the file that are not served.
        failing: the same in whole pages, which is what fails in the mount.
        lost_names: bytes of a directory that cannot be read.
        why: why nothing of it can be had, or ''.
        attributes: why its extended attributes cannot be had, or ''.
        is_unproven: some of its bytes are served unproven.
    """

    path: bytes
    mode: int
    size: int
    lost: Extents
    failing: Extents
    lost_names: int
    why: str
    attributes: str = ""
    is_unproven: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, or may be one."""
        return stat.S_IFMT(self.mode) in (stat.S_IFREG, 0)

    @property
    def is_whole(self) -> bool:
        """Whether all of it can be had."""
        return not (self.lost or self.lost_names or self.why or self.attributes)


@dataclass
class Tally:
    """What was found in one file system.

    Attributes:
        name: of its folder in `files/`, or ''.
        meaning: what it is, one sentence.
        is_behind: a journal or log should have been replayed, and was not: what was written last may be missing.
        note: what else the user has to know of it, one clause, or ''.
        n_files, n_whole: regular files. n_unproven: those of them that are whole, but in part unproven.
        affected: everything that is not whole.
        whole: everything else, where that is wanted.
        used: files of any kind that the file system counts; None where it does not.
        n_names: everything that was found.
    """

    name: str
    meaning: str
    is_behind: bool = False
    note: str = ""
    n_files: int = 0
    n_whole: int = 0
    n_unproven: int = 0
    affected: list[Line] = field(default_factory=list)
    whole: list[Line] = field(default_factory=list)
    used: int | None = None
    n_names: int = 0

    def add(self, line: Line, *, keep: bool) -> None:
        """Count one; `keep`: also where it is whole."""
        self.n_names += 1
        self.n_files += line.is_file
        self.n_whole += line.is_file and line.is_whole
        self.n_unproven += line.is_file and line.is_whole and line.is_unproven
        if not line.is_whole:
            self.affected.append(line)
        elif keep:
            self.whole.append(line)

    @property
    def hidden(self) -> int:
        """How many files nobody can name, at least about; 0 where no name is lost."""
        if self.used is None or not any(line.lost_names or line.why for line in self.affected):
            return 0
        return max(0, self.used - self.n_names)


def escape(path: bytes) -> str:
    r"""Return a name as text that a terminal takes for nothing else: what is not printable as `\ooo`."""
    text = path.decode("utf-8", errors="surrogateescape")
    return "".join(_shown(each) for each in text)


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable() and not 0xDC80 <= ord(character) <= 0xDCFF:
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", errors="surrogateescape"))


def lines_of(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield the report for people."""
    for tally in tallies:
        name = f"{tally.name}: " if tally.name else ""
        n_bad = tally.n_files - tally.n_whole
        losses = f", {n_bad:,} with losses" if n_bad else ""
        unproven = f" ({tally.n_unproven:,} of them in part unproven)" if tally.n_unproven else ""
        yield f"{name}{tally.n_files:,} files: {tally.n_whole:,} whole{unproven}{losses} ({tally.meaning})"
        if tally.is_behind:
            yield f"{name}{_BEHIND}"
        if tally.note:
            yield f"{name}{tally.note}"
        others = [line for line in tally.affected if not line.is_file]
        if others:
            yield f"{name}{len(others):,} directories or other entries with losses"
        if tally.hidden:
            yield f"{name}the file system counts about {tally.hidden:,} more files, whose names are lost"
    for tally in tallies:
        for line in tally.affected:
            yield _affected(line)
    for tally in tallies:
        for line in tally.whole:
            word = "whole, unproven" if line.is_unproven else "whole"
            yield f"{word}  {format_size(line.size):>12}  {escape(line.path) or '.'}"


_BEHIND = (
    "what was written last may be missing or old here, for that was not replayed; let the kernel do it: "
    "raidfs mount -o overlay=FILE, then mount the image of the file system"
)


def _affected(line: Line) -> str:
    path = escape(line.path) or "."
    if line.why:
        return f"lost   {path}: {line.why}"
    if line.lost_names:
        return f"lost   {path}/: {format_size(line.lost_names)} of the directory are lost, names in it may be missing"
    if not line.lost:
        return f"lost   {path}: its extended attributes cannot be read ({line.attributes}); all else of it can"
    ranges = ", ".join(f"{start}-{stop}" for start, stop in islice(line.lost, _MOST_RANGES))
    more = f" and {len(line.lost) - _MOST_RANGES:,} more ranges" if len(line.lost) > _MOST_RANGES else ""
    also = ", and its extended attributes" if line.attributes else ""
    return f"lost   {path}: {format_size(line.lost.total)} of {format_size(line.size)}, bytes {ranges}{more}{also}"


def as_json(tallies: Sequence[Tally], also: Sequence[str] = ()) -> str:
    """Return the report as one JSON document, ending in a newline; `also`: what else is to be told."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "files": sum(tally.n_files for tally in tallies),
        "whole": sum(tally.n_whole for tally in tallies),
        "unproven": sum(tally.n_unproven for tally in tallies),
        "with_losses": sum(tally.n_files - tally.n_whole for tally in tallies),
        "file_systems": [
            {
                "name": tally.name,
                "meaning": tally.meaning,
                "files": tally.n_files,
                "whole": tally.n_whole,
                "unproven": tally.n_unproven,
                "hidden": tally.hidden,
                "behind": tally.is_behind,
                "note": tally.note or None,
                "entries": [_entry(line) for line in (*tally.affected, *tally.whole)],
            }
            for tally in tallies
        ],
        "findings": [*also],
    }
    return json.dumps(data, indent=2) + "\n"


def _entry(line: Line) -> dict[str, Any]:
    return {
        # names that are no UTF-8 carry their other bytes as lone surrogates, as Python's own functions do
        "path": line.path.decode("utf-8", errors="surrogateescape"),
        "type": _TYPES.get(stat.S_IFMT(line.mode), "unknown"),
        "size": line.size,
        "lost": [list(each) for each in line.lost],
        "failing": [list(each) for each in line.failing],
        "lost_names": line.lost_names,
        "why": line.why or None,
        "attributes": line.attributes or None,
        "unproven": line.is_unproven,
    }


_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
