"""Compiled kernels do what the Python does that they are written in; and they compile anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raidfs import kernels
from raidfs.kernels import kernel
from tests.kernels.cases import results
from tests.support.nowait import answers_at_once

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.slow
def test_compiled_and_pure_python_agree(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.kernels.cases"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment)
    assert done.returncode == 0, done.stderr
    pure = json.loads(done.stdout)
    assert pure == results()
    (tmp_path / "probe").write_bytes(bytes(512))
    assert [value.split()[0] for name, value in pure.items() if name.startswith("serve")] == [
        *[str(answers_at_once(tmp_path / "probe"))] * 2,
        "False",
    ]


def test_a_kernel_compiles_where_no_cache_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_FOLDER", None)

    @kernel
    def add(left: int, right: int) -> int:
        return left + right

    assert add(3, 4) == 7


def test_compiled_code_is_kept_apart_by_all_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kernel is compiled together with those that it calls: a change in one must not meet old code of another."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    package = tmp_path / "kernels"
    package.mkdir()
    (package / "plan.py").write_text("one")
    monkeypatch.setattr(kernels, "__file__", str(package / "__init__.py"))
    before = kernels._cache_folder()
    assert kernels._cache_folder() == before
    (package / "plan.py").write_text("two")
    after = kernels._cache_folder()
    assert before is not None
    assert after is not None
    assert before != after
    assert Path(after).is_relative_to(tmp_path / "cache")
