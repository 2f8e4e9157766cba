"""Reads an array from its members by the plain definition: each byte where the layout says it is, else by the checks.

Chunk by chunk: a piece whose own cell is valid is a slice of its member; any other piece is cut wherever the validity
of a cell of its stripe changes, and computed there if the remaining valid cells determine it, else lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.oracle.layouts import Geometry, Stripe
from tests.oracle.parity import combine, recipes
from tests.oracle.ranges import Range, contains, difference, intersection, merged, shifted

Image = Path | bytes | bytearray


@dataclass(frozen=True)
class Member:
    """One member of the array.

    Attributes:
        role: its role. image: its content.
        data_offset, new_data_offset: of the old and of the new geometry [member bytes].
        recovered_to: valid below this [bytes from the data offset in force]; None: everywhere. During a reshape such a
            member holds nothing of the old geometry.
        invalid: ranges whose content is not to be used [member bytes].
    """

    role: int
    image: Image
    data_offset: int
    new_data_offset: int
    recovered_to: int | None = None
    invalid: tuple[Range, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.image.stat().st_size if isinstance(self.image, Path) else len(self.image)


@dataclass(frozen=True)
class Array:
    """An array as it stands.

    Attributes:
        geometry: its only one, or the old one. component_size: of every member [bytes]. members: those present.
        after: the new geometry of a reshape. position: of the reshape [array bytes]. backwards: its direction.
    """

    geometry: Geometry
    component_size: int
    members: tuple[Member, ...]
    after: Geometry | None = None
    position: int = 0
    backwards: bool = False

    @property
    def used_size(self) -> int:
        """Bytes of each member that hold whole chunks of both geometries."""
        chunks = [self.geometry.chunk] + ([self.after.chunk] if self.after else [])
        return min(self.component_size // chunk * chunk for chunk in chunks)

    @property
    def size(self) -> int:
        """Array bytes: what both geometries can hold."""
        sizes = [g.capacity(self.used_size) for g in (self.geometry, self.after) if g]
        return min(sizes)

    def sections(self, start: int, stop: int) -> Iterator[tuple[int, int, Geometry, bool]]:
        """Cut [start, stop) at the position: start, stop, the geometry in force, whether it is the new one."""
        if self.after is None:
            yield start, stop, self.geometry, False
            return
        cut = min(max(start, self.position), stop)
        for low, high, new in ((start, cut, not self.backwards), (cut, stop, self.backwards)):
            if low < high:
                yield low, high, self.after if new else self.geometry, new

    def valid(self, member: Member, *, new: bool) -> list[Range]:
        """The component bytes of a member that hold their part of the old or the new geometry."""
        limit = self.used_size
        if member.recovered_to is not None:
            limit = 0 if self.after and not new else min(limit, member.recovered_to)
        offset = member.new_data_offset if new else member.data_offset
        present = difference([(0, member.size)], member.invalid)
        return intersection([(0, limit)], shifted(present, -offset))


Pread = Callable[[int, int], bytes]


@dataclass(frozen=True)
class _Side:
    """One geometry over the open members: how to read each role's component bytes, and which of them are valid."""

    geometry: Geometry
    pread: dict[int, Pread]
    valid: dict[int, list[Range]]

    def known(self, stripe: Stripe, start: int, stop: int) -> frozenset[int]:
        roles = {*stripe.data, stripe.p, stripe.q} & self.valid.keys()
        return frozenset(role for role in roles if role is not None and contains(self.valid[role], start, stop))

    def edges(self, stripe: Stripe, start: int, stop: int) -> list[int]:
        """Where, from start to stop, the validity of some cell of the stripe may change."""
        found = {start, stop}
        for role in {*stripe.data, stripe.p, stripe.q} & self.valid.keys():
            found.update(edge for pair in self.valid[role or 0] for edge in pair if start < edge < stop)
        return sorted(found)


def read(array: Array, start: int = 0, stop: int | None = None) -> tuple[bytes, list[Range]]:
    """Read array bytes.

    Args:
        array: what to read.
        start: first byte [array bytes].
        stop: end [array bytes]; of the array by default.

    Returns:
        The bytes, lost ones zero; and the lost ranges [array bytes].
    """
    stop = array.size if stop is None else stop
    pieces: list[bytes] = []
    lost: list[Range] = []
    with ExitStack() as stack:
        open_members = [(member, _open(member.image, stack)) for member in array.members]
        for low, high, geometry, new in array.sections(start, stop):
            side = _side(array, geometry, open_members, new=new)
            for row, k, a, b in _chunks(geometry, low, high):
                _read_piece(side, row, k, a, b, pieces, lost)
    return b"".join(pieces), merged(lost)


def _open(image: Image, stack: ExitStack) -> Pread:
    if isinstance(image, Path):
        handle = os.open(image, os.O_RDONLY)
        stack.callback(os.close, handle)
        return lambda offset, length: os.pread(handle, length, offset)
    view = memoryview(image)
    return lambda offset, length: bytes(view[offset : offset + length])


def _side(array: Array, geometry: Geometry, members: list[tuple[Member, Pread]], *, new: bool) -> _Side:
    pread: dict[int, Pread] = {}
    valid = {}
    for member, raw in members:
        offset = member.new_data_offset if new else member.data_offset
        pread[member.role] = _moved(raw, offset)
        valid[member.role] = array.valid(member, new=new)
    return _Side(geometry, pread, valid)


def _moved(raw: Pread, by: int) -> Pread:
    return lambda offset, length: raw(offset + by, length)


def _chunks(geometry: Geometry, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Row, index in the stripe, and array range of each piece of a chunk in [start, stop)."""
    while start < stop:
        number = start // geometry.chunk
        end = min(stop, (number + 1) * geometry.chunk)
        yield number // geometry.data_disks, number % geometry.data_disks, start, end
        start = end


def _read_piece(side: _Side, row: int, k: int, start: int, stop: int, pieces: list[bytes], lost: list[Range]) -> None:
    chunk = side.geometry.chunk
    stripe = side.geometry.stripe(row)
    role = stripe.data[k]
    to_array = start - (row * chunk + start % chunk)  # component offset + to_array = array offset
    if contains(side.valid.get(role, []), start - to_array, stop - to_array):
        pieces.append(side.pread[role](start - to_array, stop - start))
        return
    edges = side.edges(stripe, start - to_array, stop - to_array)
    for a, b in pairwise(edges):
        known = side.known(stripe, a, b)
        recipe = recipes(stripe, known).get(role)
        if role in known:
            pieces.append(side.pread[role](a, b - a))
        elif recipe is not None:
            cells = {source: side.pread[source](a, b - a) for source in recipe}
            pieces.append(combine(recipe, cells, b - a))
        else:
            pieces.append(bytes(b - a))
            lost.append((a + to_array, b + to_array))
