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
from raidfs.evidence.cells import Flags
from raidfs.evidence.edge import Edge, find_edge, rows_in_flight
from raidfs.evidence.survey import Survey, Surveyor, joined
from raidfs.evidence.votes import Votes, agreed_pages, votes_of
from raidfs.evidence.window import PAGE, Numbers, Window, window_of
from raidfs.extents import Extents
from raidfs.geometry.reshape import at_risk_bytes, at_risk_rows
from raidfs.units import align_down, align_up

_FIRST = 1 << 10
"""Rows that are looked at first; then as many again, as long as the edge is not found."""
_MOST = 1 << 18
"""Rows that are looked at at most: 1 GiB of every member."""


def find_front(
    description: ArrayDescription, images: Mapping[int, BlockSource], in_flight: int | None = None
) -> ArrayDescription:
    """Ask the rows ahead of the recorded position how far the reshape came.

    Args:
        description: the array.
        images: by role, of the members that serve.
        in_flight: rows that may have been written in any order; None: what the kernel's defaults allow.

    Returns:
        The description with `Reshape.front`; unchanged where there is nothing to ask: the recorded position is exact.

    Raises:
        SourceError: a member is gone.
    """
    window, reshape = window_of(description), description.reshape
    if window is None or reshape is None or window.first == window.stop or not _is_wanted(description):
        return description
    n_flight = rows_in_flight(description) if in_flight is None else in_flight
    survey, votes, edge = _look(window, Surveyor(window, images), n_flight)
    front = _front(window, survey, votes, edge)
    quiet = reshape.quiet.union(_quiet(description, window))
    return replace(description, reshape=replace(reshape, front=front, quiet=quiet))


def _is_wanted(description: ArrayDescription) -> bool:
    """Tell whether something may have been overwritten that is needed.

    Where a member is missing, old copies behind the position are needed, too.
    """
    return bool(at_risk_bytes(description) or (at_risk_rows(description) and description.missing_roles))


def _look(window: Window, surveyor: Surveyor, in_flight: int) -> tuple[Survey, Votes, Edge]:
    """Look at rows until enough of them say that the reshape did not come to them, or to the end."""
    surveys: list[Survey] = []
    done, total = 0, window.stop - window.first
    while True:
        more = min(max(_FIRST, done), total - done)
        start = window.first + done if window.forward else window.stop - done - more
        surveys.append(surveyor.survey(start, start + more))
        done += more
        survey = joined(surveys)
        votes = votes_of(survey)
        travel = window.travel(survey.rows)
        edge = find_edge(votes, travel, in_flight)
        if done >= min(total, _MOST) or _is_passed(edge, votes, travel, done):
            return survey, votes, edge


def _is_passed(edge: Edge, votes: Votes, travel: Numbers, done: int) -> bool:
    """Tell whether the last rows that were looked at lie ahead of the front for sure."""
    if edge.first_left is None or not edge.is_ordered or edge.first_left + 2 * edge.in_flight >= done:
        return False
    lately = travel >= done - edge.in_flight
    return not (votes.any_written & lately).any() and edge.last_written < edge.first_left + edge.in_flight


def _front(window: Window, survey: Survey, votes: Votes, edge: Edge) -> Front:
    """Put what was found into rows and bytes."""
    sure, equal = agreed_pages(survey)
    return Front(
        cut=_guess(window, survey, edge),
        written=_rows(survey, edge.written),
        likely_written=_rows(survey, edge.likely_written),
        likely_left=_rows(survey, edge.likely_left),
        left=_rows(survey, edge.left).union(_beyond(window, survey, edge)),
        agreed=_pages(sure),
        likely_agreed=_pages(equal) if edge.is_clean else Extents(),
        proofs=_proofs(window, survey, votes, edge),
    )


def _beyond(window: Window, survey: Survey, edge: Edge) -> Extents:
    """Return the rows that were not looked at, where the order of the writes says that they were not written."""
    if edge.first_left is None or not edge.is_ordered:
        return Extents()
    n_looked, n_sure = len(survey.rows), max(len(survey.rows), edge.first_left + edge.in_flight + 1)
    assert n_looked <= n_sure
    if window.forward:
        return Extents.span((window.first + n_sure) * PAGE, window.stop * PAGE)
    return Extents.span(window.first * PAGE, (window.stop - n_sure) * PAGE)


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
    last = max(edge.last_written, int(travel[seems_new].max(initial=-1)))
    reached = (last + 1) * PAGE * n_data
    if window.forward:
        return align_up(reshape.position + reached, step)
    return align_down(max(0, reshape.position - reached), step)


def _proofs(window: Window, survey: Survey, votes: Votes, edge: Edge) -> tuple[Proof, ...]:
    """Say what speaks for the front."""
    travel = window.travel(survey.rows)
    told = (
        (votes.whole, "only the new geometry explains the row", "written"),
        (votes.written & ~votes.whole, "the old geometry does not explain the row", "written in part at least"),
        (votes.copied, "a page is the same at its old place, and nowhere else", "written in part at least"),
        (votes.clear, "only the old geometry explains the row", "not written"),
        (votes.incomplete & ~votes.clear, "the new geometry does not explain the row", "not written as a whole"),
        (votes.spared, "a page is the same at its new place, and nowhere else", "not written as a whole"),
        (votes.torn, "the row satisfies neither geometry", "torn or damaged"),
    )
    found = []
    for which, what, says in told:
        if which.any():
            order = np.argsort(travel[which])
            rows = survey.rows[which][order]
            found.append(Proof(what, says, len(rows), int(rows[0]) * PAGE, int(rows[-1]) * PAGE))
    return tuple(found)
