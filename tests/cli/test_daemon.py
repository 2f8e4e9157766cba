"""Going to the background: who says what to whom, and what the terminal gets to see."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


_AT_FORK = "def signalled(): os.kill(os.getpid(), signal.{number})\nos.register_at_fork({where}=signalled)\n"


def _run_signalled_at_fork(where: str, number: str, body: str) -> subprocess.CompletedProcess[str]:
    program = _PROGRAM.format(body=body).replace("def body", _AT_FORK.format(where=where, number=number) + "def body")
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=CHECKOUT)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("where", ["before", "after_in_parent"])
def test_a_signal_while_the_child_is_made_ends_both(where: str, number: str) -> None:
    done = _run_signalled_at_fork(where, number, "signal.pause()")
    assert (done.stdout, done.stderr) == ("Interrupted: stopped; nothing is mounted\n", "")


def test_a_signal_to_the_child_alone_ends_it_without_a_word_of_its_own() -> None:
    done = _run_signalled_at_fork("after_in_child", "SIGINT", "signal.pause()")
    assert done.stdout == "MountError: the background process was killed by signal 2 before the mount was ready\n"
    assert done.stderr == ""


def test_once_the_child_is_ready_signals_do_not_make_a_failure_of_it() -> None:
    program = _PROGRAM.format(body="announce('ready')")
    program += "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): os.kill(os.getpid(), number)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "told: ready\n", "")
