"""What is to be believed of copies of a sector that differ, some of which look as if never copied, by the rule.

Nothing here is raidfs's; healths and trusts are numbers as in `tests.support.worth`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.support.fills import is_filled, says_so
from tests.support.worth import DOUBTFUL, GOOD, LOST, NOT_PROVEN, NOT_SURE, NOTHING, REBUILT, SECTOR, SURE, UNPROVEN

_HEALTH = {SURE: GOOD, NOT_PROVEN: UNPROVEN, NOT_SURE: DOUBTFUL}


def believed_copy(
    copies: Sequence[bytes | None], late: Sequence[bool], sure: Sequence[bool], *, is_proven: bool, check: bool
) -> tuple[int, bytes]:
    """Return what a sector is worth, and what it holds then.

    Args:
        copies: content of each, md's own choice first; None: it is not there.
        late: which of them md only reads where it has no other.
        sure: which of them lie in a run of fills that shows that it was never copied.
        is_proven: whether they were ever proven equal.
        check: whether everything is compared, or only what looks filled is asked about.
    """
    left = _trusts(copies, late, sure, is_proven=is_proven, check=check)
    for trust, health in _HEALTH.items():
        for number, (block, mine) in enumerate(zip(copies, left, strict=True)):
            is_copy = number > 0
            worst = max(mine, NOT_PROVEN if is_copy and not is_proven else SURE)
            if block is not None and worst <= trust:
                return (REBUILT if is_copy and health == GOOD else health), block
    return LOST, bytes(SECTOR)


def _trusts(
    copies: Sequence[bytes | None], late: Sequence[bool], sure: Sequence[bool], *, is_proven: bool, check: bool
) -> list[int]:
    """Say what is left of the trust in each copy."""
    there = [block for block in copies if block is not None]
    if len(set(there)) < 2:
        return [NOTHING if block is None else SURE for block in copies]
    fills = {block for block in there if is_filled(block)}
    data = Counter(block for block in there if block not in fills)
    winner = next((block for block, n in data.items() if 2 * n > data.total() and (check or len(data) == 1)), None)
    is_contested = winner is not None and _is_contested(copies, late, sure, winner)

    def left(block: bytes | None) -> int:
        if block is None:
            return NOTHING
        if not is_proven:
            return NOT_PROVEN if check or block in fills else SURE
        if is_contested and block in fills:
            return NOT_SURE
        if is_contested and block == winner:
            return NOT_PROVEN if check or there[0] in fills else SURE
        if winner is not None:
            return SURE if block == winner else NOTHING
        if block in fills or check:
            return NOT_SURE
        return NOT_PROVEN if there[0] in fills else SURE

    return [left(block) for block in copies]


def _is_contested(copies: Sequence[bytes | None], late: Sequence[bool], sure: Sequence[bool], winner: bytes) -> bool:
    """Whether fills that do not say themselves that they are some may be what a sector holds, and data be wrong.

    More copies are filled alike than hold the data, or as many in runs that show nothing; or none that md reads as a
    rule holds the data, but a fill.
    """
    fills = Counter(block for block in copies if block is not None and is_filled(block) and not says_so(block))
    is_late_only = all(is_late for block, is_late in zip(copies, late, strict=True) if block == winner)
    has_early_fill = any(block in fills and not is_late for block, is_late in zip(copies, late, strict=True))
    unsure = Counter(block for block, is_sure in zip(copies, sure, strict=True) if block in fills and not is_sure)
    n_data = copies.count(winner)
    if max(fills.values(), default=0) > n_data or max(unsure.values(), default=0) >= n_data:
        return True
    return is_late_only and has_early_fill
