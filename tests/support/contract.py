"""The contract that every `BlockSource` keeps, checked against the bytes and losses that it is known to have."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents

_UNTOUCHED = 0xA5


def assert_contract(source: BlockSource, truth: bytes, losses: Extents = Extents(), seed: int = 1) -> None:
    """Check a source in all that `raidfs.block.BlockSource` promises.

    Args:
        source: what is checked.
        truth: all its bytes; at lost places anything.
        losses: exactly what it does not have [bytes of the source].
        seed: of the requests that are tried.
    """
    expected = bytearray(truth)
    for start, stop in losses:
        expected[start:stop] = bytes(stop - start)
    assert source.size == len(truth)
    assert_known_losses(source, losses)
    assert read_exact(source, 0, len(truth)) == (bytes(expected), losses)
    assert_batches(source, bytes(expected), losses, random.Random(seed))
    assert_refusals(source)
    assert_threads(source, bytes(expected), losses, seed)
    assert_known_losses(source, losses)


def assert_known_losses(source: BlockSource, losses: Extents) -> None:
    """Known losses are real ones, and those of a part are the clipped ones of the whole."""
    known = source.known_losses(0, source.size)
    assert not known.difference(losses)
    middle = source.size // 2
    assert source.known_losses(middle, source.size) == known.clip(middle, source.size)
    assert source.known_losses(middle, middle) == Extents()


def assert_batches(source: BlockSource, expected: bytes, losses: Extents, chance: random.Random) -> None:
    """Batches fill exactly what they ask for, in any order, and report losses where they lie in the buffer."""
    for n_requests in (0, 1, 2, 7, 40):
        requests, truth, lost, length = _batch(expected, losses, chance, n_requests)
        out = np.full(length, _UNTOUCHED, dtype=np.uint8)
        assert source.read_into(requests, out) == lost
        assert out.tobytes() == truth


def _batch(
    expected: bytes, losses: Extents, chance: random.Random, n_requests: int
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.int64]], bytes, Extents, int]:
    """Return requests in random order, what the buffer must hold, its lost parts, and its length."""
    rows, truth, lost = [], bytearray(), []
    for _number in range(n_requests):
        truth += bytes([_UNTOUCHED]) * chance.choice((0, 0, 1, 13))
        offset = chance.choice((0, chance.randint(0, len(expected)), len(expected)))
        length = chance.choice((0, 1, chance.randint(0, len(expected) - offset), len(expected) - offset))
        length = min(length, len(expected) - offset)
        rows.append((offset, length, len(truth)))
        lost.append(losses.clip(offset, offset + length).shift(len(truth) - offset))
        truth += expected[offset : offset + length]
    chance.shuffle(rows)
    truth += bytes([_UNTOUCHED])
    return np.array(rows, dtype=np.int64).reshape(-1, 3), bytes(truth), Extents().union(*lost), len(truth)


def assert_refusals(source: BlockSource) -> None:
    """Requests outside the source or the buffer are the caller's bug."""
    out = np.zeros(8, dtype=np.uint8)
    for request in ((-1, 1, 0), (source.size, 1, 0), (0, -1, 0), (0, 1, 8), (0, 1, -1), (2**63 - 1, 1, 0)):
        with pytest.raises(ValueError, match="outside"):
            source.read_into(np.array([request], dtype=np.int64), out)


def assert_threads(source: BlockSource, expected: bytes, losses: Extents, seed: int) -> None:
    """Several threads at once get what one gets."""
    with ThreadPoolExecutor(4) as pool:
        chances = [random.Random(seed + index) for index in range(8)]
        for future in [pool.submit(assert_batches, source, expected, losses, chance) for chance in chances]:
            future.result()
