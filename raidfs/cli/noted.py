"""What was learned of the members, as states keep it from one run to the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raidfs.engine.damage import Flaw
from raidfs.engine.health import Trust
from raidfs.extents import Extents


def notes_of(flaws: Iterable[Flaw]) -> list[Any]:
    """Write flaws as JSON can hold them."""
    return [(flaw.source, list(flaw.extents), int(flaw.trust), flaw.reason, flaw.curable) for flaw in flaws]


def flaws_noted(notes: Iterable[Any]) -> list[Flaw]:
    """Read them again.

    Raises:
        TypeError, ValueError: these are no such notes.
    """
    return [
        Flaw(source, Extents(extents), Trust(trust), reason, curable=curable)
        for source, extents, trust, reason, curable in notes
    ]
