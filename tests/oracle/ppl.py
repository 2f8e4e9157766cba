"""Partial parity logs as md writes them, and writes that are cut short after their log.

The kernel logs, on the member with the parity, the XOR of the data that a write leaves alone; then data and parity are
written, and a crash may let any of these arrive or not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.oracle.crc import standard
from tests.oracle.member import OLD
from tests.oracle.parity import fill
from tests.oracle.writer import Simulation

SECTOR = 512
HEADER_SIZE = 4096


@dataclass(frozen=True)
class Entry:
    """One logged write.

    Attributes:
        data_offset: [array bytes]. data_size: [bytes]. parity_role: who has the parity.
        parity: partial parity; empty where all data of the rows are written.
    """

    data_offset: int
    data_size: int
    parity_role: int
    parity: bytes


def build_log(array_uuid: bytes, generation: int, entries: Sequence[Entry]) -> bytes:
    """Header and partial parities."""
    head = bytearray(b"\xff" * 512 + bytes(HEADER_SIZE - 512))
    struct.pack_into("<IIQI", head, 512, standard(array_uuid), 0, generation, len(entries))
    for number, entry in enumerate(entries):
        sizes = len(entry.parity), entry.data_size
        fields = entry.data_offset // SECTOR, *sizes, entry.parity_role, standard(entry.parity)
        struct.pack_into("<QIIII", head, 536 + 24 * number, *fields)
    struct.pack_into("<I", head, 532, standard(bytes(head)))
    return bytes(head) + b"".join(entry.parity for entry in entries)


@dataclass(frozen=True)
class Write:
    """A write of neighbouring chunks of a stripe, at one height.

    Attributes:
        row: stripe number. first, n: data chunks. start, stop: in each of them [bytes].
    """

    row: int
    first: int
    n: int
    start: int
    stop: int

    def offset(self, array: Simulation, number: int) -> int:
        """Where the data for one of its chunks lie [array bytes]."""
        geometry = array.geometry
        return self.row * geometry.stripe_size + (self.first + number) * geometry.chunk + self.start


def torn_write(array: Simulation, write: Write, landed: Callable[[int], bool]) -> Entry:
    """Log a write, and let only some of it arrive.

    Args:
        array: a RAID5 at work; what arrives becomes its content.
        write: what is written.
        landed: whether data or parity of a role arrive.
    """
    geometry, height = array.geometry, write.stop - write.start
    stripe = geometry.stripe(write.row)
    at = write.row * geometry.chunk + write.start
    chunks = [write.row * geometry.stripe_size + k * geometry.chunk + write.start for k in range(geometry.data_disks)]
    former = [bytes(array.content[OLD][place : place + height]) for place in chunks]
    written = range(write.first, write.first + write.n)
    partial = bytearray(height)
    for k in set(range(geometry.data_disks)) - set(written):
        partial = bytearray(a ^ b for a, b in zip(partial, former[k], strict=True))
    new = [array.random.randbytes(height) if k in written else data for k, data in enumerate(former)]
    cells = fill(stripe, new)
    for k in written:
        if landed(stripe.data[k]):
            array.content[OLD][chunks[k] : chunks[k] + height] = new[k]
            array.roles[stripe.data[k]].write(OLD, at, new[k])
    if landed(stripe.p):
        array.roles[stripe.p].write(OLD, at, cells[stripe.p])
    parity = b"" if write.n == geometry.data_disks else bytes(partial)
    return Entry(chunks[write.first], height * write.n, stripe.p, parity)
