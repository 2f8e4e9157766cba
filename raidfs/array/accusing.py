"""Whose word counts where superblocks contradict each other although none of them is older.

md takes the freshest superblock, and among equals the first that it sees (`md.c: analyze_sbs`). That is sound while all
members tell one story. Where they do not, those count that agree with one another and are enough to run the array:

- Of members with equal events that take each other for failed, those who are enough by themselves are right; who
  contradicts them serves, but is proven by nothing. Where both sides are enough, both have run, apart from each other:
  the two contents are compared (`Assembly.rival`).
- A superblock with another shape of the array, and one event more at most, counts only with enough members that say so.
- Members with fewer events that ran on without those that serve are only named: they are out, as md has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from raidfs.array.choose import Claimed, freshest
from raidfs.array.enough import is_enough
from raidfs.array.reshaping import disagreement, shapes_of
from raidfs.errors import InconsistentDescription, UnsupportedMetadata
from raidfs.finding import Finding, Severity
from raidfs.superblock.claim import MemberClaim


@dataclass(frozen=True)
class Verdict:
    """Whose word counts, and what follows for the others.

    Attributes:
        reference: the claim that counts.
        rival: the claim of others that are enough to run the array, too, and tell another one; None: nobody does.
        ours: those who agree with the reference, by path; only where there is a rival.
        prevails: the reference has more for it than the rival.
        contested: members that serve but contradict those that count: why nothing of them is proven, by path.
        odd: members whose superblocks are not believed: why, by path.
        pardoned: members that serve though the reference takes them for failed, by path.
        withheld: why no byte may be called sure; empty: nothing speaks against it.
        findings: what is to be said.
    """

    reference: Claimed
    rival: Claimed | None = None
    ours: frozenset[str] = frozenset()
    prevails: bool = True
    contested: Mapping[str, str] = field(default_factory=dict)
    odd: Mapping[str, str] = field(default_factory=dict)
    pardoned: frozenset[str] = frozenset()
    withheld: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Camp:
    """Members that tell one story.

    Attributes:
        supporters: those who do, never none.
        accepted: members that they take for working, themselves among them.
        leader: the freshest of the supporters.
        alone: the supporters are enough to run the array.
        together: they are with those whom they accept.
    """

    supporters: tuple[Claimed, ...]
    accepted: frozenset[str]
    leader: Claimed
    alone: bool
    together: bool

    @property
    def paths(self) -> frozenset[str]:
        """Of the supporters."""
        return frozenset(each.path for each in self.supporters)

    @property
    def weight(self) -> tuple[int, int, int]:
        """How much speaks for it, whatever the order of arguments: roles, last update, lowest device number."""
        numbers = [each.claim.device_number for each in self.supporters]
        return len({each.claim.role for each in self.supporters}), self.leader.claim.updated, -min(numbers)

    def is_above(self, other: _Camp) -> bool:
        """Tell whether it accuses others who do not accuse it: theirs is the older word."""
        return self.paths <= other.accepted and not other.paths <= self.accepted


def verdict_of(chosen: Sequence[Claimed]) -> Verdict:
    """Decide whose word counts.

    Args:
        chosen: the claims of one array.

    Raises:
        AssemblyError: there is no member but spares and journals.
    """
    in_order = sorted(chosen, key=lambda each: each.claim.device_number)  # not that of the user, which decides nothing
    first = freshest(in_order)
    able = [each for each in in_order if _is_able(each)]
    if first not in able:
        return Verdict(first)
    first, shaped = _by_shape(first, able)
    if shaped is not None:
        return shaped
    equal = [each for each in able if each.claim.events == first.claim.events and _is_alike(each, first)]
    late = [each for each in able if each.claim.events == first.claim.events - 1 and _is_alike(each, first)]
    camps = _camps(equal, late)
    verdict = Verdict(first) if len(camps) == 1 else _among(camps, [*equal, *late])
    contested = {**verdict.contested, **dict(_late_accusers(verdict.reference, late))}
    told = tuple(_run_apart(verdict.reference, able)) if verdict.rival is None else ()
    return replace(verdict, contested=contested, findings=(*verdict.findings, *told))


def _is_able(each: Claimed) -> bool:
    claim = each.claim
    return claim.intact and claim.role >= 0 and claim.journal_tail is None and not each.unsupported


def role_in(claim: MemberClaim, other: MemberClaim) -> int:
    """Return what one superblock says that another member is: a role, or a negative number."""
    number = other.device_number
    return claim.device_roles[number] if 0 <= number < len(claim.device_roles) else -1


def _accepts(claim: MemberClaim, other: MemberClaim) -> bool:
    return role_in(claim, other) == other.role


def _is_enough(claim: MemberClaim, members: Collection[Claimed]) -> bool:
    """Tell whether members are enough to run the array that a claim tells of; whom md still fills is not counted."""
    return are_enough(
        claim,
        [each.claim.role for each in members if each.claim.recovery_offset is None or each.claim.reshape is not None],
    )


def are_enough(claim: MemberClaim, roles: Collection[int]) -> bool:
    """Tell whether members of these roles run the array that a claim tells of, in all its shapes."""
    try:
        shape, reshape = shapes_of(claim)
    except (InconsistentDescription, UnsupportedMetadata):
        return False
    return is_enough(shape, roles) and (reshape is None or is_enough(reshape.after, roles))


def _camps(equal: Sequence[Claimed], late: Sequence[Claimed]) -> list[_Camp]:
    """Sort members of equal events by whom they take for working; `late`: those that are one event behind."""
    groups: dict[frozenset[str], list[Claimed]] = {}
    for each in equal:
        accepted = frozenset(other.path for other in equal if _accepts(each.claim, other.claim))
        groups.setdefault(accepted, []).append(each)
    camps = []
    for accepted, supporters in groups.items():
        leader = freshest(supporters)
        behind = [each for each in late if _accepts(leader.claim, each.claim)]
        with_them = [each for each in behind if all(_accepts(each.claim, other.claim) for other in supporters)]
        all_of_them = [each for each in equal if each.path in accepted]
        alone = _is_enough(leader.claim, [*supporters, *with_them])
        together = _is_enough(leader.claim, [*all_of_them, *behind])
        camps.append(_Camp(tuple(supporters), accepted, leader, alone, together))
    return camps


def _among(camps: Sequence[_Camp], fresh: Sequence[Claimed]) -> Verdict:
    """Choose among members of equal events that contradict each other."""
    able = [camp for camp in camps if camp.alone] or [camp for camp in camps if camp.together]
    best = max(able or camps, key=lambda camp: (not any(other.is_above(camp) for other in able), camp.weight))
    first = best.leader
    others = [camp for camp in camps if camp is not best]
    told = f"members with equal events ({first.claim.events}) contradict each other: {'; '.join(_accusations(camps))}; "
    rivalled = any(camp.weight[0] >= best.weight[0] and not best.is_above(camp) for camp in camps if camp is not best)
    is_open = bool(able) and not best.alone and rivalled
    if not able or is_open:
        withheld = f"{told}and {'as many say either' if is_open else 'none that agree are enough to run the array'}"
        pardoned = frozenset(each.path for each in fresh).difference(best.accepted)
        return Verdict(first, withheld=withheld, pardoned=pardoned)
    rivals = [camp for camp in others if camp.alone]
    mine = _names(best.supporters)
    served = [each for camp in others for each in camp.supporters if each.path in best.accepted]
    reason = f"at equal events its superblock contradicts {mine}"
    contested = {each.path: reason for each in served}
    if rivals:
        rival = max(rivals, key=lambda camp: camp.weight)
        prevails = best.is_above(rival) or best.weight[0] > rival.weight[0]
        worth = "unproven" if prevails else "doubtful"
        told += "both sides are enough to run the array and may have run apart; what is served is that of "
        told += f"{mine}, {worth} where that of {_names(rival.supporters)} differs (--exclude one to read the other)"
        finding = Finding(Severity.WARNING, "array", told)
        return Verdict(first, rival.leader, best.paths, prevails, contested, findings=(finding,))
    how = "are enough to run the array" if best.alone else "are most that agree, and enough with those whom they accept"
    told += f"{mine} {how}, so their word counts"
    told += f"; nothing of {_names(served)} is proven" if served else ""
    return Verdict(first, contested=contested, findings=(Finding(Severity.WARNING, "array", told),))


def _accusations(camps: Sequence[_Camp]) -> Iterator[str]:
    """Say who takes whom for failed."""
    everybody = [each for camp in camps for each in camp.supporters]
    for camp in camps:
        accused = [each for each in everybody if each.path not in camp.accepted]
        if accused:
            yield f"by {_names(camp.supporters)}, {_names(accused)} {'are' if len(accused) > 1 else 'is'} no member"


def _names(members: Collection[Claimed]) -> str:
    return ", ".join(each.path for each in members)


def _late_accusers(reference: Claimed, late: Sequence[Claimed]) -> Iterator[tuple[str, str]]:
    """Yield those who are one event behind and take the reference for failed, which takes them for working."""
    if reference.claim.recovery_offset is not None:
        return
    for each in late:
        if not _accepts(each.claim, reference.claim) and _accepts(reference.claim, each.claim):
            yield each.path, f"its superblock contradicts {reference.path}, although it is only one event older"


def _run_apart(reference: Claimed, able: Sequence[Claimed]) -> Iterator[Finding]:
    """Name members that ran on without those that serve: what they had in common is not enough to explain it.

    A member that left, and whose superblock lists a holder for every role, only stopped earlier; so did one that
    knew of a failure which was repaired by those that stayed.
    """
    first = reference.claim
    for each in able:
        claim = each.claim
        held = {role for role in first.device_roles if 0 <= role < claim.raid_disks}  # others came with a reshape
        lived_without = held.difference(claim.device_roles)
        if claim.events >= first.events or _accepts(first, claim) or not lived_without:
            continue
        pairs = zip(claim.device_roles, first.device_roles, strict=False)
        common = {then for then, now in pairs if then == now and then >= 0}
        if are_enough(first, common) or not are_enough(claim, set(claim.device_roles)):
            continue
        text = (
            f"{each.path} ran on without {reference.path} (to events {claim.events}), and that without it (to events "
            f"{first.events}): both have written since they parted, so each holds what the other lacks; the latter "
            f"serves (--exclude {reference.path} to read the former)"
        )
        yield Finding(Severity.WARNING, each.path, text)


def _is_alike(one: Claimed, other: Claimed) -> bool:
    """Tell whether two claims are about one shape of the array, or of two that a reshape explains."""
    return not disagreement(one.claim, other.claim) or not disagreement(other.claim, one.claim)


def _by_shape(first: Claimed, able: Sequence[Claimed]) -> tuple[Claimed, Verdict | None]:
    """Judge members that tell of another shape than the freshest does.

    Returns:
        The freshest of those that may count; and the verdict, None: nothing is to be decided but by the others.
    """
    groups = _groups_by_shape(able)
    if len(groups) == 1:
        return first, None
    top = groups[0]
    enough = [group for group in groups if _is_enough(group[0].claim, group)]
    is_first = any(group is top for group in enough)
    if enough:
        best = top if is_first else max(enough, key=_weight)
        others = [group for group in groups if group is not best and _is_as_many(group, best)]
        if others and not any(group is other for group in enough for other in others):
            # who is enough with so few has no redundancy left that could bear it out
            told = f"{_names(best)} and as many others ({'; '.join(map(_names, others))}), of equal events, tell of "
            told += f"different arrays: {disagreement(others[0][0].claim, best[0].claim)}"
            return best[0], Verdict(best[0], withheld=told)
        if not is_first:
            return top[0], _outvoted(top, best)
        equals = [group for group in enough if group[0].claim.events == top[0].claim.events]
        return (top[0], None) if len(equals) == 1 else (top[0], _rival_shapes(equals))
    near = [group for group in groups if group[0].claim.events + 1 >= top[0].claim.events]
    best = max(near, key=_weight)
    n_others = sum(_weight(group)[0] for group in near if group is not best)
    if len(near) == 1 or (_weight(best)[0] > n_others and best[0].claim.events == top[0].claim.events):
        return best[0], None
    told = "; ".join(f"{_names(group)}: {_shape_told(group[0].claim)}" for group in near)
    withheld = f"members tell of different arrays ({told}), and none that agree are enough to run theirs"
    return best[0], Verdict(best[0], withheld=withheld)


def _groups_by_shape(able: Sequence[Claimed]) -> list[list[Claimed]]:
    """Sort claims by the shape that they tell of, the freshest first; of each only those that md would start."""
    groups: list[list[Claimed]] = []
    for each in sorted(able, key=lambda one: (-one.claim.events, -one.claim.updated, one.claim.device_number)):
        group = next((group for group in groups if _is_alike(each, group[0])), None)
        if group is None:
            groups.append([each])
        elif each.claim.events + 1 >= group[0].claim.events and _accepts(group[0].claim, each.claim):
            group.append(each)
    return groups


def _is_as_many(group: Sequence[Claimed], best: Sequence[Claimed]) -> bool:
    """Tell whether members are as many as others at least, and none of them older."""
    return _weight(group)[0] >= _weight(best)[0] and group[0].claim.events >= best[0].claim.events


def _weight(group: Sequence[Claimed]) -> tuple[int, int, int, int]:
    """How much speaks for members, whatever the order of arguments: roles, events, last update, lowest number."""
    claim = group[0].claim
    return len({each.claim.role for each in group}), claim.events, claim.updated, -claim.device_number


def _shape_told(claim: MemberClaim) -> str:
    try:
        return str(shapes_of(claim)[0])
    except (InconsistentDescription, UnsupportedMetadata) as error:
        return str(error)


def _rival_shapes(groups: Sequence[Sequence[Claimed]]) -> Verdict:
    """Judge members of equal events that are enough to run two arrays of different shapes."""
    best, rival, *_ = sorted(groups, key=_weight, reverse=True)
    prevails = _weight(best)[0] > _weight(rival)[0]
    worth = "unproven" if prevails else "doubtful"
    told = f"{_names(best)} and {_names(rival)} have equal events ({best[0].claim.events}) and tell of different "
    told += f"arrays, {disagreement(rival[0].claim, best[0].claim)}, each of which they are enough to run; the former "
    told += f"is served, {worth} where the latter differs (--exclude one side to read the other)"
    paths = frozenset(each.path for each in best)
    return Verdict(best[0], rival[0], paths, prevails, findings=(Finding(Severity.WARNING, "array", told),))


def _outvoted(top: Sequence[Claimed], best: Sequence[Claimed]) -> Verdict:
    """Judge a freshest superblock that too few members confirm, against enough others that agree on another shape."""
    first, leader = top[0].claim, best[0].claim
    told = f"{_names(top)} alone says {disagreement(first, leader)}, against {_names(best)}"
    if leader.events + 1 < first.events:
        return Verdict(top[0], withheld=f"{told}, which are older, but enough to run the array")
    told += f"; these are enough to run the array, so their word counts (events {leader.events} against {first.events})"
    odd = {each.path: f"has a superblock that contradicts {_names(best)}" for each in top}
    return Verdict(best[0], odd=odd, findings=(Finding(Severity.WARNING, "array", told),))
