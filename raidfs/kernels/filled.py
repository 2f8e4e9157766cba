"""Which sectors look as if nobody had ever written them: zeros, a pattern that is repeated, or a text that says so.

That is what the tools leave where they could not copy: `dd conv=noerror,sync` zeros, safecopy `BaDbLoCk`, ddrescue's
fill mode the contents of any file, over and over in each cluster, an aborted copy a hole. Honest data look like that
too, so this is a reason to ask the parity and no verdict. Seen are:

- a period of at most 64 bytes, in each sector by itself;
- in a *block* (4096 bytes of the member, aligned: what disks and page caches have in one piece) neighbouring sectors
  that are equal, and sectors of one period of 65 to 256 bytes, if the first one of the block has it;
- a whole block of one period of up to 2048 bytes, half of it;
- the mark of safecopy (`BaDbLoCk`, says its manual), and the location data that ddrescue's `--fill-mode=l` puts in
  front of what fills a sector.

Blocks are looked at as a whole or not at all: a block of which a part was read is always a reason to ask. So it does
not matter in which pieces something is read.

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
BLOCK = 4096
"""Bytes in which sectors are compared with each other."""
LONGEST = 64
"""Longest pattern that is seen in a single sector [bytes]."""
_LONGEST_IN_BLOCK = 256
"""Longest pattern that is seen in a block, other than a sector [bytes]: twice in each sector."""
_HALF = BLOCK // 2
"""Longest pattern that is seen in a whole block [bytes]: twice. All shorter ones have a multiple in its upper half."""
_LEAST = LONGEST // 2 + 1
"""Least period that is tried [bytes]; smaller ones have a multiple from here to LONGEST. (Where all that is done for
each period is to compare a few bytes, 64 are tried: of a loop of 32 rounds the compiler makes slower code.)"""

# kinds of content: CONSTANT is one byte other than zero all over, PATTERN any longer one up to 64 bytes, REPEATED what
# only its block tells, MARKED what says itself that it was not copied
DATA, ZEROS, CONSTANT, PATTERN, REPEATED, MARKED = 0, 1, 2, 3, 4, 5

_WORDS = SECTOR // 8
_PER_BLOCK = BLOCK // SECTOR


def _bytes(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, dtype=np.uint8)


# `\n# position 0x%08X sector 0x%08X status %c ` as GNU ddrescue 1.27 writes it
_POSITION, _NUMBER, _STATUS = _bytes(b"\n# position 0x"), _bytes(b" sector 0x"), _bytes(b" status ")
_SAFECOPY = _bytes(b"BaDbLoCk")
_MARK = np.frombuffer(b"\n# posit", dtype=np.uint64)[0]
_MOST_DIGITS = 16


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
def _holds(piece: NDArray[np.uint8], at: int, text: NDArray[np.uint8]) -> bool:
    """Tell whether a text lies at a place of uint8 (n,)."""
    return len(piece) >= at + len(text) and not _differ(piece[at : at + len(text)], text)


@kernel
def _hexadecimal(piece: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Read upper-case hexadecimal digits from a place on; returns the number and the place behind them."""
    value, end = 0, at
    while end < min(len(piece), at + _MOST_DIGITS):
        digit = int(piece[end])
        if 48 <= digit <= 57:
            value = value * 16 + digit - 48
        elif 65 <= digit <= 70:
            value = value * 16 + digit - 55
        else:
            break
        end += 1
    return value, end


@kernel
def marked_bytes(piece: NDArray[np.uint8]) -> int:
    """Return how many bytes from the start of a sector on are named as not copied by what it holds; 0: none.

    The location data of ddrescue stand in front of each of its sectors, which it was told to be larger perhaps.

    Args:
        piece: uint8 (512,).
    """
    if not _holds(piece, 0, _POSITION):
        return 0
    position, at = _hexadecimal(piece, len(_POSITION))
    if not _holds(piece, at, _NUMBER):
        return 0
    number, at = _hexadecimal(piece, at + len(_NUMBER))
    if not _holds(piece, at, _STATUS):
        return 0
    size = position // number if number > 0 else SECTOR
    return size if size in (1024, 2048, BLOCK) else SECTOR


@kernel
def _long_period(piece: NDArray[np.uint8]) -> int:
    """Return the period of 65 to 256 bytes of a sector; 0: it has none."""
    middle = piece[2 * LONGEST :]
    a, b, c, d, e = piece[0], piece[1], piece[2], middle[0], middle[1]
    found = False
    for p in range(LONGEST + 1, _LONGEST_IN_BLOCK + 1):
        here = (piece[p] == a) & (piece[p + 1] == b) & (piece[p + 2] == c)
        found |= here & (middle[p] == d) & (middle[p + 1] == e)
    if found:
        for p in range(LONGEST + 1, _LONGEST_IN_BLOCK + 1):
            if piece[p] == a and piece[p + 1] == b and not _differ(piece[: SECTOR - p], piece[p:]):
                return p
    return 0


@kernel
def _next_alike(words: NDArray[np.uint64], start: int, stop: int) -> int:
    """Return the first sector of [start, stop) that begins like the next one of its block, or like a mark.

    Args:
        words: uint64 (n * 64,): whole blocks.
        start: number of the first sector.
        stop: behind the last one; returned where there is none.
    """
    for number in range(start, stop):
        word = words[number * _WORDS]
        if word == _MARK or ((number + 1) % _PER_BLOCK and word == words[(number + 1) * _WORDS]):
            return number
    return stop


@kernel
def _any_alike(piece: NDArray[np.uint8]) -> bool:
    """Tell whether in whole blocks any sector equals the next one of its block, or is marked; uint8 (n,)."""
    words, n = piece.view(np.uint64), len(piece) // SECTOR
    number = _next_alike(words, 0, n)
    while number < n:
        at = number * SECTOR
        here = piece[at : at + SECTOR]
        if words[number * _WORDS] == _MARK and marked_bytes(here):
            return True
        if (number + 1) % _PER_BLOCK and not _differ(here, piece[at + SECTOR : at + 2 * SECTOR]):
            return True
        number = _next_alike(words, number + 1, n)
    return False


@kernel
def _first_change(block: NDArray[np.uint8]) -> int:
    """Return where in its first sector a block begins to hold another byte; 0: nowhere."""
    for at in range(1, SECTOR):
        if block[at] != block[0]:
            return at
    return 0


@kernel
def _comes_again(piece: NDArray[np.uint8]) -> bool:
    """Tell whether the first two bytes of a piece of a block come again 1025 to 2048 bytes later."""
    a, b = piece[0], piece[1]
    found = False
    for p in range(_HALF // 2 + 1, _HALF + 1):
        found |= (piece[p] == a) & (piece[p + 1] == b)
    return found


@kernel
def _comes_again_with(piece: NDArray[np.uint8], middle: NDArray[np.uint8]) -> bool:
    """Tell whether the first two bytes of two pieces of a block come again after the same 1025 to 2048 bytes."""
    a, b, c, d = piece[0], piece[1], middle[0], middle[1]
    found = False
    for p in range(_HALF // 2 + 1, _HALF + 1):
        found |= (piece[p] == a) & (piece[p + 1] == b) & (middle[p] == c) & (middle[p + 1] == d)
    return found


@kernel
def _repeats_in_block(block: NDArray[np.uint8]) -> bool:
    """Tell whether uint8 (4096,) repeats one pattern of at most 2048 bytes, if its first sector is not constant.

    Looked for is where it changes for the first time: zeros come again everywhere.
    """
    change = _first_change(block)
    piece = block[max(change - 1, 0) :]
    if change == 0 or not _comes_again(piece) or not _comes_again_with(piece, block[_HALF // 2 :]):
        return False
    a, b = piece[0], piece[1]
    for p in range(_HALF // 2 + 1, _HALF + 1):
        is_like = piece[p] == a and piece[p + 1] == b and not _differ(block[:LONGEST], block[p : p + LONGEST])
        if is_like and not _differ(block[: BLOCK - p], block[p:]):
            return True
    return False


@kernel
def _any_long(piece: NDArray[np.uint8]) -> bool:
    """Tell whether any of whole blocks repeats a pattern, or its first sector one of 65 to 256 bytes; uint8 (n,)."""
    at = 0
    while at < len(piece):
        block = piece[at : at + BLOCK]
        if _long_period(block[:SECTOR]) or _repeats_in_block(block):
            return True
        at += BLOCK
    return False


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
    """Tell whether any sector of a piece of a member is filled, or lies in a block that is not there as a whole.

    Args:
        piece: uint8 (n,).
        offset: of its first byte [image bytes].
    """
    n = len(piece)
    if offset % BLOCK or n % BLOCK:
        return n > 0
    at = _next_candidate(piece, 0, n)
    while at < n:
        if is_filled(piece[at : at + SECTOR]):
            return True
        at = _next_candidate(piece, at + SECTOR, n)
    return _any_alike(piece) or _any_long(piece)


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
def kinds_of(data: NDArray[np.uint8], offset: int, kinds: NDArray[np.uint8]) -> None:
    """Tell what each sector holds; of blocks that are not there as a whole only what is there is compared.

    Args:
        data: uint8 (n * 512 or more,), contiguous.
        offset: of its first byte [image bytes].
        kinds: uint8 (n,), written: DATA, ZEROS, CONSTANT, PATTERN, REPEATED or MARKED.
    """
    n = len(kinds)
    for number in range(n):
        kinds[number] = _kind_of(data[number * SECTOR : (number + 1) * SECTOR])
    first = offset // SECTOR % _PER_BLOCK
    for start in range(-first, n, _PER_BLOCK):
        low, high = max(0, start), min(n, start + _PER_BLOCK)
        _compare_block(data[low * SECTOR : high * SECTOR], start >= 0, kinds[low:high])


@kernel
def _kind_of(piece: NDArray[np.uint8]) -> int:
    """Tell what a sector holds by itself."""
    if not _may_repeat(piece) or not is_filled(piece):
        return DATA
    if _holds(piece, 0, _SAFECOPY):
        return MARKED
    if _differ(piece[:LONGEST], piece[1 : LONGEST + 1]):
        return PATTERN
    return CONSTANT if piece[0] else ZEROS


@kernel
def _compare_block(block: NDArray[np.uint8], has_first: bool, kinds: NDArray[np.uint8]) -> None:
    """Tell what the sectors of a block hold, considering each other.

    Args:
        block: uint8 (k * 512,): a block, or a part of it.
        has_first: its first sector is there.
        kinds: uint8 (k,): what they hold by themselves; overwritten.
    """
    period, marked_until = 0, 0
    is_repeated = has_first and len(kinds) == _PER_BLOCK and kinds[0] == DATA and _repeats_in_block(block)
    for number in range(len(kinds)):
        at = number * SECTOR
        here = block[at : at + SECTOR]
        if number == 0 and has_first and kinds[0] == DATA:
            period = _long_period(here)
        if number + 1 < len(kinds) and kinds[number] in (DATA, REPEATED) and kinds[number + 1] == DATA:
            following = block[at + SECTOR : at + 2 * SECTOR]
            if here[0] == following[0] and here[1] == following[1] and not _differ(here, following):
                kinds[number] = kinds[number + 1] = REPEATED
        is_long = period > 0 and kinds[number] == DATA and not _differ(here[: SECTOR - period], here[period:])
        if is_long or (is_repeated and kinds[number] == DATA):
            kinds[number] = REPEATED
        if here[0] == _POSITION[0]:
            marked_until = max(marked_until, at + marked_bytes(here))
        if at < marked_until:
            kinds[number] = MARKED
