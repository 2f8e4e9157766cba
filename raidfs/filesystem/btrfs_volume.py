"""Opens a btrfs with dissect.btrfs: superblock, chunks, and the checked blocks of its trees from their copies.

dissect.btrfs is AGPL: it is loaded only in the process that reads a file system.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from dissect.btrfs.btrfs import Btrfs
from dissect.util.hash import crc32c  # often in native code, unlike that of raidfs

from raidfs.errors import Damaged, Lost, Unreadable
from raidfs.filesystem.btrfs_tree import Block, Blocks, Pointer, Tree, block_of
from raidfs.filesystem.entry import Device
from raidfs.filesystem.stream import DeviceFile
from raidfs.filesystem.xxh64 import xxh64

_Value = TypeVar("_Value")
_SECTOR = 512
_RAID0, _RAID10, _RAID5, _RAID6 = 1 << 3, 1 << 6, 1 << 7, 1 << 8
"""Profiles that are striped (`btrfs_tree.h: BTRFS_BLOCK_GROUP_*`); those of all others are copies."""


class Stretch(NamedTuple):
    """Bytes that lie together: how many, and where on the device each copy of them begins; nowhere: on another one."""

    length: int
    places: tuple[int, ...]


class _Absent:
    """Stands for a device that is not there, for the library opens nothing without it."""

    def seek(self, _offset: int, _whence: int = 0) -> int:
        """Go nowhere."""
        return 0

    def read(self, _size: int = -1) -> bytes:
        """Fail."""
        raise Lost("that lies on a device of the file system that is not there")


class _Devices(dict[int, Any]):
    """Devices by their number, each of which there is."""

    def get(self, number: int, _default: Any = None) -> Any:
        """Return a device."""
        return super().get(number, _ABSENT)


_ABSENT = _Absent()


class Volume(Btrfs):  # type: ignore[misc]  # the library has no types
    """A file system on one device, or what one of its devices holds of it."""

    devices: dict[int, Any]

    def __init__(self, device: Device) -> None:
        """Read superblock and chunks; raises `Unreadable`, and whatever the library does."""
        self._device = device
        self.blocks = Blocks(self._block)
        super().__init__(DeviceFile(device))
        sb = self.sb
        self.roots = Tree(self.blocks, Pointer(int(sb.root), int(sb.generation), int(sb.root_level)))

    def _initialize_chunks(self) -> None:
        """Find chunks, those on other devices, too."""
        self.devices = _Devices(self.devices)
        super()._initialize_chunks()

    def _open_default_subvolume(self) -> Any:
        """Open none: it is of no use here, and may be lost."""
        return self.fs_tree

    def stretches(self, address: int, length: int) -> Iterator[Stretch]:
        """Yield where bytes lie on the device."""
        while length > 0:
            index = bisect_right(self._logical_fh.chunks, address, key=lambda chunk: int(chunk.offset)) - 1
            chunk = self._logical_fh.chunks[index] if index >= 0 else None
            if chunk is None or address >= chunk.offset + chunk.length:
                raise Damaged(f"nothing is at address {address}")
            inside = address - int(chunk.offset)
            found = _stretch(chunk, inside, min(length, int(chunk.length) - inside), int(self.sb.dev_item.devid))
            yield found
            address, length = address + found.length, length - found.length

    def copies(self, address: int, length: int) -> Iterator[bytes]:
        """Yield those copies of some bytes that can be read, or else one of what can be read of each.

        Raises:
            Unreadable: there is none.
        """
        stretches = list(self.stretches(address, length))
        why: Unreadable = Lost(f"what is at address {address} lies on a device of the file system that is not there")
        n_read = 0
        n_copies = min((len(each.places) for each in stretches), default=0)
        for number in range(n_copies):
            try:
                yield b"".join(self._device.read(each.places[number], each.length) for each in stretches)
                n_read += 1
            except Unreadable as error:
                why = error
        if not n_read:
            if n_copies < 2:
                raise why
            yield b"".join(self._mixed(each) for each in stretches)

    def _mixed(self, stretch: Stretch) -> bytes:
        """Return bytes of which each sector is read from the first copy that has it."""
        out = bytearray()
        while len(out) < stretch.length:
            n = min(_SECTOR, stretch.length - len(out))
            why: Unreadable | None = None
            for place in stretch.places:
                try:
                    out += self._device.read(place + len(out), n)
                    break
                except Unreadable as error:
                    why = error
            else:
                raise why or Lost("there is no copy")
        return bytes(out)

    def _block(self, pointer: Pointer) -> Block:
        """Return a block of a tree from the first copy that can be read and is right."""
        return self._first_right(pointer.address, lambda raw: block_of(raw, pointer))

    def _read_node(self, address: int) -> bytes:
        """Return a block of a tree for the library, which knows nothing of what it should be."""
        return self._first_right(address, lambda raw: raw)

    def _first_right(self, address: int, understood: Callable[[bytes], _Value]) -> _Value:
        """Return the first copy of a block of a tree that can be read, is right and is understood."""
        why = Damaged(f"the block of a tree at {address} cannot be had")
        for raw in self.copies(address, self.node_size):
            try:
                self._check(raw, address)
                return understood(raw)
            except Damaged as error:
                why = error
        raise why

    def _check(self, raw: bytes, address: int) -> None:
        """Raise `Damaged` where a block is of another place, or has not the checksum that it begins with."""
        if int.from_bytes(raw[48:56], "little") != address:
            raise Damaged(f"the block of a tree at {address} is one that belongs elsewhere")
        sum_of = _SUMS.get(self.sb.csum_type)
        told = sum_of(raw[32:]) if sum_of else b""
        if raw[: len(told)] != told:
            raise Damaged(f"the checksum of the block of a tree at {address} is wrong")


def _stretch(chunk: Any, inside: int, length: int, device: int) -> Stretch:
    """Return where bytes of a chunk lie on one device, up to where they go on elsewhere (`btrfs_map_block`)."""
    profile, step, stripes = int(chunk.type), int(chunk.stripe_length), chunk.stripes
    at, holders = inside, stripes
    if profile & (_RAID0 | _RAID10 | _RAID5 | _RAID6):
        n_copies = int(chunk.sub_stripes) if profile & _RAID10 else 1
        n_parts = int(chunk.data_stripes) if profile & (_RAID5 | _RAID6) else len(stripes) // max(1, n_copies)
        if step <= 0 or n_parts <= 0 or n_copies <= 0:
            raise Damaged(f"the chunk at address {chunk.offset} makes no sense")
        number, within = divmod(inside, step)
        row, part = divmod(number, n_parts)
        first = (row + part) % len(stripes) if profile & (_RAID5 | _RAID6) else part * n_copies
        at, holders = row * step + within, stripes[first : first + n_copies]
        length = min(length, step - within)
    return Stretch(length, tuple(int(stripe.offset) + at for stripe in holders if stripe.devid == device))


_SUMS: dict[int, Callable[[bytes], bytes]] = {
    0: lambda raw: crc32c.crc32c(raw).to_bytes(4, "little"),
    1: xxh64,
    2: lambda raw: hashlib.sha256(raw).digest(),
    3: lambda raw: hashlib.blake2b(raw, digest_size=32).digest(),
}
"""Checksums by their number in the superblock (`btrfs_tree.h: enum btrfs_csum_type`)."""
