"""Decrypting runs of sectors as dm-crypt encrypts them: AES in the modes XTS and CBC, many sectors at once.

All of the cryptography is that of OpenSSL, through the library `cryptography`. It does one sector per call, which for
sectors of 512 bytes costs ten times what AES itself does; so what these modes add to the bare blocks (a sum before and
after) is done here for all sectors together.
Source: IEEE 1619 (XTS); linux `Documentation/admin-guide/device-mapper/dm-crypt.rst`, `dm-crypt.c: crypt_iv_*_gen`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.errors import ViewError
from raidfs.units import SECTOR

_BLOCK = 16
_ALPHA = np.uint64(0x87)


@dataclass(frozen=True)
class SectorCipher:
    """Decrypts sectors.

    Attributes:
        sector_size: [bytes].
        decrypt: (data, number of its first 512 bytes) -> the same, decrypted; whole sectors only.
    """

    sector_size: int
    decrypt: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


def sector_cipher(name: str, key: bytes, sector_size: int) -> SectorCipher:
    """Return what decrypts sectors.

    Args:
        name: as dm-crypt has it: `aes-xts-plain64`, `aes-cbc-essiv:sha256`.
        key: of all parts.
        sector_size: [bytes].

    Raises:
        ViewError: the cipher is not known, or the key does not fit.
    """
    algorithm, _, rest = name.partition("-")
    mode, _, iv = rest.partition("-")
    sizes = {"xts": (32, 64), "cbc": (16, 24, 32)}.get(mode, ())
    if algorithm != "aes" or len(key) not in sizes or sector_size % _BLOCK:
        raise ViewError(f"it is encrypted with {name} (key of {8 * len(key)} bits), which raidfs cannot decrypt")
    numbers = _numbers(iv, key, name)
    if mode == "xts":
        half = len(key) // 2
        decrypted, tweaked = _blocks(key[:half], decrypts=True), _blocks(key[half:], decrypts=False)

        def decrypt(data: NDArray[np.uint8], first: int) -> NDArray[np.uint8]:
            tweak = _tweaks(tweaked(numbers(first, len(data) // sector_size, sector_size)), sector_size)
            out = decrypted(np.bitwise_xor(data.view(np.uint64), tweak).view(np.uint8))
            return np.bitwise_xor(out.view(np.uint64), tweak).view(np.uint8)
    else:
        decrypted = _blocks(key, decrypts=True)

        def decrypt(data: NDArray[np.uint8], first: int) -> NDArray[np.uint8]:
            n_sectors = len(data) // sector_size
            before = np.empty((n_sectors, sector_size), dtype=np.uint8)
            before[:, :_BLOCK] = numbers(first, n_sectors, sector_size).reshape(n_sectors, _BLOCK)
            before[:, _BLOCK:] = data.reshape(n_sectors, sector_size)[:, :-_BLOCK]
            return np.bitwise_xor(decrypted(data), before.reshape(-1))

    return SectorCipher(sector_size, decrypt)


_Blocks = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
_Numbers = Callable[[int, int, int], NDArray[np.uint8]]
"""(number of the first 512 bytes, number of sectors, their size) -> uint8 (16 per sector,)."""


def _blocks(key: bytes, *, decrypts: bool) -> _Blocks:
    """Return what de- or encrypts blocks of 16 bytes, each by itself."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    # one block at a time is what the modes above are made of
    cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - see above

    def run(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        context = cipher.decryptor() if decrypts else cipher.encryptor()
        return np.frombuffer(bytearray(context.update(data.data)), dtype=np.uint8)

    return run


def _numbers(iv: str, key: bytes, name: str) -> _Numbers:
    """Return what makes the initial values of sectors from their numbers, which count 512 bytes whatever the size."""
    kind, _, digest = iv.partition(":")
    if kind in ("plain", "plain64", "plain64be"):
        order, mask = (">u8", 1) if kind == "plain64be" else ("<u8", 0)
        most = np.uint64(0xFFFFFFFF if kind == "plain" else 0xFFFFFFFFFFFFFFFF)

        def plain(first: int, count: int, size: int) -> NDArray[np.uint8]:
            values = np.zeros((count, 2), dtype=order)
            step = size // SECTOR if size >= SECTOR else 1
            values[:, mask] = (first + np.arange(count, dtype=np.uint64) * np.uint64(step)) & most
            return values.reshape(-1).view(np.uint8)

        return plain
    if kind == "essiv" and digest in hashlib.algorithms_available:
        hidden = _blocks(hashlib.new(digest, key).digest(), decrypts=False)
        numbers = _numbers("plain64", key, name)
        return lambda first, count, size: hidden(numbers(first, count, size))
    raise ViewError(f"it is encrypted with {name}, which raidfs cannot decrypt")


def _tweaks(first: NDArray[np.uint8], sector_size: int) -> NDArray[np.uint64]:
    """Return what XTS adds to each block: from one to the next doubled in GF(2^128); uint64 (2 per block,)."""
    low, high = first.view("<u8").reshape(-1, 2).T.astype(np.uint64)
    found = np.empty((len(low), sector_size // _BLOCK, 2), dtype=np.uint64)
    one, top = np.uint64(1), np.uint64(63)
    for block in range(sector_size // _BLOCK):
        found[:, block, 0], found[:, block, 1] = low, high
        low, high = (low << one) ^ (high >> top) * _ALPHA, (high << one) | (low >> top)
    return found.reshape(-1)
