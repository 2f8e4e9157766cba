"""Writes giant arrays cheaply: sparse members with only the stripes that have content; all else is zero, parity too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.oracle.labels import Label, Placement, device_size
from tests.oracle.layouts import Geometry
from tests.oracle.parity import fill
from tests.oracle.reader import Array


def write_sparse_array(
    directory: Path,
    label: Label[Geometry],
    pieces: Mapping[int, bytes],
    *,
    data_offset: int = 1 << 20,
    new_data_offset: int | None = None,
) -> list[Path]:
    """Write the members of an array that is zero but for a few pieces.

    During a reshape each piece lies where it belongs at that moment; the other side's places hold zeros.

    Args:
        directory: an existing folder; the members are `disk<device number>.img` in it.
        label: the array; its device numbers are the roles.
        pieces: content by array offset [bytes].
        data_offset: of all members [member bytes].
        new_data_offset: of the new geometry; by default as the old.

    Returns:
        The paths, by role.
    """
    moved = data_offset if new_data_offset is None else new_data_offset
    size = device_size(label.component_size, data_offset, moved)
    array = Array(label.geometry, label.component_size, (), label.after, label.position, label.backwards)
    paths = [directory / f"disk{number}.img" for number in range(len(label.device_roles))]
    handles = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644) for path in paths]
    try:
        for number, handle in enumerate(handles):
            os.truncate(handle, size)
            for offset, block in label.blocks(Placement(number, data_offset, moved, size)):
                os.pwrite(handle, block, offset)
        for geometry, row, new in _touched(array, pieces):
            _write_row(handles, geometry, row, moved if new else data_offset, pieces)
    finally:
        for handle in handles:
            os.close(handle)
    return paths


def _touched(array: Array, pieces: Mapping[int, bytes]) -> set[tuple[Geometry, int, bool]]:
    return {
        (geometry, row, new)
        for start, content in pieces.items()
        for low, high, geometry, new in array.sections(start, start + len(content))
        for row in range(low // geometry.stripe_size, -(-high // geometry.stripe_size))
    }


def _write_row(
    handles: Sequence[int], geometry: Geometry, row: int, data_offset: int, pieces: Mapping[int, bytes]
) -> None:
    first = row * geometry.stripe_size
    content = bytearray(geometry.stripe_size)
    for start, piece in pieces.items():
        low, high = max(start, first), min(start + len(piece), first + geometry.stripe_size)
        if low < high:
            content[low - first : high - first] = piece[low - start : high - start]
    data = [bytes(content[at : at + geometry.chunk]) for at in range(0, geometry.stripe_size, geometry.chunk)]
    for role, block in fill(geometry.stripe(row), data).items():
        os.pwrite(handles[role], block, data_offset + row * geometry.chunk)
