"""Claims of members, made up: what superblocks would say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raidfs.array.choose import Claimed
from raidfs.superblock.claim import MemberClaim, ReshapeClaim

UUID = "11111111:22222222:33333333:44444444"
OTHER = "55555555:66666666:77777777:88888888"

PLAIN = MemberClaim(
    metadata="1.2",
    superblock_offset=4096,
    intact=True,
    array_uuid=UUID,
    array_name="host:data",
    device_uuid="0",
    created=0,
    updated=5_000_000,
    events=40,
    level=5,
    layout=2,
    chunk_size=65536,
    raid_disks=4,
    component_size=10 * 65536,
    data_offset=1 << 20,
    data_size=11 * 65536,
    device_number=0,
    device_roles=(0, 1, 2, 3),
    resync_offset=None,
    recovery_offset=None,
    journal_tail=None,
    replacement=False,
    write_mostly=False,
    has_journal=False,
    ppl=None,
    bitmap_offset=None,
    bad_block_log=None,
    reshape=None,
)
GROWTH = ReshapeClaim(
    position=3 * 65536 * 2,
    delta_disks=1,
    new_level=5,
    new_layout=2,
    new_chunk_size=65536,
    backwards=False,
    new_offset=-65536,
)
SIZE = 4 << 20


def claimed(number: int, path: str | None = None, **changes: Any) -> Claimed:
    """Return what an image claims: a member of the plain array, with changes.

    Args:
        number: its device number.
        path: of the image.
        **changes: fields of the claim, or of `Claimed`.
    """
    own = {
        name: changes.pop(name) for name in ("size", "bad_blocks", "unsupported", "doubt", "bitmap") if name in changes
    }
    told = {"device_number": number, "device_uuid": str(number), **changes}
    return Claimed(path or f"sd{'abcdefghij'[number]}", own.pop("size", SIZE), replace(PLAIN, **told), **own)


def members(count: int = 4, **changes: Any) -> list[Claimed]:
    """Return what all members of the plain array claim, each with the same changes."""
    return [claimed(number, **changes) for number in range(count)]
