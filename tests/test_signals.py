"""Signals that ask a command to end, from its first import to the interpreter's end."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from raidfs.signals import ENDING
from tests.support.golden import CHECKOUT, golden_case

CASE = golden_case("s-r5-la")

_SIGNAL_WHEN_IMPORTING = """
import runpy, signal, sys
module, number = sys.argv[1], int(sys.argv[2])

class Signals:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module:
            signal.raise_signal(number)

sys.meta_path.insert(0, Signals)
sys.argv[1:] = sys.argv[3:]
runpy.run_module("raidfs", run_name="__main__", alter_sys=True)
"""

_SIGNAL_AT_THE_END = """
import atexit, os, runpy, signal

class LastWord:
    kill, pid = os.kill, os.getpid()

    def __del__(self):
        LastWord.kill(self.pid, signal.SIGTERM)

atexit.register(os.kill, os.getpid(), signal.SIGINT)
last_word = LastWord()
runpy.run_module("raidfs", run_name="__main__", alter_sys=True)
"""

_INTERRUPTED_TWICE = """
import signal
from raidfs.signals import Interrupts

with Interrupts():
    try:
        signal.raise_signal(signal.SIGHUP)
    except KeyboardInterrupt:
        print("once", flush=True)
        signal.raise_signal(signal.SIGTERM)
        print("twice", flush=True)
"""


_SIGNAL_WHEN_LOADING = """
import runpy, signal, sys
from llvmlite.binding import executionengine

def first(*words):
    signal.raise_signal(signal.SIGINT)
    return None

engine = executionengine.ExecutionEngine
set_object_cache = engine.set_object_cache
engine.set_object_cache = lambda self, notify=None, getbuffer=None: set_object_cache(self, first, first)
runpy.run_module("raidfs", run_name="__main__", alter_sys=True)
"""


def _run(program: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("--help", "raidfs.cli"),
        ("--help", "numpy"),
        ("examine", "click"),
        ("examine", "raidfs.cli.umount"),
        ("export", "numba"),
        ("export", "raidfs.engine.array_source"),
        ("mount -f", "trio"),
        ("mount -f", "pyfuse3"),
        ("mount -f", "raidfs.fuse.operations"),
    ],
)
def test_an_interrupt_while_a_module_is_loaded_is_one_sentence(command: str, module: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if command.startswith("mount"):
        target.mkdir()
    done = _run(_SIGNAL_WHEN_IMPORTING, module, int(signal.SIGINT), *command.split(), *CASE.members(), target)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "raidfs: stopped\n")


def test_so_is_one_while_compiled_code_is_loaded(tmp_path: Path) -> None:
    done = _run(_SIGNAL_WHEN_LOADING, "export", "-q", *CASE.members(), tmp_path / "target")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "raidfs: stopped\n")


@pytest.mark.parametrize("number", ENDING)
def test_other_signals_do_the_same(number: signal.Signals) -> None:
    done = _run(_SIGNAL_WHEN_IMPORTING, "rich", int(number), "--help")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "raidfs: stopped\n")


def test_the_installed_program_is_the_one_that_is_tested_here() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]["raidfs"]
    module, _, function = declared.partition(":")
    assert getattr(importlib.import_module(module), function) is importlib.import_module("raidfs.__main__").main


def test_the_first_interrupt_can_be_caught_and_the_second_ends_the_process() -> None:
    done = _run(_INTERRUPTED_TWICE)
    assert (done.returncode, done.stdout, done.stderr) == (1, "once\n", "raidfs: stopped\n")


def test_a_signal_that_comes_when_the_work_is_done_changes_nothing() -> None:
    done = _run(_SIGNAL_AT_THE_END, "examine", *CASE.members())
    assert (done.returncode, done.stderr) == (0, "")
    assert "Readable" in done.stdout


def test_what_was_ignored_from_the_beginning_stays_ignored() -> None:
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    done = _run(ignore + _SIGNAL_WHEN_IMPORTING, "numpy", int(signal.SIGHUP), "examine", *CASE.members())
    assert (done.returncode, done.stderr) == (0, "")
