"""Where an array's bytes lie, as far as the metadata leave it open.

Members may be whole and still nobody knows which of their bytes are which of the array's: where the array may have
another shape, and where members of a linear array or RAID0 are missing, for nothing records how much each gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.array.shape import Shape
from raidfs.extents import Extents
from raidfs.geometry.geometry import zones_of
from raidfs.geometry.reshape import Side
from raidfs.geometry.zone import Zone
from raidfs.units import format_numbers

_DISPUTED = (
    "it is open whether the reshape came here: members with equal events record different positions, or the data "
    "contradict the one that is recorded"
)
_OVERRUN = (
    "Linux is known to write copies over the end of the old data while it reshapes a RAID10 to an offset layout, "
    "before it moves them"
)


@dataclass(frozen=True)
class Doubt:
    """Bytes that may belong elsewhere.

    Attributes:
        where: [array bytes], as the description has it; never empty.
        reason: one sentence.
        likely: they most probably do not: they are unproven, not doubtful.
    """

    where: Extents
    reason: str
    likely: bool = False


def doubts_of(description: ArrayDescription) -> tuple[Doubt, ...]:
    """Return what the metadata leave open about places.

    Raises:
        GeometryError: a shape is impossible.
    """
    found = [
        Doubt(differing(description.shape, each.shape, description.component_sizes), each.reason)
        for each in description.alternatives
    ]
    if description.shape.has_own_sizes and description.missing_roles:
        found.append(_unplaced(description))
    if description.strays is not None:
        found.append(Doubt(description.strays.overrun.clip(0, description.size), _OVERRUN))
    if description.reshape is not None:
        found.append(Doubt(description.reshape.disputed.clip(0, description.size), _DISPUTED))
    return tuple(doubt for doubt in found if doubt.where)


def open_shapes(description: ArrayDescription) -> tuple[Shape, ...]:
    """Return the shapes among which nothing decides, the likelier first, each declared; empty: there is only one."""
    if not description.alternatives:
        return ()
    return (description.shape.declared, *(each.shape for each in description.alternatives))


def name_among(shape: Shape, shapes: Sequence[Shape]) -> str:
    """Return the shortest text that names a shape among others: its layout, or that and its chunk."""
    alike = [other for other in shapes if other.layout == shape.layout]
    return shape.layout if len(alike) == 1 else f"{shape.layout},{shape.chunk_size}"


def doubtful_places(description: ArrayDescription) -> Iterator[tuple[int, Side, Extents, Doubt]]:
    """Yield (role, side, [component bytes of that side], doubt) of what doubts are about."""
    sides = [Side.ONLY] if description.reshape is None else [Side.BEFORE, Side.AFTER]
    for doubt in doubts_of(description):
        for side, shape in zip(sides, description.shapes, strict=True):
            for zone in zones_of(shape, description.component_sizes[: shape.raid_disks]):
                touched = doubt.where.clip(zone.array_start, zone.array_stop)
                if touched:
                    rows = Extents().union(*(_rows_between(zone, start, stop) for start, stop in touched))
                    for role in np.unique(zone.table.role).tolist():
                        yield role, side, rows, doubt


def differing(shape: Shape, other: Shape, component_sizes: Sequence[int]) -> Extents:
    """Return the bytes that two shapes put at different places, or in zones that differ [array bytes of `shape`]."""
    mine, theirs = (zones_of(each, component_sizes) for each in (shape, other))
    alike = {_key(zone) for zone in theirs}
    return Extents([(zone.array_start, zone.array_stop) for zone in mine if _key(zone) not in alike])


def _key(zone: Zone) -> tuple[object, ...]:
    """Return what makes a zone."""
    table = zone.table
    cells = (table.role, table.row, table.region, table.symbol)
    start, stop, first = zone.array_start, zone.array_stop, zone.component_start
    return start, stop, first, zone.chunk_size, zone.region_size, *(cell.tobytes() for cell in cells), table.role.shape


def _unplaced(description: ArrayDescription) -> Doubt:
    """Return what lies where only the sizes of missing members would tell."""
    shape, missing, sizes = description.shape, description.missing_roles, description.component_sizes
    where = Extents.span(shape.placed_below(sizes, missing), description.size)
    roles = format_numbers(missing)
    word = "role" if len(missing) == 1 else "roles"
    text = f"nothing records how much the missing members ({word} {roles}) gave to this {shape.level.title}"
    # 0.90 has no field that would declare it, so that its absence says nothing there
    if description.metadata != "0.90" and shape.tells_even([sizes[role] for role in description.serving]):
        text += ", but its layout is not declared, as mdadm since 4.2 leaves it only where all give the same"
        return Doubt(where, text, likely=True)
    return Doubt(where, f"{text}, so the bytes of the others may lie elsewhere")


def _rows_between(zone: Zone, array_start: int, array_stop: int) -> Extents:
    """Return the rows that hold stripes of a zone, far copies included [component bytes]."""
    table = zone.table
    first = (array_start - zone.array_start) // zone.stripe_size // table.period
    last = -(-(array_stop - zone.array_start) // zone.stripe_size // table.period)
    height = table.rows_per_period * zone.chunk_size
    start = zone.component_start
    rows = Extents.span(start + first * height, start + last * height)
    return Extents().union(*(rows.shift(region * zone.region_size) for region in range(int(table.region.max()) + 1)))
