"""Whose fault it is that a row disagrees with its parity, given which of its sectors look as if never copied.

The fewest members that explain the disagreement are blamed, filled ones before others, and only where no second
explanation is as good:

- RAID 4 and 5, and RAID6 with one member that takes no part: one equation fails, so one member at least is wrong. Is
  exactly one filled, it is that one.
- RAID6 with all members: both equations name a single wrong member. Where they name none there are two wrong ones at
  least; are exactly two filled, it is those.

Two members that are wrong by the same amount look to both equations like one other: D and P like Q, D and Q like P
(with the exponent of that D), P and Q like D. That is no rare accident: where all other data of the row are zero, D and
P are equal. So where such a pair is filled, a member that is named is not blamed, unless it looks filled itself: with
zeros (the pair would need data that are multiples of each other), or with a text. A sector of 0xff is no reason: many
file systems write such. Where every row is compared because somebody asked for it, the pair counts only if rows nearby
show that something was never copied: zeros are honest as a rule. Elsewhere the named member is blamed then, and what is
filled beside it is unproven.

Rows nearby speak for the parity, too: if rows in which nobody is filled disagree, something else is wrong there, and
one equation is not enough to call zeros wrong.

What stays open is doubtful, and so is the parity of that row, lest it rebuilds what is open. Where parity was never
proven a disagreement is what a crash leaves behind, and tells nothing about zeros beside it. Nothing here reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.fault import Fault
from raidfs.kernels.filled import CONSTANT, DATA
from raidfs.kernels.syndrome import AGREES, NOBODY, UNCHECKED

REASONS = {
    Fault.NEVER_COPIED: "filled, and parity disagrees: this was never copied",
    Fault.WRONG: "wrong, as both parities tell",
    Fault.OPEN: "filled, and parity disagrees, but other members are filled there, too",
    Fault.IN_DISPUTE: "the row disagrees with its parity, and nothing tells which member is wrong",
    Fault.NOTICED: "the row disagrees with its parity, which was seen by chance",
    Fault.BESIDE_STALE: "filled, and parity disagrees, which was never proven there",
    Fault.BESIDE_WRONG: "filled, in a row in which both parities name another member as wrong",
    Fault.STALE: "parity disagrees, which was never proven there",
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
    """

    verdict: NDArray[np.int16]
    absent: NDArray[np.int16]
    usable: NDArray[np.bool_]
    kinds: NDArray[np.uint8]
    parity: NDArray[np.int16]
    proven: NDArray[np.bool_]


def blame(heard: Hearing, *, check: bool) -> NDArray[np.uint8]:
    """Say what is wrong with each sector.

    Args:
        heard: the rows.
        check: every row is compared, so what is in dispute is not served; else only what looks filled is asked about.

    Returns:
        uint8 (r, n): `Fault` values.
    """
    disagrees = (heard.verdict != AGREES) & (heard.verdict != UNCHECKED)
    filled = heard.usable & (heard.kinds != DATA) & disagrees
    has_two = (heard.parity[:, 1] >= 0) & (heard.absent == NOBODY)
    n_filled = filled.sum(axis=0)
    column = np.arange(len(disagrees))
    located = disagrees & (heard.verdict >= 0)
    rivalled = located & _has_rival(heard, filled)
    told = disagrees & ~located & (n_filled == np.where(has_two, 2, 1))
    if (disagrees & heard.proven & ~has_two & (n_filled == 0)).any():
        told &= has_two
    found_filled = filled[np.maximum(heard.verdict, 0), column] & located & ~rivalled
    is_alone = not ((told | found_filled) & heard.proven).any()
    named = located & ((check & is_alone) | ~rivalled)
    is_open = disagrees & ~named & ~told
    is_explained = n_filled >= np.where(has_two, 2, 1)

    fault = np.zeros(filled.shape, dtype=np.uint8)
    rest = Fault.IN_DISPUTE if check else Fault.NOTICED
    fault[heard.usable & is_open & (check | ~is_explained)] = rest
    unnamed = located & ~named
    fault[heard.verdict[unnamed], column[unnamed]] = rest
    for which in range(2):  # what is open must not be rebuilt either
        there = is_open & (n_filled > 0) & (heard.parity[:, which] >= 0)
        fault[heard.parity[there, which], column[there]] = Fault.IN_DISPUTE
    fault[filled & is_open] = Fault.OPEN
    fault[filled & told] = Fault.NEVER_COPIED
    fault[filled & named & rivalled] = Fault.BESIDE_WRONG
    role = heard.verdict[named]
    fault[role, column[named]] = np.where(filled[role, column[named]], Fault.NEVER_COPIED, Fault.WRONG)

    stale = disagrees & ~heard.proven
    fault[:, stale] = 0
    if check:
        fault[heard.usable & stale] = Fault.STALE
    fault[filled & stale] = Fault.BESIDE_STALE
    fault[~heard.usable] = 0
    return fault


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
