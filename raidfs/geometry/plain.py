"""Zones of RAID0 and linear arrays, whose members may differ in size: nothing is held twice.

    RAID0, members of 3, 5 and 5 chunks          linear
    role   0   1   2                             role  0: bytes [0, a)   1: [a, b)   2: [b, c)
         C0  C1  C2     zone 0: all members
         C3  C4  C5
         C6  C7  C8
             C9  C10    zone 1: those that are longer
             C11 C12

Source: `raid0.c: create_strip_zones, map_sector`. In further zones kernels before 3.14 began the rotation where
counting from the start of the array leads (layout *original*), later ones anew in each zone (*alternate*).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raidfs.array.shape import Shape
from raidfs.geometry.table import RowTable
from raidfs.geometry.zone import Zone

ALTERNATE = "alternate"


def linear_zones(shape: Shape, component_sizes: Sequence[int]) -> tuple[Zone, ...]:
    """Return one zone for each member.

    Args:
        shape: of the array.
        component_sizes: by role [bytes].
    """
    zones, start = [], 0
    for role, whole in enumerate(component_sizes):
        size = whole - whole % max(shape.chunk_size, 1)
        if size:
            zones.append(Zone(start, start + size, 0, size, 0, _striped([[role]])))
        start += size
    return tuple(zones)


def striped_zones(shape: Shape, component_sizes: Sequence[int]) -> tuple[Zone, ...]:
    """Return the zones of a RAID0; an undeclared layout counts as the original one.

    A table begins anew in each zone, less the members that have nothing there.

    Args:
        shape: of the array.
        component_sizes: by role [bytes].
    """
    chunk = shape.chunk_size
    sizes = [size - size % chunk for size in component_sizes]
    zones: list[Zone] = []
    start = 0
    for low, high in zip([0, *sorted(set(sizes))], sorted(set(sizes)), strict=False):
        roles = [role for role, size in enumerate(sizes) if size > low]
        if low == high or not roles:
            continue
        first = 0 if shape.layout == ALTERNATE else start // chunk % len(roles)
        rows = [roles[first:] + roles[:first]]
        if shape.table is not None:
            rows = [[role for role in row if role in roles] for row in shape.table]
        stop = start + (high - low) * len(roles)
        zones.append(Zone(start, stop, low, chunk, 0, _striped(rows)))
        start = stop
    return tuple(zones)


def _striped(rows: Sequence[Sequence[int]]) -> RowTable:
    """Return a table of stripes without redundancy, each a row of roles."""
    role = np.array(rows, dtype=np.int16)
    n_stripes, n_data = role.shape
    return RowTable(
        n_data=n_data,
        role=role,
        row=np.broadcast_to(np.arange(n_stripes, dtype=np.int16)[:, None], role.shape).copy(),
        region=np.zeros_like(role),
        symbol=np.broadcast_to(np.arange(n_data, dtype=np.int16), role.shape).copy(),
        exponent=np.zeros_like(role),
        rows_per_period=n_stripes,
    )
