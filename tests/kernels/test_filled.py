"""What is filled is found, whatever its pattern and wherever it lies, and nothing else; compiled and not."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.kernels import filled as kernels
from raidfs.kernels.filled import (
    CONSTANT,
    DATA,
    LONGEST,
    PATTERN,
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


@settings(max_examples=200)
@given(st.integers(0, 1 << 30), st.integers(1, 12), st.integers(0, 600), st.integers(0, 600))
def test_sectors_are_those_of_the_image(seed: int, n: int, low: int, high: int) -> None:
    """A piece of an image may begin and end anywhere; of a sector that is cut what is there counts."""
    image = sectors(Random(seed), n)
    start, stop = min(low, len(image)), max(0, len(image) - high)
    piece = image[start:stop]
    edges = sorted({start, max(start, stop), *(at for at in range(0, len(image), SECTOR) if start < at < stop)})
    parts = [image[a:b] for a, b in pairwise(edges)]
    assert any_filled(array_of(piece), start + 7 * SECTOR) == any(map(repeats, parts))


def test_reads_are_looked_at_where_they_lie() -> None:
    random = Random(1)
    arena = array_of(random.randbytes(8 * SECTOR)).copy()
    arena[1000 : 1000 + SECTOR] = 0xFF
    reads = np.array([[0, 0, 900, 0], [3, 2 * SECTOR, SECTOR, 1000], [1, 0, 2 * SECTOR, 2000]], dtype=np.int64)
    assert any_read_filled(reads, arena)
    assert not any_read_filled(reads[[0, 2]], arena)
    reads[:, 1] += 100
    assert any_read_filled(reads, arena)  # two parts of two sectors, both filled
    assert not any_read_filled(reads[:0], arena)


def kinds(data: NDArray[np.uint8], *, compiled: bool = True) -> list[list[int]]:
    found = np.full((data.shape[0], data.shape[1] // SECTOR), 9, dtype=np.uint8)
    (kinds_of if compiled else cast(Any, kinds_of).py_func)(data, found)
    told: list[list[int]] = found.tolist()
    return told


def test_kinds() -> None:
    random = Random(2)
    zeros_but_one = bytearray(SECTOR)
    zeros_but_one[-1] = 1
    rows = [
        bytes(SECTOR) + random.randbytes(SECTOR) + b"\xff" * SECTOR,
        fills.filled(b"\0\0\1", SECTOR) + bytes(zeros_but_one) + fills.filled(b"\0" * 63 + b"\1", SECTOR),
    ]
    assert kinds(np.stack([array_of(row) for row in rows])) == [[ZEROS, DATA, CONSTANT], [PATTERN, DATA, PATTERN]]


@settings(max_examples=20)
@given(st.integers(0, 1 << 30), st.integers(0, 700))
def test_compiled_and_not_are_the_same(seed: int, length: int) -> None:
    random = Random(seed)
    data = np.stack([array_of(sectors(random, 4)) for _ in range(3)])
    assert kinds(data) == kinds(data, compiled=False)
    piece = array_of(fills.filled(random.randbytes(random.randrange(1, 80)), length))
    python = {name: getattr(kernel, "py_func", kernel) for name, kernel in vars(kernels).items()}
    with pytest.MonkeyPatch.context() as patch:
        told = any_filled(piece, 100), is_filled(piece)
        for name, kernel in python.items():
            patch.setattr(kernels, name, kernel)
        assert (bool(kernels.any_filled(piece, 100)), bool(kernels.is_filled(piece))) == told
