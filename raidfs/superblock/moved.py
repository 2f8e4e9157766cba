"""Superblocks 1.0 that no longer lie where an image of this size has them: the image was cut or grown.

A 1.0 superblock is found from the end of its member, and records where it lies from the start. Where only the end has
moved, it still says its own place, which proves it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raidfs.block import BlockSource, read_exact
from raidfs.superblock import md1
from raidfs.superblock.checks import Notes
from raidfs.superblock.found import Found
from raidfs.superblock.md1_fields import MAGIC
from raidfs.units import align_down, format_offset

SEARCHED = 1 << 20
"""How much of the end of an image is searched [bytes]."""

_STEP = 4096
_HEAD_OF_DEVICE = 2 * _STEP


def find_moved(source: BlockSource, subject: str) -> list[Found]:
    """Search the end of an image for superblocks 1.0 at 4 KiB-aligned places that say that they belong there.

    Args:
        source: the member.
        subject: its path, for findings.

    Returns:
        What was found, each with a finding; places where 1.1 and 1.2 lie are left out.
    """
    start = max(_HEAD_OF_DEVICE, align_down(source.size - SEARCHED, _STEP))
    if source.size - start < _STEP:
        return []
    raw, _lost = read_exact(source, start, align_down(source.size - start, _STEP))
    heads = np.frombuffer(raw, dtype="<u4").reshape(-1, _STEP // 4)[:, 0]
    found = []
    for block in np.flatnonzero(heads == MAGIC).tolist():
        at = start + block * _STEP
        superblock = md1.parse(raw[block * _STEP : (block + 1) * _STEP], at, "1.0", source.size, subject)
        if superblock is not None and superblock.record.quantity("super_offset") == at:
            found.append(_with_finding(superblock, at, source.size, subject))
    return found


def _with_finding(found: Found, at: int, size: int, subject: str) -> Found:
    """Return the superblock with the finding that it is not where it should be."""
    notes = Notes.of(subject, found.metadata, at)
    expected = next(place for place, metadata in md1.offsets(size) if metadata == found.metadata)
    notes.warn(
        f"an image of {size} bytes has it at {format_offset(expected)}, but it says itself that it belongs here:"
        " the image was cut or grown"
    )
    return replace(found, findings=(*found.findings, *notes.findings))
