"""Whether the reshape came as far as its superblocks say: what lies behind the recorded position is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from raidfs.array.description import ArrayDescription, Reshape
from raidfs.block import BlockSource
from raidfs.evidence.overshot import overshot
from raidfs.evidence.read_sums import sums_left
from raidfs.evidence.unmoved_rows import unmoved_rows
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.units import align_down, align_up, format_offset


def with_position_tested(
    description: ArrayDescription, images: Mapping[int, BlockSource]
) -> tuple[ArrayDescription, list[Finding]]:
    """Doubt what the reshape never came to by the data, though its recorded position says so.

    Where it went on from there, it has been there. It may have gone so far that what it left behind at old places is
    written over, and by pages whose old places are written over in turn: nothing tells these from what was left.

    Args:
        description: the array, with the front of its reshape.
        images: by role, of the members that serve.

    Returns:
        The array in which this is disputed; what is to be said.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None or description.withheld or _went_on(reshape):
        return description, []
    never = unmoved(description, images)
    if not never:
        return description, []
    low, high = int(never.array[0, 0]), int(never.array[-1, 1])
    text = (
        f"the recorded position of the reshape ({format_offset(reshape.position)}) lies too far by the data: between "
        f"{format_offset(low)} and {format_offset(high)} members hold what was there before it, and not what it would "
        "have put there; that is doubtful, unless both geometries hold the same"
    )
    disputed = reshape.disputed.union(never)
    reshape = replace(reshape, disputed=disputed, quiet=reshape.quiet.difference(disputed))
    return replace(description, reshape=reshape), [Finding(Severity.ERROR, "array", text)]


def _went_on(reshape: Reshape) -> bool:
    """Tell whether rows ahead of the recorded position were written."""
    return reshape.front is not None and bool(reshape.front.written or reshape.front.likely_written)


def unmoved(description: ArrayDescription, images: Mapping[int, BlockSource]) -> Extents:
    """Return where a reshape never came, though its recorded position says so [array bytes]; empty: nothing tells so.

    Args:
        description: the array.
        images: by role, of the members that serve.

    Raises:
        SourceError: a member is gone.
    """
    reshape = description.reshape
    if reshape is None:
        return Extents()
    found = overshot(description, images).union(unmoved_rows(description, images))
    found = found or sums_left(description, images)
    if not found:
        return found
    step = reshape.step
    low, high = int(found.array[0, 0]), int(found.array[-1, 1])
    if reshape.direction.is_forward:
        return Extents.span(align_down(low, step), high)
    return Extents.span(low, min(align_up(high, step), description.size))
