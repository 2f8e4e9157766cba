"""md's own logs, laid over the members as md would replay them when it next starts the array; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from raidfs.array.description import ArrayDescription
from raidfs.array.shape import Level
from raidfs.block import BlockSource
from raidfs.finding import Finding, Severity
from raidfs.geometry.geometry import zone_of
from raidfs.image.patched import PatchedSource
from raidfs.replay.patch import components_of, of_members
from raidfs.replay.ppl import replay_ppl
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.ppl import read_ppl
from raidfs.units import format_size


@dataclass(frozen=True)
class Replayed:
    """An array after the replay.

    Attributes:
        description: the array; what the logs settled is no longer unsynced.
        sources: members with patches, by path; all others are as they are.
        findings: what was done, and what is wrong with the logs.
    """

    description: ArrayDescription
    sources: Mapping[str, BlockSource] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def replay_logs(
    description: ArrayDescription, claims: Mapping[str, MemberClaim], images: Mapping[str, BlockSource]
) -> Replayed:
    """Replay what logs an array has.

    Args:
        description: the array.
        claims: of all images with superblocks, by path.
        images: by path.

    Raises:
        SourceError: an image is gone.
    """
    if description.clean or description.reshape is not None or description.shape.level is not Level.RAID5:
        return Replayed(description)
    return _with_parity(description, claims, images)


def _with_parity(
    description: ArrayDescription, claims: Mapping[str, MemberClaim], images: Mapping[str, BlockSource]
) -> Replayed:
    """Lay the parity that partial parity logs prove over the members."""
    components = components_of(description, images)
    serving = {role: description.serving[role] for role in components}
    logs = {role: read_ppl(images[member.path], claims[member.path]) for role, member in serving.items()}
    there = {role: log for role, log in logs.items() if log is not None}
    if not there:
        return Replayed(description)
    proven = replay_ppl(zone_of(description.shape, description.component_size), there, components)
    findings = [
        Finding(Severity.WARNING, serving[role].path, f"{serving[role].path}: {problem}, so that parity is not proven")
        for role, problem in proven.problems
    ]
    # as raid5-ppl.c: ppl_init_log has it, an array that was never in sync is not made so by its logs
    complete = proven.complete and there.keys() == description.serving.keys()
    if complete and description.unsynced.contains(0, description.component_size):
        description = replace(description, unsynced=proven.unproven)
        size = format_size(sum(len(patch.data) for patch in proven.patches))
        text = f"the partial parity logs of the members settle which parity is right; it is used for {size} of them"
        findings.append(Finding(Severity.NOTE, "array", text))
    patches, _ = of_members(proven.patches, description)
    sources = {path: PatchedSource(images[path], each) for path, each in patches.items()}
    return Replayed(description, sources, tuple(findings))
