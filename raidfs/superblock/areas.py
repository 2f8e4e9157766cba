"""Where the parts of a member lie that are no data, and whether its data can lie where its superblock says.

md refuses members whose data would begin in the superblock (`md.c: super_1_load`); mdadm never lays data over a bitmap
or a log (`super1.c: write_init_super1`). So a data_offset with which they overlap is no place of data.
"""

from __future__ import annotations

from collections.abc import Iterator

from raidfs.superblock.claim import MemberClaim
from raidfs.units import format_offset

_PAGE = 4096
"""What a superblock, and at least what a bitmap takes [bytes]."""


def misplaced_data(claim: MemberClaim) -> str:
    """Say why the data of a member cannot lie where it says, one clause about the member; empty: they can."""
    if claim.metadata == "0.90" or claim.role < 0:  # has no field for it; holds no data of the array
        return ""
    length = claim.component_size or claim.data_size or 0
    shift = claim.reshape.new_offset if claim.reshape else 0
    for name, start in (("data_offset", claim.data_offset), ("data_offset and new_offset", claim.data_offset + shift)):
        for what, at, size in _areas(claim):
            if start < at + size and at < start + length:
                return (
                    f"says that its data begin at {format_offset(start)} ({name}), which lays {length} bytes over its "
                    f"{what} at {format_offset(at)}"
                )
        if claim.metadata != "1.0" and start < claim.superblock_offset:
            return (
                f"says that its data begin at {format_offset(start)} ({name}), before its superblock at "
                f"{format_offset(claim.superblock_offset)}"
            )
    return ""


def _areas(claim: MemberClaim) -> Iterator[tuple[str, int, int]]:
    """Yield what no data lie over: what it is, where it begins and how long it is [member bytes]."""
    yield "superblock", claim.superblock_offset, _PAGE
    if claim.bitmap_offset is not None:
        yield "write-intent bitmap", claim.bitmap_offset, _PAGE
    if claim.bad_block_log is not None:
        yield "bad-block log", claim.bad_block_log.offset, claim.bad_block_log.size
    if claim.ppl is not None:
        yield "partial parity log", claim.ppl.offset, claim.ppl.size
