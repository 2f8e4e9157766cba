"""Partitions of an array: each a window of it, as large as the table says; what lies behind the end is lost."""

from __future__ import annotations

from collections.abc import Callable

from raidfs.block import BlockSource
from raidfs.linear import window
from raidfs.partition import Partition, read_partitions
from raidfs.volume.volume import Volume, Volumes


def recognise(source: BlockSource, subject: str, is_known: Callable[[BlockSource], bool]) -> Volumes:
    """Return the partitions of a source; none where it has no partition table.

    Args:
        source: what may hold a table.
        subject: what it is called in findings.
        is_known: tells whether a source begins with something that is known. How large sectors are is not written in an
            MBR: of two readings of one number the one counts that leads to something.

    Raises:
        SourceError: the source is gone.
    """
    partitions, findings = read_partitions(source, subject)
    taken: dict[int, Partition] = {}
    for each in partitions:
        other = taken.setdefault(each.number, each)
        first, later = (window(source, one.start, one.size) for one in (other, each))
        if other is not each and is_known(later) and not is_known(first):
            taken[each.number] = each
    volumes = (
        Volume(str(number), window(source, each.start, each.size + each.missing), f"partition {number} of {subject}")
        for number, each in sorted(taken.items())
    )
    return Volumes(tuple(volumes), (), findings)
