"""Images of members with other values in their superblocks 1.x, whose checksums are right."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from raidfs.image import open_image
from raidfs.superblock import scan
from tests.support.superblocks import changed

GONE = 0xFFFE
"""Entry of the table of roles for a member that has failed."""
EVENTS, CHUNK, DATA_OFFSET, DATA_SIZE, UPDATED, SIZE = 200, 88, 128, 136, 192, 80
"""Where fields lie in a superblock [bytes]; u64, but for CHUNK, which is u32."""


def rewrite(image: Path, code: str, offset: int, value: int) -> None:
    """Change one field, a type of `struct`, at its offset in the superblock [bytes]."""
    with closing(open_image(str(image))) as source:
        (found, *_) = scan(source, image.name).found
    raw = changed(found.raw, code, offset, value)
    with image.open("r+b") as file:
        file.seek(found.offset)
        file.write(raw)


def accuse(image: Path, *numbers: int) -> None:
    """Let a member say that those with these device numbers have failed."""
    for number in numbers:
        rewrite(image, "H", 256 + 2 * number, GONE)


def spoil(image: Path, at: int, content: bytes) -> None:
    """Write bytes into an image."""
    with image.open("r+b") as file:
        file.seek(at)
        file.write(content)
