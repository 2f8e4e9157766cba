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
    copies: Sequence[bytes | None],
    late: Sequence[bool],
    sure: Sequence[bool],
    opposed: Sequence[bool],
    *,
    is_proven: bool,
    check: bool,
) -> tuple[int, bytes]:
    """Return what a sector is worth, and what it holds then.

    Args:
        copies: content of each, md's own choice first; None: it is not there.
        late: which of them md only reads where it has no other.
        sure: which of them lie in a run of fills that shows that it was never copied.
        opposed: which of them lie in a run of fills of which some sector has data elsewhere.
        is_proven: whether they were ever proven equal.
        check: whether everything is compared, or only what looks filled is asked about.
    """
    left = _trusts(copies, late, sure, opposed, is_proven=is_proven, check=check)
    for trust, health in _HEALTH.items():
        for number, (block, mine) in enumerate(zip(copies, left, strict=True)):
            is_copy = number > 0
            worst = max(mine, NOT_PROVEN if is_copy and not is_proven else SURE)
            if block is not None and worst <= trust:
                return (REBUILT if is_copy and health == GOOD else health), block
    return LOST, bytes(SECTOR)


def _trusts(
    copies: Sequence[bytes | None],
    late: Sequence[bool],
    sure: Sequence[bool],
    opposed: Sequence[bool],
    *,
    is_proven: bool,
    check: bool,
) -> list[int]:
    """Say what is left of the trust in each copy."""
    there = [block for block in copies if block is not None]
    if len(set(there)) < 2:
        return [NOTHING if block is None else SURE for block in copies]
    fills = {block for block in there if is_filled(block)}
    data = Counter(block for block in there if block not in fills)
    if is_proven and not data:
        return _trusts_in_fills(copies, late, sure, opposed)
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


def _trusts_in_fills(
    copies: Sequence[bytes | None], late: Sequence[bool], sure: Sequence[bool], opposed: Sequence[bool]
) -> list[int]:
    """The same where nobody holds data, and not all are filled alike.

    What most of those hold that do not say themselves that they are fills is right if the others do say so, or show it
    by their run; if it is zeros, it is likelier than another fill. But one copy alone is never proven, nor is anything
    of whose run another copy holds data, or that only those hold that md reads last.
    """
    left = [NOTHING if block is None else NOT_SURE for block in copies]
    votes = Counter(block for block in copies if block is not None and not says_so(block))
    winner = next((block for block, n in votes.items() if 2 * n > votes.total()), None)
    if winner is None:
        return left
    winners = {number for number, block in enumerate(copies) if block == winner}
    losers = {number for number, block in enumerate(copies) if block is not None} - winners
    shown = {number for number in losers if sure[number] or says_so(copies[number] or b"")}
    is_late_only = all(late[number] for number in winners) and not all(late[number] for number in losers - shown)
    if any(opposed[number] for number in winners) or is_late_only:
        return left
    is_sure = len(winners) > 1 and shown == losers
    if not is_sure and any(winner):
        return left
    for number in winners:
        left[number] = SURE if is_sure else NOT_PROVEN
    for number in shown:
        left[number] = NOTHING
    return left


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
