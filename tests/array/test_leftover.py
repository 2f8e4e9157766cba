"""Two superblocks on an image, one among the data of the other."""

from __future__ import annotations

from pathlib import Path
from random import Random

from raidfs.cli.opening import Options
from raidfs.cli.session import open_every_array
from tests.oracle.labels import device_size
from tests.oracle.superblock import Superblock, build_v1, superblock_offset
from tests.support.stacked import CHUNK, raid5, uuid_of


def put_on_an_array(member: Path, seed: int) -> str:
    """Make the image of a member that of the first of three disks of a RAID5 on which it lies; return its uuid."""
    content = member.read_bytes()
    component = len(content) // 2 // CHUNK * CHUNK
    whole = device_size(component, 0)
    at = superblock_offset("1.0", whole)
    told = Superblock(
        level=5,
        layout=2,
        chunk=CHUNK,
        raid_disks=3,
        component_size=component,
        device_number=0,
        device_roles=(0, 1, 2),
        data_size=component,
        array_uuid=bytes([seed]) * 16,
        device_uuid=bytes([seed + 1]) * 16,
    )
    chunks = [content[start : start + CHUNK] for start in range(0, 2 * component, CHUNK)]
    data = b"".join(chunks[::2])  # near enough to what one disk has of it
    disk = bytearray((content[: 2 * CHUNK] + data[2 * CHUNK :]).ljust(whole, b"\0"))
    raw = build_v1(told, at)
    disk[at : at + len(raw)] = raw
    member.write_bytes(disk)
    return ":".join([f"{seed:02x}" * 4] * 4)


def test_one_disk_of_an_array_is_no_member_of_what_lies_on_it(tmp_path: Path) -> None:
    """Its chunks are not one behind the other, so what it would serve is wrong."""
    array, members = raid5(tmp_path / "array", 9, Random(9).randbytes(2 << 20))
    below = {put_on_an_array(member, 40 + 2 * role) for role, member in enumerate(members[:2])}
    with open_every_array([str(member) for member in members[:2]], Options()) as opened:
        found = {each.description.uuid for each in opened}
    assert uuid_of(array) not in found
    assert found <= below
