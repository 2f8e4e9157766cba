"""The oracle's arrays in raidfs's words: the one bridge between the two, which share no code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape, State
from raidfs.array.shape import Level, Shape, shape_of
from raidfs.block import BlockSource, MemorySource
from raidfs.extents import Extents
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.oracle.writer import Simulation

GEOMETRIES = tuple(
    Geometry(level, layout, raid_disks, 4096)
    for level, names in LAYOUT_NAMES.items()
    for layout in names
    for raid_disks in range(4 if level == 6 else 2, 17)
    if not (level == 6 and layout >= 16 and raid_disks < 4)
)
"""Every level and layout, with 2 to 16 members (RAID6: 4 to 16)."""


def name_of(geometry: Geometry) -> str:
    """Name a geometry, for test ids."""
    return f"raid{geometry.level}-{LAYOUT_NAMES[geometry.level][geometry.layout]}-{geometry.raid_disks}"


def shape(geometry: Geometry) -> Shape:
    """Return the shape of a geometry of the oracle."""
    return shape_of(geometry.level, geometry.layout, geometry.chunk, geometry.raid_disks)


def describe(array: Simulation, *, without: Collection[int] = ()) -> ArrayDescription:
    """Describe a simulated array as it is recorded.

    Args:
        array: the array.
        without: roles whose members are gone.
    """
    members = tuple(
        Member(
            path=f"disk{member.device_number}.img",
            role=role,
            state=State.IN_SYNC if member.recovered_to is None else State.RECOVERING,
            data_offset=member.data_offset,
            new_data_offset=member.new_data_offset,
            recovered_to=member.recovered_to,
            bad_blocks=Extents(member.bad_blocks),
            device_number=member.device_number,
            events=array.events,
        )
        for role, member in sorted(array.roles.items())
        if role not in without
    )
    reshape = None
    if array.after is not None:
        direction = Direction.BACKWARD if array.backwards else Direction.FORWARD
        reshape = Reshape(shape(array.geometry), shape(array.after), array.position, direction)
    return ArrayDescription(
        uuid="00010203:04050607:08090a0b:0c0d0e0f",
        name="oracle:array",
        metadata=array.metadata,
        shape=shape(array.after or array.geometry),
        component_size=array.component_size,
        size=array.size,
        members=members,
        reshape=reshape,
        clean=array.resync_offset is None,
        unsynced=Extents() if array.resync_offset is None else Extents.span(array.resync_offset, array.component_size),
        events=array.events,
    )


def with_member(description: ArrayDescription, role: int, /, **changes: object) -> ArrayDescription:
    """Return the description with changes to the member that serves a role."""
    members = tuple(
        replace(member, **changes) if member.role == role else member  # type: ignore[arg-type]  # names of its fields
        for member in description.members
    )
    return replace(description, members=members)


def images_of(array: Simulation, description: ArrayDescription) -> dict[int, bytes]:
    """Return the image of each role that serves."""
    return {role: bytes(array.roles[role].image) for role in description.serving}


def seated(
    description: ArrayDescription, sources: Iterable[tuple[int, BlockSource]]
) -> list[tuple[Member, BlockSource]]:
    """Put the member of its role beside each source."""
    return [(description.serving[role], source) for role, source in sources]


def memory_sources(images: Mapping[int, bytes]) -> list[tuple[int, BlockSource]]:
    """Return (role, source) of images that have no damage."""
    return [(role, MemorySource(image)) for role, image in sorted(images.items())]


def plain_description(
    level: Level = Level.RAID5,
    layout: str = "left-symmetric",
    raid_disks: int = 4,
    chunk_size: int = 4096,
    rows: int = 8,
) -> ArrayDescription:
    """Describe a whole array without content, its data at byte 65536 of each member."""
    told = Shape(level, layout, chunk_size, raid_disks)
    members = tuple(Member(f"disk{role}.img", role, State.IN_SYNC, 65536, 65536) for role in range(raid_disks))
    size = rows * told.stripe_size
    return ArrayDescription("0001", None, "1.2", told, rows * chunk_size, size, members)
