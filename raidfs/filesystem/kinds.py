"""Which reader reads which kind of file system. They are imported when they are needed: some bring libraries along."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from raidfs.errors import Damaged
from raidfs.filesystem.entry import Device, Reader

READERS = {
    "ext2": ("ext", "ExtReader"),
    "ext3": ("ext", "ExtReader"),
    "ext4": ("ext", "ExtReader"),
    "xfs": ("xfs", "XfsReader"),
    "ntfs": ("ntfs", "NtfsReader"),
    "vfat": ("fat", "FatReader"),
    "exfat": ("exfat", "ExfatReader"),
    "btrfs": ("btrfs", "BtrfsReader"),
}
"""Kind, as `raidfs.view.probe` names it -> module of this package and class."""

_LIBRARIES = {
    "ntfs": ("pyfsntfs", "libfsntfs-python (pip install 'raidfs[files]')"),
    "btrfs": ("dissect.btrfs", "dissect.btrfs (pip install 'raidfs[btrfs]')"),
}
"""Kind -> module that its reader needs, and how it comes here; it is never loaded into a process that does more."""


def missing_library(kind: str) -> str | None:
    """Return what is not installed and needed for a kind of file system, or ''; None: there is no reader for it."""
    if kind not in READERS:
        return None
    module, name = _LIBRARIES.get(kind, ("", ""))
    return name if module and not _is_there(module) else ""


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def open_reader(kind: str, device: Device) -> Reader:
    """Open the file system on a device.

    Raises:
        Unreadable: it cannot be read, or the library that reads it is not installed.
    """
    module, name = READERS[kind]
    try:
        opener = getattr(import_module(f"raidfs.filesystem.{module}"), name)
    except ImportError as error:
        raise Damaged(f"{kind} needs a library that is not installed ({error.name})") from error
    reader: Reader = opener(device)
    return reader
