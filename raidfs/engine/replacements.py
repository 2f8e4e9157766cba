"""Judging members of arrays with parity that are held twice, since they were being replaced when the array crashed.

Parity is asked about the replacement as it is about the member: as if the replacement had its seat. Only against the
replacement itself that counts everywhere; against others where the member is not sure, since else its own rows tell.
Where parity cannot be asked the two are compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.engine.copies_judge import CopiesJudge
from raidfs.engine.damage import UNREADABLE, Flaw
from raidfs.engine.fetch import PatientSource
from raidfs.engine.judge import ParityJudge
from raidfs.engine.judgement import Judge, Judgement
from raidfs.extents import Extents
from raidfs.geometry.copies import mirror_table
from raidfs.geometry.reshape import Section, Side
from raidfs.geometry.zone import Zone


@dataclass(frozen=True)
class _Pair:
    """A member and its replacement.

    Attributes:
        old, new: their sources.
    """

    old: int
    new: int


def judges_of_replacements(
    description: ArrayDescription, members: Sequence[Member], section: Section, *, has_parity: bool, check: bool
) -> Iterator[Judge]:
    """Yield who judges replacements, to be asked after who judges the members that serve.

    Args:
        description: the array.
        members: the member of each source.
        section: its geometry has parity, and stripe bytes are component bytes.
        has_parity: so many members are there that parity can tell something.
        check: every row is judged, whatever it holds.
    """
    serving = {member.role: source for source, member in enumerate(members) if member.state.serves}
    pairs = [
        _Pair(serving[member.role], source)
        for source, member in enumerate(members)
        if member.state is State.REPLACEMENT and member.role in serving
    ]
    for pair in pairs if has_parity else ():
        yield _SeatJudge(description, members, section, pair, check=check)
    for pair in pairs:
        yield _twin_judge(description, members, section, pair, check=check)


def _twin_judge(
    description: ArrayDescription, members: Sequence[Member], section: Section, pair: _Pair, *, check: bool
) -> Judge:
    """Compare a member with its replacement: a mirror of its own, of which component bytes are the stripe bytes."""
    alone = [
        replace(member, role=0 if source in (pair.old, pair.new) else None) for source, member in enumerate(members)
    ]
    size = section.zone.component_stop
    mirror = Section(0, size, section.side, Zone(0, size, 0, size, 0, mirror_table(1)), 1)
    return CopiesJudge(description, alone, mirror, (), check=check)


class _SeatJudge:
    """Judges rows by P and Q with a replacement in the seat of its member."""

    def __init__(
        self,
        description: ArrayDescription,
        members: Sequence[Member],
        section: Section,
        pair: _Pair,
        *,
        check: bool,
    ) -> None:
        """See `judges_of_replacements`."""
        seated = list(members)
        seated[pair.old] = replace(members[pair.old], role=None, state=State.SPARE)
        seated[pair.new] = replace(members[pair.new], state=State.RECOVERING)
        self._judge = ParityJudge(description, seated, section, check=check)
        self._pair = pair
        self._side = section.side
        self._offsets = [
            member.new_data_offset if section.side is Side.AFTER else member.data_offset for member in members
        ]

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge rows; see `engine.judgement.Judge.judge`."""
        judgement = self._judge.judge(flaws, sources, start, stop)
        if not judgement.flaws:
            return judgement
        against = [flaw.extents for flaw in flaws if flaw.source == self._pair.old and flaw.side in (None, self._side)]
        unsure = Extents().union(*against).shift(-self._offsets[self._pair.old])
        found = []
        for flaw in judgement.flaws:
            here = flaw.extents
            if flaw.source != self._pair.new and flaw.reason != UNREADABLE:
                here = here.intersection(unsure.shift(self._offsets[flaw.source]))
            if here:
                found.append(replace(flaw, extents=here))
        return replace(judgement, flaws=tuple(found))
