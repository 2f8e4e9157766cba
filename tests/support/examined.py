"""What `mdadm --examine` prints of a member, held against a claim: mdadm reads superblocks independently of raidfs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from raidfs.superblock.claim import JOURNAL, SPARE, MemberClaim

SECTOR, KIB = 512, 1024
_LEVELS = {"linear": -1, "raid0": 0, "raid1": 1, "raid4": 4, "raid5": 5, "raid6": 6, "raid10": 10}
_LAYOUTS = {"left-asymmetric": 0, "right-asymmetric": 1, "left-symmetric": 2, "right-symmetric": 3, "parity-first": 4}
_LAYOUTS |= {"parity-last": 5, "near=2": 0x102, "offset=2": 0x10201, "far=2": 0x201, "original": 1, "alternate": 2}


def examined_members(text: str) -> Iterator[tuple[int, str]]:
    """Yield the index of each member (`/dev/vda` is 0) and what mdadm printed of it; partitions are left out."""
    for part in re.split(r"^(?=/dev/)", text, flags=re.MULTILINE):
        device = re.match(r"/dev/vd([a-z]):\n", part)
        if device and "a92b4efc" in part:
            yield ord(device[1]) - ord("a"), part


def assert_as_examined(claim: MemberClaim, text: str) -> None:
    """Compare everything that mdadm prints of one member with what raidfs claims of it."""
    printed: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(" : ")
        if separator:
            printed.setdefault(name.strip(), value.strip())
    got: dict[str, object] = {}
    want: dict[str, object] = {}
    for field, claimed, expected in _pairs(claim, printed):
        got[field], want[field] = claimed, expected
    assert got == want


def _pairs(claim: MemberClaim, printed: dict[str, str]) -> Iterator[tuple[str, object, object]]:
    """Yield name, what raidfs claims, what mdadm printed."""
    yield "events", claim.events, int(printed["Events"])
    yield "level", claim.level, _LEVELS[printed["Raid Level"]]
    yield "raid_disks", claim.raid_disks, int(printed["Raid Devices"])
    yield "created", _time(claim.created), printed["Creation Time"]
    yield "updated", _time(claim.updated), printed["Update Time"]
    if "Chunk Size" in printed:
        yield "chunk_size", claim.chunk_size, int(printed["Chunk Size"][:-1]) * KIB
    if printed.get("Layout") in _LAYOUTS:
        yield "layout", claim.layout, _LAYOUTS[printed["Layout"]]
    yield "clean", claim.resync_offset is None, printed["State"].startswith("clean")
    yield from _reshape_pairs(claim, printed)
    yield from _pairs_0(claim, printed) if printed["Version"].startswith("0.9") else _pairs_1(claim, printed)


def _reshape_pairs(claim: MemberClaim, printed: dict[str, str]) -> Iterator[tuple[str, object, object]]:
    reshape = claim.reshape
    yield "reshape", reshape is not None, "Reshape pos'n" in printed
    if reshape is None:
        return
    yield "position", reshape.position // KIB, int(printed["Reshape pos'n"].split()[0])
    yield "delta_disks", reshape.delta_disks, int(printed.get("Delta Devices", "0").split()[0])
    if "New Chunksize" in printed:
        yield "new_chunk_size", reshape.new_chunk_size, int(printed["New Chunksize"][:-1]) * KIB
    if printed.get("New Layout") in _LAYOUTS:
        yield "new_layout", reshape.new_layout, _LAYOUTS[printed["New Layout"]]
    new_data_offset = printed.get("New Offset", printed.get("Data Offset", "0"))
    yield "new_offset", claim.data_offset + reshape.new_offset, _sectors(new_data_offset)


def _pairs_0(claim: MemberClaim, printed: dict[str, str]) -> Iterator[tuple[str, object, object]]:
    yield "metadata", claim.metadata, "0.90"
    yield "array_uuid", claim.array_uuid, printed["UUID"].split()[0]
    yield "component_size", claim.component_size, int(printed["Used Dev Size"].split()[0]) * KIB


def _pairs_1(claim: MemberClaim, printed: dict[str, str]) -> Iterator[tuple[str, object, object]]:
    feature_map = int(printed["Feature Map"], 16)
    yield "metadata", claim.metadata, printed["Version"]
    yield "array_uuid", claim.array_uuid, printed["Array UUID"]
    yield "array_name", claim.array_name, printed["Name"].split(" ")[0]
    yield "device_uuid", claim.device_uuid, printed["Device UUID"]
    yield "superblock_offset", claim.superblock_offset, _sectors(printed["Super Offset"])
    yield "data_offset", claim.data_offset, _sectors(printed.get("Data Offset", "0"))
    yield "data_size", claim.data_size, _sectors(printed["Avail Dev Size"])
    if "Used Dev Size" in printed:
        yield "component_size", claim.component_size or 0, _sectors(printed["Used Dev Size"])
    recovery = printed.get("Recovery Offset")
    yield "recovery_offset", claim.recovery_offset, None if recovery is None else _sectors(recovery)
    bitmap = printed.get("Internal Bitmap")
    bitmap_offset = None if bitmap is None else claim.superblock_offset + _sectors(bitmap)
    yield "bitmap_offset", claim.bitmap_offset, bitmap_offset
    yield "bad blocks", claim.bad_block_log is not None, "present" in printed.get("Bad Block Log", "")
    role = printed["Device Role"]
    special = {"spare": SPARE, "Journal": JOURNAL}
    yield "role", claim.role, special[role] if role in special else int(role.split()[-1])
    yield "replacement", claim.replacement, role.startswith("Replacement")
    yield "has_journal", claim.has_journal, bool(feature_map & 0x200)
    yield "ppl", claim.ppl is not None, bool(feature_map & 0xC00)


def _sectors(text: str) -> int:
    return int(text.split(maxsplit=1)[0]) * SECTOR


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%a %b %e %H:%M:%S %Y")
