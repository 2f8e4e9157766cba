"""Reads FAT12, FAT16 and FAT32 with long names.

Own code: the library that was compared finds no file by its number, so every look would walk the tree. Owners and
permissions are not on the disk; times are local ones there, and taken as UTC.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import NO_OWNER, UNKNOWN, Attributes, Contents, Device, Name, Names, Run, Usage
from raidfs.filesystem.fat_chain import ENTRY, ROOT, Clusters, name_of, time_of

_ENTRY = struct.Struct("<11sBBBHHHHHHHI")
_LONG, _VOLUME, _DIRECTORY, _READ_ONLY = 0x0F, 0x08, 0x10, 0x01
_DELETED, _END = 0xE5, 0x00


class FatReader:
    """A `Reader` of FAT12, FAT16 and FAT32."""

    root = ROOT

    def __init__(self, device: Device) -> None:
        """Read the boot sector of `device`.

        Raises:
            Unreadable: there is no file system that can be read.
        """
        self._device = device
        raw = device.read(0, 512)
        (sector,) = struct.unpack_from("<H", raw, 11)
        per_cluster = raw[13]
        reserved, n_tables, root_entries, n_sectors = struct.unpack_from("<HBHH", raw, 14)
        (table_sectors,) = struct.unpack_from("<H", raw, 22)
        n_sectors = n_sectors or struct.unpack_from("<I", raw, 32)[0]
        wide = not table_sectors
        if wide:
            (table_sectors,) = struct.unpack_from("<I", raw, 36)
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or not n_tables or not reserved:
            raise Damaged("the boot sector makes no sense")
        tables = [(reserved + number * table_sectors) * sector for number in range(n_tables)]
        flags = struct.unpack_from("<H", raw, 40)[0] if wide else 0
        if flags & 0x80:  # the copies are not kept alike: one counts
            tables = tables[flags & 0xF : (flags & 0xF) + 1]
        root_at = (reserved + n_tables * table_sectors) * sector
        start = root_at + -(-root_entries * ENTRY // sector) * sector
        count = (n_sectors * sector - start) // (per_cluster * sector)
        bits = 32 if wide else 12 if count < 4085 else 16
        if count <= 0 or count > (1 << 28):
            raise Damaged("the boot sector contradicts itself")
        self._clusters = Clusters(device, per_cluster * sector, start, count, bits, tuple(tables))
        self._root = None if wide else Run(0, root_entries * ENTRY, root_at)
        self._root_cluster = struct.unpack_from("<I", raw, 44)[0] if wide else 0

    def usage(self) -> Usage:
        """Return its size; how much is free is not counted."""
        return Usage(self._clusters.size, self._clusters.count, 0, 0, 0)

    def names(self, inode: int) -> Names:
        """List a directory."""
        entries: list[Name] = []
        lost = 0
        long = _LongName()
        for start, length, place in self._directory(inode):
            if place == UNKNOWN:
                lost += length
                continue
            for at in range(place, place + length, self._step(start)):
                step = min(self._step(start), place + length - at)
                try:
                    raw = self._device.read(at, step)
                except Unreadable:
                    lost += step
                    long.clear()
                    continue
                for offset in range(0, step, ENTRY):
                    entry = raw[offset : offset + ENTRY]
                    if entry[0] == _END:
                        return Names(tuple(entries), lost)
                    found = long.take(entry)
                    if found is not None:
                        kind = stat.S_IFDIR if entry[11] & _DIRECTORY else stat.S_IFREG
                        entries.append(Name(found, (at + offset) // ENTRY, kind))
        return Names(tuple(entries), lost)

    @staticmethod
    def _step(_start: int) -> int:
        """Return in which units a directory is read: what is lost is a sector."""
        return 512

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an entry."""
        if inode == ROOT:
            size = sum(run.length for run in self._directory(inode))
            return Attributes(ROOT, stat.S_IFDIR | 0o755, 1, NO_OWNER, NO_OWNER, (0, 0), size, size, 0, 0, 0)
        _, flags, _, tenths, ctime, cdate, adate, _, mtime, mdate, _, size = self._entry(inode)
        mode = stat.S_IFDIR | 0o755 if flags & _DIRECTORY else stat.S_IFREG | 0o644
        if flags & _READ_ONLY:
            mode &= ~0o222
        if flags & _DIRECTORY:
            size = sum(run.length for run in self._directory(inode))
        allocated = -(-size // self._clusters.size) * self._clusters.size
        modified = time_of(mdate, mtime)
        created = time_of(cdate, ctime) + tenths * 10_000_000
        times = (time_of(adate, 0) or modified, modified, created if cdate else modified)
        return Attributes(inode, mode, 1, NO_OWNER, NO_OWNER, (0, 0), size, allocated, *times)

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie."""
        _, flags, *_, size = self._entry(inode)
        if flags & _DIRECTORY:
            raise Damaged("a directory has no contents")
        return Contents(self._clusters.chain(self._first(inode), size) if size else ())

    def target(self, inode: int) -> bytes:
        """Refuse: there are no symbolic links."""
        raise Damaged(f"inode {inode} is no symbolic link")

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return nothing: there are none."""
        return {}

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Refuse: all contents can be mapped."""
        raise Damaged(f"inode {inode} is not read through the reader")

    def _entry(self, inode: int) -> tuple[bytes, int, int, int, int, int, int, int, int, int, int, int]:
        raw = self._device.read(inode * ENTRY, ENTRY)
        if raw[0] in (_DELETED, _END) or raw[11] & _VOLUME:
            raise Damaged(f"there is no entry {inode}")
        return _ENTRY.unpack(raw)

    def _first(self, inode: int) -> int:
        fields = self._entry(inode)
        return fields[10] | (fields[7] << 16 if self._clusters.bits == 32 else 0)

    def _directory(self, inode: int) -> tuple[Run, ...]:
        """Return where a directory lies."""
        if inode == ROOT:
            return (self._root,) if self._root is not None else self._clusters.chain(self._root_cluster, None)
        if not self._entry(inode)[1] & _DIRECTORY:
            raise Damaged(f"inode {inode} is no directory")
        return self._clusters.chain(self._first(inode), None)


class _LongName:
    """The parts of a long name, which come before the entry that they belong to, the last part first."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}
        self._sum = -1
        self._count = 0

    def clear(self) -> None:
        """Forget the parts."""
        self._parts.clear()
        self._count = 0

    def take(self, entry: bytes) -> bytes | None:
        """Take the next entry; returns the name of a file where it is one's."""
        if entry[0] == _DELETED:
            self._parts.clear()
            return None
        if entry[11] & 0x3F == _LONG:
            if entry[0] & 0x40 or entry[13] != self._sum:
                self._parts.clear()
                # only the last part, which comes first, tells how many there are
                self._count = entry[0] & 0x3F if entry[0] & 0x40 else 0
            self._sum = entry[13]
            self._parts[entry[0] & 0x3F] = entry[1:11] + entry[14:26] + entry[28:32]
            return None
        parts, self._parts = self._parts, {}
        if entry[11] & _VOLUME:
            return None
        whole = parts and set(parts) == set(range(1, self._count + 1))
        if whole and self._sum == _checksum(entry[:11]):
            units = b"".join(parts[number] for number in sorted(parts))
            end = next((at for at in range(0, len(units), 2) if units[at : at + 2] == b"\0\0"), len(units))
            return name_of(units[:end])
        return _short(entry)


def _short(entry: bytes) -> bytes | None:
    """Return a name of 8 and 3 characters; None for `.` and `..`."""
    base, suffix = entry[:8], entry[8:11]
    if base[0] == 0x05:
        base = b"\xe5" + base[1:]
    name, end = (part.decode("cp437").rstrip(" ") for part in (base, suffix))
    name = name.lower() if entry[12] & 0x08 else name
    end = end.lower() if entry[12] & 0x10 else end
    whole = f"{name}.{end}" if end else name
    return None if whole in (".", "..", "") else name_of(whole.encode("utf-16-le"))


def _checksum(short: bytes) -> int:
    """Return what the parts of a long name know of the short one."""
    total = 0
    for byte in short:
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    return total
