"""Reads exFAT. Own code for the reason that `raidfs.filesystem.fat` has.

A file is a set of entries: 0x85 (attributes, times), 0xC0 (where the data lie), 0xC1 (15 characters of the name), ...
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import NO_OWNER, UNKNOWN, Attributes, Contents, Device, Name, Names, Run, Usage
from raidfs.filesystem.fat_chain import ENTRY, ROOT, Clusters, name_of, time_of

_FILE, _STREAM, _NAME = 0x85, 0xC0, 0xC1
_DIRECTORY, _READ_ONLY = 0x10, 0x01
_NO_CHAIN = 0x02
_STEP = 512


@dataclass(frozen=True, slots=True)
class _File:
    """One set of entries: name, attributes, first cluster, lengths [bytes], whether its clusters are not chained."""

    name: bytes
    flags: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    first: int
    length: int
    valid: int
    unchained: bool


class ExfatReader:
    """A `Reader` of exFAT."""

    root = ROOT

    def __init__(self, device: Device) -> None:
        """Read the boot sector of `device`, or its backup.

        Raises:
            Unreadable: there is no file system that can be read.
        """
        self._device = device
        raw = _boot_sector(device)
        table, table_length, heap, count, self._root_cluster = struct.unpack_from("<IIIII", raw, 80)
        sector_bits, cluster_bits, n_tables = raw[108], raw[109], raw[110]
        (flags,) = struct.unpack_from("<H", raw, 106)
        if not (
            9 <= sector_bits <= 12 and cluster_bits <= 25 - sector_bits and 0 < count < 1 << 32 and n_tables in (1, 2)
        ):
            raise Damaged("the boot sector contradicts itself")
        number = flags & 1 if n_tables == 2 else 0
        at = (table + number * table_length) << sector_bits
        self._clusters = Clusters(device, 1 << sector_bits + cluster_bits, heap << sector_bits, count, 32, (at,))

    def usage(self) -> Usage:
        """Return its size; how much is free is not counted."""
        return Usage(self._clusters.size, self._clusters.count, 0, 0, 0)

    def names(self, inode: int) -> Names:
        """List a directory."""
        entries: list[Name] = []
        lost = 0
        waiting: list[tuple[int, bytes]] = []
        for at, raw in self._entries(inode):
            if raw is None:
                lost += at
                waiting = []
                continue
            kind = raw[0]
            if kind == 0:
                break
            is_part = kind & 0xC0 == 0xC0
            if waiting and is_part:
                waiting.append((at, raw))
            else:
                # a set that breaks off, or a part of none: what deletes a file marks all its entries
                lost += (len(waiting) + is_part) * ENTRY
                waiting = [(at, raw)] if kind == _FILE else []
            if waiting and len(waiting) == waiting[0][1][1] + 1:
                found = _parsed(b"".join(raw for _, raw in waiting))
                if found is None:
                    lost += len(waiting) * ENTRY
                else:
                    is_directory = found.flags & _DIRECTORY
                    entries.append(
                        Name(found.name, waiting[0][0] // ENTRY, stat.S_IFDIR if is_directory else stat.S_IFREG)
                    )
                waiting = []
        return Names(tuple(entries), lost + len(waiting) * ENTRY)

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an entry."""
        if inode == ROOT:
            size = sum(run.length for run in self._directory(inode))
            return Attributes(ROOT, stat.S_IFDIR | 0o755, 1, NO_OWNER, NO_OWNER, (0, 0), size, size, 0, 0, 0)
        found = self._file(inode)
        mode = stat.S_IFDIR | 0o755 if found.flags & _DIRECTORY else stat.S_IFREG | 0o644
        if found.flags & _READ_ONLY:
            mode &= ~0o222
        allocated = -(-found.length // self._clusters.size) * self._clusters.size
        times = (found.atime_ns, found.mtime_ns, found.ctime_ns)
        return Attributes(inode, mode, 1, NO_OWNER, NO_OWNER, (0, 0), found.length, allocated, *times)

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie; what was never written of it reads as zeros."""
        found = self._file(inode)
        if found.flags & _DIRECTORY:
            raise Damaged("a directory has no contents")
        return Contents(self._runs(found, min(found.valid, found.length)))

    def target(self, inode: int) -> bytes:
        """Refuse: there are no symbolic links."""
        raise Damaged(f"inode {inode} is no symbolic link")

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return nothing: there are none."""
        return {}

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Refuse: all contents can be mapped."""
        raise Damaged(f"inode {inode} is not read through the reader")

    def _runs(self, found: _File, length: int) -> tuple[Run, ...]:
        if not length:
            return ()
        if not found.unchained:
            return self._clusters.chain(found.first, length)
        return self._clusters.run(found.first, length)

    def _directory(self, inode: int) -> tuple[Run, ...]:
        """Return where a directory lies."""
        if inode == ROOT:
            return self._clusters.chain(self._root_cluster, None)
        found = self._file(inode)
        if not found.flags & _DIRECTORY:
            raise Damaged(f"inode {inode} is no directory")
        return self._runs(found, found.length)

    def _entries(self, inode: int) -> Iterator[tuple[int, bytes | None]]:
        """Yield (place, entry) of a directory; (bytes that are lost, None) where they cannot be read."""
        for _, length, place in self._directory(inode):
            if place == UNKNOWN:
                yield length, None
                continue
            for at in range(place, place + length, _STEP):
                try:
                    raw = self._device.read(at, _STEP)
                except Unreadable:
                    yield _STEP, None
                    continue
                for offset in range(0, _STEP, ENTRY):
                    yield at + offset, raw[offset : offset + ENTRY]

    def _file(self, inode: int) -> _File:
        """Read a set of entries, which may go on in another cluster."""
        at = inode * ENTRY
        if at < self._clusters.start:
            raise Damaged(f"there is no entry {inode}")
        first = self._device.read(at, ENTRY)
        length = (first[1] + 1) * ENTRY
        if first[0] != _FILE or length > 19 * ENTRY:
            raise Damaged(f"there is no entry {inode}")
        cluster = self._clusters.cluster_at(at)
        room = self._clusters.place(cluster) + self._clusters.size - at
        if length <= room:
            found = _parsed(self._device.read(at, length))
            if found is None:
                raise Damaged(f"the checksum of entry {inode} is wrong")
            return found
        head = self._device.read(at, room)
        # whether this directory is chained its own entry knows; the checksum tells as well
        for follower in self._followers(cluster):
            try:
                found = _parsed(head + self._device.read(self._clusters.place(follower), length - room))
            except Unreadable:
                continue
            if found is not None:
                return found
        raise Damaged(f"entry {inode} goes on where nobody can tell")

    def _followers(self, cluster: int) -> Iterator[int]:
        try:
            following = self._clusters.next(cluster)
        except Unreadable:
            following = None
        if following is not None:
            yield following
        yield cluster + 1


def _boot_sector(device: Device) -> bytes:
    """Return the boot sector; the backup is 12 sectors further on."""
    why: Unreadable | None = None
    for at in (0, 12 * 512, 12 * 4096):
        try:
            raw = device.read(at, 512)
        except Unreadable as error:
            why = why or error
            continue
        if raw[3:11] == b"EXFAT   " and raw[510:] == b"\x55\xaa":
            return raw
    raise why or Damaged("there is no boot sector")


def _parsed(raw: bytes) -> _File | None:
    """Read a set of entries; None: its checksum is wrong, or it makes no sense."""
    total = 0
    for at, byte in enumerate(raw):
        if at not in (2, 3):
            total = ((total & 1) << 15 | total >> 1) + byte & 0xFFFF
    (told,) = struct.unpack_from("<H", raw, 2)
    stream = raw[ENTRY : 2 * ENTRY]
    if total != told or stream[0] != _STREAM:
        return None
    units = b"".join(raw[at + 2 : at + 32] for at in range(2 * ENTRY, len(raw), ENTRY) if raw[at] == _NAME)
    name = name_of(units[: 2 * stream[3]])
    if not name or len(units) < 2 * stream[3]:
        return None
    (flags,) = struct.unpack_from("<H", raw, 4)
    created, modified, accessed = struct.unpack_from("<III", raw, 8)
    (valid,) = struct.unpack_from("<Q", stream, 8)
    first, length = struct.unpack_from("<IQ", stream, 20)
    return _File(
        name,
        flags,
        _time(accessed, 0, raw[24]),
        _time(modified, raw[21], raw[23]),
        _time(created, raw[20], raw[22]),
        first,
        length,
        valid,
        bool(stream[1] & _NO_CHAIN),
    )


def _time(stamp: int, hundredths: int, zone: int) -> int:
    """Return [ns since 1970]; the zone counts quarters of an hour, where it is told."""
    quarters = (zone & 0x7F) - (0x80 if zone & 0x40 else 0)
    offset = quarters * 15 * 60 * 1_000_000_000 if zone & 0x80 else 0
    return time_of(stamp >> 16, stamp & 0xFFFF) + hundredths * 10_000_000 - offset
