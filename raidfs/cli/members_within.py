"""Images with two superblocks, one among the data of the other: which of them tells what the image is a member of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from raidfs.array.leftover import left_over
from raidfs.cli.members import FoundMember, Searched
from raidfs.finding import Finding, Severity
from raidfs.units import format_offset


def of_today(found: Sequence[Searched]) -> list[Searched]:
    """Take what lies among the data of an array that is not there any more for what the image is a member of."""
    members = [member for searched in found for member in searched.members]
    within = {member.source.path: member.within.claimed for member in members if member.within is not None}
    gone = left_over([member.claimed for member in members], within)
    return [
        replace(searched, members=tuple(_without_old(member, gone) for member in searched.members))
        for searched in found
    ]


def _without_old(member: FoundMember, gone: Mapping[str, str]) -> FoundMember:
    if member.within is None:
        return member
    path, outer, inner = member.source.path, member.superblock, member.within.superblock
    text = f"{path} holds two superblocks, {inner.metadata} at {format_offset(inner.offset)} among the data of "
    text += f"{outer.metadata} at {format_offset(outer.offset)}: "
    why = gone.get(member.claimed.claim.array_uuid)
    if why is None:
        text += "the first is taken for that of what lies on the array of the second"
        return replace(member, findings=(*member.findings, Finding(Severity.NOTE, path, text)))
    text += f"the second is taken for one of an earlier array, for {why}"
    return replace(member.within, findings=(*member.within.findings, Finding(Severity.WARNING, path, text)))
