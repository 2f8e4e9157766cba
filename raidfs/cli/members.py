"""Where members were found: on an image, in a partition of one, on another array."""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.array.choose import Claimed
from raidfs.cli.nested import Nested
from raidfs.finding import Finding
from raidfs.image.raw import RawImage
from raidfs.image.window import Window
from raidfs.superblock.claim import BitmapClaim
from raidfs.superblock.found import Found

MemberSource = RawImage | Window | Nested
"""Where a member's bytes are: a whole image, a partition of one, or another array."""


@dataclass(frozen=True)
class FoundMember:
    """A member with what it says.

    Attributes:
        source: its bytes.
        superblock: of it.
        claimed: what that says.
        findings: about it.
        within: the same of a superblock among its data that seems to belong to what lies on its array.
    """

    source: MemberSource
    superblock: Found
    claimed: Claimed
    findings: tuple[Finding, ...]
    within: FoundMember | None = None


@dataclass(frozen=True)
class Searched:
    """What was found on an image.

    Attributes:
        members: on it.
        findings: about the image as a whole.
        bitmap: (path, bitmap) if it is a file with a write-intent bitmap.
        backup: the image if it is a file with mdadm's backup of a reshape.
    """

    members: tuple[FoundMember, ...]
    findings: tuple[Finding, ...] = ()
    bitmap: tuple[str, BitmapClaim] | None = None
    backup: RawImage | None = None


def images_of(member: MemberSource) -> tuple[RawImage, ...]:
    """Return the image that a member lies on; none where it is an array."""
    if isinstance(member, Nested):
        return ()
    return (member.image if isinstance(member, Window) else member,)


def images_below(member: MemberSource) -> tuple[RawImage, ...]:
    """Return all images that a member lies on: of an array, those of its members."""
    return member.array.images_below if isinstance(member, Nested) else images_of(member)
