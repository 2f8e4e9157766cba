"""Starts of file systems and the like, written field by field from their formats: just what tells them apart."""

from __future__ import annotations

import struct
import zlib

UUID_BYTES = bytes(range(16))
UUID_TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"
SIZE = 1 << 20


class Image(bytearray):
    """Bytes with fields at offsets."""

    def put(self, offset: int, value: bytes) -> Image:
        """Write `value` at `offset`; return the image."""
        self[offset : offset + len(value)] = value
        return self

    def pack(self, offset: int, layout: str, *values: int) -> Image:
        """Write numbers at `offset`; return the image."""
        return self.put(offset, struct.pack(layout, *values))


def blank(size: int = SIZE) -> Image:
    """Return an image of zeros."""
    return Image(size)


def ext(compat: int = 0x4, incompat: int = 0x40, ro_compat: int = 0, state: int = 1) -> Image:
    """Return an ext file system (`ext4.h: struct ext4_super_block`)."""
    image = blank().pack(1024 + 0x38, "<HH", 0xEF53, state).pack(1024 + 0x5C, "<III", compat, incompat, ro_compat)
    return image.put(1024 + 0x68, UUID_BYTES).put(1024 + 0x78, b"data")


def btrfs(log_root: int = 0) -> Image:
    """Return a btrfs (`btrfs_tree.h: struct btrfs_super_block`)."""
    image = blank().put(0x10020, UUID_BYTES).pack(0x10030, "<Q", 0x10000).put(0x10040, b"_BHRfS_M")
    return image.pack(0x10060, "<Q", log_root).put(0x1012B, b"pool")


def gpt(sector_size: int = 512, checksum_error: int = 0) -> Image:
    """Return a GUID partition table with its protective MBR."""
    header = bytearray(92)
    struct.pack_into("<8sII", header, 0, b"EFI PART", 0x10000, 92)
    header[56:72] = bytes([3, 2, 1, 0, 5, 4, 7, 6]) + UUID_BYTES[8:]
    struct.pack_into("<I", header, 16, zlib.crc32(header) ^ checksum_error)
    return mbr([(0, 0xEE, 1, SIZE // sector_size - 1)]).put(sector_size, bytes(header))


def mbr(entries: list[tuple[int, int, int, int]]) -> Image:
    """Return an MBR with entries of (status, kind, first sector, number of sectors)."""
    image = blank().put(510, b"\x55\xaa").pack(440, "<I", 0xDEADBEEF)
    for at, (status, kind, start, length) in enumerate(entries):
        image.pack(446 + 16 * at, "<B", status).pack(446 + 16 * at + 4, "<B", kind)
        image.pack(446 + 16 * at + 8, "<II", start, length)
    return image


def luks(version: int) -> Image:
    """Return a LUKS header."""
    return blank().put(0, b"LUKS\xba\xbe").pack(6, ">H", version).put(24, b"secret").put(168, UUID_TEXT.encode())


def lvm(sector: int = 1) -> Image:
    """Return the label of an LVM2 physical volume."""
    at = 512 * sector
    image = blank().put(at, b"LABELONE").pack(at + 8, "<QII", sector, 0, 32).put(at + 24, b"LVM2 001")
    return image.put(at + 32, b"abcdefghijklmnopqrstuvwxyz012345")


def swap(page: int = 4096) -> Image:
    """Return swap space."""
    return blank().put(page - 10, b"SWAPSPACE2").put(1036, UUID_BYTES).put(1052, b"sw")


def fat(mark: bytes = b"FAT32   ", dirty: int = 0) -> Image:
    """Return a FAT boot sector."""
    image = blank().put(510, b"\x55\xaa").pack(11, "<HB", 512, 8)
    at, fields = (0x52, 0x41) if mark == b"FAT32   " else (0x36, 0x25)
    return image.put(at, mark).pack(fields, "<BBI", dirty, 0x29, 0x1234ABCD).put(fields + 6, b"STICK      ")


def exfat(flags: int = 0) -> Image:
    """Return an exFAT boot sector."""
    return blank().put(510, b"\x55\xaa").put(3, b"EXFAT   ").pack(0x64, "<I", 0x1234ABCD).pack(0x6A, "<H", flags)


def ntfs() -> Image:
    """Return an NTFS boot sector."""
    return blank().put(510, b"\x55\xaa").put(3, b"NTFS    ").pack(0x48, "<Q", 0x0123456789ABCDEF)


XFS_LOG_START = 5 * 4096
XFS_LOG_BLOCKS = 200


def xfs(log: bytes = b"", log_start: int = (1 << 4) | 1) -> Image:
    """Return an XFS superblock (`xfs_format.h: struct xfs_dsb`) and a log; 4 blocks in a group, 16 numbers for them."""
    image = blank().put(0, b"XFSB").pack(4, ">I", 4096).put(32, UUID_BYTES).pack(48, ">Q", log_start)
    image.pack(84, ">I", 4).pack(96, ">I", XFS_LOG_BLOCKS).put(108, b"scratch").pack(124, ">B", 4)
    return image.put(XFS_LOG_START, log)
