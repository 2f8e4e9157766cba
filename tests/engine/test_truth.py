"""The heart: whatever the crash and the damage, what is served is true, and what can be had is served.

Arrays are written by the oracle and damaged at random; what every sector is worth follows from the definition in
`tests.support.worth`, which knows nothing of raidfs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, read_exact
from raidfs.engine.account import account_of, health_runs
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Health, Policy
from raidfs.extents import Extents
from tests.oracle.member import NEW, OLD
from tests.oracle.parity import reachable
from tests.oracle.ranges import contains
from tests.support.crashes import Damaged, arrays, damages
from tests.support.simulated import seated
from tests.support.worth import SECTOR, healths


@contextmanager
def opened(
    description: ArrayDescription, sources: Sequence[tuple[int, BlockSource]], policy: Policy = Policy()
) -> Iterator[ArraySource]:
    array = ArraySource(description, seated(description, sources), policy)
    try:
        yield array
    finally:
        array.close()


def per_byte(array: ArraySource) -> NDArray[np.uint8]:
    """Health of each byte, from the runs."""
    runs = list(health_runs(array.sight.charts, 0, array.size))
    assert [start for start, _, _ in runs] == [0, *(stop for _, stop, _ in runs[:-1])]
    assert runs[-1][1] == array.size
    assert all(left[2] != right[2] for left, right in pairwise(runs))
    return np.concatenate([np.full(stop - start, health, dtype=np.uint8) for start, stop, health in runs])


def mask_of(extents: Extents, size: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=np.bool_)
    for start, stop in extents:
        mask[start:stop] = True
    return mask


@settings(max_examples=300)
@given(st.data(), arrays().flatmap(damages))
def test_what_is_served_is_true_and_what_can_be_had_is_served(data: st.DataObject, damaged: Damaged) -> None:
    expected = np.repeat(healths(damaged.situation), SECTOR)
    truth = np.frombuffer(damaged.array.truth, dtype=np.uint8)
    policy = data.draw(st.sampled_from([Policy(), Policy(), Policy(doubtful=True), Policy(strict=True)]))
    with opened(damaged.description, damaged.sources, policy) as array:
        content, lost = read_exact(array, 0, array.size)
        found = per_byte(array)
        sure = expected <= Health.UNPROVEN
        assert np.array_equal(found[sure], expected[sure])
        # old copies behind a reshape position make some doubtful; what is withheld anyway is not read, nor found bad
        assert (found[~sure] > min(Health.UNPROVEN, policy.limit)).all()
        withheld = found > policy.limit
        assert np.array_equal(mask_of(lost, array.size), withheld)
        assert array.known_losses(0, array.size) == lost
        assert_served(damaged, np.frombuffer(content, dtype=np.uint8), expected, withheld, truth)
        assert_account(array, found)
        assert_splits(data, array, content, lost)


def assert_served(
    damaged: Damaged,
    content: NDArray[np.uint8],
    expected: NDArray[np.uint8],
    withheld: NDArray[np.bool_],
    truth: NDArray[np.uint8],
) -> None:
    """What must be true is, what is withheld is zero."""
    believed = expected <= (Health.REBUILT if damaged.has_stale_parity else Health.UNPROVEN)
    sure = believed & ~withheld
    assert np.array_equal(content[sure], truth[sure])
    assert not content[withheld].any()


def assert_account(array: ArraySource, found: NDArray[np.uint8]) -> None:
    """The account is the count of the bytes."""
    account = account_of(array.sight.charts)
    counted = np.bincount(found, minlength=len(Health)).tolist()
    assert [account.good, account.rebuilt, account.unproven, account.doubtful, account.lost] == counted
    assert account.total == array.size
    assert account.worst == found.max()


def assert_splits(data: st.DataObject, array: ArraySource, content: bytes, lost: Extents) -> None:
    """Any requests give the same bytes and losses."""
    cuts = sorted(data.draw(st.lists(st.integers(0, array.size), max_size=6)))
    edges = [0, *cuts, array.size]
    pieces = list(pairwise(edges))
    for start, stop in pieces:
        expected = content[start:stop], lost.clip(start, stop).shift(-start)
        assert read_exact(array, start, stop - start) == expected
    out = np.full(array.size + 3, 0xA5, dtype=np.uint8)
    requests = np.array([(start, stop - start, start + 3) for start, stop in reversed(pieces)], dtype=np.int64)
    assert array.read_into(requests, out) == lost.shift(3)
    assert out.tobytes() == b"\xa5" * 3 + content


@settings(max_examples=80)
@given(arrays(is_odd=False).flatmap(damages))
def test_nothing_is_lost_that_some_member_still_holds(damaged: Damaged) -> None:
    """Lost bytes are out of reach even for one who knows which geometry each byte on the members was written for."""
    with opened(damaged.description, damaged.sources, Policy(doubtful=True)) as array:
        _, lost = read_exact(array, 0, array.size)
    situation = damaged.situation
    told = situation.array
    members = {member.role: member for member in told.members}
    for low, high, geometry, new in told.sections(0, told.size):
        written = damaged.array.valid_cells(NEW if new else OLD)
        valid = {role: told.valid(member, new=new) for role, member in members.items()}
        for start, _ in lost_pieces(lost, low, high):
            number, inside = divmod(start, geometry.chunk)
            row, k = divmod(number, geometry.data_disks)
            at = row * geometry.chunk + inside
            stripe = geometry.stripe(row)
            known = [
                role
                for role in valid
                if contains(written[role], at, at + SECTOR) and contains(valid[role], at, at + SECTOR)
            ]
            assert stripe.data[k] not in reachable(stripe, known)


def lost_pieces(lost: Extents, low: int, high: int) -> Iterator[tuple[int, int]]:
    for start, stop in lost.clip(low, high):
        for at in range(start, stop, SECTOR):
            yield at, at + SECTOR


@settings(max_examples=80)
@given(st.data(), arrays(torn=False, is_odd=False).flatmap(damages))
def test_more_damage_changes_no_byte_that_is_still_served(data: st.DataObject, damaged: Damaged) -> None:
    more = data.draw(damages(damaged.array))
    worse = Damaged(
        damaged.array,
        damaged.missing | more.missing,
        (*damaged.truncated, *more.truncated)[:1],
        (*damaged.bad, *more.bad),
        damaged.doubtful | more.doubtful,
    )
    with opened(damaged.description, damaged.sources) as before, opened(worse.description, worse.sources) as after:
        content, lost = read_exact(before, 0, before.size)
        still, lost_then = read_exact(after, 0, after.size)
    assert not lost.difference(lost_then)
    served = ~mask_of(lost_then, len(content))
    assert np.array_equal(np.frombuffer(content, np.uint8)[served], np.frombuffer(still, np.uint8)[served])


@settings(max_examples=40)
@given(arrays().flatmap(damages), st.integers(0, 1 << 20))
def test_learned_damage_only_ever_adds(damaged: Damaged, seed: int) -> None:
    """Reading in any order ends where one pass ends, and no byte gets better on the way."""
    chance = np.random.default_rng(seed)
    with opened(damaged.description, damaged.sources) as array:
        worst = per_byte(array)
        for start in chance.integers(0, array.size, 8).tolist():
            read_exact(array, start, int(chance.integers(0, array.size - start + 1)))
            now = per_byte(array)
            assert (now >= worst).all()
            worst = now
        read_exact(array, 0, array.size)
        now, expected = per_byte(array), np.repeat(healths(damaged.situation), SECTOR)
        assert np.array_equal(np.minimum(now, Health.DOUBTFUL), np.minimum(expected, Health.DOUBTFUL))
