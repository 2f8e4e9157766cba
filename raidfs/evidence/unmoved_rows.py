"""Whether the reshape came as far as its recorded position says, by the sums of rows behind it.

Where both geometries bind their rows by other sums, one that is right in the old geometry only was never moved. What is
right in both tells as well where members were added that held zeros: in a row that was moved the new member holds
something, at the latest where the parity comes to lie on it.
"""

from __future__ import annotations

from collections.abc import Mapping

from raidfs.array.description import ArrayDescription, Direction
from raidfs.block import BlockSource
from raidfs.evidence.overshot import distances
from raidfs.evidence.survey import Surveyor
from raidfs.evidence.votes import votes_of
from raidfs.evidence.window import PAGE, window_of
from raidfs.extents import Extents

_PROBED = 16
"""Rows that are looked at together."""
_ENOUGH = 8
"""Rows that are right in the old geometry only, to tell."""
_TIMES = 8
"""Rows that are right in the new one only must be so many times fewer: some may be damaged."""
_STRIPES = 16
"""Stripes with rows that are right in both, to tell."""
_MOVED = 2
"""Rows at one place that are right in the new geometry only, where the reshape has been."""


def unmoved_rows(description: ArrayDescription, images: Mapping[int, BlockSource]) -> Extents:
    """Return where a reshape never came, though its recorded position says so [array bytes]; empty: nothing tells so.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    window, reshape = window_of(description), description.reshape
    if window is None or reshape is None:
        return Extents()
    forward, n_data = reshape.direction is Direction.FORWARD, reshape.after.n_data
    cut = min(window.first if forward else window.stop, window.after.n_rows)
    surveyor = Surveyor(window, images)
    grows = reshape.after.raid_disks > reshape.before.raid_disks and window.after.zone.table.period > 1
    n_old = n_new = 0
    stripes: set[int] = set()
    reached = 0 if forward else window.after.n_rows
    for far in distances(_PROBED, cut if forward else window.after.n_rows - cut):
        start = cut - far if forward else cut + far - _PROBED
        survey = surveyor.survey(start, start + _PROBED)
        votes = votes_of(survey)
        asked = (survey.n_old > 0) & (survey.n_new > 0) & (survey.varied & survey.known).any(axis=1)
        new = int(((asked & survey.holds_new & ~survey.holds_old) | (votes.pair_written & ~votes.pair_left)).sum())
        old = int(((asked & survey.holds_old & ~survey.holds_new) | (votes.pair_left & ~votes.pair_written)).sum())
        if new >= _MOVED and new >= old:
            reached = start + _PROBED if forward else start
            break
        n_old, n_new = n_old + old, n_new + new
        stripes.update(survey.new_stripe[asked & survey.holds_old & survey.holds_new].tolist())
    is_told = n_old >= _ENOUGH and n_old >= _TIMES * n_new
    is_told |= grows and not n_new and len(stripes) >= _STRIPES
    low, high = sorted((reached, cut))
    return Extents.span(low * PAGE * n_data, high * PAGE * n_data).clip(0, description.size) if is_told else Extents()
