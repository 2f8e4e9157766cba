"""Writes small LUKS volumes by definition, sector by sector, with few stripes and rounds. Knows nothing of raidfs."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import struct
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

UUID = "01234567-89ab-cdef-0123-456789abcdef"
STRIPES = 3
ROUNDS = 1000
MAGIC, SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"


@dataclass(frozen=True)
class Kind:
    """How a volume is made."""

    version: int = 2
    cipher: str = "aes-xts-plain64"
    key_size: int = 64
    sector_size: int = 512
    kdf: str = "pbkdf2"
    iv_tweak: int = 0
    digest: str = "sha256"


def encrypted(cipher: str, key: bytes, data: bytes, sector_size: int = 512, first: int = 0) -> bytes:
    """Encrypt sectors, one by one."""
    found = b""
    for at in range(0, len(data), sector_size):
        number = first + at // 512
        _, mode, iv = cipher.split("-")
        value = (number & 0xFFFFFFFF if iv == "plain" else number).to_bytes(16, "little")
        if iv == "plain64be":
            value = number.to_bytes(16, "big")
        if iv.startswith("essiv:"):
            hidden = hashlib.new(iv[6:], key).digest()
            value = Cipher(algorithms.AES(hidden), modes.ECB()).encryptor().update(value)
        how = modes.XTS(value) if mode == "xts" else modes.CBC(value)
        found += Cipher(algorithms.AES(key), how).encryptor().update(data[at : at + sector_size])
    return found


def spread(key: bytes, digest: str, chance: random.Random) -> bytes:
    """Split a key over stripes."""
    stripes, whole = [], bytes(len(key))
    for _ in range(STRIPES - 1):
        stripes.append(chance.randbytes(len(key)))
        whole = bytes(a ^ b for a, b in zip(whole, stripes[-1], strict=True))
        step = hashlib.new(digest).digest_size
        parts = [whole[at : at + step] for at in range(0, len(whole), step)]
        whole = b"".join(
            hashlib.new(digest, struct.pack(">I", number) + part).digest()[: len(part)]
            for number, part in enumerate(parts)
        )
    return b"".join(stripes) + bytes(a ^ b for a, b in zip(whole, key, strict=True))


def volume(kind: Kind, data: bytes, passphrases: list[bytes]) -> bytes:
    """Return a volume with a slot for each passphrase."""
    chance = random.Random(7)
    key = chance.randbytes(kind.key_size)
    return (
        _first(kind, data, passphrases, key, chance)
        if kind.version == 1
        else _second(kind, data, passphrases, key, chance)
    )


def _pbkdf2(kind: Kind, secret: bytes, salt: bytes, length: int) -> bytes:
    return hashlib.pbkdf2_hmac(kind.digest, secret, salt, ROUNDS, length)


def _first(kind: Kind, data: bytes, passphrases: list[bytes], key: bytes, chance: random.Random) -> bytes:
    name, mode = kind.cipher.split("-", 1)
    salt = chance.randbytes(32)
    head = MAGIC + struct.pack(">H32s32s32s", 1, name.encode(), mode.encode(), kind.digest.encode())
    head += struct.pack(">II20s32sI40s", 40, len(key), _pbkdf2(kind, key, salt, 20), salt, ROUNDS, UUID.encode())
    material = b""
    for number in range(8):
        slot_salt, start = chance.randbytes(32), 8 + 4 * number
        is_used = number < len(passphrases)
        head += struct.pack(">II32sII", 0xAC71F3 if is_used else 0xDEAD, ROUNDS, slot_salt, start, STRIPES)
        if is_used:
            raw = spread(key, kind.digest, chance)
            raw += bytes(-len(raw) % 512)
            opened = _pbkdf2(kind, passphrases[number], slot_salt, len(key))
            material += encrypted(kind.cipher, opened, raw).ljust(4 * 512, b"\0")
    return head.ljust(8 * 512, b"\0") + material.ljust(32 * 512, b"\0") + encrypted(kind.cipher, key, data)


def _second(kind: Kind, data: bytes, passphrases: list[bytes], key: bytes, chance: random.Random) -> bytes:
    salt, slots, material = chance.randbytes(32), {}, b""
    for number, passphrase in enumerate(passphrases):
        slot_salt = chance.randbytes(32)
        kdf: dict[str, Any] = {"type": kind.kdf, "salt": text(slot_salt)}
        if kind.kdf == "pbkdf2":
            kdf |= {"hash": kind.digest, "iterations": ROUNDS}
            opened = _pbkdf2(kind, passphrase, slot_salt, 64)
        else:
            kdf |= {"time": 1, "memory": 64, "cpus": 1}
            opened = Argon2id(salt=slot_salt, length=64, iterations=1, lanes=1, memory_cost=64).derive(passphrase)
        raw = spread(key, kind.digest, chance)
        raw += bytes(-len(raw) % 512)
        slots[str(number)] = {
            "type": "luks2",
            "key_size": len(key),
            "af": {"type": "luks1", "stripes": STRIPES, "hash": kind.digest},
            "area": {
                "type": "raw",
                "offset": str(32768 + 4096 * number),
                "size": "4096",
                "encryption": "aes-xts-plain64",
                "key_size": 64,
            },
            "kdf": kdf,
        }
        material += encrypted("aes-xts-plain64", opened, raw).ljust(4096, b"\0")
    told = {
        "keyslots": slots,
        "tokens": {},
        "segments": {
            "0": {
                "type": "crypt",
                "offset": "65536",
                "size": "dynamic",
                "iv_tweak": str(kind.iv_tweak),
                "encryption": kind.cipher,
                "sector_size": kind.sector_size,
            }
        },
        "digests": {
            "0": {
                "type": "pbkdf2",
                "keyslots": list(slots),
                "segments": ["0"],
                "hash": kind.digest,
                "iterations": ROUNDS,
                "salt": text(salt),
                "digest": text(_pbkdf2(kind, key, salt, 32)),
            }
        },
        "config": {"json_size": "12288", "keyslots_size": "32768"},
    }
    return with_header(told, material) + encrypted(kind.cipher, key, data, kind.sector_size, kind.iv_tweak)


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def with_header(told: Any, material: bytes) -> bytes:
    """Return both headers of LUKS2, and the material, up to where the data begin."""
    return (header(0, told, 3) + header(16384, told, 3) + material).ljust(65536, b"\0")


def header(at: int, told: Any, sequence: int) -> bytes:
    """Return one header of LUKS2 and its JSON."""
    head = (SECOND if at else MAGIC) + struct.pack(
        ">HQQ48s32s64s40s48sQ", 2, 16384, sequence, b"", b"sha256", b"s", UUID.encode(), b"", at
    )
    head = head.ljust(4096, b"\0")
    area = json.dumps(told).encode().ljust(12288, b"\0")
    return head[:448] + hashlib.sha256(head + area).digest().ljust(64, b"\0") + head[512:] + area
