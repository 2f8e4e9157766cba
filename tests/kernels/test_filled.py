"""What is filled is found, whatever its pattern and wherever it lies, and nothing else; compiled and not."""

from __future__ import annotations

from random import Random
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.kernels import filled as kernels
from raidfs.kernels.filled import (
    BLOCK,
    CONSTANT,
    DATA,
    LONGEST,
    MARKED,
    PATTERN,
    REPEATED,
    SECTOR,
    ZEROS,
    any_filled,
    any_read_filled,
    is_filled,
    kinds_of,
)
from tests.support import fills


def array_of(block: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(block, dtype=np.uint8)


def repeats(block: bytes) -> bool:
    """The definition; a block that is no longer than the longest pattern always does."""
    return len(block) <= LONGEST or fills.is_filled(block)


@pytest.mark.parametrize("period", range(1, LONGEST + 1))
@pytest.mark.parametrize("length", [65, 127, 128, 129, 255, 256, 511, SECTOR])
def test_every_period_is_seen_and_one_other_byte_too(period: int, length: int) -> None:
    random = Random(period)
    pattern = bytes(random.sample(range(256), period))
    block = bytearray(fills.filled(pattern, length, random.randrange(period)))
    assert is_filled(array_of(bytes(block)))
    for at in {0, 1, 2, 3, 63, 64, length // 2, length - 2, length - 1}:
        block[at] ^= 1
        assert is_filled(array_of(bytes(block))) == repeats(bytes(block))
        block[at] ^= 1


@pytest.mark.parametrize("period", [65, 66, 100, 128, 200])
def test_longer_patterns_are_data(period: int) -> None:
    pattern = bytes(Random(period).sample(range(256), period))
    assert not is_filled(array_of(fills.filled(pattern, SECTOR)))


@settings(max_examples=400)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=70), st.integers(1, 300)), min_size=1, max_size=4), st.data())
def test_it_is_the_definition(parts: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """Patterns that begin well and break somewhere."""
    block = b"".join(fills.filled(pattern, length) for pattern, length in parts)[:SECTOR]
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(block) - 1))
        block = block[:at] + bytes([block[at] ^ data.draw(st.integers(1, 255))]) + block[at + 1 :]
    assert is_filled(array_of(block)) == repeats(block)


def sectors(random: Random, n: int) -> bytes:
    """Some sectors, few of them filled."""
    blocks = [random.randbytes(SECTOR) for _ in range(n)]
    for at in random.sample(range(n), min(n, random.choice([0, 0, 1, 2]))):
        blocks[at] = fills.filled(random.choice(fills.PATTERNS), SECTOR)
    return b"".join(blocks)


KINDS = {
    fills.Kind.DATA: DATA,
    fills.Kind.ZEROS: ZEROS,
    fills.Kind.CONSTANT: CONSTANT,
    fills.Kind.TEXT: PATTERN,
    fills.Kind.REPEATED: REPEATED,
    fills.Kind.MARKED: MARKED,
}


@st.composite
def blocks(draw: st.DrawFn) -> list[bytes]:
    """Draw some blocks of eight sectors, of which some are filled in one of all the ways that there are."""
    random = Random(draw(st.integers(0, 1 << 30)))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        sectors = [random.randbytes(SECTOR) for _ in range(8)]
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            first = draw(st.integers(0, 7))
            n = min(draw(st.integers(1, 8)), 8 - first)
            pattern = draw(st.sampled_from([*fills.PATTERNS, *fills.LONG_TEXTS, None, random.randbytes(SECTOR)]))
            fill = fills.located(first * SECTOR, n * SECTOR, random.choice([512, 512, 1024, 4096]))
            if pattern is not None:
                fill = fills.filled(pattern, n * SECTOR, random.choice([0, 0, random.randrange(600)]))
            sectors[first : first + n] = [fill[at : at + SECTOR] for at in range(0, n * SECTOR, SECTOR)]
        found.append(b"".join(sectors))
    return found


def defined(block: bytes) -> list[int]:
    """What the sectors of a block hold, by the definition."""
    sectors = [block[at : at + SECTOR] for at in range(0, len(block), SECTOR)]
    return [KINDS[kind] for kind in fills.kinds_of(sectors, begins=True)]


def kinds(data: bytes, offset: int = 0, *, compiled: bool = True) -> list[int]:
    found = np.full(len(data) // SECTOR, 9, dtype=np.uint8)
    (kinds_of if compiled else cast(Any, kinds_of).py_func)(array_of(data), offset, found)
    told: list[int] = found.tolist()
    return told


@settings(max_examples=200)
@given(blocks(), st.integers(0, 7), st.integers(0, 7), st.integers(0, 100))
def test_kinds_are_defined_by_blocks(listed: list[bytes], low: int, high: int, number: int) -> None:
    """Of a block that is not there as a whole, only what is there is compared."""
    assert kinds(b"".join(listed), number * BLOCK) == [kind for block in listed for kind in defined(block)]
    part = listed[0][low * SECTOR : BLOCK - high * SECTOR]
    if part:
        sectors = [part[at : at + SECTOR] for at in range(0, len(part), SECTOR)]
        expected = [KINDS[kind] for kind in fills.kinds_of(sectors, begins=low == 0)]
        assert kinds(part, number * BLOCK + low * SECTOR) == expected


@settings(max_examples=200)
@given(blocks(), st.integers(0, 600), st.integers(0, 600))
def test_whoever_reads_any_of_a_fill_is_told_to_ask(listed: list[bytes], low: int, high: int) -> None:
    """Whole blocks are asked about if any sector is filled; parts of one always."""
    image = b"".join(listed)
    piece = image[low : len(image) - high]
    is_whole = low == 0 and high == 0
    expected = any(kind != DATA for block in listed for kind in defined(block)) if is_whole else bool(piece)
    assert any_filled(array_of(piece), 7 * BLOCK + low) == expected


def test_reads_are_looked_at_where_they_lie() -> None:
    random = Random(1)
    arena = array_of(random.randbytes(4 * BLOCK)).copy()
    arena[1000 + 3 * SECTOR : 1000 + 4 * SECTOR] = 0xFF
    reads = np.array([[3, 2 * BLOCK, BLOCK, 1000], [1, 0, 2 * BLOCK, 6000]], dtype=np.int64)
    assert any_read_filled(reads, arena)
    assert not any_read_filled(reads[1:], arena)
    reads[:, 1] += 512
    assert any_read_filled(reads[1:], arena)  # parts of blocks
    assert not any_read_filled(reads[:0], arena)


def test_kinds() -> None:
    random = Random(2)
    zeros_but_one = bytearray(SECTOR)
    zeros_but_one[-1] = 1
    first = bytes(SECTOR) + random.randbytes(SECTOR) + b"\xff" * SECTOR
    second = fills.filled(b"\0\0\1", SECTOR) + bytes(zeros_but_one) + fills.filled(b"\0" * 63 + b"\1", SECTOR)
    assert kinds(first) == [ZEROS, DATA, CONSTANT]
    assert kinds(second) == [PATTERN, DATA, PATTERN]


def test_marks_of_other_tools_are_known() -> None:
    """safecopy's, and ddrescue's as version 1.27 writes them: with a 4096-byte sector, the rest of it is not copied."""
    assert kinds(fills.filled(b"BaDbLoCk", 2 * SECTOR)) == [MARKED, MARKED]
    text = b"\n# position 0x00019200 sector 0x000000C9 status / "
    assert kinds(text.ljust(SECTOR, b"\0") + bytes(SECTOR), SECTOR) == [MARKED, ZEROS]
    text = b"\n# position 0x1234567000 sector 0x01234567 status * "
    assert kinds(text.ljust(BLOCK, b"\0")) == [MARKED] * 8
    for other in (text[:-8], text.replace(b"sector", b"Sector"), text.replace(b"0x01", b"0xfe")):
        assert kinds(other.ljust(SECTOR, b"x")) == [DATA]


@settings(max_examples=20)
@given(st.integers(0, 1 << 30), st.integers(0, 700))
def test_compiled_and_not_are_the_same(seed: int, length: int) -> None:
    random = Random(seed)
    data = sectors(random, 9)
    assert kinds(data) == kinds(data, compiled=False)
    piece = array_of(fills.filled(random.randbytes(random.randrange(1, 80)), length))
    python = {name: getattr(kernel, "py_func", kernel) for name, kernel in vars(kernels).items()}
    with pytest.MonkeyPatch.context() as patch:
        whole = array_of(sectors(random, 8))
        told = any_filled(piece, 100), is_filled(piece), any_filled(whole, 0)
        for name, kernel in python.items():
            patch.setattr(kernels, name, kernel)
        found = kernels.any_filled(piece, 100), kernels.is_filled(piece), kernels.any_filled(whole, 0)
        assert tuple(map(bool, found)) == told
