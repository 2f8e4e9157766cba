"""What mdadm and sysfs said of an array, as numbers: the words to compare ours with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.support.examined import examined_members
from tests.support.golden import SECTOR, Case

LAYOUTS = (
    *("left-asymmetric", "right-asymmetric", "left-symmetric", "right-symmetric", "parity-first", "parity-last"),
    *("", "", "ddf-zero-restart", "ddf-N-restart", "ddf-N-continue", "", "", "", "", ""),
    *("left-asymmetric-6", "right-asymmetric-6", "left-symmetric-6", "right-symmetric-6", "parity-first-6"),
)
"""md's layout number -> mdadm's name (mdadm(8), `--layout`)."""

_FIXED = {"raid4": "parity-last", "raid1": "mirrored", "linear": "concatenated"}
"""Levels that ignore the field (`raid5.c`, `raid1.c`)."""


@dataclass(frozen=True)
class Told:
    """What `mdadm --examine` said of one member; None where it said nothing."""

    role: int | None
    events: int
    data_offset: int | None
    new_data_offset: int | None


def shapes(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the old and the new shape as sysfs had them before the crash: `new (old)`."""
    said = case.data["before_crash"]
    level = said["level"]
    both = []
    for which in (1, 0):
        chunk_size, raid_disks, layout = (_numbers(said[key])[which] for key in ("chunk_size", "raid_disks", "layout"))
        name = _layout_name(level, layout)
        both.append({"level": level, "layout": name, "chunk_size": chunk_size, "raid_disks": raid_disks})
    return both[0], both[1]


def _layout_name(level: str, layout: int) -> str:
    """mdadm's name of a layout number."""
    if level in _FIXED:
        return _FIXED[level]
    if level == "raid0":
        return ("original", "alternate")[layout - 1]
    if level == "raid10":
        near, far = layout & 255, layout >> 8 & 255
        return f"near={near}" if far == 1 else f"{'offset' if layout >> 16 & 1 else 'far'}={far}"
    return LAYOUTS[layout]


def told_of_members(case: Case) -> list[Told]:
    """Return what `mdadm --examine` said of each image, in order."""
    return [_told(block) for _, block in examined_members(case.examine_text)]


def _told(block: str) -> Told:
    role = _find(r"Device Role : (?:Active|Replacement) device (\d+)", block)
    if role is None:  # 0.90
        role = _find(r"^this +\d+ +\d+ +\d+ +(\d+) +active", block)
    offset = _find(r"Data Offset : (\d+) sectors", block)
    new_offset = _find(r"New Offset : (\d+) sectors", block)
    events = re.search(r"Events : ([\d.]+)", block)
    assert events is not None
    high, _, low = events[1].rpartition(".")  # 0.90 prints both halves
    return Told(
        role,
        int(high or 0) << 32 | int(low),
        None if offset is None else offset * SECTOR,
        None if new_offset is None else new_offset * SECTOR,
    )


def _find(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, flags=re.MULTILINE)
    return None if found is None else int(found[1])


def _numbers(text: str) -> tuple[int, int]:
    found = [int(number) for number in re.findall(r"\d+", text)]
    return found[0], found[-1]
