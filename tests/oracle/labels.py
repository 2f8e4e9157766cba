"""What md would record about an array: the blocks of metadata of each member, superblock and bad-block log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from tests.oracle.superblock import (
    ByteOrder,
    ReshapeFields,
    Superblock,
    build_bad_block_log,
    build_v0,
    build_v1,
    superblock_offset,
)

LOG_SIZE = 4096
TAIL = 192 * 1024
"""Bytes behind the data that hold a superblock of any format that lies at the end, with its log."""

Block = tuple[int, bytes]
"""Member offset and content."""


class Shape(Protocol):
    """What superblocks record of a geometry."""

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


AnyShape_co = TypeVar("AnyShape_co", bound=Shape, covariant=True)


@dataclass(frozen=True)
class Placement:
    """Where one member keeps what.

    Attributes:
        device_number: md's number. data_offset, new_data_offset: of the old and the new geometry [member bytes].
        device_size: [bytes]. recovered_to: recovery_offset, None when in sync.
        bad_blocks: (start, length) [member bytes].
        data_size: what it has for data [bytes]; None: all that is free.
        features, device_flags: bits beyond those that follow from the rest.
    """

    device_number: int
    data_offset: int
    new_data_offset: int
    device_size: int
    recovered_to: int | None = None
    bad_blocks: tuple[tuple[int, int], ...] = ()
    data_size: int | None = None
    features: int = 0
    device_flags: int = 0


@dataclass(frozen=True)
class Label(Generic[AnyShape_co]):
    """What all superblocks of an array say alike.

    Attributes:
        metadata: "0.90", "1.0", "1.1" or "1.2". geometry: the old one in a reshape.
        component_size: [bytes], 0 where every member gives all that it has (linear, RAID0).
        device_roles: by device number, with md's words for spare (0xffff) and faulty (0xfffe).
        after, position, backwards: of a reshape. events: counter. resync_offset: None when clean.
        array_uuid: 16 bytes. order: byte order of the host (0.90).
        bitmap: content of the internal write-intent bitmap; empty: there is none.
        ppl_size: space of the partial parity log of each member [bytes]; 0: there is none.
        features: feature bits beyond those that all this implies.
    """

    metadata: str
    geometry: AnyShape_co
    component_size: int
    device_roles: tuple[int, ...]
    after: AnyShape_co | None = None
    position: int = 0
    backwards: bool = False
    events: int = 1
    resync_offset: int | None = None
    array_uuid: bytes = bytes(range(16))
    order: ByteOrder = "<"
    bitmap: bytes = b""
    ppl_size: int = 0
    features: int = 0

    def superblock(self, place: Placement) -> Superblock:
        """The superblock of one member."""
        reshape = None
        if self.after is not None:
            reshape = ReshapeFields(
                position=self.position,
                delta_disks=self.after.raid_disks - self.geometry.raid_disks,
                new_level=self.after.level,
                new_layout=self.after.layout,
                new_chunk=self.after.chunk,
                new_offset=place.new_data_offset - place.data_offset,
                backwards=self.backwards,
            )
        last = superblock_offset("1.0", place.device_size) - LOG_SIZE if self.metadata == "1.0" else place.device_size
        free = (last - place.data_offset) // 4096 * 4096
        return Superblock(
            level=self.geometry.level,
            layout=self.geometry.layout,
            chunk=self.geometry.chunk,
            raid_disks=(self.after or self.geometry).raid_disks,
            component_size=self.component_size,
            device_number=place.device_number,
            device_roles=self.device_roles,
            data_offset=place.data_offset,
            data_size=free if place.data_size is None else place.data_size,
            device_flags=place.device_flags,
            events=self.events,
            array_uuid=self.array_uuid,
            device_uuid=bytes([place.device_number + 1] * 16),
            name=b"oracle:array",
            created=1_600_000_000_000_000,
            updated=1_600_000_000_000_000 + self.events * 1_000_000,
            resync_offset=self.resync_offset,
            recovery_offset=place.recovered_to,
            reshape=reshape,
            bad_block_offset=-LOG_SIZE if self.metadata == "1.0" else LOG_SIZE,
            bad_block_size=LOG_SIZE,
            bad_blocks=place.bad_blocks,
            bitmap_offset=self.bitmap_offset if self.bitmap else 0,
            ppl_offset=2 * LOG_SIZE,
            ppl_size=self.ppl_size,
            features=self.features | place.features,
        )

    @property
    def bitmap_offset(self) -> int:
        """Where the bitmap lies, from the superblock: behind the log of 1.1 and 1.2, before that of 1.0."""
        return {"0.90": 4096, "1.0": -3 * LOG_SIZE}.get(self.metadata, 2 * LOG_SIZE)

    def blocks(self, place: Placement) -> list[Block]:
        """The metadata of one member, to be written at those member offsets.

        Raises:
            ValueError: version 0.90 cannot say it.
        """
        sb = self.superblock(place)
        offset = superblock_offset(self.metadata, place.device_size)
        if self.metadata != "0.90":
            log = build_bad_block_log(sb)
            found = [(offset, build_v1(sb, offset)), (offset + sb.bad_block_offset, log)]
            return [*found, (offset + self.bitmap_offset, self.bitmap)]
        if place.data_offset or place.new_data_offset or place.bad_blocks or place.recovered_to is not None:
            raise ValueError("version 0.90 has neither data offsets nor bad blocks nor a recovery offset")
        return [(offset, build_v0(replace(sb, bad_block_size=0), self.order)), (offset + 4096, self.bitmap)]


def device_size(component_size: int, *offsets: int) -> int:
    """A size of device [bytes] with room for the data at any of these offsets, and metadata of any format."""
    return -(-(max(offsets) + component_size + TAIL) // 4096) * 4096
