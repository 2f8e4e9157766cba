"""Reads run beside each other, one thread for each member; what fails is told in image bytes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.engine.fetch import EVERYTHING, Failure, MemberReader, patient, run_reads
from raidfs.errors import SourceChanged, SourceError, SourceGone
from raidfs.extents import Extents
from tests.support.sources import BadSectors, Going, Hanging

IMAGES = [random.Random(n).randbytes(5000) for n in range(3)]
FOREVER = 600.0
READS = np.array(
    [(0, 100, 50, 0), (1, 7, 13, 50), (0, 4000, 1000, 63), (2, 0, 1, 1063), (0, 150, 10, 1064)], dtype=np.int64
)


def fetched(sources: list[BlockSource], patience: float = FOREVER) -> tuple[NDArray[np.uint8], list[Failure]]:
    readers = [MemberReader(source) for source in sources]
    arena = np.full(1074, 0xA5, dtype=np.uint8)
    failures = run_reads(readers, READS, arena, patience)
    for reader, source in zip(readers, sources, strict=True):
        if not isinstance(source, Hanging):
            reader.close()
    return arena, failures


def content_of(source: int) -> list[tuple[int, bytes]]:
    return [(at, IMAGES[source][offset : offset + n]) for s, offset, n, at in READS.tolist() if s == source]


@pytest.mark.parametrize("bad", [None, 0, 1, 2])
def test_what_can_be_read_is_in_the_arena(bad: int | None) -> None:
    sources: list[BlockSource] = [MemorySource(image) for image in IMAGES]
    if bad is not None:
        sources[bad] = Going(IMAGES[bad], 0)
    arena, failures = fetched(sources)
    for source in range(3):
        for at, content in content_of(source):
            if source != bad:
                assert arena[at : at + len(content)].tobytes() == content
    asked = {0: Extents([(100, 160), (4000, 5000)]), 1: Extents([(7, 20)]), 2: Extents([(0, 1)])}
    assert failures == ([] if bad is None else [Failure(bad, asked[bad], lasting=True)])


def test_losses_are_told_in_image_bytes() -> None:
    bad = Extents([(120, 130), (155, 4001), (4999, 5000)])
    _, failures = fetched([BadSectors(IMAGES[0], bad), *(MemorySource(image) for image in IMAGES[1:])])
    expected = Extents([(120, 130), (155, 160), (4000, 4001), (4999, 5000)])
    assert failures == [Failure(0, expected, lasting=True)]


def test_what_hangs_fails_for_now_only() -> None:
    source = Hanging(IMAGES[1])
    reader = MemberReader(source)
    others = [MemberReader(MemorySource(IMAGES[0])), MemberReader(MemorySource(IMAGES[2]))]
    readers = [others[0], reader, others[1]]
    arena = np.zeros(1074, dtype=np.uint8)
    expected = [Failure(1, Extents([(7, 20)]), lasting=False)]
    while run_reads(readers, READS, arena, 0.01) != expected:
        pass  # on a busy machine others may be late, too
    for number in (0, 2):
        for at, content in content_of(number):
            assert arena[at : at + len(content)].tobytes() == content
    assert run_reads(readers, READS, arena, FOREVER) == expected  # it still owes an answer: nobody waits for it
    assert source.n_asked == 1
    source.may_answer.set()
    while run_reads(readers, READS, arena, FOREVER):
        pass
    assert source.n_asked == 2
    for each in readers:
        each.close()


def fail(error: Exception) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check


@pytest.mark.parametrize("error", [SourceChanged("a: was written to"), SourceGone("a: is gone")])
@pytest.mark.parametrize("n_reads", [0, 9])
def test_nothing_is_used_of_what_changed_or_is_gone(error: SourceError, n_reads: int) -> None:
    readers = [MemberReader(MemorySource(image)) for image in IMAGES]
    readers[1] = MemberReader(Going(IMAGES[1], n_reads), fail(error))
    failures = run_reads(readers, READS, np.zeros(1074, dtype=np.uint8), FOREVER)
    assert failures == [Failure(1, EVERYTHING, lasting=True, reason=str(error))]
    for reader in readers:
        reader.close()


def test_to_hang_when_asked_whether_it_changed_is_to_hang() -> None:
    may_answer = threading.Event()

    def check() -> None:
        may_answer.wait()

    reader = MemberReader(MemorySource(IMAGES[1]), check)
    readers = [MemberReader(MemorySource(IMAGES[0])), reader, MemberReader(MemorySource(IMAGES[2]))]
    arena = np.zeros(1074, dtype=np.uint8)
    expected = [Failure(1, Extents([(7, 20)]), lasting=False)]
    while run_reads(readers, READS, arena, 0.01) != expected:
        pass  # on a busy machine others may be late, too
    may_answer.set()
    while run_reads(readers, READS, arena, FOREVER):
        pass
    for each in readers:
        each.close()


@pytest.mark.parametrize("error", [SourceChanged("a: was written to"), SourceGone("a: is gone")])
def test_who_reads_without_a_plan_gets_nothing_of_what_changed_or_is_gone(error: SourceError) -> None:
    reader = MemberReader(MemorySource(IMAGES[0]), fail(error))
    assert reader.erased == ""
    assert read_exact(patient(MemorySource(IMAGES[0]), reader, FOREVER), 7, 100) == (bytes(100), Extents.span(0, 100))
    assert reader.erased == str(error)
    reader.close()


def test_who_reads_without_a_plan_hears_of_bugs() -> None:
    reader = MemberReader(MemorySource(IMAGES[0]), fail(KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):
        read_exact(patient(MemorySource(IMAGES[0]), reader, FOREVER), 7, 100)
    reader.close()


def test_a_bug_reaches_who_waits_and_does_not_end_the_member() -> None:
    bugs = iter([KeyError("a bug")])

    def check() -> None:
        for bug in bugs:
            raise bug

    readers = [MemberReader(MemorySource(IMAGES[0]), check), *(MemberReader(MemorySource(each)) for each in IMAGES[1:])]
    arena = np.zeros(1074, dtype=np.uint8)
    with pytest.raises(KeyError, match="a bug"):
        run_reads(readers, READS, arena, FOREVER)
    assert run_reads(readers, READS, arena, FOREVER) == []
    for each in readers:
        each.close()


def test_a_reader_that_never_read_ends_at_once() -> None:
    MemberReader(MemorySource(b"")).close()


def test_nothing_is_read_twice_at_a_time_from_one_member() -> None:
    """Reads of several requests queue up behind one another."""
    source = Hanging(IMAGES[0])
    reader = MemberReader(source)
    requests = np.array([[0, 10, 0]], dtype=np.int64)
    jobs = [reader.submit(requests, 10) for _ in range(3)]
    source.asked.wait()
    assert source.n_asked == 1
    source.may_answer.set()
    for job in jobs:
        assert job is not None
        assert reader.wait(job, time.monotonic() + FOREVER)
        assert job.data.tobytes() == IMAGES[0][:10]
    assert source.n_asked == 3
    reader.close()
