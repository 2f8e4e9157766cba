"""How far a reshape really came: rows proven new, rows proven old, and what is open between them.

The recorded position lags behind what was written; where that can have destroyed old data (`at_risk_bytes`), the rows
ahead of it are asked themselves. What is proven is kept in `Reshape.front`; the geometry serves every byte from the
better of its two places, and what neither place is proven to hold is doubtful, unless both hold the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.array.front import Front, Proof
from raidfs.block import BlockSource
from raidfs.evidence.belonging import NONE, Belonging, with_structures
from raidfs.evidence.cells import Flags
from raidfs.evidence.edge import Edge, find_edge, rows_in_flight
from raidfs.evidence.survey import NOWHERE, Survey, Surveyor, joined
from raidfs.evidence.unlike import heard
from raidfs.evidence.voices import support
from raidfs.evidence.votes import Votes, agreed_pages, votes_of
from raidfs.evidence.window import PAGE, Numbers, Window, window_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import at_risk_bytes, at_risk_rows
from raidfs.units import align_down, align_up

_FIRST = 1 << 10
"""Rows that are looked at first; then as many again, as long as the edge is not found."""
_AT_ONCE = 1 << 12
"""Rows that are held in memory together: 16 MiB of every member."""
_PROBED = 64
"""Rows that are looked at to see where to begin."""
_REACH = 4
"""Rows behind the last that seem to be written are looked at for so many times those that may be in flight."""
_MOST = 1 << 18
"""Rows that are looked at at most: 1 GiB of every member."""


def find_front(
    description: ArrayDescription,
    images: Mapping[int, BlockSource],
    in_flight: int | None = None,
    structures: Belonging = NONE,
) -> ArrayDescription:
    """Ask the rows ahead of the recorded position how far the reshape came.

    Args:
        description: the array.
        images: by role, of the members that serve.
        in_flight: rows that may have been written in any order; None: what the kernel's defaults allow.
        structures: of file systems, that are known to lie where they say.

    Returns:
        The description with `Reshape.front`; unchanged where there is nothing to ask: the recorded position is exact.

    Raises:
        SourceError: a member is gone.
    """
    window, reshape = window_of(description), description.reshape
    if window is None or reshape is None or window.first >= window.stop or not _is_wanted(description):
        return description
    n_flight = rows_in_flight(description) if in_flight is None else in_flight
    surveyor = Surveyor(window, images)
    begun = _begin(window, surveyor, n_flight)
    survey, votes, edge = _look(window, surveyor, n_flight, begun, structures)
    if begun and not _before(window, survey, edge):
        survey, votes, edge = _look(window, surveyor, n_flight, 0, structures)
    front = _front(window, survey, votes, edge)
    quiet = reshape.quiet.union(_quiet(description, window))
    return replace(description, reshape=replace(reshape, front=front, quiet=quiet))


def _is_wanted(description: ArrayDescription) -> bool:
    """Tell whether something may have been overwritten that is needed.

    Where a member is missing, old copies behind the position are needed, too.
    """
    return bool(at_risk_bytes(description) or (at_risk_rows(description) and description.missing_roles))


def _look(
    window: Window, surveyor: Surveyor, in_flight: int, begun: int, structures: Belonging
) -> tuple[Survey, Votes, Edge]:
    """Look at rows from `begun` on until enough of them say that the reshape did not come to them, or to the end."""
    surveys: list[Survey] = []
    total = window.stop - window.first
    done = begun
    while True:
        more = min(max(_FIRST, done - begun), total - done)
        for start in range(done, done + more, _AT_ONCE):
            surveys.append(_survey(window, surveyor, start, min(_AT_ONCE, done + more - start)))
        done += more
        survey = joined(surveys)
        travel = window.travel(survey.rows)
        votes, edge = _weigh(window, survey, travel, in_flight, structures)
        if done >= total or done - begun >= _MOST or _is_passed(edge, votes, travel, done):
            return survey, votes, edge


def _weigh(
    window: Window, survey: Survey, travel: Numbers, in_flight: int, structures: Belonging
) -> tuple[Votes, Edge]:
    """Let the rows speak, and find the edge; rows known to be left let those speak that are made of them."""
    votes = with_structures(votes_of(survey), survey, window, structures)
    edge = find_edge(votes, travel, in_flight)
    while True:
        more = heard(votes, survey, _are_left(window, survey, edge))
        if (more.incomplete == votes.incomplete).all() and (more.clear == votes.clear).all():
            return votes, edge
        votes = more
        edge = find_edge(votes, travel, in_flight)


def _are_left(window: Window, survey: Survey, edge: Edge) -> Flags:
    """Tell of each cell whether its `old_place` lies in a row that is as it was before the reshape."""
    rows = survey.old_place
    travel = window.travel(np.where(rows == NOWHERE, survey.rows[:, None], rows))
    left = np.isin(rows, survey.rows[edge.left]) | (travel >= window.stop - window.first)
    if edge.first_left is not None and edge.is_ordered:
        left |= travel > edge.first_left + edge.in_flight
    found: Flags = left & (rows != NOWHERE)
    return found


def _survey(window: Window, surveyor: Surveyor, start: int, n: int) -> Survey:
    """Look at `n` rows from `start` on in the order of travel."""
    first = window.first + start if window.forward else window.stop - start - n
    return surveyor.survey(first, first + n)


def _begin(window: Window, surveyor: Surveyor, in_flight: int) -> int:
    """Return how many rows need not be looked at, because the reshape is well beyond them.

    They are found by doubling, then halving the distance between a few rows that are all written and others; whether
    it is true is seen when all rows from there on have been looked at. Rows that may be deceived need all others.
    """
    reach, total = _REACH * max(1, in_flight), window.stop - window.first
    n = min(max(_PROBED, in_flight), reach)

    def is_written(start: int) -> bool:
        votes = votes_of(_survey(window, surveyor, start, n))
        said = support(votes.claims_written(np.arange(len(votes.whole)), seeming=False), n)
        return said is not None and not votes.any_left.any()

    low, high = 0, reach
    while high + n <= total and is_written(high):
        low, high = high, 2 * high
    high = min(high, total)
    while low and high - low > reach:
        middle = (low + high) // 2
        if middle + n <= total and is_written(middle):
            low = middle
        else:
            high = middle
    return max(0, low - reach)


def _is_passed(edge: Edge, votes: Votes, travel: Numbers, done: int) -> bool:
    """Tell whether the last rows that were looked at lie ahead of the front for sure."""
    if (
        edge.first_left is None
        or not (edge.is_ordered and edge.is_strong)
        or edge.first_left + 2 * edge.in_flight >= done
    ):
        return False
    lately = travel >= done - edge.in_flight
    return not (votes.any_written & lately).any() and edge.last_written < edge.first_left + edge.in_flight


def _front(window: Window, survey: Survey, votes: Votes, edge: Edge) -> Front:
    """Put what was found into rows and bytes."""
    sure, equal = agreed_pages(survey)
    return Front(
        cut=_guess(window, survey, edge),
        written=_rows(survey, edge.written).union(_before(window, survey, edge)),
        likely_written=_rows(survey, edge.likely_written),
        likely_left=_rows(survey, edge.likely_left),
        left=_rows(survey, edge.left).union(_beyond(window, survey, edge)),
        agreed=_pages(sure),
        likely_agreed=_pages(equal[~_may_be_lost(window, survey, edge, equal)]) if edge.is_clean else Extents(),
        proofs=_proofs(window, survey, votes, edge),
        disorder=_disorder(window, edge),
    )


def _disorder(window: Window, edge: Edge) -> Extents:
    """Return where rows of one run cannot be left and written."""
    if edge.first_left is None or edge.last_written - edge.first_left <= edge.in_flight:
        return Extents()
    return _span(window, edge.first_left, edge.last_written + 1)


def _may_be_lost(window: Window, survey: Survey, edge: Edge, pages: Numbers) -> Flags:
    """Tell of which array pages, the same at both places, the old one may be overwritten and the new one not written.

    The reshape comes to the old place first and may have stopped between both; or a tear could hide in both rows, or
    in that of the old place, where it is not seen that the new one was written.
    """
    new_row, old_row = window.after.cell_of(pages)[1], window.old_cell(pages)[1]
    new, old = window.travel(new_row), window.travel(old_row)
    hidden, is_open = survey.rows[edge.hidden], new > edge.last_seeming
    torn = np.isin(old_row, hidden) & (np.isin(new_row, hidden) | is_open)
    between = (old < new) & is_open
    if edge.first_seeming is not None:
        between &= old <= edge.first_seeming  # which itself may be written in part
    if edge.first_seeming is None or edge.first_seeming - edge.last_seeming > edge.in_flight:
        # it may have stopped anywhere, but hardly where nothing is: what it lost would have had neighbours
        empty = survey.rows[((survey.ids == 0) & survey.known).all(axis=1)]
        between &= ~(np.isin(new_row, empty) & np.isin(old_row, empty))
    found: Flags = torn | between
    return found


def _before(window: Window, survey: Survey, edge: Edge) -> Extents:
    """Return the rows before those that were looked at, where the order of the writes says that they are complete."""
    begun = int(window.travel(survey.rows).min())
    if not edge.is_ordered or begun > edge.last_written - edge.in_flight:
        return Extents()
    return _span(window, 0, begun)


def _beyond(window: Window, survey: Survey, edge: Edge) -> Extents:
    """Return the rows beyond those that were looked at, where the order of the writes says that they are untouched."""
    if edge.first_left is None or not edge.is_ordered:
        return Extents()
    n_looked = int(window.travel(survey.rows).max()) + 1
    return _span(window, max(n_looked, edge.first_left + edge.in_flight + 1), window.stop - window.first)


def _span(window: Window, start: int, stop: int) -> Extents:
    """Return rows, numbered in the order of travel, as component bytes of the new geometry."""
    if start >= stop:
        return Extents()
    if window.forward:
        return Extents.span((window.first + start) * PAGE, (window.first + stop) * PAGE)
    return Extents.span((window.stop - stop) * PAGE, (window.stop - start) * PAGE)


def _rows(survey: Survey, which: Flags) -> Extents:
    """Return rows as component bytes of the new geometry."""
    return _pages(survey.rows[which])


def _pages(numbers: Numbers) -> Extents:
    """Return pages as bytes."""
    return Extents(np.stack((numbers, numbers + 1), axis=1) * PAGE)


def _quiet(description: ArrayDescription, window: Window) -> Extents:
    """Return what the reshape passed without record: a user's write would have waited [array bytes]."""
    reshape = description.reshape
    assert reshape is not None
    low, high = (each * PAGE * reshape.after.n_data for each in (window.first, window.stop))
    return Extents.span(low, high).clip(0, description.size)


def _guess(window: Window, survey: Survey, edge: Edge) -> int:
    """Guess where the new geometry ends [array bytes], in whole steps.

    Behind the last row that is proven, one that satisfies the equations of the new geometry, and none of the old one,
    is taken for a written one: it takes a member that happens to hold another's content to look so by chance.
    """
    reshape = window.description.reshape
    assert reshape is not None
    n_data = reshape.after.n_data
    step = max(reshape.before.chunk_size, reshape.after.chunk_size) * n_data
    travel = window.travel(survey.rows)
    holds_something = ((survey.ids != 0) & survey.known).any(axis=1)
    seems_new = survey.holds_new & (survey.n_new > 0) & ~(survey.holds_old & (survey.n_old > 0)) & holds_something
    if edge.first_left is not None:
        seems_new &= travel < edge.first_left
    last = max(edge.last_seeming, int(travel[seems_new].max(initial=-1)))
    reached = (last + 1) * PAGE * n_data
    if window.forward:
        return align_up(reshape.position + reached, step)
    return align_down(max(0, reshape.position - reached), step)


def _proofs(window: Window, survey: Survey, votes: Votes, edge: Edge) -> tuple[Proof, ...]:
    """Say what speaks for the front."""
    travel = window.travel(survey.rows)
    found = []
    for which, what, says in _told(votes):
        if which.any():
            order = np.argsort(travel[which])
            rows = survey.rows[which][order]
            found.append(Proof(what, says, len(rows), int(rows[0]) * PAGE, int(rows[-1]) * PAGE))
    return tuple(found)


def _told(votes: Votes) -> tuple[tuple[Flags, str, str], ...]:
    """Return what is said, of which rows, and what follows."""
    return (
        (votes.whole, "only the new geometry explains the row", "written"),
        (
            votes.moved,
            "a structure of a file system is where it belongs in the new geometry",
            "written in part at least",
        ),
        (votes.kept, "a structure of a file system is where it belongs in the old geometry", "not written as a whole"),
        (
            votes.written & ~votes.whole & ~votes.moved,
            "the old geometry does not explain the row",
            "written in part at least",
        ),
        (
            votes.sum_whole,
            "only the parity cell of the new geometry is as mixed as a sum of the others",
            "written",
        ),
        (
            votes.sum_new & ~votes.sum_whole,
            "only the parity cell of the new geometry is as mixed as a sum of the others, which occur elsewhere too",
            "written in part at least",
        ),
        (votes.copied, "a page is the same at its old place, and nowhere else", "written in part at least"),
        (votes.clear & ~votes.unlike, "only the old geometry explains the row", "not written"),
        (votes.clear & votes.unlike, "no sector of the row is what a write would have put there", "not written"),
        (
            votes.sum_clear & ~votes.clear,
            "only the parity cell of the old geometry is as mixed as a sum of the others",
            "not written",
        ),
        (
            votes.sum_old & ~votes.sum_clear & ~votes.clear,
            "only the parity cell of the old geometry is as mixed as a sum of the others, which occur elsewhere too",
            "not written as a whole",
        ),
        (
            votes.unlike & ~votes.clear,
            "a page is not what a write would have put there, in any sector",
            "not written as a whole",
        ),
        (
            votes.incomplete & ~votes.clear & ~votes.unlike & ~votes.kept,
            "the new geometry does not explain the row",
            "not written as a whole",
        ),
        (votes.spared, "a page is the same at its new place, and nowhere else", "not written as a whole"),
        (votes.pair_written, "two equal cells are data and parity in the new geometry only", "likely written"),
        (votes.pair_left, "two equal cells are data and parity in the old geometry only", "likely not written"),
        (votes.torn, "the row satisfies neither geometry", "torn or damaged"),
    )
