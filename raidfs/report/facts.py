"""Everything that a report states, gathered once, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from raidfs.array.description import ArrayDescription
from raidfs.engine.account import Account
from raidfs.extents import Extents
from raidfs.finding import Finding
from raidfs.geometry.reshape import at_risk_bytes

_NO_DAMAGE: Mapping[str, Sequence[tuple[str, int]]] = MappingProxyType({})


@dataclass(frozen=True)
class Facts:
    """What is told.

    Attributes:
        description: the array.
        account: its bytes by health.
        findings: worst first.
        damage: what speaks against each image that serves: (reason, bytes), by path.
        undecided: array bytes that the recorded reshape position leaves open; empty: the position is exact.
    """

    description: ArrayDescription
    account: Account
    findings: tuple[Finding, ...]
    damage: Mapping[str, Sequence[tuple[str, int]]]
    undecided: Extents


def gather(
    description: ArrayDescription,
    account: Account,
    findings: Sequence[Finding],
    damage: Mapping[str, Sequence[tuple[str, int]]] = _NO_DAMAGE,
) -> Facts:
    """Gather the facts of an array."""
    return Facts(description, account, tuple(findings), damage, at_risk_bytes(description))
