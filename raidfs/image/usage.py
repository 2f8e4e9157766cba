"""Who may be writing to a member: mounts, swap, arrays and mappings above it.

By observation only; nothing is claimed or opened.

Reads `/proc/self/mountinfo`, `/proc/swaps` and the `holders` that the kernel lists in sysfs. Not seen: a process that
simply has the image open, and other machines.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_WRITABLE = {True: "writable", False: "read-only"}


@dataclass(frozen=True)
class _Mount:
    """One line of mountinfo: device number `major:minor`, mount point, writable, and the source as given."""

    number: str
    mountpoint: str
    is_writable: bool
    source: str


def users_of(path: str, proc: str = "/proc", sys: str = "/sys") -> list[str]:
    """Tell who may be writing to an image.

    Args:
        path: of a regular file or a block device.
        proc: where procfs is mounted; for tests.
        sys: where sysfs is mounted; for tests.

    Returns:
        One sentence for each user; empty where nobody is seen, or the path is of another kind.

    Raises:
        OSError: there is no such path.
    """
    status = os.stat(path)
    if stat.S_ISBLK(status.st_mode):
        return users_of_device(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}", proc, sys)
    if stat.S_ISREG(status.st_mode):
        return _swap_users(os.path.realpath(path), status, proc) + _loop_users(path, status, proc, sys)
    return []


def users_of_device(number: str, proc: str = "/proc", sys: str = "/sys") -> list[str]:
    """Tell who may be writing to a block device, to one of its partitions, or to the disk that it is a partition of.

    Args:
        number: `major:minor`.
        proc: where procfs is mounted.
        sys: where sysfs is mounted.
    """
    return [sentence for folder in _related(Path(sys, "dev/block", number)) for sentence in _own_users(folder, proc)]


def _own_users(folder: Path, proc: str) -> list[str]:
    """Return the users of one device, given its folder in sysfs."""
    device, number = _device_path(folder), _text(folder / "dev")
    users = [
        f"{device} is mounted at {mount.mountpoint} ({_WRITABLE[mount.is_writable]}); unmount it first"
        for mount in _mounts(proc)
        if mount.number == number or _is_device(mount.source, number)
    ]
    users += [f"{device} is used as swap; run swapoff first" for name in _swaps(proc) if _is_swap(name, device, number)]
    return users + [_held_by(device, holder) for holder in _children(folder / "holders")]


def _held_by(device: str, holder: Path) -> str:
    if (holder.resolve() / "md").is_dir():
        return (
            f"{device} is part of the running array /dev/{holder.name}; stop it first (mdadm --stop /dev/{holder.name})"
        )
    return f"{device} is held by /dev/{holder.name}; remove that first"


def _swap_users(real_path: str, status: os.stat_result, proc: str) -> list[str]:
    """Return whether a regular file is in use as swap."""
    names = [name for name in _swaps(proc) if name == real_path or _is_same_file(name, status)]
    return [f"{name} is used as swap; run swapoff first" for name in names]


def _loop_users(path: str, status: os.stat_result, proc: str, sys: str) -> list[str]:
    """Return the loop devices over a regular file through which it may be written."""
    users = []
    for folder in _children(Path(sys, "block")):
        backing = _text(folder / "loop/backing_file")
        if not backing or not (backing == os.path.realpath(path) or _is_same_file(backing, status)):
            continue
        above = [sentence for each in _related(folder) for sentence in _own_users(each, proc)]
        if _text(folder / "ro") != "1":
            users.append(
                f"{path} can be written through /dev/{folder.name}; detach it first (losetup -d /dev/{folder.name})"
            )
            users += above
        else:
            users += [sentence for sentence in above if f"({_WRITABLE[False]})" not in sentence]
    return users


def _related(folder: Path) -> Iterator[Path]:
    """Yield the sysfs folders of a device, its partitions, and the disk that it is a partition of."""
    real = folder.resolve()
    if not real.is_dir():
        return
    yield real
    if (real / "partition").exists():
        yield real.parent
    yield from (child for child in _children(real) if (child / "partition").exists())


def _device_path(folder: Path) -> str:
    """Return the device's path; sysfs writes `!` for `/` in names."""
    return f"/dev/{folder.name.replace('!', '/')}"


def _mounts(proc: str) -> Iterator[_Mount]:
    """Yield the mounts of our namespace (`proc(5)`: mountinfo)."""
    for line in _lines(Path(proc, "self/mountinfo")):
        before, _separator, after = line.partition(" - ")
        fields, further = before.split(" "), after.split(" ")
        if len(fields) >= 6 and len(further) >= 3:
            is_writable = "rw" in fields[5].split(",") and "ro" not in further[2].split(",")
            yield _Mount(fields[2], _unescape(fields[4]), is_writable, _unescape(further[1]))


def _swaps(proc: str) -> Iterator[str]:
    """Yield the files and devices in use as swap."""
    for line in _lines(Path(proc, "swaps"))[1:]:
        if line.strip():
            yield _unescape(line.split()[0])


def _is_swap(name: str, device: str, number: str) -> bool:
    return name == device or _is_device(name, number)


def _is_device(path: str, number: str) -> bool:
    """Tell whether a path is the node of the block device with that number; btrfs mounts show it only by its path."""
    if not path.startswith("/"):
        return False
    with suppress(OSError):
        status = os.stat(path)
        return stat.S_ISBLK(status.st_mode) and f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" == number
    return False


def _is_same_file(path: str, status: os.stat_result) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.stat(path), status)
    return False


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(errors="surrogateescape").splitlines()
    return []


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="surrogateescape").strip()
    return ""


def _children(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []
