"""Claims of the members -> one description and the findings that explain every difference between the two.

The rules are the kernel's (`md.c: analyze_sbs`, `super_1_validate`, `super_90_validate`): the member with the most
events is the reference; its role table counts, not the members' own; who lags by more than one event is stale. What is
set apart stays in the description, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from raidfs.array.choose import Claimed, choose_array, freshest
from raidfs.array.description import LARGEST, ArrayDescription, Member, State, usable_size
from raidfs.array.past import proven_of, standing_of
from raidfs.array.reshaping import (
    disagreement,
    failed_underway,
    half_finished,
    offsets_of,
    quiet_of,
    shapes_of,
    usual_move,
)
from raidfs.array.shape import Shape
from raidfs.array.unsynced import Intent, bitmaps_in_use, intent_of, unsynced_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import FAULTY, JOURNAL, BitmapClaim, MemberClaim
from raidfs.units import format_offset, format_size


@dataclass(frozen=True)
class Assembly:
    """What came out.

    Attributes:
        description: the array.
        reference: the claim that everything array-wide was taken from; None: a file declares the array.
        findings: in the order in which they were made.
    """

    description: ArrayDescription
    reference: Claimed | None
    findings: tuple[Finding, ...]


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
    chosen = choose_array(claimed, wanted)
    reference = freshest(chosen)
    claim = reference.claim
    if reference.unsupported:
        raise UnsupportedMetadata(f"{reference.path}: {reference.unsupported[0]}")
    try:
        before, reshape = shapes_of(claim)
        shapes = (reshape.before, reshape.after) if reshape else (before,)
        members, findings = _seat(chosen, reference)
        if not before.has_own_sizes:
            members = [replace(member, component_size=None) for member in members]
        own_sizes = [member.component_size or 0 for member in members if member.state.serves]
        component_size = claim.component_size or max(own_sizes, default=0)
        synced_size = component_size
        if before.counts_in_array_bytes:
            synced_size = usable_size(shapes, [component_size] * max(shape.raid_disks for shape in shapes))
        serving = [member.state.serves for member in members]
        intent, told = intent_of(claim, synced_size, [*bitmaps_in_use(chosen, serving), *bitmaps])
        findings += told
        members, told = _with_past(chosen, members, reference, None if before.counts_in_array_bytes else intent)
        findings += told
        foreign, told = _foreigners([each for each in claimed if each not in chosen])
        members, findings = [*members, *foreign], [*findings, *told]
        description = ArrayDescription(
            uuid=claim.array_uuid,
            name=claim.array_name,
            metadata=claim.metadata,
            shape=shapes[-1],
            component_size=component_size,
            size=usable_size(shapes, _component_sizes(members, shapes, component_size)),
            members=tuple(members),
            reshape=reshape and replace(reshape, quiet=quiet_of(reshape, _claims_that_serve(chosen, members))),
            clean=claim.resync_offset is None,
            unsynced=unsynced_of(claim, synced_size, intent),
            withheld=_withheld(chosen, reference),
            events=claim.events,
            updated=claim.updated,
        )
    except (InconsistentDescription, UnsupportedMetadata) as error:
        raise type(error)(
            f"{reference.path}, superblock at {format_offset(claim.superblock_offset)}: {error}"
        ) from error
    return Assembly(description, reference, tuple(findings))


def _component_sizes(members: Sequence[Member], shapes: Sequence[Shape], component_size: int) -> list[int]:
    """Return what each role's member gives; of one that is missing, as much as the largest."""
    own = {member.role: member.component_size for member in members if member.state.serves}
    return [own.get(role) or component_size for role in range(max(shape.raid_disks for shape in shapes))]


def _claims_that_serve(chosen: Sequence[Claimed], members: Sequence[Member]) -> list[MemberClaim]:
    """Return the claims of the members that serve; `members` begins with those of `chosen`."""
    return [each.claim for each, member in zip(chosen, members, strict=False) if member.state.serves]


def _capped(offset: int | None, component_size: int) -> int | None:
    """Return an offset into the component, no further than its end; what is beyond means the same."""
    return None if offset is None else min(offset, component_size)


@dataclass
class _Seats:
    """Who sits where, while the members are seated one by one."""

    replacements: dict[str, bool]
    taken: dict[int, Member] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def seat(self, member: Member) -> Member:
        """Give a serving member its role, or set it apart where somebody sits there already."""
        if not member.state.serves or member.role is None:
            return member
        holder = self.taken.get(member.role)
        if holder is None:
            self.taken[member.role] = member
            return member
        if member.state is State.DAMAGED:
            return replace(member, state=State.INCOMPATIBLE, note=f"{member.note}, and {holder.path} serves its role")
        if self.replacements.get(member.path) and not self.replacements.get(holder.path):
            return replace(member, state=State.REPLACEMENT, note=f"was about to replace {holder.path}")
        if member.device_uuid is not None and member.device_uuid == holder.device_uuid:
            note = f"is another copy of the same member as {holder.path} (device uuid {member.device_uuid})"
        else:
            note = f"claims role {member.role}, which {holder.path} already serves"
        return replace(member, state=State.DUPLICATE, note=note)


def _seat(chosen: Sequence[Claimed], reference: Claimed) -> tuple[list[Member], list[Finding]]:
    """Judge every claim, best first, and name what was set apart; members come back in the user's order."""
    seats = _Seats({each.path: each.claim.replacement for each in chosen})
    ranked = sorted(chosen, key=lambda each: _rank(each, reference))
    usual = usual_move(chosen)
    members = {id(each): seats.seat(_judge(each, reference, usual)) for each in ranked}
    for each in chosen:
        member = members[id(each)]
        if member.note:
            is_usual = member.state in (State.SPARE, State.JOURNAL, State.REPLACEMENT, State.IN_SYNC)
            severity = Severity.NOTE if is_usual else Severity.WARNING
            is_apart = not member.state.serves and member.state not in (State.JOURNAL, State.REPLACEMENT)
            ending = "; it is set apart" if is_apart else ""
            seats.findings.append(Finding(severity, each.path, f"{each.path} {member.note}{ending}"))
        elif each.claim.events != reference.claim.events:
            text = (
                f"lags by one event ({each.claim.events}, the freshest has {reference.claim.events}); md accepts that"
            )
            seats.findings.append(Finding(Severity.NOTE, each.path, f"{each.path} {text}"))
    seats.findings += _odd_moves(chosen)
    return [members[id(each)] for each in chosen], seats.findings


def _odd_moves(chosen: Sequence[Claimed]) -> list[Finding]:
    """Name members that move their data unlike most in a reshape; md allows it, mdadm moves all alike."""
    usual = usual_move(chosen)
    moving = [(each, each.claim.reshape.new_offset) for each in chosen if each.claim.intact and each.claim.reshape]
    return [
        Finding(Severity.WARNING, each.path, f"{each.path} moves its data by {move} bytes, most by {usual} bytes")
        for each, move in moving
        if usual is not None and move != usual
    ]


def _rank(each: Claimed, reference: Claimed) -> tuple[object, ...]:
    """Order in which members are seated: originals before replacements, then the fresh, whole, large ones."""
    claim = each.claim
    return (
        not claim.intact,
        claim.replacement,
        -claim.events,
        claim.recovery_offset is not None,
        -each.size,
        each is not reference,
    )


def _judge(each: Claimed, reference: Claimed, usual: int | None) -> Member:
    """Say what one member is to the array of the reference; roles already taken are not considered."""
    claim = each.claim
    data_offset, new_data_offset, remark = offsets_of(claim, reference.claim, usual)
    member = Member(
        path=each.path,
        role=None,
        state=State.IN_SYNC if claim.recovery_offset is None else State.RECOVERING,
        data_offset=data_offset,
        new_data_offset=new_data_offset,
        recovered_to=_capped(claim.recovery_offset, claim.component_size or 0),
        bad_blocks=each.bad_blocks,
        device_number=claim.device_number,
        device_uuid=claim.device_uuid,
        events=claim.events,
        updated=claim.updated,
        write_mostly=claim.write_mostly,
        component_size=_own_size(claim),
    )
    roles = reference.claim.device_roles
    role = roles[claim.device_number] if 0 <= claim.device_number < len(roles) else claim.role
    apart = _reason_apart(each, reference, role)
    if apart is not None:
        state, note = apart
        if state in (State.STALE, State.FAULTY):
            return _member_that_left(each, reference, member, state, note)
        return replace(
            member, role=role if role >= 0 else claim.role if claim.role >= 0 else None, state=state, note=note
        )
    doubt = each.doubt if claim.intact else "has a damaged superblock"
    if doubt:
        return replace(member, role=role, state=State.DAMAGED, note=f"{doubt}; its data are used only as doubtful ones")
    return replace(member, role=role, note=remark)


def _own_size(claim: MemberClaim) -> int | None:
    """Return what a member gives to an array that takes all of each (linear, RAID0); of others None.

    0.90 records no size: such members reach up to their superblock (`md.c: super_90_load`).
    """
    if claim.component_size is not None:
        return None
    return claim.superblock_offset - claim.data_offset if claim.data_size is None else claim.data_size


def _member_that_left(each: Claimed, reference: Claimed, member: Member, state: State, note: str) -> Member:
    """Make the entry of a member that md threw out; its role is what it had then, whoever has its number now."""
    roles = reference.claim.device_roles
    number = each.claim.device_number
    role = each.claim.role if each.claim.role >= 0 else roles[number] if 0 <= number < len(roles) else -1
    if role < 0:
        return replace(member, state=state, note=note)
    standing = standing_of(each, reference.claim)
    if isinstance(standing, str):
        return replace(member, role=role, state=state, note=f"{note}, and {standing}")
    return replace(
        member,
        role=role,
        state=state,
        data_offset=standing.data_offset,
        new_data_offset=standing.new_data_offset,
        note=note,
        past=standing.past,
    )


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


def _reason_apart(each: Claimed, reference: Claimed, role: int) -> tuple[State, str] | None:
    """Return why a member does not serve, or None."""
    claim, first = each.claim, reference.claim
    if role == JOURNAL or claim.journal_tail is not None:
        if _is_current_journal(each, reference):
            return State.JOURNAL, "is the write journal of the array"
        return State.STALE, "is a write journal of the array, but an old or a damaged one"
    if each.unsupported and each is not reference:
        return State.INCOMPATIBLE, f"cannot be used: {each.unsupported[0]}"
    if role == FAULTY:
        return State.FAULTY, f"is marked faulty by {reference.path}, the freshest member (events {first.events})"
    if claim.events + 1 < first.events:
        return State.STALE, f"is stale: its events are {claim.events}, the freshest member has {first.events}"
    if role < 0 and claim.role >= 0:
        return State.STALE, f"is no longer listed by {reference.path}, the freshest member (events {first.events})"
    if role < 0:
        return State.SPARE, "is a spare: it holds no data of the array"
    shift = claim.reshape.new_offset if claim.reshape else 0
    if not (0 <= claim.data_offset < LARGEST and 0 <= claim.data_offset + shift < LARGEST):
        return (
            State.INCOMPATIBLE,
            f"says that its data begin at byte {claim.data_offset}, later at {claim.data_offset + shift}",
        )
    different = disagreement(claim, first)
    if different:
        return State.INCOMPATIBLE, f"says {different}, against {reference.path}"
    return None


def _foreigners(others: Sequence[Claimed]) -> tuple[list[Member], list[Finding]]:
    """Make the entries of members of other arrays, and say so."""
    found, findings = [], []
    for each in others:
        note = f"belongs to another array ({each.claim.array_uuid})"
        offset = each.claim.data_offset
        found.append(Member(each.path, None, State.FOREIGN, offset, offset, events=each.claim.events, note=note))
        findings.append(Finding(Severity.WARNING, each.path, f"{each.path} {note}; it is set apart"))
    return found, findings


def _is_current_journal(each: Claimed, reference: Claimed) -> bool:
    """Tell whether this is the journal of the array as it is now; an old or damaged one proves nothing."""
    claim, roles = each.claim, reference.claim.device_roles
    listed = 0 <= claim.device_number < len(roles) and roles[claim.device_number] == JOURNAL
    fresh = claim.intact and claim.events + 1 >= reference.claim.events
    return claim.journal_tail is not None and listed and fresh and not each.unsupported


def _withheld(chosen: Sequence[Claimed], reference: Claimed) -> str:
    """Say why no byte of this array may be called sure, in one sentence; empty: nothing speaks against it."""
    if not reference.claim.intact:
        return "no member has an intact superblock, so nothing that the array is made of is certain"
    if reference.claim.reshape is not None and reference.claim.reshape.new_level != reference.claim.level:
        return "the superblock changes the level during the reshape, which raidfs does not understand yet"
    later = [each for each in chosen if not each.claim.intact and each.claim.events > reference.claim.events + 1]
    fresh = [each for each in chosen if each.claim.intact and each.claim.events + 1 >= reference.claim.events]
    if len(later) >= len(fresh):
        return f"as many members with later but damaged superblocks are here ({later[0].path}) as with whole ones"
    if half_finished(reference.claim):
        return half_finished(reference.claim)
    if failed_underway(reference.claim, [each.claim for each in chosen]):
        return failed_underway(reference.claim, [each.claim for each in chosen])
    if reference.claim.has_journal:
        journals = [each for each in chosen if _is_current_journal(each, reference)]
        if not journals:
            return "the array has a write journal, but no whole and current one is here: newer data may lie there"
        if len(journals) > 1:
            return f"{journals[0].path} and {journals[1].path} both are its write journal; leave out one with --exclude"
    return ""
