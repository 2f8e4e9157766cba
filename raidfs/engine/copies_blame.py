"""Whose fault it is that copies of a sector differ, given which of them look as if never copied.

A fill is no evidence for what a sector should hold; data are:

- Do all copies that hold data hold the same, the filled ones were never copied. It does not matter how many they are.
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
from raidfs.kernels.filled import DATA

REASONS = {
    Fault.NEVER_COPIED: "filled, and another copy holds data: this was never copied",
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
        proven: bool (n,): the copies were proven equal there.
    """

    content: NDArray[np.int16]
    kinds: NDArray[np.uint8]
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

    fault = np.zeros(content.shape, dtype=np.uint8)
    fault[holds & is_open & (check | is_sure_to_be_asked)] = Fault.IN_DISPUTE if check else Fault.NOTICED
    fault[filled] = Fault.NEVER_COPIED
    fault[filled & is_open] = Fault.OPEN
    fault[holds & ~is_most & is_outvoted] = Fault.WRONG
    stale = ~heard.proven
    fault[:, stale] = Fault.NOTHING
    if check:
        fault[usable & stale] = Fault.STALE
    fault[filled & stale] = Fault.BESIDE_STALE
    return fault
