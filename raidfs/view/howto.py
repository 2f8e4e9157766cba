"""The commands that bring what lies on the mounted array to its user's hands, as they are to be typed.

One place for the terminal, README.txt and the tests, which run these lines as they stand.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from raidfs.units import SECTOR
from raidfs.view.probe import Probe

_MOUNT_OPTIONS = {
    "ext2": "ro",
    "ext3": "ro,noload",
    "ext4": "ro,noload",
    "xfs": "ro,norecovery",
    "btrfs": "ro,rescue=nologreplay",
    "ntfs": "ro",
    "exfat": "ro",
    "vfat": "ro",
}
"""Options under which the kernel changes nothing and replays nothing (`ro` alone replays a journal)."""
_TABLES = ("gpt", "mbr")


@dataclass(frozen=True)
class Reader:
    """Who will use the mount.

    Attributes:
        is_root: the mount was made by root.
        allow_other: other users, and so root, can see into it.
    """

    is_root: bool
    allow_other: bool

    @property
    def root_can_see(self) -> bool:
        """Whether `losetup`, which only root may use, can open array.img."""
        return self.is_root or self.allow_other


def files_directory(mountpoint: str) -> str:
    """Return where the commands mount the file system: beside the mount of the array."""
    return mountpoint.rstrip("/") + "-files"


def loop_commands(found: Probe, mountpoint: str, reader: Reader) -> tuple[str, ...]:
    """Return the shell lines that make what is in array.img available; none where no command of ours can."""
    if not reader.root_can_see or found.kind == "swap":
        return ()
    sudo = "" if reader.is_root else "sudo "
    image = shlex.quote(f"{mountpoint.rstrip('/')}/array.img")
    scan = " -P" if found.kind in _TABLES else ""
    unit = f" --sector-size {found.sector_size}" if found.sector_size != SECTOR else ""
    attach = f"LOOP=$({sudo}losetup -r{scan}{unit} --direct-io=on --show -f {image})"
    return (attach, *_after_attach(found, shlex.quote(files_directory(mountpoint)), sudo))


def _after_attach(found: Probe, target: str, sudo: str) -> tuple[str, ...]:
    """Return the lines that follow `losetup`."""
    options = _MOUNT_OPTIONS.get(found.kind)
    if options:
        return (f"{sudo}mkdir -p {target}", f"{sudo}mount -o {options} $LOOP {target}")
    if found.kind in _TABLES:
        return ("lsblk -o NAME,SIZE,FSTYPE,LABEL $LOOP",)
    if found.kind == "lvm2":
        return (f"{sudo}pvscan --cache $LOOP", f"{sudo}lvs -o vg_name,lv_name,lv_size,lv_path")
    if found.kind == "luks":
        return (f"{sudo}cryptsetup open --readonly $LOOP raidfs",)
    return (f"{sudo}blkid -p $LOOP",)


def next_lines(found: Probe) -> tuple[str, ...]:
    """Return what to do after the commands where the file system lies deeper; empty where they mounted it already."""
    steps = {
        "gpt": "then mount a partition (${LOOP}p1, ${LOOP}p2, ...)",
        "mbr": "then mount a partition (${LOOP}p1, ${LOOP}p2, ...)",
        "lvm2": "then activate a volume group (vgchange -ay VG) and mount a volume of it",
        "luks": "then mount /dev/mapper/raidfs",
    }
    if found.kind not in steps:
        return ()
    return (
        f"{steps[found.kind]}, without replaying a journal:",
        "-o ro,noload (ext3, ext4), -o ro,norecovery (XFS), -o ro,rescue=nologreplay (btrfs), -o ro (others)",
    )


def unreachable_line(mountpoint: str) -> str:
    """Return what somebody who is not root should know about a mount without `allow_other`."""
    return (
        f"only you can see into {mountpoint}, root cannot: to attach array.img to a loop device, mount again with"
        " -o allow_other (needs the line user_allow_other in /etc/fuse.conf)"
    )


def end_commands(found: Probe, mountpoint: str, reader: Reader) -> tuple[str, ...]:
    """Return the shell lines that undo `loop_commands` and end the mount."""
    sudo = "" if reader.is_root else "sudo "
    lines = []
    if loop_commands(found, mountpoint, reader):
        if found.kind in _MOUNT_OPTIONS:
            lines.append(f"{sudo}umount {shlex.quote(files_directory(mountpoint))}")
        lines.append(f"{sudo}losetup -d $LOOP")
    return (*lines, f"raidfs umount {shlex.quote(mountpoint)}")
