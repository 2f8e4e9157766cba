"""What LVM2 writes at the start of a physical volume: label, header, and areas with text.

    512    label "LABELONE" -> header: UUID, where the data begin, where the areas lie
    4096   area: header -> | ... text n-2 | text n-1 | text n | ..., a ring behind the header

Each change appends a text; the header of the area tells which one counts. Where the header is lost, the texts are
looked for; where the label is lost, the area where it usually lies.
Source: LVM2, `lib/label/label.h`, `lib/format_text/layout.h`, `format-text.c`.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from raidfs.block import BlockSource, read_exact
from raidfs.volume.lvm_text import BadText, Section, parse_text

_SECTOR = 512
_SEED = 0xF597A6CF
_MAGIC = b" LVM2 x[5A%r0N*>"
_USUAL_AREA = 4096
_USUAL_SIZE = 1 << 20
_LARGEST_AREA = 64 << 20
_LARGEST_TEXT = 16 << 20
_MOST_SEARCHED = 4 << 20
"""Bytes of texts that are read where nothing tells which one counts."""
_IGNORED = 1
_START = re.compile(rb"[A-Za-z0-9+_.-]{1,127} \{\n\s*id = \"")


@dataclass(frozen=True)
class Text:
    """One text about a volume group.

    Attributes:
        name: of the group.
        group: what it says.
        is_proven: its checksum is right.
    """

    name: str
    group: Section
    is_proven: bool

    @property
    def sequence(self) -> int:
        """How often the group was changed."""
        return self.group.number("seqno")


@dataclass(frozen=True)
class Label:
    """What a physical volume says.

    Attributes:
        uuid: its own, as LVM prints it; '': its label is lost.
        texts: about its group, from all areas.
        notes: what is wrong, clauses.
    """

    uuid: str
    texts: tuple[Text, ...]
    notes: tuple[str, ...]


def read_label(source: BlockSource) -> Label | None:
    """Read the label of a physical volume and the texts it leads to; None: it is none.

    Raises:
        SourceError: the source is gone.
    """
    notes: list[str] = []
    header = _header(source, notes)
    if header is None:
        if not _is_area(source, _USUAL_AREA):
            return None
        notes.append("its label is lost; its metadata area was found where it usually lies")
        header = "", [(_USUAL_AREA, _USUAL_SIZE - _USUAL_AREA)]
    uuid, areas = header
    texts = [text for start, size in areas for text in _texts(source, start, size, notes)]
    return Label(_dashed(uuid), tuple(texts), tuple(notes))


def _dashed(uuid: str) -> str:
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(uuid[start:stop] for start, stop in pairwise(cuts)) if uuid else ""


def _sum(data: bytes) -> int:
    """Return LVM's checksum: zlib's without the inversions, from a seed of its own."""
    return zlib.crc32(data, _SEED ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _header(source: BlockSource, notes: list[str]) -> tuple[str, list[tuple[int, int]]] | None:
    """Return the UUID and the areas (start, size) [bytes]."""
    for at in range(0, 4 * _SECTOR, _SECTOR):
        if at + _SECTOR > source.size:
            return None
        raw, lost = read_exact(source, at, _SECTOR)
        if lost or raw[:8] != b"LABELONE" or raw[24:32] != b"LVM2 001":
            continue
        offset = struct.unpack_from("<I", raw, 20)[0]
        if _sum(raw[20:]) != struct.unpack_from("<I", raw, 16)[0] or not 32 <= offset <= _SECTOR - 40:
            notes.append(f"the checksum of its label at byte {at} is wrong")
            continue
        uuid = raw[offset : offset + 32].decode("ascii", "replace")
        _, behind = _places(raw, offset + 40)
        areas, _ = _places(raw, behind)
        return uuid, areas
    return None


def _places(raw: bytes, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return a list of (start, size), which ends with zeros, and where that ends."""
    found = []
    while at + 16 <= len(raw):
        start, size = struct.unpack_from("<QQ", raw, at)
        at += 16
        if not start:
            break
        found.append((start, size))
    return found, at


def _is_area(source: BlockSource, start: int) -> bool:
    if start + _SECTOR > source.size:
        return False
    raw, lost = read_exact(source, start, _SECTOR)
    return not lost and raw[4:20] == _MAGIC and _sum(raw[4:]) == struct.unpack_from("<I", raw)[0]


def _texts(source: BlockSource, start: int, size: int, notes: list[str]) -> Iterator[Text]:
    """Yield the text that counts in an area; where that cannot be had, all that are found there."""
    size = min(size, source.size - start, _LARGEST_AREA)
    if size <= _SECTOR:
        notes.append(f"its metadata area at byte {start} lies behind its end")
        return
    if _is_area(source, start):
        raw, _ = read_exact(source, start, _SECTOR)
        told_size = struct.unpack_from("<Q", raw, 32)[0]
        offset, length, checksum, flags = struct.unpack_from("<QQII", raw, 40)
        if not offset or flags & _IGNORED:
            return
        size = min(size, told_size)
        if _SECTOR <= offset < size and 0 < length <= min(_LARGEST_TEXT, size - _SECTOR):
            data, is_whole = _ring(source, start, size, offset, length)
            text = _parsed(data, is_proven=True) if is_whole and _sum(data) == checksum else None
            if text is not None:
                yield text
                return
        notes.append(f"the metadata in the area at byte {start} are damaged")
    else:
        notes.append(f"the header of its metadata area at byte {start} is damaged")
    yield from _older(source, start, size)


def _ring(source: BlockSource, start: int, size: int, offset: int, length: int) -> tuple[bytes, bool]:
    """Read from a ring behind the header of an area; whether all of it could be read."""
    here = min(length, size - offset)
    head, head_lost = read_exact(source, start + offset, here)
    tail, tail_lost = read_exact(source, start + _SECTOR, length - here)
    return head + tail, not head_lost and not tail_lost


def _older(source: BlockSource, start: int, size: int) -> Iterator[Text]:
    """Yield whatever texts lie in an area whose header does not lead to one."""
    raw, lost = read_exact(source, start, size)
    ring = raw[_SECTOR:]
    doubled = ring + ring
    budget = _MOST_SEARCHED
    for at in range(0, len(ring), _SECTOR):
        if _START.match(ring, at) is None:
            continue
        stop = doubled.find(b"\0", at, at + len(ring))
        length = (stop if stop >= 0 else at + len(ring)) - at
        parts = [(at, min(at + length, len(ring))), (0, max(0, at + length - len(ring)))]
        if any(lost.overlaps(_SECTOR + first, _SECTOR + last) for first, last in parts):
            continue
        budget -= length
        text = _parsed(doubled[at : at + length], is_proven=False) if budget >= 0 else None
        if text is not None:
            yield text


def _parsed(data: bytes, *, is_proven: bool) -> Text | None:
    """Read a text; None where it is no text about a group."""
    try:
        whole = parse_text(data.rstrip(b"\0").decode("utf-8"))
        name, group = next(iter(whole.sections.items()))
        group.number("seqno")
    except (BadText, UnicodeDecodeError, StopIteration):
        return None
    return Text(name, group, is_proven)
