"""Copies that were compared, in sentences and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raidfs.engine.grade import Grade
from raidfs.engine.mirror_compare import Difference
from raidfs.finding import Finding, Severity
from raidfs.geometry.reshape import Section, Side
from raidfs.units import SECTOR, format_size

_NAMES = {Side.ONLY: "", Side.BEFORE: " of the old geometry", Side.AFTER: " of the new geometry"}
_SERVED = (
    "Without a check the first that is listed is served of those that do not look as if they were never copied, and "
    "where all do, nothing but what most of them hold, if the account tells so; which is right can be told only where "
    "one is named as wrong, or as never copied"
)
_HARMLESS = (
    "md itself lets copies differ where nobody reads them: blocks that were discarded, or changed in memory while they "
    "were written (swap, files that were cut off meanwhile), and all of an array made with --assume-clean"
)


def counted(section: Section, counts: Sequence[int]) -> str:
    """Say in one line how much of a section is equal in its copies; `counts`: array bytes by grade."""
    left = f", {format_size(counts[Grade.HALF])} in the copies that are left" if counts[Grade.HALF] else ""
    differ = format_size(counts[Grade.STALE] + counts[Grade.WRONG])
    return (
        f"copies{_NAMES[section.side]} of {format_size(sum(counts))}, array bytes {section.array_start} to "
        f"{section.array_stop}: {format_size(counts[Grade.AGREES])} equal{left}, {differ} different, "
        f"{format_size(counts[Grade.UNCHECKED])} not checked"
    )


def listed(each: Difference, paths: Sequence[str]) -> str:
    """Say in one line which copies differ, with member and sector."""
    groups: dict[int, list[str]] = {}
    for source, offset, content in each.copies:
        groups.setdefault(content, []).append(f"{paths[source]} sector {offset // SECTOR}")
    n_sectors = (each.stop - each.start) // SECTOR
    sectors = "1 sector" if n_sectors == 1 else f"{n_sectors} sectors"
    told = " differ from ".join(" and ".join(group) for group in groups.values())
    return f"array bytes {each.start} to {each.stop}, {sectors}: {told}{'' if each.proven else ' (not proven equal)'}"


def findings_about(differences: Sequence[Difference], wrong: int, stale: int, paths: Sequence[str]) -> list[Finding]:
    """Say what differing copies mean.

    Args:
        differences: as far as they are kept.
        wrong: array bytes that differ though nothing was being written.
        stale: array bytes that differ where that is no wonder.
        paths: of the sources.
    """
    findings = []
    if wrong:
        odd = {paths[source] for each in differences if each.proven for source in _odd_ones(each)}
        named = f" (where there are more than two, different is that of {', '.join(sorted(odd))})" if odd else ""
        text = f"{format_size(wrong)} of the array differ in their copies{named}. {_SERVED}. {_HARMLESS}"
        findings.append(Finding(Severity.ERROR, "array", text))
    if stale:
        text = (
            f"{format_size(stale)} of the array differ in their copies where they were never proven equal (the array "
        )
        text += "was not shut down cleanly, or its first sync was not done): that is normal after a crash"
        findings.append(Finding(Severity.WARNING, "array", text))
    return findings


def _odd_ones(each: Difference) -> list[int]:
    """Return the source of the one copy that differs from two or more others, which are equal; else nothing."""
    contents = [content for _, _, content in each.copies]
    alone = [source for source, _, content in each.copies if contents.count(content) == 1]
    return alone if len(alone) == 1 and len(set(contents)) == 2 else []


def counts_as_data(section: Section, counts: Sequence[int]) -> dict[str, Any]:
    """Return how much of a section is equal in its copies."""
    return {
        "geometry": section.side.value,
        "array_start": section.array_start,
        "array_stop": section.array_stop,
        "agree": counts[Grade.AGREES],
        "agree_in_fewer_copies": counts[Grade.HALF],
        "unchecked": counts[Grade.UNCHECKED],
        "differ": counts[Grade.WRONG],
        "differ_unproven": counts[Grade.STALE],
    }


def as_data(each: Difference, paths: Sequence[str]) -> dict[str, Any]:
    """Return a difference as plain dictionaries and lists; the first copy is md's own choice."""
    return {
        "array_start": each.start,
        "array_stop": each.stop,
        "copies": [
            {"path": paths[source], "image_offset": offset, "sector": offset // SECTOR, "content": content}
            for source, offset, content in each.copies
        ],
        "proven": each.proven,
    }
