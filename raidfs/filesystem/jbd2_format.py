"""The blocks of a jbd2 journal, the log of ext3 and ext4: superblock, descriptors, revocations, commits, checksums.

All numbers are big-endian. Every block of the log that is no copy begins with magic, type and sequence number; copies
that happen to begin with the magic have it zeroed, and are marked as escaped.
Source: `jbd2.h`; `fs/jbd2/recovery.c`, `journal.c: journal_tag_bytes`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raidfs.superblock.crc32c import crc32c

MAGIC = 0xC03B3998
DESCRIPTOR, COMMIT, SUPER_V1, SUPER_V2, REVOKE = 1, 2, 3, 4, 5
ESCAPED = 1
_SAME_UUID, _LAST = 2, 8
_SUPER_SIZE = 1024
_COMPAT_CHECKSUM = 0x1
_REVOKES, _WIDE, _ASYNC, _CSUM_V2, _CSUM_V3, _FAST = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
_KNOWN = _REVOKES | _WIDE | _ASYNC | _CSUM_V2 | _CSUM_V3 | _FAST
_CRC32_TYPE, _CRC32_SIZE, _CRC32C_TYPE = 1, 4, 4
_LEAST_BLOCKS, _FAST_BLOCKS = 1024, 256
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Unusable(Exception):
    """A journal cannot be understood; `str()` is a clause that says why."""


@dataclass(frozen=True)
class JournalSuper:
    """The superblock of a journal.

    Attributes:
        raw: its 1024 bytes.
        block_size: [bytes].
        n_blocks: of the journal.
        first: where the ring begins [blocks].
        sequence: of the first transaction in the log.
        start: where that begins [blocks]; 0: nothing is to be replayed.
        error: what the kernel noted; 0: nothing.
        wide: block numbers have 64 bits.
        checksums: 0, 1 (of whole transactions), 2 or 3.
        is_async: commits may reach the disk before what they commit.
        n_fast: blocks at the end that are kept for fast commits.
    """

    raw: bytes
    block_size: int
    n_blocks: int
    first: int
    sequence: int
    start: int
    error: int
    wide: bool
    checksums: int
    is_async: bool
    n_fast: int

    @property
    def last(self) -> int:
        """Where the ring ends [blocks]."""
        return self.n_blocks - self.n_fast

    @cached_property
    def seed(self) -> int:
        """What checksums begin with."""
        return crc32c(0xFFFFFFFF, self.raw[48:64])

    @property
    def tail(self) -> int:
        """Bytes at the end of a descriptor that hold its checksum."""
        return 4 if self.checksums >= 2 else 0

    @property
    def tag_size(self) -> int:
        """Bytes of a tag; with checksums of version 2 there are two more than needed."""
        if self.checksums == 3:
            return 16
        return 8 + 4 * self.wide + 2 * (self.checksums == 2)

    def emptied(self, sequence: int) -> bytes:
        """Return the superblock of the same journal with nothing to replay, `sequence` to come next."""
        raw = bytearray(self.raw)
        struct.pack_into(">II", raw, 24, sequence, 0)
        if self.checksums >= 2:
            raw[252:256] = bytes(4)
            raw[252:256] = crc32c(0xFFFFFFFF, bytes(raw)).to_bytes(4, "big")
        return bytes(raw)


def parse_super(raw: bytes, most_blocks: int, block_size: int) -> JournalSuper:
    """Read the superblock of a journal.

    Args:
        raw: its first block.
        most_blocks: blocks that there are.
        block_size: of the file system.

    Raises:
        Unusable: it makes no sense, or uses what is not known.
    """
    raw = raw[:_SUPER_SIZE]
    magic, kind, _, told_size, n_blocks, first, sequence, start, error = struct.unpack_from(">9I", raw)
    compat, incompat, _ = struct.unpack_from(">3I", raw, 36) if kind == SUPER_V2 else (0, 0, 0)
    if magic != MAGIC or kind not in (SUPER_V1, SUPER_V2):
        raise Unusable("its superblock is none")
    if incompat & ~_KNOWN:
        raise Unusable(f"it uses features that are not known (0x{incompat & ~_KNOWN:x})")
    checksums = 3 if incompat & _CSUM_V3 else 2 if incompat & _CSUM_V2 else compat & _COMPAT_CHECKSUM
    if checksums >= 2:
        told = int.from_bytes(raw[252:256], "big")
        if raw[80] != _CRC32C_TYPE or crc32c(0xFFFFFFFF, raw[:252] + bytes(4) + raw[256:]) != told:
            raise Unusable("the checksum of its superblock is wrong")
    if told_size != block_size or not 0 < first < n_blocks <= most_blocks:
        raise Unusable("its superblock does not fit the file system")
    n_fast = (struct.unpack_from(">I", raw, 84)[0] or _FAST_BLOCKS) if incompat & _FAST else 0
    n_fast = n_fast if n_blocks - n_fast >= _LEAST_BLOCKS else 0
    if start and not first <= start < n_blocks - n_fast:
        raise Unusable("its superblock says that the log begins outside of it")
    wide, is_async = bool(incompat & _WIDE), bool(incompat & _ASYNC)
    return JournalSuper(raw, block_size, n_blocks, first, sequence, start, error, wide, checksums, is_async, n_fast)


@dataclass(frozen=True, slots=True)
class Tag:
    """What a descriptor says of one copy.

    Attributes:
        home: block of the file system that it is a copy of.
        flags: see `ESCAPED`.
        checksum: of the copy, as far as there is one.
    """

    home: int
    flags: int
    checksum: int


def tags_of(block: bytes, told: JournalSuper) -> Iterator[Tag]:
    """Yield the tags of a descriptor, in the order of the copies that follow it."""
    at, stop, size = 12, len(block) - told.tail, told.tag_size
    while at + size <= stop:
        low, first, second = struct.unpack_from(">IHH", block, at)
        high, checksum = 0, first
        if told.checksums == 3:
            high, checksum = struct.unpack_from(">II", block, at + 8)
        elif told.wide:
            high = struct.unpack_from(">I", block, at + 8)[0]
        yield Tag(low | high << 32 if told.wide else low, second, checksum)
        at += size if second & _SAME_UUID else size + 16
        if second & _LAST:
            return


def revoked_by(block: bytes, told: JournalSuper) -> NDArray[np.int64]:
    """Return the blocks that a revocation names, int64 (k,); none where it makes no sense."""
    length = struct.unpack_from(">I", block, 12)[0]
    width = 8 if told.wide else 4
    if not 16 <= length <= len(block) - told.tail:
        return np.zeros(0, dtype=np.int64)
    count = (length - 16) // width
    return np.frombuffer(block, dtype=f">u{width}", count=count, offset=16).astype(np.int64)


def is_block_right(block: bytes, told: JournalSuper) -> bool:
    """Tell whether the checksum of a descriptor or revocation is right; where there is none, it is."""
    if not told.tail:
        return True
    return crc32c(told.seed, block[:-4] + bytes(4)) == int.from_bytes(block[-4:], "big")


def is_commit_right(block: bytes, told: JournalSuper, transaction: int) -> bool:
    """Tell whether the checksum of a commit is right; where there is none, it is.

    Args:
        block: the commit.
        told: its journal.
        transaction: the sum of what it commits, see `sum_on`.
    """
    kind, size, checksum = struct.unpack_from(">BBxxI", block, 12)
    if told.checksums == 1:
        return (kind, size, checksum) in ((_CRC32_TYPE, _CRC32_SIZE, transaction), (0, 0, 0))
    if not told.tail:
        return True
    # some kernels sum up the fields only, and leave what they like behind them
    return any(
        crc32c(told.seed, block[:16] + bytes(4) + block[20:60] + rest) == checksum
        for rest in (block[60:], bytes(len(block) - 60))
    )


def committed_ns(block: bytes) -> int:
    """Return when a commit was made [ns since 1970]."""
    seconds, nanoseconds = struct.unpack_from(">QI", block, 48)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def sum_on(checksum: int, block: bytes) -> int:
    """Go on with the sum of a transaction (`crc32_be`): zlib's, with the bits of all bytes the other way round."""
    mirrored = zlib.crc32(block.translate(_REVERSED), _mirrored(checksum) ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return _mirrored(mirrored)


def _mirrored(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "little").translate(_REVERSED), "big")


def is_after(left: int, right: int) -> bool:
    """Tell whether a sequence number comes after another one; they wrap at 32 bits."""
    return 0 < (left - right) % (1 << 32) < 1 << 31
