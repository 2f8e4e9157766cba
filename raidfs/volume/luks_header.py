"""The headers of LUKS, versions 1 and 2: which key slots there are, and where and how the data are encrypted.

    LUKS1   header | key material of 8 slots | data
    LUKS2   header, JSON | the same again | key material | data

Source: LUKS1 On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification 1.1.3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raidfs.block import BlockSource, read_exact
from raidfs.errors import ViewError
from raidfs.units import SECTOR

_MAGIC, _SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
_SECOND_PLACES = tuple(16384 << shift for shift in range(9))
_LARGEST_HEADER = 4 << 20
_ENABLED = 0x00AC71F3
_LARGEST_MATERIAL = 64 << 20


@dataclass(frozen=True)
class Derivation:
    """How a passphrase becomes a key.

    Attributes:
        kind: pbkdf2, argon2i or argon2id.
        salt: mixed in.
        digest: of PBKDF2.
        iterations: rounds.
        memory: of Argon2 [KiB].
        lanes: of Argon2.
    """

    kind: str
    salt: bytes
    digest: str = ""
    iterations: int = 0
    memory: int = 0
    lanes: int = 0


@dataclass(frozen=True)
class Slot:
    """A key slot: the volume key, spread over stripes and encrypted with a key that a passphrase gives.

    Attributes:
        name: its number.
        derivation: see there.
        cipher: of the material.
        derived_size: of the key that opens the material [bytes].
        start, size: of the material [bytes of the source].
        key_size: of the volume key [bytes].
        stripes: over how many it is spread.
        spread: digest that spreads it.
        is_first_choice: it is to be tried without being asked for by name.
    """

    name: str
    derivation: Derivation
    cipher: str
    derived_size: int
    start: int
    size: int
    key_size: int
    stripes: int
    spread: str


@dataclass(frozen=True)
class Luks:
    """A LUKS volume.

    Attributes:
        version: 1 or 2.
        uuid: as text.
        slots: that can be tried, in order.
        digest: what proves the volume key: how it is derived from it, and the result.
        cipher: of the data.
        sector_size: of the data [bytes].
        start: of the data [bytes of the source].
        size: of them [bytes]; None: up to the end.
        first_number: number of their first 512 bytes.
        notes: what is wrong with the header, clauses.
    """

    version: int
    uuid: str
    slots: tuple[Slot, ...]
    digest: tuple[Derivation, bytes]
    cipher: str
    sector_size: int
    start: int
    size: int | None
    first_number: int
    notes: tuple[str, ...] = field(default=())


def read_luks(source: BlockSource) -> Luks | None:
    """Read the header of a LUKS volume; None: it is none.

    Raises:
        ViewError: it is one that cannot be read, or that raidfs refuses.
        SourceError: the source is gone.
    """
    raw, lost = read_exact(source, 0, min(1024, source.size))
    if not lost and raw[:6] == _MAGIC and len(raw) >= 592 and raw[6:8] == b"\0\1":
        return _first_version(raw)
    found = [each for at in (0, *_SECOND_PLACES) if (each := _json_at(source, at)) is not None]
    if not found:
        if raw[:6] == _MAGIC:
            raise ViewError("its LUKS header is damaged, and so is the copy of it, or there is none")
        return None
    at, sequence, uuid, area = max(found, key=lambda each: (each[1], -each[0]))
    notes: tuple[str, ...] = ()
    if not any(each[0] == 0 for each in found):
        notes = (f"the first LUKS header is damaged; the copy at byte {at} is used",)
    try:
        return _second_version(uuid, json.loads(area.split(b"\0")[0]), notes)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, binascii.Error) as reason:
        raise ViewError(f"its LUKS2 header (number {sequence}) makes no sense ({type(reason).__name__})") from reason


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace")


def _first_version(raw: bytes) -> Luks:
    cipher = f"{_text(raw[8:40])}-{_text(raw[40:72])}"
    digest = _text(raw[72:104])
    payload, key_size, proof, salt, iterations = struct.unpack_from(">II20s32sI", raw, 104)
    slots = []
    for number in range(8):
        active, rounds, slot_salt, start, stripes = struct.unpack_from(">II32sII", raw, 208 + 48 * number)
        if active == _ENABLED:
            derivation = Derivation("pbkdf2", slot_salt, digest, rounds)
            size = -(-key_size * stripes // SECTOR) * SECTOR
            slots.append(
                _checked(
                    Slot(str(number), derivation, cipher, key_size, start * SECTOR, size, key_size, stripes, digest)
                )
            )
    proven = Derivation("pbkdf2", salt, digest, iterations)
    return Luks(1, _text(raw[168:208]), tuple(slots), (proven, proof), cipher, SECTOR, payload * SECTOR, None, 0)


def _checked(slot: Slot) -> Slot:
    is_small = 0 < slot.stripes * slot.key_size <= slot.size <= _LARGEST_MATERIAL
    if not is_small or not 0 < slot.key_size <= 512 or not 0 < slot.derived_size <= 512:
        raise ViewError(f"key slot {slot.name} of its LUKS header makes no sense")
    return slot


def _json_at(source: BlockSource, at: int) -> tuple[int, int, str, bytes] | None:
    """Return (place, sequence number, UUID, JSON) of a header of LUKS2; None: there is none, or it is damaged."""
    if at + 4096 > source.size:
        return None
    raw, lost = read_exact(source, at, 4096)
    if lost or raw[:8] != (_SECOND if at else _MAGIC) + b"\0\2":
        return None
    size, sequence = struct.unpack_from(">QQ", raw, 8)
    algorithm = _text(raw[72:104])
    if not 4096 < size <= min(_LARGEST_HEADER, source.size - at) or algorithm not in hashlib.algorithms_guaranteed:
        return None
    if struct.unpack_from(">Q", raw, 256)[0] != at or algorithm.startswith("shake"):
        return None
    area, area_lost = read_exact(source, at + 4096, size - 4096)
    proof = hashlib.new(algorithm, raw[:448] + bytes(64) + raw[512:] + area).digest()
    if area_lost or raw[448 : 448 + len(proof)] != proof:
        return None
    return at, sequence, _text(raw[168:208]), area


def _second_version(uuid: str, told: Mapping[str, Any], notes: tuple[str, ...]) -> Luks:
    required = [str(each) for each in told["config"].get("requirements", {}).get("mandatory", [])]
    segments = list(told["segments"].values())
    if required or len(segments) != 1 or segments[0]["type"] != "crypt" or "integrity" in segments[0]:
        what = ", ".join(required) or "several segments, or checksums of the data"
        raise ViewError(f"its LUKS2 header asks for {what}, which raidfs cannot do")
    (segment_name, segment) = next(iter(told["segments"].items()))
    digest = next(each for each in told["digests"].values() if segment_name in each["segments"])
    if digest["type"] != "pbkdf2":
        raise ViewError("the digest in its LUKS2 header is of a type that raidfs does not know")
    slots = []
    for name in sorted(
        digest["keyslots"], key=lambda each: (-int(told["keyslots"][each].get("priority", 1)), int(each))
    ):
        slot = told["keyslots"][name]
        if slot["type"] == "luks2" and slot["area"]["type"] == "raw" and slot["af"]["type"] == "luks1":
            slots.append(_checked(_slot(str(name), slot)))
    size = None if segment["size"] == "dynamic" else int(segment["size"])
    start, first, sector_size = int(segment["offset"]), int(segment["iv_tweak"]), int(segment["sector_size"])
    if min(start, first, size or 0) < 0 or sector_size not in (512, 1024, 2048, 4096):
        raise ValueError("a negative place")
    proof = (_derivation({**digest, "type": "pbkdf2"}), base64.b64decode(digest["digest"], validate=True))
    return Luks(2, uuid, tuple(slots), proof, str(segment["encryption"]), sector_size, start, size, first, notes)


def _slot(name: str, told: Mapping[str, Any]) -> Slot:
    area, spread = told["area"], told["af"]
    return Slot(
        name,
        _derivation(told["kdf"]),
        str(area["encryption"]),
        int(area["key_size"]),
        int(area["offset"]),
        int(area["size"]),
        int(told["key_size"]),
        int(spread["stripes"]),
        str(spread["hash"]),
    )


def _derivation(told: Mapping[str, Any]) -> Derivation:
    salt = base64.b64decode(told["salt"], validate=True)
    if told["type"] == "pbkdf2":
        return Derivation("pbkdf2", salt, str(told["hash"]), int(told["iterations"]))
    return Derivation(str(told["type"]), salt, "", int(told["time"]), int(told["memory"]), int(told["cpus"]))
