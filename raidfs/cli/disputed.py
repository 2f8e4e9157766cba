"""What two readings of an array agree on: members that left tell one, those that stayed the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from raidfs.array.assemble import Assembly
from raidfs.array.description import ArrayDescription
from raidfs.array.strays import stride_of
from raidfs.block import BlockSource, one_request
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.geometry.disputed import places_of_strays
from raidfs.geometry.geometry import zone_of
from raidfs.units import format_size

if TYPE_CHECKING:
    from raidfs.engine.array_source import ArraySource

_PAGE = 4096
"""What is compared as a whole [bytes]."""
_WINDOW = 4 << 20
"""Array bytes that are read together."""
MOST = 16 << 30
"""Array bytes that are compared at most: it takes as long as reading them, before anything else can be done."""
_UNIT = 64 << 10
"""The kernel moves at least this much of a chunk at once (`raid10.c: reshape_request`) [bytes]."""


def settled(assembly: Assembly, members: Mapping[str, BlockSource], patience: float) -> Assembly:
    """Read an array in both ways that its members tell, and note what is the same in both.

    Args:
        assembly: the array.
        members: by path.
        patience: seconds that a member may take to answer.

    Raises:
        SourceError: a source is gone.
    """
    description, rival = assembly.description, assembly.rival
    if rival is None or description.dispute is None:
        return assembly
    rival = replace(rival, members=tuple(member for member in rival.members if member.past is None))
    with ExitStack() as stack:

        def opened(of: ArrayDescription) -> ArraySource:
            from raidfs.engine.array_source import ArraySource

            sources = [(member, members[member.path]) for member in of.sources]
            policy = Policy(doubtful=True)
            return stack.enter_context(closing(ArraySource(of, sources, policy, watch=False, patience=patience)))

        seen = Extents(list(_strays_seen(description, members, opened(description))))
        strays = description.strays and replace(description.strays, seen=seen)
        description = replace(description, strays=strays)
        size = min(MOST, description.size, rival.size)
        plain = description if strays else replace(description, dispute=None)
        agreed = _agreed(opened(plain), opened(rival), size)
    agreed = agreed.difference(strays.overrun) if strays else agreed
    dispute = description.dispute and replace(description.dispute, agreed=agreed)
    told = [*assembly.findings, *_told(description, agreed, size)]
    return replace(assembly, description=replace(description, dispute=dispute), findings=tuple(told))


def with_positions_compared(
    description: ArrayDescription, members: Mapping[str, BlockSource], patience: float
) -> ArrayDescription:
    """Read what lies between positions that members of equal events record in both geometries, and keep what differs.

    Args:
        description: the array.
        members: by path.
        patience: seconds that a member may take to answer.

    Raises:
        SourceError: a source is gone.
    """
    reshape = description.reshape
    if reshape is None or not reshape.disputed:
        return description
    plain = replace(reshape, disputed=Extents(), front=None)
    low, high = int(reshape.disputed.array[0, 0]), int(reshape.disputed.array[-1, 1])
    other = low if reshape.direction.is_forward else high
    readings = [replace(description, reshape=replace(plain, position=at)) for at in (reshape.position, other)]
    with ExitStack() as stack:
        from raidfs.engine.array_source import ArraySource

        mine, others = (
            stack.enter_context(
                closing(
                    ArraySource(
                        each,
                        [(member, members[member.path]) for member in each.sources],
                        Policy(doubtful=True),
                        watch=False,
                        patience=patience,
                    )
                )
            )
            for each in readings
        )
        start = low // _PAGE * _PAGE
        agreed = _agreed(mine, others, min(high, start + MOST, description.size), start)
    return replace(description, reshape=replace(reshape, disputed=reshape.disputed.difference(agreed)))


def _told(description: ArrayDescription, agreed: Extents, compared: int) -> Iterator[Finding]:
    sides = "members that left and members that stayed" if description.strays else "both sides"
    text = f"{sides} agree on {format_size(agreed.total)} of the array: these are sure"
    yield Finding(Severity.NOTE, "array", text)
    if compared < description.size:
        worth = "unproven" if description.dispute and description.dispute.likely else "doubtful"
        text = f"only the first {format_size(compared)} of the array were compared; the rest is {worth}"
        yield Finding(Severity.WARNING, "array", text)


def _agreed(mine: BlockSource, others: BlockSource, end: int, begin: int = 0) -> Extents:
    """Return where two sources hold the same, page by page, from `begin` to `end`."""
    ranges = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(begin, end, _WINDOW):
        n = min(_WINDOW, end - start)
        held, is_held = _read(mine, start, n)
        other, is_there = _read(others, start, n)
        same = (
            (held == other).reshape(-1, _PAGE).all(axis=1)
            if n % _PAGE == 0
            else np.array([bool((held == other).all())])
        )
        page = n // len(same)
        known = (is_held & is_there).reshape(-1, page).all(axis=1)
        pages = np.flatnonzero(same & known) * page + start
        ranges.append(np.stack((pages, pages + page), axis=1))
    return Extents(np.concatenate(ranges))


def _read(source: BlockSource, start: int, n: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read [start, start + n); returns uint8 (n,), and bool (n,): what is there."""
    content, there = np.zeros(n, dtype=np.uint8), np.ones(n, dtype=np.bool_)
    for low, high in source.read_into(one_request(start, n), content):
        there[low:high] = False
    return content, there


def _strays_seen(
    description: ArrayDescription, members: Mapping[str, BlockSource], array: BlockSource
) -> Iterator[tuple[int, int]]:
    """Yield array bytes whose copies are found where strays go, over old data: unlike what lies there by chance."""
    reshape, strays = description.reshape, description.strays
    if reshape is None or strays is None or not strays.overrun:
        return
    zone = zone_of(reshape.after, description.component_size)
    stride = stride_of(reshape.before, description.component_size)
    moves = {member.data_offset - member.new_data_offset for member in description.serving.values()}
    reach = max(moves, default=0) // zone.chunk_size // zone.table.rows_per_period * zone.table.period
    unit = min(_UNIT, zone.chunk_size)
    for start in range(0, min(reach * zone.stripe_size, MOST, description.size), unit):
        content, there = _read(array, start, unit)
        if not there.all() or _is_filled(content):
            continue
        ((role, place),) = places_of_strays(zone, Extents.span(start, start + unit), stride).items()
        for member in (each for each in description.sources if each.role == role):
            (low, _), *_ = place.shift(member.new_data_offset)
            source = members[member.path]
            held, is_held = _read(source, low, unit) if low + unit <= source.size else (content[:0], there)
            if is_held.all() and np.array_equal(held, content):
                yield start, start + unit


def _is_filled(content: NDArray[np.uint8]) -> bool:
    """Tell whether nothing in it tells one place from another: every page repeats its first 64 bytes."""
    pages = content.reshape(-1, 64, 64) if len(content) % _PAGE == 0 else content.reshape(1, -1, 64)
    return bool((pages == pages[:, :1]).all())
