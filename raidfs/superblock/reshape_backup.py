"""mdadm's backup of what a reshape in place is about to overwrite: header -> parts of the array.

    file:     0         4096                                            a header, then the data of one or two parts
              | header  | part 1 ............ | part 2 ............ |
    member:   ....| header | data of part 1 ............... | header |  of a disk that a growing array was given, at the
              data_offset + component_size ........................^    end of its component; the first is changed later

The data are plain array bytes in their order, without parity. The checksum of the header depends on its first byte only
(each round of mdadm's loop adds that one), so all that it tells is that somebody wrote it.

Not here: whether it fits the array (`raidfs.array.backup`), and whether it was taken in time, which only the data tell
(`raidfs.cli.backups`). Reference: mdadm's `Grow.c`: `struct mdp_backup_super`, `bsb_csum`, `Grow_restart`.
"""

from __future__ import annotations

from raidfs.block import BlockSource, read_exact
from raidfs.superblock.claim import BackupClaim, BackupPart
from raidfs.superblock.layout import Field, Record, Table
from raidfs.units import SECTOR

HEADER = Table(
    "mdadm's backup of a reshape",
    512,
    (
        Field("magic", "V16", 0, "", "md_backup_data-1, or -2 where there is a second part"),
        Field("set_uuid", "V16", 16, "", "of the array"),
        Field("mtime", "u8", 32, "seconds", "when it was written"),
        Field("devstart", "u8", 40, "sectors", "where the data of part 1 begin, in the file or on the device"),
        Field("arraystart", "u8", 48, "sectors", "of the array: where part 1 begins"),
        Field("length", "u8", 56, "sectors", "of part 1; 0: it is not needed any more"),
        Field("sb_csum", "u4", 64, "bits", "of the bytes before it; always 0x24924915"),
        Field("devstart2", "u8", 72, "sectors", "where the data of part 2 begin, counted from devstart", "always set"),
        Field("arraystart2", "u8", 80, "sectors", "of the array: where part 2 begins", "-2"),
        Field("length2", "u8", 88, "sectors", "of part 2", "-2"),
        Field("sb_csum2", "u4", 96, "bits", "of the bytes before it; always 0x24924915", "-2"),
    ),
)
"""The header; always little-endian, but for `devstart2`, which hosts of the other order write wrongly."""

MAGIC_1, MAGIC_2 = b"md_backup_data-1", b"md_backup_data-2"
_CHECKSUM = 0x24924915
_BEHIND_FIELDS = 100
_TRAILING = 8 * SECTOR
"""How far before the end of a component the last header of a member lies [bytes]."""
_AHEAD = 8 * SECTOR
"""How far before its data the first header lies [bytes]."""


def read_backup_file(source: BlockSource) -> BackupClaim:
    """Read the header of a file that mdadm was given with `--backup-file`; what is wrong with it is its `problem`.

    Raises:
        SourceError: the source is gone.
    """
    raw, lost = read_exact(source, 0, min(HEADER.size, source.size))
    if lost or len(raw) < HEADER.size:
        return _useless("its header cannot be read" if lost else "it is too short for a header")
    if not any(raw):
        return _useless("it is empty: mdadm made the file, but took no backup yet")
    return _parse(raw, source.size)


def is_backup_file(source: BlockSource) -> bool:
    """Tell whether an image begins like a backup.

    Raises:
        SourceError: the source is gone.
    """
    if source.size < HEADER.size:
        return False
    raw, lost = read_exact(source, 0, HEADER.size)
    return not lost and raw[:16] in (MAGIC_1, MAGIC_2)


def read_backup_on_member(source: BlockSource, data_offset: int, component_size: int) -> BackupClaim | None:
    """Read the backup at the end of the component of a disk that was added; None: there is none.

    mdadm gives it up by changing the first of its two headers, so that they differ.

    Args:
        source: the member.
        data_offset: where its component begins [bytes].
        component_size: [bytes].

    Raises:
        SourceError: the source is gone.
    """
    at = data_offset + component_size - _TRAILING
    if not 0 <= at <= source.size - HEADER.size:
        return None
    raw, lost = read_exact(source, at, HEADER.size)
    if lost or raw[:16] not in (MAGIC_1, MAGIC_2):
        return None
    claim = _parse(raw, source.size)
    first = HEADER.parse(raw).quantity("devstart") - _AHEAD
    if claim.problem or not 0 <= first <= at:
        return claim if claim.problem else _useless("its headers are not where it says")
    other, lost = read_exact(source, first, HEADER.size)
    if lost or other != raw:
        given_up = not lost and other[:16] == raw[:16] and not HEADER.parse(other).number("length")
        return _useless("mdadm gave it up, for it was not needed any more" if given_up else "its two headers differ")
    return claim


def _parse(raw: bytes, size: int) -> BackupClaim:
    """Understand a header; `size`: of what it lies on [bytes]."""
    record = HEADER.parse(raw)
    magic = raw[:16]
    if magic not in (MAGIC_1, MAGIC_2):
        return _useless("it does not begin like one of mdadm's backups")
    has_two = magic == MAGIC_2
    sums = [record.number("sb_csum"), record.number("sb_csum2") if has_two else _CHECKSUM]
    if sums != [_CHECKSUM, _CHECKSUM] or any(raw[_BEHIND_FIELDS:]) or any(raw[68:72]):
        return _useless("its header is torn or damaged")
    start = record.quantity("devstart")
    parts = [_part(record, "", start)]
    if has_two:
        parts.append(_part(record, "2", start + record.quantity("devstart2")))
    used = tuple(part for part in parts if part.length)
    problem = _misplaced(used, size)
    return BackupClaim(record.blob("set_uuid"), record.number("mtime"), () if problem else used, problem)


def _part(record: Record, name: str, at: int) -> BackupPart:
    return BackupPart(record.quantity(f"arraystart{name}"), record.quantity(f"length{name}"), at)


def _misplaced(parts: tuple[BackupPart, ...], size: int) -> str:
    """Say what is wrong with where the data are said to lie, one clause; or ''."""
    if not parts:
        return "mdadm gave it up: it holds no part of the array any more"
    if any(part.at < HEADER.size or part.at + part.length > size for part in parts):
        return f"its data would reach beyond it ({size} bytes)"
    if len(parts) == 2 and abs(parts[0].at - parts[1].at) < parts[parts[0].at > parts[1].at].length:
        return "its two parts overlap"
    return ""


def _useless(problem: str) -> BackupClaim:
    return BackupClaim(b"", 0, (), problem)
