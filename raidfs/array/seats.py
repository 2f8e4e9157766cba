"""Who sits where: every claim is judged against the one that counts, and roles are given, best first.

What is set apart stays, with its reason; each difference between what a member claims and what it gets is a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from raidfs.array.accusing import Verdict
from raidfs.array.choose import Claimed
from raidfs.array.description import LARGEST, Member, State
from raidfs.array.past import standing_of
from raidfs.array.reshaping import disagreement, offsets_of, usual_move
from raidfs.array.shape import Shape
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import FAULTY, JOURNAL, MemberClaim


def seat_members(chosen: Sequence[Claimed], verdict: Verdict, shape: Shape) -> tuple[list[Member], list[Finding]]:
    """Judge every claim, best first, and name what was set apart; members come back in the user's order.

    Args:
        chosen: the claims of the array.
        verdict: which of them counts.
        shape: of the array, the old one in a reshape.
    """
    reference = verdict.reference
    seats = _Seats({each.path: each.claim.replacement for each in chosen})
    ranked = sorted(chosen, key=lambda each: _rank(each, reference))
    judge = _Judge(reference, verdict, shape, usual_move(chosen))
    members = {id(each): seats.seat(judge.member(each)) for each in ranked}
    for each in chosen:
        member = members[id(each)]
        if member.note:
            is_usual = member.state in (State.SPARE, State.JOURNAL, State.REPLACEMENT, State.IN_SYNC)
            severity = Severity.NOTE if is_usual else Severity.WARNING
            is_apart = not member.state.serves and member.state not in (State.JOURNAL, State.REPLACEMENT)
            ending = "; it is set apart" if is_apart else ""
            seats.findings.append(Finding(severity, each.path, f"{each.path} {member.note}{ending}"))
        elif each.claim.events != reference.claim.events:
            seats.findings.append(_lagging(each, reference))
    seats.findings += _odd_moves(chosen)
    return [members[id(each)] for each in chosen], seats.findings


def is_current_journal(each: Claimed, reference: Claimed) -> bool:
    """Tell whether this is the journal of the array as it is now; an old or damaged one proves nothing."""
    claim, roles = each.claim, reference.claim.device_roles
    listed = 0 <= claim.device_number < len(roles) and roles[claim.device_number] == JOURNAL
    fresh = claim.intact and claim.events + 1 >= reference.claim.events
    return claim.journal_tail is not None and listed and fresh and not each.unsupported


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


def _lagging(each: Claimed, reference: Claimed) -> Finding:
    """Say that a member serves although its superblock is older: by one event, or of an array that needs all members.

    A linear array or RAID0 cannot run without any of them, so it has missed nothing.
    """
    told = f"({each.claim.events}, the freshest has {reference.claim.events})"
    lag = reference.claim.events - each.claim.events
    if lag <= 1:
        text = f"{each.path} lags by one event {told}; md accepts that"
        return Finding(Severity.NOTE, each.path, text)
    text = f"{each.path} lags by {lag} events {told}, but the array cannot have run without it"
    return Finding(Severity.WARNING, each.path, text)


def _odd_moves(chosen: Sequence[Claimed]) -> list[Finding]:
    """Name members that move their data unlike most in a reshape; md allows it, mdadm moves all alike."""
    usual = usual_move(chosen)
    moving = [(each, each.claim.reshape.new_offset) for each in chosen if each.claim.intact and each.claim.reshape]
    return [
        Finding(
            Severity.WARNING,
            each.path,
            f"{each.path} moves its data by {move} bytes, most by {usual} bytes: nothing of it is proven",
        )
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
        claim.device_number,
    )


@dataclass(frozen=True)
class _Judge:
    """What members are judged by.

    Attributes:
        reference: the claim that counts.
        verdict: what else follows from it.
        shape: of the array, the old one in a reshape.
        usual: see `usual_move`.
    """

    reference: Claimed
    verdict: Verdict
    shape: Shape
    usual: int | None

    def member(self, each: Claimed) -> Member:
        """Say what one member is to the array; roles already taken are not considered."""
        claim = each.claim
        data_offset, new_data_offset, remark = offsets_of(claim, self.reference.claim, self.usual)
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
            component_size=_own_size(claim) if self.shape.has_own_sizes else None,
        )
        roles = self.reference.claim.device_roles
        role = roles[claim.device_number] if 0 <= claim.device_number < len(roles) else claim.role
        if each.path in self.verdict.pardoned:
            role = claim.role
        apart = self._reason_apart(each, role)
        if apart is not None:
            state, note = apart
            if state in (State.STALE, State.FAULTY):
                return _member_that_left(each, self.reference, member, state, note)
            return replace(
                member, role=role if role >= 0 else claim.role if claim.role >= 0 else None, state=state, note=note
            )
        doubt = self.verdict.odd.get(each.path, each.doubt) if claim.intact else "has a damaged superblock"
        if doubt:
            note = f"{doubt}; its data are used only as doubtful ones"
            return replace(member, role=role, state=State.DAMAGED, note=note)
        contested = self.verdict.contested.get(each.path) or self._odd_move(claim)
        return replace(member, role=role, note=remark, contested=contested)

    def _odd_move(self, claim: MemberClaim) -> str:
        """Say that a member moves its data unlike most, one clause; empty: it does not. mdadm moves all alike."""
        if not claim.intact or claim.reshape is None or self.usual in (None, claim.reshape.new_offset):
            return ""
        return f"moves its data by {claim.reshape.new_offset} bytes, most by {self.usual} bytes"

    def _reason_apart(self, each: Claimed, role: int) -> tuple[State, str] | None:
        """Return why a member does not serve, or None."""
        claim, first = each.claim, self.reference.claim
        freshest = f"{self.reference.path}, the freshest member (events {first.events})"
        if role == JOURNAL or claim.journal_tail is not None:
            if is_current_journal(each, self.reference):
                return State.JOURNAL, "is the write journal of the array"
            return State.STALE, "is a write journal of the array, but an old or a damaged one"
        if each.unsupported and each is not self.reference:
            return State.INCOMPATIBLE, f"cannot be used: {each.unsupported[0]}"
        if role == FAULTY:
            return State.FAULTY, f"is marked faulty by {freshest}"
        if claim.events + 1 < first.events and not self.shape.has_own_sizes:
            return State.STALE, f"is stale: its events are {claim.events}, the freshest member has {first.events}"
        if role < 0 and claim.role >= 0:
            return State.STALE, f"is no longer listed by {freshest}"
        if role < 0:
            return State.SPARE, "is a spare: it holds no data of the array"
        n_roles = max(self.shape.raid_disks, first.raid_disks)
        if role >= n_roles:
            return _beyond(first, role, n_roles)
        shift = claim.reshape.new_offset if claim.reshape else 0
        if not (0 <= claim.data_offset < LARGEST and 0 <= claim.data_offset + shift < LARGEST):
            return (
                State.INCOMPATIBLE,
                f"says that its data begin at byte {claim.data_offset}, later at {claim.data_offset + shift}",
            )
        different = disagreement(claim, first)
        if different and each.path not in self.verdict.odd:
            return State.INCOMPATIBLE, f"says {different}, against {self.reference.path}"
        return None


def _beyond(first: MemberClaim, role: int, n_roles: int) -> tuple[State, str]:
    """Say what a member is whose role the array does not have.

    When a shrink has ended, superblocks may be written before those members are let go that it has emptied.
    """
    last = first.last_reshape
    if last is not None and n_roles <= role < n_roles - last.delta_disks:
        return State.SPARE, f"had role {role}, which the array gave up when it shrank: it holds no data any more"
    return State.INCOMPATIBLE, f"has role {role} in an array of {n_roles} roles"


def _own_size(claim: MemberClaim) -> int:
    """Return all that a member has for data.

    0.90 records no size: such members reach up to their superblock (`md.c: super_90_load`).
    """
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


def _capped(offset: int | None, component_size: int) -> int | None:
    """Return an offset into the component, no further than its end; what is beyond means the same."""
    return None if offset is None else min(offset, component_size)
