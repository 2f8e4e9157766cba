"""From the superblocks of images to the array as it stands, with all that may hold its bytes, stale members too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.oracle.cells import DOUBTFUL, Situation, Source, rewritten
from tests.oracle.layouts import Geometry
from tests.oracle.ranges import Range, difference, intersection, shifted
from tests.oracle.reader import Array
from tests.oracle.scan import describe, scan
from tests.oracle.superblock import JOURNAL, Superblock

_BEYOND_ALL = 1 << 60


def situation_of(
    images: Sequence[Path],
    failing: Mapping[Path, Sequence[Range]],
    *,
    at_risk: Range = (0, 0),
    quiet: Sequence[Range] = (),
) -> Situation:
    """The array of these images, which have one array's superblocks.

    Args:
        images: of all members that are there.
        failing: what cannot be read of each [member bytes].
        at_risk: see `Situation`.
        quiet: see `Situation`.
    """
    array = describe(images)
    superblocks = {image: scan(image)[2] for image in images}
    resync = max(superblocks.values(), key=lambda sb: sb.events).resync_offset
    current = [
        Source(
            role=member.role,
            size=member.size,
            data_offset=member.data_offset,
            new_data_offset=member.new_data_offset,
            recovered_to=member.recovered_to,
            invalid=member.invalid,
            failing=tuple(failing.get(image, ())),
        )
        for member in array.members
        for image in images
        if member.image == image
    ]
    serving = [member.image for member in array.members]
    stale = [
        stale_source(image, superblock, array, failing.get(image, ()))
        for image, superblock in superblocks.items()
        if image not in serving
    ]
    return Situation(
        geometry=array.geometry,
        component_size=array.component_size,
        sources=(*current, *(source for source in stale if source is not None)),
        after=array.after,
        position=array.position,
        backwards=array.backwards,
        at_risk=at_risk,
        quiet=tuple(quiet),
        unproven=() if resync is None else ((resync, _BEYOND_ALL),),
    )


def stale_source(image: Path, superblock: Superblock, array: Array, failing: Sequence[Range]) -> Source | None:
    """What a member that the others left behind may still hold; None: nothing of this array as it is now.

    It stopped at some moment before: in the middle of the same reshape, at a position of its own; before the reshape
    began, when the old geometry was the only one; or, without a reshape, any time.
    """
    role = superblock.device_roles[superblock.device_number]
    reshape = superblock.reshape
    disks = superblock.raid_disks - (reshape.delta_disks if reshape else 0)
    before = Geometry(superblock.level, superblock.layout, disks, superblock.chunk)
    same_shape = before == array.geometry and superblock.component_size == array.component_size
    if role >= JOURNAL or not same_shape:
        return None
    limit = array.used_size if superblock.recovery_offset is None else superblock.recovery_offset
    old, new, moved = [(0, limit)], (0, 0), 0
    if reshape is not None:
        after = Geometry(superblock.level, reshape.new_layout, superblock.raid_disks, reshape.new_chunk)
        if after != array.after:
            return None
        moved = reshape.new_offset
        new = rewritten(after, array.used_size, reshape.position, backwards=reshape.backwards)
        never_old = superblock.recovery_offset is not None
        old = [] if never_old else difference([(0, array.used_size)], shifted([new], moved))
    return Source(
        role=role,
        size=image.stat().st_size,
        data_offset=superblock.data_offset,
        new_data_offset=superblock.data_offset + moved,
        invalid=tuple((start, start + length) for start, length in superblock.bad_blocks),
        failing=tuple(failing),
        trust=DOUBTFUL,
        held=(tuple(old), tuple(intersection([new], [(0, limit)]))),
    )
