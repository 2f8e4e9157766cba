"""What holds for every test: how hypothesis searches, which options exist, what CI demands."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.support.golden import golden_cases

pytest_plugins = ["tests.support.complete"]

# no deadlines: how long an example takes says something about the machine, not about the code
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """Search the same examples in every run of CI, others in every run at the desk; hear signals in both.

    A run in the background of a script is born with SIGINT ignored, one under nohup with SIGHUP: so would be all that
    tests start, and what tests say about signals would not hold.
    """
    settings.load_profile("ci" if config.getoption("--ci") else "dev")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_report_header() -> list[str]:
    """Say which golden cases run, and which do not yet."""
    later: dict[str, list[str]] = {}
    for case in golden_cases():
        if case.part != 1:
            later.setdefault(f"part {case.part}" if case.part else "a later part", []).append(case.name)
    lines = [f"golden cases: {len(golden_cases(1))} of part 1"]
    return lines + [f"  their turn comes with {part}: {', '.join(names)}" for part, names in sorted(later.items())]
