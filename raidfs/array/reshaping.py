"""What superblocks tell of a reshape: its two shapes, and members that a half-finished update left behind.

All superblocks are written together, so a crash may leave some of them one event behind. At the begin and the end of a
reshape such members tell of another moment: of the array before it, or of the reshape just before its end. The member
with the most events counts (`md.c: analyze_sbs`), and the others follow from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from raidfs.array.choose import Claimed
from raidfs.array.description import LARGEST, Alternative, Direction, Reshape, usable_size
from raidfs.array.shape import Level, Shape, shape_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.extents import Extents
from raidfs.superblock.claim import MemberClaim, ReshapeClaim


def shapes_of(claim: MemberClaim) -> tuple[Shape, Reshape | None]:
    """Read the shape or shapes; during a reshape raid_disks is the new number, the rest of the static fields old.

    Raises:
        InconsistentDescription: the fields give no shape.
        UnsupportedMetadata: a level or layout that raidfs does not read.
    """
    told = claim.reshape
    if told is None:
        return shape_of(claim.level, claim.layout, claim.chunk_size, claim.raid_disks), None
    before = shape_of(claim.level, claim.layout, claim.chunk_size, claim.raid_disks - told.delta_disks)
    after = shape_of(claim.level, told.new_layout, told.new_chunk_size, claim.raid_disks)
    direction = Direction.BACKWARD if told.backwards else Direction.FORWARD
    return before, Reshape(before, after, told.position, direction)


def quiet_of(reshape: Reshape, serving: Sequence[MemberClaim]) -> Extents:
    """Return where nothing can have been written since the reshape moved it [array bytes].

    While the position is being recorded, user I/O between the old and the new one waits until every superblock has it
    (`raid5.c: make_stripe_request`, `raid10.c: raid10_write_request`). So where members disagree, it still waited.

    Args:
        reshape: with the position that counts.
        serving: the claims of the members that serve.
    """
    positions = [claim.reshape.position for claim in serving if claim.reshape is not None and claim.intact]
    if not positions or not all(0 <= position < LARGEST for position in (*positions, reshape.position)):
        return Extents()  # the latter is refused elsewhere, where it counts
    if reshape.direction is Direction.FORWARD:
        return Extents.span(min(*positions, reshape.position), reshape.position)
    return Extents.span(reshape.position, max(*positions, reshape.position))


def positions_of(reference: Claimed, serving: Sequence[Claimed]) -> dict[int, list[str]]:
    """Return the positions that members with the events of the reference record, and the paths of those that do.

    Each update of the superblocks counts one event and carries one position, so there is one only, or something went
    wrong: the kernel would take that of the member that it happens to see first (`md.c: analyze_sbs`), and mdadm would
    write it to all others.
    """
    found: dict[int, list[str]] = {}
    for each in serving:
        if each.claim.intact and each.claim.reshape is not None and each.claim.events == reference.claim.events:
            found.setdefault(each.claim.reshape.position, []).append(each.path)
    return dict(sorted(found.items()))


def usual_move(claims: Sequence[Claimed]) -> int | None:
    """Return by how much most members move their data [bytes]; None: most do not agree."""
    moves = [each.claim.reshape.new_offset for each in claims if each.claim.intact and each.claim.reshape]
    (move, n), *_ = Counter(moves).most_common(1) or [(0, 0)]
    return move if 2 * n > len(moves) else None


def offsets_of(claim: MemberClaim, first: MemberClaim, usual: int | None) -> tuple[int, int, str]:
    """Return where the data of a member begin in the old and in the new geometry, and a remark.

    Args:
        claim: of the member.
        first: the claim that counts.
        usual: see `usual_move`.

    Returns:
        data_offset and new_data_offset [member bytes]; a clause where they are not just what the member says, or ''.
    """
    told = claim.reshape
    if told is not None and first.reshape is None:
        moved = claim.data_offset + told.new_offset
        return moved, moved, "does not know yet that the reshape has ended; its data begin where that left them"
    if told is None and first.reshape is None and _is_before_last_update(claim, first):
        return claim.data_offset, claim.data_offset, "does not know yet the shape that the reshape ended with"
    if _missed_the_level(claim, first):
        return claim.data_offset, claim.data_offset, "does not know yet that the level was changed, which moved no data"
    if told is None and first.reshape is not None and _has_ended(claim, first):
        before = claim.data_offset - (usual or 0)
        return before, claim.data_offset, "says that the reshape has ended; its data began where the others' do"
    if told is None and first.reshape is not None:
        move = claim.data_offset + (usual or 0)
        return claim.data_offset, move, "does not know yet that the reshape has begun; its data move as the others' do"
    shift = told.new_offset if told else 0
    return claim.data_offset, claim.data_offset + shift, ""


def disagreement(claim: MemberClaim, first: MemberClaim) -> str:
    """Name the first array-wide value in which a claim contradicts the one that counts; empty: none."""
    if claim.reshape is None and first.reshape is not None and _before(first) == _static(claim):
        return "" if claim.events + 1 == first.events and _has_just_begun(first) else "that no reshape runs"
    if claim.reshape is not None and first.reshape is None and _after(claim) in _ends(first):
        return "" if claim.events + 1 >= first.events else "that a reshape runs"
    if _is_before_last_update(claim, first):
        return "" if claim.events + 1 >= first.events else "that a reshape has just ended"
    if _has_ended(claim, first) or _missed_the_level(claim, first):
        return ""
    for name in ("metadata", "level", "layout", "chunk_size", "raid_disks", "component_size"):
        if getattr(claim, name) != getattr(first, name):
            return f"{name} {getattr(claim, name)} instead of {getattr(first, name)}"
    if (claim.reshape is None) != (first.reshape is None):
        return "that no reshape runs" if claim.reshape is None else "that a reshape runs"
    if claim.reshape is not None and first.reshape is not None:
        for name in ("delta_disks", "new_level", "new_layout", "new_chunk_size", "backwards"):
            if getattr(claim.reshape, name) != getattr(first.reshape, name):
                return f"{name} {getattr(claim.reshape, name)} instead of {getattr(first.reshape, name)}"
    return ""


def _has_ended(claim: MemberClaim, first: MemberClaim) -> bool:
    """Tell whether a fresher claim has it that the reshape of the one that counts has ended; see `unended`."""
    if claim.reshape is not None or first.reshape is None or claim.events != first.events + 1:
        return False
    return _after(first) in _ends(claim)


def _has_just_begun(claim: MemberClaim) -> bool:
    """Tell whether the recorded position is where a reshape begins: from then on every superblock knows of it."""
    try:
        before, reshape = shapes_of(claim)
    except (InconsistentDescription, UnsupportedMetadata):
        return False
    if reshape is None or reshape.direction is Direction.FORWARD:
        return reshape is not None and reshape.position == 0
    shapes = (before, reshape.after)
    step = max(shape.chunk_size for shape in shapes) * reshape.after.n_data
    n_roles = max(shape.raid_disks for shape in shapes)
    return reshape.position + step > usable_size(shapes, [claim.component_size or 0] * n_roles)


def _is_before_last_update(claim: MemberClaim, first: MemberClaim) -> bool:
    """Tell whether a member missed only the last of the updates that end a reshape; see `ending_of`."""
    last = claim.last_reshape
    if claim.reshape is not None or first.reshape is not None or last is None or _static(claim) == _static(first):
        return False
    return _told(claim, last.new_layout, last.new_chunk_size, claim.raid_disks) == _static(first)


def _missed_the_level(claim: MemberClaim, first: MemberClaim) -> bool:
    """Tell whether a member missed nothing but a change of the level that is made at once, before or after a reshape.

    It adds or drops a member with Q, or gives RAID4 another name; no data are moved (`raid5.c: raid6_takeover_raid5`).
    """
    if claim.level == first.level or claim.events + 1 != first.events:
        return False
    if claim.reshape is not None or first.reshape is not None:
        return False
    return _as_raid5(claim) == _as_raid5(first) != ()


def _as_raid5(claim: MemberClaim) -> _Static:
    """Return what an array is without its Q, if that is a RAID5; else nothing."""
    layout, raid_disks = claim.layout, claim.raid_disks
    if claim.level == Level.RAID6.value:
        with_q_last = {16: 0, 17: 1, 18: 2, 19: 3, 20: 4, 5: 5}
        if layout not in with_q_last:
            return ()
        layout, raid_disks = with_q_last[layout], raid_disks - 1
    elif claim.level == Level.RAID4.value:
        layout = 5
    elif claim.level != Level.RAID5.value:
        return ()
    return claim.metadata, layout, claim.chunk_size, raid_disks, claim.component_size


_Static = tuple[object, ...]
"""metadata, level, layout, chunk_size, raid_disks, component_size."""


def _static(claim: MemberClaim) -> _Static:
    return _told(claim, claim.layout, claim.chunk_size, claim.raid_disks)


def _before(claim: MemberClaim) -> _Static:
    """Return what a member said before the reshape that this one tells of."""
    delta = claim.reshape.delta_disks if claim.reshape else 0
    return _told(claim, claim.layout, claim.chunk_size, claim.raid_disks - delta)


def _after(claim: MemberClaim) -> _Static:
    """Return what a member will say after the reshape that this one tells of."""
    told = claim.reshape
    assert told is not None
    return _told(claim, told.new_layout, told.new_chunk_size, claim.raid_disks)


def _ends(claim: MemberClaim) -> tuple[_Static, ...]:
    """Return what an array may be whose reshape has ended by this claim: what it says, or the shape that it omits."""
    last = claim.last_reshape
    if last is None or ending_of(claim) is None:
        return (_static(claim),)
    return _static(claim), _told(claim, last.new_layout, last.new_chunk_size, claim.raid_disks)


def _told(claim: MemberClaim, layout: int, chunk_size: int, raid_disks: int) -> _Static:
    return claim.metadata, claim.level, layout, chunk_size, raid_disks, claim.component_size


def ending_of(claim: MemberClaim) -> Shape | None:
    """Return the shape of the data where a reshape ended without its new layout and chunk having been recorded.

    The end of a reshape writes the superblocks twice (`raid5.c: raid5_finish_reshape`): first without the reshape but
    with the old layout and chunk, then with the new ones. What a superblock keeps of its last reshape tells the two
    apart: it differs from the fields in force. (Changes of the level and of arrays of two members, which are made at
    once, leave other values there.)

    Returns:
        None: nothing speaks for it.
    """
    last = claim.last_reshape
    if last is None or claim.reshape is not None:
        return None
    if (last.new_layout, last.new_chunk_size) == (claim.layout, claim.chunk_size):
        return None
    try:
        old = shape_of(claim.level, claim.layout, claim.chunk_size, claim.raid_disks)
        new = shape_of(claim.level, last.new_layout, last.new_chunk_size, claim.raid_disks)
    except (InconsistentDescription, UnsupportedMetadata):
        return None
    is_step_to_five = last.new_level == Level.RAID5.value and new.has_q_last  # the level is changed after the reshape
    if old.obstacle_to(new) or not (last.new_level == claim.level or is_step_to_five):
        return None
    return new


def alternatives_of(claim: MemberClaim) -> tuple[Shape | None, tuple[Alternative, ...]]:
    """Return the shape of the array where it is not the recorded one, and what other shapes it may have.

    A reshape that ended half-recorded had come to the second half of its way when it last recorded its position, unless
    the array is so small that it was over before it recorded another one: then both shapes are as likely.

    Raises:
        InconsistentDescription, UnsupportedMetadata: the claim gives no shape.
    """
    told, _ = shapes_of(claim)
    new, last = ending_of(claim), claim.last_reshape
    if new is None or last is None:
        return None, undeclared(told)
    start = f"a reshape to {new} ended, but the superblocks still say {told}:"
    if _was_far(claim, last, (told, new)):
        text = f"{start} only the first of the two updates of its end was written, or they are right after all"
        return new, (Alternative(told, text),)
    text = f"{start} they are right, or only the first of the two updates of its end was written"
    return None, (Alternative(new, text),)


def _was_far(claim: MemberClaim, last: ReshapeClaim, shapes: tuple[Shape, Shape]) -> bool:
    """Tell whether the last position of a reshape that is over lies in the second half of its way."""
    way = usable_size(shapes, [claim.component_size or 0] * claim.raid_disks)
    return (2 * last.position > way) != last.backwards


def undeclared(shape: Shape) -> tuple[Alternative, ...]:
    """Return the other shape of a RAID0 whose layout is not declared."""
    other = shape.other_reading
    if other is None:
        return ()
    text = (
        f"the layout of this {shape.level.title} is not declared: Linux before 3.14 laid out the parts that only its "
        "longer members have as 'original', later ones as 'alternate'"
    )
    return (Alternative(other, text),)
