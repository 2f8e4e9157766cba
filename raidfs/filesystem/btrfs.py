"""Reads btrfs with the trees and structures of dissect.btrfs; everything is shown from the top-level subvolume on.

dissect.btrfs is AGPL: it is loaded in this process only, which does nothing but tell what a file system holds. What it
does not do is done here: blocks of trees are checked, and their second copies used; names, extended attributes, device
numbers and the places of data are read from the items of the trees. Of what is compressed only the parts are decoded
that somebody wants. The log tree is not replayed: what was synced last is as it was at the commit before.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dissect.btrfs.btrfs import Btrfs
from dissect.btrfs.c_btrfs import c_btrfs
from dissect.btrfs.exceptions import Error
from dissect.btrfs.stream import decode_extent

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem.entry import Attributes, Contents, Device, Name, Names, Packed, Run, Usage
from raidfs.filesystem.stream import DeviceFile
from raidfs.filesystem.xxh64 import xxh64
from raidfs.superblock.crc32c import crc32c

_TOP = 5
_SHIFT = 32
"""An inode here is a subvolume and an inode in it."""
_INSIDE = (1 << _SHIFT) - 1
_EMPTY = 2
"""Inode of the empty directory that stands in a snapshot where a subvolume was (`BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`)."""
_REGULAR, _PREALLOCATED, _INLINE = 1, 2, 0
_COMPRESSIONS = range(1, 4)
_LARGEST_EXTENT = 128 << 10
_MOST_TREES = 8
_ROOT_REF = 156
_FAULTS = (Error, LookupError, ValueError, TypeError, EOFError, OverflowError, ArithmeticError, OSError)
"""What the library raises about trees that make no sense."""


class _Volume(Btrfs):  # type: ignore[misc]  # the library has no types
    """A file system whose tree blocks are checked when they are read."""

    def __init__(self, device: Device) -> None:
        self._device = device
        super().__init__(DeviceFile(device))

    def places(self, address: int, length: int) -> list[int]:
        """Return where bytes lie on the device: one place for each copy."""
        for chunk in self._logical_fh.chunks:
            if chunk.offset <= address and address + length <= chunk.offset + chunk.length:
                profile = int(chunk.type) & 0x1F8
                if profile & ~0x30 and len(chunk.stripes) > 1:
                    raise Damaged("the file system is striped over several devices")
                # single, or copies: DUP, and RAID1 with its other devices missing
                return [stripe.offset + address - chunk.offset for stripe in chunk.stripes if stripe.fh is not None]
        raise Damaged(f"nothing is at address {address}")

    def _read_node(self, address: int) -> bytes:
        """Return a block of a tree: the first copy that can be read and has the right checksum."""
        why: Unreadable | None = None
        for place in self.places(address, self.node_size):
            try:
                raw = self._device.read(place, self.node_size)
            except Unreadable as error:
                why = why or error
                continue
            if int.from_bytes(raw[48:56], "little") != address:
                why = why or Damaged(f"the block of a tree at {address} is one that belongs elsewhere")
            elif not _is_right(raw, self.sb.csum_type):
                why = why or Damaged(f"the checksum of the block of a tree at {address} is wrong")
            else:
                return raw
        raise why or Damaged(f"nothing is at address {address}")


def _time(stamp: Any) -> int:
    """Return [ns since 1970]; the library takes the seconds for a number without a sign."""
    seconds = int(stamp.sec)
    return (seconds - (1 << 64) if seconds >= 1 << 63 else seconds) * 1_000_000_000 + int(stamp.nsec)


def _is_right(raw: bytes, kind: int) -> bool:
    """Tell whether a block of a tree has the checksum that it begins with."""
    sum_of = _SUMS.get(kind)
    if sum_of is None:
        return True
    told = sum_of(raw[32:])
    return raw[: len(told)] == told


def _crc32c(raw: bytes) -> bytes:
    return (crc32c(0xFFFFFFFF, raw) ^ 0xFFFFFFFF).to_bytes(4, "little")


_SUMS: dict[int, Callable[[bytes], bytes]] = {
    0: _crc32c,
    1: xxh64,
    2: lambda raw: hashlib.sha256(raw).digest(),
    3: lambda raw: hashlib.blake2b(raw, digest_size=32).digest(),
}
"""Checksums by their number in the superblock (`btrfs_tree.h: enum btrfs_csum_type`)."""


class BtrfsReader:
    """A `Reader` of btrfs."""

    def __init__(self, device: Device) -> None:
        """Open the file system on `device`.

        Raises:
            Unreadable: it cannot be.
        """
        self._device = device
        try:
            self._volume = _Volume(device)
            self.root = _TOP << _SHIFT | int(self._volume.open_subvolume(_TOP).tree.root_item.root_dirid)
        except _FAULTS as error:
            raise Damaged(f"the file system cannot be opened: {error}") from error
        self._trees: dict[int, Any] = {}
        self._decoded: tuple[tuple[int, int], bytes] = ((0, 0), b"")

    def usage(self) -> Usage:
        """Return what the superblock says."""
        told, size = self._volume.sb, self._volume.sector_size
        return Usage(size, told.total_bytes // size, (told.total_bytes - told.bytes_used) // size, 0, 0)

    def names(self, inode: int) -> Names:
        """List a directory in the order in which its entries were made."""
        subvolume = inode >> _SHIFT
        found: list[Name] = []
        if inode & _INSIDE == _EMPTY:
            return Names(())
        for _, data in self._items(inode, c_btrfs.BTRFS_DIR_INDEX_KEY, 2):
            entry = c_btrfs.btrfs_dir_item(data)
            name, target = bytes(entry.name), int(entry.location.objectid)
            if entry.location.type == c_btrfs.BTRFS_ROOT_ITEM_KEY:
                number = self._root_of(target) if self._lies_in(subvolume, target) else subvolume << _SHIFT | _EMPTY
            elif entry.location.type == c_btrfs.BTRFS_INODE_ITEM_KEY:
                number = subvolume << _SHIFT | target
            else:
                raise Damaged(f"directory {inode} has an entry of an unknown kind")
            found.append(Name(name, number, _TYPES.get(int(entry.type), 0)))
        return Names(tuple(found))

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an inode."""
        if inode & _INSIDE == _EMPTY:
            mode = stat.S_IFDIR | 0o755
            return Attributes(inode, mode, 1, 0, 0, (0, 0), 0, 0, 0, 0, 0)
        try:
            _, data = self._tree(inode).find(inode & _INSIDE, c_btrfs.BTRFS_INODE_ITEM_KEY)
            told = c_btrfs.btrfs_inode_item(data)
        except _FAULTS as error:
            raise Damaged(f"inode {inode & _INSIDE} cannot be read: {error}") from error
        times = (_time(each) for each in (told.atime, told.mtime, told.ctime))
        is_device = stat.S_ISCHR(told.mode) or stat.S_ISBLK(told.mode)
        device = (int(told.rdev) >> 20 & 0xFFF, int(told.rdev) & 0xFFFFF) if is_device else (0, 0)
        return Attributes(
            inode,
            int(told.mode) & 0xFFFF,
            int(told.nlink),
            int(told.uid),
            int(told.gid),
            device,
            int(told.size),
            -(-int(told.nbytes) // self._volume.sector_size) * self._volume.sector_size,
            *times,
        )

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie."""
        size = self.attributes(inode).size
        runs: list[Run] = []
        packed: list[Packed] = []
        for at, kind, extent, data in self._extents(inode):
            if kind == _INLINE:
                return Contents(inline=self._inline(extent, data)[:size].ljust(size, b"\0"))
            if kind == _PREALLOCATED or not extent.disk_bytenr:
                continue
            length, address = int(extent.num_bytes), int(extent.disk_bytenr)
            if extent.compression:
                on_disk = int(extent.disk_num_bytes)
                packed.append(Packed(at, length, self._volume.places(address, on_disk)[0], on_disk))
            else:
                runs.append(Run(at, length, self._volume.places(address + int(extent.offset), length)[0]))
        return Contents(tuple(runs), through=bool(packed), packed=tuple(packed))

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        contents = self.contents(inode)
        if contents.inline is None:
            raise Damaged(f"inode {inode & _INSIDE} is no symbolic link")
        return contents.inline

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the extended attributes."""
        found: dict[bytes, bytes] = {}
        for _, data in self._items(inode, c_btrfs.BTRFS_XATTR_ITEM_KEY, 0):
            raw = bytes(data)
            # several may share an item, where their names have one hash
            while len(raw) >= 30:
                n_data, n_name = int.from_bytes(raw[25:27], "little"), int.from_bytes(raw[27:29], "little")
                end = 30 + n_name + n_data
                if end > len(raw):
                    raise Damaged(f"an extended attribute of inode {inode & _INSIDE} is cut off")
                found[raw[30 : 30 + n_name]] = raw[30 + n_name : end]
                raw = raw[end:]
        return found

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Return bytes of a compressed file."""
        out = bytearray(length)
        for at, kind, extent, data in self._extents(inode):
            if kind == _INLINE:
                return self._inline(extent, data).ljust(offset + length, b"\0")[offset : offset + length]
            start, stop = max(at, offset), min(at + int(extent.num_bytes), offset + length)
            if kind == _PREALLOCATED or not extent.disk_bytenr or start >= stop:
                continue
            inside = start - at + int(extent.offset)
            out[start - offset : stop - offset] = self._part(extent, inside, stop - start)
        return bytes(out)

    # ------------------------------------------------------------------------------------------------------------------

    def _tree(self, inode: int) -> Any:
        """Return the tree of the subvolume of an inode; the last ones are kept, with their blocks."""
        number = inode >> _SHIFT
        tree = self._trees.get(number)
        if tree is None:
            try:
                tree = self._volume.open_subvolume(number).tree
            except _FAULTS as error:
                raise Damaged(f"subvolume {number} cannot be read: {error}") from error
            if len(self._trees) >= _MOST_TREES:
                self._trees.clear()
            self._trees[number] = tree
        return tree

    def _lies_in(self, parent: int, subvolume: int) -> bool:
        """Tell whether a subvolume lies in another, not in what that is a snapshot of (`btrfs_lookup_dentry`)."""
        try:
            self._volume._root_tree.find(parent, _ROOT_REF, subvolume)
        except KeyError:
            return False
        except (*_FAULTS, Unreadable):
            return True
        return True

    def _root_of(self, subvolume: int) -> int:
        """Return the root of a subvolume; where it cannot be read, an inode that cannot be read either."""
        try:
            return subvolume << _SHIFT | int(self._volume.open_subvolume(subvolume).tree.root_item.root_dirid)
        except (*_FAULTS, Unreadable):
            return subvolume << _SHIFT | 256

    def _items(self, inode: int, kind: int, start: int) -> Iterator[tuple[Any, memoryview]]:
        """Yield (item, its data) of one kind."""
        try:
            yield from self._tree(inode).cursor().iter(inode & _INSIDE, kind, start, ignore_offset=True)
        except _FAULTS as error:
            raise Damaged(f"the tree of inode {inode & _INSIDE} cannot be read: {error}") from error

    def _extents(self, inode: int) -> Iterator[tuple[int, int, Any, memoryview]]:
        """Yield (place in the file [bytes], kind, extent, its data)."""
        for item, data in self._items(inode, c_btrfs.BTRFS_EXTENT_DATA_KEY, 0):
            inline = c_btrfs.btrfs_file_extent_item_inline(data)
            if int(inline.type) == _INLINE:
                yield 0, _INLINE, inline, data[len(c_btrfs.btrfs_file_extent_item_inline) :]
            else:
                extent = c_btrfs.btrfs_file_extent_item_reg(data)
                yield int(item.key.offset), int(extent.type), extent, data

    def _inline(self, extent: Any, data: memoryview) -> bytes:
        return _whole(self._decompressed(bytes(data), int(extent.compression)), int(extent.ram_bytes))

    def _part(self, extent: Any, inside: int, length: int) -> bytes:
        """Return bytes of an extent; the last one that was decoded is kept."""
        address, size = int(extent.disk_bytenr), int(extent.disk_num_bytes)
        if not extent.compression:
            return self._device.read(self._volume.places(address + inside, length)[0], length)
        if self._decoded[0] != (address, size):
            if size > _LARGEST_EXTENT * 2:
                raise Damaged(f"a compressed extent at {address} is too large")
            raw = self._device.read(self._volume.places(address, size)[0], size)
            # what was compressed may have ended within the last sector, and is counted in whole ones
            least = int(extent.ram_bytes) - self._volume.sector_size + 1
            self._decoded = ((address, size), _whole(self._decompressed(raw, int(extent.compression)), least))
        return self._decoded[1][inside : inside + length].ljust(length, b"\0")

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
