"""Writes LVM2 physical volumes by definition, and unpacks those that LVM itself wrote. Knows nothing of raidfs."""

from __future__ import annotations

import lzma
import struct
from itertools import pairwise
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "volume" / "samples"
"""The first 128 KiB of physical volumes by LVM 2.03.16: pv0 to pv2 are group `one`, pv3 is group `two`."""
EXTENT = 1 << 20
AREA, AREA_SIZE = 4096, 126976
_SEED = 0xF597A6CF
_POLYNOMIAL = 0xEDB88320


def checksum(data: bytes) -> int:
    crc = _SEED
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc


def sample(number: int, size: int = 40 << 20) -> bytes:
    """Return a physical volume of LVM; behind its metadata every 512 bytes tell where they are."""
    head = lzma.decompress((SAMPLES / f"pv{number}.xz").read_bytes())
    return head + b"".join(tagged(number, at) for at in range(len(head), size, 512))


def tagged(number: int, at: int) -> bytes:
    """Return what `sample` holds in a sector [bytes]."""
    return struct.pack("<QQ", number, at) * 32


def area(text: str, offset: int = 512, flags: int = 0) -> bytes:
    """Return a metadata area with one text, from `offset` on and round."""
    data = text.encode() + b"\0"
    ring = bytearray(AREA_SIZE - 512)
    for at, byte in enumerate(data):
        ring[(offset - 512 + at) % len(ring)] = byte
    body = b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, AREA, AREA_SIZE)
    body += struct.pack("<QQII", offset, len(data), checksum(data), flags)
    body = body.ljust(508, b"\0")
    return struct.pack("<I", checksum(body)) + body + ring


def physical(uuid: str, text: str, size: int = 4 << 20, offset: int = 512) -> bytes:
    """Return a physical volume whose label lies in its second sector; `uuid` has no dashes, data begin at 128 KiB."""
    header = uuid.encode() + struct.pack("<Q", size)
    header += struct.pack("<4Q", 128 << 10, 0, 0, 0) + struct.pack("<4Q", AREA, AREA_SIZE, 0, 0)
    label = struct.pack("<I", 32) + b"LVM2 001" + header
    label = label.ljust(492, b"\0")
    sector = b"LABELONE" + struct.pack("<QI", 1, checksum(label)) + label
    start = (bytes(512) + sector).ljust(AREA, b"\0") + area(text, offset)
    return start.ljust(128 << 10, b"\0").ljust(size, b"d")


def dashed(uuid: str) -> str:
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(uuid[start:stop] for start, stop in pairwise(cuts))


def group(name: str, uuids: list[str], volumes: str, sequence: int = 1, identity: str = "G" * 32) -> str:
    """Return the text of a group whose physical volumes are pv0, pv1, ..."""
    told = "".join(
        f'pv{number} {{\nid = "{dashed(uuid)}"\ndevice = "/dev/sd{number}"\ndev_size = 8192\npe_start = 256\n}}\n'
        for number, uuid in enumerate(uuids)
    )
    return (
        f'{name} {{\nid = "{dashed(identity)}"\nseqno = {sequence}\nextent_size = 2048\n'
        f"physical_volumes {{\n{told}}}\nlogical_volumes {{\n{volumes}}}\n}}\n# the end\n"
    )


def logical(name: str, *segments: str, visible: bool = True) -> str:
    """Return the text of a logical volume."""
    parts = "".join(f"segment{number} {{\n{each}\n}}\n" for number, each in enumerate(segments, start=1))
    status = '["READ", "WRITE", "VISIBLE"]' if visible else '["READ", "WRITE"]'
    return f"{name} {{\nstatus = {status}\nsegment_count = {len(segments)}\n{parts}}}\n"


def segment(start: int, count: int, kind: str, *stripes: tuple[str, int], more: str = "") -> str:
    """Return the text of a segment; stripes are (physical volume, extent)."""
    listed = ", ".join(f'"{name}", {extent}' for name, extent in stripes)
    return (
        f'start_extent = {start}\nextent_count = {count}\ntype = "{kind}"\n'
        f"stripe_count = {len(stripes)}\nstripes = [{listed}]\n{more}"
    )
