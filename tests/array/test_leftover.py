"""Two superblocks on an image, one among the data of the other."""

from __future__ import annotations

from pathlib import Path
from random import Random

from raidfs.cli.opening import Options
from raidfs.cli.session import open_every_array
from tests.support.stacked import CHUNK, one_of_three, raid5, uuid_of


def put_on_an_array(member: Path, seed: int) -> str:
    """Make the image of a member that of the first of three disks of a RAID5 on which it lies; return its uuid."""
    content = member.read_bytes()
    component = len(content) // 2 // CHUNK * CHUNK
    chunks = [content[start : start + CHUNK] for start in range(0, 2 * component, CHUNK)]
    data = b"".join(chunks[::2])  # near enough to what one disk has of it
    disk = content[: 2 * CHUNK] + data[2 * CHUNK :]
    member.write_bytes(one_of_three(disk, component, "1.0", 5, 0, seed=seed))
    return ":".join([f"{seed:02x}" * 4] * 4)


def test_one_disk_of_an_array_is_no_member_of_what_lies_on_it(tmp_path: Path) -> None:
    """Its chunks are not one behind the other, so what it would serve is wrong."""
    array, members = raid5(tmp_path / "array", 9, Random(9).randbytes(2 << 20))
    below = {put_on_an_array(member, 40 + 2 * role) for role, member in enumerate(members[:2])}
    with open_every_array([str(member) for member in members[:2]], Options()) as opened:
        found = {each.description.uuid for each in opened}
    assert uuid_of(array) not in found
    assert found <= below
