"""GNU ddrescue mapfiles: text <-> sets of bytes by status. The one place that knows the format.

    # comment
    0x00120000     ?               1         position, status and pass of ddrescue itself
    0x00000000  0x00117000  +                position, size, status of each block: contiguous, ascending
    0x00117000  0x00000200  -

Numbers are those of C: decimal, 0x hexadecimal, or octal with a leading 0 (ddrescue manual: mapfile structure). What no
block describes was not tried. Stricter than ddrescue itself, which passes over whatever follows a status.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from raidfs.errors import BadMapfile, NotAMapfile
from raidfs.extents import Extents

MAX_SIZE = 64 << 20
"""A larger file is taken for something else [bytes]; this is room for two million blocks."""

_LARGEST = (1 << 63) - 1
_NUMBER = r"(0[xX][0-9a-fA-F]+|[0-9]+)"
_STATUS_LINE = re.compile(rf"\s*{_NUMBER}\s*([?*/\-FG+])(?:\s*[1-9][0-9]*)?\s*(?:#.*)?", re.ASCII)
_BLOCK_LINE = re.compile(rf"\s*{_NUMBER}\s+{_NUMBER}\s*([?*/\-+])\s*(?:#.*)?", re.ASCII)
_MOST_DIGITS = 1000
_EMPTY_LINE = re.compile(r"\s*(?:#.*)?", re.ASCII)


class Status(Enum):
    """What ddrescue says of a block."""

    NOT_TRIED = "?"
    NOT_TRIMMED = "*"
    NOT_SCRAPED = "/"
    BAD = "-"
    FINISHED = "+"

    @property
    def words(self) -> str:
        """What it means, as a clause."""
        return _WORDS[self]


_WORDS = {
    Status.NOT_TRIED: "not tried (?)",
    Status.NOT_TRIMMED: "failed, not trimmed (*)",
    Status.NOT_SCRAPED: "failed, not scraped (/)",
    Status.BAD: "bad sector (-)",
    Status.FINISHED: "finished (+)",
}


@dataclass(frozen=True)
class Mapfile:
    """A map.

    Attributes:
        blocks: the bytes of each status; disjoint. A status without bytes may be absent.
        stop: where the last block ends [bytes].
        comments: the lines of comment, without their `#`.
    """

    blocks: dict[Status, Extents]
    stop: int
    comments: tuple[str, ...] = ()

    def unreadable(self, size: int) -> dict[Status, Extents]:
        """Return by status what of an image of `size` bytes is not finished; what lies outside the map is not tried."""
        found = {status: blocks.clip(0, size) for status, blocks in self.blocks.items()}
        untold = Extents.span(0, size).difference(Extents().union(*found.values()))
        found[Status.NOT_TRIED] = found.get(Status.NOT_TRIED, Extents()).union(untold)
        return {status: found[status] for status in Status if status is not Status.FINISHED and found.get(status)}


def parse_mapfile(raw: bytes, name: str) -> Mapfile:
    """Understand a map.

    Args:
        raw: contents of the file.
        name: its path, for messages.

    Raises:
        NotAMapfile: it does not begin as a map does; one sentence.
        BadMapfile: it begins like a map, but is damaged; one sentence with the number of the line.
    """
    if len(raw) > MAX_SIZE:
        raise NotAMapfile(f"{name} is no ddrescue map: it has {len(raw)} bytes, more than {MAX_SIZE}")
    lines = raw.decode("ascii", errors="replace").split("\n")
    comments: list[str] = []
    content = list(_content(lines, comments))
    if not content:
        text = "it is empty, as if ddrescue had only begun" if not comments else "it holds comments only"
        raise BadMapfile(f"{name} is no whole ddrescue map: {text}")
    number, line = content[0]
    match = _STATUS_LINE.fullmatch(line)
    if match is None or not _is_number(match[1]):
        wanted = "position, status and pass, such as: 0x00000000  +  1"
        if _BLOCK_LINE.fullmatch(line):
            raise BadMapfile(f"{name}, line {number}: the ddrescue map has no status line; put one before it: {wanted}")
        raise NotAMapfile(f"{name} is no ddrescue map: line {number} is {_quoted(line)}, but should be {wanted}")
    if len(content) == 1:
        raise BadMapfile(f"{name}, line {number}: the ddrescue map ends here, before its first block")
    blocks, stop = _blocks(content[1:], name)
    return Mapfile(blocks, stop, tuple(comments))


def mapfile_lines(comments: Sequence[str], blocks: Iterable[tuple[int, int, Status]]) -> Iterator[str]:
    """Yield the lines of a map.

    Args:
        comments: one line each, to stand at its head.
        blocks: (start, stop, status) [bytes], ascending and contiguous.
    """
    yield from (f"# {comment}" for comment in comments)
    yield "# current_pos  current_status  current_pass"
    yield "0x00000000     +               1"
    yield "#      pos        size  status"
    for start, stop, status in blocks:
        yield f"0x{start:08X}  0x{stop - start:08X}  {status.value}"


def blocks_of(size: int, marked: Sequence[tuple[Extents, Status]], rest: Status) -> list[tuple[int, int, Status]]:
    """Return the blocks of a map over [0, size).

    Args:
        size: [bytes].
        marked: bytes of each status; where they overlap, the first counts.
        rest: status of all other bytes.
    """
    blocks: list[tuple[int, int, Status]] = []
    left = Extents.span(0, size)
    for extents, status in marked:
        blocks += [(start, stop, status) for start, stop in left.intersection(extents)]
        left = left.difference(extents)
    blocks += [(start, stop, rest) for start, stop in left]
    return sorted(blocks, key=lambda block: block[0])


def _content(lines: Iterable[str], comments: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, numbered from 1; collect whole-line comments."""
    for number, line in enumerate(lines, start=1):
        if not _EMPTY_LINE.fullmatch(line):
            yield number, line
        elif "#" in line:
            comments.append(line.partition("#")[2].strip())


def _blocks(content: Sequence[tuple[int, str]], name: str) -> tuple[dict[Status, Extents], int]:
    """Read the list of blocks."""
    found: dict[Status, list[tuple[int, int]]] = {}
    last, end = 0, -1
    for number, line in content:
        match = _BLOCK_LINE.fullmatch(line)
        if match is None or not (_is_number(match[1]) and _is_number(match[2])):
            wanted = "a block of a ddrescue map (position, size, status)"
            raise BadMapfile(f"{name}, line {number}: {_quoted(line)} is not {wanted}")
        start, size = _value(match[1]), _value(match[2])
        if max(start, size) > _LARGEST:
            raise BadMapfile(f"{name}, line {number}: {_quoted(line)} is larger than any file can be")
        if end >= 0 and start != end:
            raise BadMapfile(f"{name}, line {number}: the block at {start} {_misplaced(start, last, end)}")
        last, end = start, min(start + size, _LARGEST)  # a source of unknown size is as large as can be
        found.setdefault(Status(match[3]), []).append((last, end))
    return {status: Extents(ranges) for status, ranges in found.items()}, end


def _misplaced(start: int, last: int, end: int) -> str:
    if start > end:
        return f"leaves a gap: the one before ends at {end}"
    if start >= last:
        return f"overlaps the one before, which ends at {end}"
    return f"is out of order: the one before begins at {last}"


def _is_number(text: str) -> bool:
    """Tell whether digits are a number of C: with a leading 0 there is no 8 or 9."""
    return text[:2] in ("0x", "0X") or not text.startswith("0") or not set(text) & {"8", "9"}


def _value(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        return _LARGEST + 1  # more digits than Python takes
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)


def _quoted(line: str) -> str:
    shown = line.strip()
    return ascii(shown if len(shown) <= 40 else shown[:37] + "...")
