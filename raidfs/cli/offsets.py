"""Members whose data begin elsewhere than those of the others: md allows it, so the data are asked.

A member is read in place of what the others give for it: where its data begin as it says, and where those of the others
do; in a reshape in either geometry by itself. Only where the former is wrong again and again, and the latter right, is
its superblock not believed. Where the others are not enough for that, structures of file systems on the member decide,
then the end of its data, which is that of its image; or nothing does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.enough import is_enough
from raidfs.block import BlockSource
from raidfs.cli.placed import Part, Told, asked, parts_of
from raidfs.engine.health import Policy
from raidfs.errors import SourceError
from raidfs.evidence.reading import compare_readings
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.geometry import zones_of
from raidfs.geometry.standing import data_of
from raidfs.units import format_offset

_A_RULE = 2
"""Members with one offset, from which on it is worth a word that another one has another."""
_REACH = 8 << 30
"""How far down a member structures are looked for [component bytes]."""


@dataclass(frozen=True)
class _Found:
    """What came out for one member.

    Attributes:
        member: with the offsets that count, and what is to be said against it; None: it stays as it is.
        is_open: nothing tells whether it is right.
    """

    member: Member | None = None
    is_open: bool = False


def with_offsets_tested(
    assembly: Assembly, members: Mapping[str, BlockSource], ends: Mapping[str, int], patience: float
) -> Assembly:
    """Ask the data about members whose data begin unlike those of most others.

    Args:
        assembly: the array.
        members: by path.
        ends: by path, where data would begin by the end of the image and their recorded length [member bytes].
        patience: seconds that a member may take to answer.

    Returns:
        The array in which members whose data_offset is disproved have that of the others, and are not proven.
    """
    description, said = assembly.description, [*assembly.findings]
    ask = _Asking(members, ends, patience)
    found = {each.path: ask.about(description, each) for each in _unlike(description)}
    moved = {path: each.member for path, each in found.items() if each.member is not None}
    if len(moved) > 1:
        # who is read in place of a member that begins elsewhere looks as if it did so itself
        alone = [each for each in moved.values() if _settles(_with(description, [each]), ask)]
        moved = {alone[0].path: alone[0]} if len(alone) == 1 else moved
    for each in description.members:
        if each.path in found and found[each.path].is_open:
            said += _untold(description, each)
    said += map(_told, moved.values())
    if len(moved) > 1 and len(moved) == len(description.serving):  # each is right if the other is wrong
        text = f"the data of {' and '.join(moved)} agree only if one of them begins elsewhere than its superblock says"
        return replace(assembly, description=replace(description, withheld=description.withheld or text))
    return replace(assembly, description=_with(description, moved.values()), findings=tuple(said))


def _with(description: ArrayDescription, moved: Iterable[Member]) -> ArrayDescription:
    """Return the array with some members in place of what they were."""
    by_path = {each.path: each for each in moved}
    return replace(description, members=tuple(by_path.get(each.path, each) for each in description.members))


def _settles(description: ArrayDescription, ask: _Asking) -> bool:
    """Tell whether nothing is to be said any more against members whose data begin elsewhere."""
    return all(each.contested or ask.about(description, each).member is None for each in _unlike(description))


@dataclass(frozen=True)
class _Asking:
    """What members are asked with; see `with_offsets_tested`."""

    members: Mapping[str, BlockSource]
    ends: Mapping[str, int]
    patience: float

    def about(self, description: ArrayDescription, member: Member) -> _Found:
        """Find out where the data of a member begin; who is gone tells nothing."""
        with suppress(SourceError):
            return _examined(description, member, self.members, self.ends.get(member.path), self.patience)
        return _Found()


def _examined(
    description: ArrayDescription, member: Member, members: Mapping[str, BlockSource], end: int | None, patience: float
) -> _Found:
    """Find out where the data of a member begin.

    Raises:
        SourceError: a member is gone.
    """
    others = [each for each in _trusted(description) if each.path != member.path]
    told = []
    for part in parts_of(description):
        if is_enough(part.shape, [each.role or 0 for each in others if part.is_held_by(each)]):
            starts = {part.start(each) for each in others}
            starts |= {end + part.start(member) - member.data_offset} if end is not None else set()
            starts = {start for start in starts if start >= 0}
            told.append((part, asked(description, member, part, starts, members, patience)))
    if any(each.right is not None or each.is_disproved for _, each in told):
        return _by_the_others(member, told)
    right = _move_of_structures(description, member, members, patience)
    if right is not None:
        why = "which structures of file systems disprove: by these"
        return _Found(_moved(member, right, right, why) if right else None)
    if end not in (None, member.data_offset) and end in {each.data_offset for each in others}:
        right = end - member.data_offset
        why = "which is unlikely: by their recorded length, which would lead to the end of its image, and as on others,"
        return _Found(_moved(member, right, right, why))
    return _Found(is_open=not told)


def _by_the_others(member: Member, told: list[tuple[Part, Told]]) -> _Found:
    """Put together what the others say of either geometry; what they say of one alone holds for both."""
    moves = [None if each.right is None else each.right - part.start(member) for part, each in told]
    known = [move for move in moves if move is not None]
    if not any(known):
        if not any(each.is_disproved for _, each in told):
            return _Found()
        reason = f"its superblock says that its data begin at {format_offset(member.data_offset)}, which the data "
        return _Found(replace(member, contested=f"{reason}disprove, and nothing tells where they do"))
    either = next(move for move in known if move)
    both = [either if move is None else move for move in moves]
    return _Found(_moved(member, both[0], both[-1], "which the data disprove: by those of the others"))


def _moved(member: Member, old: int, new: int, why: str) -> Member:
    """Return a member whose data begin elsewhere, by so many bytes in the old and in the new geometry."""
    data_offset, new_data_offset = member.data_offset + old, member.new_data_offset + new
    says, they_do = format_offset(member.data_offset), format_offset(data_offset)
    if member.data_offset != member.new_data_offset:
        says += f", after the reshape at {format_offset(member.new_data_offset)}"
        they_do += f", after the reshape at {format_offset(new_data_offset)}"
    reason = f"its superblock says that its data begin at {says}, {why} they begin at {they_do}"
    return replace(member, data_offset=data_offset, new_data_offset=new_data_offset, contested=reason)


def _told(member: Member) -> Finding:
    return Finding(Severity.ERROR, member.path, f"{member.path}: {member.contested}; these are used as unproven")


def _untold(description: ArrayDescription, member: Member) -> list[Finding]:
    """Say that nobody can tell whether a member is right, where all others have one offset.

    Of arrays without redundancy, where nothing ever tells, these must be two at least.
    """
    others = [each.data_offset for each in _trusted(description) if each is not member]
    if len(set(others)) != 1 or not (description.shape.redundancy or len(others) >= _A_RULE):
        return []
    text = f"{member.path}: its data begin at {format_offset(member.data_offset)}, those of all others at "
    text += f"{format_offset(others[0])}; md allows that, and nothing tells whether it is right"
    return [Finding(Severity.NOTE, member.path, text)]


def _unlike(description: ArrayDescription) -> Iterator[Member]:
    """Yield members whose offset, in either geometry, is not that of most."""
    if description.dispute is not None:
        return
    members = _trusted(description)
    found: dict[str, Member] = {}
    for starts in ([each.data_offset for each in members], [each.new_data_offset for each in members]):
        for member, start in zip(members, starts, strict=True):
            if min(starts) < max(starts) and 2 * starts.count(start) <= len(members):
                found[member.path] = member
    yield from (member for member in members if member.path in found)


def _trusted(description: ArrayDescription) -> list[Member]:
    """Return the members whose superblocks are whole, by role."""
    return [member for _, member in sorted(description.serving.items()) if member.state is not State.DAMAGED]


def _move_of_structures(
    description: ArrayDescription, member: Member, images: Mapping[str, BlockSource], patience: float
) -> int | None:
    """Return by how much the data of a member begin elsewhere, as structures of file systems lie only so [bytes]."""
    from raidfs.engine.array_source import ArraySource

    others = [each for each in _trusted(description) if each.path != member.path]
    moves = [0, *sorted({each.data_offset - member.data_offset for each in others} - {0})]
    moves = [move for move in moves if member.data_offset + move >= 0 <= member.new_data_offset + move]
    where = Extents().union(*(_held(description, part, member) for part in parts_of(description)))
    with ExitStack() as stack:
        readings = []
        for move in moves:
            offsets = (member.data_offset + move, member.new_data_offset + move)
            placed = replace(member, data_offset=offsets[0], new_data_offset=offsets[1])
            reading = replace(description, members=(placed, *others))
            sources = [(each, images[each.path]) for each in reading.sources]
            policy = Policy(doubtful=True)
            source = ArraySource(reading, sources, policy, watch=False, patience=patience)
            readings.append(stack.enter_context(closing(source)))
        winner = compare_readings(readings, where).winner
    return None if winner is None else moves[winner]


def _held(description: ArrayDescription, part: Part, member: Member) -> Extents:
    """Return where a member may hold data of a part of the array [array bytes]."""
    found = Extents()
    for zone in zones_of(part.shape, description.component_sizes[: part.shape.raid_disks]):
        if member.role in zone.table.role:
            reach = _REACH * max(1, part.shape.n_data)
            found = found.union(part.where.clip(zone.array_start, min(zone.array_stop, zone.array_start + reach)))
            if part.shape.has_parity:
                found = data_of(zone, {member.role or 0: Extents.span(0, zone.component_stop)}).intersection(found)
    return found
