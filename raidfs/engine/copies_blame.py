"""Whose fault it is that copies of a sector differ, given which of them look as if never copied.

A fill is no evidence for what a sector should hold; data are:

- Do all copies that hold data hold the same, the filled ones were never copied.
- Unless more of these are filled alike than there are with data; or md reads those with data last, and a filled one
  before: then either may be wrong. Two copies may have been given up there, or one hold garbage in the place of zeros
  (or what was discarded, which not every disk takes for zeros). The data are served, as unproven: of two copies that
  were given up they are all that is left. Fills that say themselves that they are some contest nothing.
- Are all copies filled, with one thing or another, nothing tells which of them is right.
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
from raidfs.kernels.filled import DATA, MARKED

REASONS = {
    Fault.NEVER_COPIED: "filled, and another copy holds data: this was never copied",
    Fault.OUTNUMBERED: "data, but more copies are filled alike, or those that md reads first: either may be wrong",
    Fault.WRONG: "wrong, as most copies tell",
    Fault.OPEN: "filled, and the copies differ, but nothing tells what should be there",
    Fault.IN_DISPUTE: "the copies differ, and nothing tells which is right",
    Fault.NOTICED: "the copies differ, which was seen by chance",
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
    """

    content: NDArray[np.int16]
    kinds: NDArray[np.uint8]
    late: NDArray[np.bool_]
    proven: NDArray[np.bool_]


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
    is_contested = ~is_open & _is_contested(heard, filled & (heard.kinds != MARKED), winner)

    fault = np.zeros(content.shape, dtype=np.uint8)
    fault[holds & is_open & (check | is_sure_to_be_asked)] = Fault.IN_DISPUTE if check else Fault.NOTICED
    fault[winner & is_contested & (check | is_sure_to_be_asked)] = Fault.OUTNUMBERED
    fault[filled] = Fault.NEVER_COPIED
    fault[filled & (is_open | is_contested)] = Fault.OPEN
    fault[holds & ~is_most & is_outvoted] = Fault.WRONG
    stale = ~heard.proven
    fault[:, stale] = Fault.NOTHING
    if check:
        fault[usable & stale] = Fault.STALE
    fault[filled & stale] = Fault.BESIDE_STALE
    return fault


def _is_contested(heard: Testimony, fills: NDArray[np.bool_], winner: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell where fills may be what a sector holds, and the data of others be wrong.

    Args:
        heard: the sectors.
        fills: bool (c, n): filled, and does not say itself that it was not copied.
        winner: bool (c, n): holds the data that most of those with data hold.

    Returns:
        bool (n,).
    """
    late = heard.late[:, None]
    n_alike = np.stack([((heard.content == each) & fills).sum(axis=0) for each in heard.content]).max(axis=0)
    is_late_only = ~(winner & ~late).any(axis=0) & (fills & ~late).any(axis=0)
    found: NDArray[np.bool_] = (n_alike > winner.sum(axis=0)) | is_late_only
    return found
