"""Arrays over images that exist already: RAID1 of two members with superblocks 1.2."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.superblock import Superblock, build_v1

DATA_OFFSET = 1 << 20
"""Where the image lies in each member [bytes]."""
_SUPERBLOCK = 4096


def mirrored(image: Path, folder: Path) -> list[Path]:
    """Write two members of a RAID1 whose contents are those of `image`; returns their paths."""
    size = image.stat().st_size
    members = []
    for number in range(2):
        told = Superblock(
            level=1,
            layout=0,
            chunk=0,
            raid_disks=2,
            component_size=size,
            device_number=number,
            device_roles=(0, 1),
            data_offset=DATA_OFFSET,
            data_size=size,
            events=7,
            device_uuid=bytes([number]) * 16,
            name=b"files",
            updated=1_600_000_000_000_000,
        )
        member = folder / f"member{number}.img"
        with member.open("wb") as out, image.open("rb") as data:
            out.seek(_SUPERBLOCK)
            out.write(build_v1(told, _SUPERBLOCK))
            out.truncate(DATA_OFFSET + size)
            at = DATA_OFFSET
            while part := data.read(1 << 20):
                if any(part):
                    out.seek(at)
                    out.write(part)
                at += len(part)
        member.chmod(0o444)
        members.append(member)
    return members
