"""Writes jbd2 logs by definition, on file systems that mkfs.ext4 made; debugfs replays them for the truth.

Knows nothing of raidfs. Numbers are those of `jbd2.h`.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

BLOCK = 1024
MAGIC = 0xC03B3998
FREE = range(3000, 3200)
"""Blocks of the file system that nothing uses."""
_POLYNOMIAL = 0x82F63B78


@dataclass(frozen=True)
class Format:
    """How a journal is written: version of checksums (0: none), block numbers of 64 bits."""

    checksums: int
    wide: bool


FORMATS = [Format(checksums, wide) for checksums in (0, 1, 2, 3) for wide in (False, True)]


def tool(name: str) -> str:
    """Return where a program of e2fsprogs is, also for those who have no sbin in their path."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found, f"{name} is missing: scripts/setup installs it"
    return found


@cache
def blank(
    options: tuple[str, ...] = ("-O", "^metadata_csum,^64bit"), size: str = "4M"
) -> tuple[bytes, tuple[int, ...]]:
    """Make a file system with a journal of 1024 blocks of 1 KiB; return it and the blocks of its journal."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "image")
        command = [
            tool("mkfs.ext4"),
            "-q",
            "-F",
            "-b",
            str(BLOCK),
            "-N",
            "32",
            *options,
            "-J",
            "size=1",
            str(path),
            size,
        ]
        subprocess.run(command, check=True, capture_output=True)
        told = subprocess.run([tool("debugfs"), "-R", "blocks <8>", path], check=True, capture_output=True, text=True)
        numbers = [int(word) for word in told.stdout.split()]
        return path.read_bytes(), tuple(numbers)


def replayed_by_debugfs(image: bytes) -> bytes:
    """Return what debugfs makes of a file system when it replays its journal."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(image)
        subprocess.run([tool("debugfs"), "-w", "-R", "jr", path], check=True, capture_output=True)
        return path.read_bytes()


def crc32c(data: bytes, crc: int = 0xFFFFFFFF) -> int:
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def crc32_be(data: bytes, crc: int) -> int:
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC32_BE[crc >> 24 ^ byte]
    return crc


def _table(polynomial: int, is_mirrored: bool) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte if is_mirrored else byte << 24
        for _ in range(8):
            if is_mirrored:
                crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
            else:
                crc = (crc << 1 & 0xFFFFFFFF) ^ (polynomial if crc >> 31 else 0)
        table.append(crc)
    return table


_CRC32C = _table(_POLYNOMIAL, True)
_CRC32_BE = _table(0x04C11DB7, False)


@dataclass
class Log:
    """A log that is written block by block.

    Attributes:
        format: see `Format`.
        start: block of the journal where it begins.
        sequence: of the next transaction.
        image: the file system.
        journal: blocks of its journal.
        written: what lies where: (kind, block of the journal), in order.
    """

    format: Format
    start: int = 1
    sequence: int = 5
    image: bytearray = field(default_factory=lambda: bytearray(blank()[0]))
    journal: tuple[int, ...] = field(default_factory=lambda: blank()[1])
    written: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = self.start
        self._uuid = self.read(0)[48:64]
        self._seed = crc32c(self._uuid)
        self._seconds = 1_700_000_000
        raw = bytearray(self.read(0))
        struct.pack_into(">II", raw, 24, self.sequence, self.start)
        incompat = 1 | 2 * self.format.wide | {2: 8, 3: 16}.get(self.format.checksums, 0)
        struct.pack_into(">III", raw, 36, int(self.format.checksums == 1), incompat, 0)
        if self.format.checksums >= 2:
            raw[80] = 4
            raw[252:256] = bytes(4)
            raw[252:256] = crc32c(bytes(raw)).to_bytes(4, "big")
        self.write(0, bytes(raw))
        self.image[1024 + 0x60] |= 0x4

    def place(self, block: int) -> int:
        """Return where a block of the journal lies [bytes]."""
        return self.journal[block] * BLOCK

    def read(self, block: int) -> bytes:
        return bytes(self.image[self.place(block) : self.place(block) + BLOCK])

    def write(self, block: int, raw: bytes) -> None:
        assert len(raw) == BLOCK
        self.image[self.place(block) : self.place(block) + BLOCK] = raw

    def _append(self, kind: str, raw: bytes) -> None:
        self.write(self._next, raw)
        self.written.append((kind, self._next))
        self._next = self._next + 1 if self._next + 1 < len(self.journal) else 1

    def transaction(self, writes: list[tuple[int, bytes]], revokes: list[int] = [], *, commit: bool = True) -> None:  # noqa: B006 - never changed
        """Append a transaction; a descriptor holds as many tags as fit."""
        total = 0xFFFFFFFF
        for at in range(0, len(writes), self._tags_per_block()):
            part = writes[at : at + self._tags_per_block()]
            blocks = [(home, self._escaped(content), content[:4] == MAGIC.to_bytes(4, "big")) for home, content in part]
            descriptor = self._descriptor(blocks)
            self._append("descriptor", descriptor)
            total = self._summed_on(descriptor, total)
            for _, content, _ in blocks:
                self._append("copy", content)
                total = self._summed_on(content, total)
        if revokes:
            width = 8 if self.format.wide else 4
            body = b"".join(each.to_bytes(width, "big") for each in revokes)
            self._append("revocation", self._summed(self._header(5) + struct.pack(">I", 16 + len(body)) + body))
        if commit:
            self._append("commit", self._commit(total))
        self._seconds += 5
        self.sequence = (self.sequence + 1) % (1 << 32)

    def _summed_on(self, raw: bytes, total: int) -> int:
        return crc32_be(raw, total) if self.format.checksums == 1 else 0

    def _header(self, kind: int) -> bytes:
        return struct.pack(">III", MAGIC, kind, self.sequence)

    def _tag_size(self) -> int:
        return 16 if self.format.checksums == 3 else 8 + 4 * self.format.wide + 2 * (self.format.checksums == 2)

    def _tags_per_block(self) -> int:
        return (BLOCK - 12 - 16 - 4) // self._tag_size()

    @staticmethod
    def _escaped(content: bytes) -> bytes:
        return bytes(4) + content[4:] if content[:4] == MAGIC.to_bytes(4, "big") else content

    def _descriptor(self, blocks: list[tuple[int, bytes, bool]]) -> bytes:
        raw = self._header(1)
        for number, (home, content, is_escaped) in enumerate(blocks):
            flags = is_escaped | (2 if number else 0) | (8 if number == len(blocks) - 1 else 0)
            checksum = 0
            if self.format.checksums >= 2:
                checksum = crc32c(content, crc32c(self.sequence.to_bytes(4, "big"), self._seed))
            if self.format.checksums == 3:
                raw += struct.pack(">IIII", home, flags, 0, checksum)
            else:
                raw += struct.pack(">IHH", home, checksum & 0xFFFF, flags)
                raw += bytes(self._tag_size() - 8)
            raw += b"" if number else self._uuid
        return self._summed(raw)

    def _summed(self, raw: bytes) -> bytes:
        raw = raw.ljust(BLOCK, b"\0")
        if self.format.checksums < 2:
            return raw
        return raw[:-4] + crc32c(raw[:-4] + bytes(4), self._seed).to_bytes(4, "big")

    def _commit(self, total: int) -> bytes:
        when = struct.pack(">QI", self._seconds, 7)
        if self.format.checksums == 1:
            return (self._header(2) + struct.pack(">BBxxI28x", 1, 4, total) + when).ljust(BLOCK, b"\0")
        raw = (self._header(2) + bytes(36) + when).ljust(BLOCK, b"\0")
        if self.format.checksums >= 2:
            raw = raw[:16] + crc32c(raw, self._seed).to_bytes(4, "big") + raw[20:]
        return raw
