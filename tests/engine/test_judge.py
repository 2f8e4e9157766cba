"""What parity says of fills on members, and of what is silently wrong, case by case."""

from __future__ import annotations

from random import Random

import pytest

from raidfs.block import read_exact
from raidfs.engine.account import account_of
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.filled_bench import FIVE, FOUR, NEVER_COPIED, START, fill, opened, own, read, whole
from tests.support.fills import PATTERNS, filled
from tests.support.simulated import describe, images_of, memory_sources


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
    for policy in (Policy(), Policy(check=True)):
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
    at, stripe = array.roles[role].data_offset, FIVE.stripe(0)
    array.roles[role].image[at : at + 4096] = Random(2).randbytes(4096)
    with opened(describe(array), memory_sources(images_of(array, describe(array))), Policy(check=True)) as source:
        assert read_exact(source, 0, array.size) == (bytes(array.size), Extents())
        n_unproven = 3 if role in (stripe.p, stripe.q) else 1  # P and Q may be the wrong ones, or Q and any data
        assert account_of(source.sight.charts).unproven == n_unproven * 4096


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


def zeros_between(array_size: int) -> Simulation:
    """Data, and rows of nothing but zeros in the middle of its second stripe."""
    data = bytearray(Random(5).randbytes(FIVE.capacity(array_size)))
    for number in range(3):
        start = FIVE.stripe_size + number * 4096
        data[start + 1024 : start + 3072] = bytes(2048)
    return whole(FIVE, bytes(data), array_size)


@pytest.mark.parametrize("policy", [Policy(strict=True), Policy(strict=True, check=True)], ids=str)
@pytest.mark.parametrize("role", range(5))
def test_0xff_that_goes_on_from_rows_with_data_is_rebuilt_amid_zeros(role: int, policy: Policy) -> None:
    array = zeros_between(40960)
    fill(array, role, 4096 + 512, 4096 + 2048, b"\xff")
    content, lost, learned = read(array, policy)
    assert (content, lost) == (array.truth, Extents())
    named = f"[({START + 4096 + 512}, {START + 4096 + 2048})] {NEVER_COPIED}"
    assert learned == [f"{role}: {named}"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("role", range(5))
def test_0xff_amid_nothing_but_zeros_is_rebuilt_and_not_taken_for_certain(role: int, check: bool) -> None:
    """Beside a fill of the same member; P and Q may both have been lost, and the other data be right all the same."""
    array, stripe = zeros_between(40960), FIVE.stripe(1)
    fill(array, role, 4096 + 1536, 4096 + 2048, b"\xff")
    fill(array, role, 0, 1024, b"\xff")
    content, lost, _ = read(array, Policy(check=check))
    assert (content, lost) == (array.truth, Extents())
    doubted = stripe.data if role in (stripe.p, stripe.q) else [role]
    expected = Extents().union(*(own(array, each, 4096 + 1536, 4096 + 2048) for each in doubted))
    assert read(array, Policy(check=check, strict=True))[1] == expected


@pytest.mark.parametrize("check", [False, True])
def test_0xff_beside_both_parities_that_were_never_copied_is_no_fill_of_its_own(check: bool) -> None:
    """What one of them held in its run is 0xff, and there both parities were lost: so three are filled in its row."""
    data, (low, high) = bytearray(zeros_between(40960).truth), (1024, 2048)
    data[FIVE.stripe_size + low : FIVE.stripe_size + high] = filled(b"\xff", high - low)
    array, stripe = whole(FIVE, bytes(data)), FIVE.stripe(1)
    fill(array, stripe.data[0], 4096 + 512, 4096 + low, b"\xff")
    for role in (stripe.p, stripe.q):
        assert role is not None
        fill(array, role, 4096 + low, 4096 + 4096)
    content, lost, _ = read(array, Policy(check=check))
    assert lost == Extents().union(*(own(array, each, 4096 + low, 4096 + high) for each in stripe.data))
    for start, stop in Extents.span(0, array.size).difference(lost):
        assert content[start:stop] == array.truth[start:stop]
