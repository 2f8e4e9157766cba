"""Members whose data begin elsewhere than those of the others: md allows it, so the data are asked.

A member is read in place of what the others give for it: where its data begin as it says, and where those of the others
do. Only where the former is wrong again and again, and the latter right everywhere, is its superblock not believed.
Where the others are not enough for that, structures of file systems on the member decide, or nothing does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.enough import is_enough
from raidfs.block import BlockSource, Requests
from raidfs.engine.health import Policy
from raidfs.errors import SourceError
from raidfs.evidence.reading import compare_readings
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.standing import data_of
from raidfs.units import format_offset

_PAGE = 4096
"""What is compared as a whole [bytes]."""
_PLACES = 128
"""Places all over the array that are compared."""
_WINDOW = 16 << 10
"""How much is read at each of them, at most [bytes]."""
_REACH = 8 << 30
"""How far down a member structures are looked for [component bytes]."""
_ENOUGH = 8
"""Pages that are wrong by one offset, and right by the other, to disprove the one."""


def with_offsets_tested(assembly: Assembly, members: Mapping[str, BlockSource], patience: float) -> Assembly:
    """Ask the redundancy about members whose data begin unlike those of most others.

    Args:
        assembly: the array.
        members: by path.
        patience: seconds that a member may take to answer.

    Returns:
        The array in which members whose data_offset is disproved have that of the others, and are not proven.
    """
    description = assembly.description
    moved: dict[str, Member] = {}
    untold: list[Finding] = []
    for member in _unlike(description):
        with suppress(SourceError):  # who is gone tells nothing here
            if is_enough(description.shape, description.serving.keys() - {member.role}):
                right = _right_offset(description, member, members, patience)
            else:
                right = _offset_of_structures(description, member, members, patience)
                untold += _untold(description, member) if right is None else []
            if right is not None and right != member.data_offset:
                moved[member.path] = _moved(member, right)
    findings = [*assembly.findings, *untold, *map(_told, moved.values())]
    if not moved:
        return replace(assembly, findings=tuple(findings))
    if len(moved) > 1 and len(moved) == len(description.serving):  # each is right if the other is wrong
        text = f"the data of {' and '.join(moved)} agree only if one of them begins elsewhere than its superblock says"
        return replace(assembly, description=replace(description, withheld=description.withheld or text))
    changed = tuple(moved.get(member.path, member) for member in description.members)
    return replace(assembly, description=replace(description, members=changed), findings=tuple(findings))


def _moved(member: Member, data_offset: int) -> Member:
    reason = (
        f"its superblock says that its data begin at {format_offset(member.data_offset)}, which the data disprove: by "
        f"those of the others, or by structures of file systems, they begin at {format_offset(data_offset)}"
    )
    return replace(member, data_offset=data_offset, new_data_offset=data_offset, contested=reason)


def _told(member: Member) -> Finding:
    return Finding(Severity.ERROR, member.path, f"{member.path}: {member.contested}; these are used as unproven")


def _untold(description: ArrayDescription, member: Member) -> list[Finding]:
    """Say that nobody can tell whether a member is right, where all others have one offset."""
    others = {each.data_offset for each in description.serving.values() if each is not member}
    if len(others) > 1:
        return []
    text = f"{member.path}: its data begin at {format_offset(member.data_offset)}, those of all others at "
    text += f"{format_offset(*others)}; md allows that, and with members missing nothing tells whether it is right"
    return [Finding(Severity.NOTE, member.path, text)]


def _unlike(description: ArrayDescription) -> Iterator[Member]:
    """Yield members whose offset is not that of most."""
    if description.reshape is not None or not description.shape.redundancy or description.dispute is not None:
        return
    serving = description.serving
    offsets = Counter(member.data_offset for member in serving.values())
    ((usual, n_usual), *_) = offsets.most_common(1)
    for _, member in sorted(serving.items()):
        is_usual = member.data_offset == usual and 2 * n_usual > len(serving)
        if member.state is State.IN_SYNC and not is_usual and len(offsets) > 1:
            yield member


def _right_offset(
    description: ArrayDescription, member: Member, images: Mapping[str, BlockSource], patience: float
) -> int | None:
    """Return where the data of a member begin if they do not where it says [member bytes]; None: nothing tells."""
    others = [replace(each, write_mostly=True) for each in description.serving.values() if each is not member]
    expected, is_known = _read(replace(description, members=tuple(others)), images, patience)

    def n_wrong(offset: int) -> int:
        """Count the pages that are not what the others give, if its data begin there."""
        placed = replace(member, data_offset=offset, new_data_offset=offset, write_mostly=False)
        held, is_held = _read(replace(description, members=(placed, *others)), images, patience)
        return int(np.count_nonzero((held != expected).any(axis=1) & is_held & is_known))

    if n_wrong(member.data_offset) < _ENOUGH:
        return None
    offsets = sorted({each.data_offset for each in others} - {member.data_offset})
    right = [offset for offset in offsets if not n_wrong(offset)]
    return right[0] if len(right) == 1 else None


def _offset_of_structures(
    description: ArrayDescription, member: Member, images: Mapping[str, BlockSource], patience: float
) -> int | None:
    """Return where the data of a member begin, as structures of file systems on it lie only so where they should."""
    from raidfs.engine.array_source import ArraySource

    others = [each for each in description.serving.values() if each is not member]
    offsets = [member.data_offset, *sorted({each.data_offset for each in others} - {member.data_offset})]
    zone = zone_of(description.shape, description.component_size)
    where = data_of(zone, {member.role or 0: Extents.span(0, min(description.component_size, _REACH))})
    with ExitStack() as stack:
        readings = []
        for offset in offsets:
            placed = replace(member, data_offset=offset, new_data_offset=offset)
            reading = replace(description, members=(placed, *others))
            sources = [(each, images[each.path]) for each in reading.sources]
            policy = Policy(doubtful=True)
            source = ArraySource(reading, sources, policy, watch=False, patience=patience)
            readings.append(stack.enter_context(closing(source)))
        winner = compare_readings(readings, where).winner
    return None if winner is None else offsets[winner]


def _read(
    description: ArrayDescription, images: Mapping[str, BlockSource], patience: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read the places that are compared; returns uint8 (pages, bytes), and bool (pages,): what is there."""
    from raidfs.engine.array_source import ArraySource

    requests = _places(description)
    content = np.zeros(int(requests[:, 1].sum()), dtype=np.uint8)
    is_there = np.ones(len(content), dtype=np.bool_)
    sources = [(member, images[member.path]) for member in description.sources]
    with closing(ArraySource(description, sources, Policy(doubtful=True), watch=False, patience=patience)) as array:
        for start, stop in array.read_into(requests, content):
            is_there[start:stop] = False
    whole: NDArray[np.bool_] = np.all(is_there.reshape(-1, _PAGE), axis=1)
    return content.reshape(-1, _PAGE), whole


def _places(description: ArrayDescription) -> Requests:
    """Return where is read: starts of chunks all over the array, on all members in turn."""
    chunk = description.shape.chunk_size or _WINDOW
    window = max(_PAGE, min(chunk, _WINDOW) // _PAGE * _PAGE)
    n_chunks = description.size // chunk
    n_roles = description.n_roles
    chunks = np.unique([number * n_chunks // _PLACES + number % n_roles for number in range(_PLACES)])
    starts = chunks[chunks * chunk + window <= description.size].astype(np.int64) * chunk
    return np.stack((starts, np.full_like(starts, window), np.arange(len(starts)) * window), axis=1)
