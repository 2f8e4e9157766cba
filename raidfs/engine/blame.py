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
P are equal, and so are two fills with 0xff. So where such a pair is filled, a member that is named is not blamed,
unless it looks filled itself: with a text, or with zeros as the pair is (it would need data that are multiples of each
other). A sector of 0xff is no reason: many file systems write such. But where both parities name the member elsewhere
in its run of zeros or of another byte, in rows that no pair explains, the run was never copied. The pair counts if its
runs convince, or if rows nearby or in its runs show that something was never copied (`_speaks_for_pair`): zeros are
honest as a rule. Elsewhere the named member is blamed, and what is filled and may be of the pair is unproven, except
beside a run that was never copied.

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
from raidfs.kernels.filled import CONSTANT, DATA, MARKED, PATTERN, REPEATED, ZEROS
from raidfs.kernels.syndrome import AGREES, NOBODY, UNCHECKED

REASONS = {
    Fault.NEVER_COPIED: "filled, and parity disagrees: this was never copied",
    Fault.WRONG: "wrong, as both parities tell",
    Fault.OPEN: "filled, and parity disagrees here or nearby, but others may be wrong there, too",
    Fault.IN_DISPUTE: "the row disagrees with its parity, and nothing tells which member is wrong",
    Fault.NOTICED: "the row disagrees with its parity, which was seen by chance",
    Fault.BESIDE_STALE: "filled, and parity disagrees, which was never proven there",
    Fault.BESIDE_WRONG: "filled, in a row in which both parities name another member, or mean this and a second one",
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
    is_shown = _is_shown(heard)
    runs = _what_runs_tell(heard, is_shown)
    filled = runs.filled & disagrees
    n_filled = filled.sum(axis=0)
    rivalled = located & _has_rival(heard, filled)
    is_broken = heard.near(disagrees & heard.proven & (n_equations == 1) & (n_filled == 0))
    culprit = _culprits(heard, runs, is_broken) & disagrees & ~located
    told = culprit.any(axis=0)
    counts = _speaks_for_pair(heard, runs, culprit, rivalled)
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
    fault[_may_be_pair(heard, filled) & named & rivalled & ~is_shown] = Fault.BESIDE_WRONG
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
        texts: the runs of texts.
        plain: those of zeros and of other bytes over and over.
        suspect: more members than there are equations disagree in it, and it convinces, or so much of it disagrees.
    """

    filled: NDArray[np.bool_]
    is_text: NDArray[np.bool_]
    convincing: NDArray[np.bool_]
    is_page: NDArray[np.bool_]
    texts: FilledRuns
    plain: FilledRuns
    suspect: NDArray[np.bool_]

    def any_in_run(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell of which filled sectors something in their run has a mark; all bool (r, n)."""
        found: NDArray[np.bool_] = self.texts.any_in_run(marks) | self.plain.any_in_run(marks)
        return found


def _is_shown(heard: Hearing) -> NDArray[np.bool_]:
    """Tell where the member that both parities name holds one byte over and over in a run that was never copied.

    That is a run in which they name it in rows, too, that no pair of filled members explains; bool (n,).
    """
    is_named = (np.arange(len(heard.usable))[:, None] == heard.verdict) & heard.disagrees
    alone = is_named & heard.proven & ~_has_rival(heard, heard.filled & heard.disagrees)
    found = np.zeros(len(heard.verdict), dtype=np.bool_)
    for kind in (ZEROS, CONSTANT):
        mine = heard.filled & (heard.kinds == kind)
        if (mine & alone).any():
            found |= (FilledRuns(mine, heard.reach).any_in_run(alone) & is_named).any(axis=0)
    return found


def _what_runs_tell(heard: Hearing, is_shown: NDArray[np.bool_]) -> _Told:
    """Look at the runs; `is_shown`: see `_is_shown`."""
    role = np.arange(len(heard.usable))[:, None]
    filled, disagrees, agrees = heard.filled, heard.disagrees & heard.proven, heard.verdict == AGREES
    rivalled = disagrees & (heard.verdict >= 0) & ~is_shown & _has_rival(heard, filled & disagrees)
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
    return _Told(filled, is_text, convincing, is_page, texts, plain, suspect)


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


def _speaks_for_pair(
    heard: Hearing, runs: _Told, culprit: NDArray[np.bool_], rivalled: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell where a pair convinces, or others than the member that both parities name were given up for all we know.

    That is nearby, or in the run of one that is filled there. If the named one is zeros only other fills count, as the
    pair is of such; and if it is another byte over and over, its own fills of that sort do not.

    Args:
        heard: the rows.
        runs: what they tell.
        culprit: bool (r, n): never copied where no single member is named.
        rivalled: bool (n,): one is named, and a pair explains the same.

    Returns:
        bool (n,), False where there is no pair.
    """
    if not rivalled.any():
        return rivalled
    column, filled = np.arange(len(rivalled)), runs.filled & heard.disagrees
    is_named = np.arange(len(filled))[:, None] == heard.verdict
    is_likely = ~rivalled | (heard.kinds == ZEROS)
    never_copied = (culprit | (filled & is_named & is_likely)) & heard.proven
    role = np.maximum(heard.verdict, 0)
    kind = np.where(heard.filled[role, column], heard.kinds[role, column], DATA)

    def near(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.stack([heard.near(each) for each in marks])

    others = near(never_copied) | (runs.filled & runs.any_in_run(never_copied))
    own = np.where(kind == CONSTANT, near(never_copied & (heard.kinds != CONSTANT)), near(never_copied))
    no_zeros = heard.kinds != ZEROS
    beside_zeros = near(never_copied & no_zeros)
    beside_zeros |= runs.filled & no_zeros & runs.any_in_run(never_copied & no_zeros) & ~is_named
    speaks = np.where(kind == ZEROS, beside_zeros, np.where(is_named, own, others))
    pair = _has_rival(heard, filled & runs.convincing & runs.is_page)
    found: NDArray[np.bool_] = rivalled & (np.any(speaks, axis=0) | pair)
    return found


def _may_be_pair(heard: Hearing, filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which filled ones may be of a pair that looks like the named member: if that is data, P and Q.

    Args:
        heard: the rows.
        filled: bool (r, n).

    Returns:
        bool (r, n).
    """
    role = np.arange(len(filled))[:, None]
    is_parity = (heard.parity[:, 0] == role) | (heard.parity[:, 1] == role)
    names_parity = (heard.parity == heard.verdict[:, None]).any(axis=1)
    found: NDArray[np.bool_] = filled & (is_parity | names_parity)
    return found


def _has_rival(heard: Hearing, filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell where a member that both parities name may be right, because two filled ones explain the same.

    Args:
        heard: the rows.
        filled: bool (r, n).
    """
    column = np.arange(filled.shape[1])
    role, p, q = np.maximum(heard.verdict, 0), heard.parity[:, 0], heard.parity[:, 1]
    named = np.where(filled[role, column], heard.kinds[role, column], DATA)
    filled = filled & ((named != ZEROS) | (heard.kinds != ZEROS))
    n_filled = filled.sum(axis=0)
    p_filled, q_filled = filled[p, column], filled[q, column] & (q >= 0)
    pair = np.select(
        [role == q, role == p],
        [n_filled - q_filled >= 2, q_filled & (n_filled - q_filled - p_filled >= 1)],
        p_filled & q_filled,
    )
    found: NDArray[np.bool_] = pair & (named <= CONSTANT)
    return found
