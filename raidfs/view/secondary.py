"""What a source contains whose start is lost or overwritten: told by copies of the start that formats keep elsewhere.

    ext      a backup superblock in groups 1, 3, 5, 7, 9         NTFS     the last sector
    XFS      every allocation group begins with a superblock     FAT32    sector 6
    btrfs    at 64 MiB and 256 GiB                               exFAT    sector 12
    LUKS2    a second header at 16 KiB to 4 MiB                  GPT      the last sector
    LVM2     the metadata area, 4 KiB behind the label

Copies may be left from what was there earlier. So they are looked at only where the start says nothing, and where
copies of several kinds are found none of them is taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from raidfs.block import BlockSource, read_exact
from raidfs.filesystem.xfs_super import group_sizes
from raidfs.linear import overlaid, piece_of
from raidfs.units import SECTOR
from raidfs.view.probe import Probe, probe, recognise

_WEAK = ("swap", "exfat", "ntfs", "vfat", "mbr")
"""What may be left of something earlier: where sectors of the start are lost, a copy tells more."""
_LARGE_SECTOR = 4096
_SUPER_SIZE = 4096
_AREA = 4096


@dataclass(frozen=True)
class Start:
    """What a source contains.

    Attributes:
        contents: as `probe` tells it.
        source: the source, with the copy at the place of what is lost, where one is used.
        note: what is to be told about that, a clause, or ''.
    """

    contents: Probe
    source: BlockSource
    note: str = ""


@dataclass(frozen=True)
class _Copy:
    """A copy of a start: what it says, where it lies, and where the original should (bytes), with its bytes."""

    contents: Probe
    at: int
    home: int
    data: bytes


def probe_start(source: BlockSource) -> Start:
    """Find out what `source` contains, from copies if the start does not tell.

    Raises:
        SourceError: the source itself is gone.
    """
    found = probe(source)
    if not (
        found.kind in ("unknown", "unreadable") or (found.kind in _WEAK and read_exact(source, 0, _head(source))[1])
    ):
        return Start(found, source)
    copies: dict[str, _Copy] = {}
    for look in (_ext, _xfs, _btrfs, _sectors, _luks, _lvm2):
        for copy in look(source):
            copies.setdefault("ext" if copy.contents.kind.startswith("ext") else copy.contents.kind, copy)
            break
    if not copies:
        return Start(found, source)
    if len(copies) > 1:
        kinds = " and ".join(f"{copy.contents.kind} (byte {copy.at})" for copy in copies.values())
        note = f"its start says nothing, and there are copies of starts of {kinds}; none of them is taken"
        return Start(replace(found, meaning=f"{found.meaning}; {note}"), source, note)
    (copy,) = copies.values()
    note = f"its start is lost or overwritten; the copy at byte {copy.at} is used"
    contents = replace(copy.contents, meaning=f"{copy.contents.meaning}; {note}")
    # of ext the readers find copies themselves, and the journal must know that it is one
    shown = overlaid(source, [piece_of(copy.home, copy.data)]) if copy.data else source
    return Start(contents, shown, note)


def _head(source: BlockSource) -> int:
    return min(128 << 10, source.size)


def _read(source: BlockSource, at: int, length: int) -> bytes | None:
    """Read what is there and whole; None otherwise."""
    if not 0 <= at <= source.size - length:
        return None
    raw, lost = read_exact(source, at, length)
    return None if lost else raw


def _moved(source: BlockSource, at: int, home: int, data: bytes) -> Iterator[_Copy]:
    """Yield a copy if it is recognised where it belongs."""
    found = recognise(data, home, source)
    if found is not None:
        yield _Copy(found, at, home, data)


def _ext(source: BlockSource) -> Iterator[_Copy]:
    """Find backups of ext; those of a file system say where they lie (`ext4.h: s_block_group_nr`)."""
    for block_size, group in product((4096, 1024, 2048, 65536), (1, 3, 5, 7, 9)):
        at = (group * block_size * 8 + (block_size == 1024)) * block_size
        raw = _read(source, at, 1024)
        if raw is None or raw[0x38:0x3A] != b"\x53\xef" or struct.unpack_from("<H", raw, 0x5A)[0] != group:
            continue
        if struct.unpack_from("<I", raw, 0x18)[0] <= 6 and 1024 << raw[0x18] == block_size:
            for copy in _moved(source, at, 1024, raw):
                meaning = f"{copy.contents.kind} file system"  # backups do not say whether it was unmounted
                yield replace(copy, contents=replace(copy.contents, meaning=meaning, dirty=None), data=b"")


def _xfs(source: BlockSource) -> Iterator[_Copy]:
    """Find superblocks of allocation groups, which lie at multiples of a size that the superblock tells.

    Not all of them know the root (mkfs writes that to the middle and the last group), so these are preferred.
    """
    for size in group_sizes(source.size):
        raw = _read(source, size, _SUPER_SIZE)
        if raw is None or raw[:4] != b"XFSB":
            continue
        block_size, group_blocks, n_groups = (struct.unpack_from(">I", raw, at)[0] for at in (4, 84, 88))
        if block_size * group_blocks != size or n_groups > 1 << 20:
            continue
        for group in ((n_groups - 1) // 2, n_groups - 1, *range(1, min(n_groups, 64))):
            at = group * size
            found = _read(source, at, _SUPER_SIZE) if group else None
            if (
                found is not None
                and found[:4] == b"XFSB"
                and found[32:48] == raw[32:48]
                and found[56:64] != b"\xff" * 8
            ):
                sector: int = struct.unpack_from(">H", found, 102)[0]
                yield from _moved(source, at, 0, found[: max(SECTOR, sector)])
                return


def _btrfs(source: BlockSource) -> Iterator[_Copy]:
    """Find the mirrors of the superblock; each says where it lies."""
    for at in (64 << 20, 256 << 30):
        raw = _read(source, at, _SUPER_SIZE)
        if raw is not None and raw[0x40:0x48] == b"_BHRfS_M" and struct.unpack_from("<Q", raw, 0x30)[0] == at:
            yield from _moved(source, at, 0x10000, raw[:0x30] + struct.pack("<Q", 0x10000) + raw[0x38:])


def _sectors(source: BlockSource) -> Iterator[_Copy]:
    """Find copies of first sectors, which are like these."""
    for unit in (SECTOR, _LARGE_SECTOR):
        last = source.size // unit * unit - unit
        for at, home in ((last, unit), (last, 0), (6 * unit, 0), (12 * unit, 0)):
            raw = _read(source, at, unit)
            if raw is not None and (home or raw[510:512] == b"\x55\xaa"):
                yield from (copy for copy in _moved(source, at, home, raw) if copy.contents.kind != "mbr")


def _luks(source: BlockSource) -> Iterator[_Copy]:
    for at in (16384 << step for step in range(9)):
        raw = _read(source, at, _SUPER_SIZE)
        if raw is not None and raw[:6] == b"SKUL\xba\xbe" and struct.unpack_from(">Q", raw, 256)[0] == at:
            yield from (replace(copy, data=b"") for copy in _moved(source, at, 0, b"LUKS\xba\xbe" + raw[6:]))


def _lvm2(source: BlockSource) -> Iterator[_Copy]:
    raw = _read(source, _AREA, SECTOR)
    if raw is not None and raw[4:20] == b" LVM2 x[5A%r0N*>":
        contents = Probe("lvm2", "LVM physical volume; its logical volumes hold the data")
        yield _Copy(contents, _AREA, 0, b"")
