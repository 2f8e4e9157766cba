"""Small arrays, alone and as members of others."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.labels import device_size
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation

CHUNK = 4096
OFFSET = 128 * 1024
"""Of the data on each member [bytes]."""


def raid5(folder: Path, seed: int, data: bytes | None = None) -> tuple[Simulation, list[Path]]:
    """Write a RAID5 of three members.

    Args:
        folder: where its images go; it is made.
        seed: of its content, and of everything else.
        data: what it holds, padded with zeros; None: 128 KiB of random bytes.
    """
    component = 16 * CHUNK
    if data is not None:
        component = -(-len(data) // (2 * CHUNK)) * CHUNK
        data = data.ljust(2 * component, b"\0")
    geometry = Geometry(5, 2, 3, CHUNK)
    size = device_size(component, OFFSET)
    array = Simulation(geometry, component, data_offsets=[OFFSET] * 3, size_of_device=size, data=data, seed=seed)
    folder.mkdir()
    return array, array.save(folder)


def uuid_of(array: Simulation) -> str:
    """Return its uuid as mdadm prints it."""
    digits = array.array_uuid.hex()
    return ":".join(digits[at : at + 8] for at in range(0, 32, 8))
