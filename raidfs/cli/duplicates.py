"""Members of which two images are here: who gave two copies of a disk is told where they differ, and nothing is sure.

Which of them serves depends on what their superblocks say, and at last on the order in which they were given. So what
the redundancy of the others tells comes first. What it does not tell is unproven where the one that serves has the
newer superblock; else the choice is open, and what is open is doubtful. Of large images pieces all over the component
are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.block import BlockSource, read_exact
from raidfs.cli.replaying import Unsure
from raidfs.engine.health import Trust
from raidfs.errors import SourceError
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.image.patient import TimedSource
from raidfs.units import align_down, format_offset

_PIECE = 64 << 10
_PIECES = 512
"""Pieces that are compared at most, of a component [bytes each: `_PIECE`]."""


def differing_duplicates(
    description: ArrayDescription, images: Mapping[str, BlockSource], patience: float
) -> tuple[tuple[Unsure, ...], tuple[Finding, ...]]:
    """Compare the images that claim a role with the one that serves it.

    Args:
        description: the array.
        images: by path.
        patience: seconds that a member may take to answer.

    Returns:
        What is unproven or doubtful for it; and findings.
    """
    unsure: list[Unsure] = []
    findings: list[Finding] = []
    for other in description.members:
        holder = description.serving.get(other.role) if other.role is not None else None
        if other.state is not State.DUPLICATE or holder is None or not {other.path, holder.path} <= images.keys():
            continue
        at = None
        with suppress(SourceError):  # who is gone tells nothing here
            at = _first_difference(description, holder, other, images, patience)
        if at is None:
            continue
        reason = f"{other.path} claims to hold the same, and differs"
        low, high = sorted((holder.data_offset, holder.new_data_offset))
        extents = Extents.span(low, high + description.component_size)
        is_newer = holder.events > other.events
        unsure.append(Unsure(holder.path, extents, Trust.UNPROVEN if is_newer else Trust.DOUBTFUL, reason))
        worth = "the first has the newer superblock, but is unproven" if is_newer else "nothing tells which is right"
        text = f"{holder.path} and {other.path} claim to be the same member, and differ, first seen "
        text += f"{format_offset(at)} into their data: {worth}; leave one of them out (--exclude)"
        findings.append(Finding(Severity.WARNING, other.path, text))
    return tuple(unsure), tuple(findings)


def _first_difference(
    description: ArrayDescription, holder: Member, other: Member, images: Mapping[str, BlockSource], patience: float
) -> int | None:
    """Return where two images of a member are first seen to differ [component bytes]; None: nowhere."""
    size = description.component_size
    step = max(_PIECE, align_down(size // _PIECES, _PIECE))
    with (
        TimedSource(holder.path, images[holder.path], patience) as one,
        TimedSource(other.path, images[other.path], patience) as two,
    ):
        room = min(one.size - holder.data_offset, two.size - other.data_offset, size)
        for at in range(0, max(0, room), step):
            n = min(_PIECE, room - at)
            (mine, lost), (theirs, gone) = (
                read_exact(image, member.data_offset + at, n) for image, member in ((one, holder), (two, other))
            )
            if mine != theirs and not lost and not gone:
                return at + next(number for number in range(n) if mine[number] != theirs[number])
    return None
