"""Situations of `tests.support.worth` in the words of `tests.oracle.cells`, which knows both geometries at once."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle.cells import DOUBTFUL, SURE, Source
from tests.oracle.cells import Situation as Whole
from tests.oracle.ranges import Range
from tests.support.worth import Situation

_BEYOND_ALL = 1 << 60


def whole_situation(situation: Situation, quiet: Sequence[Range] = ()) -> Whole:
    """Say the same to the oracle that solves both geometries of a reshape together; quiet: see `cells.Situation`."""
    array = situation.array
    rows = {
        (start - member.new_data_offset, stop - member.new_data_offset)
        for member in array.members
        if member.role in situation.at_risk
        for start, stop in [situation.at_risk[member.role]]
    }
    return Whole(
        geometry=array.geometry,
        component_size=array.component_size,
        sources=tuple(
            Source(
                role=member.role,
                size=member.size,
                data_offset=member.data_offset,
                new_data_offset=member.new_data_offset,
                recovered_to=member.recovered_to,
                invalid=member.invalid,
                trust=DOUBTFUL if member.role in situation.doubtful else SURE,
            )
            for member in array.members
        ),
        after=array.after,
        position=array.position,
        backwards=array.backwards,
        at_risk=rows.pop() if rows else (0, 0),
        quiet=tuple(quiet),
        unproven=() if situation.resync_offset is None else ((situation.resync_offset, _BEYOND_ALL),),
    )
