"""Which of two shapes an array has, by the sums of its rows: of contents that no structure tells of."""

from __future__ import annotations

import pytest

from raidfs.array.shape import shape_of
from raidfs.evidence.sums import summed_shape
from tests.oracle.layouts import Geometry
from tests.oracle.writer import write_array
from tests.support.simulated import describe, images_of, memory_sources

K = 1024


@pytest.mark.parametrize("gone", [None, 0, 4])
@pytest.mark.parametrize(
    ("mine", "other", "is_told"),
    [
        ((6, 18), (6, 2), True),
        ((6, 2), (6, 18), True),
        ((6, 0), (6, 1), True),
        ((5, 2), (5, 3), False),  # one parity only turns
    ],
)
def test_the_sums_of_rows_tell_the_second_parity(
    mine: tuple[int, int], other: tuple[int, int], is_told: bool, gone: int | None
) -> None:
    array = write_array(Geometry(*mine, 5, 64 * K), 1024 * K, seed=3)
    description = describe(array, without=() if gone is None else (gone,))
    images = dict(memory_sources(images_of(array, description)))
    shapes = shape_of(*mine, 64 * K, 5), shape_of(*other, 64 * K, 5)
    assert summed_shape(description, shapes, images) == (0 if is_told else None)
    assert summed_shape(description, (shapes[1], shapes[0]), images) == (1 if is_told else None)
