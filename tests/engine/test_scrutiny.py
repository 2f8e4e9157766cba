"""What looks as if it was never copied is believed only where parity agrees: against the rule, one sector at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, read_exact
from raidfs.engine import judge, rows, scrutiny
from raidfs.engine.account import account_of, health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy, Trust
from raidfs.extents import Extents
from tests.oracle.layouts import LAYOUT_NAMES, Geometry, locate
from tests.oracle.writer import Simulation, write_array
from tests.support.crashes import Damaged, some_land
from tests.support.fills import LONG_TEXTS, PATTERNS, believed, filled, located
from tests.support.simulated import describe, images_of, memory_sources, seated
from tests.support.sources import BadSectors, Hanging
from tests.support.worth import GOOD, SECTOR, UNPROVEN, situation_of

START = 64 * 1024
CHUNKS = (1024, 4096)
FOUR = Geometry(5, 2, 4, 4096)
FIVE = Geometry(6, 2, 5, 4096)
NEVER_COPIED = "filled, and parity disagrees: this was never copied"
PLAIN = (b"\0", b"\xff", b"\x5a")


@contextmanager
def opened(
    description: ArrayDescription,
    sources: Sequence[tuple[int, BlockSource]],
    policy: Policy = Policy(),
    patience: float = 600.0,
) -> Iterator[ArraySource]:
    array = ArraySource(description, seated(description, sources), policy, patience=patience)
    try:
        yield array
    finally:
        array.close()


@contextmanager
def units_of(size: int) -> Iterator[None]:
    """Settle so many bytes of each member at least; in so many rows speak for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scrutiny, "UNIT", size)
        patch.setattr(judge, "_PIECE", size // SECTOR)
        patch.setattr(rows, "PIECE", size)
        yield


DATA = "rrrzzpc"
"""Kinds of sectors, as often as they occur: random, zeros, a pattern, the same as one that came before."""


def contents(draw: st.DrawFn, size: int, random: Random, patterns: Sequence[bytes], kinds: str = DATA) -> bytes:
    """Data as they are, of some kinds."""
    drawn = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=40))
    sectors: list[bytes] = []
    for number in range(size // SECTOR):
        kind = drawn[number % len(drawn)]
        if kind == "c" and sectors:
            sectors.append(random.choice(sectors))
        elif kind in "zp":
            sectors.append(filled(random.choice(patterns) if kind == "p" else b"\0", SECTOR))
        else:
            sectors.append(random.randbytes(SECTOR))
    return b"".join(sectors)


@st.composite
def arrays(
    draw: st.DrawFn,
    levels: Sequence[int] = (4, 5, 6),
    *,
    reshaped: bool | None = None,
    patterns: Sequence[bytes] = PATTERNS,
    kinds: str = DATA,
) -> Simulation:
    """Draw an array, perhaps in a reshape between places that lie far apart, perhaps not shut down cleanly."""
    random = Random(draw(st.integers(0, 1 << 20)))

    level = draw(st.sampled_from(levels))

    def geometry() -> Geometry:
        layout = draw(st.sampled_from(sorted(LAYOUT_NAMES[level])))
        disks = draw(st.integers(4 if level == 6 else 2, 6))
        return Geometry(level, layout, disks, draw(st.sampled_from(CHUNKS)))

    before = geometry()
    size = draw(st.integers(1, 5)) * 4096
    data = contents(draw, before.capacity(size), random, patterns, kinds)
    if not (draw(st.booleans()) if reshaped is None else reshaped):
        return write_array(before, size, data_offset=START, data=data, seed=random.randrange(1 << 20))
    after = geometry()
    is_backwards = after.raid_disks < before.raid_disks
    step = max(before.chunk, after.chunk) * after.data_disks
    most = min(before.capacity(size), after.capacity(size)) // step
    return write_array(
        before,
        size,
        after=after,
        position=draw(st.integers(0, most)) * step,
        backwards=is_backwards,
        data_offset=START,
        new_data_offset=START + (32 << 10 if is_backwards else -(32 << 10)),
        data=data,
        seed=random.randrange(1 << 20),
    )


def dirty(draw: st.DrawFn, array: Simulation) -> None:
    """Let the array crash in the middle of writes."""
    random = Random(draw(st.integers(0, 1 << 20)))
    array.resync_offset = draw(st.integers(0, array.component_size // SECTOR)) * SECTOR
    for start in draw(st.lists(st.integers(0, array.size // SECTOR - 1), max_size=4)):
        row = start * SECTOR // array.geometry.stripe_size
        if row * array.geometry.chunk >= array.resync_offset:
            block = draw(st.sampled_from([bytes(SECTOR), random.randbytes(SECTOR)]))
            array.user_write(start * SECTOR, block, some_land(random, 0.5))


def fill_somewhere(draw: st.DrawFn, array: Simulation) -> None:
    """Fill ranges of members, near each other so that they meet; nobody is told."""
    n = array.component_size // SECTOR
    for _ in range(draw(st.integers(1, 4))):
        member = array.roles[draw(st.sampled_from(sorted(array.roles)))]
        offset = draw(st.sampled_from([member.data_offset, member.new_data_offset]))
        first = draw(st.integers(0, n - 1))
        length = min(draw(st.sampled_from([1, 2, 7, 8, n])), n - first) * SECTOR
        start = offset + first * SECTOR
        pattern = draw(st.sampled_from((b"\0", b"\0", None, *PATTERNS, *LONG_TEXTS)))
        fill = located(start, length) if pattern is None else filled(pattern, length, draw(st.integers(0, 63)))
        member.image[start : start + length] = fill


@st.composite
def copies(draw: st.DrawFn) -> Damaged:
    """Draw an array of which copies were made that hold fills; members may be missing, sectors may be bad."""
    array = draw(arrays())
    if array.after is None and draw(st.integers(0, 3)) == 0:
        dirty(draw, array)
    fill_somewhere(draw, array)
    roles = sorted(array.roles)
    missing = draw(st.frozensets(st.sampled_from(roles), max_size=draw(st.sampled_from([0, 0, 0, 1, 1, 2]))))
    place = st.integers(START // SECTOR, (START + array.component_size) // SECTOR - 1)
    bad = draw(st.lists(st.tuples(st.sampled_from(roles), place), max_size=2))
    ranges = tuple((role, (sector * SECTOR, (sector + 1) * SECTOR)) for role, sector in bad)
    return Damaged(array, missing, bad=ranges)


def per_sector(array: ArraySource) -> NDArray[np.uint8]:
    """Health of each sector, from the runs."""
    runs = health_runs(array.sight.charts, 0, array.size)
    return np.concatenate([np.full((stop - start) // SECTOR, health, dtype=np.uint8) for start, stop, health in runs])


def told_at_once(damaged: Damaged) -> list[tuple[int, BlockSource]]:
    """The sources, with all bad places known: what reading finds would depend on what is read."""
    found = []
    for role, source in damaged.sources:
        source.read_into(np.array([[0, source.size, 0]]), np.zeros(source.size, dtype=np.uint8))
        found.append((role, source))
    return found


POLICIES = [Policy(), Policy(), Policy(check=True), Policy(doubtful=True), Policy(strict=True)]


@settings(max_examples=600)
@given(st.data(), copies(), st.sampled_from(POLICIES))
def test_what_is_believed_follows_the_rule(data: st.DataObject, damaged: Damaged, policy: Policy) -> None:
    if policy.doubtful and damaged.array.after is not None:
        policy = Policy()  # what old copies are good for then is another story
    images = {role: bytes(member.image) for role, member in damaged.array.roles.items()}
    unit = data.draw(st.sampled_from([4096, 65536]))
    noticed: set[int] = set()
    sectors = sorted(believed(damaged.situation, images, check=policy.check, nearby=unit, noticed=noticed))
    if noticed and policy.strict:
        policy = Policy()  # which would withhold what is seen by chance, if it is seen
    worth = np.array([health for _, health, _ in sectors], dtype=np.uint8)
    expected = [content for _, _, content in sectors]
    served = worth <= policy.limit
    description, size = damaged.description, damaged.array.size
    with units_of(unit), opened(description, told_at_once(damaged), policy) as array:
        content, lost = read_exact(array, 0, size)
        withheld = [(at * SECTOR, (at + 1) * SECTOR) for at in np.flatnonzero(~served).tolist()]
        assert lost == Extents(withheld) == array.known_losses(0, size)
        assert content == b"".join(
            block if is_served else bytes(SECTOR) for block, is_served in zip(expected, served, strict=True)
        )
        found = per_sector(array)
        differs = served & (found != worth)
        assert not differs.any() or (noticed and (worth[differs] == UNPROVEN).all() and (found[differs] == GOOD).all())
        assert (found[~served] > policy.limit).all()
        assert account_of(array.sight.charts).total == size
    edges = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=6))})
    pieces = data.draw(st.permutations(list(pairwise(edges))))
    with units_of(unit), opened(description, told_at_once(damaged), policy) as array:
        for start, stop in pieces:
            there = content[start:stop], lost.clip(start, stop).shift(-start)
            assert read_exact(array, start, stop - start) == there


@settings(max_examples=60)
@given(st.data(), arrays(reshaped=False, patterns=PLAIN))
def test_one_member_filled_in_a_row_gives_the_truth_or_nothing(data: st.DataObject, array: Simulation) -> None:
    """Zeros on all members, but never two in one row; on RAID6 nothing is missing then that was zeros.

    A mark of another tool that was stored by the user, beside zeros in rows of their own, would be taken for theirs.
    """
    random = Random(data.draw(st.integers(0, 1 << 20)))
    truth = array.truth
    for sector in range(array.component_size // SECTOR):
        member = array.roles[random.choice([*array.roles, *array.roles])]
        if random.random() < 0.5:
            at = member.data_offset + sector * SECTOR
            member.image[at : at + SECTOR] = bytes(SECTOR)
    description = describe(array)
    with opened(description, memory_sources(images_of(array, description))) as source:
        content, lost = read_exact(source, 0, source.size)
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == truth[start:stop]
    assert array.geometry.level != 6 or not lost


@settings(max_examples=60)
@given(arrays(levels=(6,), reshaped=False, patterns=PLAIN), st.booleans(), st.integers(0, 1 << 20))
def test_two_that_are_zeros_in_a_row_of_raid6_are_never_taken_for_others(
    array: Simulation, is_whole: bool, seed: int
) -> None:
    """Two wrong members, or one beside a missing one, are as much as RAID6 bears; data that are alike look alike.

    A text that was repeated by the user, alone in its row, would be taken for a fill.
    """
    random = Random(seed)
    truth = array.truth
    missing = [] if is_whole else [random.choice(sorted(array.roles))]
    for sector in range(array.component_size // SECTOR):
        for role in random.sample(sorted(array.roles.keys() - set(missing)), 2 - len(missing)):
            if random.random() < 0.8:
                at = array.roles[role].data_offset + sector * SECTOR
                array.roles[role].image[at : at + SECTOR] = bytes(SECTOR)
    content, lost, _ = read(array, without=missing)
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == truth[start:stop]


def spoil_one_member_in_many_rows(array: Simulation, random: Random) -> None:
    """Change a byte of one member in many sectors, in both geometries."""
    for sector in range(array.component_size // SECTOR):
        member = array.roles[random.choice(sorted(array.roles))]
        for offset in {member.data_offset, member.new_data_offset}:
            if random.random() < 0.4:
                member.image[offset + sector * SECTOR + random.randrange(SECTOR)] ^= random.randrange(1, 256)


def checked(array: Simulation) -> tuple[bytes, Extents]:
    """Read all with everything compared; the bytes, and what is withheld."""
    description = describe(array)
    with opened(description, memory_sources(images_of(array, description)), Policy(check=True)) as source:
        content, lost = read_exact(source, 0, source.size)
        assert lost == source.known_losses(0, source.size)
        return content, lost


@settings(max_examples=60)
@given(arrays(levels=(6,), kinds="r"), st.integers(0, 1 << 20))
def test_check_corrects_one_wrong_member_of_raid6(array: Simulation, seed: int) -> None:
    truth = array.truth
    spoil_one_member_in_many_rows(array, Random(seed))
    assert checked(array) == (truth, Extents())


@settings(max_examples=60)
@given(arrays(levels=(6,)), st.integers(0, 1 << 20))
def test_check_withholds_of_raid6_what_may_be_a_pair_of_fills_and_nothing_else(array: Simulation, seed: int) -> None:
    """Beside a wrong member, what looks as if two were never copied may be just that: the rule says where."""
    truth = array.truth
    spoil_one_member_in_many_rows(array, Random(seed))
    images = {role: bytes(member.image) for role, member in array.roles.items()}
    told = believed(situation_of(array, {}), images, check=True)
    withheld = Extents([(at, at + SECTOR) for at, health, _ in told if health > UNPROVEN])
    content, lost = checked(array)
    assert lost == withheld
    for start, stop in Extents.span(0, len(truth)).difference(lost):
        assert content[start:stop] == truth[start:stop]


@settings(max_examples=30)
@given(st.sampled_from([2, 3, 5]), st.sampled_from([4, 5]), st.integers(0, 1 << 20))
def test_check_withholds_every_row_of_raid5_that_is_wrong_and_no_other(disks: int, level: int, seed: int) -> None:
    array = write_array(Geometry(level, 0, disks, 1024), 8192, data_offset=START, seed=seed)
    truth = array.truth
    before = {role: bytes(member.image) for role, member in array.roles.items()}
    spoil_one_member_in_many_rows(array, Random(seed))
    wrong = Extents()
    for role, member in array.roles.items():
        differs = np.frombuffer(before[role], np.uint8) != np.frombuffer(member.image, np.uint8)
        heights = np.flatnonzero(differs.reshape(-1, SECTOR).any(axis=1)) * SECTOR - START
        wrong = wrong.union(*(own(array, each, at, at + SECTOR) for at in heights.tolist() for each in range(disks)))
    content, lost, _ = read(array, Policy(check=True))
    assert lost == wrong
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == truth[start:stop]


# One by one --------------------------------------------------------------------------------------------------------


def whole(geometry: Geometry, data: bytes | None = None, size: int = 40960) -> Simulation:
    return write_array(geometry, size, data_offset=START, data=data, seed=3)


def fill(array: Simulation, role: int, start: int, stop: int, pattern: bytes = b"\0") -> None:
    """Fill component bytes of a member."""
    member = array.roles[role]
    member.image[START + start : START + stop] = filled(pattern, stop - start)


def read(array: Simulation, policy: Policy = Policy(), without: Sequence[int] = ()) -> tuple[bytes, Extents, list[str]]:
    """Read all; returns the bytes, what is withheld, and what was learned."""
    description = describe(array, without=without)
    with opened(description, memory_sources(images_of(array, description)), policy) as source:
        content, lost = read_exact(source, 0, source.size)
        return content, lost, [f"{each.source}: {list(each.extents)} {each.reason}" for each in source.learned]


def own(array: Simulation, role: int, start: int, stop: int) -> Extents:
    """Array bytes whose own place is in component bytes of a role."""
    chunk = array.geometry.chunk
    found = []
    for at in range(0, array.size, SECTOR):
        where, place = locate(array.geometry, at)
        if where == role and start <= place < stop:
            found.append((at, at + SECTOR))
    assert chunk % SECTOR == 0
    return Extents(found)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("geometry", [FOUR, FIVE], ids=str)
def test_a_hole_in_one_copy_is_rebuilt_and_named(geometry: Geometry, pattern: bytes) -> None:
    array = whole(geometry)
    fill(array, 1, 4096 + 512, 20480, pattern)
    assert read(array) == (
        array.truth,
        Extents(),
        [f"1: [({START + 4608}, {START + 20480})] {NEVER_COPIED}"],
    )


def test_parity_that_was_never_copied_costs_nothing_until_it_is_needed() -> None:
    array = whole(FOUR)
    fill(array, 3, 0, 4096)  # the parity of the first stripe
    assert read(array) == (array.truth, Extents(), [])


def test_zeros_that_were_written_are_zeros() -> None:
    array = whole(FOUR, bytes(FOUR.capacity(40960)))
    assert read(array) == (array.truth, Extents(), [])


def test_two_filled_in_a_row_of_raid5_are_withheld_and_no_others() -> None:
    array = whole(FOUR)
    fill(array, 0, 0, 1024)
    fill(array, 1, 512, 4096)
    content, lost, learned = read(array)
    assert lost == own(array, 0, 512, 1024).union(own(array, 1, 512, 1024))
    assert all(
        content[start:stop] == array.truth[start:stop] for start, stop in Extents.span(0, array.size).difference(lost)
    )
    assert [each.split("] ")[0] for each in learned if "others may be wrong there" in each] == [
        f"0: [({START + 512}, {START + 1024})",
        f"1: [({START + 512}, {START + 1024})",
    ]
    _, lost, _ = read(array, Policy(doubtful=True))
    assert lost == Extents()


def test_two_filled_in_a_row_of_raid6_are_both_rebuilt() -> None:
    array = whole(FIVE)
    fill(array, 0, 0, 4096)
    fill(array, 1, 0, 4096, b"\xff")
    content, lost, learned = read(array)
    assert (content, lost) == (array.truth, Extents())
    assert len(learned) == 2


@pytest.mark.parametrize("missing", [0, 3, 4])
def test_of_a_raid6_one_missing_and_one_filled_are_both_rebuilt(missing: int) -> None:
    """The filled one is only a source of what is rebuilt, where the missing one is read."""
    array = whole(FIVE)
    fill(array, 1, 0, 40960)
    content, lost, _ = read(array, without=[missing])
    assert (content, lost) == (array.truth, Extents())
    description = describe(array, without=[missing])
    with opened(description, memory_sources(images_of(array, description))) as source:
        for start, stop in own(array, missing, 0, 40960):
            assert read_exact(source, start, stop - start) == (array.truth[start:stop], Extents())


def test_where_nothing_can_be_compared_all_is_believed() -> None:
    array = whole(FOUR)
    fill(array, 1, 0, 4096)
    content, lost, learned = read(array, without=[2])
    assert (lost, learned) == (Extents(), [])
    assert content != array.truth


def test_a_pair_that_looks_like_another_member_is_not_taken_for_it() -> None:
    """Only D0 of a stripe holds anything, so P is the same; without both the equations point at Q."""
    data = bytearray(FIVE.capacity(40960))
    data[:4096] = Random(1).randbytes(4096)
    array = whole(FIVE, bytes(data))
    stripe = FIVE.stripe(0)
    fill(array, stripe.data[0], 0, 4096)
    fill(array, stripe.p, 0, 4096)
    for policy in POLICIES[1:3]:
        with opened(describe(array), memory_sources(images_of(array, describe(array))), policy) as source:
            _, lost = read_exact(source, 0, array.size)
            assert not lost  # both parities name Q, and nothing nearby says that anything was not copied;
            assert account_of(source.sight.charts).unproven == 3 * 4096  # but that is not taken for certain


@pytest.mark.parametrize("policy", [Policy(), Policy(check=True)], ids=str)
def test_a_pair_whose_fills_have_the_borders_of_what_disagrees_is_not_taken_for_another(policy: Policy) -> None:
    data = bytearray(Random(1).randbytes(FIVE.capacity(40960)))
    data[FIVE.stripe_size + 4096 : 2 * FIVE.stripe_size] = bytes(2 * 4096)
    array = whole(FIVE, bytes(data))
    stripe = FIVE.stripe(1)
    fill(array, stripe.data[0], 4096, 8192)
    fill(array, stripe.p, 4096, 8192)
    _, lost, _ = read(array, policy)
    assert lost == Extents.span(FIVE.stripe_size, 2 * FIVE.stripe_size)


@pytest.mark.parametrize("role", range(5))
def test_check_corrects_whatever_is_wrong_in_a_row_of_zeros(role: int) -> None:
    array = whole(FIVE, bytes(FIVE.capacity(40960)))
    at = array.roles[role].data_offset
    array.roles[role].image[at : at + 4096] = Random(2).randbytes(4096)
    with opened(describe(array), memory_sources(images_of(array, describe(array))), Policy(check=True)) as source:
        assert read_exact(source, 0, array.size) == (bytes(array.size), Extents())
        assert account_of(source.sight.charts).unproven == 3 * 4096


def test_where_parity_is_wrong_all_around_it_makes_no_zeros_wrong() -> None:
    geometry = Geometry(5, 2, 4, 65536)
    data = bytearray(Random(3).randbytes(geometry.capacity(65536)))
    data[8192:12288] = bytes(4096)
    array = write_array(geometry, 65536, data_offset=START, data=bytes(data))
    parity = array.roles[geometry.stripe(0).p or 0]
    at = parity.data_offset
    parity.image[at : at + 65536] = Random(4).randbytes(65536)
    content, lost, _ = read(array)
    assert content[:8192] == data[:8192]
    assert content[12288:] == data[12288:]
    assert lost == Extents.span(8192, 12288)  # nothing tells; but no garbage takes their place


def test_zeros_beside_stale_parity_are_served_and_counted() -> None:
    array = whole(FOUR)
    array.resync_offset = 0
    array.user_write(0, bytes(512), lambda _at, role: role == FOUR.stripe(0).data[0])
    content, lost, learned = read(array)
    assert (content, lost) == (array.truth, Extents())
    assert learned == [f"0: [({START}, {START + 512})] filled, and parity disagrees, which was never proven there"]
    description = describe(array)
    with opened(description, memory_sources(images_of(array, description)), Policy(strict=True)) as source:
        assert read_exact(source, 0, source.size)[1] == Extents.span(0, 512)
        assert account_of(source.sight.charts).unproven == 512


def test_check_does_not_withhold_for_parity_that_was_never_proven() -> None:
    array = whole(FOUR)
    array.resync_offset = 0
    array.user_write(0, b"\x01" * 511 + b"\x02", lambda _at, role: role == FOUR.stripe(0).data[0])
    description = describe(array)
    with opened(description, memory_sources(images_of(array, description)), Policy(check=True)) as source:
        assert read_exact(source, 0, source.size) == (array.truth, Extents())
        assert account_of(source.sight.charts).unproven == 3 * 512


def test_check_withholds_a_row_that_disagrees_and_says_so() -> None:
    array = whole(FOUR)
    array.roles[2].image[START + 700] ^= 1
    assert read(array)[1:] == (Extents(), [])
    _, lost, learned = read(array, Policy(check=True))
    row = Extents().union(*(own(array, role, 512, 1024) for role in range(4)))
    assert lost == row
    assert len(learned) == 4
    assert all("disagrees with its parity" in each for each in learned)


@pytest.mark.parametrize("missing", [None, 0, 4])
def test_check_on_raid6(missing: int | None) -> None:
    """With all members the wrong one is found and corrected, with one missing the row is withheld."""
    array = whole(FIVE)
    array.roles[2].image[START + 700] ^= 1
    content, lost, learned = read(array, Policy(check=True), without=[] if missing is None else [missing])
    if missing is None:
        assert (content, lost) == (array.truth, Extents())
        assert learned == [f"2: [({START + 512}, {START + 1024})] wrong, as both parities tell"]
    else:
        assert lost == Extents().union(*(own(array, role, 512, 1024) for role in range(5)))


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
