"""Members whose data begin elsewhere than those of the others: md allows it, so the redundancy is asked.

A member is read in place of what the others give for it: where its data begin as it says, and where those of the others
do. Only where the former is wrong again and again, and the latter right everywhere, is its superblock not believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription, Member, State
from raidfs.array.enough import is_enough
from raidfs.block import BlockSource, Requests
from raidfs.engine.health import Policy
from raidfs.errors import SourceError
from raidfs.finding import Finding, Severity
from raidfs.units import format_offset

_PAGE = 4096
"""What is compared as a whole [bytes]."""
_PLACES = 128
"""Places all over the array that are compared."""
_WINDOW = 16 << 10
"""How much is read at each of them, at most [bytes]."""
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
    for member in _unlike(description):
        with suppress(SourceError):  # who is gone tells nothing here
            right = _right_offset(description, member, members, patience)
            if right is not None:
                moved[member.path] = _moved(member, right)
    if not moved:
        return assembly
    findings = [*assembly.findings, *map(_told, moved.values())]
    if len(moved) > 1 and len(moved) == len(description.serving):  # each is right if the other is wrong
        text = f"the data of {' and '.join(moved)} agree only if one of them begins elsewhere than its superblock says"
        return replace(assembly, description=replace(description, withheld=description.withheld or text))
    changed = tuple(moved.get(member.path, member) for member in description.members)
    return replace(assembly, description=replace(description, members=changed), findings=tuple(findings))


def _moved(member: Member, data_offset: int) -> Member:
    reason = (
        f"its superblock says that its data begin at {format_offset(member.data_offset)}, which the redundancy of the "
        f"others disproves: by it they begin at {format_offset(data_offset)}"
    )
    return replace(member, data_offset=data_offset, new_data_offset=data_offset, contested=reason)


def _told(member: Member) -> Finding:
    return Finding(Severity.ERROR, member.path, f"{member.path}: {member.contested}; these are used as unproven")


def _unlike(description: ArrayDescription) -> Iterator[Member]:
    """Yield members whose offset is not that of most, and that the others are enough to rebuild."""
    if description.reshape is not None or not description.shape.redundancy or description.dispute is not None:
        return
    serving = description.serving
    offsets = Counter(member.data_offset for member in serving.values())
    ((usual, n_usual), *_) = offsets.most_common(1)
    for role, member in sorted(serving.items()):
        is_usual = member.data_offset == usual and 2 * n_usual > len(serving)
        if member.state is not State.IN_SYNC or is_usual or len(offsets) == 1:
            continue
        if is_enough(description.shape, serving.keys() - {role}):
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
