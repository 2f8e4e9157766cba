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
        can_write: array.img takes writes, which an overlay keeps.
    """

    is_root: bool
    allow_other: bool
    can_write: bool = False

    @property
    def root_can_see(self) -> bool:
        """Whether `losetup`, which only root may use, can open array.img."""
        return self.is_root or self.allow_other


@dataclass(frozen=True)
class Guide:
    """What to type, in shell lines that work as they stand.

    Attributes:
        attach: brings the contents of array.img within reach; empty where nothing can.
        advice: what to do then, or why nothing can be done; sentences.
        end: undoes `attach` and ends the mount.
    """

    attach: tuple[str, ...]
    advice: tuple[str, ...]
    end: tuple[str, ...]

    def lines(self, *, has_files: bool = False) -> list[str]:
        """Return all of it for people: headings, commands indented; `has_files`: the files are in the mount, too."""
        title = "To let the kernel read array.img instead:" if has_files else "To reach the files:"
        heading = [title] if self.attach else []
        commands = [f"    {line}" for line in self.attach]
        return [*heading, *commands, *self.advice, "To end:", f"    {'; '.join(self.end)}"]


def guide(found: Probe, folder: str, reader: Reader, mountpoint: str | None = None) -> Guide:
    """Return what `reader` types to reach the contents that were found in FOLDER/array.img.

    Args:
        found: the contents.
        folder: where array.img lies.
        reader: who types.
        mountpoint: of the mount, where that is not the folder.
    """
    place = "" if mountpoint is None else f"-{folder.rpartition('/')[2]}"
    mountpoint = folder if mountpoint is None else mountpoint
    leave = f"{'umount' if reader.is_root else 'fusermount3 -u'} {shlex.quote(mountpoint)}"
    if not reader.root_can_see:
        return Guide((), _NOT_REACHABLE, (leave,))
    if found.kind == "swap":
        return Guide((), (), (leave,))
    sudo = "" if reader.is_root else "sudo "
    image = shlex.quote(folder.rstrip("/") + "/array.img")
    target = shlex.quote(mountpoint.rstrip("/") + place + "-files")
    scan = " -P" if found.kind in _TABLES else ""
    unit = f" --sector-size {found.sector_size}" if found.sector_size != SECTOR else ""
    only = "" if reader.can_write else " -r"
    attach = f"LOOP=$({sudo}losetup{only}{scan}{unit} --direct-io=on --show -f {image})"
    detach = f"{sudo}losetup -d $LOOP"
    options = _MOUNT_OPTIONS.get(found.kind)
    if options and reader.can_write:
        mount = (f"{sudo}mkdir -p {target}", f"{sudo}mount $LOOP {target}")
        return Guide((attach, *mount), (_REPLAYS,), (f"{sudo}umount {target}", detach, leave))
    if options:
        mount = (f"{sudo}mkdir -p {target}", f"{sudo}mount -o {options} $LOOP {target}")
        return Guide((attach, *mount), (), (f"{sudo}umount {target}", detach, leave))
    look = [line.replace(" --readonly", "") if reader.can_write else line for line in _LOOK[found.kind]]
    return Guide((attach, *(sudo + line for line in look)), _advice(found.kind, reader), (detach, leave))


_NOT_REACHABLE = (
    "Only you can see into this mount, root cannot. To attach array.img to a loop device, mount again",
    "with -o allow_other (this needs the line user_allow_other in /etc/fuse.conf).",
)
_LOOK = {
    "gpt": ("lsblk -o NAME,SIZE,FSTYPE,LABEL $LOOP",),
    "mbr": ("lsblk -o NAME,SIZE,FSTYPE,LABEL $LOOP",),
    "lvm2": ("pvscan --cache $LOOP", "lvs -o vg_name,lv_name,lv_size,lv_path"),
    "luks": ("cryptsetup open --readonly $LOOP raidfs",),
    "unreadable": ("blkid -p $LOOP || true",),
    "unknown": ("blkid -p $LOOP || true",),
}
"""What shows more where no file system lies at the start."""
_DEEPER = {
    "gpt": "Then mount a partition (${LOOP}p1, ${LOOP}p2, ...)",
    "mbr": "Then mount a partition (${LOOP}p1, ${LOOP}p2, ...)",
    "lvm2": "Then activate a volume group (vgchange -ay VG) and mount a volume of it",
    "luks": "Then mount /dev/mapper/raidfs",
}


_REPLAYS = "The kernel replays the journal then; mount with the same overlay FILE again to see the result in files/."


def _advice(kind: str, reader: Reader) -> tuple[str, ...]:
    """Return what to do where the file system lies deeper."""
    if kind not in _DEEPER:
        return ()
    if reader.can_write:
        return (f"{_DEEPER[kind]}.", _REPLAYS)
    return (
        f"{_DEEPER[kind]} without replaying a journal:",
        "-o ro,noload (ext3, ext4), -o ro,norecovery (XFS), -o ro,rescue=nologreplay (btrfs), -o ro (others).",
    )
