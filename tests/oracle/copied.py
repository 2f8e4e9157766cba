"""Writes arrays without parity as md leaves them on their members; a RAID10 perhaps in the middle of a reshape.

All unused space holds random bytes, so that nothing is right by luck. What the user wrote behind the position of a
reshape lies at its new places only: the old ones keep what was there when it was moved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.oracle.labels import Label, Placement, device_size
from tests.oracle.places import Copies, Linear, Mirrored, Striped
from tests.oracle.ranges import Range, merged
from tests.oracle.superblock import superblock_offset

Array = Linear | Striped | Mirrored | Copies

RAID0_LAYOUT = 4096
"""Feature bit."""


@dataclass
class Written:
    """An array on its members.

    Attributes:
        array: its only geometry, or the old one. after: the new one.
        position, backwards: of the reshape [array bytes].
        data_offsets, new_data_offsets: by role [member bytes].
        component_sizes: by role [bytes].
        truth: its content now. images: by device number, which is the role but for replacements.
        features, device_flags: what superblocks declare besides, by device number.
        recovered_to: of replacements, by device number. replaces: role of each replacement, by device number.
    """

    array: Array
    data_offsets: list[int]
    new_data_offsets: list[int]
    component_sizes: list[int]
    truth: bytes
    images: list[bytearray]
    metadata: str = "1.2"
    after: Copies | None = None
    position: int = 0
    backwards: bool = False
    features: dict[int, int] = field(default_factory=dict)
    device_flags: dict[int, int] = field(default_factory=dict)
    recovered_to: dict[int, int] = field(default_factory=dict)
    replaces: dict[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """[array bytes]."""
        return min(self.array.size, self.after.size) if self.after else self.array.size

    def geometry_at(self, array_offset: int) -> tuple[Array, list[int]]:
        """The geometry in force at an array byte, and its data offsets."""
        if self.after is not None and (array_offset < self.position) != self.backwards:
            return self.after, self.new_data_offsets
        return self.array, self.data_offsets

    def move(self, position: int) -> None:
        """The reshape goes from its begin to a position, and takes what lies at the old places for the content."""
        assert self.after is not None
        where = range(position, self.size) if self.backwards else range(min(position, self.size))
        found = bytearray(self.size)
        at = where.start
        while at < where.stop:
            stop = min(at + self.array.run(at), where.stop)
            role, offset = self.array.places(at)[0]
            start = self.data_offsets[role] + offset
            found[at:stop] = self.images[role][start : start + stop - at]
            at = stop
        _fill(self, self.after, self.new_data_offsets, bytes(found), where)
        self.position = position

    def lost_without(self, roles: Collection[int]) -> list[Range]:
        """The array bytes of which no copy is left when the members of some roles are gone."""
        return merged(
            (start, stop)
            for start, stop, places, _ in self._runs(0, self.size)
            if all(role in roles for role, _ in places)
        )

    def add_replacement(self, role: int, recovered_to: int) -> None:
        """Add a device that was about to replace the member of a role, and has the beginning of its component."""
        offset = self.data_offsets[role]
        image = bytearray(Random(role).randbytes(len(self.images[role])))
        image[offset : offset + recovered_to] = self.images[role][offset : offset + recovered_to]
        number = len(self.images)
        self.images.append(image)
        self.features[number] = 16
        self.recovered_to[number] = recovered_to
        self.replaces[number] = role

    def save(self, directory: Path, *, without: Collection[int] = (), events: Sequence[int] = ()) -> list[Path]:
        """Write the images to `disk<device number>.img`, less those of some device numbers; return the paths.

        Args:
            directory: an existing folder.
            without: device numbers that are gone.
            events: counter of each superblock, by device number; by default all are alike.
        """
        paths = []
        for number, image in enumerate(self.images):
            if number in without:
                continue
            role = self.replaces.get(number, number)
            place = Placement(
                device_number=number,
                data_offset=self.data_offsets[role],
                new_data_offset=self.new_data_offsets[role],
                device_size=len(image),
                recovered_to=self.recovered_to.get(number),
                data_size=None if self._is_as_large_as_all else self.component_sizes[role],
                features=self.features.get(number, 0),
                device_flags=self.device_flags.get(number, 0),
            )
            stamped = bytearray(image)
            for offset, block in self._label(events[number] if events else 1).blocks(place):
                stamped[offset : offset + len(block)] = block
            paths.append(directory / f"disk{number}.img")
            paths[-1].write_bytes(stamped)
        return paths

    @property
    def _is_as_large_as_all(self) -> bool:
        return not isinstance(self.array, Linear | Striped)

    def _label(self, events: int) -> Label[Array]:
        roles = [*range(len(self.component_sizes)), *(self.replaces[number] for number in sorted(self.replaces))]
        return Label(
            metadata=self.metadata,
            geometry=self.array,
            component_size=self.component_sizes[0] if self._is_as_large_as_all else 0,
            device_roles=tuple(roles),
            after=self.after,
            position=self.position,
            backwards=self.backwards,
            events=events,
        )

    def _runs(self, start: int, stop: int) -> Iterable[tuple[int, int, list[Range], list[int]]]:
        """Start, stop, (role, component offset) of each copy, and the data offsets, of every run in [start, stop)."""
        while start < stop:
            geometry, offsets = self.geometry_at(start)
            end = min(start + geometry.run(start), stop)
            if start < self.position < end:
                end = self.position
            yield start, end, geometry.places(start), offsets
            start = end


def write_copied(
    array: Array,
    component_sizes: Sequence[int],
    *,
    after: Copies | None = None,
    position: int = 0,
    backwards: bool = False,
    data_offset: int = 65536,
    new_data_offset: int | None = None,
    metadata: str = "1.2",
    data: bytes | None = None,
    seed: int = 0,
) -> Written:
    """Write an array without parity.

    Args:
        array: its only geometry, or the old one.
        component_sizes: by role [bytes].
        after, position, backwards: of a RAID10's reshape.
        data_offset, new_data_offset: of all members [member bytes]; each lies further on than the one before.
        metadata: format of the superblocks.
        data: content of the array, before a reshape; random by default.
        seed: of all randomness.
    """
    random = Random(seed)
    n_roles = len(component_sizes)
    step = 0 if metadata == "0.90" else 512
    old = [data_offset + role * step for role in range(n_roles)]
    new = [(data_offset if new_data_offset is None else new_data_offset) + role * step for role in range(n_roles)]
    images = [
        bytearray(random.randbytes(_size_of_device(array, metadata, component_sizes[role], old[role], new[role])))
        for role in range(n_roles)
    ]
    written = Written(array, old, new, list(component_sizes), b"", images, metadata, after, position, backwards)
    then = random.randbytes(array.size) if data is None else data
    _fill(written, array, old, then, range(array.size))
    now = bytearray(then[: written.size])
    if after is not None:
        behind = range(position, written.size) if backwards else range(min(position, written.size))
        now[behind.start : behind.stop] = random.randbytes(len(behind))
        _fill(written, after, new, bytes(now), behind)
    differ = isinstance(array, Striped) and len({size // array.chunk for size in component_sizes}) > 1
    if isinstance(array, Striped) and array.layout and metadata != "0.90" and differ:  # super1.c: write_init_super1
        written.features |= dict.fromkeys(range(n_roles), RAID0_LAYOUT)
    written.truth = bytes(now)
    return written


def _size_of_device(array: Array, metadata: str, component_size: int, *offsets: int) -> int:
    """Room for the data; a RAID0 or linear array of 0.90 takes all up to the superblock."""
    if metadata != "0.90" or not isinstance(array, Linear | Striped):
        return device_size(component_size, *offsets)
    size = component_size + 65536
    if superblock_offset("0.90", size) != component_size:
        raise ValueError(f"no device of {size} bytes has its superblock at {component_size}")
    return size


def _fill(written: Written, geometry: Array, offsets: Sequence[int], content: bytes, where: range) -> None:
    """Write a part of the content to all its places in one geometry."""
    at = where.start
    while at < where.stop:
        stop = min(at + geometry.run(at), where.stop)
        for role, component_offset in geometry.places(at):
            start = offsets[role] + component_offset
            written.images[role][start : start + stop - at] = content[at:stop]
        at = stop
