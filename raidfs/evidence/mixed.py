"""Which cell of a row is parity, told by how mixed its bytes are.

Where a reshape keeps the members of a RAID4 or RAID5, old and new parity are the same sum over the same cells. It tells
that a row is not torn, and not which of its cells is the parity. But the sum of pages that have nothing to do with each
other is at least as mixed as each of them: the entropy of its bytes is no less. So if a cell is clearly more mixed than
all others, it is the sum, or pages depend on each other. Of one that is a page, in a row that sums to zero, follows:

    new parity at c, old one at o, H(c) >> H(o);  if c is a page: o = c + A + B, and yet less mixed than c

That can only be if c resembles A, or B, or their sum. So these are tried: o must be less mixed than c with any of the
others added to it. With three pages (c + A = o) nothing remains to be tried; there the difference must be larger, and
it must be found among the bytes where neither o nor A is zero, too, where a page and its changed copy would differ.

Compressed or encrypted pages are as mixed as can be, as is every sum with one of them: such rows say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from raidfs.evidence.cells import Flags
from raidfs.evidence.window import PAGE, Numbers

MARGIN = 0.5
"""By so much the sum is more mixed than each other cell at least, and with parts of them added [bits per byte]."""
MARGIN_OF_THREE = 1.0
"""The same for three cells that hold something, where no parts can be tried."""
_FEWEST = 3
"""Cells that hold something, from which on one can be told from the others."""
_MOST_PARTS = 6
"""Other cells of which all subsets are tried; of more only the small ones, and those that lack few."""
_SMALL = 2
_ENOUGH = PAGE // 8
"""Bytes in which neither of two pages is zero, from which their mixture is told."""
_AT_ONCE = 256
"""Rows that are counted together."""

Bytes = NDArray[np.uint8]
Entropies = NDArray[np.float64]


def more_mixed(cells: Bytes, one: Numbers, two: Numbers) -> tuple[Flags, Flags]:
    """Tell in which rows one of two cells is the sum of all others, because the other one cannot be.

    Args:
        cells: uint8 (k, n, 4096); the cells of each row sum to zero.
        one: int64 (k,): a cell of each row.
        two: int64 (k,): the other, != `one`.

    Returns:
        bool (k,) each: `one` is it, `two` is it.
    """
    found = np.zeros((2, len(cells)), dtype=np.bool_)
    for first in range(0, len(cells), _AT_ONCE):
        here = np.arange(first, min(first + _AT_ONCE, len(cells)))
        pair = np.stack((cells[here, one[here]], cells[here, two[here]]))
        busy = pair.any(axis=2).all(axis=0)
        here, more = here[busy], entropies(pair[0, busy]) - entropies(pair[1, busy])
        for number, (parity, other, margin) in enumerate(((one, two, more), (two, one, -more))):
            for row in here[margin >= MARGIN].tolist():
                found[number, row] = _is_sum(cells[row], int(parity[row]), int(other[row]))
    return found[0], found[1]


def _is_sum(cells: Bytes, parity: int, other: int) -> bool:
    """Tell it of one row; uint8 (n, 4096)."""
    busy = [int(each) for each in np.flatnonzero(cells.any(axis=1))]
    parts = [each for each in busy if each not in (parity, other)]
    if len(busy) < _FEWEST:
        return False
    margin = MARGIN_OF_THREE if len(busy) == _FEWEST else MARGIN
    own, least, *rest = entropies(cells[[parity, other, *parts]]).tolist()
    if own < max(least, *rest) + margin:
        return False
    if len(busy) == _FEWEST:
        return _is_sum_of_two(cells[parity], cells[other], cells[parts[0]])
    tried = np.stack([cells[parity] ^ np.bitwise_xor.reduce(cells[list(each)]) for each in _subsets(parts)])
    return bool((entropies(tried) >= least + margin).all())


def _is_sum_of_two(total: Bytes, one: Bytes, two: Bytes) -> bool:
    """Tell whether a cell is more mixed than two others also among the bytes where neither of these is zero."""
    both = (one != 0) & (two != 0)
    if int(both.sum()) < _ENOUGH:
        return False
    own, first, second = (float(entropies(each[both][None])[0]) for each in (total, one, two))
    return own >= max(first, second) + MARGIN_OF_THREE


def _subsets(parts: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield the subsets that are neither empty nor all."""
    for size in range(1, len(parts)):
        if len(parts) <= _MOST_PARTS or size <= _SMALL or size >= len(parts) - _SMALL:
            yield from combinations(parts, size)


def entropies(pages: Bytes) -> Entropies:
    """Return the entropy of the bytes of each page [bits per byte]; uint8 (k, length) -> float64 (k,)."""
    k, length = pages.shape
    if not k:
        return np.zeros(0)
    numbers = pages.astype(np.intp) + np.arange(k, dtype=np.intp)[:, None] * 256
    counts = np.bincount(numbers.reshape(-1), minlength=k * 256).reshape(k, 256)
    found: Entropies = np.log2(length) - _WEIGHED[counts].sum(axis=1) / length
    return found


_WEIGHED = np.arange(PAGE + 1) * np.log2(np.maximum(np.arange(PAGE + 1), 1))
"""n * log2(n)."""
