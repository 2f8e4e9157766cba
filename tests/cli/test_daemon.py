"""Going to the background: who says what to whom, and what the terminal gets to see."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

_PROGRAM = """
import os, signal, sys, time
from raidfs.cli.daemon import run_in_background
from raidfs.errors import RaidfsError, SourceError

def body(announce):
    {body}

try:
    print("told:", run_in_background(body), flush=True)
except RaidfsError as error:
    print(type(error).__name__ + ":", error, flush=True)
except RuntimeError as error:
    print("bug:", error, flush=True)
"""


def _program(body: str) -> list[str]:
    return [sys.executable, "-c", _PROGRAM.format(body=body)]


def _run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_program(body), capture_output=True, text=True, check=False, cwd=CHECKOUT)


def test_the_parent_returns_with_the_announcement_while_the_child_goes_on() -> None:
    # were the child still to hold our pipes, this would wait for its end
    done = _run("announce('ready \\u2713'); signal.alarm(600); signal.pause()")
    assert (done.stdout, done.stderr) == ("told: ready ✓\n", "")


def test_the_child_leads_a_session_without_a_terminal() -> None:
    done = _run("announce(f'{os.getsid(0) == os.getpid()} {os.getppid() != os.getpid()}')")
    assert done.stdout == "told: True True\n"


def test_after_the_announcement_the_child_writes_to_nobody() -> None:
    done = _run("announce('ready'); print('late'); print('late', file=sys.stderr); sys.stdout.flush()")
    assert (done.stdout, done.stderr) == ("told: ready\n", "")


def test_an_error_reaches_the_parent_as_its_sentence() -> None:
    done = _run("raise SourceError('a has gone')")
    assert (done.stdout, done.stderr) == ("MountError: a has gone\n", "")


def test_a_bug_is_described_and_told_from_the_users_errors() -> None:
    done = _run("{}['missing']")
    assert done.stdout == "bug: the background process met a bug; it is described above\n"
    assert "KeyError: 'missing'" in done.stderr


def test_a_child_that_was_killed_is_not_waited_for() -> None:
    done = _run("os.kill(os.getpid(), signal.SIGKILL)")
    assert done.stdout == "MountError: the background process was killed by signal 9 before the mount was ready\n"


def test_a_child_that_ends_without_a_word() -> None:
    assert "ended with exit code 0 before" in _run("pass").stdout


def test_an_interrupt_while_waiting_ends_the_child() -> None:
    with subprocess.Popen(
        _program("print(os.getpid(), flush=True); signal.pause()"), stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.read() == "Interrupted: stopped; nothing is mounted\n"
        poll = select.poll()
        poll.register(child, select.POLLIN)
        assert poll.poll(0), "the child has ended"
        os.close(child)
