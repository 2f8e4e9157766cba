"""Whose fault it is that a row disagrees with its parity, given which of its sectors look as if never copied.

The fewest members that explain the disagreement are blamed, filled ones before others, and only where no second
explanation is as good:

- RAID 4 and 5, and RAID6 with one member that takes no part: one equation fails, so one member at least is wrong. Is
  exactly one filled, it may be that one; or its zeros are honest, and something else is wrong beside them. It is blamed
  if its filled run *convinces*: it says itself that it was not copied, or it begins and ends where the rows begin and
  end to disagree (`engine.filled_runs`), or the member holds the parity in rows in which no other one is filled, and
  most of these disagree, or one does in which it says itself that it was not copied. (Parity is zero where all data
  are, or where they cancel out, as two equal pages do; zeros of data may lie beside anything.)
- RAID6 with all members: both equations name a single wrong member. Where they name none there are two wrong ones at
  least; are exactly two filled, it is those.

Two members that are wrong by the same amount look to both equations like one other: D and P like Q, D and Q like P
(with the exponent of that D), P and Q like D. That is no rare accident: where all other data of the row are zero, D and
P are equal. So where such a pair is filled, a member that is named is not blamed, unless it looks filled itself: with
zeros (the pair would need data that are multiples of each other), or with a text. A sector of 0xff is no reason: many
file systems write such. The pair counts if its runs convince, or if rows nearby show that something was never copied:
zeros are honest as a rule. Elsewhere the named member is blamed, and what is filled beside it is unproven.

Rows nearby speak for the parity, too: if rows in which nobody is filled disagree, something else is wrong there, and
one equation is not enough to call zeros wrong.

Rows that agree prove nothing where more members than there are equations are filled, each of them in a run in which
something speaks against it: copies that were given up at the same height agree, zeros with zeros, whatever was lost
with them. What lies further away than runs are followed is told by `engine.tails`.

What stays open is doubtful, and so is the parity of that row, lest it rebuilds what is open. Where parity was never
proven a disagreement is what a crash leaves behind, and tells nothing about zeros beside it. Nothing here reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.fault import Fault
from raidfs.engine.filled_runs import FilledRuns, Reach, RowSigns
from raidfs.kernels.filled import CONSTANT, DATA, MARKED, PATTERN, REPEATED
from raidfs.kernels.syndrome import AGREES, NOBODY, UNCHECKED

REASONS = {
    Fault.NEVER_COPIED: "filled, and parity disagrees: this was never copied",
    Fault.WRONG: "wrong, as both parities tell",
    Fault.OPEN: "filled, and parity disagrees here or nearby, but others may be wrong there, too",
    Fault.IN_DISPUTE: "the row disagrees with its parity, and nothing tells which member is wrong",
    Fault.NOTICED: "the row disagrees with its parity, which was seen by chance",
    Fault.BESIDE_STALE: "filled, and parity disagrees, which was never proven there",
    Fault.BESIDE_WRONG: "filled, in a row in which both parities name another member as wrong",
    Fault.BESIDE_FILL: "filled, in a row in which another member was never copied",
    Fault.BESIDE_LITTLE: "in a row of which less than 4096 bytes look as if never copied, which may be an accident",
    Fault.STALE: "parity disagrees, which was never proven there",
    Fault.ENDED: "zeros up to the end of the member; rows before disagree, and other members end like this, too",
    Fault.IN_NEITHER: "neither geometry of the reshape explains the row, and nothing tells what of it is wrong",
}
"""One clause each for `explain`."""


@dataclass(frozen=True, eq=False)
class Hearing:
    """Sectors of rows near each other with all that is known of them; n sectors of r roles.

    Attributes:
        verdict: int16 (n,); see `kernels.syndrome.check_rows`.
        absent: int16 (n,); see there.
        usable: bool (r, n): took part.
        kinds: uint8 (r, n): what is there, as `kernels.filled` names it; of any value where it took no part.
        parity: int16 (n, 2): roles of P and of Q, or -1.
        proven: bool (n,): parity was proven there.
        reach: which of them are near each other.
    """

    verdict: NDArray[np.int16]
    absent: NDArray[np.int16]
    usable: NDArray[np.bool_]
    kinds: NDArray[np.uint8]
    parity: NDArray[np.int16]
    proven: NDArray[np.bool_]
    reach: Reach

    @property
    def disagrees(self) -> NDArray[np.bool_]:
        """Where the row disagrees; bool (n,)."""
        found: NDArray[np.bool_] = (self.verdict != AGREES) & (self.verdict != UNCHECKED)
        return found

    @property
    def filled(self) -> NDArray[np.bool_]:
        """What took part and looks filled; bool (r, n)."""
        found: NDArray[np.bool_] = self.usable & (self.kinds != DATA)
        return found

    @property
    def n_equations(self) -> NDArray[np.int64]:
        """How many equations there are, with whoever is absent taken for wrong; int64 (n,)."""
        has_two: NDArray[np.bool_] = (self.parity[:, 1] >= 0) & (self.absent == NOBODY)
        return 1 + has_two.astype(np.int64)

    def near(self, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell where any row of the same piece is among those found; bool (n,)."""
        piece = self.reach.piece - self.reach.piece[0]
        is_near: NDArray[np.bool_] = np.bincount(piece, weights=found)[piece] > 0
        return is_near


_PAGE = 8
"""Sectors of a run from which on it is no accident if its borders are those of what disagrees."""
_SHARE = 1 / 4
"""Share of a run that disagrees, from which on it is not believed where it agrees, either."""


def blame(heard: Hearing, *, check: bool) -> NDArray[np.uint8]:
    """Say what is wrong with each sector.

    Args:
        heard: the rows.
        check: every row is compared, so what is in dispute is not served; else only what looks filled is asked about.

    Returns:
        uint8 (r, n): `Fault` values.
    """
    disagrees, n_equations = heard.disagrees, heard.n_equations
    column = np.arange(len(disagrees))
    located = disagrees & (heard.verdict >= 0)
    runs = _what_runs_tell(heard)
    filled = runs.filled & disagrees
    n_filled = filled.sum(axis=0)
    rivalled = located & _has_rival(heard, filled)
    is_broken = heard.near(disagrees & heard.proven & (n_equations == 1) & (n_filled == 0))
    culprit = _culprits(heard, runs, is_broken) & disagrees & ~located
    told = culprit.any(axis=0)
    found_filled = filled[np.maximum(heard.verdict, 0), column] & located & ~rivalled
    counts = heard.near((told | found_filled) & heard.proven) | _has_rival(
        heard, filled & runs.convincing & runs.is_page
    )
    named = located & ~(rivalled & counts)
    is_open = disagrees & ~named & ~told
    is_explained = n_filled >= n_equations

    fault = np.zeros(filled.shape, dtype=np.uint8)
    rest = Fault.IN_DISPUTE if check else Fault.NOTICED
    fault[heard.usable & is_open & (check | ~is_explained)] = rest
    unnamed = located & ~named
    fault[heard.verdict[unnamed], column[unnamed]] = rest
    for which in range(2):  # what is open must not be rebuilt either
        there = is_open & (n_filled > 0) & (heard.parity[:, which] >= 0)
        fault[heard.parity[there, which], column[there]] = Fault.IN_DISPUTE
    fault[filled & is_open] = Fault.OPEN
    fault[heard.filled & told] = Fault.BESIDE_FILL
    is_thin = told & (n_equations == 1) & ~(culprit & runs.is_page).any(axis=0)
    for which in range(2):  # what is rebuilt from this is not taken for certain
        there = is_thin & (heard.parity[:, which] >= 0)
        is_blamed = culprit[heard.parity[:, which], column] & there
        fault[heard.usable & is_blamed & check & (fault == Fault.NOTHING)] = Fault.BESIDE_LITTLE  # nor is what remains
        fault[heard.parity[there, which], column[there]] = Fault.BESIDE_LITTLE
    fault[culprit] = Fault.NEVER_COPIED
    fault[filled & named & rivalled] = Fault.BESIDE_WRONG
    role = heard.verdict[named]
    fault[role, column[named]] = np.where(filled[role, column[named]], Fault.NEVER_COPIED, Fault.WRONG)

    stale = disagrees & ~heard.proven
    fault[:, stale] = 0
    if check:
        fault[heard.usable & stale] = Fault.STALE
    fault[filled & stale] = Fault.BESIDE_STALE
    _doubt_agreement(heard, runs, fault)
    fault[~heard.usable] = 0
    return fault


@dataclass(frozen=True, eq=False)
class _Told:
    """What the runs that filled sectors lie in tell of them; all bool (r, n).

    Attributes:
        filled: looks filled; sectors that merely repeat each other only if their run convinces, or nothing else is.
        is_text: filled with something that is not one byte over and over.
        convincing: the run says or shows that it was not copied.
        is_page: the run is at least a page long.
        suspect: more members than there are equations disagree in it, and it convinces, or so much of it disagrees.
    """

    filled: NDArray[np.bool_]
    is_text: NDArray[np.bool_]
    convincing: NDArray[np.bool_]
    is_page: NDArray[np.bool_]
    suspect: NDArray[np.bool_]


def _what_runs_tell(heard: Hearing) -> _Told:
    """Look at the runs."""
    role = np.arange(len(heard.usable))[:, None]
    filled, disagrees, agrees = heard.filled, heard.disagrees & heard.proven, heard.verdict == AGREES
    rivalled = disagrees & (heard.verdict >= 0) & _has_rival(heard, filled & disagrees)
    against = filled & disagrees & ((heard.verdict < 0) | rivalled | (heard.verdict == role))
    is_text, is_marked = filled & (heard.kinds >= PATTERN), filled & (heard.kinds == MARKED)
    is_parity = (heard.parity[:, 0] == role) | (heard.parity[:, 1] == role)

    texts = FilledRuns(is_text, heard.reach)
    alone = is_parity & (filled.sum(axis=0) == 1)
    sure_text = texts.has_borders(RowSigns(against, agrees, agrees | disagrees))
    sure_text |= _more_in_run(texts, alone & against, alone & agrees) | texts.any_in_run(alone & against & is_marked)
    weak = (heard.kinds == REPEATED) & ~sure_text
    filled = filled & ~(weak & (filled & ~weak).any(axis=0))

    against &= is_text | ~((is_marked & sure_text).sum(axis=0) == heard.n_equations)
    alone = is_parity & (filled.sum(axis=0) == 1)
    plain = FilledRuns(filled & ~is_text, heard.reach)
    sure_plain = plain.has_borders(RowSigns(against, agrees, agrees | disagrees))
    sure_plain |= _more_in_run(plain, alone & against, alone & agrees)
    convincing = sure_text | sure_plain

    together = against & (heard.verdict < 0) & (filled.sum(axis=0) > heard.n_equations)
    together &= is_text | ~(filled & is_text).any(axis=0)
    share = np.maximum(texts.share_in_run(together), plain.share_in_run(together))
    suspect = convincing & (texts.any_in_run(together) | plain.any_in_run(together)) | (share >= _SHARE)
    is_page = np.maximum(texts.length(), plain.length()) >= _PAGE
    return _Told(filled, is_text, convincing, is_page, suspect)


def _more_in_run(runs: FilledRuns, some: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of which filled sectors the run has more of some sectors than of others; all bool (r, n)."""
    found: NDArray[np.bool_] = runs.share_in_run(some) > runs.share_in_run(others)
    return found


def _culprits(heard: Hearing, runs: _Told, is_broken: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return who was never copied where a row disagrees, and it is not just one that both parities name.

    As many as there are equations explain it: those that are marked, or all that are filled.

    Args:
        heard: the rows.
        runs: what they tell.
        is_broken: bool (n,): something is wrong nearby that no fill explains.

    Returns:
        bool (r, n).
    """
    filled, n_equations = runs.filled, heard.n_equations
    marked = filled & (heard.kinds == MARKED) & runs.convincing
    fits = marked | (runs.convincing & ~is_broken) | (n_equations == 2)
    are_all = (filled.sum(axis=0) == n_equations) & (~filled | fits).all(axis=0)
    found: NDArray[np.bool_] = np.where(marked.sum(axis=0) == n_equations, marked, filled & are_all)
    return found


def _doubt_agreement(heard: Hearing, runs: _Told, fault: NDArray[np.uint8]) -> None:
    """Doubt filled sectors of rows that agree, where those that something speaks against may agree by accident.

    Args:
        heard: the rows.
        runs: what they tell.
        fault: uint8 (r, n), overwritten there.
    """
    column = np.arange(fault.shape[1])
    for alike in (runs.is_text, ~runs.is_text):
        suspect = runs.suspect & runs.filled & alike
        is_worthless = (heard.verdict == AGREES) & (suspect.sum(axis=0) > heard.n_equations)
        for which in range(2):
            there = is_worthless & (heard.parity[:, which] >= 0)
            fault[heard.parity[there, which], column[there]] = Fault.IN_DISPUTE
        fault[suspect & is_worthless] = Fault.OPEN


def _has_rival(heard: Hearing, filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell where a member that both parities name may be right, because two filled ones explain the same.

    Args:
        heard: the rows.
        filled: bool (r, n).
    """
    column = np.arange(filled.shape[1])
    role, p, q = np.maximum(heard.verdict, 0), heard.parity[:, 0], heard.parity[:, 1]
    n_filled = filled.sum(axis=0)
    p_filled, q_filled = filled[p, column], filled[q, column] & (q >= 0)
    pair = np.select(
        [role == q, role == p],
        [n_filled - q_filled >= 2, q_filled & (n_filled - q_filled - p_filled >= 1)],
        p_filled & q_filled,
    )
    looks_honest = ~filled[role, column] | (heard.kinds[role, column] == CONSTANT)
    found: NDArray[np.bool_] = pair & looks_honest
    return found
