"""From where a reshape takes each page: pages that exchange their places."""

from __future__ import annotations

import numpy as np
import pytest

from raidfs.array.shape import shape_of
from raidfs.evidence.moves import Side, are_exchanged
from raidfs.geometry.geometry import zone_of
from tests.oracle.layouts import Geometry, locate

PAGE = 4096
COMPONENT = 1 << 19


@pytest.mark.parametrize("shift", [0, -16384])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Geometry(5, 2, 5, 16384), Geometry(5, 2, 5, 32768)),
        (Geometry(5, 0, 4, 65536), Geometry(5, 0, 4, 131072)),
        (Geometry(5, 2, 4, 16384), Geometry(5, 3, 4, 16384)),
        (Geometry(6, 18, 5, 16384), Geometry(6, 2, 5, 16384)),
        (Geometry(5, 2, 3, 16384), Geometry(5, 2, 4, 16384)),
    ],
    ids=str,
)
def test_pages_that_exchange_their_places(before: Geometry, after: Geometry, shift: int) -> None:
    pages = np.arange(0, before.capacity(COMPONENT), PAGE, dtype=np.int64)
    starts = (1 << 20, (1 << 20) + shift)
    old, new = (
        Side(
            zone_of(shape_of(each.level, each.layout, each.chunk, each.raid_disks), COMPONENT),
            dict.fromkeys(range(each.raid_disks), start),
        )
        for each, start in zip((before, after), starts, strict=True)
    )

    def place(geometry: Geometry, page: int, start: int) -> tuple[int, int]:
        role, offset = locate(geometry, page)
        return role, start + offset

    old_places = {page: place(before, page, starts[0]) for page in pages.tolist()}
    new_places = {page: place(after, page, starts[1]) for page in pages.tolist()}
    lay_at = {there: page for page, there in old_places.items()}
    expected = []
    for page in pages.tolist():
        other = lay_at.get(new_places[page], page)
        expected.append(other != page and new_places.get(other) == old_places[page])
    assert are_exchanged(pages, old, new).tolist() == expected
