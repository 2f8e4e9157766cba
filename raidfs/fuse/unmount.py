"""Ending a mount from outside: unmount, wait until it and its daemon are gone, or say who holds it.

Imports neither pyfuse3 nor trio.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from raidfs.errors import MountError
from raidfs.fuse.mountpoint import FS_TYPE, PID_XATTR, Mount, find_mount, mounts

_PATIENCE = 30.0
"""Seconds to wait for the daemon's end once nothing is mounted any more."""
_MOST_HOLDERS = 5


def end_mount(path: str) -> None:
    """Unmount what raidfs mounted at `path`, and wait until its daemon has ended.

    Raises:
        MountError: nothing of ours is mounted there, it is busy, or it cannot be unmounted.
    """
    mount = find_mount(path)
    if mount is None:
        raise MountError(f"{path}: nothing is mounted there")
    if mount.fs_type != FS_TYPE:
        raise MountError(f"{path}: not a raidfs mount but {mount.source} ({mount.fs_type}); end it with: umount {path}")
    daemon = _daemon_of(mount)
    try:
        _unmount(mount)
        if daemon is not None and not _wait(daemon):
            raise MountError(f"{path}: unmounted, but its daemon has not ended yet; it may wait for a member to answer")
    finally:
        if daemon is not None:
            os.close(daemon)


def _daemon_of(mount: Mount) -> int | None:
    """Return a file descriptor of the process that serves the mount, None where it has ended."""
    # a dead daemon answers nothing, and an older one may not know the attribute
    with suppress(OSError, ValueError):
        return os.pidfd_open(int(os.getxattr(mount.mountpoint, PID_XATTR)))
    return None


def _wait(daemon: int) -> bool:
    """Wait for a process; return whether it has ended."""
    poll = select.poll()
    poll.register(daemon, select.POLLIN)
    return bool(poll.poll(_PATIENCE * 1000))


def _unmount(mount: Mount) -> None:
    """Unmount, and make sure that it is no longer listed."""
    by_fuse = shutil.which("fusermount3")
    command = [by_fuse, "-u", "--", mount.mountpoint] if by_fuse else ["umount", "--", mount.mountpoint]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # a list, and no shell
    except OSError as error:
        raise MountError(f"{mount.mountpoint}: {command[0]} cannot be run: {error.strerror}") from None
    if not any(each.device == mount.device and each.mountpoint == mount.mountpoint for each in mounts()):
        return
    said = " ".join(done.stderr.split()) or f"{command[0]} ended with {done.returncode}"
    if "busy" not in said.lower():
        raise MountError(f"{mount.mountpoint}: cannot be unmounted: {said}")
    holders = list(_holders(mount.mountpoint))
    shown = "; ".join(holders[:_MOST_HOLDERS]) or "somebody whom only root can see"
    more = f"; and {len(holders) - _MOST_HOLDERS} more" if len(holders) > _MOST_HOLDERS else ""
    raise MountError(f"{mount.mountpoint}: busy, held by {shown}{more}")


def _holders(mountpoint: str) -> Iterator[str]:
    """Name the loop devices and processes that use something below `mountpoint`."""
    yield from _loop_devices(mountpoint)
    for process in sorted((each for each in Path("/proc").iterdir() if each.name.isdecimal()), key=_number):
        use = _use_by(process, mountpoint)
        if use:
            yield f"{_command(process)} (pid {process.name}), {use}"


def _number(process: Path) -> int:
    return int(process.name)


def _loop_devices(mountpoint: str) -> Iterator[str]:
    """Name the loop devices whose file lies below `mountpoint`, and what is mounted from them."""
    for backing in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        with suppress(OSError):
            if not _is_below(backing.read_text(errors="surrogateescape").rstrip("\n"), mountpoint):
                continue
            device = f"/dev/{backing.parts[-3]}"
            above = [each.mountpoint for each in mounts() if each.source.startswith(device)]
            steps = [*(f"umount {each}" for each in above), f"losetup -d {device}"]
            yield f"{device}, which is attached to {backing.read_text().strip()} (end it with: {' && '.join(steps)})"


def _use_by(process: Path, mountpoint: str) -> str:
    """Return how a process uses something below `mountpoint`; empty where it does not, or where we may not see."""
    for name, use in (("cwd", "working in {}"), ("root", "rooted in {}"), ("exe", "running {}")):
        with suppress(OSError):
            target = os.readlink(process / name)
            if _is_below(target, mountpoint):
                return use.format(target)
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                target = os.readlink(descriptor)
                if _is_below(target, mountpoint):
                    return f"with {target} open"
    return ""


def _is_below(path: str, mountpoint: str) -> bool:
    return path == mountpoint or path.startswith(mountpoint.rstrip("/") + "/")


def _command(process: Path) -> str:
    """Return the name of a process."""
    with suppress(OSError):
        return (process / "comm").read_text(errors="replace").strip()
    return "a process"
