"""A copy that looks as if it was never copied is believed only if the others agree: against the rule, by sector."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import State
from raidfs.block import BlockSource, read_exact
from raidfs.engine import scrutiny
from raidfs.engine.account import account_of, health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy, Trust
from raidfs.extents import Extents
from tests.engine.test_mirrors import (
    CHUNK,
    LAYOUTS,
    NEAR2,
    OFFSET2,
    SECTOR,
    START,
    Bench,
    bench,
    every_layout,
    pieces_of,
    resized,
)
from tests.support.copy_fills import believed_copy
from tests.support.copy_runs import CopyRuns
from tests.support.fills import PATTERNS, filled, is_filled, located, says_so
from tests.support.sources import BadSectors

CONTESTED = "data, but no fewer copies are filled alike, or those that md reads first: either may be wrong"
NEVER_COPIED = "filled, and another copy holds data: this was never copied"
OPEN = "filled, and the copies differ, but nothing tells what should be there"
IN_DISPUTE = "the copies differ, and nothing tells which is right"
POLICIES = [Policy(), Policy(), Policy(check=True), Policy(doubtful=True), Policy(strict=True)]


@contextmanager
def opened(array: Bench, policy: Policy = Policy(), sources: list[BadSectors] | None = None) -> Iterator[ArraySource]:
    there: list[BlockSource] = [*(array.sources() if sources is None else sources)]
    source = ArraySource(array.description, list(zip(array.members, there, strict=True)), policy)
    try:
        yield source
    finally:
        source.close()


def read(array: Bench, policy: Policy = Policy()) -> tuple[bytes, Extents, dict[tuple[int, str], list[Any]]]:
    """Read all; returns the bytes, what is withheld, and the ranges that were learned, by source and reason."""
    with opened(array, policy) as source:
        content, lost = read_exact(source, 0, source.size)
        return content, lost, {(each.source, each.reason): list(each.extents) for each in source.learned}


def write(array: Bench, at: int, block: bytes, among: Collection[int] | None = None) -> None:
    """Write an array sector to all its copies, or to those with these numbers."""
    (copies,) = [copies for start, copies in array.pieces if start == at]
    for number, (role, offset) in enumerate(copies):
        if among is None or number in among:
            array.images[role][offset : offset + SECTOR] = block


def block_of(random: Random) -> bytes:
    """Draw what a sector holds: data, zeros, or text that a user repeated."""
    kind = random.choice("rrrzp")
    return (
        random.randbytes(SECTOR) if kind == "r" else filled(random.choice(PATTERNS) if kind == "p" else b"\0", SECTOR)
    )


@st.composite
def copies(draw: st.DrawFn) -> tuple[Bench, set[int]]:
    """Draw an array with fills on some copies, some that differ, members that are missing; and unproven sectors."""
    random = Random(draw(st.integers(0, 1 << 20)))
    kind = draw(st.sampled_from([*LAYOUTS, None]))
    if kind is None:
        array = resized(*random.choice([(OFFSET2, NEAR2), (NEAR2, OFFSET2)]), random.randrange(0, 96) * SECTOR)
    else:
        array = bench(*kind, rows=draw(st.integers(3, 6)), chunk=random.choice([1024, 4096]))
    unproven: set[int] = set()
    if kind is not None and draw(st.booleans()):
        low = random.randrange(array.description.size // SECTOR) * SECTOR
        high = random.randint(low // SECTOR, array.description.size // SECTOR) * SECTOR
        array.description = replace(array.description, unsynced=Extents.span(low, high))
        unproven = set(range(low, high, SECTOR))
    for at, places in array.pieces:
        write(array, at, block_of(random))
        if random.random() < 0.2:
            write(array, at, random.randbytes(SECTOR), [random.randrange(len(places))])
    for _ in range(draw(st.integers(1, 6))):
        role = random.choice(sorted(array.images))
        start = START + random.randrange((len(array.images[role]) - START) // SECTOR) * SECTOR
        length = min(random.choice([1, 2, 8, 9, 16, 24]) * SECTOR, len(array.images[role]) - start)
        array.images[role][start : start + length] = filled(random.choice(PATTERNS), length, random.randrange(64))
    roles = sorted(array.images)
    missing = draw(st.sets(st.sampled_from(roles), max_size=1)) if kind is not None else set()
    array.bad = {
        role: Extents([(offset, offset + SECTOR)])
        for _, places in random.sample(array.pieces, draw(st.integers(0, 3)) if kind is not None else 0)
        for role, offset in [random.choice(places)]
    }
    return with_late(array.without(missing), draw(st.sets(st.sampled_from(roles), max_size=2))), unproven


def with_late(array: Bench, late: Collection[int]) -> Bench:
    """Let md read the members of these roles last."""
    members = tuple(replace(member, write_mostly=member.role in late) for member in array.description.members)
    there = {member.role for member in members if member.write_mostly}
    pieces = [(at, sorted(copies, key=lambda copy: copy[0] in there)) for at, copies in array.pieces]
    return replace(array, description=replace(array.description, members=members), pieces=pieces)


def told_at_once(array: Bench) -> list[BadSectors]:
    """The sources, with all bad places known: what reading finds would depend on what is read."""
    sources = array.sources()
    for source in sources:
        read_exact(source, 0, source.size)
    return sources


@settings(max_examples=150, deadline=None)
@given(st.data(), copies(), st.sampled_from(POLICIES))
def test_what_is_believed_follows_the_rule(data: st.DataObject, drawn: tuple[Bench, set[int]], policy: Policy) -> None:
    array, unproven = drawn
    serving = {member.role for member in array.members}
    late = {member.role for member in array.members if member.write_mostly}
    expected, worth = bytearray(), []

    def held(role: int, offset: int) -> bytes | None:
        is_bad = array.bad.get(role, Extents()).overlaps(offset, offset + SECTOR)
        return None if is_bad or role not in serving else bytes(array.images[role][offset : offset + SECTOR])

    runs = CopyRuns(array.pieces, held, array.is_joined, unproven)
    for at, places in array.pieces:
        blocks = [held(*place) for place in places]
        sure = [runs.is_convincing(*place) for place in places]
        is_late = [role in late for role, _ in places]
        opposed = [runs.is_opposed(*place) for place in places]
        proven = at not in unproven
        health, block = believed_copy(blocks, is_late, sure, opposed, is_proven=proven, check=policy.check)
        worth.append(health)
        expected += block if health <= policy.limit else bytes(SECTOR)
    withheld = Extents([(at * SECTOR, (at + 1) * SECTOR) for at, each in enumerate(worth) if each > policy.limit])
    size = array.description.size
    if array.description.reshape is not None and (policy.doubtful or withheld):
        return  # what old copies are good for then is another story
    with opened(array, policy, told_at_once(array)) as source:
        content, lost = read_exact(source, 0, size)
        assert content == bytes(expected)
        assert lost == withheld == source.known_losses(0, size)
        told = health_runs(source.sight.charts, 0, size)
        found = [health for start, stop, health in told for _ in range(start, stop, SECTOR)]
        assert [each for each in found if each <= policy.limit] == [each for each in worth if each <= policy.limit]
        assert account_of(source.sight.charts).total == size
    edges = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=6))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scrutiny, "UNIT", data.draw(st.sampled_from([512, 4096, 65536])))
        with opened(array, policy, told_at_once(array)) as source:
            for start, stop in data.draw(st.permutations(list(pairwise(edges)))):
                there = content[start:stop], lost.clip(start, stop).shift(-start)
                assert read_exact(source, start, stop - start) == there


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LAYOUTS), st.booleans(), st.integers(0, 1 << 20))
def test_more_fills_never_change_a_byte_that_is_still_served(
    which: tuple[int, int, int], check: bool, seed: int
) -> None:
    """As long as one copy of each sector is what it was; withheld is only what was filled by its user.

    But what a user filled is outvoted by zeros on most copies, and what they say then is no more than unproven; and a
    mark that was stored by the user would be taken for the tool's.
    """
    random, array = Random(seed), bench(*which, rows=4)
    for at, _ in array.pieces:
        block = block_of(random)
        write(array, at, bytes(SECTOR) if says_so(block) else block)
    truth, spare = array.content(), {at: random.randrange(len(places)) for at, places in array.pieces}
    for _ in range(3):
        for at, places in random.sample(array.pieces, len(array.pieces) // 4):
            among = [number for number in range(len(places)) if number != spare[at] and random.random() < 0.7]
            write(array, at, filled(random.choice(PATTERNS), SECTOR, random.randrange(64)), among)
        for is_strict in (False, True):
            content, lost, _ = read(array, Policy(check=check, strict=is_strict))
            for at, places in array.pieces:
                held, own = truth[at : at + SECTOR], content[at : at + SECTOR]
                copies = [bytes(array.images[role][offset : offset + SECTOR]) for role, offset in places]
                is_outvoted = 2 * copies.count(bytes(SECTOR)) > len(copies) and is_filled(held)
                assert own == held or lost.overlaps(at, at + SECTOR) or (not is_strict and is_outvoted)
                assert is_strict or is_filled(held) or not lost.overlaps(at, at + SECTOR)


# One by one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", PATTERNS)
@every_layout
def test_an_aborted_copy_is_not_believed_and_named(level: int, layout: int, disks: int, pattern: bytes) -> None:
    array = bench(level, layout, disks)
    truth, start = array.content(), START + CHUNK + SECTOR
    length = len(array.images[1]) - start
    array.images[1][start:] = filled(pattern, length)
    held = [(offset, offset + SECTOR) for _, places in array.pieces for role, offset in places if role == 1]
    named = Extents(held).clip(start, len(array.images[1]))
    assert read(array, Policy(check=True)) == (truth, Extents(), {(1, NEVER_COPIED): list(named)})
    content, lost, learned = read(array)
    assert (content, lost) == (truth, Extents())
    assert not Extents(learned.get((1, NEVER_COPIED), [])).difference(named)
    first = Extents([(places[0][1], places[0][1] + SECTOR) for _, places in array.pieces if places[0][0] == 1])
    assert not first.clip(start, len(array.images[1])).difference(Extents(learned.get((1, NEVER_COPIED), [])))


@pytest.mark.parametrize("position", [0, 3 * CHUNK, 5 * CHUNK + SECTOR, 12 * 4 * CHUNK // 2])
@pytest.mark.parametrize(("old", "new"), [(OFFSET2, NEAR2), (NEAR2, OFFSET2)])
@pytest.mark.parametrize("role", [0, 1])
def test_both_geometries_of_a_reshape(old: int, new: int, position: int, role: int) -> None:
    array = resized(old, new, position)
    truth = array.content()
    array.images[role][START:] = bytes(len(array.images[role]) - START)
    assert read(array)[:2] == (truth, Extents())
    content, lost, learned = read(array, Policy(check=True))
    assert (content, lost) == (truth, Extents())
    assert {source for source, reason in learned if reason == NEVER_COPIED} == {role}


@pytest.mark.parametrize("number", [0, 1])
def test_what_a_reshape_left_at_its_old_place_is_compared_where_it_counts(number: int) -> None:
    """Both new copies of a chunk are gone, and one of the old ones was never copied."""
    position = 4 * CHUNK
    array = resized(OFFSET2, NEAR2, position)
    truth, reshape = array.content(), array.description.reshape
    assert reshape is not None
    array.description = replace(array.description, reshape=replace(reshape, quiet=Extents.span(0, position)))
    old = [copies for at, copies in pieces_of(10, OFFSET2, 4, 12 * CHUNK, CHUNK, START + 16 * CHUNK) if at < position]
    for at, copies in enumerate(old):
        for role, offset in copies:
            array.images[role][offset : offset + SECTOR] = truth[at * SECTOR : (at + 1) * SECTOR]
    (role, offset), new = old[8][number], array.pieces[8][1]
    array.images[role][offset : offset + CHUNK] = bytes(CHUNK)
    array.bad = {each: Extents.span(at, at + CHUNK) for each, at in new}
    with opened(array, sources=told_at_once(array)) as source:
        assert read_exact(source, 0, source.size) == (truth, Extents())
    with opened(array, Policy(check=True), told_at_once(array)) as source:
        assert read_exact(source, 0, source.size) == (truth, Extents())
        named = [(each.source, list(each.extents)) for each in source.learned if each.reason == NEVER_COPIED]
        assert named == [(role, [(offset, offset + CHUNK)])]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_replacement_is_a_copy_of_its_member(is_first: bool) -> None:
    """The other role is missing: member and replacement are all that is left."""
    array = bench(1, 0, 2)
    truth, (member, _) = array.content(), array.description.members
    recovered = 8 * CHUNK
    replacement = replace(
        member, path="new", state=State.REPLACEMENT, recovered_to=recovered, data_offset=0, new_data_offset=0
    )
    array.description = replace(array.description, members=(member, replacement))
    images = [bytes(array.images[0]), truth[:recovered] + Random(1).randbytes(len(truth) - recovered)]
    which = 0 if is_first else 1
    offset = START if is_first else 0
    image = bytearray(images[which])
    image[offset + CHUNK : offset + 2 * CHUNK] = bytes(CHUNK)
    images[which] = bytes(image)
    with opened(array, Policy(check=True), [BadSectors(image) for image in images]) as source:
        assert read_exact(source, 0, source.size) == (truth, Extents())
        assert [(each.source, list(each.extents), each.reason) for each in source.learned] == [
            (which, [(offset + CHUNK, offset + 2 * CHUNK)], NEVER_COPIED)
        ]


def test_zeros_that_both_copies_hold_are_judged_once() -> None:
    array = bench(1, 0, 2)
    for image in array.images.values():
        image[:] = bytes(len(image))
    sources = array.sources()
    with opened(array, sources=sources) as source:
        read_exact(source, 0, SECTOR)
        for each in sources:
            each.asked = Extents()
        for start in range(0, source.size, 1024):
            assert read_exact(source, start, 1024) == (bytes(1024), Extents())
        assert source.learned == ()
        assert not sources[1].asked  # the whole unit was judged with the first read


def test_copies_that_hold_data_are_never_compared_unasked() -> None:
    array = bench(10, NEAR2, 4)
    sources = array.sources()
    with opened(array, sources=sources) as source:
        read_exact(source, 0, source.size)
    assert not sources[1].asked
    assert not sources[3].asked


def test_all_filled_in_different_ways_is_doubtful() -> None:
    array = bench(1, 0, 2)
    write(array, SECTOR, bytes(SECTOR), [0])
    write(array, SECTOR, filled(b"BADSECT ", SECTOR), [1])
    _, lost, learned = read(array)
    place = [(START + SECTOR, START + 2 * SECTOR)]
    assert lost == Extents.span(SECTOR, 2 * SECTOR)
    assert learned == {(0, OPEN): place, (1, OPEN): place}
    content, lost, _ = read(array, Policy(doubtful=True))
    assert (content[SECTOR : 2 * SECTOR], lost) == (bytes(SECTOR), Extents())


GIVEN_UP = "filled, but not like most copies, and its mark or its run shows that this was never copied"
UNLIKELY = "zeros, but other copies are filled in another way: either may be what was never copied"


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("role", range(3))
@pytest.mark.parametrize("pattern", [b"\xff", b"BADSECT ", b"BaDbLoCk", None], ids=str)
def test_zeros_of_two_copies_outvote_another_fill(pattern: bytes | None, role: int, check: bool) -> None:
    """What says itself that it was not copied loses for certain; 0xff and texts may be data."""
    array = bench(1, 0, 3)
    for each in range(3):
        array.images[each][START + CHUNK : START + 3 * CHUNK] = bytes(2 * CHUNK)
    truth = array.content()
    low, high = START + CHUNK, START + 2 * CHUNK
    array.images[role][low:high] = located(low, CHUNK) if pattern is None else filled(pattern, CHUNK)
    content, lost, learned = read(array, Policy(check=check))
    assert (content, lost) == (truth, Extents())
    is_sure = pattern in (None, b"BaDbLoCk")
    likely = {(each, UNLIKELY): [(low, high)] for each in range(3) if each != role}
    assert learned == ({(role, GIVEN_UP): [(low, high)]} if is_sure else {(role, OPEN): [(low, high)]} | likely)
    assert read(array, Policy(check=check, strict=True))[1] == (
        Extents() if is_sure else Extents.span(CHUNK, 2 * CHUNK)
    )


def test_a_fill_that_goes_on_from_where_others_hold_data_loses_for_certain() -> None:
    array = bench(1, 0, 3)
    for each in range(3):
        array.images[each][START + 2 * CHUNK : START + 3 * CHUNK] = bytes(CHUNK)
    truth = array.content()
    low, high = START + CHUNK - SECTOR, START + 3 * CHUNK - CHUNK // 2
    array.images[2][low:high] = filled(b"\xff", high - low)
    for check in (False, True):
        assert read(array, Policy(check=check, strict=True))[:2] == (truth, Extents())


def test_zeros_of_copies_that_were_given_up_do_not_outvote_0xff() -> None:
    """In the run of the zeros the third copy holds data: two copies may end there."""
    array = bench(1, 0, 3)
    write(array, 5 * SECTOR, filled(b"\xff", SECTOR))
    truth = array.content()
    for role in (0, 1):
        array.images[role][START + 2 * SECTOR : START + 9 * SECTOR] = bytes(7 * SECTOR)
    for check in (False, True):
        content, lost, learned = read(array, Policy(check=check))
        assert lost == Extents.span(5 * SECTOR, 6 * SECTOR)
        assert content[: 5 * SECTOR] + content[6 * SECTOR :] == truth[: 5 * SECTOR] + truth[6 * SECTOR :]
        assert learned[2, OPEN] == [(START + 5 * SECTOR, START + 6 * SECTOR)]


@pytest.mark.parametrize("role", range(2))
def test_of_two_copies_the_one_that_says_that_it_was_not_copied_is_not_believed(role: int) -> None:
    """Nothing proves the zeros of the other; between 0xff and zeros nothing tells."""
    array = bench(1, 0, 2)
    write(array, SECTOR, bytes(SECTOR))
    write(array, 3 * SECTOR, bytes(SECTOR))
    truth = array.content()
    write(array, SECTOR, filled(b"BaDbLoCk", SECTOR), [role])
    write(array, 3 * SECTOR, filled(b"\xff", SECTOR), [role])
    content, lost, learned = read(array, Policy(strict=True))
    assert lost == Extents([(SECTOR, 2 * SECTOR), (3 * SECTOR, 4 * SECTOR)])
    content, lost, learned = read(array)
    assert lost == Extents.span(3 * SECTOR, 4 * SECTOR)
    assert content[: 3 * SECTOR] == truth[: 3 * SECTOR]
    assert learned[role, GIVEN_UP] == learned[1 - role, UNLIKELY] == [(START + SECTOR, START + 2 * SECTOR)]


def test_where_what_is_left_differs_the_fixed_choice_of_it_is_served_as_unproven() -> None:
    array = bench(1, 0, 3)
    write(array, SECTOR, bytes(SECTOR), [0])
    array.spoil(2, START + SECTOR)
    held = bytes(array.images[1][START + SECTOR : START + 2 * SECTOR])
    content, lost, learned = read(array)
    assert (content[SECTOR : 2 * SECTOR], lost) == (held, Extents())
    noticed = "the copies differ, which was seen by chance"
    assert set(learned) == {(0, OPEN), (1, noticed), (2, noticed)}
    _, lost, learned = read(array, Policy(check=True))
    assert lost == Extents.span(SECTOR, 2 * SECTOR)
    assert set(learned) == {(0, OPEN), (1, IN_DISPUTE), (2, IN_DISPUTE)}


@pytest.mark.parametrize("disks", [3, 4, 5])
@pytest.mark.parametrize("pattern", [b"\0", b"\xff", b"never copied\n"])
def test_data_of_one_copy_are_not_proven_where_two_are_filled_alike(disks: int, pattern: bytes) -> None:
    """Two copies may have been given up there, or one may hold garbage where there are zeros."""
    array = bench(1, 0, disks)
    truth = array.content()
    write(array, SECTOR, filled(pattern, SECTOR), range(disks - 1))
    write(array, 9 * SECTOR, filled(pattern, SECTOR), range((disks - 1) // 2))
    place = Extents.span(SECTOR, 2 * SECTOR)
    held = [(START + SECTOR, START + 2 * SECTOR)]
    content, lost, learned = read(array)
    assert (content, lost) == (truth, Extents())
    assert learned.pop((disks - 1, CONTESTED)) == held
    assert all(learned.pop((role, OPEN)) == held for role in range(disks - 1))
    assert {reason for _, reason in learned} == {NEVER_COPIED}  # one of three or four, or two of five
    assert read(array, Policy(check=True))[:2] == (truth, Extents())
    assert read(array, Policy(strict=True))[1] == place
    with opened(array) as source:
        read_exact(source, 0, source.size)
        assert account_of(source.sight.charts).unproven == SECTOR


def test_data_of_one_copy_are_right_where_two_say_that_they_were_not_copied() -> None:
    array = bench(1, 0, 3)
    truth = array.content()
    write(array, SECTOR, filled(b"BaDbLoCk", SECTOR), [0, 1])
    assert read(array, Policy(strict=True))[:2] == (truth, Extents())


def test_what_md_finds_first_is_served_unless_everything_is_compared() -> None:
    """Nobody is led here by a fill, so nothing is said of the data; the others are no copies to rebuild from."""
    array = bench(1, 0, 3)
    truth = array.content()
    write(array, 0, bytes(SECTOR), [1, 2])
    write(array, SECTOR, bytes(SECTOR), [0])
    content, lost, learned = read(array, Policy(strict=True))
    assert (content, lost) == (truth, Extents())
    place = [(START, START + SECTOR)]
    assert {key: value for key, value in learned.items() if value == place} == {(1, OPEN): place, (2, OPEN): place}
    assert read(array, Policy(strict=True, check=True))[1] == Extents.span(0, SECTOR)


@pytest.mark.parametrize("is_late", [False, True])
def test_data_that_only_a_write_mostly_copy_holds_are_not_proven(is_late: bool) -> None:
    """It is the one that may have missed what was discarded, and md would not have read it."""
    array = with_late(bench(1, 0, 2), [1] if is_late else [])
    truth = array.content()
    array.images[0][START : START + CHUNK] = bytes(CHUNK)
    content, lost, learned = read(array)
    assert (content, lost) == (truth, Extents())
    place = [(START, START + CHUNK)]
    assert learned == ({(0, OPEN): place, (1, CONTESTED): place} if is_late else {(0, NEVER_COPIED): place})
    assert bool(read(array, Policy(strict=True))[1]) == is_late


@pytest.mark.parametrize(
    ("disks", "expected"),
    [(2, {0: IN_DISPUTE, 1: IN_DISPUTE}), (3, {1: "wrong, as most copies tell"})],
)
def test_check_compares_everything_and_most_copies_win(disks: int, expected: Mapping[int, str]) -> None:
    array = bench(1, 0, disks)
    truth = array.content()
    array.spoil(1, START + 3 * SECTOR)
    assert read(array) == (truth, Extents(), {})
    content, lost, learned = read(array, Policy(check=True))
    place = [(START + 3 * SECTOR, START + 4 * SECTOR)]
    assert learned == dict.fromkeys(expected.items(), place)
    assert lost == (Extents.span(3 * SECTOR, 4 * SECTOR) if disks == 2 else Extents())
    assert disks == 2 or content == truth


def test_zeros_beside_a_copy_that_was_never_proven_equal_are_served_as_unproven() -> None:
    array = bench(1, 0, 2, unsynced=Extents.span(0, CHUNK))
    write(array, 0, bytes(SECTOR), [0])
    truth = array.content()
    content, lost, learned = read(array)
    assert (content, lost) == (truth, Extents())
    reason = "filled, and the copies differ, which were never proven equal there"
    assert learned == {(0, reason): [(START, START + SECTOR)]}
    with opened(array, Policy(strict=True)) as source:
        assert read_exact(source, 0, source.size)[1] == Extents.span(0, SECTOR)
        assert account_of(source.sight.charts).unproven == SECTOR


def test_what_fails_while_it_is_judged_is_learned() -> None:
    array = bench(1, 0, 3)
    truth = array.content()
    array.images[0][START : START + CHUNK] = bytes(CHUNK)
    array.bad = {1: Extents.span(START, START + 1)}
    with opened(array) as source:
        assert read_exact(source, 0, source.size) == (truth, Extents())
        assert {(each.source, each.trust, *each.extents) for each in source.learned} == {
            (0, Trust.NONE, (START, START + CHUNK)),
            (1, Trust.NONE, (START, START + 1)),
        }


def test_what_one_copy_holds_alone_is_believed() -> None:
    array = bench(10, NEAR2, 4).without([1])
    array.images[0][START:] = bytes(len(array.images[0]) - START)
    content, lost, learned = read(array)
    assert (content, lost, learned) == (array.content(), Extents(), {})


def test_copies_are_numbered_by_place_not_by_source() -> None:
    """A large chunk is judged in slices of several symbols at the same height."""
    chunk = 4 * scrutiny.UNIT
    array = bench(10, NEAR2, 3, rows=2, chunk=chunk)
    truth = array.content()
    for role in range(3):
        middle = START + role * 2 * SECTOR + 3 * scrutiny.UNIT
        array.images[role][middle : middle + SECTOR] = bytes(SECTOR)
    for start in (2 * chunk, 0, chunk):
        with opened(array) as source:
            assert read_exact(source, start, chunk) == (truth[start : start + chunk], Extents())
    assert np.frombuffer(read(array)[0], np.uint8).tobytes() == truth
