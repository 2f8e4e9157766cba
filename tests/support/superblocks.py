"""Superblocks of real members, captured from the golden cases, and sources that hold a few bytes at given places.

`tests/superblock/data/NAME.hex` holds the rows of a superblock that are not zero (offset and 32 bytes, hexadecimal);
`NAME.examine` what `mdadm --examine` printed of that very member: the truth about its fields.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raidfs.block import Requests, check_requests
from raidfs.extents import Extents

DATA = Path(__file__).parents[1] / "superblock" / "data"
SIZE = 4096

_CAPTURES = {
    "grow-1.2": ("a-r5-3to4-12-64k-moving", 1, 33554432, 4096),
    "grow-1.1": ("d-r5-3to4-11-64k", 3, 25165824, 0),
    "grow-1.0": ("d-r5-3to4-10-64k", 2, 25165824, 25157632),
    "static-1.0": ("s-r5-la", 0, 12582912, 12574720),
    "mirror-0.90": ("s-r1-2-090", 1, 20971520, 20905984),
    "grow-0.90": ("d-r5-3to4-090-64k", 3, 25165824, 25100288),
    "stale": ("r-r10-n2-to-o2", 1, 20971520, 4096),
    "fell-out": ("l-r5-3to4-degraded-during", 0, 25165824, 4096),
    "filled": ("l-r5-3to4-degraded-before", 3, 25165824, 4096),
    "shrink": ("e-r5-4to3-12-64k-backup", 0, 25165824, 4096),
    "backwards": ("r-r10-n2-to-o2-room", 0, 20971520, 4096),
    "bad-blocks": ("b-r5-3to4-badblocks", 2, 23068672, 4096),
    "replacement": ("r-r5-replace", 4, 20971520, 4096),
    "journal": ("j-r5-journal-dirty", 3, 25165824, 4096),
    "linear": ("s-linear", 0, 10485760, 4096),
    "bitmap": ("s-r5-dirty-bitmap", 0, 16777216, 4096),
    "bitmap-degraded": ("w-r5-degraded-dirty-bitmap", 0, 18874368, 4096),
    "ppl": ("s-r5-ppl", 0, 16777216, 4096),
    "chunk": ("f-r5-chunk-64to128-12", 0, 25165824, 4096),
    "zones": ("s-r0-zones", 2, 12582912, 4096),
}

NAMES = tuple(_CAPTURES)
NAMES_1 = tuple(name for name in NAMES if not name.endswith("0.90"))
NAMES_0 = tuple(name for name in NAMES if name.endswith("0.90"))


@dataclass(frozen=True)
class Capture:
    """A superblock of a real member.

    Attributes:
        case, member: where it is from: golden case and index of the image.
        size: of the image [bytes]. at: where the superblock lies in it [bytes].
        raw: its 4096 bytes. examined: what `mdadm --examine` printed of it.
    """

    case: str
    member: int
    size: int
    at: int
    raw: bytes
    examined: str

    def source(self, raw: bytes | None = None) -> PlacedSource:
        """Return an image with nothing but this superblock, or with `raw` in its place."""
        return PlacedSource(self.size, {self.at: self.raw if raw is None else raw})


@cache
def capture(name: str) -> Capture:
    """Return the captured superblock of that name."""
    case, member, size, at = _CAPTURES[name]
    return Capture(case, member, size, at, block(name), (DATA / f"{name}.examine").read_text())


@cache
def block(name: str, fill: int = 0) -> bytes:
    """Return the captured 4096 bytes of that name; what was left out holds `fill`."""
    raw = bytearray([fill]) * SIZE
    for line in (DATA / f"{name}.hex").read_text().splitlines():
        offset, row = line.split()
        raw[int(offset, 16) : int(offset, 16) + 32] = bytes.fromhex(row)
    return bytes(raw)


def changed(raw: bytes, code: str, offset: int, *values: int | bytes) -> bytes:
    """Return a superblock 1.x with fields changed and its checksum made right.

    Args:
        raw: the superblock.
        code: types of the fields, as in `struct`.
        offset: where they lie [bytes].
        *values: what they become.
    """
    words = bytearray(raw)
    struct.pack_into("<" + code, words, offset, *values)
    struct.pack_into("<I", words, 216, 0)
    max_dev = min(struct.unpack_from("<I", words, 220)[0], 1920)
    covered = bytes(words[: 256 + 2 * max_dev])
    total = sum(struct.unpack(f"<{len(covered) // 4}I", covered[: len(covered) // 4 * 4]))
    total += struct.unpack("<H", covered[-2:])[0] if len(covered) % 4 else 0
    struct.pack_into("<I", words, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    return bytes(words)


class PlacedSource:
    """A `BlockSource` of any size: the given bytes at the given places, zeros elsewhere, losses as told."""

    def __init__(self, size: int, places: Mapping[int, bytes], losses: Extents = Extents()) -> None:
        self._size = size
        self._places = dict(places)
        self._losses = losses

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        check_requests(requests, self._size, len(out))
        lost: list[tuple[int, int]] = []
        for offset, length, position in requests.tolist():
            out[position : position + length] = 0
            for at, raw in self._places.items():
                start, stop = max(at, offset), min(at + len(raw), offset + length)
                if start < stop:
                    piece = np.frombuffer(raw, dtype=np.uint8)[start - at : stop - at]
                    out[position + start - offset : position + stop - offset] = piece
            for start, stop in self._losses.clip(offset, offset + length).shift(position - offset):
                out[start:stop] = 0
                lost.append((start, stop))
        return Extents(lost)

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return the losses in [start, stop)."""
        return self._losses.clip(start, stop)
