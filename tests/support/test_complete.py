"""CI must notice whatever is left out; each test here is a session of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.golden import CHECKOUT

COMPLETE = """
import pytest
@pytest.mark.fuse
def test_mount(): pass
@pytest.mark.golden
def test_golden(): pass
"""
MARKERS = "[tool.pytest.ini_options]\nmarkers = ['fuse', 'golden']\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose tests are all run."""
    (tmp_path / "pyproject.toml").write_text(MARKERS)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_all.py").write_text(COMPLETE)
    return tmp_path


def session(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.complete", "-p", "no:cacheprovider", *options]
    environment = {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_complete_session_counts(checkout: Path, workers: str) -> None:
    done = session(checkout, "--ci", "-n", workers)
    assert done.returncode == 0, done.stdout
    assert "left out" not in done.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("file", "content", "options", "complaint"),
    [
        ("test_b.py", "import pytest\n@pytest.mark.skip\ndef test_b(): pass", (), "test_b.py::test_b: skipped"),
        ("test_b.py", "import pytest\npytest.skip('no', allow_module_level=True)", (), "test_b.py: skipped"),
        ("test_b.py", "def test_b(): pass", ("-k", "not test_b"), "test_b.py::test_b: deselected"),
        ("test_b.py", "def test_b(): pass", ("--ignore=tests/test_b.py",), "tests/test_b.py: no test of this file ran"),
        ("test_b.py", "def test_b(): pass", ("--no-fuse",), "no test marked 'fuse' ran"),
        ("test_all.py", "def test_b(): pass", (), "no test marked 'golden' ran"),
    ],
)
def test_what_is_left_out_is_named(
    checkout: Path, file: str, content: str, options: tuple[str, ...], complaint: str, workers: str
) -> None:
    (checkout / "tests" / file).write_text(content)
    done = session(checkout, "--ci", "-n", workers, *options)
    assert done.returncode == 1, done.stdout
    assert complaint in done.stdout


def test_at_the_desk_anything_may_be_left_out(checkout: Path) -> None:
    assert session(checkout, "--no-fuse").returncode == 0
