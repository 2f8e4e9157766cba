"""Interleaved rounds, and the ratios that come out of them.

Every round runs every variant once, in the same order, so that what else the machine does meets all of them alike; a
ratio is taken within a round, and the median over the rounds is told.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Rounds = Mapping[str, list[float]]
"""What each variant measured, by round."""


@dataclass(frozen=True)
class Ratio:
    """A line of the result.

    Attributes:
        title: what is compared.
        variant: name of the variant above the line of the fraction.
        reference: name of the one below it.
        floor: the ratio that is promised; None: only told.
        goal: the ratio that is wanted.
        lower_is_better: for latencies: the ratio must not be above the floor.
    """

    title: str
    variant: str
    reference: str
    floor: float | None = None
    goal: float | None = None
    lower_is_better: bool = False

    def values(self, rounds: Rounds) -> list[float]:
        """Return the ratio of each round."""
        return [one / other for one, other in zip(rounds[self.variant], rounds[self.reference], strict=True)]

    def is_kept(self, rounds: Rounds) -> bool:
        """Tell whether the promise is kept."""
        if self.floor is None:
            return True
        median = statistics.median(self.values(rounds))
        return median <= self.floor if self.lower_is_better else median >= self.floor


def interleave(variants: Mapping[str, Callable[[], float]], n_rounds: int, told: Callable[[str], None]) -> Rounds:
    """Run all variants once to warm up, then `n_rounds` times."""
    results: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(n_rounds + 1):
        told(f"round {number} of {n_rounds}" if number else "warming up")
        for name, run in variants.items():
            value = run()
            if number:
                results[name].append(value)
    return results


def machine_line() -> str:
    """Describe the machine, so that numbers can be compared with others'."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    load = os.getloadavg()[0]
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory} GiB, Linux {platform.release()}, Python {platform.python_version()},"
        f" numpy {np.__version__}, load {load:.1f}"
    )
