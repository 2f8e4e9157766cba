"""The commands to type next."""

from __future__ import annotations

import shlex

import pytest

from raidfs.view.howto import Reader, guide
from raidfs.view.probe import Probe

ROOT = Reader(is_root=True, allow_other=False)
OPEN_USER = Reader(is_root=False, allow_other=True)
USER = Reader(is_root=False, allow_other=False)
KINDS = "ext2 ext3 ext4 xfs btrfs ntfs vfat exfat luks lvm2 gpt mbr swap unreadable unknown".split()  # noqa: SIM905  # words


def test_ext4_for_root() -> None:
    told = guide(Probe("ext4", ""), "/mnt/r", ROOT)
    assert told.attach == (
        "LOOP=$(losetup -r --direct-io=on --show -f /mnt/r/array.img)",
        "mkdir -p /mnt/r-files",
        "mount -o ro,noload $LOOP /mnt/r-files",
    )
    assert told.end == ("umount /mnt/r-files", "losetup -d $LOOP", "umount /mnt/r")
    assert told.lines() == [
        "To reach the files:",
        *(f"    {line}" for line in told.attach),
        "To end:",
        "    umount /mnt/r-files; losetup -d $LOOP; umount /mnt/r",
    ]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ext2", "ro"),
        ("ext3", "ro,noload"),
        ("xfs", "ro,norecovery"),
        ("btrfs", "ro,rescue=nologreplay"),
        ("ntfs", "ro"),
        ("vfat", "ro"),
        ("exfat", "ro"),
    ],
)
def test_no_file_system_replays_its_journal(kind: str, options: str) -> None:
    assert guide(Probe(kind, ""), "/m", ROOT).attach[-1] == f"mount -o {options} $LOOP /m-files"


def test_a_user_whose_mount_others_see_asks_root() -> None:
    told = guide(Probe("xfs", ""), "/home/u/m", OPEN_USER)
    assert told.attach[0] == "LOOP=$(sudo losetup -r --direct-io=on --show -f /home/u/m/array.img)"
    assert told.attach[-1].startswith("sudo mount -o ro,norecovery ")
    assert told.end == ("sudo umount /home/u/m-files", "sudo losetup -d $LOOP", "fusermount3 -u /home/u/m")


@pytest.mark.parametrize("kind", KINDS)
def test_a_mount_that_root_cannot_see_is_explained(kind: str) -> None:
    told = guide(Probe(kind, ""), "/home/u/m", USER)
    assert told.attach == ()
    assert "-o allow_other" in " ".join(told.advice)
    assert told.end == ("fusermount3 -u /home/u/m",)
    assert "To reach" not in "\n".join(told.lines())


def test_a_partition_table_is_scanned_in_its_own_unit() -> None:
    assert "losetup -r -P --direct-io=on " in guide(Probe("mbr", ""), "/m", ROOT).attach[0]
    told = guide(Probe("gpt", "", sector_size=4096), "/m", ROOT)
    assert "losetup -r -P --sector-size 4096 --direct-io=on " in told.attach[0]
    assert "ro,noload" in told.advice[1]


@pytest.mark.parametrize("reader", [ROOT, OPEN_USER, USER])
@pytest.mark.parametrize("kind", KINDS)
def test_there_is_an_answer_for_every_kind_and_reader(kind: str, reader: Reader) -> None:
    told = guide(Probe(kind, ""), "/m", reader)
    assert told.end
    assert len(told.lines()) <= 8
    assert all(len(line) <= 120 for line in told.lines())


def test_names_with_blanks_are_quoted() -> None:
    told = guide(Probe("ext4", ""), "/mnt/it's mine/", ROOT)
    assert shlex.split(told.end[-1]) == ["umount", "/mnt/it's mine/"]
    assert shlex.split(told.attach[1]) == ["mkdir", "-p", "/mnt/it's mine-files"]


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "lvm2", "luks", "gpt"])
def test_what_takes_writes_is_attached_and_mounted_so_that_the_kernel_replays(kind: str) -> None:
    told = guide(Probe(kind, ""), "/m", Reader(is_root=True, allow_other=False, can_write=True))
    text = "\n".join((*told.attach, *told.advice))
    assert "losetup -r" not in text
    assert not any(word in text for word in ("noload", "norecovery", "nologreplay", "readonly", "-o ro"))
    assert "The kernel replays the journal" in text
