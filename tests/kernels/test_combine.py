"""Sums over GF(2^8), compiled, against shift and add: any coefficient, length and place."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.kernels.combine import run_sums
from tests.oracle.parity import add, scale


@st.composite
def batches(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Draw sums and terms whose pieces neither overlap nor straddle the border, and the sizes of both memories."""
    rows: list[tuple[int, int, int, int]] = []
    terms: list[tuple[int, int]] = []
    out_size, scratch_at, scratch = 0, 0, []
    lengths = st.one_of(st.integers(0, 70), st.sampled_from([255, 4095, 8191, 8192, 8193, 16385]))
    for _ in range(draw(st.integers(0, 3))):
        length, n_terms = draw(lengths), draw(st.integers(1, 6))
        in_out = draw(st.lists(st.booleans(), min_size=n_terms, max_size=n_terms))
        gaps = draw(st.lists(st.integers(0, 9), min_size=n_terms + 1, max_size=n_terms + 1))
        target = out_size + gaps[-1]
        out_size = target + length
        rows.append((target, length, len(terms), n_terms))
        for inside, gap in zip(in_out, gaps, strict=False):
            coefficient = draw(st.integers(1, 255))
            if inside:
                terms.append((out_size + gap, coefficient))
                out_size += gap + length
            else:
                scratch.append(len(terms))
                terms.append((scratch_at + gap, coefficient))
                scratch_at += gap + length
    out_size += draw(st.integers(0, 5))
    for number in scratch:
        terms[number] = (terms[number][0] + out_size, terms[number][1])
    sums = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return sums, np.array(terms, dtype=np.int64).reshape(-1, 2), out_size, scratch_at


def naive(arena: bytes, sums: NDArray[np.int64], terms: NDArray[np.int64]) -> bytes:
    """The same by the oracle's arithmetic."""
    result = bytearray(arena)
    for target, length, first, count in sums.tolist():
        mine = terms[first : first + count].tolist()
        result[target : target + length] = add((scale(c, arena[at : at + length]) for at, c in mine), length)
    return bytes(result)


@settings(max_examples=200)
@given(batches(), st.integers(0, 1 << 30))
def test_sums_are_right_and_touch_nothing_else(
    batch: tuple[NDArray[np.int64], NDArray[np.int64], int, int], seed: int
) -> None:
    sums, terms, out_size, scratch_size = batch
    content = Random(seed).randbytes(out_size + scratch_size)
    out = np.frombuffer(content[:out_size], dtype=np.uint8).copy()
    scratch = np.frombuffer(content[out_size:], dtype=np.uint8).copy()
    run_sums(out, scratch, sums, terms)
    assert out.tobytes() + scratch.tobytes() == naive(content, sums, terms)


@pytest.mark.parametrize("coefficient", range(1, 256))
def test_every_coefficient(coefficient: int) -> None:
    source = bytes(range(256)) + b"\x00\xff\x80"
    other = bytes(reversed(source))
    scratch = np.frombuffer(b"?" + source + other, dtype=np.uint8)
    out = np.full(len(source) + 2, 0xA5, dtype=np.uint8)
    sums = np.array([[1, len(source), 0, 2]], dtype=np.int64)
    terms = np.array([[len(out) + 1, coefficient], [len(out) + 1 + len(source), 1]], dtype=np.int64)
    run_sums(out, scratch, sums, terms)
    assert out.tobytes() == b"\xa5" + add([scale(coefficient, source), other], len(source)) + b"\xa5"


def test_nothing_to_do() -> None:
    out = np.arange(7, dtype=np.uint8)
    empty = np.zeros(0, dtype=np.uint8)
    run_sums(out, empty, np.zeros((0, 4), dtype=np.int64), np.zeros((0, 2), dtype=np.int64))
    run_sums(out, empty, np.array([[7, 0, 0, 1]], dtype=np.int64), np.array([[0, 3]], dtype=np.int64))
    assert out.tolist() == list(range(7))
