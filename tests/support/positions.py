"""Members of which the superblocks record another position of their reshape than they did."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.oracle.superblock import checksum_v0, checksum_v1

MAGIC = 0xA92B4EFC
_SIZE = 4096


def record(path: Path, position: int) -> None:
    """Write a position [array bytes] into a member's superblock, which then is whole again."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        for at in (4096, 0, (size // 512 - 16) // 8 * 8 * 512, size // 65536 * 65536 - 65536):
            file.seek(at)
            raw = bytearray(file.read(_SIZE))
            magic, major = struct.unpack_from("<II", raw)
            if magic == MAGIC and major in (0, 1):
                break
        else:
            raise LookupError(f"{path} has no superblock")
        if major == 1:
            struct.pack_into("<Q", raw, 104, position // 512)
            struct.pack_into("<I", raw, 216, 0)
            struct.pack_into("<I", raw, 216, checksum_v1(raw))
        else:
            struct.pack_into("<Q", raw, 176, position // 512)
            words = list(struct.unpack("<1024I", raw))
            words[38] = 0
            struct.pack_into("<I", raw, 152, checksum_v0(words))
        file.seek(at)
        file.write(raw)
