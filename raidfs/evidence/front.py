"""How far a reshape can have come: a bound from the old copies that it would have overwritten first.

A reshape with moved data offsets leaves, just behind the recorded position, data that are held twice: at the new place,
and still at the old one. The next rows that it writes destroy exactly these old copies, in order:

    old rows on a member      |.. gone ..|== copies of what lies behind the position ==|-- old data ahead of it --|
    next new rows                        |-> -> -> -> -> -> -> -> -> -> -> -> -> -> -> |

So an old copy that is still equal to its new one proves that the reshape has not come there. Where enough of them are
whole, nothing ahead of the position can have been overwritten, whatever the kernel did not record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from raidfs.array.description import ArrayDescription, Direction, Reshape
from raidfs.block import BlockSource, read_exact
from raidfs.geometry.geometry import zone_of
from raidfs.units import align_down, align_up

_PAGE = 4096
"""The kernel's unit: one stripe of its cache is a page high."""
_IN_FLIGHT = 1 << 20
"""Rows that the kernel may write in any order (stripe cache: 256 pages by default) [component bytes]."""
_ENOUGH = 4
"""Pages whose copies are equal prove together; and no pair before them may differ.

Each must be found only once behind the position: of content that repeats itself, what would be written there could look
the same. And they must come from more than one chunk.
"""
_READ_AT_ONCE = 1 << 20
_LOOKED_AT = 8 << 20
"""Rows ahead of the position that are looked at [component bytes]."""


def bound_front(
    description: ArrayDescription, images: Mapping[int, BlockSource], array: BlockSource
) -> ArrayDescription:
    """Bound how far the reshape came, where the recorded position alone leaves it open.

    Args:
        description: the array.
        images: by role, of the members that serve.
        array: the array as described; only bytes behind the recorded position are read, which are sure.

    Returns:
        The description, with `Reshape.limit` set where the data prove it.
    """
    reshape = description.reshape
    if reshape is None:
        return description
    limit = _proven_limit(description, reshape, images, array)
    if limit is None:
        return description
    return replace(description, reshape=replace(reshape, limit=limit))


def _proven_limit(
    description: ArrayDescription, reshape: Reshape, images: Mapping[int, BlockSource], array: BlockSource
) -> int | None:
    """Return how far the reshape can have come at most [array bytes], or None where nothing is proven."""
    before = zone_of(reshape.before, description.component_size)
    pages: dict[bytes, int] = {}
    chunks: set[int] = set()
    known = _pages_behind(description, reshape, array)
    for role, old_row, new_row in _overwritten_next(description, reshape):
        array_offset = before.locate_inverse(role, old_row)
        if not _is_behind(description, reshape, array_offset):
            continue
        old = _page(images[role], description.serving[role].data_offset + old_row)
        new = _page(array, array_offset)
        if old is None or new is None or len(set(new)) <= 2:
            continue  # a page of one or two byte values is found in too many places to prove anything
        if old != new:
            return None
        if known[new] == 1:
            pages[new] = new_row
            chunks.add(array_offset // reshape.before.chunk_size)
        if len(pages) >= _ENOUGH and len(chunks) > 1:
            return _limit(reshape, pages.values())
    return None


def _pages_behind(description: ArrayDescription, reshape: Reshape, array: BlockSource) -> Counter[bytes]:
    """Count the pages on the side of the position that is in the new geometry, as far as they can be of interest."""
    span = 2 * _LOOKED_AT * reshape.after.n_data
    position = min(reshape.position, description.size)
    if reshape.direction is Direction.FORWARD:
        start, stop = max(0, position - span), position
    else:
        start, stop = position, min(description.size, position + span)
    found: Counter[bytes] = Counter()
    for at in range(start, stop, _READ_AT_ONCE):
        data, lost = read_exact(array, at, min(_READ_AT_ONCE, stop - at))
        whole = (
            offset for offset in range(0, len(data) - _PAGE + 1, _PAGE) if not lost.overlaps(offset, offset + _PAGE)
        )
        found.update(data[offset : offset + _PAGE] for offset in whole)
    return found


def _limit(reshape: Reshape, rows: Iterable[int]) -> int:
    """Return how far the reshape can have come [array bytes], given rows that it has not written.

    It writes in order, but for what is in flight: the first of these rows bounds it, the others confirm that.
    """
    step = max(reshape.before.chunk_size, reshape.after.chunk_size) * reshape.after.n_data
    if reshape.direction is Direction.FORWARD:
        return align_up((min(rows) + _PAGE + _IN_FLIGHT) * reshape.after.n_data, step)
    return align_down(max(0, max(rows) - _IN_FLIGHT) * reshape.after.n_data, step)


def _overwritten_next(description: ArrayDescription, reshape: Reshape) -> Iterator[tuple[int, int, int]]:
    """Yield (role, old row, new row) of the pages that the reshape would overwrite next, in its order.

    Rows are component offsets: of the page in the old geometry, and of what would be written there in the new one.
    """
    forward = reshape.direction is Direction.FORWARD
    front = reshape.position // reshape.after.n_data
    serving = description.serving
    roles = [role for role in serving if role < min(reshape.before.raid_disks, reshape.after.raid_disks)]
    shifts = {role: serving[role].new_data_offset - serving[role].data_offset for role in roles}
    room = min((abs(shift) for shift in shifts.values()), default=0)
    for number in range(min(room, _LOOKED_AT) // _PAGE):
        new_row = front + number * _PAGE if forward else front - (number + 1) * _PAGE
        for role in roles:
            yield role, new_row + shifts[role], new_row


def _is_behind(description: ArrayDescription, reshape: Reshape, array_offset: int) -> bool:
    """Tell whether a page of data lies behind the position, in the new geometry."""
    if reshape.direction is Direction.FORWARD:
        return 0 <= array_offset <= min(reshape.position, description.size) - _PAGE
    return reshape.position <= array_offset <= description.size - _PAGE


def _page(source: BlockSource, offset: int) -> bytes | None:
    """Read one page; None: it is not wholly there."""
    if not 0 <= offset <= source.size - _PAGE:
        return None
    data, lost = read_exact(source, offset, _PAGE)
    return None if lost else data
