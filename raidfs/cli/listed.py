"""What to believe of bad-block logs that several members share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.units import format_size


def shared_entries(description: ArrayDescription) -> dict[str, Extents]:
    """Return what each member lists at the same height of its data as another one, by path [member bytes]."""
    serving = [member for member in description.serving.values() if member.bad_blocks]
    found: dict[str, Extents] = {}
    for left, right in combinations(serving, 2):
        by = left.data_offset - right.data_offset
        both = left.bad_blocks.intersection(right.bad_blocks.shift(by))
        if both:
            found[left.path] = found.get(left.path, Extents()).union(both)
            found[right.path] = found.get(right.path, Extents()).union(both.shift(-by))
    return found


def without_disproven(
    description: ArrayDescription, sources: Mapping[str, BlockSource]
) -> tuple[ArrayDescription, list[Finding]]:
    """Take out of bad-block logs what several members list and parity shows to be good.

    Args:
        description: the array.
        sources: by path of the member.

    Raises:
        SourceError: a source is gone.
    """
    shared = shared_entries(description)
    if not shared:
        return description, []
    from raidfs.engine.listed import disproven_entries

    members = description.sources
    good = disproven_entries(description, members, [sources[member.path] for member in members])
    n_shared, n_good = (sum(extents.total for extents in each.values()) for each in (shared, good))
    who, size = " and ".join(sorted(shared)), format_size(n_shared)
    text = f"{who} list the same places in their bad-block logs ({size} in all), as if md had copied the entries: "
    if n_good:
        text += f"{format_size(n_good)} of it agree with the parity of their rows and are read all the same"
    if n_good < n_shared:
        text += "; the rest is" if n_good else "nothing proves it good, and it is"
        text += " not read, unless with --ignore-bad-block-log"
    believed = [
        replace(member, bad_blocks=member.bad_blocks.difference(good[member.path]))
        if member.path in good and member.state.serves
        else member
        for member in description.members
    ]
    return replace(description, members=tuple(believed)), [Finding(Severity.WARNING, "array", text)]
