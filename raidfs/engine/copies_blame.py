"""Whose fault it is that copies of a sector differ, given which of them look as if never copied.

A fill is little evidence for what a sector should hold; data are more:

- Do all copies that hold data hold the same, the filled ones were never copied.
- Unless they *contest* that: as many are filled alike as there are with data, and do not show by the run in which they
  lie that they were never copied (`engine.copy_runs`); or more are; or md reads those with data last, and a filled one
  before. Then either may be wrong: copies may have been given up there, or one hold garbage in the place of zeros (or
  what was discarded, which not every disk takes for zeros). The data are served, as unproven: of copies that were given
  up they are all that is left. Fills that say themselves that they are some contest nothing.
- Are all copies filled, with one thing or another, those count that do not say themselves that they are fills. What
  more than half of these hold is right if the rest says or shows that it was never copied. If it is zeros, it is
  likelier than another fill of one copy, and unproven; so are zeros of the only copy that counts. But whoever is filled
  in a run that is *opposed*, in which another copy holds data, was perhaps given up here as well. So then, and else,
  nothing tells which is right: 0xff and texts may be data, and zeros a gap.
- Do those that hold data differ among themselves, md's own choice among them counts, as everywhere where mirrors
  differ. Who asked to have everything compared gets what more than half of them hold, or nothing.

Where copies were never proven equal, a difference is what a crash leaves behind, and tells nothing about zeros beside
it: md's choice stands, and is unproven. Nothing here reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.fault import Fault
from raidfs.kernels.filled import DATA, MARKED, ZEROS

REASONS = {
    Fault.NEVER_COPIED: "filled, and another copy holds data: this was never copied",
    Fault.CONTESTED: "data, but no fewer copies are filled alike, or those that md reads first: either may be wrong",
    Fault.WRONG: "wrong, as most copies tell",
    Fault.OPEN: "filled, and the copies differ, but nothing tells what should be there",
    Fault.IN_DISPUTE: "the copies differ, and nothing tells which is right",
    Fault.NOTICED: "the copies differ, which was seen by chance",
    Fault.GIVEN_UP: "filled, but not like most copies, and its mark or its run shows that this was never copied",
    Fault.BESIDE_FILL: "zeros, but other copies are filled in another way: either may be what was never copied",
    Fault.BESIDE_STALE: "filled, and the copies differ, which were never proven equal there",
    Fault.STALE: "the copies differ, which were never proven equal there",
}
"""One clause each for `explain`."""


@dataclass(frozen=True, eq=False)
class Testimony:
    """Sectors whose copies differ, with all that is known of them; n sectors of c copies, md's own choice first.

    Attributes:
        content: int16 (c, n): copies with the same number are equal; -1: took no part.
        kinds: uint8 (c, n): what is there, as `kernels.filled` names it; of any value where it took no part.
        late: bool (c,): md only reads it where it has no other.
        proven: bool (n,): the copies were proven equal there.
        convincing: bool (c, n): filled, and the run shows that it was never copied.
        opposed: bool (c, n): filled, and somewhere in the run another copy holds data.
    """

    content: NDArray[np.int16]
    kinds: NDArray[np.uint8]
    late: NDArray[np.bool_]
    proven: NDArray[np.bool_]
    convincing: NDArray[np.bool_]
    opposed: NDArray[np.bool_]

    @property
    def fills(self) -> NDArray[np.bool_]:
        """What is filled, and does not say itself that it was not copied; bool (c, n)."""
        found: NDArray[np.bool_] = (self.content >= 0) & (self.kinds != DATA) & (self.kinds != MARKED)
        return found

    @property
    def hangs_on_runs(self) -> NDArray[np.bool_]:
        """Where it makes a difference what the runs of fills show; bool (n,).

        As many are alike as hold the same data, or nobody holds any, and most are alike.
        """
        holds = (self.content >= 0) & (self.kinds == DATA)
        n_data = _most_alike(self.content, holds)
        is_rival = (n_data > 0) & (_most_alike(self.content, self.fills) >= n_data)
        found: NDArray[np.bool_] = self.proven & (is_rival | self.elected.any(axis=0))
        return found

    @property
    def elected(self) -> NDArray[np.bool_]:
        """Where nobody holds data: what most of those hold that do not say that they are fills; bool (c, n)."""
        fills, holds = self.fills, (self.content >= 0) & (self.kinds == DATA)
        n_alike = np.stack([((self.content == each) & fills).sum(axis=0) for each in self.content])
        found: NDArray[np.bool_] = fills & (2 * n_alike > fills.sum(axis=0)) & ~holds.any(axis=0)
        return found


def blame_copies(heard: Testimony, *, check: bool) -> NDArray[np.uint8]:
    """Say what is wrong with each sector.

    Args:
        heard: the sectors.
        check: everything is compared, so what is in dispute is not served; else only what looks filled is asked about,
            and nothing is said of what a read might have served before it was asked.

    Returns:
        uint8 (c, n): `Fault` values.
    """
    content, usable = heard.content, heard.content >= 0
    filled = usable & (heard.kinds != DATA)
    holds = usable & ~filled
    column = np.arange(content.shape[1])
    first = content[np.argmax(holds, axis=0), column]
    is_told = holds.any(axis=0) & ~(holds & (content != first)).any(axis=0)
    n_equal = np.stack([((content == each) & holds).sum(axis=0) for each in content])
    is_most = holds & (2 * n_equal > holds.sum(axis=0))
    is_outvoted = is_most.any(axis=0) & ~is_told & check
    is_open = ~is_told & ~is_outvoted
    # whoever reads it without a check is led here by a filled first choice, or never: so any split of a read agrees
    is_sure_to_be_asked = filled[np.argmax(usable, axis=0), column]

    winner = is_most & ~is_open
    is_contested = ~is_open & _is_contested(heard, winner)

    fault = np.zeros(content.shape, dtype=np.uint8)
    fault[holds & is_open & (check | is_sure_to_be_asked)] = Fault.IN_DISPUTE if check else Fault.NOTICED
    fault[winner & is_contested & (check | is_sure_to_be_asked)] = Fault.CONTESTED
    fault[filled] = Fault.NEVER_COPIED
    fault[filled & (is_open | is_contested)] = Fault.OPEN
    fault[holds & ~is_most & is_outvoted] = Fault.WRONG
    _elect(heard, fault)
    stale = ~heard.proven
    fault[:, stale] = Fault.NOTHING
    if check:
        fault[usable & stale] = Fault.STALE
    fault[filled & stale] = Fault.BESIDE_STALE
    return fault


def _elect(heard: Testimony, fault: NDArray[np.uint8]) -> None:
    """Say what is right where nobody holds data, as far as anything tells.

    Args:
        heard: the sectors.
        fault: uint8 (c, n), overwritten there.
    """
    winner, late = heard.elected, heard.late[:, None]
    others = (heard.content >= 0) & ~winner
    shown = others & (heard.convincing | (heard.kinds == MARKED))
    open_ones = others & ~shown
    is_late_only = ~(winner & ~late).any(axis=0) & (open_ones & ~late).any(axis=0)
    is_elected = winner.any(axis=0) & ~(winner & heard.opposed).any(axis=0) & ~is_late_only
    is_sure = is_elected & (winner.sum(axis=0) > 1) & ~open_ones.any(axis=0)
    are_zeros = (winner & (heard.kinds == ZEROS)).any(axis=0)
    is_likely = is_elected & ~is_sure & are_zeros
    fault[shown & (is_sure | is_likely)] = Fault.GIVEN_UP
    fault[winner & is_sure] = Fault.NOTHING
    fault[winner & is_likely] = Fault.BESIDE_FILL


def _most_alike(content: NDArray[np.int16], among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many of some copies hold the same, at most; content: (c, n), among: bool (c, n); int64 (n,)."""
    found: NDArray[np.int64] = np.stack([((content == each) & among).sum(axis=0) for each in content]).max(axis=0)
    return found


def _is_contested(heard: Testimony, winner: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell where fills may be what a sector holds, and the data of others be wrong.

    Args:
        heard: the sectors.
        winner: bool (c, n): holds the data that most of those with data hold.

    Returns:
        bool (n,).
    """
    late, fills, n_data = heard.late[:, None], heard.fills, winner.sum(axis=0)
    is_late_only = ~(winner & ~late).any(axis=0) & (fills & ~late).any(axis=0)
    is_outnumbered = _most_alike(heard.content, fills) > n_data
    is_matched = _most_alike(heard.content, fills & ~heard.convincing) >= n_data
    found: NDArray[np.bool_] = is_outnumbered | is_matched | is_late_only
    return found
