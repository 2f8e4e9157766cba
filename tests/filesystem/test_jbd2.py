"""The journal of ext3 and ext4 is replayed as debugfs does it; what is damaged in it is lost or told, never wrong."""

from __future__ import annotations

import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import MemorySource, read_exact
from raidfs.extents import Extents
from raidfs.filesystem.jbd2 import Replay, State, replay
from tests.support.jbd2_writer import (
    BLOCK,
    FORMATS,
    FREE,
    MAGIC,
    Format,
    Log,
    blank,
    crc32c,
    replayed_by_debugfs,
)
from tests.support.sources import BadSectors

BEST = Format(3, True)
each_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: f"v{form.checksums}{'-64bit' * form.wide}")


def replayed(image: bytes | bytearray, losses: Extents = Extents()) -> Replay:
    found = replay(BadSectors(bytes(image), losses), "fs")
    assert found is not None
    return found


def contents(found: Replay) -> tuple[bytes, Extents]:
    return read_exact(found.source, 0, found.source.size)


def block_of(image: bytes, number: int) -> bytes:
    return image[number * BLOCK : (number + 1) * BLOCK]


def content(letter: str) -> bytes:
    return letter.encode() * BLOCK


def differing(left: bytes, right: bytes) -> set[int]:
    return {at for at in range(len(left) // BLOCK) if block_of(left, at) != block_of(right, at)}


def random_log(chance: Random, form: Format) -> Log:
    """A log of some transactions, anywhere in the ring, of any number."""
    log = Log(form, chance.choice((1, 500, 1000, 1020)), chance.choice((1, 77, 0x7FFFFFFE, 0xFFFFFFFE)))
    homes = list(FREE[:40])
    for number in range(last := chance.randint(1, 6)):
        writes = []
        for home in chance.sample(homes, chance.randint(0, 12)):
            data = chance.randbytes(BLOCK)
            writes.append((home, MAGIC.to_bytes(4, "big") + data[4:] if chance.random() < 0.2 else data))
        if chance.random() < 0.1:
            writes += [(home, chance.randbytes(BLOCK)) for home in FREE[40:150]]
        revokes = chance.sample(homes, chance.randint(0, 4)) if chance.random() < 0.5 else []
        log.transaction(writes, revokes, commit=number < last - 1 or chance.random() < 0.7)
    return log


@each_format
@settings(max_examples=12)
@given(seed=st.integers(0, 1 << 60))
def test_it_does_what_debugfs_does(form: Format, seed: int) -> None:
    log = random_log(Random(seed), form)
    found = replayed(log.image)
    data, lost = contents(found)
    # the superblocks of both carry times and counters
    assert differing(data, replayed_by_debugfs(bytes(log.image))) <= {1, log.journal[0]}
    assert not lost
    assert found.state == State.REPLAYED
    assert found.is_sure, found.findings


def test_the_file_system_needs_no_journal_afterwards() -> None:
    image, journal = blank(("-O", "metadata_csum,64bit"))
    log = Log(BEST, image=bytearray(image), journal=journal)
    raw = log.image[1024:2048]
    raw[0x3FC:] = crc32c(bytes(raw[:0x3FC])).to_bytes(4, "little")
    log.image[1024:2048] = raw
    log.transaction([(FREE[0], content("a"))])
    data, _ = contents(replayed(log.image))
    superblock = data[1024:2048]
    assert not superblock[0x60] & 0x4
    assert crc32c(superblock[:0x3FC]) == struct.unpack_from("<I", superblock, 0x3FC)[0]
    again = replayed(data)
    assert again.state == State.CLEAN
    assert not again.findings
    # its own superblock says that it is empty, and would be believed
    dirty = bytearray(data)
    dirty[1024 + 0x60] |= 0x4
    dirty[1024 + 0x3FC : 2048] = crc32c(bytes(dirty[1024 : 1024 + 0x3FC])).to_bytes(4, "little")
    assert replayed(dirty).transactions == 0
    assert b"a" * 100 in data


def test_it_says_what_it_did() -> None:
    log = Log(BEST)
    log.transaction([(FREE[0], content("a")), (FREE[1], content("b"))])
    log.transaction([(FREE[0], content("c"))])
    found = replayed(log.image)
    assert (found.transactions, found.blocks, found.last_ns) == (2, 2, 1_700_000_005 * 10**9 + 7)
    assert "2 transactions (5 to 6) with 2 blocks; no further transaction follows" in found.summary
    log.transaction([(FREE[2], content("d"))], commit=False)
    assert "the last one is not complete" in replayed(log.image).summary


def test_revoked_blocks_keep_what_they_have() -> None:
    log = Log(Format(0, False))
    log.transaction([(home, content("a")) for home in FREE[:4]])
    log.transaction([(FREE[1], content("b"))], [FREE[0], FREE[1]])
    log.transaction([(FREE[2], content("c"))])
    log.transaction([(FREE[0], content("d"))], [FREE[2]])
    data, _ = contents(replayed(log.image))
    assert [block_of(data, home)[:1] for home in FREE[:4]] == [b"d", b"\0", b"\0", b"a"]


# ------------------------------------------------------------------------------------------------------------- damage


def three(form: Format = BEST) -> Log:
    log = Log(form)
    for letter in "abc":
        log.transaction([(FREE[0], content(letter)), (FREE[ord(letter) - 90], content(letter.upper()))])
    return log


def lose(log: Log, block: int, start: int = 0, stop: int = BLOCK) -> Extents:
    return Extents.span(log.place(block) + start, log.place(block) + stop)


def nth(log: Log, kind: str, number: int) -> int:
    return [block for each, block in log.written if each == kind][number]


def test_a_copy_that_is_lost_is_a_loss() -> None:
    log = three()
    found = replayed(log.image, lose(log, nth(log, "copy", 4), 0, 512))
    data, lost = contents(found)
    at = FREE[0] * BLOCK
    assert lost.clip(at, at + BLOCK) == Extents.span(at, at + 512)
    assert data[at + 512 : at + BLOCK] == b"c" * 512
    assert "1 copies in the journal cannot be read" in found.findings[0].message
    assert found.is_sure


@pytest.mark.parametrize("version", [2, 3])
def test_a_copy_with_a_wrong_checksum_is_a_loss_not_an_older_copy(version: int) -> None:
    log = three(Format(version, False))
    log.image[log.place(nth(log, "copy", 4)) + 700] ^= 1
    found = replayed(log.image)
    _, lost = contents(found)
    assert lost == Extents.span(FREE[0] * BLOCK, (FREE[0] + 1) * BLOCK)
    assert found.findings


@pytest.mark.parametrize("start", [b"cccc", MAGIC.to_bytes(4, "big")])
def test_a_damaged_copy_does_not_matter_where_the_block_was_written(start: bytes) -> None:
    log, last = Log(BEST), start + content("c")[4:]
    log.transaction([(FREE[0], content("a"))])
    log.transaction([(FREE[0], last)])
    log.image[log.place(nth(log, "copy", 1)) + 700] ^= 1
    log.image[FREE[0] * BLOCK : (FREE[0] + 1) * BLOCK] = last
    found = replayed(log.image)
    assert contents(found)[1] == Extents()
    assert block_of(contents(found)[0], FREE[0]) == last
    assert not found.findings


@pytest.mark.parametrize("kind", ["descriptor", "commit"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_wrong_checksum_that_nothing_follows_ends_the_log_and_is_told(version: int, kind: str) -> None:
    number = 1 if version == 1 else 2
    log = damaged(three(Format(version, True)), kind, number)
    if kind == "descriptor":
        damaged(log, "commit", number)
    found = replayed(log.image)
    assert found.transactions == number
    assert not found.is_sure
    assert f"transaction {log.sequence - 3 + number} is damaged" in found.findings[0].message


def damaged(log: Log, kind: str, number: int) -> Log:
    """Flip a bit: of the checksum of a commit, or behind the tags of a descriptor."""
    log.image[log.place(nth(log, kind, number)) + {"descriptor": 600, "commit": 17}[kind]] ^= 1
    return log


@pytest.mark.parametrize("version", [2, 3])
def test_a_damaged_commit_that_is_followed_was_one(version: int) -> None:
    log = three(Format(version, True))
    whole, _ = contents(replayed(log.image))
    found = replayed(damaged(log, "commit", 1).image)
    assert (contents(found)[0][FREE[0] * BLOCK :], found.transactions, found.is_sure) == (
        whole[FREE[0] * BLOCK :],
        3,
        True,
    )
    assert "the next one follows" in found.findings[0].message


@pytest.mark.parametrize("version", [2, 3])
def test_a_damaged_descriptor_costs_what_it_tells_and_no_more(version: int) -> None:
    log = damaged(three(Format(version, True)), "descriptor", 1)
    found = replayed(log.image)
    data, _ = contents(found)
    assert (found.transactions, found.is_sure) == (3, False)
    assert block_of(data, FREE[0]) == content("c")
    written = [block_of(data, FREE[ord(letter) - 90]) == content(letter.upper()) for letter in "abc"]
    assert written == [True, False, True]
    assert "which blocks it wrote is not known" in found.findings[0].message


def test_what_an_older_log_left_ends_the_log_quietly() -> None:
    log = three()
    commit = bytearray(log.read(nth(log, "commit", 2)))
    struct.pack_into(">Q", commit, 48, 1_600_000_000)
    log.write(nth(log, "commit", 2), bytes(commit))
    found = replayed(log.image)
    assert found.transactions == 2
    assert found.is_sure


@each_format
@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_commit_is_known_by_what_follows(form: Format, number: int) -> None:
    log = three(form)
    found = replayed(log.image, lose(log, nth(log, "commit", number)))
    assert found.transactions == 3
    assert found.is_sure
    assert f"it was the commit of transaction {5 + number}" in found.findings[0].message


def test_a_commit_of_which_the_start_is_left_is_enough() -> None:
    log = three()
    assert not replayed(log.image, lose(log, nth(log, "commit", 2), 512)).findings


def test_a_lost_last_commit_leaves_it_open() -> None:
    log = three()
    found = replayed(log.image, lose(log, nth(log, "commit", 2)))
    assert found.transactions == 2
    assert not found.is_sure
    assert "whether transaction 7 was complete is not known" in found.findings[0].message


def test_a_lost_descriptor_is_told_and_the_rest_replayed() -> None:
    log = three()
    found = replayed(log.image, lose(log, nth(log, "descriptor", 1)))
    assert found.transactions == 3
    assert not found.is_sure
    assert "belonged to transaction 6: which blocks it wrote is not known" in found.findings[0].message
    assert block_of(contents(found)[0], FREE[0]) == content("c")


def test_a_lost_revocation_is_told() -> None:
    log = three()
    log.transaction([(FREE[9], content("z"))], [FREE[0]])
    found = replayed(log.image, lose(log, nth(log, "revocation", 0)))
    assert not found.is_sure
    assert "what it revoked is not known" in found.findings[0].message


@each_format
@pytest.mark.parametrize("kind", ["descriptor", "commit"])
def test_a_log_that_breaks_off_is_told(form: Format, kind: str) -> None:
    """Copies of bad disks hold zeros: the kernel takes that for the end of the log, and says nothing."""
    log = three(form)
    log.write(nth(log, kind, 1), bytes(BLOCK))
    found = replayed(log.image)
    assert found.transactions == 1
    assert not found.is_sure
    assert "it breaks off before transaction 6" in found.findings[0].message


def test_a_lost_superblock_gives_way_to_a_backup() -> None:
    fresh, journal = blank(("-O", "^metadata_csum,^64bit"), "12M")
    log = Log(BEST, image=bytearray(fresh), journal=journal)
    log.transaction([(FREE[0], content("a"))])
    for lost, start in ((Extents.span(1024, 2048), log.image[:2048]), (Extents(), log.image[:1024] + bytes(1024))):
        found = replayed(start + log.image[2048:], lost)
        assert found.transactions == 1
        assert "the backup at byte" in found.findings[0].message
        data, gone = contents(found)
        assert not gone
        assert data[1024 + 0x38 : 1024 + 0x3A] == b"\x53\xef"


def test_a_lost_inode_gives_way_to_its_copy() -> None:
    log = three()
    table = struct.unpack_from("<I", log.image, 2048 + 8)[0] * BLOCK
    found = replayed(log.image, Extents.span(table + 1024, table + 2048))
    assert found.transactions == 3
    assert "its copy in the superblock is used" in found.findings[0].message


@pytest.mark.parametrize("options", [("-O", "^extents,^metadata_csum,^64bit"), ("-O", "extents,^metadata_csum,^64bit")])
def test_its_blocks_are_found_by_lists_and_by_trees(options: tuple[str, ...]) -> None:
    image, journal = blank(options)
    log = Log(Format(0, False), start=900, image=bytearray(image), journal=journal[: len(journal)])
    kept = [block for block in journal if block not in _maps_of(image)]
    log.journal = tuple(kept)
    log.transaction([(home, content("x")) for home in FREE[:150]])
    assert replayed(log.image).blocks == 150


def _maps_of(image: bytes) -> set[int]:
    """The blocks of the journal's map itself: debugfs lists them too."""
    table = struct.unpack_from("<I", image, 2048 + 8)[0] * BLOCK
    inode = image[table + 7 * 256 : table + 8 * 256]
    if inode[0x22] & 0x8:
        return set()
    single, double = struct.unpack_from("<II", inode, 0x28 + 48)
    return {single, double, *struct.unpack_from("<256I", image, double * BLOCK)} - {0}


@pytest.mark.parametrize(
    "features", ["bigalloc,^metadata_csum", "meta_bg,^resize_inode", "^flex_bg,^64bit", "^sparse_super,^resize_inode"]
)
def test_its_inode_is_found_in_any_layout(features: str) -> None:
    image, journal = blank(("-O", features), "12M")
    assert struct.unpack_from(">I", image, journal[0] * BLOCK)[0] == MAGIC
    found = replayed(image)
    assert (found.state, found.findings) == (State.CLEAN, ())


def test_a_lost_superblock_of_the_journal_is_told() -> None:
    log = three()
    found = replayed(log.image, lose(log, 0))
    assert found.state == State.UNUSABLE
    assert not found.is_sure
    assert "cannot be replayed: its superblock cannot be read" in found.findings[0].message


@pytest.mark.parametrize("end", ["fs", "nothing"])
def test_what_has_no_journal_is_left_as_it_is(end: str) -> None:
    if end == "nothing":
        assert replay(MemorySource(bytes(1 << 20)), "fs") is None
        assert replay(MemorySource(b""), "fs") is None
    else:
        image = bytearray(blank()[0])
        image[1024 + 0x5C] &= ~0x4
        assert replayed(image).state == State.NONE


def test_a_journal_elsewhere_is_named() -> None:
    image = bytearray(blank()[0])
    struct.pack_into("<I", image, 1024 + 0xE0, 0)
    image[1024 + 0xD0 : 1024 + 0xE0] = bytes(range(16))
    image[1024 + 0x60] |= 4
    found = replayed(image)
    assert found.state == State.EXTERNAL
    assert not found.is_sure
    assert "00010203-0405-0607-0809-0a0b0c0d0e0f" in found.findings[0].message


def test_fast_commits_are_counted_not_replayed() -> None:
    image, journal = blank(("-O", "fast_commit,^metadata_csum,^64bit", "-E", "nodiscard"))
    log = Log(BEST, image=bytearray(image), journal=journal)
    raw = bytearray(log.read(0))
    raw[43] |= 0x20
    struct.pack_into(">I", raw, 84, len(journal) - 1024)
    raw[252:256] = bytes(4)
    raw[252:256] = crc32c(bytes(raw)).to_bytes(4, "big")
    log.write(0, bytes(raw))
    log.transaction([(FREE[0], content("a"))])
    assert not replayed(log.image).findings
    head = struct.pack("<HHII", 9, 8, 0, log.sequence)
    body = struct.pack("<HHII", 3, 8, 2, 14) + struct.pack("<HHI", 6, 4, 14)
    tail = struct.pack("<HHII", 8, 8, log.sequence, 0)
    log.write(1025, (head + body + tail).ljust(BLOCK, b"\0"))
    found = replayed(log.image)
    assert (found.fast.n_commits, found.fast.n_names, found.fast.inodes) == (1, 1, frozenset({14}))
    assert "1 fast commits" in found.findings[0].message
    assert not found.is_sure  # what was written last is missing
    place = log.place(1025)
    cut = replayed(log.image, Extents.span(place, place + 512))
    assert cut.fast.is_cut
    assert not cut.is_sure
    assert "fast commits may lie cannot be read" in cut.findings[0].message


def test_orphans_are_told() -> None:
    log = three()
    log.image[1024 + 0xE8] = 12
    assert "wait for the kernel" in replayed(log.image).findings[0].message


# --------------------------------------------------------------------------------------------------------------- fuzz


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 60))
def test_bits_that_flip_are_never_wrong_in_silence(seed: int) -> None:
    chance = Random(seed)
    log = random_log(chance, Format(3, chance.random() < 0.5))
    whole = replayed(log.image)
    versions = [contents(whole)[0]]
    if whole.transactions:
        # a last commit that is no commit any more looks like one that was never written
        shorter = bytearray(log.image)
        commits = [block for kind, block in log.written if kind == "commit"]
        shorter[log.place(commits[-1]) : log.place(commits[-1]) + 1024] = bytes(BLOCK)
        versions.append(contents(replayed(shorter))[0])
    image = bytearray(log.image)
    written = [block for _, block in log.written]
    for _ in range(chance.choice((1, 1, 3))):
        image[log.place(chance.choice(written)) + chance.randrange(BLOCK)] ^= 1 << chance.randrange(8)
    found = replayed(image)
    data, lost = contents(found)
    if found.is_sure:
        for home in FREE:
            if not lost.overlaps(home * BLOCK, (home + 1) * BLOCK):
                assert any(block_of(data, home) == block_of(version, home) for version in versions), home


@settings(max_examples=100)
@given(seed=st.integers(0, 1 << 60))
def test_garbage_ends_in_an_answer(seed: int) -> None:
    chance = Random(seed)
    log = random_log(chance, chance.choice(FORMATS))
    image = bytearray(log.image)
    table = struct.unpack_from("<I", image, 2048 + 8)[0] * BLOCK
    places = [1024, 2048, table + 7 * 256, *(log.place(block) for _, block in log.written), log.place(0)]
    for _ in range(chance.choice((1, 5, 50))):
        image[chance.choice(places) + int(chance.paretovariate(0.5)) % BLOCK] ^= 1 << chance.randrange(8)
    losses = Extents((at, at + 512) for at in chance.sample(places, chance.choice((0, 0, 3))))
    found = replay(BadSectors(bytes(image), losses), "fs")
    if found is not None:
        data, lost = contents(found)
        at = chance.randrange(len(data) - 8192)
        part, gone = read_exact(found.source, at, 8192)
        assert (part, gone) == (data[at : at + 8192], lost.clip(at, at + 8192).shift(-at))
