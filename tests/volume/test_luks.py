"""LUKS volumes are decrypted as they were encrypted by definition; what is lost below is lost, not garbage."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.errors import ViewError, WrongPassphrase
from raidfs.extents import Extents
from raidfs.linear import LinearMap, piece_of
from raidfs.volume.luks import recognise, unlock
from tests.support.contract import assert_contract
from tests.support.golden import cases_here
from tests.support.luks_writer import UUID, Kind, header, text, volume, with_header

PHRASE = "päss word".encode()
DATA = Random(1).randbytes(6 * 4096)
KINDS = [
    Kind(1),
    Kind(1, key_size=32, digest="sha1"),
    Kind(1, "aes-cbc-essiv:sha256", 32),
    Kind(1, "aes-cbc-plain", 16, digest="sha512"),
    Kind(),
    Kind(sector_size=4096, kdf="argon2id"),
    Kind(cipher="aes-xts-plain", key_size=32, iv_tweak=0xFFFFFFF8),
    Kind(cipher="aes-xts-plain64", iv_tweak=1 << 40, sector_size=1024),
    Kind(cipher="aes-cbc-plain64be", key_size=24),
]
each_kind = pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: f"luks{kind.version}-{kind.cipher}-{kind.sector_size}"
)


def opened(image: bytes, passphrase: bytes = PHRASE, losses: Extents = Extents()) -> BlockSource:
    source = MemorySource(image, losses)
    told = recognise(source, "array")
    assert told is not None
    assert told.uuid == UUID
    return unlock(source, told, passphrase, "array")


@each_kind
def test_it_gives_what_was_encrypted(kind: Kind) -> None:
    image = volume(kind, DATA, [PHRASE])
    start = len(image) - len(DATA)
    losses = Extents([(start + 100, start + 101), (start + 9000, start + 13000)])
    size = kind.sector_size
    lost = Extents(
        (at, at + size) for at in range(0, len(DATA), size) if losses.overlaps(start + at, start + at + size)
    )
    assert_contract(opened(image, losses=losses), DATA, lost)


@each_kind
def test_reading_at_once_gives_the_same(kind: Kind) -> None:
    source = LinearMap(len(image := volume(kind, DATA, [PHRASE])), [piece_of(0, image)])
    told = recognise(source, "array")
    assert told is not None
    found = unlock(source, told, PHRASE, "array")
    out = np.zeros(5000, dtype=np.uint8)
    for offset in (0, 1, 4096, 7777):
        assert found.try_read_into(offset, out)  # type: ignore[attr-defined]  # it is more than the protocol
        assert out.tobytes() == DATA[offset : offset + 5000]
    assert not opened(image).try_read_into(0, out)  # type: ignore[attr-defined]  # what is below cannot


@pytest.mark.parametrize("kind", [Kind(1), Kind()])
def test_any_slot_opens_it_and_nothing_else(kind: Kind) -> None:
    image = volume(kind, DATA, [b"one", bytes(range(256)), PHRASE])
    for passphrase in (b"one", bytes(range(256)), PHRASE):
        assert read_exact(opened(image, passphrase), 0, len(DATA))[0] == DATA
    with pytest.raises(WrongPassphrase, match=r"^array: the passphrase opens none of the 3 key slots$"):
        opened(image, PHRASE + b"\n")


@pytest.mark.golden
def test_a_real_volume_on_a_real_array() -> None:
    for case in cases_here("l-luks-3to4"):
        with open_array([str(path) for path in case.members()]) as array:
            told = recognise(array.source, "array")
            assert told is not None
            found = unlock(array.source, told, case.data["passphrase"].encode(), "array")
            superblock, _ = read_exact(found, 1024, 1024)
        assert superblock[0x38:0x3A] == b"\x53\xef"
        assert superblock[0x78:0x7C] == b"data"


# ------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("lost", [Extents.span(0, 512), Extents.span(5000, 5512)])
def test_a_damaged_header_gives_way_to_its_copy(lost: Extents) -> None:
    image = volume(Kind(), DATA, [PHRASE])
    told = recognise(MemorySource(image, lost), "array")
    assert told is not None
    assert told.notes == ("the first LUKS header is damaged; the copy at byte 16384 is used",)
    assert read_exact(opened(image, losses=lost), 0, len(DATA))[0] == DATA


def test_the_newer_header_counts() -> None:
    image = volume(Kind(), DATA, [PHRASE])
    told = json.loads(image[4096:16384].split(b"\0")[0])
    older = header(0, {**told, "segments": {}}, 2)
    assert read_exact(opened(older + image[16384:]), 0, len(DATA))[0] == DATA


def test_both_damaged_is_told() -> None:
    image = bytearray(volume(Kind(), DATA, [PHRASE]))
    image[4100] ^= 1
    image[16384 + 4100] ^= 1
    with pytest.raises(ViewError, match="damaged, and so is the copy"):
        recognise(MemorySource(bytes(image)), "array")


@pytest.mark.parametrize("kind", [Kind(1), Kind()])
def test_a_slot_that_is_lost_is_told_and_others_are_tried(kind: Kind) -> None:
    image = volume(kind, DATA, [b"one", PHRASE])
    first = Extents.span(4096, 4608) if kind.version == 1 else Extents.span(32768, 33280)
    assert read_exact(opened(image, losses=first), 0, len(DATA))[0] == DATA
    with pytest.raises(WrongPassphrase, match=r"none of the 1 key slots .key slot 0: its key material cannot be read"):
        opened(image, b"one", first)
    with pytest.raises(ViewError, match="no key slot can be used: key slot 0: its key material cannot be read"):
        opened(volume(kind, DATA, [b"one"]), b"one", first)


def test_nothing_is_found_in_nothing() -> None:
    for image in (b"", bytes(100), bytes(1 << 20)):
        assert recognise(MemorySource(image), "array") is None


# ----------------------------------------------------------------------------------------------------------- refusals


def altered(change: Callable[[Any], None]) -> bytes:
    image = volume(Kind(), DATA, [PHRASE])
    told = json.loads(image[4096:16384].split(b"\0")[0])
    change(told)
    return with_header(told, image[32768:65536]) + image[65536:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told: told["config"].update(requirements={"mandatory": ["online-reencrypt"]}), "online-reencrypt"),
        (lambda told: told["segments"]["0"].update(integrity={"type": "hmac"}), "checksums of the data"),
        (
            lambda told: told["segments"]["0"].update(encryption="serpent-xts-plain64"),
            "^array: it is .* serpent-xts-plain64",
        ),
        (lambda told: told["segments"]["0"].update(encryption="aes-xts-random"), "aes-xts-random"),
        (lambda told: told["keyslots"]["0"]["kdf"].update(iterations=1 << 30), "more time or memory"),
        (lambda told: told["keyslots"]["0"]["kdf"].update(type="scrypt", time=1, memory=1, cpus=1), "scrypt"),
        (lambda told: told["keyslots"]["0"]["kdf"].update(hash="md17"), "digest md17 is not known"),
        (lambda told: told["keyslots"]["0"]["kdf"].update(type="argon2id", time=1, memory=1, cpus=0), "argon2id fails"),
        (lambda told: told["keyslots"]["0"]["area"].update(offset=str(1 << 50)), "behind the end"),
        (lambda told: told["digests"]["0"].update(keyslots=[]), "the volume was erased"),
        (lambda told: told["digests"]["0"].update(type="other"), "raidfs does not know"),
        (lambda told: told["digests"]["0"].update(salt="!"), "makes no sense"),
        (lambda told: told.pop("segments"), "makes no sense"),
        (lambda told: told["segments"]["0"].update(offset="-5"), "makes no sense"),
        (lambda told: told["keyslots"]["0"].update(key_size=1 << 20), "makes no sense"),
    ],
)
def test_what_cannot_be_done_is_said(change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(ViewError, match=message):
        opened(altered(change))


def test_a_wrong_digest_proves_nothing() -> None:
    with pytest.raises(WrongPassphrase):
        opened(altered(lambda told: told["digests"]["0"].update(digest=text(bytes(32)))))


# --------------------------------------------------------------------------------------------------------------- fuzz

ROUNDS = {168 + at for at in range(-4, 0)} | {208 + 48 * slot + at for slot in range(8) for at in range(4, 8)}
"""Bytes of a LUKS1 header that tell how long to calculate: nothing guards them."""


@settings(max_examples=150)
@given(seed=st.integers(0, 1 << 60), kind=st.sampled_from([Kind(1), Kind(1, "aes-cbc-essiv:sha256", 32), Kind()]))
def test_garbage_ends_in_bytes_or_an_error(seed: int, kind: Kind) -> None:
    chance = Random(seed)
    image = bytearray(volume(kind, DATA[:4096], [PHRASE]))
    for _ in range(chance.choice((1, 5))):
        at = chance.choice((chance.randrange(592), chance.randrange(len(image))))
        image[at] ^= 0 if at in ROUNDS else 1 << chance.randrange(8)
    source = MemorySource(bytes(image))
    try:
        told = recognise(source, "array")
        found = None if told is None else unlock(source, told, PHRASE, "array")
    except ViewError:
        return
    if found is not None:
        assert len(read_exact(found, 0, found.size)[0]) == found.size
