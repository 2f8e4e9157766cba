"""How unlike the bytes of pages are, by how often each occurs: sums are mixed otherwise than pages of files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raidfs.evidence.window import PAGE, Numbers

_UNSEEN = 0.5
"""How often a byte is taken to occur that does not [per page]."""

Bits = NDArray[np.float64]


def counts_of(pages: NDArray[np.uint8]) -> Numbers:
    """Count the bytes of pages; uint8 (k, 4096) -> int64 (k, 256)."""
    numbers = pages.astype(np.intp) + np.arange(len(pages), dtype=np.intp)[:, None] * 256
    return np.bincount(numbers.reshape(-1), minlength=len(pages) * 256).reshape(-1, 256)


def unlike(counts: Numbers, others: Numbers) -> Bits:
    """Return how many bits per byte it costs to take pages for others: their relative entropy.

    Args:
        counts: int64 (k, 256), of each page.
        others: int64 (k or 1, 256), of all others together.

    Returns:
        float64 (k,).
    """
    expected = others + _UNSEEN
    share = counts / PAGE
    ratio = np.where(counts > 0, np.maximum(share, 1 / PAGE) / (expected / expected.sum(axis=1, keepdims=True)), 1.0)
    found: Bits = (share * np.log2(ratio)).sum(axis=1)
    return found


def unlike_each_other(counts: Numbers) -> Bits:
    """Return how unlike all others each page is; int64 (k, 256) -> float64 (k,)."""
    return unlike(counts, counts.sum(axis=0) - counts)
