"""Reads ext2, ext3 and ext4, as far as a copy needs it: names, attributes, maps of blocks, extended attributes.

Own code, for what raidfs promises no library gave when this was written (compared with the kernel, see
docs/filesystems.md): names that are not UTF-8 or 255 bytes long, files over 4 GiB on ext3, data in inodes, all extended
attributes, large device numbers, and that a wrong checksum is not passed over. What a lost block hides is told as
lost, never as absent.

Every number that is read is checked before it is used; nothing recurses deeper than its format allows.
"""

from __future__ import annotations

import stat
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from raidfs.errors import Damaged, Unreadable
from raidfs.filesystem import ext_inode, ext_xattrs
from raidfs.filesystem.entry import UNKNOWN, Attributes, Contents, Device, Names, Run, Usage
from raidfs.filesystem.ext_inode import Inode, are_right, parse_inode
from raidfs.filesystem.ext_map import Space, extent_runs, listed_runs
from raidfs.filesystem.ext_names import Dialect, is_right, parse_names
from raidfs.filesystem.ext_super import inode_table, read_super
from raidfs.superblock.crc32c import crc32c

_INLINE = b"system.data"
_LONGEST_TARGET = 4096
_LARGEST_VALUE = 1 << 16
_MOST_TABLES = 4096
_MOST_RECENT = 1024
_EXTENT_HEADER = 12
_SECTOR = 512


class ExtReader:
    """A `Reader` of ext2, ext3 and ext4."""

    root = 2

    def __init__(self, device: Device) -> None:
        """Read the superblock of `device`.

        Raises:
            Unreadable: there is no file system that can be read.
        """
        self._device = device
        self._super = read_super(device)
        self._tables: dict[int, int] = {}
        self._recent: OrderedDict[int, Inode] = OrderedDict()

    def usage(self) -> Usage:
        """Return what the superblock says."""
        return self._super.usage

    def names(self, inode: int) -> Names:
        """List a directory, block by block."""
        found = self._inode(inode)
        if not stat.S_ISDIR(found.attributes.mode):
            raise Damaged(f"inode {inode} is no directory")
        dialect = Dialect(self._super.has_types, bool(found.flags & ext_inode.ENCRYPTED))
        if found.flags & ext_inode.INLINE_DATA:
            head, head_bad = parse_names(found.block[4:], dialect)
            more, more_bad = parse_names(self._inline_rest(found), dialect)
            return Names((*head, *more), head_bad + more_bad)
        entries, size = [], self._super.block_size
        runs = self._runs(found)
        # a directory of ext has no holes: what no extent covers was told by one that is gone
        lost = max(0, found.attributes.size - sum(run.length for run in runs))
        for run in runs:
            for at in range(0, run.length, size):
                is_first = run.start + at == 0
                block = self._directory_block(found, run.place + at, is_first) if run.place != UNKNOWN else None
                if block is None:
                    # what comes before the first lost sector can be read one name after the other
                    block = self._up_to_loss(run.place + at) if run.place != UNKNOWN else b""
                names, bad = parse_names(block, dialect)
                entries += names
                lost += bad + size - len(block)
        return Names(tuple(entries), lost)

    def expect(self, inodes: Sequence[int]) -> None:
        """Read inodes that will be asked for, and check all their checksums at once: that is much faster."""
        told = self._super
        if told.seed is None:
            return
        raws: list[tuple[int, bytes]] = []
        for number in inodes[: _MOST_RECENT // 2]:
            if number not in self._recent:
                with suppress(Unreadable):
                    raws.append((number, self._raw(number)))
        for (number, raw), has_right_sum in zip(raws, are_right(told.seed, raws), strict=True):
            if has_right_sum:
                with suppress(Unreadable):
                    self._remember(number, parse_inode(number, raw, told.block_size, large_dir=told.large_dir))

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an inode."""
        found = self._inode(inode)
        if found.flags & ext_inode.INLINE_DATA:
            told = found.attributes
            # as the kernel tells it (`ext4_file_getattr`)
            inside = 0 if stat.S_ISDIR(told.mode) else -(-told.size // 512) * 512
            return replace(told, allocated=told.allocated + inside)
        return found.attributes

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie."""
        found = self._inode(inode)
        if found.flags & ext_inode.ENCRYPTED:
            raise Damaged(f"inode {inode} is encrypted")
        if found.flags & ext_inode.INLINE_DATA:
            return Contents(inline=self._inline(found))
        return Contents(self._runs(found))

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        found = self._inode(inode)
        size = found.attributes.size
        if not stat.S_ISLNK(found.attributes.mode) or not 0 < size <= _LONGEST_TARGET:
            raise Damaged(f"inode {inode} is no symbolic link, or a link without a target")
        if found.flags & ext_inode.ENCRYPTED:
            raise Damaged(f"inode {inode} is encrypted")
        if found.flags & ext_inode.INLINE_DATA:
            return self._inline(found)
        if size < len(found.block) and not found.flags & ext_inode.EXTENTS:
            return found.block[:size]
        return self._bytes(found, size)

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the extended attributes."""
        found = self._all_xattrs(self._inode(inode))
        found.pop(_INLINE, None)
        return found

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Refuse: all contents can be mapped."""
        raise Damaged(f"inode {inode} is not read through the reader")

    # ----------------------------------------------------------------------------------------------------------- inodes

    def _inode(self, number: int) -> Inode:
        """Return an inode; the last ones are kept, for each is asked for several times."""
        found = self._recent.get(number)
        if found is None:
            told, raw = self._super, self._raw(number)
            if told.seed is not None and not are_right(told.seed, [(number, raw)])[0]:
                raise Damaged(f"the checksum of inode {number} is wrong")
            found = parse_inode(number, raw, told.block_size, large_dir=told.large_dir)
            self._remember(number, found)
        return found

    def _remember(self, number: int, inode: Inode) -> None:
        self._recent[number] = inode
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)

    def _raw(self, number: int) -> bytes:
        """Read an inode; its checksum is not looked at."""
        told = self._super
        if not 0 < number <= told.n_inodes:
            raise Damaged(f"there is no inode {number}")
        group, index = divmod(number - 1, told.inodes_per_group)
        table = self._tables.get(group)
        if table is None:
            table = inode_table(self._device, told, group)
            if len(self._tables) >= _MOST_TABLES:
                self._tables.clear()
            self._tables[group] = table
        return self._device.read(table * told.block_size + index * told.inode_size, told.inode_size)

    def _seed_of(self, inode: Inode) -> int | None:
        """Return the seed of checksums of what belongs to an inode."""
        seed = self._super.seed
        if seed is None:
            return None
        return crc32c(seed, struct.pack("<II", inode.attributes.inode, inode.generation))

    # ------------------------------------------------------------------------------------------------------------- data

    def _space(self, owner: Inode | None) -> Space:
        """Return the blocks of the file system; blocks of extents are checked to be those of `owner`."""
        told = self._super

        def read(block: int) -> bytes:
            raw = self._device.read(block * told.block_size, told.block_size)
            # reckoned here: nearly all inodes hold their extents themselves
            seed = None if owner is None else self._seed_of(owner)
            if seed is not None:
                end = _EXTENT_HEADER * (1 + struct.unpack_from("<H", raw, 4)[0])
                if end + 4 > len(raw) or crc32c(seed, raw[:end]) != struct.unpack_from("<I", raw, end)[0]:
                    raise Damaged(f"the checksum of the extents in block {block} is wrong")
            return raw

        return Space(told.block_size, told.first_block, told.n_blocks, read)

    def _runs(self, inode: Inode) -> tuple[Run, ...]:
        """Return where a file, or a directory, lies."""
        n_blocks = -(-inode.attributes.size // self._super.block_size)
        if inode.flags & ext_inode.EXTENTS:
            return extent_runs(self._space(inode), inode.block, n_blocks)
        return listed_runs(self._space(None), inode.block, n_blocks)

    def _bytes(self, inode: Inode, size: int) -> bytes:
        """Return the first bytes of a file that is metadata: a target, a value."""
        raw = bytearray(size)
        for start, length, place in self._runs(inode):
            n = min(length, size - start)
            if place == UNKNOWN:
                raise Damaged(f"where inode {inode.attributes.inode} lies cannot be told")
            if n > 0:
                raw[start : start + n] = self._device.read(place, n)
        return bytes(raw)

    def _up_to_loss(self, place: int) -> bytes:
        """Read a block of a directory up to the first sector that is lost; nothing of one that makes no sense."""
        raw = b""
        try:
            for at in range(place, place + self._super.block_size, _SECTOR):
                raw += self._device.read(at, _SECTOR)
        except Unreadable:
            return raw
        return b""

    def _directory_block(self, inode: Inode, place: int, is_first: bool) -> bytes | None:
        """Read a block of a directory; None: it is lost, or its checksum is wrong."""
        try:
            raw = self._device.read(place, self._super.block_size)
        except Unreadable:
            return None
        seed = self._seed_of(inode)
        is_root = is_first and bool(inode.flags & ext_inode.INDEX)
        return raw if seed is None or is_right(seed, raw, is_root=is_root) else None

    # ------------------------------------------------------------------------------------------------------ attributes

    def _all_xattrs(self, inode: Inode) -> dict[bytes, bytes]:
        """Return all extended attributes, also what is data in disguise."""
        found = ext_xattrs.in_inode(inode.extra, partial(self._value, inode))
        if inode.acl_block:
            block = inode.acl_block
            if not self._space(None).holds(block):
                raise Damaged(f"the extended attributes of inode {inode.attributes.inode} lie outside the file system")
            raw = self._device.read(block * self._super.block_size, self._super.block_size)
            seed = self._super.seed
            if seed is not None:
                told = struct.unpack_from("<I", raw, 16)[0]
                if crc32c(crc32c(seed, struct.pack("<Q", block)), raw[:16] + bytes(4) + raw[20:]) != told:
                    raise Damaged(f"the checksum of the extended attributes in block {block} is wrong")
            found |= ext_xattrs.in_block(raw, partial(self._value, inode))
        return found

    def _value(self, owner: Inode, inode: int, size: int) -> bytes:
        """Return a value that has an inode of its own, which keeps the checksum of it as the time of its last access.

        Those of Lustre have none, but say whose they are (`xattr.c: ext4_xattr_inode_iget`).
        """
        found = self._inode(inode)
        if not found.flags & ext_inode.EA_INODE or size > min(_LARGEST_VALUE, found.attributes.size):
            raise Damaged(f"inode {inode} is not the value of an extended attribute")
        value = self._bytes(found, size)
        told, its = found.attributes, self._super
        seed = crc32c(0xFFFFFFFF, its.uuid) if its.seed is None else its.seed
        if crc32c(seed, value) != _seconds(told.atime_ns) and (_seconds(told.mtime_ns), found.generation) != (
            owner.attributes.inode,
            owner.generation,
        ):
            raise Damaged(f"the checksum of the extended attribute in inode {inode} is wrong")
        return value

    def _inline_rest(self, inode: Inode) -> bytes:
        """Return what of the data in an inode lies among its extended attributes; there always is such a part."""
        rest = ext_xattrs.in_inode(inode.extra, partial(self._value, inode)).get(_INLINE)
        if rest is None:
            raise Damaged("the data in the inode have lost their second part")
        return rest

    def _inline(self, inode: Inode) -> bytes:
        """Return the data in an inode."""
        return (inode.block + self._inline_rest(inode)).ljust(inode.attributes.size, b"\0")[: inode.attributes.size]


def _seconds(time_ns: int) -> int:
    """Return the 32 bits in which an inode keeps the seconds of a time."""
    return time_ns // 1_000_000_000 & 0xFFFFFFFF
