"""Bytes in, bytes out: parsing and printing of sizes; and of times.

Inside raidfs every quantity is in bytes. Sectors (512 bytes, always) exist only in the field tables of
`raidfs.superblock` and in what is printed for users of mdadm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from raidfs.errors import UsageError

SECTOR = 512
"""Size of md's sector in bytes, whatever the device's own sector size is."""

_SUFFIXES = {"": 1, "S": SECTOR, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = re.compile(r"(0x[0-9a-f]+|[0-9]+)\s*([skmgtp]?)(?:i?b)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Read a size such as `512`, `64K`, `1M`, `0x1000`, or `2048s` (512-byte sectors).

    Returns:
        The size in bytes.

    Raises:
        UsageError: the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size; write bytes (512), or a number with K, M, G, T or s (512-byte sectors)")
    return int(match[1], 0 if match[1].lower().startswith("0x") else 10) * _SUFFIXES[match[2].upper()]


def format_size(n_bytes: int) -> str:
    """Print a size for people: exact when it is a whole number of a binary unit, else rounded to two places.

    >>> format_size(65536), format_size(48234496), format_size(700)
    ('64 KiB', '46 MiB', '700 bytes')
    """
    for power, unit in ((50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if abs(n_bytes) >= 1 << power:
            return f"{n_bytes / (1 << power):.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{n_bytes} bytes"


def format_time(microseconds: int) -> str:
    """Print a time since 1970 for people; superblocks may say any.

    >>> format_time(1_600_000_000_000_000)
    '2020-09-13 12:26:40 UTC'
    """
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return "no time"


def format_numbers(numbers: Iterable[int]) -> str:
    """List ascending numbers for people; runs of four and more by their ends.

    >>> format_numbers([0, 1, 2, 5, 7, 8, 9, 10])
    '0, 1, 2, 5, 7-10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = [[f"{run[0]}-{run[-1]}"] if len(run) > 3 else [str(number) for number in run] for run in runs]
    return ", ".join(word for words in told for word in words)


def format_offset(n_bytes: int) -> str:
    """Print a position as mdadm's user knows it: bytes and, where it is whole, sectors.

    >>> format_offset(1048576)
    '1048576 bytes (sector 2048)'
    """
    if n_bytes % SECTOR:
        return f"{n_bytes} bytes (sector {n_bytes // SECTOR} + {n_bytes % SECTOR})"
    return f"{n_bytes} bytes (sector {n_bytes // SECTOR})"


def align_down(value: int, unit: int) -> int:
    """Return the largest multiple of `unit` that is not above `value`."""
    return value - value % unit


def align_up(value: int, unit: int) -> int:
    """Return the smallest multiple of `unit` that is not below `value`."""
    return value + -value % unit
