"""Which of several readings of an array is right: the one in which its structures lie where they should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raidfs.block import BlockSource
from raidfs.evidence.announced import Structure
from raidfs.evidence.structures import structures_in
from raidfs.extents import Extents

_ENOUGH = 2
"""Structures that decide together, if the other readings have none."""


@dataclass(frozen=True)
class Votes:
    """What speaks for each reading.

    Attributes:
        structures: by reading, what lies right in it where it differs from the others.
    """

    structures: tuple[tuple[Structure, ...], ...]

    @property
    def winner(self) -> int | None:
        """The reading for which enough speaks, and nothing for any other; None: nothing decides."""
        voted = [number for number, each in enumerate(self.structures) if each]
        return voted[0] if len(voted) == 1 and len(self.structures[voted[0]]) >= _ENOUGH else None


def compare_readings(readings: Sequence[BlockSource], differing: Extents) -> Votes:
    """Look for structures in every reading of an array; what all of them have alike speaks for none.

    Args:
        readings: the array in each of its possible shapes.
        differing: where they differ [array bytes].

    Raises:
        SourceError: a source is gone.
    """
    found = [structures_in(each, differing) for each in readings]
    common = set.intersection(*map(set, found)) if found else set()
    return Votes(tuple(tuple(each for each in structures if each not in common) for structures in found))
