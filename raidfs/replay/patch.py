"""The values of this package: patches to components, and components to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription, Member, State
from raidfs.block import BlockSource, read_exact
from raidfs.extents import Extents


@dataclass(frozen=True)
class Patch:
    """Bytes that md would write to the member of a role.

    Attributes:
        role: of the member.
        start: [component bytes].
        data: the bytes.
    """

    role: int
    start: int
    data: bytes

    @property
    def stop(self) -> int:
        """Where it ends [component bytes]."""
        return self.start + len(self.data)


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


def of_members(
    patches: Iterable[Patch], description: ArrayDescription
) -> tuple[dict[str, list[tuple[int, bytes]]], list[Patch]]:
    """Lay patches out over the members that serve.

    Returns:
        (offset [member bytes], bytes) by path; and those for roles that no member serves.
    """
    serving = description.serving
    found: dict[str, list[tuple[int, bytes]]] = {}
    homeless = []
    for patch in patches:
        member = serving.get(patch.role)
        if member is None:
            homeless.append(patch)
        else:
            found.setdefault(member.path, []).append((member.data_offset + patch.start, patch.data))
    return found, homeless
