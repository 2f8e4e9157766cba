"""Structures of file systems near the front of a reshape that lie where they say, in one geometry only.

    array page      new place   old place
    of a bitmap     the bitmap  other data      its row was written, in part at least
    of a bitmap     other data  the bitmap      the row at its old place was not written as a whole

That needs neither parity nor duplicates, so that it tells of arrays that were RAID0, too. Such a structure has a
checksum or an identity of its file system, so it is not there by chance (`raidfs.evidence.structures`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raidfs.block import BlockSource
from raidfs.evidence.announced import Structure
from raidfs.evidence.structures import structures_in
from raidfs.evidence.survey import Survey
from raidfs.evidence.votes import Votes
from raidfs.evidence.window import PAGE, Numbers, Window
from raidfs.extents import Extents


@dataclass(frozen=True)
class Belonging:
    """What lies where it says.

    Attributes:
        moved: at its new place only.
        kept: at its old place only.
    """

    moved: tuple[Structure, ...] = ()
    kept: tuple[Structure, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return bool(self.moved or self.kept)


NONE = Belonging()
"""Nothing was looked for, or found."""


def belonging(new: BlockSource, old: BlockSource, where: Extents) -> Belonging:
    """Look for structures in both readings.

    Args:
        new: the array as if the reshape had come as far as it can.
        old: the array as if it had come no further than recorded.
        where: what is undecided [array bytes].

    Raises:
        SourceError: a source is gone.
    """
    moved, kept = ({(each.position, each.what): each for each in structures_in(source, where)} for source in (new, old))
    return Belonging(
        tuple(each for key, each in moved.items() if key not in kept),
        tuple(each for key, each in kept.items() if key not in moved),
    )


def with_structures(votes: Votes, survey: Survey, window: Window, found: Belonging) -> Votes:
    """Add to what rows say what structures tell."""
    if not found:
        return votes
    moved = np.isin(survey.rows, _rows(found.moved, window, is_new=True))
    kept = np.isin(survey.rows, _rows(found.kept, window, is_new=False))
    return replace(
        votes,
        written=votes.written | moved,
        incomplete=votes.incomplete | kept,
        moved=moved,
        kept=kept,
    )


def _rows(structures: tuple[Structure, ...], window: Window, *, is_new: bool) -> Numbers:
    """Return the rows in which the pages of structures lie, numbered as those of the new geometry."""
    pages = [
        np.arange(each.position // PAGE, -(-(each.position + each.length) // PAGE), dtype=np.int64)
        for each in structures
    ]
    if not pages:
        return np.zeros(0, dtype=np.int64)
    all_pages = np.unique(np.concatenate(pages))
    return (window.after.cell_of if is_new else window.old_cell)(all_pages)[1]
