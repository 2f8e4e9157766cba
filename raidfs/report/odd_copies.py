"""Copies at the old and the new place of a reshape that differ, in sentences and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raidfs.engine.odd_copies import OddCopy, Wrong
from raidfs.finding import Finding, Severity
from raidfs.units import SECTOR, format_size


def findings_about(odd: Sequence[OddCopy], paths: Sequence[str]) -> list[Finding]:
    """Name what is wrong of copies that differ: one where parity tells it, else both."""
    findings = []
    for wrong, other in ((Wrong.OLD, "new place"), (Wrong.NEW, "old copy"), (Wrong.OPEN, "")):
        those = [each for each in odd if each.wrong is wrong]
        if not those:
            continue
        first = those[0]
        old, new = (f"{paths[source]} sector {at // SECTOR}" for source, at in (first.old, first.new))
        size = format_size(sum(each.stop - each.start for each in those))
        if wrong is Wrong.OPEN:
            text = (
                f"{size} held at an old and a new place differ, and parity does not tell which is wrong, first {old} "
            )
            text += f"and {new}"
        else:
            place = f"{old} (the old copy)" if wrong is Wrong.OLD else f"{new} (the new place)"
            text = f"{size} of copies are wrong, first {place}: parity speaks for the {other} and not for this one"
        findings.append(Finding(Severity.NOTE if wrong is Wrong.OPEN else Severity.WARNING, "array", text))
    return findings


def as_data(each: OddCopy, paths: Sequence[str]) -> dict[str, Any]:
    """Return a copy that differs as plain dictionaries."""
    places = {
        name: {"path": paths[source], "image_offset": at, "sector": at // SECTOR}
        for name, (source, at) in (("old", each.old), ("new", each.new))
    }
    return {"array_start": each.start, "array_stop": each.stop, "wrong": each.wrong.value, **places}
