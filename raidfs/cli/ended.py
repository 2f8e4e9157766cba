"""Whether a reshape has ended, as the freshest superblocks say, while others still record where it stands.

All superblocks are written together, so that a crash may leave some of them one event behind. But a superblock that is
wrong may say the same alone. The data tell: rows that were never moved, or such as only a reshape that went on can have
written. Where they do not, both readings are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription
from raidfs.array.dispute import Dispute
from raidfs.array.unended import Unended
from raidfs.block import BlockSource
from raidfs.cli.positions import unmoved
from raidfs.errors import SourceError
from raidfs.evidence.overshot import came_there
from raidfs.evidence.restarted import written_too_far
from raidfs.finding import Finding, Severity
from raidfs.image.patient import TimedSource
from raidfs.units import align_up, format_offset

_DISPUTED = "what differs as the reshape has ended or not, on which members do not agree,"


def with_end_tested(assembly: Assembly, members: Mapping[str, BlockSource], patience: float) -> Assembly:
    """Ask the data whether the reshape has ended that some members still record.

    Args:
        assembly: the array.
        members: by path.
        patience: seconds that a member may take to answer.

    Returns:
        The array in the middle of its reshape, where that has not ended; or with a dispute, where nothing tells.
    """
    unended = assembly.unended
    if unended is None or unended.description.reshape is None or assembly.description.dispute is not None:
        return assembly
    description, reshape = unended.description, unended.description.reshape
    serving = description.serving.items()
    images = {role: TimedSource(each.path, members[each.path], patience) for role, each in serving}
    who = f"the reshape has ended by {', '.join(unended.ended_by)}, but others record at one event less that "
    who += f"it has come to {format_offset(reshape.position)}"
    with suppress(SourceError):
        if unmoved(_at_its_end(description), images):
            text = f"{who}: behind that the data were never moved, so it has not ended"
            finding = Finding(Severity.ERROR, "array", text)
            findings = (*unended.findings, finding)
            return replace(assembly, description=_without_end(unended), findings=findings, unended=None)
        if written_too_far(description, images) or came_there(_at_its_end(description), images):
            return assembly
    likely = 2 * len(unended.ended_by) >= len(description.serving)
    text = f"{who}, and the data do not tell: what differs is {'unproven' if likely else 'doubtful'}"
    return replace(
        assembly,
        description=replace(assembly.description, dispute=Dispute(_DISPUTED, likely=likely)),
        findings=(*assembly.findings, Finding(Severity.WARNING, "array", text)),
        rival=description,
    )


def _at_its_end(description: ArrayDescription) -> ArrayDescription:
    """Return the array with a reshape that has come to its end."""
    reshape = description.reshape
    assert reshape is not None
    end = align_up(description.size, reshape.step) if reshape.direction.is_forward else 0
    return replace(description, reshape=replace(reshape, position=end, disputed=type(reshape.disputed)()))


def _without_end(unended: Unended) -> ArrayDescription:
    """Return the array in the middle of its reshape; who says that it has ended is proven by nothing."""
    reason = "its superblock says that the reshape has ended, which the data disprove"
    members = [
        replace(each, contested=reason) if each.path in unended.ended_by else each
        for each in unended.description.members
    ]
    return replace(unended.description, members=tuple(members))
