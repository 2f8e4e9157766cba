"""Rows are judged before what is filled of them is served, once, and whoever else reads at the time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from raidfs.block import BlockSource, read_exact
from raidfs.engine import scrutiny
from raidfs.engine.health import Policy, Trust
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.support.filled_bench import FIVE, FOUR, NEVER_COPIED, START, fill, opened, read, whole
from tests.support.fills import PATTERNS
from tests.support.simulated import describe, images_of, memory_sources
from tests.support.sources import BadSectors, Flipping, Hanging, ZerosFirst


def test_what_was_judged_is_never_judged_again() -> None:
    array = whole(FOUR, bytes(FOUR.capacity(40960)))
    description = describe(array)
    sources = {role: BadSectors(image) for role, image in images_of(array, description).items()}
    with opened(description, list(sources.items())) as source:
        read_exact(source, 0, 512)
        for each in sources.values():
            each.asked = Extents()
        for start in range(0, source.size, 1024):
            read_exact(source, start, 1024)
        parity = sum(each.asked.total for each in sources.values()) - source.size
        assert parity == 0  # the whole unit was judged with the first read


def test_what_fails_while_it_is_judged_is_learned() -> None:
    array = whole(FOUR)
    fill(array, 1, 0, 1024)
    parity = FOUR.stripe(0).p
    description = describe(array)
    sources: list[tuple[int, BlockSource]] = [
        (role, BadSectors(image, Extents.span(START, START + 512) if role == parity else Extents()))
        for role, image in sorted(images_of(array, description).items())
    ]
    with opened(description, sources) as source:
        content, lost = read_exact(source, 0, source.size)
        learned = {(each.source, each.trust): each.extents for each in source.learned}
    assert learned == {
        (parity, Trust.NONE): Extents.span(START, START + 512),  # so the first sector cannot be judged
        (1, Trust.NONE): Extents.span(START + 512, START + 1024),
        (parity, Trust.UNPROVEN): Extents.span(START + 512, START + 1024),  # it is less than a page
    }
    assert lost == Extents()
    assert content[4096 + 512 :] == array.truth[4096 + 512 :]


def test_while_a_member_hangs_its_rows_are_believed_and_judged_later() -> None:
    array = whole(FOUR)
    fill(array, 1, 0, 1024)
    description = describe(array)
    hanging = Hanging(bytes(array.roles[FOUR.stripe(0).p].image))
    images = images_of(array, description)
    sources = [(role, hanging if role == FOUR.stripe(0).p else source) for role, source in memory_sources(images)]
    with opened(description, sources, patience=0.02) as source:
        assert read_exact(source, 4096, 1024)[1] == Extents()
        assert source.generation == 0
        hanging.may_answer.set()
        content = b""
        while content != array.truth[4096:5120]:
            content, lost = read_exact(source, 4096, 1024)
            assert not lost
        assert source.learned[0].reason == NEVER_COPIED


def test_four_readers_at_random_get_the_truth() -> None:
    array = whole(FIVE, size=1 << 20)
    random = Random(5)
    for at in range(0, 1 << 20, 4096):
        fill(array, random.randrange(5), at, at + random.choice([512, 1024, 4096]), random.choice(PATTERNS))
    description = describe(array)
    with (
        opened(description, memory_sources(images_of(array, description))) as source,
        ThreadPoolExecutor(4) as pool,
    ):
        barrier = threading.Barrier(4)

        def read_at_random(seed: int) -> None:
            mine = Random(seed)
            barrier.wait()
            for _ in range(40):
                start = mine.randrange(source.size)
                stop = min(source.size, start + mine.choice((1, 700, 4096, 30000)))
                assert read_exact(source, start, stop - start) == (array.truth[start:stop], Extents())

        for future in [pool.submit(read_at_random, random.randrange(1 << 30)) for _ in range(4)]:
            future.result()


def test_units_are_larger_where_there_would_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrutiny, "UNIT", 4096)
    monkeypatch.setattr(scrutiny, "_MOST_UNITS", 8)
    array = whole(FOUR, size=1 << 18)
    for at in range(0, 1 << 18, 8192):
        fill(array, at // 8192 % 4, at, at + 1024)
    content, lost, _ = read(array)
    assert (content, lost) == (array.truth, Extents())


def test_sequential_judging_goes_further_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrutiny, "UNIT", 4096)
    array = whole(FOUR, bytes(FOUR.capacity(1 << 18)), size=1 << 18)
    description = describe(array)
    sources = {role: BadSectors(image) for role, image in images_of(array, description).items()}
    parity_reads = []
    with opened(description, list(sources.items())) as source:
        for start in range(0, source.size, FOUR.stripe_size):
            for each in sources.values():
                each.asked = Extents()
            read_exact(source, start, FOUR.stripe_size)
            parity_reads.append(sum(each.asked.total for each in sources.values()) - FOUR.stripe_size)
    assert [number for number, n_bytes in enumerate(parity_reads) if n_bytes] == [0, 1, 3, 7, 15, 31, 63]


@pytest.mark.parametrize("geometry", [FOUR, FIVE])
def test_zeros_that_are_gone_when_they_are_judged_are_not_served(geometry: Geometry) -> None:
    array = whole(geometry, size=1 << 20)
    description = describe(array)
    zeros = ZerosFirst(bytes(array.roles[1].image))
    sources: list[tuple[int, BlockSource]] = [
        (role, zeros if role == 1 else source) for role, source in memory_sources(images_of(array, description))
    ]
    with opened(description, sources) as source:
        for _ in range(2):  # also after their rows were judged
            for start in range(0, source.size, 16384):
                n = min(16384, source.size - start)
                assert read_exact(source, start, n) == (array.truth[start : start + n], Extents())
            zeros.given = Extents()


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("geometry", [FOUR, FIVE])
def test_where_every_read_is_checked_what_is_served_is_what_was_judged(geometry: Geometry, share: float) -> None:
    """A member that gives wrong bytes now and then, without a word: also after its rows were judged once."""
    array = whole(geometry, size=1 << 18)
    description = describe(array)
    flipping = Flipping(bytes(array.roles[1].image), 7, 0.0)
    sources: list[tuple[int, BlockSource]] = [
        (role, flipping if role == 1 else source) for role, source in memory_sources(images_of(array, description))
    ]
    with opened(description, sources, Policy(check=True)) as source:
        for each in (0.0, share, share):
            flipping.share = each
            for start in range(0, source.size, 16384):
                n = min(16384, source.size - start)
                content, lost = read_exact(source, start, n)
                true = bytearray(array.truth[start : start + n])
                for low, high in lost:
                    true[low:high] = bytes(high - low)
                assert content == true
    assert flipping.n_wrong > 20


def test_where_every_read_is_checked_rows_far_away_are_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrutiny, "UNIT", 4096)
    monkeypatch.setattr(scrutiny, "_MOST_AHEAD", 8192)
    array = whole(FOUR, size=1 << 18)
    description = describe(array)
    sources = {role: BadSectors(image) for role, image in images_of(array, description).items()}
    parity = sources[FOUR.stripe(0).p]
    with opened(description, list(sources.items()), Policy(check=True)) as source:
        is_judged = []
        for at in (0, 0, FOUR.stripe_size, 20 * FOUR.stripe_size, 0):
            parity.asked = Extents()
            assert read_exact(source, at, 512) == (array.truth[at : at + 512], Extents())
            is_judged.append(parity.asked.overlaps(START, START + 4096))
    assert is_judged == [True, False, False, False, True]
