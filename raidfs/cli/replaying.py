"""md's own logs, laid over the members as md would replay them when it next starts the array; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from raidfs.array.description import ArrayDescription, Member, Past, State
from raidfs.array.shape import Level
from raidfs.block import BlockSource, MemorySource
from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.geometry import zone_of
from raidfs.image.patched import PatchedSource
from raidfs.replay.journal import Replay, parity_of_cached, replay_journal
from raidfs.replay.patch import Patch, by_role, components_of, moved
from raidfs.replay.ppl import replay_ppl
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.journal import BLOCK, read_journal
from raidfs.superblock.ppl import read_ppl
from raidfs.units import format_size

NEWER_IS_LOST = "the write journal held something newer, but its copy is damaged"
"""Reason of what is doubtful because of blocks of the journal."""
_JOURNALED = (Level.RAID4, Level.RAID5, Level.RAID6)


@dataclass(frozen=True)
class Unsure:
    """Bytes of a member that are not what its array holds.

    Attributes:
        path: of the member.
        extents: [member bytes].
        trust: what is left of the trust in them.
        reason: one clause.
    """

    path: str
    extents: Extents
    trust: Trust
    reason: str


@dataclass(frozen=True)
class Replayed:
    """An array after the replay.

    Attributes:
        description: the array; what the logs settled is no longer unsynced.
        sources: by path and role of a member, what is to be read in place of its image; all others are as they are.
        backup: by role, what a backup of mdadm holds, as a member would; it may lie on one of them.
        unsure: what the logs speak against without saying what is right.
        findings: what was done, and what is wrong with the logs.
    """

    description: ArrayDescription
    sources: Mapping[tuple[str, int | None], BlockSource] = field(default_factory=dict)
    backup: Mapping[int | None, BlockSource] = field(default_factory=dict)
    unsure: tuple[Unsure, ...] = ()
    findings: tuple[Finding, ...] = ()

    def source_of(self, member: Member, image: BlockSource) -> BlockSource:
        """Return what is to be read of a member that lies on an image."""
        if member.state is State.BACKUP:
            return self.backup[member.role]
        return self.sources.get((member.path, member.role), image)

    def flaws_of(self, members: Sequence[Member]) -> list[Flaw]:
        """Return what is unsure as flaws of sources; `members`: by source."""
        return [
            Flaw(number, each.extents, each.trust, each.reason)
            for each in self.unsure
            for number, member in enumerate(members)
            if member.path == each.path and member.state.serves
        ]


def replay_logs(
    description: ArrayDescription, claims: Mapping[str, MemberClaim], images: Mapping[str, BlockSource]
) -> Replayed:
    """Replay what logs an array has.

    Args:
        description: the array.
        claims: of all images with superblocks, by path; where a file declares the array there may be none.
        images: by path.

    Raises:
        SourceError: an image is gone.
    """
    journal = next((member for member in description.members if member.state is State.JOURNAL), None)
    if journal is not None and journal.path not in claims:
        text = f"the write journal on {journal.path} may hold what is newer than the members, and has no superblock"
        return Replayed(_withholding(description, text))
    if journal is not None:
        return _with_journal(description, claims[journal.path], journal.path, images)
    if description.clean or description.reshape is not None or description.shape.level is not Level.RAID5:
        return Replayed(description)
    return _with_parity(description, claims, images)


def _with_parity(
    description: ArrayDescription, claims: Mapping[str, MemberClaim], images: Mapping[str, BlockSource]
) -> Replayed:
    """Lay the parity that partial parity logs prove over the members."""
    components = components_of(description, images)
    serving = {role: description.serving[role] for role in components}
    if any(member.path not in claims for member in serving.values()):
        return Replayed(description)
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
        size = format_size(sum(patch.piece.length for patch in proven.patches))
        text = f"the partial parity logs of the members settle which parity is right; it is used for {size} of them"
        findings.append(Finding(Severity.NOTE, "array", text))
    return replace(_laid_over(proven.patches, description, images), findings=tuple(findings))


def _with_journal(
    description: ArrayDescription, claim: MemberClaim, path: str, images: Mapping[str, BlockSource]
) -> Replayed:
    """Lay what the write journal holds over the members."""
    if description.reshape is not None or description.shape.level not in _JOURNALED:
        text = (
            f"a write journal ({path}) beside a reshape or on a {description.shape.level.title} is nothing that md has"
        )
        return Replayed(_withholding(description, text))
    zone = zone_of(description.shape, description.component_size)
    journal = images[path]
    replay = replay_journal(zone, read_journal(journal, claim))
    unsure = [*_doubtful(description, replay)]
    patches = replay.complete(journal)
    if replay.cached:
        so_far = replace(_laid_over(patches, description, images, path), unsure=tuple(unsure))
        with _opened(so_far, images) as array:
            serving = {member.path: so_far.source_of(member, images[member.path]) for member in description.sources}
            parity, gone = parity_of_cached(zone, replay, journal, components_of(description, serving), array)
        newer = [*replay.newest(journal), *parity]
        taken = {(patch.role, patch.piece.start // BLOCK) for patch in newer}
        patches = [*(patch for patch in patches if (patch.role, patch.piece.start // BLOCK) not in taken), *newer]
        reason = "the journal changes data of which the former content is lost, and with it this parity"
        unsure += [_unsure(description, role, extents, Trust.NONE, reason) for role, extents in gone]
    if replay.end.problem:
        text = f"the write journal on {path} cannot be replayed to its end: {replay.end.problem}"
        description = _withholding(description, text)
    found = _laid_over(patches, description, images, path)
    return replace(found, unsure=tuple(unsure), findings=tuple(_about_journal(path, replay)))


def _withholding(description: ArrayDescription, reason: str) -> ArrayDescription:
    """Say that no byte is sure, unless that is said already."""
    return description if description.withheld else replace(description, withheld=reason)


def _doubtful(description: ArrayDescription, replay: Replay) -> Iterator[Unsure]:
    """Yield what is older on the members than something that cannot be had."""
    by_role: dict[int, list[tuple[int, int]]] = {}
    for role, height in replay.doubtful:
        by_role.setdefault(role, []).append((height, height + BLOCK))
    for role, ranges in sorted(by_role.items()):
        if role in description.serving:
            yield _unsure(description, role, Extents(ranges), Trust.DOUBTFUL, NEWER_IS_LOST)


def _unsure(description: ArrayDescription, role: int, extents: Extents, trust: Trust, reason: str) -> Unsure:
    """Say it of the member that serves a role; `extents`: [component bytes]."""
    member = description.serving[role]
    return Unsure(member.path, extents.shift(member.data_offset), trust, reason)


def _laid_over(
    patches: Sequence[Patch],
    description: ArrayDescription,
    images: Mapping[str, BlockSource],
    journal: str | None = None,
) -> Replayed:
    """Lay patches over the images that they are for.

    What is for a role that no member serves is as good where it is: it becomes a member of its own, on the journal.
    """
    serving = description.serving
    members = list(description.members)
    sources: dict[tuple[str, int | None], BlockSource] = {}
    for role, pieces in sorted(by_role(patches).items()):
        if role in serving:
            member = serving[role]
            sources[member.path, role] = PatchedSource(images[member.path], moved(pieces, member.data_offset))
        elif journal is not None:
            source = sources[journal, role] = PatchedSource(MemorySource(b""), pieces)
            past = Past(source.patched, proven=source.patched)
            note = f"holds what the write journal has of role {role}"
            members.append(Member(journal, role, State.JOURNAL, 0, 0, events=description.events, note=note, past=past))
    return Replayed(replace(description, members=tuple(members)), sources)


@contextmanager
def _opened(replayed: Replayed, images: Mapping[str, BlockSource]) -> Iterator[BlockSource]:
    """Open an array as it is so far, to read it."""
    from raidfs.engine.array_source import ArraySource

    members = replayed.description.sources
    pairs = [(member, replayed.source_of(member, images[member.path])) for member in members]
    array = ArraySource(replayed.description, pairs, told=replayed.flaws_of(members), watch=False)
    try:
        yield array
    finally:
        array.close()


def _about_journal(path: str, replay: Replay) -> Iterator[Finding]:
    """Say what was done with a journal."""
    n_cached = sum(len(cells) for cells in replay.cached.values())
    size = format_size(BLOCK * (len(replay.written) + n_cached))
    cached = f", {format_size(BLOCK * n_cached)} of it nowhere else" if n_cached else ""
    if replay.written or replay.cached:
        text = f"the write journal on {path} is replayed in memory: {size} are taken from it{cached}"
        yield Finding(Severity.NOTE, path, text)
    if replay.end.is_torn:
        text = f"the last entry of the write journal on {path} was not written to its end: md never acted upon it"
        yield Finding(Severity.NOTE, path, f"{text}, and it is left out")
    if replay.doubtful:
        size = format_size(BLOCK * len(replay.doubtful))
        text = f"{size} of the write journal on {path} are damaged: what the members have in their place is doubtful"
        yield Finding(Severity.WARNING, path, text)
