"""Runs of filled sectors of a copy, and whether they show that it was never copied there, by the rule.

Nothing here is raidfs's. Copies are named by role and place [member bytes].
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from tests.support.fills import is_filled
from tests.support.worth import SECTOR

Copy = tuple[int, int]


@dataclass
class CopyRuns:
    """The runs of an array that is so small that all of them are seen from everywhere.

    Attributes:
        pieces: where each sector of the array begins, and all its copies.
        held: what a copy holds, None: it is not there.
        is_joined: whether a copy goes on where the one before it on its member ends.
        unproven: sectors of the array whose copies were never proven equal.
    """

    pieces: Sequence[tuple[int, Sequence[Copy]]]
    held: Callable[[int, int], bytes | None]
    is_joined: Callable[[int, int], bool]
    unproven: Collection[int]
    _all: dict[Copy, tuple[int, Sequence[Copy]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._all = {copy: (at, copies) for at, copies in self.pieces for copy in copies}

    def is_convincing(self, role: int, offset: int) -> bool:
        """Whether a copy is filled, and most of its run, of a page at least, has data elsewhere."""
        sort = self._sort(role, offset)
        if sort is None:
            return False
        run = [(role, offset), *self._towards(role, offset, -SECTOR, sort), *self._towards(role, offset, SECTOR, sort)]
        n_against = sum(self._speaks_against(copy) for copy in run)
        return len(run) >= 8 and 2 * n_against > len(run)

    def is_opposed(self, role: int, offset: int) -> bool:
        """Whether a copy is filled, and anything of its run has data elsewhere."""
        sort = self._sort(role, offset)
        if sort is None:
            return False
        run = [(role, offset), *self._towards(role, offset, -SECTOR, sort), *self._towards(role, offset, SECTOR, sort)]
        return any(self._speaks_against(copy) for copy in run)

    def _compared(self, copy: Copy) -> bytes | None:
        """What a copy holds, if there is another one to compare it with."""
        _, copies = self._all[copy]
        there = [each for each in copies if self.held(*each) is not None]
        return self.held(*copy) if len(there) > 1 else None

    def _sort(self, role: int, offset: int) -> str | None:
        """What a copy is filled with; None: not at all."""
        block = self._compared((role, offset))
        if block is None or not is_filled(block):
            return None
        if len(set(block)) > 1:
            return "text"
        return "constant" if any(block) else "zeros"

    def _towards(self, role: int, offset: int, step: int, sort: str) -> Iterator[Copy]:
        """Yield how a run goes on; what cannot be compared may be anything."""
        while self.is_joined(role, max(offset, offset + step)) and (role, offset + step) in self._all:
            offset += step
            if self._compared((role, offset)) is not None and self._sort(role, offset) != sort:
                return
            yield role, offset

    def _speaks_against(self, copy: Copy) -> bool:
        """Whether a filled sector has data elsewhere."""
        at, copies = self._all[copy]
        if self._compared(copy) is None or at in self.unproven:
            return False
        blocks = [self.held(*each) for each in copies]
        return any(block is not None and not is_filled(block) for block in blocks)
