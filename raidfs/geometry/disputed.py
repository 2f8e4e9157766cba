"""Where disputes and strays of a RAID10 lie on its members; see `raidfs.array.dispute` and `raidfs.array.strays`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raidfs.array.description import ArrayDescription
from raidfs.array.strays import stride_of
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side
from raidfs.geometry.standing import cells_of, pieces
from raidfs.geometry.zone import Zone


def disputed_places(description: ArrayDescription) -> Iterator[tuple[int, Side, Extents]]:
    """Yield (role, side, [component bytes of that side]) of everything that is disputed."""
    dispute = description.dispute
    if dispute is None:
        return
    whole = Extents.span(0, description.component_size)
    for side, zone in _sides(description):
        agreed, rows = _agreed_cells(zone, dispute.agreed, has_parity=description.shape.has_parity)
        for role in range(description.n_roles):
            yield role, side, whole.difference(rows.union(agreed.get(role, Extents())))


def _agreed_cells(zone: Zone, agreed: Extents, *, has_parity: bool) -> tuple[dict[int, Extents], Extents]:
    """Return the cells of array bytes that are agreed on, by role; and where all data of rows are: so is their parity.

    Both in component bytes.
    """
    if has_parity:
        cells = cells_of(zone, agreed)
        return cells, _covered(list(cells.values()), zone.table.n_data)
    columns = [_cells(zone, agreed, column) for column in range(zone.table.width)]
    roles = {role for cells in columns for role in cells}
    return {role: Extents().union(*(cells.get(role, Extents()) for cells in columns)) for role in roles}, Extents()


def _covered(several: Sequence[Extents], n: int) -> Extents:
    """Return what lies in at least n of several sets of ranges."""
    ranges = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(each.array for each in several)])
    cuts, step = ranges.reshape(-1), np.tile([1, -1], len(ranges))
    order = np.argsort(cuts, kind="stable")
    cuts, depth = cuts[order], np.cumsum(step[order])
    inside = np.flatnonzero((depth[:-1] >= n) & (cuts[:-1] < cuts[1:])) if len(cuts) else np.zeros(0, dtype=np.int64)
    return Extents(np.stack((cuts[inside], cuts[inside + 1]), axis=1))


def stray_places(description: ArrayDescription) -> dict[int, Extents]:
    """Return where strays were seen, by role [component bytes of the new geometry, beyond its end]."""
    strays, reshape = description.strays, description.reshape
    if strays is None or reshape is None or not strays.seen:
        return {}
    zone = zone_of(reshape.after, description.component_size)
    return places_of_strays(zone, strays.seen, stride_of(reshape.before, description.component_size))


def places_of_strays(zone: Zone, copied: Extents, stride: int) -> dict[int, Extents]:
    """Return where Linux puts second copies that stray, by role [component bytes of the new geometry].

    Args:
        zone: the new geometry, an offset layout of two copies.
        copied: what they are copies of [array bytes].
        stride: see `stride_of`.
    """
    return {role: cells.shift(stride - zone.chunk_size) for role, cells in _cells(zone, copied, 1).items()}


def _sides(description: ArrayDescription) -> list[tuple[Side, Zone]]:
    size, reshape = description.component_size, description.reshape
    if reshape is None:
        return [(Side.ONLY, zone_of(description.shape, size))]
    return [(Side.BEFORE, zone_of(reshape.before, size)), (Side.AFTER, zone_of(reshape.after, size))]


def _cells(zone: Zone, extents: Extents, column: int) -> dict[int, Extents]:
    """Return where the copies of one column of a table hold array bytes, by role [component bytes]."""
    start, stop = pieces(extents.clip(zone.array_start, zone.array_stop), zone.chunk_size)
    table = zone.table
    period, row = np.divmod((start - zone.array_start) // zone.stripe_size, table.period)
    height = zone.component_start + (period * table.rows_per_period + table.row[row, column]) * zone.chunk_size
    height += table.region[row, column].astype(np.int64) * zone.region_size + start % zone.chunk_size
    role = table.role[row, column]
    ranges = np.stack((height, height + stop - start), axis=1)
    return {int(each): Extents(ranges[role == each]) for each in np.unique(role)}
