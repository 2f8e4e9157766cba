"""Writes healthy RAID5 and RAID6 arrays (metadata 1.2, left-symmetric) as member images, quickly, for the benchmark.

Not the writer of the tests: that one is naive on purpose. What is written here is read back and compared before use.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK = 64 << 10
DATA_OFFSET = 1 << 20
_SUPERBLOCK = 4096
_SECTOR = 512


@dataclass(frozen=True)
class Array:
    """An array on disk.

    Attributes:
        members: its images, by role.
        plain: a file with the bytes of the array.
        size: of the array [bytes].
        n_parities: 1 for RAID5, 2 for RAID6.
    """

    members: tuple[Path, ...]
    plain: Path
    size: int
    n_parities: int


def write_array(folder: Path, n_members: int, n_parities: int, component_size: int) -> Array:
    """Write an array of random bytes; `component_size` [bytes] of each member is a multiple of the chunk."""
    n_bytes = (n_members - n_parities) * component_size
    return write_data(
        folder,
        n_members,
        n_parities,
        np.random.default_rng(5).integers(0, 1 << 64, n_bytes // 8, dtype=np.uint64),
    )


def write_data(folder: Path, n_members: int, n_parities: int, data: NDArray[np.uint64]) -> Array:
    """Write an array that holds `data`, which fills its stripes."""
    n_data = n_members - n_parities
    n_stripes = data.nbytes // (n_data * CHUNK)
    component_size = n_stripes * CHUNK
    chunks = data.view(np.uint8).reshape(n_stripes, n_data, CHUNK)
    components = np.empty((n_members, n_stripes, CHUNK), dtype=np.uint8)
    for stripe in range(n_stripes):
        _write_stripe(components, chunks[stripe], stripe, n_parities)
    folder.mkdir()
    members = tuple(folder / f"member{role}.img" for role in range(n_members))
    for role, path in enumerate(members):
        superblock = _superblock(role, n_members, n_parities, component_size)
        head = bytes(_SUPERBLOCK) + superblock + bytes(DATA_OFFSET - _SUPERBLOCK - len(superblock))
        _write(path, head, components[role].reshape(-1))
    plain = folder / "plain.img"
    _write(plain, b"", data.view(np.uint8))
    return Array(members, plain, data.nbytes, n_parities)


def _write_stripe(components: NDArray[np.uint8], chunks: NDArray[np.uint8], stripe: int, n_parities: int) -> None:
    """Put the chunks and parities of one stripe where `raid5.c: raid5_compute_sector` puts them (left-symmetric)."""
    n_members = len(components)
    p_role = n_members - 1 - stripe % n_members
    components[p_role, stripe] = np.bitwise_xor.reduce(chunks, axis=0)
    for number, chunk in enumerate(chunks):
        components[(p_role + n_parities + number) % n_members, stripe] = chunk
    if n_parities == 2:
        q = np.zeros(CHUNK, dtype=np.uint8)
        for chunk in chunks[::-1]:
            # Horner's rule: q times 2 in the field of 0x11d
            q = (q << 1) ^ np.where(q & 0x80, 0x1D, 0).astype(np.uint8) ^ chunk
        components[(p_role + 1) % n_members, stripe] = q


def _superblock(role: int, n_members: int, n_parities: int, component_size: int) -> bytes:
    """Return a clean version-1.2 superblock (`md_p.h: struct mdp_superblock_1`)."""
    raw = bytearray(256 + 2 * 128)
    struct.pack_into("<IIII", raw, 0, 0xA92B4EFC, 1, 0, 0)
    raw[16:32] = b"raidfs benchmark"
    raw[32:64] = b"bench".ljust(32, b"\0")
    struct.pack_into(
        "<QiiQII", raw, 64, 1 << 30, 4 + n_parities, 2, component_size // _SECTOR, CHUNK // _SECTOR, n_members
    )
    struct.pack_into(
        "<QQQQI", raw, 128, DATA_OFFSET // _SECTOR, component_size // _SECTOR, _SUPERBLOCK // _SECTOR, 0, role
    )
    raw[168:184] = bytes([role + 1]) * 16
    struct.pack_into("<QQQ", raw, 192, 1 << 30, 7, (1 << 64) - 1)
    struct.pack_into("<I", raw, 220, 128)
    struct.pack_into("<128H", raw, 256, *(number if number < n_members else 0xFFFF for number in range(128)))
    words = sum(struct.unpack(f"<{len(raw) // 4}I", raw))
    struct.pack_into("<I", raw, 216, ((words & 0xFFFFFFFF) + (words >> 32)) & 0xFFFFFFFF)
    return bytes(raw)


def _write(path: Path, head: bytes, body: NDArray[np.uint8]) -> None:
    """Write a file and leave it in the page cache, clean."""
    with path.open("wb") as file:
        file.write(head)
        file.write(body.data)
        file.flush()
        os.fsync(file.fileno())
