"""What it is to judge a stretch of an array that is held redundantly, whoever does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from raidfs.engine.damage import UNREADABLE, Flaw
from raidfs.engine.fetch import PatientSource
from raidfs.engine.health import Trust
from raidfs.extents import Extents


@dataclass(frozen=True)
class Judgement:
    """What was found of a stretch of rows.

    Attributes:
        flaws: what speaks against the members that was not known before.
        is_final: all is said; else something did not answer, and the rows are to be judged again.
    """

    flaws: tuple[Flaw, ...]
    is_final: bool


class Judge(Protocol):
    """Compares what is held more than once in one geometry."""

    def judge(self, flaws: tuple[Flaw, ...], sources: Sequence[PatientSource], start: int, stop: int) -> Judgement:
        """Judge what is trusted in a stretch of rows.

        Args:
            flaws: everything known against the sources.
            sources: the members.
            start: [stripe bytes of the section: stripe number * chunk + offset in the chunk], a multiple of 512.
            stop: likewise; beyond the section's last stripe there is nothing.
        """


@dataclass(frozen=True)
class _Kind:
    """All of a flaw but its bytes."""

    source: int
    trust: Trust
    reason: str
    curable: bool


class Gathered:
    """Flaws that are being gathered.

    Attributes:
        is_disturbed: something went wrong on the way, so that not all is found.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._ranges: dict[_Kind, list[tuple[int, int]]] = {}
        self.is_disturbed = False

    def add_unread(self, source: int, extents: Extents) -> None:
        """Note that bytes of a source [image bytes] could not be read."""
        self.add(source, extents, Trust.NONE, UNREADABLE, curable=True)

    def add(self, source: int, ranges: Iterable[tuple[int, int]], trust: Trust, reason: str, *, curable: bool) -> None:
        """Note what speaks against bytes of a source [image bytes]; see `engine.damage.Flaw`."""
        self._ranges.setdefault(_Kind(source, trust, reason, curable), []).extend(ranges)

    def judgement(self, sources: Sequence[PatientSource]) -> Judgement:
        """Return what was noted, less what could not be read only because it was not waited for."""
        found = []
        for kind, listed in self._ranges.items():
            extents = Extents(listed)
            if kind.reason == UNREADABLE:
                extents = extents.difference(sources[kind.source].overdue)
            if extents:
                found.append(Flaw(kind.source, extents, kind.trust, kind.reason, curable=kind.curable))
        is_final = not any(source.overdue for source in sources) and not self.is_disturbed
        return Judgement(tuple(found), is_final)
