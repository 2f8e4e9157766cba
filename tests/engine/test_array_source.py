"""The virtual array is a block source like any other; it learns, and no member that fails takes others with it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, MemorySource, one_request, read_exact
from raidfs.engine import array_source, flatten
from raidfs.engine.account import account_of
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import locate
from tests.oracle.writer import Simulation
from tests.support.contract import assert_contract
from tests.support.samples import EXACT, SAMPLES, sample
from tests.support.simulated import describe, images_of, memory_sources, seated
from tests.support.sources import BadSectors, Changing, Flaky, Going, Hanging

FOREVER = 600.0
"""Patience that no test waits for [seconds]."""
AT_ONCE = 0.02
"""Patience with members that will not answer before the test lets them [seconds]."""


@contextmanager
def opened(
    description: ArrayDescription,
    sources: Sequence[tuple[int, BlockSource]],
    policy: Policy = Policy(),
    patience: float = FOREVER,
) -> Iterator[ArraySource]:
    array = ArraySource(description, seated(description, sources), policy, patience=patience)
    try:
        yield array
    finally:
        array.close()


@contextmanager
def sampled(
    name: str, changed: Mapping[int, BlockSource] | None = None, without: Sequence[int] = ()
) -> Iterator[tuple[ArraySource, bytes]]:
    """Open a sample with the sources of some roles changed."""
    description = describe(sample(name), without=without)
    images = images_of(sample(name), description)
    sources = [(role, (changed or {}).get(role, MemorySource(image))) for role, image in sorted(images.items())]
    with opened(description, sources) as array:
        yield array, sample(name).truth


def own_places(array: Simulation, role: int) -> Extents:
    """Array bytes of an array without a reshape whose own place is on a member."""
    chunk = array.geometry.chunk
    starts = range(0, array.size, chunk)
    return Extents([(at, at + chunk) for at in starts if locate(array.geometry, at)[0] == role])


@pytest.mark.parametrize("name", SAMPLES)
def test_an_array_keeps_the_contract(name: str) -> None:
    with sampled(name) as (array, truth):
        losses = array.known_losses(0, array.size)
        assert not losses or name == "in-place"
        assert_contract(array, truth, losses)


@pytest.mark.parametrize("name", ["raid5", "raid6", "growing", "becoming-six"])
def test_a_damaged_array_keeps_the_contract(name: str) -> None:
    description = describe(sample(name), without=(1, 2))
    with opened(description, memory_sources(images_of(sample(name), description))) as array:
        assert_contract(array, sample(name).truth, array.known_losses(0, array.size))


def test_what_is_read_is_learned_and_never_asked_for_again() -> None:
    image = bytes(sample("raid5").members[1].image)
    place = sample("raid5").members[1].data_offset
    source = BadSectors(image, Extents([(place + 512, place + 1024)]))
    with sampled("raid5", {1: source}) as (array, truth):
        assert array.generation == 0
        assert account_of(array.sight.charts).rebuilt == 0
        assert read_exact(array, 0, array.size) == (truth, Extents())
        assert array.generation == 1
        assert account_of(array.sight.charts).rebuilt == 512
        (flaw,) = [flaw for flaw in array.sight.flaws if flaw.extents.overlaps(place + 512, place + 513)]
        assert (flaw.source, flaw.reason) == (1, "could not be read")
        source.asked = Extents()
        assert read_exact(array, 0, array.size) == (truth, Extents())
        assert not source.asked.overlaps(place + 512, place + 1024)
        assert array.generation == 1


def test_the_same_place_bad_on_two_members_costs_exactly_their_bytes() -> None:
    array = sample("raid5")
    sources: dict[int, BlockSource] = {}
    for role, start, stop in ((0, 0, 1024), (1, 512, 1536)):
        place = array.roles[role].data_offset
        sources[role] = BadSectors(bytes(array.roles[role].image), Extents([(place + start, place + stop)]))
    with sampled("raid5", sources) as (opened_array, truth):
        content, lost = read_exact(opened_array, 0, opened_array.size)
        chunk = array.geometry.chunk
        assert [locate(array.geometry, at)[0] for at in (0, chunk)] == [0, 1]
        assert lost == Extents([(512, 1024), (chunk + 512, chunk + 1024)])
        assert content == truth[:512] + bytes(512) + truth[1024 : chunk + 512] + bytes(512) + truth[chunk + 1024 :]


def test_two_members_that_fail_at_every_read_are_given_up_in_time() -> None:
    array = sample("raid5")
    flaky = {role: Flaky(bytes(array.roles[role].image), role) for role in (0, 1)}
    with sampled("raid5", flaky) as (opened_array, truth):
        content, lost = read_exact(opened_array, 0, opened_array.size)
        served = Extents.span(0, len(truth)).difference(lost)
        assert served
        assert all(content[start:stop] == truth[start:stop] for start, stop in served)
    assert max(each.n_asked for each in flaky.values()) < 100


@pytest.mark.parametrize("name", EXACT)
def test_a_member_that_goes_away_in_the_middle_is_rebuilt_around(name: str) -> None:
    source = Going(bytes(sample(name).roles[0].image), 2)
    with sampled(name, {0: source}) as (array, truth):
        for start in range(0, array.size, 9999):
            stop = min(start + 9999, array.size)
            assert read_exact(array, start, stop - start) == (truth[start:stop], Extents())
        assert array.generation > 0


def test_when_too_many_go_away_their_bytes_are_lost_and_no_others() -> None:
    array = sample("raid5")
    gone = {role: Going(bytes(array.roles[role].image), 0) for role in (1, 2)}
    with sampled("raid5", gone) as (opened_array, truth):
        content, lost = read_exact(opened_array, 0, opened_array.size)
        assert lost == own_places(array, 1).union(own_places(array, 2))
        expected = bytearray(truth)
        for start, stop in lost:
            expected[start:stop] = bytes(stop - start)
        assert content == bytes(expected)
        assert opened_array.known_losses(0, opened_array.size) == lost


@pytest.mark.parametrize("name", ["raid5", "raid6", "growing", "shrinking"])
def test_with_little_memory_the_bytes_are_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_source, "_SCRATCH", 32 * 1024)
    monkeypatch.setattr(flatten, "_MIN_ROOM", 16)
    with sampled(name, without=(1,)) as (array, truth):
        assert len(array._work_for(array.sight.chart)[0].reads) < 32 * 20
        assert read_exact(array, 0, array.size) == (truth, Extents())
        assert read_exact(array, 5, array.size - 7) == (truth[5:-2], Extents())


def test_warming_up_changes_nothing() -> None:
    with sampled("raid6", without=(0, 1)) as (array, truth):
        array.warm_up()
        assert read_exact(array, 0, array.size) == (truth, Extents())


def test_requests_outside_are_the_callers_bug() -> None:
    with sampled("raid4") as (array, _):
        for offset, length in ((-1, 2), (array.size - 1, 2), (array.size + 1, 0)):
            with pytest.raises(ValueError, match="outside an array"):
                array.try_read_into(offset, np.zeros(length, dtype=np.uint8))


def test_without_any_member_all_is_lost() -> None:
    with opened(describe(sample("raid4"), without=(0, 1, 2)), []) as array:
        assert read_exact(array, 0, array.size) == (bytes(array.size), Extents.span(0, array.size))
        assert not array.try_read_into(0, np.zeros(10, dtype=np.uint8))


# Members that hang -------------------------------------------------------------------------------------------------


def read_whole(array: ArraySource, truth: bytes) -> None:
    """Read until nothing is withheld: on a busy machine members that do not hang may be late, too."""
    lost = Extents.span(0, 1)
    while lost:
        content, lost = read_exact(array, 0, array.size)
        served = Extents.span(0, array.size).difference(lost)
        assert all(content[start:stop] == truth[start:stop] for start, stop in served)


@contextmanager
def hanging(name: str, role: int, patience: float) -> Iterator[tuple[ArraySource, Hanging]]:
    """Open a sample with one member that does not answer until it may."""
    source = Hanging(bytes(sample(name).roles[role].image))
    description = describe(sample(name))
    images = images_of(sample(name), description)
    sources = [(each, source if each == role else MemorySource(image)) for each, image in sorted(images.items())]
    with opened(description, sources, patience=patience) as array:
        try:
            yield array, source
        finally:
            source.may_answer.set()


@pytest.mark.parametrize("name", EXACT)
def test_a_member_that_hangs_is_rebuilt_around_and_comes_back(name: str) -> None:
    truth = sample(name).truth
    with hanging(name, 0, AT_ONCE) as (array, source):
        read_whole(array, truth)
        assert source.asked.is_set()
        assert array.generation == 0  # to hang is not to be lost
        assert array.known_losses(0, array.size) == Extents()
        read_whole(array, truth)
        assert source.n_asked == 1  # not asked again while it owes an answer
        source.may_answer.set()
        while source.n_asked == 1:
            read_whole(array, truth)
        assert account_of(array.sight.charts).rebuilt == 0


def test_when_it_hangs_and_nothing_replaces_it_its_bytes_are_withheld_until_it_answers() -> None:
    array = sample("raid5")
    source = Hanging(bytes(array.roles[0].image))
    description = describe(array, without=(1,))
    images = images_of(array, description)
    sources = [(role, source if role == 0 else MemorySource(image)) for role, image in sorted(images.items())]
    with opened(description, sources, patience=AT_ONCE) as opened_array:
        lost = Extents()
        while lost != own_places(array, 0).union(own_places(array, 1)):
            _, lost = read_exact(opened_array, 0, array.size)
            assert not own_places(array, 0).difference(lost)
        assert opened_array.known_losses(0, array.size) == Extents()
        source.may_answer.set()
        read_whole(opened_array, array.truth)


def test_a_member_that_hangs_keeps_nobody_waiting_who_does_not_need_it() -> None:
    """Whoever needs it waits, with all patience; others are served meanwhile."""
    array = sample("raid5")
    (first, stop), *_ = own_places(array, 0)
    with hanging("raid5", 0, FOREVER) as (opened_array, source), ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(read_exact, opened_array, first, stop - first) for _ in range(2)]
        source.asked.wait()
        elsewhere = Extents.span(0, array.size).difference(own_places(array, 0))
        for start, end in elsewhere:
            future = pool.submit(read_exact, opened_array, start, end - start)
            assert future.result() == (array.truth[start:end], Extents())
        assert not any(future.done() for future in waiting)
        source.may_answer.set()
        assert [future.result() for future in waiting] == [(array.truth[first:stop], Extents())] * 2


def test_late_answers_go_nowhere() -> None:
    """The buffer of a request that was answered without the member is not written to when the member wakes up."""
    with hanging("raid5", 0, AT_ONCE) as (array, source):
        out = np.zeros(array.size, dtype=np.uint8)
        while not source.asked.is_set():
            array.read_into(one_request(0, array.size), out)
        out[:] = 0x5A
        source.may_answer.set()
        while source.n_asked == 1:
            read_exact(array, 0, array.size)
        assert (out == 0x5A).all()


# Members that change -----------------------------------------------------------------------------------------------


@contextmanager
def changing(tmp_path: Path, name: str, role: int) -> Iterator[tuple[ArraySource, Changing]]:
    """Open a sample as watched files; one of them may change."""
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as empty:
        description = describe(sample(name))
        images = images_of(sample(name), description)
        sources = {each: Changing(image, empty.fileno()) for each, image in sorted(images.items())}
        with opened(description, list(sources.items())) as array:
            yield array, sources[role]


@pytest.mark.parametrize("name", EXACT)
def test_a_member_that_changes_is_erased_before_anything_of_it_is_served(name: str, tmp_path: Path) -> None:
    truth = sample(name).truth
    with changing(tmp_path, name, 1) as (array, source):
        assert read_exact(array, 0, array.size) == (truth, Extents())
        source.before_read = source.change
        assert read_exact(array, 0, array.size) == (truth, Extents())
        assert array.generation == 1
        assert read_exact(array, 0, array.size) == (truth, Extents())
        assert array.generation == 1


def test_a_change_that_another_reader_sees_first_reaches_nobody(tmp_path: Path) -> None:
    """Reader one has read from the member before the change is known, reader two finds it: one must not serve it."""
    array = sample("raid5")
    (start, stop), *_ = own_places(array, 1)
    (other_start, other_stop), *_ = own_places(array, 0)
    with changing(tmp_path, "raid5", 1) as (opened_array, source), ThreadPoolExecutor(1) as pool:

        def change_and_let_another_find_it() -> None:
            source.before_read = lambda: None
            source.change()
            found = pool.submit(read_exact, opened_array, other_start, other_stop - other_start).result()
            assert found == (array.truth[other_start:other_stop], Extents())

        source.before_read = change_and_let_another_find_it
        assert read_exact(opened_array, start, stop - start) == (array.truth[start:stop], Extents())


def test_two_members_that_change_cost_their_bytes(tmp_path: Path) -> None:
    array = sample("raid5")
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as empty:
        images = images_of(array, describe(array))
        sources = {role: Changing(image, empty.fileno()) for role, image in images.items()}
        with opened(describe(array), list(sources.items())) as opened_array:
            sources[1].change()
            sources[2].change()
            content, lost = read_exact(opened_array, 0, array.size)
            assert lost == own_places(array, 1).union(own_places(array, 2))
            served = Extents.span(0, array.size).difference(lost)
            assert all(content[start:stop] == array.truth[start:stop] for start, stop in served)


# Many readers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["raid5", "raid6", "growing", "becoming-six"])
def test_four_readers_at_random_get_the_truth(name: str) -> None:
    """While damage is being learned."""
    array = sample(name)
    description = describe(array)
    chance = random.Random(7)
    sources: list[tuple[int, BlockSource]] = []
    for role, image in sorted(images_of(array, description).items()):
        bad = [(at, at + 512) for at in range(0, len(image), 4096) if (at // 4096) % len(description.serving) == role]
        sources.append((role, BadSectors(image, Extents(bad))))
    with opened(description, sources) as opened_array, ThreadPoolExecutor(4) as pool:
        barrier = threading.Barrier(4)

        def read_at_random(seed: int) -> None:
            mine = random.Random(seed)
            barrier.wait()
            for _ in range(60):
                start = mine.randrange(array.size)
                stop = min(array.size, start + mine.choice((1, 700, 4096, 30000)))
                content, lost = read_exact(opened_array, start, stop - start)
                assert lost == Extents()
                assert content == array.truth[start:stop]

        for future in [pool.submit(read_at_random, chance.randrange(1 << 30)) for _ in range(4)]:
            future.result()
        assert opened_array.generation > 0
