"""Blocks of XFS that say where they lie: since version 5 all metadata but inodes carry their own address.

    +0  magic ...  +crc  checksum of the block  +blkno  where it lies, in sectors from the start of the file system

Reference: `xfs_format.h: struct xfs_btree_block`, `xfs_da_format.h: struct xfs_dir3_blk_hdr`, `xfs_da3_blkinfo`,
`xfs_attr3_rmt_hdr`; `xfs_symlink_remote.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, one_request
from raidfs.extents import Extents
from raidfs.superblock.crc32c import crc32c
from raidfs.units import SECTOR, align_down

BLOCK = 4096
"""The size of XFS's blocks that is looked for, by far the usual one [bytes]."""
_AT_ONCE = 1 << 20
_MOST = 64 << 20
"""How much is looked through at most [bytes]."""
_ONES = 0xFFFFFFFF


@dataclass(frozen=True)
class _Header:
    """Where a kind of block has its fields [bytes].

    Attributes:
        magic: as it is stored. at: where. crc: little-endian, 4 bytes. blkno: big-endian, 8 bytes.
    """

    magic: bytes
    at: int
    crc: int
    blkno: int


_HEADERS = (
    *(_Header(magic, 0, 52, 16) for magic in (b"AB3B", b"AB3C", b"IAB3", b"FIB3", b"RMB3", b"R3FC")),
    _Header(b"BMA3", 0, 64, 24),
    *(_Header(magic, 0, 4, 8) for magic in (b"XDB3", b"XDD3", b"XDF3")),
    *(_Header(magic, 8, 12, 16) for magic in (b"\x3e\xbe", b"\x3b\xee", b"\x3d\xf1", b"\x3d\xff")),
    *(_Header(magic, 0, 12, 40) for magic in (b"XARM", b"XSLM")),
)


def addressed_blocks(source: BlockSource, start: int, where: Extents) -> Iterator[int]:
    """Yield where blocks lie that say so themselves, with the right checksum [bytes of the source].

    Args:
        source: what the file system lies on.
        start: of the file system [bytes].
        where: what is looked through, from its beginning on as far as is bearable.

    Raises:
        SourceError: the source is gone.
    """
    left = _MOST
    for low, high in where.clip(start, source.size):
        first = start + align_down(low - start, BLOCK)
        for at in range(first, high, _AT_ONCE):
            n = min(_AT_ONCE, align_down(min(high + BLOCK - 1, source.size) - at, BLOCK))
            if n <= 0 or left <= 0:
                break
            left -= n
            room = np.zeros(n, dtype=np.uint8)
            lost = Extents(source.read_into(one_request(at, n), room))
            for number in _addressed(room.reshape(-1, BLOCK), at - start):
                place = number * BLOCK
                if not lost.overlaps(place, place + BLOCK):
                    yield at + place


def _addressed(blocks: NDArray[np.uint8], first: int) -> Iterator[int]:
    """Yield the numbers of blocks that say that they lie where they do; `first`: where that is [bytes]."""
    for header in _HEADERS:
        magic = np.frombuffer(header.magic, dtype=np.uint8)
        for number in np.flatnonzero((blocks[:, header.at : header.at + len(magic)] == magic).all(axis=1)).tolist():
            raw = blocks[number].tobytes()
            blkno = int.from_bytes(raw[header.blkno : header.blkno + 8], "big")
            if blkno * SECTOR == first + number * BLOCK and _has_checksum(raw, header.crc):
                yield number


def _has_checksum(raw: bytes, at: int) -> bool:
    blank = raw[:at] + bytes(4) + raw[at + 4 :]
    return crc32c(_ONES, blank) ^ _ONES == int.from_bytes(raw[at : at + 4], "little")
