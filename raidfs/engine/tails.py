"""Members that hold nothing but zeros from some height to their end, and whether that is where they were given up.

Zeros on all members agree, whatever was there. But copies that were given up rarely end at one height, nor where the
data of the array end:

    member 0   |== data ==|000000000000000000000000000000000000000|
    member 1   |== data =====|000000000000000000000000000000000000|
    member 2   |== data ============| zeros |== data ==|0000000000|
                             ^ disagree     ^ disagree  ^ agree: who says that 0 and 1 held zeros there?

So the heights are looked for at which these *tails* begin, by doubling and halving the distance from the end, and of
what is read on the way each piece says whether its rows disagree. That is some 50 pieces, once, however far away what
is asked about lies. Where zeros come and go a tail may begin elsewhere; what it tells is told by disagreement all the
same. Nothing here reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.engine.blame import Hearing
from raidfs.engine.fault import Fault
from raidfs.kernels.filled import PATTERN, ZEROS
from raidfs.kernels.syndrome import AGREES

_SHARE = 1 / 4
"""Share of the rows of a piece that disagree, from which on they speak against the tails in it."""


@dataclass(frozen=True, eq=False)
class PieceSigns:
    """What a piece of the rows says.

    Attributes:
        is_zeros: bool (r,): the member holds nothing but zeros.
        is_torn: its rows disagree, and more members are zeros than the equations can tell.
    """

    is_zeros: NDArray[np.bool_]
    is_torn: bool


def signs_of(heard: Hearing) -> PieceSigns:
    """Look at one piece."""
    zeros = heard.usable & (heard.kinds == ZEROS)
    has_text = (heard.usable & (heard.kinds >= PATTERN)).any(axis=0)
    torn = heard.disagrees & heard.proven & (heard.verdict < 0) & (zeros.sum(axis=0) > heard.n_equations) & ~has_text
    return PieceSigns(zeros.all(axis=1), bool(torn.mean() >= _SHARE))


@dataclass(frozen=True, eq=False)
class Tails:
    """The tails of r members.

    Attributes:
        begin: int64 (r,): the piece in which each begins; the number of all pieces: there is none.
        is_suspect: bool (r,): rows in it disagree, so that the member may have been given up before.
    """

    begin: NDArray[np.int64]
    is_suspect: NDArray[np.bool_]

    def doubt(self, heard: Hearing, fault: NDArray[np.uint8]) -> None:
        """Doubt zeros in rows that agree, where more members may have been given up than the equations can tell.

        Args:
            heard: the rows.
            fault: uint8 (r, n), overwritten there.
        """
        zeros = heard.usable & (heard.kinds == ZEROS)
        ended = zeros & self.is_suspect[:, None] & (heard.reach.piece >= self.begin[:, None])
        is_worthless = (heard.verdict == AGREES) & (ended.sum(axis=0) > heard.n_equations)
        fault[zeros & is_worthless & (fault == Fault.NOTHING)] = Fault.BESIDE_FILL
        column = np.arange(fault.shape[1])
        for which in range(2):
            there = is_worthless & (heard.parity[:, which] >= 0)
            fault[heard.parity[there, which], column[there]] = Fault.IN_DISPUTE
        fault[ended & is_worthless] = Fault.ENDED
        fault[~heard.usable] = Fault.NOTHING


def find_tails(look: Callable[[int], PieceSigns], n_pieces: int) -> Tails:
    """Find where the tails begin.

    Args:
        look: what a piece says, by its number.
        n_pieces: how many there are, one at least.
    """
    seen: dict[int, PieceSigns] = {}

    def at(number: int) -> PieceSigns:
        if number not in seen:
            seen[number] = look(number)
        return seen[number]

    last = at(n_pieces - 1).is_zeros
    begin = np.full(len(last), n_pieces, dtype=np.int64)
    if last.sum() > 1:
        for role in np.flatnonzero(last).tolist():
            begin[role] = _begin(at, role, n_pieces)
    is_suspect = np.zeros_like(last)
    for number, signs in seen.items():
        is_suspect |= signs.is_zeros & (number >= begin) & signs.is_torn
    return Tails(begin, is_suspect)


def _begin(look: Callable[[int], PieceSigns], role: int, n_pieces: int) -> int:
    """Return from which piece on a member seems to hold nothing but zeros; it does so in the last one."""
    first, step = n_pieces - 1, 1
    while first >= step and look(first - step).is_zeros[role]:
        first, step = first - step, 2 * step
    before = max(first - step, -1)
    while first - before > 1:
        middle = (first + before) // 2
        first, before = (middle, before) if look(middle).is_zeros[role] else (first, middle)
    return first
