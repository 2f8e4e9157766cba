"""Claims of the members -> one description and the findings that explain every difference between the two.

The rules are the kernel's (`md.c: analyze_sbs`, `super_1_validate`, `super_90_validate`): the member with the most
events is the reference; its role table counts, not the members' own; who lags by more than one event is stale. What is
set apart stays in the description, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raidfs.array.accusing import Verdict, verdict_of
from raidfs.array.choose import Claimed, choose_array
from raidfs.array.description import LARGEST, ArrayDescription, Member, Reshape, State, odd_position, usable_size
from raidfs.array.dispute import Dispute
from raidfs.array.history import created_over, degraded_since, failed_underway, strays_recorded, turned_back
from raidfs.array.moment import moment_of
from raidfs.array.nonsense import without_nonsense
from raidfs.array.past import proven_of
from raidfs.array.reshaping import alternatives_of, positions_of, quiet_of, shapes_of
from raidfs.array.seats import is_current_journal, seat_members
from raidfs.array.shape import Level, Shape
from raidfs.array.unended import Unended, still_reshaping, who_ended
from raidfs.array.unsynced import Intent, bitmaps_in_use, intent_of, unsynced_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import BitmapClaim, MemberClaim
from raidfs.units import format_numbers, format_offset, format_size

NO_JOURNAL = "the array has a write journal, but no whole and current one is here: newer data may lie there"
"""Why an array without its journal is withheld."""


@dataclass(frozen=True)
class Assembly:
    """What came out.

    Attributes:
        description: the array.
        reference: the claim that everything array-wide was taken from; None: a file declares the array.
        findings: in the order in which they were made.
        rival: another array that members tell: as its freshest superblocks have it, where `description` is that of an
            earlier moment (see `raidfs.array.moment`); or as those of equal events have it that contradict the
            reference (see `raidfs.array.accusing`).
        unended: the array as members have it that still record a reshape which has ended by the reference.
    """

    description: ArrayDescription
    reference: Claimed | None
    findings: tuple[Finding, ...]
    rival: ArrayDescription | None = None
    unended: Unended | None = None


def assemble(
    claimed: Sequence[Claimed], wanted: str | None = None, bitmaps: Sequence[tuple[str, BitmapClaim]] = ()
) -> Assembly:
    """Decide what the array is.

    Args:
        claimed: one per superblock found, in the order in which the user named the images.
        wanted: uuid (or its beginning) or name of the array; needed only where the images hold several.
        bitmaps: (path, bitmap) of files that hold a write-intent bitmap.

    Raises:
        AmbiguousArray: several arrays and none chosen.
        AssemblyError: `wanted` is none of them, or the claims do not give an array.
        UnsupportedMetadata: a feature that raidfs refuses to guess about.
    """
    told = choose_array(claimed, wanted)
    chosen, odd = without_nonsense(told)
    taken = dict(zip(map(id, told), chosen, strict=True))
    claimed = [taken.get(id(each), each) for each in claimed]
    verdict = verdict_of(chosen)
    verdict = replace(verdict, findings=(*odd, *verdict.findings))
    reference, claim = verdict.reference, verdict.reference.claim
    if reference.unsupported:
        raise UnsupportedMetadata(f"{reference.path}: {reference.unsupported[0]}")
    try:
        assembly = _with_rival(_assembled(claimed, chosen, verdict, bitmaps), claimed, chosen, verdict, bitmaps)
        return _with_unended(assembly, claimed, chosen, bitmaps)
    except (InconsistentDescription, UnsupportedMetadata) as error:
        raise type(error)(
            f"{reference.path}, superblock at {format_offset(claim.superblock_offset)}: {error}"
        ) from error


def _assembled(
    claimed: Sequence[Claimed],
    chosen: Sequence[Claimed],
    verdict: Verdict,
    bitmaps: Sequence[tuple[str, BitmapClaim]],
) -> Assembly:
    """Put the array together.

    Raises:
        InconsistentDescription: the values contradict each other.
        UnsupportedMetadata: a level or layout that raidfs does not read.
    """
    reference, claim = verdict.reference, verdict.reference.claim
    _refuse_size(claim, claim.component_size or 0)
    told, reshape = shapes_of(claim)
    other, alternatives = alternatives_of(claim)
    shapes = (reshape.before, reshape.after) if reshape else (other or told,)
    members, findings = seat_members(chosen, verdict, told)
    own_sizes = [member.component_size or 0 for member in members if member.state.serves]
    component_size = claim.component_size or max(own_sizes, default=0)
    synced_size = component_size
    if told.counts_in_array_bytes:
        synced_size = usable_size(shapes, [component_size] * max(shape.raid_disks for shape in shapes))
    _refuse_size(claim, component_size, max(component_size, synced_size))
    serving = [member.state.serves for member in members]
    intent, said = intent_of(claim, synced_size, [*bitmaps_in_use(chosen, serving), *bitmaps])
    findings += said
    members, said = _with_past(chosen, members, reference, None if told.counts_in_array_bytes else intent)
    findings += said
    foreign, said = _foreigners([each for each in claimed if each not in chosen])
    members, findings = [*members, *foreign], [*findings, *said]
    findings += [*verdict.findings, *created_over(reference), *degraded_since(reference)]
    findings += [*turned_back(reference, chosen), *_later_level(claim), *_unknown_sizes(members, told, component_size)]
    reshape, said = _where_it_stands(reshape, reference, _that_serve(chosen, members))
    findings += said
    description = ArrayDescription(
        uuid=claim.array_uuid,
        name=claim.array_name,
        metadata=claim.metadata,
        shape=shapes[-1],
        component_size=component_size,
        size=usable_size(shapes, _component_sizes(members, shapes, component_size)),
        members=tuple(members),
        reshape=reshape,
        clean=claim.resync_offset is None,
        unsynced=unsynced_of(claim, synced_size, intent),
        alternatives=alternatives,
        withheld=_withheld(chosen, reference) or verdict.withheld,
        strays=strays_recorded(claim, component_size),
        events=claim.events,
        updated=claim.updated,
    )
    if description.withheld == failed_underway(claim, [each.claim for each in chosen]) != "":
        then = moment_of(description, chosen, claim)
        if then is not None:
            paths = {each.path for each in chosen}  # of which the moment has its own word
            findings = [finding for finding in findings if finding.subject not in paths]
            return Assembly(then.description, reference, (*then.findings, *findings), rival=description)
    return Assembly(description, reference, tuple(findings))


def _with_rival(
    assembly: Assembly,
    claimed: Sequence[Claimed],
    chosen: Sequence[Claimed],
    verdict: Verdict,
    bitmaps: Sequence[tuple[str, BitmapClaim]],
) -> Assembly:
    """Add the array as the members of the other side have it, where both sides are enough to run it."""
    if verdict.rival is None or assembly.rival is not None:
        return assembly
    try:
        other = _assembled(claimed, chosen, Verdict(verdict.rival), bitmaps).description
    except (InconsistentDescription, UnsupportedMetadata):
        return assembly
    theirs = tuple(member for member in other.members if member.path not in verdict.ours)
    reason = f"what {verdict.reference.path} and {verdict.rival.path}, of equal events, do not agree on"
    dispute = Dispute(reason, likely=verdict.prevails)
    served = {member.path for member in theirs if member.state.serves}
    members = [
        replace(member, write_mostly=member.write_mostly or member.path in served)  # read last: each side by itself
        for member in assembly.description.members
    ]
    description = replace(assembly.description, members=tuple(members), dispute=dispute)
    return replace(assembly, description=description, rival=replace(other, members=theirs))


def _with_unended(
    assembly: Assembly,
    claimed: Sequence[Claimed],
    chosen: Sequence[Claimed],
    bitmaps: Sequence[tuple[str, BitmapClaim]],
) -> Assembly:
    """Add the array as members have it that still record its reshape, if any do."""
    leader = None if assembly.reference is None else still_reshaping(chosen, assembly.reference)
    if leader is None or assembly.rival is not None:
        return assembly
    try:
        other = _assembled(claimed, chosen, Verdict(leader), bitmaps)
    except (InconsistentDescription, UnsupportedMetadata):
        return assembly
    unended = Unended(other.description, other.findings, who_ended(chosen, leader))
    return replace(assembly, unended=unended)


def _refuse_size(claim: MemberClaim, component_size: int, reckoned: int | None = None) -> None:
    """Refuse a size that no array has, before it is reckoned with.

    Args:
        claim: that says it.
        component_size: [bytes].
        reckoned: what follows from it [bytes]; None: that is not known yet.
    """
    field = "data_size" if claim.level in (Level.LINEAR.value, Level.RAID0.value) else "size"
    if max(component_size, reckoned or 0) >= LARGEST:
        raise InconsistentDescription(
            f"by the field {field}, component size is {component_size} bytes, which cannot be"
        )
    if reckoned is not None and component_size <= 0:
        raise InconsistentDescription(f"by the field {field}, a component of {component_size} bytes cannot be")


def _component_sizes(members: Sequence[Member], shapes: Sequence[Shape], component_size: int) -> list[int]:
    """Return what each role's member gives; of one that is missing, as much as the largest."""
    own = {member.role: member.component_size for member in members if member.state.serves}
    return [own.get(role) or component_size for role in range(max(shape.raid_disks for shape in shapes))]


def _that_serve(chosen: Sequence[Claimed], members: Sequence[Member]) -> list[Claimed]:
    """Return the claims of the members that serve; `members` begins with those of `chosen`."""
    return [each for each, member in zip(chosen, members, strict=False) if member.state.serves]


def _where_it_stands(
    reshape: Reshape | None, reference: Claimed, serving: Sequence[Claimed]
) -> tuple[Reshape | None, list[Finding]]:
    """Add what follows from the positions of all members: where nothing was written since, and where they disagree."""
    if reshape is None:
        return None, []
    quiet = quiet_of(reshape, [each.claim for each in serving])
    told = {at: paths for at, paths in positions_of(reference, serving).items() if 0 <= at < LARGEST}
    sizes = [reference.claim.component_size or 0] * max(reshape.before.raid_disks, reshape.after.raid_disks)
    odd = {at: odd_position(replace(reshape, position=at), sizes) for at in told}
    said = [
        Finding(Severity.WARNING, path, f"by the superblock of {path} {odd[at]}: that is not believed")
        for at in told
        if odd[at]
        for path in told[at]
    ]
    told = {at: paths for at, paths in told.items() if not odd[at]}
    if len(told) < 2:
        return replace(reshape, quiet=quiet), said
    disputed = Extents.span(min(told), max(told))
    who = "; ".join(f"{format_offset(at)} ({', '.join(paths)})" for at, paths in told.items())
    text = (
        f"members with equal events ({reference.claim.events}) record different positions of the reshape: {who}; "
        "what lies between them is doubtful, unless both geometries hold the same there"
    )
    said.append(Finding(Severity.ERROR, "array", text))
    return replace(reshape, quiet=quiet.difference(disputed), disputed=disputed), said


def _with_past(
    chosen: Sequence[Claimed], members: Sequence[Member], reference: Claimed, intent: Intent | None
) -> tuple[list[Member], list[Finding]]:
    """Add what is proven of the members that left, now that it is known who serves and what the bitmaps say."""
    fresh = [each for each, member in zip(chosen, members, strict=True) if member.state.serves]
    found, findings = [], []
    for each, member in zip(chosen, members, strict=True):
        if member.past is None:
            found.append(member)
            continue
        proven = proven_of(each, reference, fresh, member.past.held, intent)
        found.append(replace(member, past=replace(member.past, proven=proven)))
        if proven:
            text = f"{each.path} missed nothing in {format_size(proven.total)} of its data (write-intent bitmap)"
            findings.append(Finding(Severity.NOTE, each.path, text))
    return found, findings


def _foreigners(others: Sequence[Claimed]) -> tuple[list[Member], list[Finding]]:
    """Make the entries of members of other arrays, and say so."""
    found, findings = [], []
    for each in others:
        note = f"belongs to another array ({each.claim.array_uuid})"
        offset = each.claim.data_offset
        found.append(Member(each.path, None, State.FOREIGN, offset, offset, events=each.claim.events, note=note))
        findings.append(Finding(Severity.WARNING, each.path, f"{each.path} {note}; it is set apart"))
    return found, findings


def _later_level(claim: MemberClaim) -> list[Finding]:
    """Say what the array was to become: Linux since 6.12 may note the level that comes after the reshape.

    It is not in force before the reshape has ended (`md.c: level_store` changes it at once, then), so both shapes of
    the reshape have the recorded level.
    """
    told = claim.reshape
    if told is None or told.new_level == claim.level or not _is_step(claim.level, told.new_level):
        return []
    text = f"after the reshape the array was to become a {Level(told.new_level).title}; until then it is a "
    return [Finding(Severity.NOTE, "array", f"{text}{Level(claim.level).title}")]


def _unknown_sizes(members: Sequence[Member], shape: Shape, component_size: int) -> list[Finding]:
    """Say what missing members are taken to have given, where nothing tells."""
    there = {member.role for member in members if member.state.serves}
    missing = [role for role in range(shape.raid_disks) if role not in there]
    if not shape.has_own_sizes or not missing:
        return []
    text = f"nothing records how much the members of the missing roles ({format_numbers(missing)}) gave to this "
    text += f"{shape.level.title}: {format_size(component_size)} are assumed, as much as the largest of the others"
    return [Finding(Severity.WARNING, "array", text)]


def _is_step(level: int, new_level: int) -> bool:
    """Tell whether a reshape at one level may be a step on the way to another one, or to none."""
    with_parity = [Level.RAID4.value, Level.RAID5.value, Level.RAID6.value]
    return new_level == level or (level in with_parity and new_level in (Level.RAID0.value, *with_parity))


def _withheld(chosen: Sequence[Claimed], reference: Claimed) -> str:
    """Say why no byte of this array may be called sure, in one sentence; empty: nothing speaks against it."""
    if not reference.claim.intact:
        return "no member has an intact superblock, so nothing that the array is made of is certain"
    if reference.claim.reshape is not None and not _is_step(reference.claim.level, reference.claim.reshape.new_level):
        level = reference.claim.reshape.new_level
        return f"new_level is {level} in a reshape of level {reference.claim.level}, which nothing is known to make"
    later = [each for each in chosen if not each.claim.intact and each.claim.events > reference.claim.events + 1]
    fresh = [each for each in chosen if each.claim.intact and each.claim.events + 1 >= reference.claim.events]
    if len(later) >= len(fresh):
        return f"as many members with later but damaged superblocks are here ({later[0].path}) as with whole ones"
    moved_wrongly = failed_underway(reference.claim, [each.claim for each in chosen])
    if moved_wrongly:
        return moved_wrongly
    if reference.claim.has_journal:
        journals = [each for each in chosen if is_current_journal(each, reference)]
        if not journals:
            return NO_JOURNAL
        if len(journals) > 1:
            return f"{journals[0].path} and {journals[1].path} both are its write journal; leave out one with --exclude"
    return ""
