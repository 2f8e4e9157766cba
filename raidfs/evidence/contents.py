"""What pages at any places of members hold, and numbers for it, so that equal ones are found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raidfs.block import BlockSource
from raidfs.evidence.cells import Flags, Ids, page_ids, sector_ids
from raidfs.evidence.window import PAGE, Numbers

_AT_ONCE = 16
"""Requests that a member is given together: it has so long to answer each time."""


def contents_at(images: Mapping[int, BlockSource], role: Numbers, offset: Numbers) -> Ids:
    """Number the contents of pages.

    Args:
        images: by role.
        role: int64, of any shape: on whose members they lie.
        offset: the same, where there [member bytes].

    Returns:
        uint64, of that shape: 0 where it is unknown, or tells nothing: a page that repeats one sector.

    Raises:
        SourceError: a member is gone.
    """
    content, is_known = pages_at(images, role.reshape(-1), offset.reshape(-1))
    sectors = sector_ids(content)
    varied = (sectors != sectors[:, :1]).any(axis=1)
    return np.where(varied & is_known, page_ids(sectors), 0).astype(np.uint64).reshape(role.shape)


def pages_at(images: Mapping[int, BlockSource], role: Numbers, offset: Numbers) -> tuple[NDArray[np.uint8], Flags]:
    """Read pages.

    Args:
        images: by role.
        role: int64 (k,): on whose members they lie.
        offset: int64 (k,): where there [member bytes].

    Returns:
        uint8 (k, 4096), zeros where a page is unknown; bool (k,): it is known.

    Raises:
        SourceError: a member is gone.
    """
    content, is_known = np.zeros((len(role), PAGE), dtype=np.uint8), np.zeros(len(role), dtype=np.bool_)
    for each in np.unique(role).tolist():
        image = images.get(each)
        if image is None:
            continue
        here = np.flatnonzero((role == each) & (offset >= 0) & (offset + PAGE <= image.size))
        here = here[np.argsort(offset[here], kind="stable")]
        data, known = np.zeros((len(here), PAGE), dtype=np.uint8), np.ones(len(here), dtype=np.bool_)
        first = np.flatnonzero(np.diff(offset[here], prepend=-PAGE - 1) != PAGE)
        length = np.diff(first, append=len(here)) * PAGE
        requests = np.stack((offset[here[first]], length, first * PAGE), axis=1).astype(np.int64)
        for at in range(0, len(requests), _AT_ONCE):
            for low, high in image.read_into(requests[at : at + _AT_ONCE], data.reshape(-1)):
                known[low // PAGE : -(-high // PAGE)] = False
        content[here], is_known[here] = data, known
    return content, is_known
