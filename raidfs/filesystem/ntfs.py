"""Reads NTFS through libfsntfs: names, times, places of data; named streams as `user.` attributes, as ntfs-3g does.

Owners and permissions of NTFS are not those of Unix and are not shown. Files that ntfs-3g wrote for symbolic links and
devices are shown as such; other links and what is compressed or encrypted by Windows is told apart.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

import pyfsntfs

from raidfs.errors import Damaged
from raidfs.filesystem.entry import NO_OWNER, UNKNOWN, Attributes, Contents, Device, Name, Names, Packed, Run, Usage
from raidfs.filesystem.ntfs_records import Records
from raidfs.filesystem.stream import DeviceFile

_ROOT = 5
_FIRST_USER = 16
"""Numbers below belong to the file system's own files."""
_INDEX = (1 << 48) - 1
_EPOCH = 116444736000000000
"""1970 in the time of NTFS [100 ns since 1601]."""
_READ_ONLY, _SYSTEM, _SPARSE, _REPARSE, _COMPRESSED, _ENCRYPTED = 0x1, 0x4, 0x200, 0x400, 0x800, 0x4000
_LINK, _CHARACTER, _BLOCK = b"IntxLNK\1", b"IntxCHR\0", b"IntxBLK\0"
_DATA, _STANDARD, _FILE_NAME = 0x80, 0x10, 0x30
_DOS_ONLY = 2
_UNIT = 16
"""Clusters that are compressed together."""
_LONGEST_SPECIAL = 8 + 2 * 4096
_LARGEST_STREAM = 1 << 16


class _Stream(Protocol):
    """The part of libfsntfs's objects with extents that is used here."""

    number_of_extents: int

    def get_extent(self, index: int) -> tuple[int, int, int]:
        """Return place, length, flags; 1: sparse, 2: compressed."""


class NtfsReader:
    """A `Reader` of NTFS."""

    root = _ROOT

    def __init__(self, device: Device) -> None:
        """Open the volume on `device`.

        Raises:
            Unreadable: it cannot be.
        """
        self._volume = pyfsntfs.volume()
        self._device = device
        self._size = device.size
        try:
            self._volume.open_file_object(DeviceFile(device))
        except OSError as error:
            raise Damaged(f"the volume cannot be opened: {_said(error)}") from error

    def usage(self) -> Usage:
        """Return its size; how much is free is not counted."""
        block = self._volume.cluster_block_size
        return Usage(block, self._size // block, 0, self._volume.number_of_file_entries, 0)

    def names(self, inode: int) -> Names:
        """List a directory; an entry whose record is lost has no name any more."""
        try:
            entry = self._entry(inode)
            count = entry.number_of_sub_file_entries
        except (Damaged, OSError) as error:
            record = self._records.get(inode)
            if record is None or not record.is_directory:
                raise Damaged(f"the index of directory {inode} cannot be read: {_said(error)}") from error
            return self._names_by_record(inode, [])
        found: list[Name] = []
        is_whole = True
        for index in range(count):
            try:
                child = entry.get_sub_file_entry(index)
                number, text = child.file_reference & _INDEX, child.name
                is_directory = child.has_directory_entries_index()
            except OSError:
                is_whole = False
                continue
            if number < _FIRST_USER or not text:
                continue
            name = text.encode("utf-8", errors="surrogatepass").replace(b"/", b"_")
            found.append(Name(name, number, stat.S_IFDIR if is_directory else 0))
        return Names(tuple(found)) if is_whole else self._names_by_record(inode, found)

    def _names_by_record(self, inode: int, found: list[Name]) -> Names:
        """Add what the records of files say to what was found of an index."""
        told = {(each.name, each.inode) for each in found}
        more = [
            Name(name, number, stat.S_IFDIR if is_directory else 0)
            for number, name, is_directory in self._records.names(inode)
            if number >= _FIRST_USER and (name, number) not in told
        ]
        return Names((*found, *more), self._records.n_bad * int(self._volume.mft_entry_size))

    @cached_property
    def _records(self) -> Records:
        """All file records, for where the library cannot help."""
        try:
            table = self._volume.get_file_entry(0)
            places = [(place, length) for place, length, _ in _extents(table)]
        except OSError as error:
            raise Damaged(f"the table of file records cannot be read: {_said(error)}") from error
        return Records(self._device, places, self._volume.mft_entry_size)

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of a file."""
        try:
            entry = self._entry(inode)
        except Damaged:
            record = self._records.get(inode)
            if record is None or not record.is_directory or record.times is None:
                raise
            # the library opens no directory whose index is damaged
            times = [_time(each) for each in record.times]
            return Attributes(inode, stat.S_IFDIR | 0o755, 1, NO_OWNER, NO_OWNER, (0, 0), 0, 0, *times)
        kind, device = self._kind(entry)
        try:
            flags, size = entry.file_attribute_flags or 0, entry.size or 0
            times = [_time(read()) for read in _clocks(entry)]
            allocated = sum(length for _, length, flag in _extents(entry) if not flag & 1)
            links = self._links(entry)
        except OSError as error:
            raise Damaged(f"record {inode} cannot be read: {_said(error)}") from error
        mode = kind | (0o755 if kind == stat.S_IFDIR else 0o777 if kind == stat.S_IFLNK else 0o644)
        if flags & _READ_ONLY and kind == stat.S_IFREG:
            mode &= ~0o222
        if kind == stat.S_IFLNK:
            size = len(self.target(inode))
        elif kind not in (stat.S_IFREG, stat.S_IFDIR):
            size = 0
        return Attributes(inode, mode, links, NO_OWNER, NO_OWNER, device, size, allocated, *times)

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie; what was never written of it reads as zeros."""
        entry = self._entry(inode)
        try:
            flags, size = entry.file_attribute_flags or 0, entry.size or 0
            if flags & _ENCRYPTED:
                raise Damaged(f"file {inode} is encrypted by Windows")
            extents = _extents(entry)
            stream = self._packed_stream(entry, flags)
            if stream is not None:
                everything = (
                    Packed(0, size, place, length) for place, length, flag in _extents(stream) if not flag & 1
                )
                return Contents(through=True, packed=tuple(everything))
            if flags & _COMPRESSED or any(flag & 2 for *_, flag in extents):
                unit = _UNIT * self._volume.cluster_block_size
                return Contents(through=True, packed=_units(extents, unit, size))
            if not extents:
                return Contents(inline=entry.read_buffer_at_offset(size, 0) if size else b"")
            return Contents(_runs(extents, min(size, self._valid(entry, size))))
        except OSError as error:
            raise Damaged(f"where file {inode} lies cannot be read: {_said(error)}") from error

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        entry = self._entry(inode)
        head = self._special(entry)
        if head.startswith(_LINK):
            return _text(head[8:])
        try:
            told = entry.symbolic_link_target
        except OSError as error:
            raise Damaged(f"where link {inode} leads cannot be read: {_said(error)}") from error
        if not told:
            raise Damaged(f"file {inode} is no symbolic link")
        return bytes(told.removeprefix("\\??\\").replace("\\", "/").encode("utf-8", errors="surrogatepass"))

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the named streams that are small enough."""
        entry = self._entry(inode)
        found: dict[bytes, bytes] = {}
        try:
            for stream in entry.alternate_data_streams:
                if not stream.name or stream.size > _LARGEST_STREAM:
                    continue
                name = stream.name.encode("utf-8", errors="surrogatepass")
                whole = name.removeprefix(b"ntfs-3g.") if name.startswith(b"ntfs-3g.") else b"user." + name
                found[whole] = stream.read_buffer_at_offset(stream.size, 0) if stream.size else b""
        except OSError as error:
            raise Damaged(f"the streams of file {inode} cannot be read: {_said(error)}") from error
        return found

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return bytes of a compressed file."""
        try:
            return bytes(self._entry(inode).read_buffer_at_offset(length, offset))
        except OSError as error:
            raise Damaged(f"file {inode} cannot be read: {_said(error)}") from error

    def _entry(self, inode: int) -> Any:
        try:
            entry = self._volume.get_file_entry(inode)
            if not entry.is_allocated():
                raise Damaged(f"record {inode} is not in use")
        except (OSError, OverflowError) as error:
            raise Damaged(f"record {inode} cannot be read: {_said(error)}") from error
        return entry

    def _kind(self, entry: Any) -> tuple[int, tuple[int, int]]:
        """Return the type of a file, and the numbers of a device."""
        try:
            if entry.has_directory_entries_index():
                return stat.S_IFDIR, (0, 0)
            flags = entry.file_attribute_flags or 0
            if flags & _REPARSE and entry.symbolic_link_target:
                return stat.S_IFLNK, (0, 0)
            head = self._special(entry)
            if flags & _SYSTEM and entry.size in (0, 1):
                return (stat.S_IFSOCK if entry.size else stat.S_IFIFO), (0, 0)
        except OSError as error:
            raise Damaged(f"the type of a file cannot be read: {_said(error)}") from error
        if head.startswith(_LINK):
            return stat.S_IFLNK, (0, 0)
        if head.startswith((_CHARACTER, _BLOCK)) and len(head) == 24:
            major, minor = struct.unpack_from("<QQ", head, 8)
            return (stat.S_IFCHR if head.startswith(_CHARACTER) else stat.S_IFBLK), (major & 0xFFF, minor & 0xFFFFF)
        return stat.S_IFREG, (0, 0)

    @staticmethod
    def _special(entry: Any) -> bytes:
        """Return the contents of what may stand for a link or a device."""
        try:
            if not (entry.file_attribute_flags or 0) & _SYSTEM or not 8 < (entry.size or 0) <= _LONGEST_SPECIAL:
                return b""
            return bytes(entry.read_buffer_at_offset(entry.size, 0))
        except OSError as error:
            raise Damaged(f"a special file cannot be read: {_said(error)}") from error

    @staticmethod
    def _packed_stream(entry: Any, flags: int) -> _Stream | None:
        """Return the stream of another name in which Windows keeps a file compressed; None: it does not."""
        if not flags & _REPARSE:
            return None
        return next((each for each in entry.alternate_data_streams if each.name == "WofCompressedData"), None)

    @staticmethod
    def _valid(entry: Any, size: int) -> int:
        """Return how much of the data was ever written."""
        for attribute in entry.attributes:
            if attribute.attribute_type == _DATA and not attribute.attribute_name:
                return int(attribute.valid_data_size)
        return size

    @staticmethod
    def _links(entry: Any) -> int:
        """Return the number of names; names of 8 and 3 characters that Windows made beside longer ones are none."""
        names = []
        for index, attribute in enumerate(entry.attributes):
            if attribute.attribute_type == _FILE_NAME:
                name = entry.get_name_by_attribute_index(index) or ""
                names.append((entry.get_parent_file_reference_by_attribute_index(index), name))
        made = [name for _, name in names if "~" in name and len(name) <= 12 and name == name.upper()]
        return max(1, len(names) - (len(made) if len(made) < len(names) else 0))


def _clocks(entry: Any) -> tuple[Any, Any, Any]:
    return (
        entry.get_access_time_as_integer,
        entry.get_modification_time_as_integer,
        entry.get_entry_modification_time_as_integer,
    )


def _time(ticks: int | None) -> int:
    return (ticks - _EPOCH) * 100 if ticks else 0


def _extents(entry: _Stream) -> list[tuple[int, int, int]]:
    return [entry.get_extent(index) for index in range(entry.number_of_extents)]


def _runs(extents: list[tuple[int, int, int]], valid: int) -> tuple[Run, ...]:
    runs = []
    at = 0
    for place, length, flags in extents:
        n = min(length, valid - at)
        if n > 0 and not flags & 1:
            runs.append(Run(at, n, place))
        at += length
    if at < valid:
        runs.append(Run(at, valid - at, UNKNOWN))
    return tuple(runs)


def _text(raw: bytes) -> bytes:
    return raw.decode("utf-16-le", errors="surrogatepass").rstrip("\0").encode("utf-8", errors="surrogatepass")


def _said(error: Exception) -> str:
    """Return the first clause of what the library said, which is a whole stack of them."""
    return " ".join(str(error).split(". ")[0].split())[:200]


def _units(extents: list[tuple[int, int, int]], unit: int, size: int) -> tuple[Packed, ...]:
    """Return what each unit of a compressed file is made from; a unit that is a hole is made from nothing.

    Args:
        extents: where the file lies.
        unit: so much is compressed together [bytes].
        size: of the file [bytes].
    """
    found = []
    at = 0
    for place, length, flags in extents:
        stored = 0 if flags & 1 else length
        done = 0
        while done < stored:
            first = (at + done) // unit * unit
            n = min(first + unit - at, stored) - done
            if first < size:
                found.append(Packed(first, min(unit, size - first), place + done, n))
            done += n
        at += length
    return tuple(found)
