"""Does a stripe agree with its parity, and if not, which member is wrong: P and Q over a batch of rows.

Algebra, for each byte of a row, over GF(2^8) with generator g = 2, data D_i with exponents e_i:

    S = P + sum D_i               both are zero where everything is right
    T = Q + sum g^e_i * D_i

One wrong cell, by x:   P: S = x, T = 0.   Q: S = 0, T = x.   D_i: S = x, T = g^e_i * x.
So T = g^z * S for one z = e_i over the whole sector names D_i (z = log T - log S). Two wrong cells fit one exponent at
every byte of a sector only by accident: for one differing byte with a chance of n_data in 255, for more of them the
same to their power. A missing cell is treated as the wrong one: what it alone explains agrees, and one equation is left
to detect with, none to locate with.

T is summed by Horner's rule from the highest exponent down, where a step that no data belong to only doubles (DDF
layouts leave the exponents of P and Q out). Work goes in blocks that stay in the first-level cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import kernel

SECTOR = 512
"""Bytes that get one verdict."""

# verdicts below 0; from 0 on: role of the single member that is wrong
AGREES, UNLOCATED, UNCHECKED = -1, -2, -3
# what `absent` says below 0; from 0 on: role of the one member that is not to be used
NOBODY, UNCHECKABLE = -1, -2

_BLOCK = 16
"""Sectors per round: both syndromes and a source take 24 KiB."""


@kernel
def _add(p: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Add a cell to S: p += source; uint8 (n,)."""
    for i in range(len(p)):
        p[i] ^= source[i]


@kernel
def _add_both(p: NDArray[np.uint8], q: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Take one step of Horner's rule: p += source, q = 2 * q + source; all uint8 (n,)."""
    for i in range(len(p)):
        value = q[i]
        carry = np.uint8(0x1D) if value & np.uint8(0x80) else np.uint8(0)
        q[i] = np.uint8(value << np.uint8(1)) ^ carry ^ source[i]
        p[i] ^= source[i]


@kernel
def _double(q: NDArray[np.uint8]) -> None:
    """Multiply each byte of uint8 (n,) by 2."""
    for i in range(len(q)):
        value = q[i]
        carry = np.uint8(0x1D) if value & np.uint8(0x80) else np.uint8(0)
        q[i] = np.uint8(value << np.uint8(1)) ^ carry


@kernel
def _any(values: NDArray[np.uint8]) -> bool:
    """Tell whether any byte of uint8 (n,) is not zero."""
    found = np.uint8(0)
    for i in range(len(values)):
        found |= values[i]
    return bool(found != 0)


@kernel
def _differ(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> bool:
    """Tell whether two uint8 (n,) differ."""
    found = np.uint8(0)
    for i in range(len(left)):
        found |= left[i] ^ right[i]
    return bool(found != 0)


@kernel
def _judge(
    p: NDArray[np.uint8], q: NDArray[np.uint8], steps: NDArray[np.int16], parity: NDArray[np.int16], absent: int
) -> int:
    """Return the verdict on one sector of a stripe.

    Args:
        p: uint8 (512,), S; overwritten.
        q: uint8 (512,), T; zeros where there is no Q.
        steps: int16 (k,): role of the data with exponent k - 1, ..., 0; -1: none.
        parity: int16 (2,): role of P, role of Q or -1.
        absent: role that did not take part, or NOBODY.
    """
    if absent == NOBODY:
        p_fails, q_fails = _any(p), _any(q)
        if not p_fails and not q_fails:
            return AGREES
        if parity[1] < 0:
            return UNLOCATED
        if not p_fails:
            return int(parity[1])
        if not q_fails:
            return int(parity[0])
    elif absent == parity[0]:
        return UNLOCATED if _any(q) else AGREES
    elif absent == parity[1]:
        return UNLOCATED if _any(p) else AGREES
    for step in range(len(steps) - 1, -1, -1):
        role = steps[step]
        if role >= 0 and (absent < 0 or absent == role) and not _differ(p, q):
            return int(role) if absent < 0 else AGREES
        _double(p)
    return UNLOCATED


@kernel
def _sum_block(
    data: NDArray[np.uint8],
    start: int,
    p: NDArray[np.uint8],
    q: NDArray[np.uint8],
    steps: NDArray[np.int16],
    parity: NDArray[np.int16],
    absent: int,
) -> None:
    """Compute S and T of one block of a stripe.

    Args:
        data: uint8 (raid_disks, m).
        start: of the block in each row of `data` [bytes].
        p: uint8 (n,), S; overwritten.
        q: uint8 (n,), T; overwritten, zeros where there is no Q.
        steps: see `_judge`.
        parity: see `_judge`.
        absent: role whose bytes are left out, or NOBODY.
    """
    stop = start + len(p)
    p[:] = 0
    q[:] = 0
    for step in range(len(steps)):
        role = steps[step]
        if role < 0 or role == absent:
            if parity[1] >= 0:
                _double(q)
        elif parity[1] >= 0:
            _add_both(p, q, data[role, start:stop])
        else:
            _add(p, data[role, start:stop])
    if parity[0] != absent:
        _add(p, data[parity[0], start:stop])
    if parity[1] >= 0 and parity[1] != absent:
        _add(q, data[parity[1], start:stop])


@kernel
def check_rows(
    data: NDArray[np.uint8],
    absent: NDArray[np.int16],
    steps: NDArray[np.int16],
    parity: NDArray[np.int16],
    first: int,
    chunk_sectors: int,
    verdict: NDArray[np.int16],
) -> None:
    """Judge every sector of a batch of rows.

    Args:
        data: uint8 (raid_disks, n * 512 or more), contiguous: the same component bytes of every role; those of roles
            that are absent in a sector are not looked at.
        absent: int16 (n,): NOBODY, the role of the one member that is not to be used (only where there is a Q), or
            UNCHECKABLE.
        steps: int16 (period, k): by stripe of the period, the role of the data with exponent k - 1, ..., 0 in Q; -1:
            none has it. Without Q any order will do.
        parity: int16 (period, 2): role of P, role of Q or -1.
        first: component sector at which `data` begins.
        chunk_sectors: sectors per chunk.
        verdict: int16 (n,), written: AGREES, the role of the single member that is wrong, UNLOCATED (it is wrong, but
            nobody can tell where), or UNCHECKED.
    """
    n = len(verdict)
    p_room = np.empty(_BLOCK * SECTOR, dtype=np.uint8)
    q_room = np.empty(_BLOCK * SECTOR, dtype=np.uint8)
    at = 0
    while at < n:
        stripe, inside = divmod(first + at, chunk_sectors)
        most = min(n, at + min(_BLOCK, chunk_sectors - inside))
        end = at + 1
        while end < most and absent[end] == absent[at]:
            end += 1
        if absent[at] == UNCHECKABLE:
            verdict[at:end] = UNCHECKED
        else:
            row = stripe % len(steps)
            p, q = p_room[: (end - at) * SECTOR], q_room[: (end - at) * SECTOR]
            _sum_block(data, at * SECTOR, p, q, steps[row], parity[row], absent[at])
            if not _any(p) and not _any(q):
                verdict[at:end] = AGREES
            else:
                for each in range(at, end):
                    low = (each - at) * SECTOR
                    high = low + SECTOR
                    verdict[each] = _judge(p[low:high], q[low:high], steps[row], parity[row], absent[at])
        at = end
