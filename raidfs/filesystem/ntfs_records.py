"""The file records of NTFS, which tell the names and parents of all files once more, where an index is damaged.

    FILE | fixups | ... | attribute: type, length, ... , content | attribute ... | 0xffffffff

The library opens no directory whose index has a block that is lost. But each record holds the names of its file, and in
which directories they are; so nothing of an index is needed to list one.
Source: linux-ntfs documentation of `$MFT`, `$STANDARD_INFORMATION`, `$FILE_NAME`; `fs/ntfs3/ntfs.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import Device

_MASK = (1 << 48) - 1
_STRIDE = 512
_STANDARD, _FILE_NAME, _END = 0x10, 0x30, 0xFFFFFFFF
_IN_USE, _DIRECTORY = 0x1, 0x2
_DOS_ONLY = 2
_AT_ONCE = 1 << 16
_MOST = 200_000
"""Records that are looked at: those behind them count as lost, or a request would take too long."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One record in use.

    Attributes:
        sequence: how often its number was given to a file, as references to it say.
        base: the number of the record that this one continues; 0: none.
        is_directory: whether it has an index of names.
        times: of access, modification and change of the record [100 ns since 1601]; None: another record has them.
        names: (number and sequence of the directory, name in UTF-8), but no names of 8 and 3 characters.
    """

    sequence: int
    base: int
    is_directory: bool
    times: tuple[int, int, int] | None
    names: tuple[tuple[int, int, bytes], ...]


def parse_record(raw: bytes) -> FileRecord | None:
    """Read a record; None: it is not in use.

    Raises:
        Damaged: it makes no sense.
    """
    if not any(raw[:4]):
        return None
    whole = _fixed(raw)
    sequence, _, at, flags = struct.unpack_from("<HHHH", whole, 0x10)
    if not flags & _IN_USE:
        return None
    (base,) = struct.unpack_from("<Q", whole, 0x20)
    times: tuple[int, int, int] | None = None
    names: list[tuple[int, int, bytes]] = []
    for kind, content in _contents(whole, at):
        if kind == _STANDARD and len(content) >= 32:
            _, modified, changed, read = struct.unpack_from("<4Q", content)
            times = read, modified, changed
        elif kind == _FILE_NAME and len(content) >= 66 and content[65] != _DOS_ONLY:
            if not content[64] or len(content) < 66 + 2 * content[64]:
                raise Damaged("a name of a file record is cut off")
            (parent,) = struct.unpack_from("<Q", content)
            text = content[66 : 66 + 2 * content[64]].decode("utf-16-le", errors="surrogatepass")
            name = text.encode("utf-8", errors="surrogatepass").replace(b"/", b"_")
            names.append((parent & _MASK, parent >> 48, name))
    return FileRecord(sequence, base & _MASK, bool(flags & _DIRECTORY), times, tuple(names))


def _fixed(raw: bytes) -> bytes:
    """Return a record with the last two bytes of each sector put back; they prove that it was written whole."""
    at, count = struct.unpack_from("<HH", raw, 4)
    if raw[:4] != b"FILE" or count != len(raw) // _STRIDE + 1 or at + 2 * count > _STRIDE:
        raise Damaged("a file record is none")
    whole = bytearray(raw)
    for number in range(1, count):
        end = number * _STRIDE
        if raw[end - 2 : end] != raw[at : at + 2]:
            raise Damaged("a file record is torn")
        whole[end - 2 : end] = raw[at + 2 * number : at + 2 * number + 2]
    return bytes(whole)


def _contents(whole: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield (type, content) of the attributes that lie in a record."""
    while at + 4 <= len(whole):
        (kind,) = struct.unpack_from("<I", whole, at)
        if kind == _END:
            return
        if at + 24 > len(whole):
            break
        length, is_elsewhere, size, place = struct.unpack_from("<IB7xIH", whole, at + 4)
        if length < 24 or length % 8 or at + length > len(whole) or (not is_elsewhere and place + size > length):
            break
        if not is_elsewhere:
            yield kind, whole[at + place : at + place + size]
        at += length
    raise Damaged("the attributes of a file record make no sense")


class Records:
    """All records of a volume.

    Attributes:
        n_bad: how many cannot be read or make no sense, so that nobody knows what they hold.
    """

    def __init__(self, device: Device, places: Iterable[tuple[int, int]], size: int) -> None:
        """Look through the records, each of `size` bytes, in the (place, length) [bytes] of the table."""
        self.n_bad = 0
        self._found: dict[int, FileRecord] = {}
        self._names: dict[int, list[tuple[int, bytes, int]]] = {}
        table = list(places)
        self.n_bad += max(0, sum(length // size for _, length in table) - _MOST)
        for number, raw in islice(_raw_records(device, table, size), _MOST):
            if raw is None:
                self.n_bad += 1
                continue
            try:
                record = parse_record(raw)
            except Damaged:
                self.n_bad += 1
                continue
            if record is not None:
                self._found[number] = record
                for parent, sequence, name in record.names:
                    self._names.setdefault(parent, []).append((record.base or number, name, sequence))

    def get(self, number: int) -> FileRecord | None:
        """Return a record in use."""
        return self._found.get(number)

    def names(self, number: int) -> list[tuple[int, bytes, bool]]:
        """Return (record, name, whether it is a directory) of what is in a directory."""
        its = self._found.get(number)
        return [
            (child, name, child in self._found and self._found[child].is_directory)
            for child, name, sequence in self._names.get(number, ())
            if its is None or sequence in (0, its.sequence)
        ]


def _raw_records(device: Device, places: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number, bytes) of the records; None: it cannot be read."""
    number = 0
    for place, length in places:
        for start in range(0, length // size * size, _AT_ONCE):
            n = min(_AT_ONCE, length // size * size - start)
            try:
                raw: bytes | None = device.read(place + start, n)
            except Unreadable:
                raw = None
            for at in range(0, n, size):
                yield number, raw[at : at + size] if raw is not None else _read(device, place + start + at, size)
                number += 1


def _read(device: Device, place: int, size: int) -> bytes | None:
    try:
        return device.read(place, size)
    except Unreadable:
        return None
