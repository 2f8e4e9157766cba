"""How many witnesses speak for something, if those that one accident may have made are counted as one.

Rows that say the same by themselves agree only if it is so. Others have one cause in common:

- All pages of a chunk are moved by one distance in the array. A file that somebody copied over just this distance
  looks, as far as it reaches, like pages that are moved already, or that are not yet overwritten. So all pages that are
  found at two places as far apart are one voice.
- Two equal cells look like a page and its parity, but a file may lie in a stripe twice. It can do so in one stripe
  only, since its copies would overlap otherwise: all rows of a stripe are one voice.
- So are they where a cell is more mixed than the others: files that deceive there go on through the stripe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raidfs.evidence.cells import Flags, Ids
from raidfs.evidence.window import Numbers

SUPPORT = 4
"""Rows that must say the same, within a window, before anything follows from one of them for others; and voices."""
_LONG = 8
"""Rows from which on a voice counts twice: few duplicates are so long, and lie so."""
SILENT = 0
"""In the place of a voice: a cell says nothing."""


@dataclass(frozen=True, eq=False)
class Claims:
    """What rows say of one side of the edge; (m,) each, ordered by `at`.

    Attributes:
        at: int64: number of the row, ascending.
        voice: int64: who says it; SILENT: the row speaks for itself.
    """

    at: Numbers
    voice: Numbers


@dataclass(frozen=True)
class Support:
    """How far enough claims go.

    Attributes:
        at: number of the row.
        is_strong: rows that speak for themselves suffice.
    """

    at: int
    is_strong: bool


def claims(at: Numbers, alone: Flags, cells: Numbers, pairs: Flags, stripe: Numbers) -> Claims:
    """Put claims together.

    Args:
        at: int64 (k,): numbers of the rows.
        alone: bool (k,): it says so by itself.
        cells: int64 (k, n): voice of each cell.
        pairs: bool (k,): two equal cells of it say so.
        stripe: int64 (k,): in which these would lie, if both were data.
    """
    told, column = np.nonzero((cells != SILENT) & ~alone[:, None])
    paired = pairs & ~alone
    found = np.stack(
        (
            np.concatenate((at[alone], at[told], at[paired])),
            np.concatenate((np.full(int(alone.sum()), SILENT), cells[told, column], -1 - stripe[paired])),
        ),
        axis=1,
    )
    unique = np.unique(found, axis=0)
    return Claims(unique[:, 0], unique[:, 1])


def support(told: Claims, within: int) -> Support | None:
    """Find the first claim that has enough others close behind it; None: none has.

    Rows that speak for themselves are no support for one before them that does not. Nor is a page that is found twice
    borne out by others behind it, only by those before it: it is the last of them that is returned then, up to which
    enough say so. Of pairs, which only hint, it is the first.

    Args:
        told: the claims.
        within: rows that count as close.
    """
    at, voice = told.at.tolist(), told.voice.tolist()
    row = np.cumsum(np.diff(told.at, prepend=told.at[:1]) != 0).tolist()
    said: Counter[int] = Counter()
    weight = stop = 0
    for start in range(len(at)):
        while stop < len(at) and at[stop] - at[start] <= within:
            weight += _adds(voice[stop], said[voice[stop]] + 1)
            said[voice[stop]] += 1
            stop += 1
        is_alone, n_alone = voice[start] == SILENT, said[SILENT]
        if row[stop - 1] - row[start] + 1 >= SUPPORT and weight - (0 if is_alone else n_alone) >= SUPPORT:
            reached = start if voice[start] <= SILENT else _enough(row, voice, start)
            return Support(at[reached], is_alone and n_alone >= SUPPORT)
        weight -= _adds(voice[start], said[voice[start]])
        said[voice[start]] -= 1
    return None


def _enough(row: Sequence[int], voice: Sequence[int], start: int) -> int:
    """Return the claim with which, from `start` on, there are enough."""
    said: Counter[int] = Counter()
    weight = 0
    for number in range(start, len(voice)):
        said[voice[number]] += 1
        weight += _adds(voice[number], said[voice[number]])
        if row[number] - row[start] + 1 >= SUPPORT and weight >= SUPPORT:
            return number
    raise AssertionError("there are enough")


def _adds(voice: int, number: int) -> int:
    """Return what the claim adds that is the `number`-th of its voice."""
    return int(voice == SILENT or number in (1, _LONG))


def distances(here: Numbers, there: Numbers, equal: Flags, ids: Ids) -> Numbers:
    """Return the voices of cells that are equal to another place of their pages.

    Args:
        here: int64 (k, n): page that a cell would hold otherwise; below 0: none, or parity.
        there: int64 (k, n): page of which the other place is meant.
        equal: bool (k, n): they are equal; others are silent.
        ids: uint64 (k, n): contents of the cells.
    """
    other = np.where(here >= 0, here, _same_in_row(here, ids))
    apart = np.abs(other - there)
    # nobody knows what lies on a member that was not of the array, or is a sum: one voice for all that is not near
    return np.where(equal, np.where(other >= 0, np.maximum(apart, 1), _FOREIGN), SILENT)


_FOREIGN = np.iinfo(np.int64).max


def of_stripes(says: Flags, stripe: Numbers) -> Numbers:
    """Return the voices of rows of which all in a stripe are one; int64 (k,).

    Args:
        says: bool (k,): others are silent.
        stripe: int64 (k,): where they lie.
    """
    return np.where(says, _STRIPES + stripe, SILENT)


_STRIPES = 1 << 62
"""Added to the numbers of stripes: no two pages are so far apart."""


def _same_in_row(pages: Numbers, ids: Ids) -> Numbers:
    """Return for each cell a page of its row that another cell of the same content would hold; below 0: none."""
    found = np.full(pages.shape, -1, dtype=np.int64)
    for cell in range(pages.shape[1]):
        same = (ids == ids[:, cell, None]) & (pages >= 0)
        found[:, cell] = np.where(same, pages, -1).max(axis=1)
    return found
