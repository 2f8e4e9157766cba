"""A member that never answers while an array is opened."""

from __future__ import annotations

import os
import random
import threading
import weakref

import numpy as np
import pytest

from raidfs.block import MemorySource, one_request, read_exact
from raidfs.errors import SourceGone, SourceSilent
from raidfs.extents import Extents
from raidfs.image.patient import TimedSource, in_time
from tests.support.contract import assert_contract
from tests.support.sources import BadSectors, Hanging

DATA = random.Random(3).randbytes(20_000)
FOREVER, AT_ONCE = 600.0, 0.0


def test_who_answers_is_passed_through() -> None:
    bad = Extents([(512, 1024), (9000, 9001)])
    assert_contract(TimedSource("a", MemorySource(DATA, bad), FOREVER), DATA, bad)
    assert_contract(TimedSource("a", BadSectors(DATA, bad), FOREVER), DATA, bad)


def test_who_does_not_is_asked_once() -> None:
    source = Hanging(DATA)
    patient = TimedSource("disk a", source, AT_ONCE)
    for _ in range(3):
        assert read_exact(patient, 100, 50) == (bytes(50), Extents.span(0, 50))
    assert patient.known_losses(7, 9) == Extents.span(7, 9)
    source.asked.wait()
    assert source.n_asked == 1
    source.may_answer.set()


def test_silence_is_one_sentence() -> None:
    may_answer = threading.Event()
    with pytest.raises(SourceSilent, match=r"^disk a: does not answer \(waited 0 seconds for it\)$"):
        in_time("disk a", AT_ONCE, may_answer.wait)
    may_answer.set()


def test_a_late_answer_goes_nowhere() -> None:
    source, out = Hanging(DATA), np.full(50, 0x5A, dtype=np.uint8)
    answered = threading.Event()
    source.after_read = answered.set
    patient = TimedSource("a", source, AT_ONCE)
    assert patient.read_into(one_request(0, 50), out) == Extents.span(0, 50)
    out[:] = 0x5A
    source.may_answer.set()
    answered.wait()
    assert (out == 0x5A).all()


def test_what_goes_wrong_reaches_who_asked() -> None:
    def fail() -> None:
        raise SourceGone("a: is gone")

    with pytest.raises(SourceGone, match="a: is gone"):
        in_time("a", FOREVER, fail)


def test_who_answered_is_asked_by_the_same_thread_and_who_does_not_keeps_one() -> None:
    one = in_time("a", FOREVER, threading.current_thread)
    assert in_time("b", FOREVER, threading.current_thread) is one
    may_answer, asked = threading.Event(), list[threading.Thread]()

    def hang() -> None:
        asked.append(threading.current_thread())
        may_answer.wait()

    with pytest.raises(SourceSilent):
        in_time("c", AT_ONCE, hang)
    other = in_time("a", FOREVER, threading.current_thread)
    assert other not in asked
    may_answer.set()


def test_a_forked_process_can_ask() -> None:
    assert in_time("a", FOREVER, lambda: 5) == 5
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = in_time("a", 20.0, lambda: 7)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert in_time("a", FOREVER, lambda: 6) == 6


def test_what_was_asked_is_not_kept() -> None:
    source, gone = MemorySource(DATA), threading.Event()
    weakref.finalize(source, gone.set)
    assert read_exact(TimedSource("a", source, FOREVER), 0, 5)[0] == DATA[:5]
    del source
    assert gone.wait(20.0)  # the thread may be about to let go of it
