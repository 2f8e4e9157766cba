"""A write journal as md keeps it, and arrays that crash while they write through it.

A ring of 4 KiB blocks: meta blocks that name payloads, and the blocks of these. Write-through: data and parity of a
stripe block are logged together, then written to the members. Write-back: data are logged and acknowledged; the
members are written later, once the parity is logged too; then a flush is logged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.oracle.crc import crc32c
from tests.oracle.labels import Placement
from tests.oracle.member import OLD
from tests.oracle.parity import fill
from tests.oracle.superblock import build_v1, superblock_offset
from tests.oracle.writer import Simulation

SECTOR = 512
BLOCK = 4096
DATA_OFFSET = 65536
MAGIC = 0x6433C509


@dataclass(frozen=True)
class Payload:
    """What a meta block names.

    Attributes:
        kind: 0 data, 1 parity, 2 flush. location: array offset of data, height of parity [bytes].
        blocks: of data or parity. heights: of a flush [component bytes].
    """

    kind: int
    location: int = 0
    blocks: tuple[bytes, ...] = ()
    heights: tuple[int, ...] = ()


@dataclass
class Ring:
    """The blocks of a journal.

    Attributes:
        uuid: of the array. n_blocks: of the ring. head: where the next entry goes. seq: its number. tail: the oldest.
        blocks: by position [blocks]. entries: where each entry begins [blocks], in order.
    """

    uuid: bytes
    n_blocks: int
    head: int = 0
    seq: int = 1000
    blocks: dict[int, bytes] = field(default_factory=dict)
    entries: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tail = self.head

    def checksum(self, data: bytes) -> int:
        """CRC-32C seeded with the uuid, nothing inverted at the end."""
        return crc32c(crc32c(0xFFFFFFFF, self.uuid), data)

    def log(self, payloads: Sequence[Payload]) -> None:
        """Append an entry."""
        body = b""
        for payload in payloads:
            if payload.kind == 2:
                heights = [height // SECTOR for height in payload.heights]
                body += struct.pack(f"<HHI{len(heights)}Q", 2, 0, 8 * len(heights), *heights)
            else:
                n_sectors = len(payload.blocks) * BLOCK // SECTOR
                sums = [self.checksum(block) for block in payload.blocks]
                location = payload.location // SECTOR
                body += struct.pack(f"<HHIQ{len(sums)}I", payload.kind, 0, n_sectors, location, *sums)
        position = self.head
        head = struct.pack("<IIB3xIQQ", MAGIC, 0, 1, 32 + len(body), self.seq, position * BLOCK // SECTOR)
        meta = bytearray((head + body).ljust(BLOCK, b"\0"))
        struct.pack_into("<I", meta, 4, self.checksum(bytes(meta)))
        self.entries.append(position)
        blocks = [bytes(meta), *(block for payload in payloads for block in payload.blocks)]
        for number, block in enumerate(blocks):
            self.blocks[(position + number) % self.n_blocks] = block
        self.head = (position + len(blocks)) % self.n_blocks
        self.seq += 1

    def image(self) -> bytes:
        """The ring's bytes; what was never written is zero."""
        return b"".join(self.blocks.get(number, bytes(BLOCK)) for number in range(self.n_blocks))


class Journaled:
    """An array that writes through a journal.

    Attributes:
        array: its `content` is what was acknowledged. ring: of the journal.
        cached: heights of data that are in the journal only, with the data chunks.
        pending: heights of what was on its way to the members at last, with the cells.
    """

    def __init__(self, array: Simulation, n_blocks: int = 400, head: int = 0) -> None:
        self.array = array
        array.has_journal = True
        array.checkpoint()
        self.ring = Ring(array.array_uuid, n_blocks, head)
        self.ring.log([])  # mdadm's `super1.c: write_empty_r5l_meta_block`
        self.cached: dict[int, set[int]] = {}
        self.pending: dict[int, dict[int, bytes]] = {}

    def write_through(self, height: int, chunks: Sequence[int], landed: Callable[[int], bool]) -> None:
        """Write some data of a stripe block; what lands on the members is told by role."""
        self._finish(height)
        self._change(height, chunks)
        touched = self.cached.pop(height, set()) | set(chunks)
        self.ring.log([*(self._data(height, k) for k in sorted(touched)), self._parity(height)])
        self._write_members(height, touched, landed)

    def cache(self, height: int, chunks: Sequence[int]) -> None:
        """Write some data of a stripe block to the journal only."""
        self._finish(height)
        self._change(height, chunks)
        self.cached.setdefault(height, set()).update(chunks)
        self.ring.log([self._data(height, k) for k in chunks])

    def write_out(self, height: int, landed: Callable[[int], bool], *, flush: bool) -> None:
        """Write what is cached to the members; `flush`: it all arrived, and that is logged."""
        touched = self.cached.pop(height)
        self.ring.log([self._parity(height)])
        self._write_members(height, touched, (lambda _: True) if flush else landed)
        if flush:
            self.ring.log([Payload(2, heights=(height,))])

    def device(self) -> bytes:
        """The journal device."""
        number = len(self.array.members)
        place = Placement(number, DATA_OFFSET, DATA_OFFSET, DATA_OFFSET + self.ring.n_blocks * BLOCK)
        superblock = replace(
            self.array.label.superblock(place),
            data_size=self.ring.n_blocks * BLOCK,
            journal_tail=self.ring.tail * BLOCK,
        )
        image = bytearray(DATA_OFFSET) + self.ring.image()
        at = superblock_offset("1.2", len(image))
        raw = build_v1(superblock, at)
        image[at : at + len(raw)] = raw
        return bytes(image)

    def _offset(self, height: int, k: int) -> int:
        geometry = self.array.geometry
        row, inside = divmod(height, geometry.chunk)
        return row * geometry.stripe_size + k * geometry.chunk + inside

    def _change(self, height: int, chunks: Sequence[int]) -> None:
        for k in chunks:
            offset = self._offset(height, k)
            self.array.content[OLD][offset : offset + BLOCK] = self.array.random.randbytes(BLOCK)

    def _cells(self, height: int) -> dict[int, bytes]:
        """What every role is to hold at a height."""
        geometry = self.array.geometry
        offsets = [self._offset(height, k) for k in range(geometry.data_disks)]
        data = [bytes(self.array.content[OLD][at : at + BLOCK]) for at in offsets]
        return fill(geometry.stripe(height // geometry.chunk), data)

    def _data(self, height: int, k: int) -> Payload:
        offset = self._offset(height, k)
        return Payload(0, offset, (bytes(self.array.content[OLD][offset : offset + BLOCK]),))

    def _parity(self, height: int) -> Payload:
        stripe = self.array.geometry.stripe(height // self.array.geometry.chunk)
        cells = self._cells(height)
        return Payload(1, height, tuple(cells[role] for role in (stripe.p, stripe.q) if role is not None))

    def _write_members(self, height: int, chunks: set[int], landed: Callable[[int], bool]) -> None:
        stripe = self.array.geometry.stripe(height // self.array.geometry.chunk)
        cells = self._cells(height)
        parity = {role for role in (stripe.p, stripe.q) if role is not None}
        self.pending[height] = {role: cells[role] for role in {stripe.data[k] for k in chunks} | parity}
        for role, cell in self.pending[height].items():
            if role in self.array.roles and landed(role):
                self.array.roles[role].write(OLD, height, cell)

    def _finish(self, height: int) -> None:
        """All of it lands: the next write to a stripe block waits for that."""
        for role, cell in self.pending.pop(height, {}).items():
            if role in self.array.roles:
                self.array.roles[role].write(OLD, height, cell)
