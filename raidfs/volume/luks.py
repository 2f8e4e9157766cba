"""LUKS: an encrypted volume, opened with a passphrase or the contents of a key file.

A sector that is lost below is lost here, never garbage: each is decrypted by itself.
Source: LUKS1 On-Disk Format Specification 1.2.3 (anti-forensic splitter); LUKS2 On-Disk Format Specification 1.1.3.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource, Requests, check_requests, one_request
from raidfs.errors import ViewError, WrongPassphrase
from raidfs.extents import Extents
from raidfs.linear import LinearMap, window
from raidfs.units import SECTOR
from raidfs.volume.ciphers import SectorCipher, sector_cipher
from raidfs.volume.luks_header import Derivation, Luks, Slot, read_luks

_MOST_ITERATIONS = 1 << 26
_MOST_MEMORY = 4 << 20
"""KiB, as cryptsetup has it."""
_AT_ONCE = 256 << 10
"""Bytes that are decrypted at once."""


class Decrypted:
    """A `BlockSource` over an encrypted one. Threading: immutable."""

    def __init__(self, encrypted: LinearMap, cipher: SectorCipher, first_number: int) -> None:
        """Decrypt.

        Args:
            encrypted: whole sectors.
            cipher: what decrypts them.
            first_number: number of the first 512 bytes.
        """
        self._encrypted, self._cipher, self._first = encrypted, cipher, first_number
        self._size = encrypted.size // cipher.sector_size * cipher.sector_size

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self._size

    def read_into(self, requests: Requests, out: NDArray[np.uint8]) -> Extents:
        """Fill `out`; see `BlockSource.read_into`."""
        lost: list[tuple[int, int]] = []
        for offset, length, position in check_requests(requests, self._size, len(out)):
            for begin, end in self._parts(offset, offset + length):
                start, stop = self._whole(begin, end)
                raw = np.empty(stop - start, dtype=np.uint8)
                gone = self._encrypted.read_into(one_request(start, len(raw)), raw)
                part = out[position + begin - offset : position + end - offset]
                part[:] = self._decrypted(raw, start)[begin - start : end - start]
                for first, last in self._sectors(gone).shift(start).clip(begin, end).shift(-begin):
                    part[first:last] = 0
                    lost.append((position + begin - offset + first, position + begin - offset + last))
        return Extents(lost)

    def try_read_into(self, offset: int, out: NDArray[np.uint8]) -> bool:
        """Fill `out` from `offset` on if what is encrypted can be read without waiting; else return False."""
        start, stop = self._whole(offset, offset + len(out))
        raw = np.empty(stop - start, dtype=np.uint8)
        if not self._encrypted.try_read_into(start, raw):
            return False
        out[:] = self._decrypted(raw, start)[offset - start : offset - start + len(out)]
        return True

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return what is known to be lost in [start, stop)."""
        return self._sectors(self._encrypted.known_losses(*self._whole(start, stop))).clip(start, stop)

    def assert_unchanged(self) -> None:
        """Raise `SourceChanged` when what is encrypted is no longer what was opened."""
        self._encrypted.assert_unchanged()

    def _whole(self, start: int, stop: int) -> tuple[int, int]:
        """Return the sectors around a range."""
        size = self._cipher.sector_size
        return start // size * size, -(-stop // size) * size if stop > start else start // size * size

    def _sectors(self, extents: Extents) -> Extents:
        """Return the sectors that a set touches."""
        size = self._cipher.sector_size
        return Extents((start // size * size, -(-stop // size) * size) for start, stop in extents)

    def _parts(self, start: int, stop: int) -> list[tuple[int, int]]:
        cuts = [start, *range(start // _AT_ONCE * _AT_ONCE + _AT_ONCE, stop, _AT_ONCE), stop]
        return [(begin, end) for begin, end in pairwise(cuts) if begin < end]

    def _decrypted(self, raw: NDArray[np.uint8], place: int) -> NDArray[np.uint8]:
        return self._cipher.decrypt(raw, self._first + place // SECTOR) if len(raw) else raw


def unlock(source: BlockSource, told: Luks, passphrase: bytes, subject: str) -> BlockSource:
    """Open a LUKS volume.

    Args:
        source: the volume.
        told: its header.
        passphrase: as it was typed, without the end of the line; or what a key file holds.
        subject: what the volume is called in errors.

    Raises:
        WrongPassphrase: it opens no key slot.
        ViewError: it cannot be opened whatever the passphrase is.
        SourceError: the source is gone.
    """
    if find_spec("cryptography") is None:
        raise ViewError(f"{subject}: for LUKS the library `cryptography` is needed: pip install 'raidfs[files]'")
    problems = []
    for slot in told.slots:
        try:
            key = _key_of(source, slot, passphrase)
            is_right = hmac.compare_digest(_derived(told.digest[0], key, len(told.digest[1])), told.digest[1])
        except ViewError as reason:
            problems.append(f"key slot {slot.name}: {reason}")
            continue
        if is_right:
            return _opened(source, told, key, subject)
    tried = len(told.slots) - len(problems)
    if problems and not tried:
        raise ViewError(f"{subject}: no key slot can be used: {'; '.join(problems)}")
    if not told.slots:
        raise ViewError(f"{subject}: there is no key slot left: the volume was erased")
    more = f" ({'; '.join(problems)})" if problems else ""
    raise WrongPassphrase(f"{subject}: the passphrase opens none of the {tried} key slots{more}")


def recognise(source: BlockSource, subject: str) -> Luks | None:
    """Read the header of a LUKS volume; None: it is none.

    Raises:
        ViewError: it is one that cannot be read, or that raidfs refuses.
        SourceError: the source is gone.
    """
    try:
        return read_luks(source)
    except ViewError as reason:
        raise ViewError(f"{subject}: {reason}") from reason


def _opened(source: BlockSource, told: Luks, key: bytes, subject: str) -> BlockSource:
    size = max(0, source.size - told.start) if told.size is None else told.size
    try:
        cipher = sector_cipher(told.cipher, key, told.sector_size)
    except ViewError as reason:
        raise ViewError(f"{subject}: {reason}") from reason
    return Decrypted(window(source, told.start, size), cipher, told.first_number)


def _key_of(source: BlockSource, slot: Slot, passphrase: bytes) -> bytes:
    """Return the volume key that a slot gives with this passphrase, be it the right one or not."""
    length = -(-slot.key_size * slot.stripes // SECTOR) * SECTOR
    if slot.start + length > source.size:
        raise ViewError("its key material lies behind the end")
    raw = np.empty(length, dtype=np.uint8)
    if source.read_into(one_request(slot.start, length), raw):
        raise ViewError("its key material cannot be read")
    cipher = sector_cipher(slot.cipher, _derived(slot.derivation, passphrase, slot.derived_size), SECTOR)
    return _merged(cipher.decrypt(raw, 0).tobytes(), slot)


def _merged(material: bytes, slot: Slot) -> bytes:
    """Join what the splitter has spread: every stripe but the last is diffused before the next one is added."""
    size = slot.key_size
    whole = bytes(size)
    for number in range(slot.stripes):
        stripe = material[number * size : (number + 1) * size]
        whole = bytes(left ^ right for left, right in zip(whole, stripe, strict=True))
        if number < slot.stripes - 1:
            whole = _diffused(whole, slot.spread)
    return whole


def _diffused(data: bytes, digest: str) -> bytes:
    step = _new(digest).digest_size
    parts = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(_new(digest, struct.pack(">I", at) + part).digest()[: len(part)] for at, part in enumerate(parts))


def _new(digest: str, data: bytes = b"") -> hashlib._Hash:
    if digest not in hashlib.algorithms_available or digest.startswith("shake"):
        raise ViewError(f"digest {digest} is not known")
    return hashlib.new(digest, data)


def _derived(how: Derivation, secret: bytes, length: int) -> bytes:
    """Derive a key."""
    if not 0 < how.iterations <= _MOST_ITERATIONS or how.memory > _MOST_MEMORY:
        raise ViewError("it asks for more time or memory than any passphrase needs")
    if how.kind == "pbkdf2":
        _new(how.digest)
        return hashlib.pbkdf2_hmac(how.digest, secret, how.salt, how.iterations, length)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2i, Argon2id

    if how.kind not in ("argon2i", "argon2id"):
        raise ViewError(f"passphrases are turned into keys by {how.kind}, which is not known")
    kind = Argon2i if how.kind == "argon2i" else Argon2id
    try:
        return kind(
            salt=how.salt, length=length, iterations=how.iterations, lanes=how.lanes, memory_cost=how.memory
        ).derive(secret)
    except (ValueError, OverflowError, MemoryError, UnsupportedAlgorithm) as reason:
        raise ViewError(f"{how.kind} fails: {reason}") from reason
