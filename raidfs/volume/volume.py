"""What the layers above an array give: named block sources, and what could not be given."""

from __future__ import annotations

from dataclasses import dataclass

from raidfs.block import BlockSource
from raidfs.finding import Finding


@dataclass(frozen=True, eq=False)
class Volume:
    """A source that lies on others.

    Attributes:
        name: unique among those found together: `1`, `vg/lv`; safe as a path.
        source: its bytes.
        meaning: what it is, a clause for the user.
    """

    name: str
    source: BlockSource
    meaning: str


@dataclass(frozen=True)
class Volumes:
    """What was found on some sources.

    Attributes:
        volumes: what can be read.
        refused: name -> why it cannot, one sentence each.
        findings: what is wrong, or was set apart.
    """

    volumes: tuple[Volume, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
