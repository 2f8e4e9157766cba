"""Mount points as the kernel lists them, and whether a new mount can be made. Imports neither pyfuse3 nor trio.

All checks happen before anything is mounted, so that what is wrong is one sentence and leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from raidfs.errors import MountError
from raidfs.fuse.options import MountOptions

FS_TYPE = "fuse.raidfs"
"""Type under which the kernel lists our mounts."""
PID_XATTR = "user.raidfs.pid"
"""Extended attribute of a mount's root: the process that serves it."""
DEVICE = "/dev/fuse"
_MOUNTINFO = "/proc/self/mountinfo"
_FUSE_CONF = "/etc/fuse.conf"
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo.

    Attributes:
        device: `major:minor`.
        mountpoint: absolute path.
        fs_type: such as `fuse.raidfs`.
        source: what was mounted, such as `/dev/loop0`.
    """

    device: str
    mountpoint: str
    fs_type: str
    source: str


def parse_mountinfo(text: str) -> list[Mount]:
    """Read the text of a mountinfo file (`proc_pid_mountinfo(5)`); later lines lie over earlier ones."""
    mounts = []
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        left, right = fields.split(" "), rest.split(" ")
        if len(left) >= 6 and len(right) >= 2:
            mounts.append(Mount(left[2], _unescape(left[4]), right[0], _unescape(right[1])))
    return mounts


def _unescape(text: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def mounts() -> list[Mount]:
    """Return the mounts that this process sees, oldest first."""
    with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
        return parse_mountinfo(file.read())


def find_mount(path: str) -> Mount | None:
    """Return the uppermost mount at `path`, found without touching it: its server may be dead or hang."""
    whole = os.path.abspath(path)
    names = {whole, os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))}
    listed = mounts()
    here = [mount for mount in listed if mount.mountpoint in names]
    if not here:
        real = os.path.realpath(whole)
        here = [mount for mount in listed if mount.mountpoint == real]
    return here[-1] if here else None


def check_mountpoint(path: str) -> None:
    """Make sure that a mount can be made at `path`.

    Raises:
        MountError: it is missing, no directory, not empty, busy, or not the caller's.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise MountError(f"{path!a}: the mountpoint's name is no UTF-8, which libfuse needs; choose another") from None
    present = find_mount(path)
    if present is not None:
        raise MountError(_already_mounted(path, present))
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise MountError(f"{path}: the mountpoint does not exist; make it with: mkdir -p {path}") from None
        raise MountError(f"{path}: the mountpoint cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise MountError(f"{path}: the mountpoint must be a directory (it comes last, after the members)")
    _check_directory(path)


def _already_mounted(path: str, present: Mount) -> str:
    """Return the sentence for a busy mountpoint."""
    if present.fs_type == FS_TYPE:
        return (
            f"{path}: a raidfs mount is there already (or was left by one that died); end it with: raidfs umount {path}"
        )
    return f"{path}: {present.source} ({present.fs_type}) is mounted there already; choose an empty directory"


def _check_directory(path: str) -> None:
    """Make sure that the directory is empty and that the caller may mount over it."""
    try:
        with os.scandir(path) as entries:
            occupied = next(entries, None) is not None
    except OSError as error:
        raise MountError(f"{path}: the mountpoint cannot be read: {error.strerror}") from None
    if occupied:
        raise MountError(f"{path}: the mountpoint is not empty, a mount would hide what is in it; choose an empty one")
    if os.geteuid() != 0 and not os.access(path, os.W_OK):
        raise MountError(f"{path}: the mountpoint must be writable for you to mount there; choose a directory of yours")


def check_fuse(options: MountOptions, device: str = DEVICE, configuration: str = _FUSE_CONF) -> None:
    """Make sure that this machine lets the caller mount with FUSE.

    Raises:
        MountError: /dev/fuse or fusermount3 is missing or not permitted, or `allow_other` is not granted.
    """
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise MountError(_no_device(device, error)) from None
    if os.geteuid() == 0:
        return
    if shutil.which("fusermount3") is None:
        raise MountError("fusermount3 is missing, without it only root can mount; install the package fuse3")
    if options.allow_other and not _grants_allow_other(configuration):
        raise MountError(f"-o allow_other needs the line user_allow_other in {configuration} (or root)")


def _no_device(device: str, error: OSError) -> str:
    """Return the sentence for a FUSE device that cannot be opened."""
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return (
            f"{device} is missing; load FUSE with: modprobe fuse (a container must be started with --device {device})"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{device} is not permitted to you; run as root, or ask for access to it"
    return f"{device} cannot be opened: {error.strerror}"


def _grants_allow_other(configuration: str) -> bool:
    """Tell whether /etc/fuse.conf lets users ask for `allow_other`."""
    try:
        lines = Path(configuration).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() == "user_allow_other" for line in lines)
