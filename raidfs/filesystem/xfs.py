"""Reads XFS, versions 4 and 5, as far as a copy needs it.

Own code for the reasons that `raidfs.filesystem.ext` has; besides, the library that was compared gave places of data
that were wrong in all but the first allocation group. The log is not replayed: what that means is said elsewhere.

Every number that is read is checked before it is used, and so are the checksums of version 5.
"""

from __future__ import annotations

import stat
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.filesystem import xfs_inode
from raidfs.filesystem.entry import UNKNOWN, Attributes, Contents, Device, Name, Names, Run, Usage
from raidfs.filesystem.xfs_inode import Fork, Inode, parse_inode, runs_of
from raidfs.filesystem.xfs_names import NAMES_END, block_names, short_names, torn_names
from raidfs.filesystem.xfs_super import check_place, checked, read_super
from raidfs.filesystem.xfs_xattrs import short_xattrs, tree_xattrs
from raidfs.units import SECTOR

_LONGEST_TARGET = 1024
_TARGET_HEAD = 56
_LONGEST_PART = 1 << 17
_ADDRESSES = {b"XDD3": 8, b"XDB3": 8, b"XSLM": 40, b"XARM": 40}
"""Where blocks say where they lie, by their first bytes: of directories, targets of links, values."""
_TREE_ADDRESS = 16
"""The same of leaves and nodes."""
_MOST_RECENT = 1024
_FEW = 8
"""Inodes up to which it is as fast to check one after the other."""
_EVERYTHING = 1 << 51


class XfsReader:
    """A `Reader` of XFS."""

    def __init__(self, device: Device) -> None:
        """Read the superblock of `device`.

        Raises:
            Unreadable: there is no file system that can be read.
        """
        self._device = device
        self._super = read_super(device)
        self.root = self._super.root
        self._recent: OrderedDict[int, Inode] = OrderedDict()

    def usage(self) -> Usage:
        """Return what the superblock says."""
        return self._super.usage

    def names(self, inode: int) -> Names:
        """List a directory, block by block."""
        found = self._inode(inode)
        if not stat.S_ISDIR(found.attributes.mode):
            raise Damaged(f"inode {inode} is no directory")
        if found.data.format == xfs_inode.LOCAL:
            return Names(tuple(short_names(found.data.raw[: found.attributes.size], self._super)))
        entries: list[Name] = []
        lost, size = 0, self._super.directory_size
        runs = self._runs(found.data, NAMES_END // self._super.block_size)
        end = max((run.start + run.length for run in runs if run.place != UNKNOWN), default=0)
        # where the map is lost the directory's own size tells how far names may go
        unknown = any(run.place == UNKNOWN for run in runs)
        for at in range(0, max(end, found.attributes.size if unknown else 0), size):
            try:
                raw = self._mapped(runs, at, size)
                names, bad = block_names(raw, self._super) if raw else ([], 0)
            except Lost:
                names, bad = torn_names(*self._torn(runs, at), self._super)
            except Unreadable:
                names, bad = [], size
            entries += names
            lost += bad
        return Names(tuple(entries), lost)

    def expect(self, inodes: Sequence[int]) -> None:
        """Read inodes that will be asked for, and check all their checksums at once: that is much faster."""
        if self._super.version != 5 or len(inodes) < _FEW:
            return
        raws: dict[int, bytes] = {}
        for number in inodes[: _MOST_RECENT // 2]:
            if number not in self._recent:
                with suppress(Unreadable):
                    raws[number] = self._raw(number)
        for (number, raw), is_right in zip(raws.items(), xfs_inode.are_right(list(raws.values())), strict=True):
            if is_right:
                with suppress(Unreadable):
                    self._remember(number, parse_inode(number, raw, self._super))

    def attributes(self, inode: int) -> Attributes:
        """Return the attributes of an inode."""
        return self._inode(inode).attributes

    def contents(self, inode: int) -> Contents:
        """Return where the bytes of a file lie."""
        found = self._inode(inode)
        if found.is_realtime:
            raise Damaged(f"the data of inode {inode} lie on a realtime device")
        if found.data.format == xfs_inode.LOCAL:
            return Contents(inline=found.data.raw[: found.attributes.size])
        return Contents(self._runs(found.data, -(-found.attributes.size // self._super.block_size)))

    def target(self, inode: int) -> bytes:
        """Return where a symbolic link leads."""
        found = self._inode(inode)
        size = found.attributes.size
        if not stat.S_ISLNK(found.attributes.mode) or not 0 < size <= _LONGEST_TARGET:
            raise Damaged(f"inode {inode} is no symbolic link, or a link without a target")
        if found.data.format == xfs_inode.LOCAL:
            return found.data.raw[:size]
        runs = self._runs(found.data, _EVERYTHING)
        target = b""
        for start, length, place in runs:
            if len(target) >= size:
                break
            # blocks that lie together have one head and one checksum
            raw = self._mapped(runs, start, length) if place != UNKNOWN and length <= _LONGEST_PART else None
            if raw is None or (self._super.version == 5 and raw[:4] != b"XSLM"):
                raise Damaged(f"the target of inode {inode} is not where it should be")
            if self._super.version == 5:
                raw = checked(raw, 12, "the target of a symbolic link")[_TARGET_HEAD:]
            target += raw
        if len(target) < size:
            raise Damaged(f"the target of inode {inode} is cut off")
        return target[:size]

    def xattrs(self, inode: int) -> Mapping[bytes, bytes]:
        """Return the extended attributes."""
        fork = self._inode(inode).extended
        if fork is None:
            return {}
        if fork.format == xfs_inode.LOCAL:
            return short_xattrs(fork.raw)
        if fork.format == xfs_inode.EXTENTS and not fork.n_extents:
            return {}
        runs = self._runs(fork, _EVERYTHING)

        def read(block: int) -> bytes:
            raw = self._mapped(runs, block * self._super.block_size, self._super.block_size)
            if raw is None:
                raise Damaged("a block of extended attributes is missing")
            return raw

        return tree_xattrs(self._super, read)

    def read(self, inode: int, offset: int, length: int) -> bytes:
        """Refuse: all contents can be mapped."""
        raise Damaged(f"inode {inode} is not read through the reader")

    def _inode(self, number: int) -> Inode:
        """Return an inode; the last ones are kept, for each is asked for several times."""
        found = self._recent.get(number)
        if found is None:
            raw = self._raw(number)
            if self._super.version == 5:
                xfs_inode.check_inode(number, raw)
            found = parse_inode(number, raw, self._super)
            self._remember(number, found)
        return found

    def _raw(self, number: int) -> bytes:
        """Read an inode; its checksum is not looked at."""
        return self._device.read(self._super.place_of_inode(number), self._super.inode_size)

    def _remember(self, number: int, inode: Inode) -> None:
        self._recent[number] = inode
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)

    def _runs(self, fork: Fork, stop: int) -> tuple[Run, ...]:
        try:
            return runs_of(fork, self._super, self._device.read, stop)
        except struct.error as error:
            raise Damaged("a fork is cut off") from error

    def _torn(self, runs: tuple[Run, ...], at: int) -> tuple[bytes, frozenset[int]]:
        """Return a block of a directory of which sectors are lost, and their numbers: all, if it belongs elsewhere."""
        size, gone = self._super.directory_size, []
        raw = bytearray(size)
        for number, start in enumerate(range(0, size, SECTOR)):
            sector = b""
            with suppress(Unreadable):
                sector = self._part(runs, at + start, SECTOR)
            if sector:
                raw[start : start + SECTOR] = sector
            else:
                gone.append(number)
        try:
            if 0 not in gone:
                self._check_place(bytes(raw), runs, at)
        except Unreadable:
            return bytes(size), frozenset(range(size // SECTOR))
        return bytes(raw), frozenset(gone)

    def _mapped(self, runs: tuple[Run, ...], at: int, length: int) -> bytes | None:
        """Return a block of a fork; None: there is none. Since version 5 each says where it lies."""
        raw = self._part(runs, at, length)
        if raw:
            self._check_place(raw, runs, at)
        return raw or None

    def _check_place(self, raw: bytes, runs: tuple[Run, ...], at: int) -> None:
        if self._super.version == 5:
            place = next(place + at - start for start, n, place in runs if start <= at < start + n)
            check_place(raw, _ADDRESSES.get(raw[:4], _TREE_ADDRESS), place)

    def _part(self, runs: tuple[Run, ...], at: int, length: int) -> bytes:
        """Return bytes of a fork, or nothing where there are none."""
        parts, end = [], at + length
        for start, n, place in runs:
            if start + n > at and start < end:
                begin, stop = max(start, at), min(start + n, end)
                if place == UNKNOWN:
                    raise Damaged("where this lies is told by a block that is lost")
                parts.append(self._device.read(place + begin - start, stop - begin))
        raw = b"".join(parts)
        if raw and len(raw) != length:
            raise Damaged("a block is there in part only")
        return raw
