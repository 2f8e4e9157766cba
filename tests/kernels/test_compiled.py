"""Compiled kernels do what the Python does that they are written in; and they compile anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

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
    njit = numba.njit

    def refusing(*, nogil: bool, cache: bool = False) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return njit(nogil=nogil)

    monkeypatch.setattr(numba, "njit", refusing)

    @kernel
    def add(left: int, right: int) -> int:
        return left + right

    assert add(3, 4) == 7
