"""Members that still record a reshape which fresher ones call ended: they lag by one event, or it never ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.array.choose import Claimed, freshest
from raidfs.array.description import ArrayDescription
from raidfs.array.reshaping import disagreement
from raidfs.finding import Finding


@dataclass(frozen=True)
class Unended:
    """The array as members have it that still record its reshape.

    Attributes:
        description: it.
        findings: about it.
        ended_by: those who say that the reshape has ended, by path.
    """

    description: ArrayDescription
    findings: tuple[Finding, ...]
    ended_by: tuple[str, ...]


def still_reshaping(chosen: Sequence[Claimed], reference: Claimed) -> Claimed | None:
    """Return the freshest claim of a reshape that has ended by the one that counts; None: there is none."""
    first = reference.claim
    if first.reshape is not None:
        return None
    found = [
        each
        for each in chosen
        if each.claim.intact
        and not each.unsupported
        and each.claim.role >= 0
        and each.claim.reshape is not None
        and each.claim.events + 1 >= first.events
        and not disagreement(each.claim, first)
    ]
    return freshest(found) if found else None


def who_ended(chosen: Sequence[Claimed], leader: Claimed) -> tuple[str, ...]:
    """Return the paths of those who say that the reshape of a claim has ended."""
    found = [
        each
        for each in chosen
        if each.claim.intact
        and each.claim.role >= 0
        and each.claim.reshape is None
        and each.claim.events >= leader.claim.events
        and not disagreement(leader.claim, each.claim)
    ]
    return tuple(each.path for each in sorted(found, key=lambda each: each.claim.device_number))
