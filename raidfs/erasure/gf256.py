"""The field GF(2^8) of RAID6: polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d), generator 2 (`lib/raid6/mktables.c`).

Addition is XOR; multiplication goes through logarithms: a * b = g ** (log a + log b).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x11D


def _powers() -> NDArray[np.uint8]:
    """Return g ** i for i in 0 .. 509 (two rounds, so that sums of two logarithms need no modulo)."""
    powers = np.zeros(510, dtype=np.uint8)
    value = 1
    for i in range(510):
        powers[i] = value
        value <<= 1
        if value & 0x100:
            value ^= POLYNOMIAL
    return powers


EXP = _powers()
"""uint8 (510,): EXP[i] = g ** i."""

LOG = np.zeros(256, dtype=np.int16)
"""int16 (256,): LOG[EXP[i]] = i for i < 255; LOG[0] has no meaning."""
LOG[EXP[:255]] = np.arange(255)


def multiply(left: int, right: int) -> int:
    """Return the product of two field elements."""
    if left == 0 or right == 0:
        return 0
    return int(EXP[int(LOG[left]) + int(LOG[right])])


def inverse(value: int) -> int:
    """Return 1 / value.

    Raises:
        ZeroDivisionError: value is 0.
    """
    if value == 0:
        raise ZeroDivisionError("0 has no inverse in GF(2^8)")
    return int(EXP[255 - int(LOG[value])])


@lru_cache(maxsize=256)
def products(factor: int) -> NDArray[np.uint8]:
    """Return the multiples of an element by every element; uint8 (256,)."""
    found = np.zeros(256, dtype=np.uint8)
    if factor:
        found[1:] = EXP[LOG[factor] + LOG[1:]]
    return found


def power(exponent: int) -> int:
    """Return g ** exponent for any exponent >= 0."""
    return int(EXP[exponent % 255])
