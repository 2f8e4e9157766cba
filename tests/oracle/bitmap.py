"""A write-intent bitmap as md keeps it: bits set before a write, cleared later, none while a member is missing."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MAGIC = 0x6D746962
SECTOR = 512


@dataclass
class Bitmap:
    """The bitmap of an array at work.

    Attributes:
        chunk: for which one bit stands [bytes]. covered: what the bits are about [component bytes].
        bits: numbers of the bits that are set. events_cleared: see md. version: 3, 4 or 5.
    """

    chunk: int
    covered: int
    bits: set[int] = field(default_factory=set)
    events_cleared: int = 0
    version: int = 4

    def intend(self, start: int, stop: int) -> None:
        """Set the bits of [start, stop) [component bytes], before it is written."""
        self.bits |= set(range(start // self.chunk, -(-stop // self.chunk)))

    def settle(self, events: int, *, degraded: bool) -> None:
        """Every write came to its end: bits are cleared, unless a member is missing."""
        if not degraded:
            self.bits.clear()
            self.events_cleared = events

    def is_clear(self, component_offset: int) -> bool:
        """Whether nothing was being written there."""
        return component_offset // self.chunk not in self.bits

    def build(self, array_uuid: bytes, events: int, *, state: int = 0) -> bytes:
        """The bitmap as it lies on a member: header and bits, up to a multiple of 512 bytes."""
        return build_bitmap(self, array_uuid, events, state=state)


def build_bitmap(bitmap: Bitmap, array_uuid: bytes, events: int, *, state: int = 0, word: int = 0) -> bytes:
    """Header and bits.

    Args:
        bitmap: what to say.
        array_uuid: 16 bytes.
        events: of the superblocks.
        state: flags of the header.
        word: for version 3 of a big-endian host: its word, 4 or 8 bytes.
    """
    n_bits = -(-bitmap.covered // bitmap.chunk)
    raw = bytearray(-(-n_bits // 64) * 8)
    for bit in bitmap.bits:
        byte = bit // 8
        if word:
            byte = byte // word * word + (word - 1 - byte % word)
        raw[byte] |= 1 << bit % 8
    head = bytearray(256)
    struct.pack_into("<II16sQQ", head, 0, MAGIC, bitmap.version, array_uuid, events, bitmap.events_cleared)
    struct.pack_into("<QIII", head, 40, bitmap.covered // SECTOR, state, bitmap.chunk, 5)
    whole = bytes(head + raw)
    return whole + b"\xff" * (-len(whole) % SECTOR)
