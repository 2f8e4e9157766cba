"""Cells that do not hold what a write of their row would have put there: so it was not written.

What a new row is made of are pages of the old geometry. While a user's write has to wait, as it does ahead of the
recorded position, these change only if the reshape goes over them, further on in its travel:

    new row r         | X1  | X2  | P(X) |      made of     X1, X2 at their old places, in rows ahead of r

So where the rows of the old places are known to be as they were, a cell of row r that holds something else than its
page, or its parity, was not written. This needs neither parity of the old geometry nor content that occurs only once,
and each row that it finds to be left is a place from which the next ones behind it are told.

A page counts only if none of its sectors is what it would be: a write may have ended within it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raidfs.evidence.cells import Flags
from raidfs.evidence.survey import Survey
from raidfs.evidence.votes import Votes


def heard(votes: Votes, survey: Survey, is_left: Flags) -> Votes:
    """Add to what rows say that some of their cells hold something else than a write would have put there.

    Args:
        votes: what they say otherwise.
        survey: of the rows.
        is_left: bool (k, n): the row of the cell's `old_place` is as it was before the reshape.
    """
    is_data = np.asarray(survey.new_page >= 0)
    are_left = np.asarray((is_left | ~is_data).all(axis=1))  # of a parity cell all sources count
    unwritten = survey.unlike & (is_left | (~is_data & are_left[:, None]))
    some = np.asarray(unwritten.any(axis=1))
    clear = some & np.asarray((unwritten | survey.absent).all(axis=1))
    return replace(
        votes,
        clear=votes.clear | clear,
        incomplete=votes.incomplete | some,
        sound=votes.sound | clear,
        unlike=some,
    )
