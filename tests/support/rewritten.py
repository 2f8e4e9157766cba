"""Images of members with other values in their superblocks, whose checksums are right."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

from raidfs.image import open_image
from raidfs.superblock import scan
from raidfs.superblock.found import Found
from tests.support.superblocks import changed

GONE = 0xFFFE
"""Entry of the table of roles for a member that has failed."""
EVENTS, CHUNK, DATA_OFFSET, DATA_SIZE, UPDATED, SIZE, NEW_OFFSET, POSITION = 200, 88, 128, 136, 192, 80, 124, 104
"""Where fields lie in a superblock [bytes]; u64, but for CHUNK, which is u32, and NEW_OFFSET, which is s32."""


def field_of(image: Path, offset: int, code: str = "Q") -> int:
    """Return a field of the superblock 1.x of an image."""
    number: int = struct.unpack_from(f"<{code}", _found(image).raw, offset)[0]
    return number


def rewrite(image: Path, code: str, offset: int, value: int) -> None:
    """Change one field, a type of `struct`, at its offset in the superblock 1.x [bytes]."""
    found = _found(image)
    spoil(image, found.offset, changed(found.raw, code, offset, value))


def accuse(image: Path, *numbers: int) -> None:
    """Let a member say that those with these device numbers have failed."""
    for number in numbers:
        found = _found(image)
        if found.metadata == "0.90":
            spoil(image, found.offset, _with_faulty(found.raw, number))
        else:
            rewrite(image, "H", 256 + 2 * number, GONE)


def _found(image: Path) -> Found:
    with closing(open_image(str(image))) as source:
        return scan(source, image.name).found[0]


def _with_faulty(raw: bytes, number: int) -> bytes:
    """Return a little-endian superblock 0.90 in which a device is faulty: state, the fifth word of its descriptor."""
    words = [*struct.unpack("<1024I", raw)]
    words[128 + 32 * number + 4] = 1
    words[38] = 0
    total = sum(words)
    words[38] = ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF
    return struct.pack("<1024I", *words)


def spoil(image: Path, at: int, content: bytes) -> None:
    """Write bytes into an image."""
    with image.open("r+b") as file:
        file.seek(at)
        file.write(content)
