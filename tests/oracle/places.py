"""Where md puts each byte of an array without parity, and all copies of it, as the kernel computes it.

Source: `md-linear.c`, `raid0.c: create_strip_zones` and `map_sector`, `raid1.c`, `raid10.c: setup_geo`, `calc_sectors`
and `__raid10_find_phys`. Naive on purpose: one byte at a time, no tables. Bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

Place = tuple[int, int]
"""Role, component offset."""

ORIGINAL, ALTERNATE = 1, 2
"""Layout numbers of a RAID0 (`raid0.h`)."""


class Placement(Protocol):
    """An array whose bytes are only copied, or not even that."""

    @property
    def level(self) -> int:
        """Md's number."""

    @property
    def layout(self) -> int:
        """Md's number."""

    @property
    def chunk(self) -> int:
        """[bytes]."""

    @property
    def raid_disks(self) -> int:
        """Number of roles."""

    @property
    def size(self) -> int:
        """[array bytes]."""

    def places(self, array_offset: int) -> list[Place]:
        """All places of an array byte, in the order in which the kernel finds them."""

    def run(self, array_offset: int) -> int:
        """How many bytes from there on lie one after the other at each of their places."""


@dataclass(frozen=True)
class Linear:
    """Members one after the other.

    Attributes:
        sizes: by role [bytes]. chunk: to which they are rounded, 0: not at all.
    """

    sizes: tuple[int, ...]
    chunk: int = 0
    level: int = -1
    layout: int = 0

    @property
    def raid_disks(self) -> int:
        return len(self.sizes)

    @property
    def used(self) -> list[int]:
        return [size // self.chunk * self.chunk if self.chunk else size for size in self.sizes]

    @property
    def size(self) -> int:
        return sum(self.used)

    def places(self, array_offset: int) -> list[Place]:
        for role, size in enumerate(self.used):
            if array_offset < size:
                return [(role, array_offset)]
            array_offset -= size
        raise ValueError("behind the end of the array")

    def run(self, array_offset: int) -> int:
        ((role, offset),) = self.places(array_offset)
        return self.used[role] - offset


@dataclass(frozen=True)
class Striped:
    """A RAID0.

    Attributes:
        sizes: by role [bytes].
    """

    sizes: tuple[int, ...]
    chunk: int
    layout: int = ALTERNATE
    level: int = 0

    @property
    def raid_disks(self) -> int:
        return len(self.sizes)

    @property
    def used(self) -> list[int]:
        return [size // self.chunk * self.chunk for size in self.sizes]

    @property
    def size(self) -> int:
        return sum(self.used)

    def places(self, array_offset: int) -> list[Place]:
        begin = start = 0  # of the zone, on the array and on its members
        while True:
            roles = [role for role, size in enumerate(self.used) if size > start]
            stop = min(self.used[role] for role in roles)
            if array_offset < begin + (stop - start) * len(roles):
                break
            begin += (stop - start) * len(roles)
            start = stop
        inside = array_offset - begin
        counted = array_offset if self.layout == ORIGINAL else inside
        role = roles[counted // self.chunk % len(roles)]
        row = inside // (self.chunk * len(roles))
        return [(role, start + row * self.chunk + array_offset % self.chunk)]

    def run(self, array_offset: int) -> int:
        return self.chunk - array_offset % self.chunk


@dataclass(frozen=True)
class Mirrored:
    """A RAID1."""

    raid_disks: int
    size: int
    level: int = 1
    layout: int = 0
    chunk: int = 0

    def places(self, array_offset: int) -> list[Place]:
        return [(role, array_offset) for role in range(self.raid_disks)]

    def run(self, array_offset: int) -> int:
        return self.size - array_offset


@dataclass(frozen=True)
class Copies:
    """A RAID10.

    Attributes:
        layout: md's number: near copies, far copies << 8, offset << 16, far sets << 17.
        component_size: what every member gives [bytes].
    """

    layout: int
    raid_disks: int
    chunk: int
    component_size: int
    level: int = 10

    @property
    def near(self) -> int:
        return self.layout & 255

    @property
    def far(self) -> int:
        return self.layout >> 8 & 255

    @property
    def far_offset(self) -> bool:
        return bool(self.layout & 1 << 16)

    @property
    def far_set_size(self) -> int:
        return {0: self.raid_disks, 1: self.raid_disks // self.far, 2: self.far * self.near}[self.layout >> 17]

    @property
    def size(self) -> int:
        return self.component_size // self.chunk // self.far * self.raid_disks // self.near * self.chunk

    @property
    def stride(self) -> int:
        if self.far_offset:
            return self.chunk
        cells = self.size // self.chunk * self.near * self.far
        used = (cells + self.raid_disks - 1) // self.raid_disks
        return used // self.far * self.chunk

    def places(self, array_offset: int) -> list[Place]:
        last_far_set_start = (self.raid_disks // self.far_set_size - 1) * self.far_set_size
        last_far_set_size = self.far_set_size + self.raid_disks % self.far_set_size
        chunk, sector = divmod(array_offset, self.chunk)
        chunk *= self.near
        stripe, dev = divmod(chunk, self.raid_disks)
        if self.far_offset:
            stripe *= self.far
        sector += stripe * self.chunk
        found = []
        for _ in range(self.near):
            d = dev
            s = sector
            found.append((d, s))
            for _ in range(1, self.far):
                own_set = d // self.far_set_size
                d += self.near
                if self.raid_disks % self.far_set_size and d > last_far_set_start:
                    d -= last_far_set_start
                    d %= last_far_set_size
                    d += last_far_set_start
                else:
                    d %= self.far_set_size
                    d += self.far_set_size * own_set
                s += self.stride
                found.append((d, s))
            dev += 1
            if dev >= self.raid_disks:
                dev = 0
                sector += self.chunk
        return found

    def run(self, array_offset: int) -> int:
        return self.chunk - array_offset % self.chunk

    def survives(self, missing: Collection[int]) -> bool:
        """Whether every chunk has a copy on a member that is not missing."""
        chunks = range(0, 2 * self.raid_disks * self.chunk, self.chunk)
        return all(any(role not in missing for role, _ in self.places(at)) for at in chunks)
