"""Which sectors look as if nobody had ever written them: zeros, or a short pattern repeated from end to end.

That is what the tools leave where they could not copy: `dd conv=noerror,sync` zeros, ddrescue's fill mode any text, an
aborted copy a hole. Honest data look like that too, so this is a reason to ask the parity and no verdict.

A sequence has period p if s[i] = s[i - p] throughout; it has the multiples of p then, too, and every p up to 64 has one
from 33 to 64, so that these 32 are all there are. Where p holds for the first p + 64 bytes and breaks later, no other
one up to 64 holds throughout: two periods p, q of a run of at least p + q bytes leave no choice for the byte behind it
(Fine and Wilf). So at most the first 128 bytes are looked at more than once, and those of data that are not filled
hardly ever: only where its first bytes come again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.kernels import kernel

SECTOR = 512
"""Bytes that are looked at together."""
LONGEST = 64
"""Longest pattern that is seen [bytes]."""
_LEAST = LONGEST // 2 + 1
"""Least period that is tried [bytes]; smaller ones have a multiple from here to LONGEST. (Where all that is done for
each period is to compare a few bytes, 64 are tried: of a loop of 32 rounds the compiler makes slower code.)"""

# kinds of content: CONSTANT is one byte other than zero all over, PATTERN any longer one
DATA, ZEROS, CONSTANT, PATTERN = 0, 1, 2, 3


@kernel
def _may_repeat(piece: NDArray[np.uint8]) -> bool:
    """Tell whether the first two bytes of uint8 (n,), n >= 98, come again 33 to 96 bytes later."""
    a, b = piece[0], piece[1]
    found = False
    for p in range(_LEAST, _LEAST + LONGEST):
        found |= (piece[p] == a) & (piece[p + 1] == b)
    return found


@kernel
def _may_well_repeat(piece: NDArray[np.uint8]) -> bool:
    """Tell whether two times three bytes of uint8 (n,), n >= 192, come again after the same 1 to 64 bytes."""
    middle = piece[LONGEST * 2 :]
    a, b, c, d, e, f = piece[0], piece[1], piece[2], middle[0], middle[1], middle[2]
    found = False
    for p in range(1, LONGEST + 1):
        here = (piece[p] == a) & (piece[p + 1] == b) & (piece[p + 2] == c)
        found |= here & (middle[p] == d) & (middle[p + 1] == e) & (middle[p + 2] == f)
    return found


@kernel
def _differ(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> bool:
    """Tell whether two uint8 (n,) differ."""
    found = np.uint8(0)
    for i in range(len(left)):
        found |= left[i] ^ right[i]
    return bool(found != 0)


@kernel
def _repeats(piece: NDArray[np.uint8]) -> bool:
    """Tell whether uint8 (n,), n > 64, repeats one pattern of at most 64 bytes."""
    n = len(piece)
    for p in range(_LEAST, LONGEST + 1):
        cut = min(LONGEST, n - p)
        if not _differ(piece[:cut], piece[p : p + cut]):
            return not _differ(piece[cut : n - p], piece[p + cut :])
    return False


@kernel
def is_filled(piece: NDArray[np.uint8]) -> bool:
    """Tell whether a sector, or a part of one, repeats one pattern of at most 64 bytes.

    Args:
        piece: uint8 (n,). Up to 64 bytes always do.
    """
    n = len(piece)
    return n <= LONGEST or ((n < 4 * LONGEST or _may_well_repeat(piece)) and _repeats(piece))


@kernel
def _next_candidate(piece: NDArray[np.uint8], start: int, stop: int) -> int:
    """Return where the first sector of [start, stop) begins of which `_may_repeat` holds; `stop`: there is none.

    A loop of its own: with anything else in it the compiler makes code for it that takes four times as long.
    """
    for at in range(start, stop, SECTOR):
        if _may_repeat(piece[at : at + SECTOR]):
            return at
    return stop


@kernel
def any_filled(piece: NDArray[np.uint8], offset: int) -> bool:
    """Tell whether any sector of a piece of an image is filled, as far as it is there.

    Args:
        piece: uint8 (n,).
        offset: of its first byte [image bytes].
    """
    n = len(piece)
    first = min(n, -offset % SECTOR)
    last = first + (n - first) // SECTOR * SECTOR
    if (first > 0 and is_filled(piece[:first])) or (last < n and is_filled(piece[last:])):
        return True
    at = _next_candidate(piece, first, last)
    while at < last:
        if is_filled(piece[at : at + SECTOR]):
            return True
        at = _next_candidate(piece, at + SECTOR, last)
    return False


@kernel
def any_read_filled(reads: NDArray[np.int64], arena: NDArray[np.uint8]) -> bool:
    """Tell whether any sector among what was read is filled, as far as it was read.

    Args:
        reads: int64 (k, 4): source, offset [image bytes], length [bytes], position [arena bytes].
        arena: uint8 (m,).
    """
    i = 0
    while i < len(reads) and not any_filled(arena[reads[i, 3] : reads[i, 3] + reads[i, 2]], reads[i, 1]):
        i += 1
    return i < len(reads)


@kernel
def kinds_of(data: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> None:
    """Tell what each sector holds.

    Args:
        data: uint8 (m, n * 512), contiguous.
        kinds: uint8 (m, n), written: DATA, ZEROS, CONSTANT or PATTERN.
    """
    for row in range(len(data)):
        for number in range(kinds.shape[1]):
            piece = data[row, number * SECTOR : (number + 1) * SECTOR]
            kind = DATA
            if is_filled(piece):
                kind = PATTERN
                if not _differ(piece[:LONGEST], piece[1 : LONGEST + 1]):
                    kind = CONSTANT if piece[0] else ZEROS
            kinds[row, number] = kind
