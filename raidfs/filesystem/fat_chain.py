"""The table of FAT12, FAT16, FAT32 and exFAT: which cluster follows which; and what is common to all of them.

Source: Microsoft's "FAT: General Overview of On-Disk Format" and "exFAT file system specification".
"""

from __future__ import annotations

import calendar
import struct
from dataclasses import dataclass, field

from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.filesystem.entry import UNKNOWN, Device, Run

ROOT = 1
"""Inode of the root; all others are the place of their directory entry, in entries of 32 bytes."""
ENTRY = 32
_PART = 4096
_MOST_PARTS = 256
_FIRST = 2


@dataclass
class Clusters:
    """The clusters of a file system and the chains that they form.

    Attributes:
        device: what it lies on.
        size: of a cluster [bytes].
        start: where cluster 2 lies [bytes].
        count: how many there are.
        bits: of an entry of the table: 12, 16 or 32.
        tables: where the copies of the table lie, the one that counts first [bytes].
    """

    device: Device
    size: int
    start: int
    count: int
    bits: int
    tables: tuple[int, ...]
    _parts: dict[int, bytes] = field(default_factory=dict)

    def place(self, cluster: int) -> int:
        """Return where a cluster lies [bytes]."""
        if not _FIRST <= cluster < self.count + _FIRST:
            raise Damaged(f"there is no cluster {cluster}")
        return self.start + (cluster - _FIRST) * self.size

    def cluster_at(self, place: int) -> int:
        """Return the cluster that holds a byte."""
        return (place - self.start) // self.size + _FIRST

    def next(self, cluster: int) -> int | None:
        """Return the cluster that follows; None: it is the last. Raises `Unreadable`."""
        if self.bits == 12:
            at = cluster + cluster // 2
            pair = self._bytes(at, 2)
            value = (pair[0] | pair[1] << 8) >> (4 if cluster & 1 else 0) & 0xFFF
            last = 0xFF7
        elif self.bits == 16:
            value, last = struct.unpack("<H", self._bytes(2 * cluster, 2))[0], 0xFFF7
        else:
            value, last = struct.unpack("<I", self._bytes(4 * cluster, 4))[0] & 0x0FFFFFFF, 0x0FFFFFF7
        if value > last:
            return None
        if not _FIRST <= value < self.count + _FIRST:
            raise Damaged(f"the chain of clusters breaks at {cluster}")
        return int(value)

    def _bytes(self, at: int, length: int) -> bytes:
        """Return bytes of the table, of the first copy that is not lost."""
        number, inside = divmod(at, _PART)
        raw = self._part(number)[inside : inside + length]
        return raw if len(raw) == length else raw + self._part(number + 1)[: length - len(raw)]

    def _part(self, number: int) -> bytes:
        kept = self._parts.get(number)
        if kept is not None:
            return kept
        why: Unreadable | None = None
        for table in self.tables:
            at = table + number * _PART
            try:
                raw = self.device.read(at, min(_PART, self.device.size - at))
            except Lost as error:
                why = why or error
                continue
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            self._parts[number] = raw
            return raw
        raise why or Damaged("there is no table of clusters")

    def chain(self, first: int, length: int | None) -> tuple[Run, ...]:
        """Return where a chain lies: `length` bytes of it, or all; what cannot be followed is `UNKNOWN`."""
        most = self.count if length is None else -(-length // self.size)
        runs: list[Run] = []
        cluster: int | None = first
        for number in range(most):
            if cluster is None:
                if length is None:
                    return tuple(runs)
                break
            try:
                place = self.place(cluster)
                follows = bool(runs) and runs[-1].place + runs[-1].length == place
                if follows:
                    runs[-1] = Run(runs[-1].start, runs[-1].length + self.size, runs[-1].place)
                else:
                    runs.append(Run(number * self.size, self.size, place))
                cluster = self.next(cluster)
            except Unreadable:
                cluster = None
                if length is None:
                    # of a directory nobody knows how long it is
                    return (*runs, Run((number + 1) * self.size, self.size, UNKNOWN))
        done = runs[-1].start + runs[-1].length if runs else 0
        if length is not None and done < length:
            runs.append(Run(done, length - done, UNKNOWN))
        return tuple(runs)

    def run(self, first: int, length: int) -> tuple[Run, ...]:
        """Return where `length` bytes lie that are not chained, but follow each other."""
        if not length:
            return ()
        self.place(first + (length - 1) // self.size)
        return (Run(0, length, self.place(first)),)


def time_of(date: int, time: int) -> int:
    """Return [ns since 1970] of a date and a time of day in FAT's form, taken as UTC; 0 where it makes no sense."""
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    hour, minute, second = time >> 11, time >> 5 & 63, (time & 31) * 2
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return 0
    return calendar.timegm((year, month, day, hour, minute, second)) * 1_000_000_000


def name_of(units: bytes) -> bytes:
    """Return a name from UTF-16; characters that no name can have become `_`."""
    text = units.decode("utf-16-le", errors="surrogatepass")
    raw = text.replace("/", "_").replace("\0", "_").encode("utf-8", errors="surrogatepass")
    return raw if raw not in (b".", b"..") else b"_" * len(raw)
