"""A device as the file that libraries want to read from: with a position."""

from __future__ import annotations

import os

from raidfs.filesystem.entry import Device


class DeviceFile:
    """A file object over a device. What is lost raises `Lost`; libraries pass it on, or make errors of theirs of it."""

    def __init__(self, device: Device) -> None:
        """Begin at the start."""
        self._device = device
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        left = max(0, self._device.size - self._at)
        length = left if size < 0 else min(size, left)
        data = self._device.read(self._at, length) if length else b""
        self._at += length
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; returns the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._device.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def get_size(self) -> int:
        """Return the size [bytes]."""
        return self._device.size
