"""Columns take turns, whatever is read of them and whatever is lost."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.linear import ZEROS, window
from raidfs.volume.striped import Striped
from tests.support.contract import assert_contract


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 6), st.integers(0, 1 << 60))
def test_it_is_what_the_definition_says(width: int, stripe: int, rows: int, seed: int) -> None:
    chance = Random(seed)
    length = rows * stripe + chance.randint(0, stripe - 1)
    columns = [chance.randbytes(length) for _ in range(width)]
    starts = [chance.randint(0, length) for _ in range(width)]
    losses = [Extents.span(start, chance.randint(start, length)) for start in starts]
    truth, lost = bytearray(), []
    for row in range(rows):
        for number in range(width):
            for at in range(row * stripe, (row + 1) * stripe):
                if losses[number].contains(at, at + 1):
                    lost.append((len(truth), len(truth) + 1))
                truth.append(columns[number][at])
    sources = [MemorySource(data, gone) for data, gone in zip(columns, losses, strict=True)]
    assert_contract(Striped(sources, stripe), bytes(truth), Extents(lost), seed)


def test_it_reads_at_once_what_its_columns_can() -> None:
    out = np.ones(40, dtype=np.uint8)
    assert Striped([window(ZEROS, 0, 100), window(ZEROS, 0, 100)], 10).try_read_into(5, out)
    assert not out.any()
    assert not Striped([window(ZEROS, 0, 100), MemorySource(bytes(100))], 10).try_read_into(5, out)


def test_it_needs_columns_and_stripes() -> None:
    with pytest.raises(ValueError, match="columns"):
        Striped([], 10)
    with pytest.raises(ValueError, match="size"):
        Striped([MemorySource(b"x")], 0)
