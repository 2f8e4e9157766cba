"""From shapes to zones: how much of the array each table rules.

Levels differ here and in the builders of tables, and nowhere behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raidfs.array.shape import Level, Shape
from raidfs.errors import GeometryError
from raidfs.geometry.copies import copies_table, mirror_table, region_size_of
from raidfs.geometry.parity import parity_table
from raidfs.geometry.plain import linear_zones, striped_zones
from raidfs.geometry.zone import Zone


def zones_of(shape: Shape, component_sizes: Sequence[int]) -> tuple[Zone, ...]:
    """Return the zones of a shape, ascending; together they cover the array without gaps.

    Args:
        shape: of the array.
        component_sizes: by role [bytes]; only linear arrays and RAID0 use what one member has more than others.

    Raises:
        GeometryError: the layout is impossible, or not even one stripe fits.
    """
    if shape.array_size(component_sizes) < max(shape.stripe_size, 1):
        raise GeometryError(
            f"a component of {min(component_sizes)} bytes does not hold one chunk of {shape.chunk_size} bytes; "
            "the superblock's size or chunk is wrong"
        )
    return _ZONES[shape.level](shape, component_sizes)


def zone_of(shape: Shape, component_size: int) -> Zone:
    """Return the one zone of an array whose members all give the same.

    Raises:
        GeometryError: see `zones_of`.
    """
    (zone,) = zones_of(shape, [component_size] * shape.raid_disks)
    return zone


def _parity_zones(shape: Shape, component_sizes: Sequence[int]) -> tuple[Zone, ...]:
    return (Zone(0, shape.array_size(component_sizes), 0, shape.chunk_size, 0, parity_table(shape)),)


def _mirror_zones(shape: Shape, component_sizes: Sequence[int]) -> tuple[Zone, ...]:
    size = shape.array_size(component_sizes)
    return (Zone(0, size, 0, size, 0, mirror_table(shape.raid_disks)),)


def _copies_zones(shape: Shape, component_sizes: Sequence[int]) -> tuple[Zone, ...]:
    region_size = region_size_of(shape, min(component_sizes))
    return (Zone(0, shape.array_size(component_sizes), 0, shape.chunk_size, region_size, copies_table(shape)),)


_ZONES: dict[Level, Callable[[Shape, Sequence[int]], tuple[Zone, ...]]] = {
    Level.LINEAR: linear_zones,
    Level.RAID0: striped_zones,
    Level.RAID1: _mirror_zones,
    Level.RAID4: _parity_zones,
    Level.RAID5: _parity_zones,
    Level.RAID6: _parity_zones,
    Level.RAID10: _copies_zones,
}
