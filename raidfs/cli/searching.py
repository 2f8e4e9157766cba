"""Which members lie on an image: the whole of it, or partitions.

One superblock may be seen from both, and a partition table may be that of the array that the image is a member of.
What cannot be told apart for sure is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.finding import Finding, Severity
from raidfs.image.raw import RawImage
from raidfs.image.window import Window
from raidfs.partition import Partition, read_partitions
from raidfs.superblock import WITHOUT_PLACE, Scan, claim_of, scan
from raidfs.superblock.found import Found


@dataclass(frozen=True)
class Seen:
    """A superblock, where it was seen from, and what lies among its data and seems to be seen through its array."""

    source: RawImage | Window
    found: Found
    within: Found | None = None

    @property
    def place(self) -> int:
        """Where it lies [image bytes]."""
        return self.source.base + self.found.offset


def members_on(image: RawImage) -> tuple[list[Seen], list[Finding]]:
    """Find the members on an image.

    Returns:
        One superblock of each member; and what is to be said of the image.

    Raises:
        SourceError: the image is gone.
    """
    partitions, said = read_partitions(image, image.path)
    whole = scan(image, image.path)
    inside = _inside(image, partitions)
    own = _preferred(image, whole)
    if own is None:
        return inside, [*(said if inside else whole.findings)]
    of_partition = [each for each in inside if each.place == own.place and each.found.intact >= own.found.intact]
    also: list[Finding] = []
    if of_partition:
        taken = own if _is_table_of_array(own, partitions) else of_partition[0]
        also = _also_fits(own, of_partition[0], taken)
        if taken is not own:
            return inside, [*said, *also]
    inside = [each for each in inside if each.place != own.place]
    contained = [each for each in inside if _is_content(own, each)]
    findings = [*whole.findings, *also, *(_contained(own, contained) if contained else ())]
    inside = [each for each in inside if each not in contained]
    return [own, *inside], [*findings, *(said if inside else ())]


def windows_of(image: RawImage, partitions: Sequence[Partition]) -> list[Window]:
    """Return the partitions of an image as sources; of several with one number the first has it for its name."""
    numbers: set[int] = set()
    windows = []
    for each in partitions:
        name = f"{each.number}" if each.number not in numbers else f"{each.number}@{each.start}"
        numbers.add(each.number)
        windows.append(Window(image, name, each.start, each.size))
    return windows


def _inside(image: RawImage, partitions: Sequence[Partition]) -> list[Seen]:
    """Look into the partitions; of two that show one superblock the first counts."""
    seen: dict[int, Seen] = {}
    for each, window in zip(partitions, windows_of(image, partitions), strict=True):
        here = _preferred(window, scan(window, window.path))
        if here is not None:
            if here.found.metadata in WITHOUT_PLACE and (each.is_cut or _is_too_large(here.found)):
                continue  # it is seen from a wrong start
            there = seen.setdefault(here.place, here)
            if here.found.intact > there.found.intact:
                seen[here.place] = here
    return list(seen.values())


def _preferred(source: RawImage | Window, seen: Scan) -> Seen | None:
    if not seen.found:
        return None
    return Seen(source, seen.found[0], next((each for each in seen.within if each is not seen.found[0]), None))


def _is_too_large(found: Found) -> bool:
    """Tell whether the data before a superblock are more than there is room for."""
    return found.intact and (claim_of(found).component_size or 0) > found.offset


def _is_table_of_array(own: Seen, partitions: Sequence[Partition]) -> bool:
    """Tell whether a partition table is that of the array that begins with the disk: it has more than the disk.

    Of a copy that was cut the same could be said, but then the superblock would hardly be right for all of it.
    """
    return own.found.intact and claim_of(own.found).data_offset == 0 and any(each.is_cut for each in partitions)


def _also_fits(own: Seen, inside: Seen, taken: Seen) -> list[Finding]:
    """Say that a superblock may be that of the whole disk as well as that of its partition, and which is taken."""
    if own.found.metadata not in WITHOUT_PLACE:
        return []
    text = (
        f"the superblock {own.found.metadata} on {own.source.path} would be right for the whole disk as well as for "
        f"{inside.source.path}: it is taken for that of the "
    )
    why = "partition" if taken is inside else "whole disk, for its partition table tells of more than the disk has"
    return [Finding(Severity.NOTE, taken.source.path, text + why)]


def _is_content(own: Seen, inside: Seen) -> bool:
    """Tell whether the partition of a member is one of its array's contents.

    So it is where the array begins with the image and was in use when the superblock inside was made: the table is that
    of the array then, and what seems to be a partition of the image is that of one stripe after the other.
    """
    claim = claim_of(own.found)
    return own.found.intact and claim.data_offset == 0 and claim_of(inside.found).created <= claim.updated


def _contained(own: Seen, contained: Sequence[Seen]) -> list[Finding]:
    paths = " and ".join(each.source.path for each in contained)
    text = (
        f"{own.source.path} is a member as a whole, and its partition table that of its array: what looks like another "
        f"array's member in it ({paths}) lies on the array; export that, and give the image, to read it"
    )
    return [Finding(Severity.WARNING, own.source.path, text)]
