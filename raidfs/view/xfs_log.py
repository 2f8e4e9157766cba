"""Whether an XFS log was left by an unmount: the newest record is an unmount record, or the log needs replay.

The log is a ring of 512-byte blocks whose first word is the number of the pass over the ring in which it was written
(record headers carry the magic there and the pass in the second word). The pass changes at the head:

    pass   7 7 7 7 7 7 7 | 6 6 6 6 6 6 6      head = first block of the older pass
                 ^ last record header before the head

A binary search finds the head, one window before it holds the last record; so a log of 2 GiB costs 2 MiB of reading.
Source: `xfs_log_format.h`, `xfs_log_recover.c: xlog_find_head, xlog_check_unmount_rec`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact

_BLOCK = 512
_MAGIC = 0xFEEDBABE
_UNMOUNT = 0x20
_HEADER_SPAN = 32 << 10
"""Bytes of a record that one header block describes (`XLOG_HEADER_CYCLE_SIZE`)."""
_IN_FLIGHT = (8 * 256 << 10) // _BLOCK
"""Blocks that may have been written out of order when the machine stopped (`XLOG_TOTAL_REC_SHIFT`)."""


class _Unreadable(Exception):
    """A block that decides is lost."""


@dataclass(frozen=True)
class _Log:
    """The ring: `start` [bytes of the source], `n_blocks` of 512 bytes."""

    source: BlockSource
    start: int
    n_blocks: int

    def blocks(self, first: int, count: int) -> NDArray[np.uint8]:
        """Return uint8 (count, 512)."""
        raw, lost = read_exact(self.source, self.start + first * _BLOCK, count * _BLOCK)
        if lost:
            raise _Unreadable
        return np.frombuffer(raw, dtype=np.uint8).reshape(count, _BLOCK)

    def pass_of(self, block: int) -> int:
        """Return the pass in which a block was written."""
        return int(_passes(self.blocks(block, 1))[0])


def log_is_clean(source: BlockSource, start: int, length: int) -> bool | None:
    """Tell whether the log at [start, start + length) [bytes of the source] ends with an unmount record.

    Returns:
        True where nothing needs replay, False where something does, None where it cannot be told.
    """
    log = _Log(source, start, length // _BLOCK)
    if start < 0 or log.n_blocks < 2 or start + length > source.size:
        return None
    try:
        return _ends_with_unmount(log)
    except _Unreadable:
        return None


def _ends_with_unmount(log: _Log) -> bool | None:
    """Find the head, then the last record before it."""
    newest = log.pass_of(0)
    if newest == 0:
        return True
    oldest = log.pass_of(log.n_blocks - 1)
    head = log.n_blocks if oldest == newest else _first_of_another_pass(log, newest)
    # in its first pass the ring has not been closed yet: behind block 0 lies nothing
    count = min(_IN_FLIGHT, head if newest == 1 else log.n_blocks)
    window = _window(log, head, count)
    # of the last blocks some may not have landed: the log ends before the first such hole
    in_order = np.where(np.arange(head - count, head) < 0, newest - 1, newest)
    missing = np.flatnonzero((_passes(window) == in_order - 1) | (_passes(window) == 0))
    if len(missing):
        window = window[: missing[0]]
    headers = np.flatnonzero(_words(window)[:, 0] == _MAGIC)
    return _is_unmount(window[headers[-1] :]) if len(headers) else None


def _first_of_another_pass(log: _Log, newest: int) -> int:
    """Return the first block that was not written in the pass of block 0."""
    low, high = 0, log.n_blocks - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if log.pass_of(middle) == newest else (low, middle)
    return high


def _window(log: _Log, head: int, count: int) -> NDArray[np.uint8]:
    """Return the `count` blocks before the head, which may start at the end of the ring."""
    if head >= count:
        return log.blocks(head - count, count)
    return np.concatenate((log.blocks(log.n_blocks - (count - head), count - head), log.blocks(0, head)))


def _is_unmount(record: NDArray[np.uint8]) -> bool:
    """Tell whether the record, which reaches up to the head, is a whole unmount record."""
    words = _words(record[:1])[0]
    version, length, n_operations, size = int(words[2]), int(words[3]), int(words[10]), int(words[80])
    n_headers = -(-size // _HEADER_SPAN) if version & 2 and size > _HEADER_SPAN else 1
    whole = n_headers + -(-length // _BLOCK) == len(record)
    return whole and n_operations == 1 and len(record) > n_headers and bool(record[n_headers, 9] & _UNMOUNT)


def _words(blocks: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the blocks as big-endian words, (k, 128)."""
    return blocks.view(">u4")


def _passes(blocks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the pass of each block; int64 (k,)."""
    words = _words(blocks)
    return np.where(words[:, 0] == _MAGIC, words[:, 1], words[:, 0]).astype(np.int64)
