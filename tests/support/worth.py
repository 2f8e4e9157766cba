"""What every sector of an array is worth, by the definition, one sector at a time; nothing here is raidfs's.

Healths and trusts are numbers as in the glossary: good 0, rebuilt 1, unproven 2, doubtful 3, lost 4; a cell is sure 0,
unproven 1, doubtful 2 or not there 3.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.oracle.at_risk import Reshape
from tests.oracle.layouts import Geometry, Stripe
from tests.oracle.parity import reachable
from tests.oracle.ranges import Range, intersection, shifted
from tests.oracle.reader import Array, Member
from tests.oracle.writer import Simulation
from tests.support.reshapes import windows

SECTOR = 512
GOOD, REBUILT, UNPROVEN, DOUBTFUL, LOST = range(5)
SURE, NOT_PROVEN, NOT_SURE, NOTHING = range(4)


@dataclass(frozen=True)
class Situation:
    """An array with its damage.

    Attributes:
        array: as recorded; its members' invalid ranges are the damage.
        resync_offset: redundancy is proven below it [component bytes]; None: everywhere.
        doubtful: roles whose members are not to be trusted.
        at_risk: by role, what the reshape may have overwritten beyond its position [member bytes].
    """

    array: Array
    resync_offset: int | None = None
    doubtful: Collection[int] = ()
    at_risk: Mapping[int, Range] = field(default_factory=dict)


def reshape_of(array: Simulation, roles: Collection[int]) -> Reshape | None:
    """The reshape of a simulated array as far as the members of these roles tell."""
    if array.after is None:
        return None
    offsets = {role: (array.roles[role].data_offset, array.roles[role].new_data_offset) for role in sorted(roles)}
    return Reshape(
        array.geometry, array.after, array.component_size, array.position, array.backwards, offsets or {-1: (0, 0)}
    )


def situation_of(
    array: Simulation,
    bad: Mapping[int, Collection[Range]],
    *,
    without: Collection[int] = (),
    doubtful: Collection[int] = (),
) -> Situation:
    """A simulated array, less the members of some roles, with bad ranges by role [member bytes]."""
    recorded = array.array(without=without)
    members = tuple(_with_bad(member, bad.get(member.role, ())) for member in recorded.members)
    told = Array(
        recorded.geometry, recorded.component_size, members, recorded.after, recorded.position, recorded.backwards
    )
    reshape = reshape_of(array, [member.role for member in members])
    at_risk = {} if reshape is None else dict(windows(reshape))
    return Situation(told, array.resync_offset, doubtful, at_risk)


def healths(situation: Situation) -> NDArray[np.uint8]:
    """What each sector is worth; uint8 (sectors of the array,)."""
    array = situation.array
    found = np.zeros(array.size // SECTOR, dtype=np.uint8)
    for low, high, geometry, new in array.sections(0, array.size):
        trust = trusts(situation, new=new)
        for sector in range(low // SECTOR, high // SECTOR):
            number, inside = divmod(sector * SECTOR, geometry.chunk)
            row, k = divmod(number, geometry.data_disks)
            height = (row * geometry.chunk + inside) // SECTOR
            dirty = situation.resync_offset is not None and height * SECTOR >= situation.resync_offset
            stripe = geometry.stripe(row)
            cells = tuple(trust[role][height] if role in trust else NOTHING for role in range(geometry.raid_disks))
            found[sector] = health(stripe, cells, NOT_PROVEN if dirty else SURE, stripe.data[k])
    return found


@lru_cache(maxsize=1 << 16)
def health(stripe: Stripe, cells: tuple[int, ...], redundancy: int, role: int) -> int:
    """What a cell is worth, from the trust in each role's cell and in the equations."""
    for trust, by_itself, by_sum in (
        (SURE, GOOD, REBUILT),
        (NOT_PROVEN, UNPROVEN, UNPROVEN),
        (NOT_SURE, DOUBTFUL, DOUBTFUL),
    ):
        if cells[role] <= trust:
            return by_itself
        known = [other for other, value in enumerate(cells) if value <= trust]
        if redundancy <= trust and role in reachable(stripe, known):
            return by_sum
    return LOST


def trusts(situation: Situation, *, new: bool) -> dict[int, list[int]]:
    """Trust in each sector of each role's component, in the old (or only) or in the new geometry."""
    array = situation.array
    found = {}
    for member in array.members:
        offset = member.new_data_offset if new else member.data_offset
        cells = np.full(array.component_size // SECTOR, NOTHING, dtype=np.uint8)
        for start, stop in array.valid(member, new=new):
            cells[-(-start // SECTOR) : stop // SECTOR] = SURE
        if not new and array.after is not None and member.role < array.after.raid_disks:
            lower(cells, rewritten(array, array.after, member), offset, NOTHING)
            lower(cells, situation.at_risk.get(member.role, (0, 0)), offset, NOT_SURE)
        if member.role in situation.doubtful:
            np.maximum(cells, NOT_SURE, out=cells)
        found[member.role] = cells.tolist()
    return found


def rewritten(array: Array, after: Geometry, member: Member) -> Range:
    """The member bytes that hold the new geometry for sure."""
    front = array.position // after.data_disks
    start, stop = (front, array.component_size) if array.backwards else (0, front)
    return member.new_data_offset + start, member.new_data_offset + stop


def lower(cells: NDArray[np.uint8], place: Range, offset: int, trust: int) -> None:
    """Trust the sectors of a range [member bytes] no more than so much."""
    for start, stop in intersection(shifted([place], -offset), [(0, len(cells) * SECTOR)]):
        part = cells[start // SECTOR : -(-stop // SECTOR)]
        np.maximum(part, trust, out=part)


def _with_bad(member: Member, bad: Collection[Range]) -> Member:
    invalid = (*member.invalid, *bad)
    return Member(member.role, member.image, member.data_offset, member.new_data_offset, member.recovered_to, invalid)
