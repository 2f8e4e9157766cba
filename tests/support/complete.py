"""A pytest plugin: in CI a run counts only when nothing was left out.

With `--ci` the session fails if any test was skipped or deselected, if a test file contributed no test, or if no test
marked `fuse` or none marked `golden` ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

_MUST_RUN = ("fuse", "golden")


class Complete:
    """Watches one session; under xdist the workers send what only they see."""

    def __init__(self, config: pytest.Config) -> None:
        """Start with nothing seen."""
        self._config = config
        self._left_out: list[str] = []
        self._files: set[str] = set()
        self._markers: set[str] = set()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what options left out."""
        self._left_out += [f"{item.nodeid}: deselected" for item in items]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note files that skip themselves."""
        if report.skipped:
            self._left_out.append(f"{report.nodeid}: skipped")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what ran, and what skipped itself."""
        if report.skipped:
            self._left_out.append(f"{report.nodeid}: skipped")
        if report.when == "call" and not report.skipped:
            self._files.add(report.nodeid.split("::")[0])
            self._markers.update(name for name in _MUST_RUN if name in report.keywords)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take over what a worker has seen."""
        self._left_out += getattr(node, "workeroutput", {}).get("left_out", [])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session when something was left out."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["left_out"] = self._left_out
        elif session.exitstatus == pytest.ExitCode.OK and self._complaints():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was left out."""
        if complaints := self._complaints():
            terminalreporter.section("left out, so this run does not count", red=True)
            for line in complaints:
                terminalreporter.line(line, red=True)

    def _complaints(self) -> list[str]:
        missing = [f"no test marked {name!r} ran" for name in _MUST_RUN if name not in self._markers]
        unused = [f"{name}: no test of this file ran" for name in sorted(_test_files(self._config) - self._files)]
        return [*sorted(set(self._left_out)), *unused, *missing]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--ci` and `--no-fuse`."""
    parser.addoption("--ci", action="store_true", help="fail when any test was left out")
    parser.addoption("--no-fuse", action="store_true", help="leave out the tests that need a real mount")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the session where it has to be complete."""
    if config.getoption("--ci"):
        config.pluginmanager.register(Complete(config), "raidfs-complete")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out mounts when asked to."""
    if config.getoption("--no-fuse"):
        mounts = [item for item in items if item.get_closest_marker("fuse")]
        items[:] = [item for item in items if item not in mounts]
        config.hook.pytest_deselected(items=mounts)


def _test_files(config: pytest.Config) -> set[str]:
    paths: Iterable[Path] = (config.rootpath / "tests").rglob("test_*.py")
    return {path.relative_to(config.rootpath).as_posix() for path in paths}
