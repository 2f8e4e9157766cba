"""Which of two shapes an array has, asked by parity: rows whose sums are right in one of them and wrong in the other.

Layouts of one parity only turn it from row to row, which no sum tells; the second parity weighs its row's members by
their places, which it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from raidfs.array.description import ArrayDescription, Direction, Reshape
from raidfs.array.shape import Shape
from raidfs.block import BlockSource
from raidfs.evidence.survey import Surveyor
from raidfs.evidence.window import window_of
from raidfs.units import align_down

_PLACES, _PROBED = 32, 16
"""Places that are looked at, all over the members, and page rows at each."""
_ENOUGH = 8
"""Rows that decide together."""
_TIMES = 8
"""Rows that speak for the other shape must be so many times fewer: some may be torn or damaged."""


def summed_shape(
    description: ArrayDescription, shapes: tuple[Shape, Shape], images: Mapping[int, BlockSource]
) -> int | None:
    """Return which of two shapes the sums of rows speak for: 0 or 1; None: they decide nothing.

    Args:
        description: the array, with its alternatives.
        shapes: those that it may have.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    before, after = shapes
    as_reshape = replace(
        description, shape=after, alternatives=(), reshape=Reshape(before, after, 0, Direction.FORWARD)
    )
    window = window_of(as_reshape)
    if window is None:
        return None
    surveyor = Surveyor(window, images)
    n_rows = min(window.before.n_rows, window.after.n_rows)
    n_old = n_new = 0
    for start in sorted({align_down(n_rows * place // _PLACES, _PROBED) for place in range(_PLACES)}):
        survey = surveyor.survey(start, min(start + _PROBED, n_rows))
        asked = (survey.n_old > 0) & (survey.n_new > 0)
        n_old += int((asked & survey.holds_old & ~survey.holds_new).sum())
        n_new += int((asked & survey.holds_new & ~survey.holds_old).sum())
    for number, mine, other in ((0, n_old, n_new), (1, n_new, n_old)):
        if mine >= _ENOUGH and mine >= _TIMES * other:
            return number
    return None
