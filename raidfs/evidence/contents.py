"""Numbers for what pages at any places of members hold, so that equal ones are found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from raidfs.block import BlockSource
from raidfs.evidence.cells import Ids, page_ids, sector_ids
from raidfs.evidence.window import PAGE, Numbers
from raidfs.extents import Extents

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
    roles, offsets = role.reshape(-1), offset.reshape(-1)
    found = np.zeros(len(roles), dtype=np.uint64)
    for each in np.unique(roles).tolist():
        image = images.get(each)
        if image is None:
            continue
        here = np.flatnonzero((roles == each) & (offsets >= 0) & (offsets + PAGE <= image.size))
        here = here[np.argsort(offsets[here], kind="stable")]
        data = np.zeros((len(here), PAGE), dtype=np.uint8)
        first = np.flatnonzero(np.diff(offsets[here], prepend=-PAGE - 1) != PAGE)
        length = np.diff(first, append=len(here)) * PAGE
        requests = np.stack((offsets[here[first]], length, first * PAGE), axis=1).astype(np.int64)
        lost = Extents().union(
            *(
                Extents(image.read_into(requests[at : at + _AT_ONCE], data.reshape(-1)))
                for at in range(0, len(requests), _AT_ONCE)
            )
        )
        sectors = sector_ids(data)
        varied = (sectors != sectors[:, :1]).any(axis=1)
        for low, high in lost:
            varied[low // PAGE : -(-high // PAGE)] = False
        found[here] = np.where(varied, page_ids(sectors), 0)
    return found.reshape(role.shape)
