"""Duplicates that look like the work of a reshape: files copied just as far as it moves pages, equal pages in a stripe.

The pages of a chunk are all moved by one distance. So of a file that was copied over this distance a whole chunk looks
as if it had been moved already, or had not been overwritten yet. And two equal pages in a stripe that holds nothing
else look like a page and its parity.
"""

from __future__ import annotations

from random import Random

from tests.oracle.at_risk import Reshape
from tests.oracle.layouts import Geometry

PAGE = 4096
_TRIES = 40


def with_duplicates(random: Random, content: bytes, reshape: Reshape) -> bytes:
    """Put some duplicates into a content of the old geometry."""
    pages = [content[start : start + PAGE] for start in range(0, len(content), PAGE)]
    for _ in range(random.choice([1, 1, 2, 3])):
        random.choice([_copy_as_moved, _copy_as_moved, _copy_anywhere, _put_pair])(random, pages, reshape)
    return b"".join(pages)[: len(content)]


def _copy_as_moved(random: Random, pages: list[bytes], reshape: Reshape) -> None:
    """Copy a file over a distance over which the reshape moves pages, to where it does that."""
    found = _moved(random, reshape)
    if found is not None:
        whole = min(reshape.before.chunk, reshape.after.chunk) // PAGE
        lead = random.choice([0, 0, random.randrange(whole)])
        length = random.choice([4, whole, whole, 2 * whole, random.randrange(1, 100)])
        _copy(random, pages, found[0] - lead, found[1] - lead, length)


def _copy_anywhere(random: Random, pages: list[bytes], reshape: Reshape) -> None:
    """Copy a file, over any distance or one over which the reshape moves pages."""
    found = _moved(random, reshape)
    distance = found[1] - found[0] if found and random.random() < 0.5 else random.randrange(1, 200)
    start = random.randrange(len(pages))
    _copy(random, pages, start, start + distance, random.randrange(1, 100))


def _copy(random: Random, pages: list[bytes], here: int, there: int, length: int) -> None:
    """Put one file at two places, as far as they do not overlap."""
    for number in range(min(length, abs(there - here))):
        if 0 <= here + number < len(pages) and 0 <= there + number < len(pages):
            pages[here + number] = pages[there + number] = random.randbytes(PAGE)


def _put_pair(random: Random, pages: list[bytes], reshape: Reshape) -> None:
    """Put a file into a stripe twice, side by side; its other chunks are empty there."""
    geometry = random.choice([reshape.before, reshape.after])
    height, width = geometry.chunk // PAGE, geometry.data_disks
    first = random.randrange(reshape.used_size // geometry.chunk) * height * width
    start = random.choice([0, random.randrange(height)])
    chosen = random.sample(range(width), min(2, width))
    for inside in range(start, min(height, start + random.choice([4, height, random.randrange(1, 20)]))):
        page = random.randbytes(PAGE)
        for column in range(width):
            number = first + column * height + inside
            if number < len(pages):
                pages[number] = page if column in chosen else bytes(PAGE)


def _moved(random: Random, reshape: Reshape) -> tuple[int, int] | None:
    """Return the pages of some place: the one that it holds, and the one that the reshape puts there."""
    common = min(reshape.before.raid_disks, reshape.after.raid_disks)
    for _ in range(_TRIES):
        role, row = random.randrange(common), random.randrange(reshape.used_size // PAGE)
        chunk = min(reshape.before.chunk, reshape.after.chunk) // PAGE
        row = random.choice([row, row // chunk * chunk])
        old, new = reshape.offsets[role]
        held, put = _page(reshape.before, role, row + (new - old) // PAGE), _page(reshape.after, role, row)
        if held is not None and put is not None and held != put:
            return held, put
    return None


def _page(geometry: Geometry, role: int, row: int) -> int | None:
    """Return the page of the array that a role holds in a page row; None: none."""
    stripe, inside = divmod(row, geometry.chunk // PAGE)
    data = geometry.stripe(stripe).data if row >= 0 else ()
    height = geometry.chunk // PAGE
    return (stripe * len(data) + data.index(role)) * height + inside if role in data else None
