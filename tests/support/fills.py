"""What tools leave where they could not copy, and what sectors look like that hold it. Nothing here is raidfs's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from random import Random

from tests.support.worth import SECTOR

PATTERNS = (b"\0", b"\xff", b"\xee\x01", b"BaDbLoCk", b"never copied\n", bytes(range(1, 64)), bytes(range(64)))
"""What tools leave where they could not copy."""
LONG_TEXTS = (
    bytes(range(1, 91)),
    bytes(range(256)),
    bytes(number * number % 251 for number in range(512)),
    Random(700).randbytes(700),
    Random(2000).randbytes(2000),
)
"""What ddrescue's fill mode leaves where it is given a file of more than 64 bytes."""
BLOCK = 4096
"""Bytes in which sectors are compared with each other."""
_LOCATED = re.compile(rb"\n# position 0x([0-9A-F]{1,16}) sector 0x([0-9A-F]{1,16}) status ")


def filled(pattern: bytes, length: int, phase: int = 0) -> bytes:
    """A pattern repeated over so many bytes, from a place in it on."""
    return (pattern * (length // len(pattern) + 2))[phase % len(pattern) :][:length]


def located(position: int, length: int, sector: int = SECTOR) -> bytes:
    """What `ddrescue --fill-mode=l-` leaves in place of bytes of an image, filled with zeros, for sectors of a size."""
    found = b""
    for at in range(position, position + length, sector):
        mark = f"\n# position 0x{at:08X} sector 0x{at // sector:08X} status - "
        found += mark.encode().ljust(sector, b"\0")
    return found[:length]


def is_filled(block: bytes) -> bool:
    """Whether a block repeats one pattern of at most 64 bytes."""
    return any(block[period:] == block[:-period] for period in range(1, 65))


def says_so(block: bytes) -> bool:
    """Whether a filled sector says itself that it was not copied."""
    return block.startswith(b"BaDbLoCk")


class Kind(Enum):
    """What a sector looks like."""

    DATA = 0
    ZEROS = 1
    CONSTANT = 2
    TEXT = 3
    REPEATED = 4
    MARKED = 5

    @property
    def is_text(self) -> bool:
        """Whether it is more than one byte over and over."""
        return self in (Kind.TEXT, Kind.REPEATED, Kind.MARKED)


def kinds_of(blocks: Sequence[bytes], *, begins: bool) -> list[Kind]:
    """Say what neighbouring sectors of a block look like; `begins`: the first is the first of the block."""
    kinds = [_own_kind(block) for block in blocks]
    period = _long_period(blocks[0]) if begins and kinds[0] is Kind.DATA else None
    found = list(kinds)
    if begins and len(blocks) == BLOCK // SECTOR and kinds[0] is Kind.DATA and _repeats_twice(b"".join(blocks)):
        found = [Kind.REPEATED if kind is Kind.DATA else kind for kind in kinds]
    for number, block in enumerate(blocks):
        around = [blocks[each] for each in (number - 1, number + 1) if 0 <= each < len(blocks)]
        if kinds[number] is Kind.DATA and (block in around or (period and block[period:] == block[:-period])):
            found[number] = Kind.REPEATED
    for number, block in enumerate(blocks):
        located = _LOCATED.match(block)
        if located:
            position, sector = (int(each, 16) for each in located.groups())
            size = position // sector if sector else SECTOR
            n = size // SECTOR if size in (1024, 2048, 4096) else 1
            found[number : number + n] = [Kind.MARKED] * min(n, len(blocks) - number)
    return found


def _own_kind(block: bytes) -> Kind:
    if not is_filled(block):
        return Kind.DATA
    if says_so(block):
        return Kind.MARKED
    if block[1:] != block[:-1]:
        return Kind.TEXT
    return Kind.CONSTANT if block[0] else Kind.ZEROS


def _long_period(block: bytes) -> int | None:
    return next((period for period in range(65, 257) if block[period:] == block[:-period]), None)


def _repeats_twice(whole: bytes) -> bool:
    """Whether bytes repeat one pattern of at most half their length."""
    return any(whole[period:] == whole[:-period] for period in range(1, len(whole) // 2 + 1))
