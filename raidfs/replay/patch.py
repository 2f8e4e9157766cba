"""The values of this package: patches to components, and components to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents
from raidfs.linear import Piece


@dataclass(frozen=True, eq=False)
class Patch:
    """Bytes that md would write to the member of a role.

    Attributes:
        role: of the member.
        piece: the bytes; its start counts component bytes.
    """

    role: int
    piece: Piece


@dataclass(frozen=True, eq=False)
class Component:
    """The data of one member, for reading.

    Attributes:
        source: the member.
        data_offset: where byte 0 of the component lies [bytes of the source].
        gone: what is not to be believed [component bytes].
    """

    source: BlockSource
    data_offset: int
    gone: Extents = Extents()

    def read(self, start: int, stop: int) -> tuple[NDArray[np.uint8], Extents]:
        """Read [start, stop) [component bytes].

        Returns:
            uint8 (stop - start,), and the parts of it that are not data.

        Raises:
            SourceError: the source is gone.
        """
        size = max(0, min(stop, self.source.size - self.data_offset) - start)
        raw, lost = read_exact(self.source, self.data_offset + start, size)
        data = np.zeros(stop - start, dtype=np.uint8)
        data[:size] = np.frombuffer(raw, dtype=np.uint8)
        return data, lost.union(self.gone.clip(start, stop).shift(-start), Extents.span(size, stop - start))


def components_of(description: ArrayDescription, sources: Mapping[str, BlockSource]) -> dict[int, Component]:
    """Return the components of an array without a reshape, by role: of members whose data are as good as any.

    Args:
        description: the array.
        sources: by path of the member.
    """
    found = {}
    for role, member in description.serving.items():
        if member.state is State.DAMAGED:
            continue
        found[role] = Component(sources[member.path], member.data_offset, _gone(description, member))
    return found


def _gone(description: ArrayDescription, member: Member) -> Extents:
    """Return what a member says that it does not hold [component bytes]."""
    bad = member.bad_blocks.shift(-member.data_offset)
    if member.recovered_to is None:
        return bad
    return bad.union(Extents.span(member.recovered_to, description.component_size))


def by_role(patches: Iterable[Patch]) -> dict[int, list[Piece]]:
    """Return the pieces of patches by role [component bytes]."""
    found: dict[int, list[Piece]] = {}
    for patch in patches:
        found.setdefault(patch.role, []).append(patch.piece)
    return found


def moved(pieces: Iterable[Piece], by: int) -> list[Piece]:
    """Return pieces with `by` added to where they belong."""
    return [Piece(piece.start + by, piece.length, piece.source, piece.place) for piece in pieces]
