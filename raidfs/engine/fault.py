"""What is found of a sector that disagrees with the redundancy of an array, whatever kind that is of."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.health import Trust


class Fault(IntEnum):
    """What is found of one sector of one member; who finds it says why."""

    NOTHING = 0
    NEVER_COPIED = 1
    WRONG = 2
    OPEN = 3
    """Filled, and nothing tells what should be there."""
    IN_DISPUTE = 4
    """Something is wrong there, nobody knows what; no byte of it is certain."""
    NOTICED = 5
    """The same, where nobody asked to have everything compared."""
    BESIDE_STALE = 6
    """Filled, where redundancy was never proven and disagrees."""
    STALE = 7
    """Where redundancy was never proven and disagrees."""
    BESIDE_WRONG = 8
    """Filled, beside a member that is named as wrong."""
    BESIDE_FILL = 9
    """Filled, beside a member that was never copied."""
    BESIDE_LITTLE = 10
    """Parity, or what nothing confirms, beside a member of which so little was never copied that it may be chance."""
    CONTESTED = 11
    """Data, where as many copies, or better ones, are filled alike: one or the other."""
    ENDED = 12
    """Zeros, up to the end of a member that may have been given up before."""
    IN_NEITHER = 13
    """In a row that neither geometry of a reshape explains."""
    GIVEN_UP = 14
    """Filled like no more than a few copies, and shown to have never been copied by itself."""

    @property
    def trust(self) -> Trust:
        """What is left of the trust in it."""
        return _TRUST[self]

    @property
    def is_curable(self) -> bool:
        """Whether the original of an image may hold something else."""
        return self in (Fault.NEVER_COPIED, Fault.GIVEN_UP, Fault.OPEN, Fault.ENDED)


_TRUST = {
    Fault.NOTHING: Trust.SURE,
    Fault.NEVER_COPIED: Trust.NONE,
    Fault.WRONG: Trust.NONE,
    Fault.OPEN: Trust.DOUBTFUL,
    Fault.IN_DISPUTE: Trust.DOUBTFUL,
    Fault.NOTICED: Trust.UNPROVEN,
    Fault.BESIDE_STALE: Trust.UNPROVEN,
    Fault.STALE: Trust.UNPROVEN,
    Fault.BESIDE_WRONG: Trust.UNPROVEN,
    Fault.BESIDE_FILL: Trust.UNPROVEN,
    Fault.BESIDE_LITTLE: Trust.UNPROVEN,
    Fault.CONTESTED: Trust.UNPROVEN,
    Fault.ENDED: Trust.DOUBTFUL,
    Fault.IN_NEITHER: Trust.DOUBTFUL,
    Fault.GIVEN_UP: Trust.NONE,
}


def runs_of(fault: NDArray[np.uint8]) -> Iterator[tuple[Fault, int, int]]:
    """Yield (fault, first, behind last) of each run of sectors with the same fault; uint8 (n,). Those without: not."""
    cuts = np.concatenate(([0], np.flatnonzero(np.diff(fault)) + 1, [len(fault)]))
    for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        if last > first and fault[first] != Fault.NOTHING:
            yield Fault(int(fault[first])), first, last
