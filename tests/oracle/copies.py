"""Where md puts each byte of linear arrays, RAID0, RAID1 and RAID10, as the kernel computes it.

Source: `raid10.c: __raid10_find_phys, setup_geo`, `raid0.c: create_strip_zones, map_sector`, `md-linear.c`. Naive on
purpose: one chunk at a time, no tables. Bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[int, int]
"""Role, component offset [bytes]."""


@dataclass(frozen=True)
class Raid10:
    """A RAID10.

    Attributes:
        layout: md's number. raid_disks: number of roles. chunk: [bytes]. component_size: of every member [bytes].
    """

    layout: int
    raid_disks: int
    chunk: int
    component_size: int

    @property
    def near(self) -> int:
        """Copies beside each other."""
        return self.layout & 255

    @property
    def far(self) -> int:
        """Copies further down."""
        return self.layout >> 8 & 255

    @property
    def is_offset(self) -> bool:
        """Whether those lie a chunk further down only."""
        return bool(self.layout & 1 << 16)

    @property
    def far_set_size(self) -> int:
        """Members among which far copies go round."""
        return {0: self.raid_disks, 1: self.raid_disks // self.far, 2: self.far * self.near}[self.layout >> 17]

    @property
    def n_chunks(self) -> int:
        """Data chunks of the array."""
        return self.component_size // self.chunk // self.far * self.raid_disks // self.near

    @property
    def stride(self) -> int:
        """Distance of far copies [component bytes]."""
        if self.is_offset:
            return self.chunk
        used = -(-self.n_chunks * self.near * self.far // self.raid_disks)
        return used // self.far * self.chunk

    def copies(self, chunk: int) -> list[Place]:
        """All places of the first byte of a data chunk, the kernel's first one first."""
        n, size = self.raid_disks, self.far_set_size
        last_far_set_start = (n // size - 1) * size
        last_far_set_size = size + n % size
        row, dev = divmod(chunk * self.near, n)
        if self.is_offset:
            row *= self.far
        sector = row * self.chunk
        found = []
        for _ in range(self.near):
            d, s = dev, sector
            found.append((d, s))
            for _ in range(1, self.far):
                own_set = d // size
                d += self.near
                if n % size and d > last_far_set_start:
                    d = (d - last_far_set_start) % last_far_set_size + last_far_set_start
                else:
                    d = d % size + size * own_set
                s += self.stride
                found.append((d, s))
            dev += 1
            if dev >= n:
                dev = 0
                sector += self.chunk
        return found

    def survives(self, missing: Sequence[int]) -> bool:
        """Whether every chunk has a copy on a member that is not missing."""
        return all(any(role not in missing for role, _ in self.copies(c)) for c in range(2 * self.raid_disks))


def striped(sizes: Sequence[int], chunk: int, layout: int, array_offset: int) -> Place:
    """Where a byte of a RAID0 lies.

    Args:
        sizes: of each member [bytes]. chunk: [bytes]. layout: 1 original, 2 alternate. array_offset: [array bytes].
    """
    rounded = [size // chunk * chunk for size in sizes]
    begin, low = 0, 0
    for high in sorted(set(rounded)):
        devices = [role for role, size in enumerate(rounded) if size > low]
        length = (high - low) * len(devices)
        if array_offset < begin + length:
            inside = array_offset - begin
            counted = array_offset if layout == 1 else inside
            device = devices[counted // chunk % len(devices)]
            return device, low + inside // (chunk * len(devices)) * chunk + array_offset % chunk
        begin, low = begin + length, high
    raise ValueError("behind the end of the array")


def concatenated(sizes: Sequence[int], rounding: int, array_offset: int) -> Place:
    """Where a byte of a linear array lies; `rounding`: members are rounded down to it [bytes], 0: not at all."""
    rest = array_offset
    for role, size in enumerate(sizes):
        used = size // rounding * rounding if rounding else size
        if rest < used:
            return role, rest
        rest -= used
    raise ValueError("behind the end of the array")
