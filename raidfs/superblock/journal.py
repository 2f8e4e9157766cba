"""The RAID5 write journal: is there anything in it that the members do not have yet?

The journal device holds a ring of 4 KiB blocks from its data_offset. Its superblock names the oldest meta block; each
meta block names its payloads, which follow it. Replaying them is not done here. An array that was stopped cleanly may
keep its last entries in the journal although the members have them: such a journal is not empty.

        data_offset            journal_tail
            |......................|M p p p|M p|M.....|         M: meta block, p: payload

Reference: `raid5-cache.c: r5l_load_log`, `r5l_recovery_read_meta_block`; `md_p.h: struct r5l_meta_block`.
"""

from __future__ import annotations

from raidfs.block import BlockSource, read_exact
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.crc32c import crc32c
from raidfs.superblock.layout import Field, Record, Table
from raidfs.units import align_down

BLOCK = 4096
"""Unit of the journal [bytes]."""

META_TABLE = Table(
    "RAID5 journal meta block",
    BLOCK,
    (
        Field("magic", "u4", 0, "bits", "0x6433c509"),
        Field("checksum", "u4", 4, "bits", "CRC-32C of the block, seeded with the array's uuid"),
        Field("version", "u1", 8, "", "1"),
        Field("meta_size", "u4", 12, "bytes", "used of this block, with its head"),
        Field("seq", "u8", 16, "", "counts up from block to block"),
        Field("position", "u8", 24, "sectors", "of this block, from data_offset"),
    ),
)
"""Head of a meta block; payload descriptors follow."""

_MAGIC = 0x6433C509
_VERSION = 1
_HEAD_SIZE = 32
_CHECKSUM = slice(4, 8)


def journal_is_empty(source: BlockSource, claim: MemberClaim) -> bool:
    """Tell whether the journal holds nothing, so that the members have everything.

    Args:
        source: the journal device.
        claim: of its superblock.

    Returns:
        True where no valid meta block with payload begins at the tail; blocks without payload are stepped over.
        False where blocks are unreadable or beyond the image: what they hold is not known.

    Raises:
        SourceError: the source is gone.
    """
    ring = align_down(claim.data_size or 0, BLOCK)
    seed = crc32c(0xFFFFFFFF, bytes.fromhex(claim.array_uuid.replace(":", "")))
    position = _tail(claim, ring)
    expected_seq: int | None = None
    for _step in range(ring // BLOCK):
        at = claim.data_offset + position
        if at + BLOCK > source.size:
            return False
        raw, lost = read_exact(source, at, BLOCK)
        if lost:
            return False
        meta = read_meta_block(raw, position, seed)
        if meta is None or (expected_seq is not None and meta.number("seq") != expected_seq):
            return True
        if meta.quantity("meta_size") != _HEAD_SIZE:
            return False
        expected_seq = meta.number("seq") + 1
        position = (position + BLOCK) % ring
    return True


def read_meta_block(raw: bytes, position: int, seed: int) -> Record | None:
    """Recognise a meta block.

    Args:
        raw: the block, 4096 bytes.
        position: where it was read [bytes from data_offset].
        seed: CRC-32C of the array's uuid.

    Returns:
        Its head; None where magic, version, position or checksum are not those of a meta block of this array.
    """
    meta = META_TABLE.parse(raw)
    if meta.number("magic") != _MAGIC or meta.number("version") != _VERSION or meta.quantity("position") != position:
        return None
    cleared = bytearray(raw)
    cleared[_CHECKSUM] = bytes(4)
    return meta if crc32c(seed, bytes(cleared)) == meta.number("checksum") else None


def _tail(claim: MemberClaim, ring: int) -> int:
    """Return where the oldest meta block lies [bytes from data_offset]; an impossible one means 0, as in the kernel."""
    tail = claim.journal_tail or 0
    return tail if tail < ring and tail % BLOCK == 0 else 0
