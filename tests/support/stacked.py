"""Small arrays, alone and as members of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.oracle.labels import device_size
from tests.oracle.layouts import Geometry
from tests.oracle.superblock import Superblock, build_v0, build_v1, superblock_offset
from tests.oracle.writer import Simulation
from tests.support.rewritten import GONE

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


def raid1(folder: Path, seed: int, contents: Sequence[bytes], metadata: str) -> list[Path]:
    """Write the members of a RAID1 whose data begin in their first sectors, the last of them the only fresh one.

    Args:
        folder: where its images go; it is made.
        seed: of its uuid.
        contents: of each member; those that left hold what they held then.
        metadata: 0.90 or 1.0.
    """
    size = -(-max(map(len, contents)) // CHUNK) * CHUNK
    whole = device_size(size, 0)
    at, last = superblock_offset(metadata, whole), len(contents) - 1
    paths = []
    folder.mkdir()
    for number, content in enumerate(contents):
        told = Superblock(
            level=1,
            layout=0,
            chunk=0,
            raid_disks=len(contents),
            component_size=size,
            device_number=number,
            device_roles=tuple(range(len(contents))) if number != last else (*[GONE] * last, last),
            data_size=size,
            events=20 if number == last else 7,
            array_uuid=bytes([seed]) * 16,
            device_uuid=bytes([number]) * 16,
        )
        image = bytearray(content.ljust(whole, b"\0"))
        raw = build_v0(told) if metadata == "0.90" else build_v1(told, at)
        image[at : at + len(raw)] = raw
        paths.append(folder / f"member{number}.img")
        paths[-1].write_bytes(image)
    return paths


def copy_onto_used_disk(image: Path, metadata: str, level: int, role: int) -> None:
    """Make an image that of a larger disk, at whose end the superblock of an earlier array of three is left over.

    Args:
        image: of a member of a later array.
        metadata: 0.90 or 1.0.
        level: of the earlier array.
        role: in it.
    """
    content = image.read_bytes()
    size = (len(content) // (64 * 1024) + 4) * 64 * 1024
    image.write_bytes(one_of_three(content, size, metadata, level, role, seed=99))


def one_of_three(content: bytes, component: int, metadata: str, level: int, role: int, *, seed: int) -> bytes:
    """Return a disk with a superblock at its end, by which it is one of three members of an array.

    Args:
        content: what it begins with; it is padded with zeros.
        component: component size [bytes].
        metadata: 0.90 or 1.0.
        level: 1 or 5.
        role: of the disk.
        seed: of the array's uuid.
    """
    whole = device_size(component, 0)
    at = superblock_offset(metadata, whole)
    told = Superblock(
        level=level,
        layout=0 if level == 1 else 2,
        chunk=0 if level == 1 else CHUNK,
        raid_disks=3,
        component_size=component,
        device_number=role,
        device_roles=(0, 1, 2),
        data_size=component,
        array_uuid=bytes([seed]) * 16,
        device_uuid=bytes([role]) * 16,
    )
    raw = build_v0(told) if metadata == "0.90" else build_v1(told, at)
    disk = bytearray(content.ljust(whole, b"\0"))
    disk[at : at + len(raw)] = raw
    return bytes(disk)


def uuid_of(array: Simulation) -> str:
    """Return its uuid as mdadm prints it."""
    digits = array.array_uuid.hex()
    return ":".join(digits[at : at + 8] for at in range(0, 32, 8))
