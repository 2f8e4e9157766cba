"""The RAID5 write journal (raid5-cache): what it holds, in order.

The journal device holds a ring of 4 KiB blocks from its data_offset. Its superblock names the oldest meta block; each
meta block names its payloads, and those that have blocks are followed by them:

        data_offset            journal_tail
            |......................|M b b b|M b|M.....|         M: meta block, b: data or parity

A data payload is a block of the array that may not be on the members yet; a parity payload completes its stripe; a
flush payload names stripes that are on the members whole. The sequence ends at the first block that is no meta block
with the next number. But md always writes the block that it makes the oldest first, and numbers only count up: if there
is none in its place, or there are higher numbers behind the end, then a meta block was damaged, or never landed, and
what else it held is not known. Not here: what follows for the members (`raidfs.replay.journal`).

Reference: `raid5-cache.c: r5l_load_log`, `r5c_recovery_flush_log`, `r5c_recovery_analyze_meta_block`; `md_p.h: struct
r5l_meta_block`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.crc32c import crc32c, crc32c_rows
from raidfs.superblock.layout import Field, Record, Table
from raidfs.units import SECTOR, align_down, format_offset

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

_MAGIC_BYTES = struct.pack("<I", 0x6433C509)
_VERSION = 1
_HEAD_SIZE = 32
_CHECKSUM_AT = 4
_DATA, _PARITY, _FLUSH = 0, 1, 2
_BLOCK_SECTORS = BLOCK // SECTOR
_WINDOW = 1024
"""Blocks that are read and checked together."""
_SEARCHED = 4 * _WINDOW
"""Blocks behind the end that are searched for later entries; one entry has some 200 at most."""


@dataclass(frozen=True)
class LoggedData:
    """A block of the array.

    Attributes:
        offset: [array bytes].
        place: where it lies [bytes of the journal device]; None: it is lost or damaged.
    """

    offset: int
    place: int | None


@dataclass(frozen=True)
class LoggedParity:
    """The parity of one stripe block: P, and Q of a RAID6.

    Attributes:
        height: [component bytes].
        places: where they lie [bytes of the journal device]; None: lost or damaged.
    """

    height: int
    places: tuple[int | None, ...]


@dataclass(frozen=True)
class LoggedFlush:
    """Stripe blocks that are on the members.

    Attributes:
        heights: [component bytes].
    """

    heights: tuple[int, ...]


@dataclass(frozen=True)
class JournalEnd:
    """How the sequence ends; always the last of it.

    Attributes:
        is_torn: the last entry was not written to its end, so that it was never acted upon; it is left out.
        problem: why what follows may be newer data that nobody knows, one clause; empty: nothing follows.
    """

    is_torn: bool = False
    problem: str = ""


Logged = LoggedData | LoggedParity | LoggedFlush


def read_journal(source: BlockSource, claim: MemberClaim) -> Iterator[Logged | JournalEnd]:
    """Yield what a journal holds, the oldest first, and how it ends.

    Where blocks of an entry do not have their checksums but a further entry follows, md would stop; here the entry's
    data count as damaged and the rest is read.

    Args:
        source: the journal device.
        claim: of its superblock.

    Raises:
        SourceError: the source is gone.
    """
    yield from _read_ring(_Ring(source, claim), claim)


def missed_blocks(source: BlockSource, claim: MemberClaim) -> Extents:
    """Return the blocks that could not be read though a replay needs them, or may need them [bytes of the device].

    Where the sequence ends because of one, nobody knows what follows: up to the tail, all around the ring.

    Args:
        source: the journal device.
        claim: of its superblock.
    """
    ring = _Ring(source, claim)
    *_, end = _read_ring(ring, claim)
    missed = Extents([(at, at + BLOCK) for at in ring.missed])
    if isinstance(end, JournalEnd) and end.problem and ring.missed:
        at = ring.missed[-1]
        rest = [(at, ring.tail)] if at < ring.tail else [(at, ring.size), (0, ring.tail)]
        missed = missed.union(Extents(rest))
    return missed.shift(claim.data_offset)


def _read_ring(ring: _Ring, claim: MemberClaim) -> Iterator[Logged | JournalEnd]:
    """Yield what a ring holds; see `read_journal`."""
    position, seq = ring.tail, None
    left = ring.n_blocks
    while left > 0:
        meta = ring.meta(position, seq)
        if isinstance(meta, JournalEnd):
            yield meta
            return
        payloads, n_blocks = _payloads(meta)
        if payloads is None or n_blocks >= left:
            where = f"the entry at {format_offset(claim.data_offset + position)} of the journal"
            yield JournalEnd(problem=f"{where} makes no sense")
            return
        seq = meta.number("seq") + 1
        following = (position + BLOCK * (1 + n_blocks)) % ring.size
        places = [(position + BLOCK * (1 + number)) % ring.size for number in range(n_blocks)]
        states = [ring.state(place, checksum) for place, checksum in zip(places, _checksums(payloads), strict=True)]
        if _Ring.WRONG in states:
            end = ring.meta(following, seq)
            if isinstance(end, JournalEnd) and not end.problem and _Ring.LOST not in states:
                yield JournalEnd(is_torn=True)
                return
            states = [_Ring.LOST] * n_blocks
        whole = [
            claim.data_offset + place if state == _Ring.RIGHT else None
            for place, state in zip(places, states, strict=True)
        ]
        yield from _logged(payloads, whole)
        left -= 1 + n_blocks
        position = following
    yield JournalEnd()


@dataclass(frozen=True)
class _Payload:
    """One payload of a meta block: kind, where it belongs [sectors], and its checksums or stripes [sectors]."""

    kind: int
    location: int
    values: tuple[int, ...]


def _payloads(meta: Record) -> tuple[list[_Payload] | None, int]:
    """Return the payloads of a meta block, None where they make no sense, and how many blocks follow it."""
    raw, size = meta.row.tobytes(), meta.number("meta_size")
    found: list[_Payload] = []
    n_blocks, at = 0, _HEAD_SIZE
    while at < size:
        if at + 16 > BLOCK:
            return None, 0
        kind, _, length = struct.unpack_from("<HHI", raw, at)
        if kind == _FLUSH and length % 8 == 0 and at + 8 + length <= size:
            found.append(_Payload(kind, 0, struct.unpack_from(f"<{length // 8}Q", raw, at + 8)))
            at += 8 + length
            continue
        count = length // _BLOCK_SECTORS
        is_usual = (kind == _DATA and length == _BLOCK_SECTORS) or (kind == _PARITY and length in (8, 16))
        if not is_usual or at + 16 + 4 * count > size:
            return None, 0
        (location,) = struct.unpack_from("<Q", raw, at + 8)
        found.append(_Payload(kind, location, struct.unpack_from(f"<{count}I", raw, at + 16)))
        n_blocks += count
        at += 16 + 4 * count
    return found, n_blocks


def _checksums(payloads: list[_Payload]) -> list[int]:
    return [checksum for payload in payloads if payload.kind != _FLUSH for checksum in payload.values]


def _logged(payloads: list[_Payload], places: list[int | None]) -> Iterator[Logged]:
    """Yield payloads with the places of their blocks."""
    at = 0
    for payload in payloads:
        if payload.kind == _FLUSH:
            yield LoggedFlush(tuple(height * SECTOR for height in payload.values))
            continue
        mine = places[at : at + len(payload.values)]
        at += len(mine)
        if payload.kind == _DATA:
            yield LoggedData(payload.location * SECTOR, mine[0])
        else:
            yield LoggedParity(payload.location * SECTOR, tuple(mine))


class _Ring:
    """The blocks of a journal with their checksums, read a window at a time.

    Attributes:
        size: [bytes].
        n_blocks: the same in blocks.
        tail: where the oldest entry is [bytes from data_offset].
        missed: where blocks that were asked for could not be read, in this order [bytes from data_offset].
    """

    RIGHT, WRONG, LOST = range(3)
    """States of a block: its checksum is right, is wrong, or it cannot be read."""

    def __init__(self, source: BlockSource, claim: MemberClaim) -> None:
        self._source = source
        self._data_offset = claim.data_offset
        self._seed = crc32c(0xFFFFFFFF, claim.stored_uuids[0])
        self.size = align_down(claim.data_size or 0, BLOCK)
        self.n_blocks = self.size // BLOCK
        tail = claim.journal_tail or 0
        self.tail = tail if tail < self.size and tail % BLOCK == 0 else 0  # as r5l_load_log
        self.missed: list[int] = []
        self._windows: dict[int, tuple[bytes, NDArray[np.uint32], NDArray[np.bool_]]] = {}

    def meta(self, position: int, seq: int | None) -> Record | JournalEnd:
        """Return the meta block at a position [bytes from data_offset], or how the sequence ends there.

        Args:
            position: where it is to be.
            seq: its number; None: any, for it is the oldest.
        """
        where = format_offset(self._data_offset + position)
        if self._block(position)[2]:
            return JournalEnd(problem=f"the block at {where} of the journal cannot be read")
        found = self._meta_at(position)
        if found is not None and seq in (None, found.number("seq")):
            return found
        if seq is None:
            return JournalEnd(problem=f"the oldest entry should be at {where} of the journal, and is not there")
        if found is not None:  # of an earlier round: nothing was written over it
            return JournalEnd()
        later = self._later(position, seq)
        if later is None:
            return JournalEnd()
        there = format_offset(self._data_offset + later)
        return JournalEnd(problem=f"no entry is at {where} of the journal, but later ones follow at {there}")

    def _meta_at(self, position: int) -> Record | None:
        """Return the meta block at a position, whatever its number; None: there is none."""
        raw, checksum, is_lost = self._block(position)
        if is_lost or not raw.startswith(_MAGIC_BYTES):
            return None
        meta = META_TABLE.parse(raw)
        checksum ^= _checksum_of_checksum(raw[_CHECKSUM_AT : _CHECKSUM_AT + 4])
        is_meta = (
            meta.number("version") == _VERSION
            and meta.quantity("position") == position
            and meta.number("checksum") == checksum
            and meta.number("meta_size") <= BLOCK
        )
        return meta if is_meta else None

    def _later(self, position: int, seq: int) -> int | None:
        """Return where the first meta block behind a position lies that has a higher number than `seq`."""
        for number in range(1, min(_SEARCHED, self.n_blocks)):
            at = (position + number * BLOCK) % self.size
            found = self._meta_at(at)
            if found is not None and found.number("seq") > seq:
                return at
        return None

    def state(self, position: int, checksum: int) -> int:
        """Say whether a block has a checksum."""
        _, found, is_lost = self._block(position)
        return self.LOST if is_lost else self.RIGHT if found == checksum else self.WRONG

    def _block(self, position: int) -> tuple[bytes, int, bool]:
        number, inside = divmod(position // BLOCK, _WINDOW)
        if number not in self._windows:
            while len(self._windows) > 1:
                self._windows.pop(next(iter(self._windows)))
            self._windows[number] = self._read(number)
        raw, checksums, lost = self._windows[number]
        if lost[inside]:
            self.missed.append(position)
        return raw[inside * BLOCK : (inside + 1) * BLOCK], int(checksums[inside]), bool(lost[inside])

    def _read(self, number: int) -> tuple[bytes, NDArray[np.uint32], NDArray[np.bool_]]:
        """Read a window; blocks beyond the image count as lost."""
        n = min(_WINDOW, self.n_blocks - number * _WINDOW)
        start = self._data_offset + number * _WINDOW * BLOCK
        there = max(0, min(n * BLOCK, self._source.size - start))
        raw, gone = read_exact(self._source, start, there) if there else (b"", ())
        lost = np.zeros(n, dtype=bool)
        lost[there // BLOCK :] = True
        for low, high in gone:
            lost[low // BLOCK : -(-high // BLOCK)] = True
        raw = raw.ljust(n * BLOCK, b"\0")
        return raw, crc32c_rows(self._seed, np.frombuffer(raw, dtype=np.uint8).reshape(n, BLOCK)), lost


def _checksum_of_checksum(stored: bytes) -> int:
    """Return what the checksum field itself adds to the CRC of its block: CRCs are linear."""
    value = int.from_bytes(stored, "little")
    found = 0
    for bit, part in enumerate(_basis()):
        if value >> bit & 1:
            found ^= part
    return found


@lru_cache(maxsize=1)
def _basis() -> tuple[int, ...]:
    """Return what each bit of the checksum field adds."""
    fields = np.zeros((32, BLOCK), dtype=np.uint8)
    for bit in range(32):
        fields[bit, _CHECKSUM_AT + bit // 8] = 1 << bit % 8
    return tuple(crc32c_rows(0, fields).tolist())
