"""Reads btrfs by its trees; everything is shown from the top-level subvolume on.

What the file system holds is told by the items of its trees (`raidfs.filesystem.btrfs_tree`), which it has in checked
blocks with second copies (`raidfs.filesystem.btrfs_volume`). Of what is compressed only the parts are decoded that
somebody wants. The log tree is not replayed: what was synced last is as it was at the commit before.
"""

from __future__ import annotations

import contextlib
import stat
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dissect.btrfs.exceptions import Error
from dissect.btrfs.stream import decode_extent

from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.filesystem.btrfs_tree import Gap, Item, Pointer, Tree
from raidfs.filesystem.btrfs_volume import Volume
from raidfs.filesystem.entry import UNKNOWN, Attributes, Contents, Device, Name, Names, Packed, Run, Twin, Usage

_TOP = 5
_SHIFT = 32
"""An inode here is a subvolume and an inode in it."""
_INSIDE = (1 << _SHIFT) - 1
_EMPTY = 2
"""Inode of the empty directory that stands in a snapshot where a subvolume was (`BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`)."""
_FIRST_FREE = 256
_INODE_ITEM, _XATTR_ITEM, _DIR_ITEM, _DIR_INDEX, _EXTENT_DATA, _ROOT_ITEM, _ROOT_REF = 1, 24, 84, 96, 108, 132, 156
"""Kinds of items (`btrfs_tree.h: BTRFS_*_KEY`)."""
_INODE = struct.Struct("<16xQQ8xIIIIQ48xqIqIqI12x")
"""`struct btrfs_inode_item`: size, bytes; links, uid, gid, mode; device; times of access, change, modification."""
_ROOT = struct.Struct("<160xQQQ54xB")
"""`struct btrfs_root_item`: generation, root directory, address; level."""
_ENTRY = struct.Struct("<QB8x8xHHB")
"""`struct btrfs_dir_item`: object and kind of the key that it leads to; lengths of data and name, type."""
_EXTENT, _PLACE = struct.Struct("<8xQB3xB"), struct.Struct("<QQQQ")
"""`struct btrfs_file_extent_item`: size when decoded, compression, kind; address, size on disk, offset, length."""
_REGULAR, _PREALLOCATED, _INLINE, _GAP = 1, 2, 0, -1
_COMPRESSIONS = range(1, 4)
_LARGEST_EXTENT = 128 << 10
_LARGEST_INLINE = 1 << 20
"""More than any block of a tree has room for, and than the kernel lets a file grow that lies in one [bytes]."""
_MOST_TREES = 64
_FAULTS = (Error, LookupError, ValueError, TypeError, EOFError, OverflowError, ArithmeticError, OSError)
"""What the library raises about superblocks and chunks that make no sense."""


class _Extent(NamedTuple):
    """Bytes of a file: [at, at + length), from `offset` on in what `size` bytes at an address are when decoded."""

    at: int
    length: int
    kind: int
    compression: int = 0
    decoded: int = 0
    address: int = 0
    size: int = 0
    offset: int = 0
    inline: bytes = b""


class BtrfsReader:
    """A `Reader` of btrfs, `InParts`."""

    def __init__(self, device: Device) -> None:
        """Open the file system on `device`.

        Raises:
            Unreadable: it cannot be.
        """
        try:
            self._volume = Volume(device)
        except _FAULTS as error:
            raise Damaged(f"the file system cannot be opened: {error}") from error
        if self._volume.sector_size <= 0:
            raise Damaged("the file system cannot be opened: its sectors have no size")
        self._trees: dict[int, tuple[Tree, int]] = {}
        self._decoded: tuple[tuple[int, int], bytes] = ((0, 0), b"")
        self.root = _TOP << _SHIFT | self._subvolume(_TOP)[1]

    def usage(self) -> Usage:
        """Return what the superblock says."""
        told, size = self._volume.sb, self._volume.sector_size
        return Usage(size, told.total_bytes // size, (told.total_bytes - told.bytes_used) // size, 0, 0)

    def names(self, inode: int) -> Names:
        """List a directory in the order in which its entries were made.

        Each name is there twice, by its number (`DIR_INDEX`) and by its hash (`DIR_ITEM`): where blocks of the one
        cannot be read, the other tells what is in them.
        """
        if inode & _INSIDE == _EMPTY:
            return Names(())
        found, gaps = self._names_of(inode, _DIR_INDEX)
        if gaps:
            others, other_gaps = self._names_of(inode, _DIR_ITEM)
            found = {**found, **{name: entry for name, entry in others.items() if name not in found}}
            if not other_gaps or self._are_all(inode, found):
                gaps = []
        if gaps and not found:
            raise gaps[0].why
        return Names(tuple(found.values()), len(gaps) * int(self._volume.node_size))

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an inode."""
        if inode & _INSIDE == _EMPTY:
            return Attributes(inode, stat.S_IFDIR | 0o755, 1, 0, 0, (0, 0), 0, 0, 0, 0, 0)
        data = self._tree(inode).find((inode & _INSIDE, _INODE_ITEM, 0))
        if data is None or len(data) < _INODE.size:
            raise Damaged(f"inode {inode & _INSIDE} is not there")
        size, taken, n_links, uid, gid, mode, rdev, *times = _INODE.unpack_from(data)
        accessed, changed, modified = (times[at] * 1_000_000_000 + times[at + 1] for at in (0, 2, 4))
        device = (rdev >> 20 & 0xFFF, rdev & 0xFFFFF) if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else (0, 0)
        unit = int(self._volume.sector_size)
        allocated = -(-taken // unit) * unit
        mode &= 0xFFFF
        return Attributes(inode, mode, n_links, uid, gid, device, size, allocated, accessed, modified, changed)

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie."""
        return self.part(inode, 0, 1 << 62)[0]

    def part(self, inode: int, start: int, most: int) -> tuple[Contents, int | None]:
        """Return where the bytes of a file lie from `start` on; see `InParts`."""
        runs: list[Run] = []
        packed: list[Packed] = []
        twins: list[Twin] = []
        for number, each in enumerate(self._extents(inode, start)):
            if number >= most:
                return Contents(tuple(runs), None, bool(packed), tuple(packed), tuple(twins)), each.at
            if each.kind == _INLINE:
                size = self.attributes(inode).size
                if size > _LARGEST_INLINE:
                    raise Damaged(f"inode {inode & _INSIDE} is too large for what lies in its metadata")
                return Contents(inline=self._inline(each)[:size].ljust(size, b"\0")), None
            if each.kind == _GAP:
                runs.append(Run(each.at, each.length, UNKNOWN))
            else:
                at, address, n = each.at, each.address, each.size
                if not each.compression:
                    address, n = address + each.offset, each.length
                if n <= 0:
                    runs.append(Run(at, each.length, UNKNOWN))
                for length, place, others in self._places(address, n):
                    twins += (Twin(place, length, other) for other in others)
                    if each.compression:
                        packed.append(Packed(at, each.length, place, length))
                    else:
                        runs.append(Run(at, length, place))
                        at += length
        return Contents(tuple(runs), None, bool(packed), tuple(packed), tuple(twins)), None

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        contents = self.contents(inode)
        if contents.inline is None:
            raise Damaged(f"inode {inode & _INSIDE} is no symbolic link")
        return contents.inline

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the extended attributes."""
        number = inode & _INSIDE
        items = self._tree(inode).items((number, _XATTR_ITEM, 0), (number, _XATTR_ITEM + 1, 0))
        # several may share an item, where their names have one hash
        return {each.name: each.data for item in items for each in _entries(item)}

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return bytes of a file."""
        out = bytearray(length)
        for each in self._extents(inode, offset):
            if each.at >= offset + length:
                break
            if each.kind == _INLINE:
                return self._inline(each)[offset : offset + length].ljust(length, b"\0")
            start, stop = max(each.at, offset), min(each.at + each.length, offset + length)
            if start >= stop:
                continue
            if each.kind == _GAP:
                raise Lost(f"nobody knows where byte {start} of inode {inode & _INSIDE} lies")
            out[start - offset : stop - offset] = self._part(each, start - each.at + each.offset, stop - start)
        return bytes(out)

    # ------------------------------------------------------------------------------------------------------------------

    def _subvolume(self, number: int) -> tuple[Tree, int]:
        """Return the tree of a subvolume, and its root directory; the last ones are kept."""
        found = self._trees.get(number)
        if found is None:
            items = self._volume.roots.items((number, _ROOT_ITEM, 0), (number, _ROOT_ITEM + 1, 0))
            data = max(items, default=Item((0, 0, 0), b"")).data
            if len(data) < _ROOT.size:
                raise Damaged(f"subvolume {number} is not there")
            generation, directory, address, level = _ROOT.unpack_from(data)
            if len(self._trees) >= _MOST_TREES:
                self._trees.clear()
            found = self._trees[number] = Tree(self._volume.blocks, Pointer(address, generation, level)), directory
        return found

    def _tree(self, inode: int) -> Tree:
        return self._subvolume(inode >> _SHIFT)[0]

    def _names_of(self, inode: int, kind: int) -> tuple[dict[bytes, Name], list[Gap]]:
        """Return what the items of one kind name, and which of them cannot be read."""
        found: dict[bytes, Name] = {}
        gaps = []
        number = inode & _INSIDE
        for item in self._tree(inode).walk((number, kind, 0), (number, kind + 1, 0)):
            if isinstance(item, Gap):
                gaps.append(item)
                continue
            for each in _entries(item):
                target = self._inode_of(inode >> _SHIFT, each)
                if target is None:
                    raise Damaged(f"directory {number} has an entry of an unknown kind")
                found[each.name] = Name(each.name, target, _TYPES.get(each.type, 0))
        return found, gaps

    def _inode_of(self, subvolume: int, entry: _Entry) -> int | None:
        """Return where an entry of a directory leads."""
        if entry.kind == _INODE_ITEM:
            return subvolume << _SHIFT | entry.object
        if entry.kind != _ROOT_ITEM:
            return None
        if not self._lies_in(subvolume, entry.object):
            return subvolume << _SHIFT | _EMPTY
        try:
            return entry.object << _SHIFT | self._subvolume(entry.object)[1]
        except Unreadable:
            return entry.object << _SHIFT | _FIRST_FREE  # it cannot be read either, and says why

    def _are_all(self, inode: int, found: Mapping[bytes, Name]) -> bool:
        """Tell whether these are all the names of a directory: its size counts the bytes of each of them twice."""
        try:
            return self.attributes(inode).size == 2 * sum(map(len, found))
        except Unreadable:
            return False

    def _lies_in(self, parent: int, subvolume: int) -> bool:
        """Tell whether a subvolume lies in another, not in what that is a snapshot of (`btrfs_lookup_dentry`)."""
        try:
            return self._volume.roots.find((parent, _ROOT_REF, subvolume)) is not None
        except Unreadable:
            return True

    def _extents(self, inode: int, start: int) -> Iterator[_Extent]:
        """Yield what a file is made of, from the extent that covers `start` on; holes are left out."""
        number, tree = inode & _INSIDE, self._tree(inode)
        first = (number, _EXTENT_DATA, start)
        if start:
            with contextlib.suppress(Unreadable):  # then it is in the gap that comes first
                first = max((number, _EXTENT_DATA, 0), tree.last_until(first) or first)
        for each in tree.walk(first, (number, _EXTENT_DATA + 1, 0)):
            if isinstance(each, Gap):
                end = each.stop[2] if each.stop[1] == _EXTENT_DATA else (1 << 63) - 1
                yield _Extent(each.start[2], end - each.start[2], _GAP)
                continue
            data, at = each.data, each.key[2]
            if len(data) < _EXTENT.size:
                raise Damaged(f"an extent of inode {number} is cut off")
            decoded, compression, kind = _EXTENT.unpack_from(data)
            if kind == _INLINE:
                yield _Extent(0, decoded, _INLINE, compression, decoded, inline=data[_EXTENT.size :])
                continue
            if len(data) < _EXTENT.size + _PLACE.size:
                raise Damaged(f"an extent of inode {number} is cut off")
            address, size, offset, length = _PLACE.unpack_from(data, _EXTENT.size)
            if kind != _PREALLOCATED and address:
                yield _Extent(at, length, kind, compression, decoded, address, size, offset)

    def _places(self, address: int, length: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Yield (number of bytes, where on the device they lie, where else) of some bytes."""
        try:
            for each in self._volume.stretches(address, length):
                yield each.length, each.places[0] if each.places else UNKNOWN, each.places[1:]
                address, length = address + each.length, length - each.length
        except Damaged:
            yield length, UNKNOWN, ()

    def _inline(self, extent: _Extent) -> bytes:
        return _whole(self._decompressed(extent.inline, extent.compression), extent.decoded)

    def _part(self, extent: _Extent, inside: int, length: int) -> bytes:
        """Return bytes of what an extent holds; the last one that was decoded is kept."""
        address, size = extent.address, extent.size
        if not extent.compression:
            return next(self._volume.copies(address + inside, length))
        if self._decoded[0] != (address, size):
            if size > _LARGEST_EXTENT * 2:
                raise Damaged(f"a compressed extent at {address} is too large")
            self._decoded = ((address, size), self._decode(extent))
        return self._decoded[1][inside : inside + length].ljust(length, b"\0")

    def _decode(self, extent: _Extent) -> bytes:
        """Return what the first copy of a compressed extent holds that can be read and decoded."""
        # what was compressed may have ended within the last sector, and is counted in whole ones
        least = extent.decoded - int(self._volume.sector_size) + 1
        why = Damaged(f"a compressed extent at {extent.address} cannot be had")
        for raw in self._volume.copies(extent.address, extent.size):
            try:
                return _whole(self._decompressed(raw, extent.compression), least)
            except Damaged as error:
                why = error
        raise why

    def _decompressed(self, raw: bytes, how: int) -> bytes:
        if not how:
            return raw
        if how not in _COMPRESSIONS:
            raise Damaged(f"an extent is compressed in an unknown way ({how})")
        try:
            return bytes(decode_extent(raw, how, 0, self._volume.sector_size))
        except Exception as error:
            # each compressor has errors of its own
            raise Damaged(f"a compressed extent cannot be decoded: {error}") from error


class _Entry(NamedTuple):
    """An entry of a directory, or an extended attribute."""

    object: int
    kind: int
    type: int
    name: bytes
    data: bytes


def _entries(item: Item) -> Iterator[_Entry]:
    """Yield the entries in an item; raises `Damaged`."""
    raw = item.data
    while len(raw) >= _ENTRY.size:
        target, kind, n_data, n_name, type_ = _ENTRY.unpack_from(raw)
        end = _ENTRY.size + n_name + n_data
        if end > len(raw):
            raise Damaged(f"an entry or extended attribute of inode {item.key[0]} is cut off")
        yield _Entry(target, kind, type_, raw[_ENTRY.size : _ENTRY.size + n_name], raw[_ENTRY.size + n_name : end])
        raw = raw[end:]


def _whole(data: bytes, least: int) -> bytes:
    """Return what was decoded; too little of it must not become zeros.

    Raises:
        Damaged: it is shorter than `least`.
    """
    if len(data) < least:
        raise Damaged(f"an extent holds {len(data)} bytes and should hold {least} at least")
    return data


_TYPES = {
    1: stat.S_IFREG,
    2: stat.S_IFDIR,
    3: stat.S_IFCHR,
    4: stat.S_IFBLK,
    5: stat.S_IFIFO,
    6: stat.S_IFSOCK,
    7: stat.S_IFLNK,
}
