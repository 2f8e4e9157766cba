"""out = sum of c_i * src_i over GF(2^8): every reconstruction of raidfs, from a plain XOR to two erasures of a RAID6.

Algebra: with the bits of the coefficients, sum c_i * s_i = sum over b of 2^b * X_b, where X_b is the XOR of the sources
whose coefficient has bit b. Horner's rule then needs seven doublings, whatever the number of sources. Doubling eight
field elements in one 64-bit word: shift all left, and add 0x1d to those that overflowed (`lib/raid6/int.uc`).

Work goes in blocks that stay in the first-level cache. All kernels write to memory that the caller owns, and touch only
the given ranges; sources and target must not overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import kernel

_BLOCK = 8192
"""Bytes per round: a target block and one source block fit into 32 KiB with room to spare."""


@kernel
def _xor_bytes(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Add one source: target ^= source; both uint8 (n,)."""
    for i in range(len(target)):
        target[i] ^= source[i]


@kernel
def _xor_two(target: NDArray[np.uint8], first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
    """Add two sources at once, which halves the traffic on the target; all uint8 (n,)."""
    for i in range(len(target)):
        target[i] ^= first[i] ^ second[i]


@kernel
def _copy_bytes(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Copy: target = source; both uint8 (n,)."""
    for i in range(len(target)):
        target[i] = source[i]


@kernel
def _double(target: NDArray[np.uint8]) -> None:
    """Multiply each byte of target, uint8 (n,), by 2 in GF(2^8)."""
    for i in range(len(target)):
        value = target[i]
        carry = np.uint8(0x1D) if value & np.uint8(0x80) else np.uint8(0)
        target[i] = np.uint8(value << np.uint8(1)) ^ carry


@kernel
def arena_piece(out: NDArray[np.uint8], scratch: NDArray[np.uint8], position: int, length: int) -> NDArray[np.uint8]:
    """Return `length` bytes of the arena, which is `out` followed by `scratch`; a piece never straddles the two."""
    if position < len(out):
        return out[position : position + length]
    return scratch[position - len(out) : position - len(out) + length]


@kernel
def _sum_block(
    target: NDArray[np.uint8],
    start: int,
    out: NDArray[np.uint8],
    scratch: NDArray[np.uint8],
    terms: NDArray[np.int64],
) -> None:
    """Write one block of a sum.

    Args:
        target: uint8 (n,), n <= _BLOCK; overwritten.
        start: of the block within each source [bytes].
        out: uint8 (m,), first part of the arena.
        scratch: uint8 (k,), second part of the arena.
        terms: int64 (t, 2): position of a source [arena bytes], its coefficient 1..255.
    """
    n = len(target)
    bits = 0
    for j in range(len(terms)):
        bits |= terms[j, 1]
    first = True
    for bit in range(7, -1, -1):
        if bits >> bit == 0:
            continue
        if not first:
            _double(target)
        held = -1
        for j in range(len(terms)):
            if not terms[j, 1] >> bit & 1:
                continue
            if first:
                _copy_bytes(target, arena_piece(out, scratch, terms[j, 0] + start, n))
                first = False
            elif held < 0:
                held = j
            else:
                one = arena_piece(out, scratch, terms[held, 0] + start, n)
                _xor_two(target, one, arena_piece(out, scratch, terms[j, 0] + start, n))
                held = -1
        if held >= 0:
            _xor_bytes(target, arena_piece(out, scratch, terms[held, 0] + start, n))


@kernel
def run_sums(
    out: NDArray[np.uint8], scratch: NDArray[np.uint8], sums: NDArray[np.int64], terms: NDArray[np.int64]
) -> None:
    """Compute every sum of a plan.

    Args:
        out: uint8 (m,): first part of the arena, holds the targets and some sources.
        scratch: uint8 (k,): second part of the arena, holds the other sources.
        sums: int64 (k, 4): target position [arena bytes], length [bytes], first term, number of terms (>= 1).
        terms: int64 (t, 2): source position [arena bytes], coefficient 1..255.
    """
    for s in range(len(sums)):
        target, length = sums[s, 0], sums[s, 1]
        mine = terms[sums[s, 2] : sums[s, 2] + sums[s, 3]]
        for start in range(0, length, _BLOCK):
            stop = min(length, start + _BLOCK)
            _sum_block(out[target + start : target + stop], start, out, scratch, mine)
