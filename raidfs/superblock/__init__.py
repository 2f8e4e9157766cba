"""What one member says: superblocks of an image are found here and turned into claims, never judged.

A format is a module with `NAMES`, `SIZE`, `offsets`, `parse` and `claim`; see `Format`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from raidfs.block import BlockSource, read_exact
from raidfs.finding import Finding, Severity
from raidfs.superblock import md0, md1
from raidfs.superblock.claim import MemberClaim
from raidfs.superblock.found import Found
from raidfs.superblock.md1_fields import MAGIC
from raidfs.superblock.moved import find_moved
from raidfs.units import format_offset


class Format(Protocol):
    """A superblock format: a module."""

    NAMES: tuple[str, ...]
    """As mdadm names them."""

    SIZE: int
    """How much to read at each place [bytes]."""

    def offsets(self, size: int) -> Iterator[tuple[int, str]]:
        """Yield the places [member bytes] in a member of `size` bytes, each with the name of what lies there."""

    def parse(self, raw: bytes, at: int, metadata: str, size: int, subject: str) -> Found | None:
        """Read a superblock; None where there is none."""

    def claim(self, found: Found) -> MemberClaim:
        """Return what a superblock says."""


# 1.x first: it records its own place and covers itself with an exact checksum, so that it cannot be taken for anything
# else; 0.90 has neither, and is asked last.
FORMATS: tuple[Format, ...] = (md1, md0)
"""The formats, in the order in which they are tried."""

MAGICS: tuple[bytes, ...] = (MAGIC.to_bytes(4, "little"), MAGIC.to_bytes(4, "big"))
"""What every undamaged superblock begins with."""

WITHOUT_PLACE: tuple[str, ...] = md0.NAMES
"""Formats that do not record where they lie: seen from a wrong start, such a superblock looks right all the same."""


@dataclass(frozen=True)
class Scan:
    """What an image holds.

    Attributes:
        found: all superblocks, the preferred one first.
        findings: about the image as a whole; each superblock carries its own.
        within: those of `found` that lie among the data of another one, and seem to belong to what is on its array.
    """

    found: tuple[Found, ...]
    findings: tuple[Finding, ...]
    within: tuple[Found, ...] = ()


def places(size: int) -> list[int]:
    """Return where a member of `size` bytes has superblocks [member bytes]."""
    return sorted({at for each in FORMATS for at, _ in each.offsets(size)})


def offsets_of(metadata: str, size: int) -> list[int]:
    """Return where a member of `size` bytes may have a superblock of one format, by its name [member bytes]."""
    return [at for each in FORMATS for at, name in each.offsets(size) if name == metadata]


def length_of(claim: MemberClaim) -> int:
    """Return how many bytes of a superblock mean anything: what its checksum covers."""
    return md0.SIZE if claim.metadata in md0.NAMES else md1.length_of(len(claim.device_roles))


def scan(source: BlockSource, subject: str) -> Scan:
    """Look for superblocks at all places where a member of this size has them.

    Args:
        source: the member: an image, or a partition of one.
        subject: its path, for findings.

    Returns:
        The preferred superblock first: intact, then the newest array, then one whose data the image holds; the others
        are leftovers.

    Raises:
        SourceError: the source is gone.
    """
    found: dict[int, Found] = {}
    findings: list[Finding] = []
    for each in FORMATS:
        for at, metadata in each.offsets(source.size):
            raw, lost = read_exact(source, at, min(each.SIZE, source.size - at))
            superblock = each.parse(raw, at, metadata, source.size, subject)
            if superblock is not None:
                found.setdefault(at, superblock)
            if lost:
                findings.append(_unreadable(subject, metadata, at, lost.total, superblock is not None))
    if not any(each.metadata == "1.0" for each in found.values()):
        for superblock in find_moved(source, subject):
            found.setdefault(superblock.offset, superblock)
    within = [each for each in found.values() if any(_is_within(each, other, source.size) for other in found.values())]
    ordered = sorted(
        found.values(), key=lambda each: (each not in within, *_preference(each, source.size)), reverse=True
    )
    if len(ordered) - len(within) > 1:
        findings.append(_several(subject, [each for each in ordered if each not in within]))
    return Scan(tuple(ordered), tuple(findings), tuple(each for each in ordered if each in within))


def claim_of(found: Found) -> MemberClaim:
    """Return what a superblock says, free of its format."""
    return next(each for each in FORMATS if found.metadata in each.NAMES).claim(found)


def _is_within(found: Found, other: Found, size: int) -> bool:
    """Tell whether a superblock belongs to what lies on the array of another one: md on md, with data from sector 0 on.

    A disk that was used again holds such a pair, too; then the data of the new superblock reach over the old one at the
    end of the disk. On an array they end before it, or, where that has several members, do not fit on this one. A
    member that was copied onto a larger disk looks the same: only the others can tell; see `raidfs.array.leftover`.
    """
    if found is other or not (found.intact and other.intact):
        return False
    _, end = _area(found)
    holding, stop = _area(other)
    if not (holding <= found.offset < stop <= other.offset):
        return False
    return end <= stop or end > size


def _area(found: Found) -> tuple[int, int]:
    """Return where data of a member begin and end at most [bytes of the image]."""
    claim = claim_of(found)
    length = claim.data_size if claim.data_size is not None else claim.component_size or 0
    return claim.data_offset, claim.data_offset + length


def _preference(found: Found, size: int) -> tuple[bool, int, bool]:
    """Return the key by which superblocks of one image are ordered, the preferred one highest."""
    return found.intact, claim_of(found).created, _area(found)[1] <= size


def _unreadable(subject: str, metadata: str, at: int, n_lost: int, is_found: bool) -> Finding:
    meaning = "what was read of it is used" if is_found else "a superblock there cannot be ruled out"
    return Finding(
        Severity.WARNING if not is_found else Severity.NOTE,
        subject,
        f"{n_lost} bytes are unreadable where a superblock {metadata} would lie, at {format_offset(at)}: {meaning}",
    )


def _several(subject: str, ordered: list[Found]) -> Finding:
    names = ", ".join(f"{each.metadata} at {format_offset(each.offset)}" for each in ordered)
    return Finding(
        Severity.WARNING,
        subject,
        f"several superblocks are on this image, most of them left over from earlier use ({names}): the first is used",
    )
