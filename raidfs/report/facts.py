"""Everything that a report states, gathered once, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from raidfs.array.description import ArrayDescription
from raidfs.engine.account import Account
from raidfs.extents import Extents
from raidfs.finding import Finding
from raidfs.geometry.reshape import likely_by_front, undecided_by_front

_NO_DAMAGE: Mapping[str, Sequence[tuple[str, int]]] = MappingProxyType({})


@dataclass(frozen=True)
class Facts:
    """What is told.

    Attributes:
        description: the array.
        account: its bytes by health.
        findings: worst first.
        damage: what speaks against each image that serves: (reason, bytes), by path.
        undecided: array bytes of which the front of a reshape leaves open which of their places holds them.
        likely: array bytes of which the front tells it, but not for sure.
    """

    description: ArrayDescription
    account: Account
    findings: tuple[Finding, ...]
    damage: Mapping[str, Sequence[tuple[str, int]]]
    undecided: Extents
    likely: Extents


def gather(
    description: ArrayDescription,
    account: Account,
    findings: Sequence[Finding],
    damage: Mapping[str, Sequence[tuple[str, int]]] = _NO_DAMAGE,
) -> Facts:
    """Gather the facts of an array."""
    undecided, likely = undecided_by_front(description), likely_by_front(description)
    return Facts(description, account, tuple(findings), damage, undecided, likely)
