"""From what the rows say to where the reshape stands: the order of the writes, and what follows from it.

The kernel writes rows in order, but for a window in flight: a row with any cell that is new has all rows behind the
window complete, and a row with any cell that is not new has nothing written ahead of the window:

    travel ->   complete ......|<- in flight ->| last written   first left |<- in flight ->|...... untouched

How long the window is nobody records: its default is 256 rows (the stripe cache), and it grows with the chunk. Where
the rows show more disorder than that, nothing follows from their order.

Between rows that tell there may be rows that tell nothing. If the edge is *clean*, as far as many rows show in which a
torn write would be seen, then they are likely to be what the rows around them are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.evidence.cells import Flags
from raidfs.evidence.voices import SUPPORT, support
from raidfs.evidence.votes import Votes
from raidfs.evidence.window import PAGE, Numbers

_CACHE = 256
"""Rows in the kernel's stripe cache (`raid5.c: NR_STRIPES`)."""
_CACHED_CHUNKS = 4
"""The cache holds so many chunks at least: mdadm enlarges it for large chunks (`Grow.c`), as the kernel asks for."""
_NEAR = 64
"""Rows that tell something, on each side of the edge, within which silent rows are looked at with suspicion."""
_REACH = 4
"""They are not where they lie further from the edge than so many times what may be in flight."""
_LONG = 16
"""Rows in a run that tell nothing from which on they are taken for what they look like."""
ENOUGH_SOUND = 64
"""Rows in which a torn write would be seen, and none is, that make an edge clean."""
_FEW_SOUND = 16
"""So many do, too, where they are most of the rows near the edge that hold something."""
_SHARE_SOUND = 0.75
"""What most of them are."""
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Edge:
    """Where the reshape stands, by the surveyed rows in the order of travel.

    Attributes:
        in_flight: rows that may be written in any order.
        last_written: the last row that says that it was written, with support; -1: none.
        first_left: the first row that says that it was not, with support; None: none.
        last_seeming: as `last_written`, of rows that only seem to have been written, too.
        first_seeming: as `first_left`, of rows that only seem not to have been written, too.
        is_ordered: the rows show no more disorder than can be in flight, so that something follows from their order.
        is_strong: rows that speak for themselves suffice for that, and for both rows.
        is_clean: no disorder and no torn row is seen near the edge, and many rows would show it.
        written, likely_written, likely_left, left: bool (k,): see `raidfs.array.front`.
        hidden: bool (k,): rows near the edge in which a tear would not be seen.
    """

    in_flight: int
    last_written: int
    first_left: int | None
    last_seeming: int
    first_seeming: int | None
    is_ordered: bool
    is_strong: bool
    is_clean: bool
    written: Flags
    likely_written: Flags
    likely_left: Flags
    left: Flags
    hidden: Flags


def rows_in_flight(description: ArrayDescription) -> int:
    """Return how many rows the kernel may have in flight, unless somebody enlarged its cache."""
    chunk = max(shape.chunk_size for shape in description.shapes) // PAGE
    return max(_CACHE, _CACHED_CHUNKS * chunk)


def find_edge(votes: Votes, travel: Numbers, in_flight: int) -> Edge:
    """Find the edge.

    Args:
        votes: what the rows say.
        travel: int64 (k,): their numbers in the order of travel, from 0 at the recorded position.
        in_flight: rows that may be written in any order.
    """
    seem_disorder = _disorder(travel[votes.seem_written], travel[votes.seem_left])
    disorder = _disorder(travel[votes.any_written], travel[votes.any_left])
    last_written, first_left, is_strong = _bounds(votes, travel, in_flight, seeming=False)
    # else the cache was larger than we think, or some row deceives us; who may be deceived needs all others with him
    is_ordered = (disorder if is_strong else seem_disorder) <= in_flight
    complete = is_ordered & (travel < last_written - in_flight)
    untouched = (
        np.zeros(len(travel), np.bool_) if first_left is None else is_ordered & (travel > first_left + in_flight)
    )
    # parity may be stale in one row or another; of rows that are left less depends
    are_written = int(votes.alone_written.sum()) >= SUPPORT
    sure_written = (votes.whole & ~votes.any_left & are_written) | complete
    sure_left = (votes.clear & ~votes.any_written) | untouched
    if is_ordered:
        mixed_written, mixed_left = _mixed(votes, travel, (last_written, first_left), in_flight)
        sure_written, sure_left = sure_written | mixed_written, sure_left | mixed_left
    last, first, _ = _bounds(votes, travel, in_flight, seeming=True)
    is_clean = (last >= 0 or first is not None) and seem_disorder < 0
    is_clean = is_clean and _is_clean(votes, travel, (last, first), in_flight)
    silent = ~sure_written & ~sure_left
    hidden = silent & (_hidden(votes, travel, (last, first), in_flight) | _torn_unseen(votes, travel))
    ahead = np.zeros(len(travel), np.bool_) if first is None else travel >= first
    return Edge(
        in_flight=in_flight,
        last_written=last_written,
        first_left=first_left,
        last_seeming=last,
        first_seeming=first,
        is_ordered=is_ordered,
        is_strong=is_strong,
        is_clean=is_clean,
        written=sure_written,
        likely_written=silent & (travel <= last) & is_clean & ~hidden,
        likely_left=silent & ahead & is_clean & ~hidden,
        left=sure_left,
        hidden=hidden,
    )


def _disorder(written: Numbers, left: Numbers) -> int:
    """Return by how many rows something written lies ahead of something left; below 0: it does not."""
    if not len(written) or not len(left):
        return -1
    return int(written.max()) - int(left.min())


def _bounds(votes: Votes, travel: Numbers, in_flight: int, *, seeming: bool) -> tuple[int, int | None, bool]:
    """Return the last row that was written, -1: none, the first that was not, None: none; both with support.

    The third is whether rows that speak for themselves support both.
    """
    last = support(votes.claims_written(-travel, seeming=seeming), in_flight)
    first = support(votes.claims_left(travel, seeming=seeming), in_flight)
    is_strong = all(each is None or each.is_strong for each in (last, first))
    return -1 if last is None else -last.at, None if first is None else first.at, is_strong


def _mixed(votes: Votes, travel: Numbers, between: tuple[int, int | None], in_flight: int) -> tuple[Flags, Flags]:
    """Tell which rows are written, and which are left, by how mixed their cells are.

    Only of rows near others that say so with support, and only in order: where a write landed early, or late, it is not
    believed by that alone.
    """
    low, high = between
    first_left = travel[votes.any_left].min(initial=_FAR)
    last_written = travel[votes.any_written].max(initial=-1)
    written = votes.sum_whole & (travel < first_left) & (travel <= low + in_flight) & (low >= 0)
    left = votes.sum_clear & (travel > last_written)
    left &= np.zeros(len(travel), np.bool_) if high is None else travel >= high - in_flight
    return written, left


def _is_clean(votes: Votes, travel: Numbers, between: tuple[int, int | None], in_flight: int) -> bool:
    """Tell whether a tear would be seen near the edge, and none is."""
    low, high = between
    near = travel >= low - in_flight
    if high is not None:
        near &= travel <= high + in_flight
    n_sound, n_busy = int((votes.sound & near).sum()), int((votes.busy & near).sum())
    is_enough = n_sound >= ENOUGH_SOUND or (n_sound >= _FEW_SOUND and n_sound >= _SHARE_SOUND * n_busy)
    return is_enough and not (votes.torn & near).any()


def _torn_unseen(votes: Votes, travel: Numbers) -> Flags:
    """Tell which rows may be written in part: no equation would show it, and no row before them is known to be left.

    Nothing but that it fails the new equations speaks for such a row.
    """
    first_clear = travel[votes.clear].min(initial=_FAR)
    found: Flags = votes.blind & votes.alone_left & ~votes.unlike & (travel < first_clear)
    return found


def _hidden(votes: Votes, travel: Numbers, between: tuple[int, int | None], in_flight: int) -> Flags:
    """Tell which rows could hide that the writes near the edge did not land in their order.

    Few rows that tell nothing, among others near the edge: if a write of theirs landed early, or not at all, so that
    data were overwritten which had not been copied yet, all that was seen would be zeros. A long run of them is more
    likely to be what it looks like, a place that never held anything.
    """
    low, high = between
    order = np.argsort(travel)
    # where others tell more than that two cells are equal, a row that holds something and is silent may be torn as
    # well; that structures of file systems lie where they should says nothing of what other rows would tell
    is_left = travel >= (low if high is None else high)
    told_written = int((votes.any_written & ~votes.moved).sum()) >= SUPPORT
    told_left = int((votes.any_left & ~votes.kept).sum()) >= SUPPORT
    doubted = ((travel <= low) & told_written) | (is_left & told_left)
    busy = votes.busy & doubted
    # nor is a row believed for two equal cells that lies between those that tell more
    last, first_told = travel[votes.any_written].max(initial=-1), travel[votes.any_left].min(initial=_FAR)
    is_between = doubted & ~votes.any_written & ~votes.any_left & (travel > last) & (travel < first_told)
    tells = ((votes.seem_written | votes.seem_left) & ~is_between)[order]
    behind = np.flatnonzero(tells & (travel[order] <= low))
    ahead = np.flatnonzero(tells & (travel[order] >= high)) if high is not None else behind[:0]
    first = int(behind[-_NEAR]) if len(behind) >= _NEAR else 0
    stop = int(ahead[_NEAR - 1]) if len(ahead) >= _NEAR else len(order)
    number = np.arange(len(order))
    found = busy[order] & ~tells & (number > first) & (number < stop)
    is_empty = ~tells & ~votes.busy[order]
    for run in (~tells, is_empty):
        bounds = np.flatnonzero(np.diff(run.astype(np.int8), prepend=0, append=0))
        for start, end in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
            if end - start < _LONG and end > first and start < stop:
                found[start:end] = True
    hidden = np.zeros(len(order), dtype=np.bool_)
    hidden[order] = found
    hidden &= travel >= low - _REACH * in_flight
    return hidden if high is None else hidden & (travel <= high + _REACH * in_flight)
