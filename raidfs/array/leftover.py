"""Which superblocks are left over from an array that the disks belonged to before.

An image may hold two superblocks, one among the data of the other. Either it is a member of an array that is itself a
member of another one, and this is seen through it; or a member was copied onto a larger disk that had been one of
another array, whose superblock is still at its end. One image cannot tell; all of them together can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raidfs.array.accusing import are_enough
from raidfs.array.choose import Claimed, arrays_in
from raidfs.superblock.claim import MemberClaim


def left_over(claimed: Sequence[Claimed], within: Mapping[str, Claimed]) -> dict[str, str]:
    """Return the arrays that are not there any more: why, one clause, by uuid.

    Args:
        claimed: what is preferred on each image.
        within: what lies among the data of that, by the path of the image.
    """
    why: dict[str, str] = {}
    for uuid, members in arrays_in(claimed).items():
        inner = {_device(within[each.path]) for each in members if each.path in within}
        if len(inner) > len({array for array, _ in inner}):
            why[uuid] = "different members of another array lie on its members, and an array has room for one"
        elif _fit(members, within) and not are_enough(members[0].claim, {each.claim.role for each in members}):
            why[uuid] = "the images hold too few members of it"
    return why


def _fit(members: Sequence[Claimed], within: Mapping[str, Claimed]) -> bool:
    """Tell whether what lies among the data of members was copied there whole: it ends before theirs do.

    What lies on an array of several members is longer than one, whose chunks are not one behind the other: however few
    of its members there are, they are no members of what is on it.
    """
    inner = [(each, within[each.path]) for each in members if each.path in within]
    return bool(inner) and all(_end(one.claim) <= _end(each.claim) for each, one in inner)


def _end(claim: MemberClaim) -> int:
    """Return where the data of a member end at most [bytes of the image]."""
    return claim.data_offset + (claim.component_size or 0 if claim.data_size is None else claim.data_size)


def _device(member: Claimed) -> tuple[str, str | int]:
    """Name the array of a member, and the device that it is in it."""
    claim = member.claim
    return claim.array_uuid, claim.device_number if claim.device_uuid is None else claim.device_uuid
