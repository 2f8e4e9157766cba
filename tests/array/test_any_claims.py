"""Whatever superblocks say: an array and its zones, or one of raidfs's own errors, and soon."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.assemble import assemble
from raidfs.array.choose import Claimed
from raidfs.errors import InconsistentDescription, RaidfsError
from raidfs.geometry.doubts import doubtful_places, doubts_of
from raidfs.geometry.reshape import at_risk_bytes, sections_of, touched_rows
from raidfs.superblock.claim import FAULTY, JOURNAL, SPARE, ReshapeClaim
from tests.support.claims import GROWTH, PLAIN

T = TypeVar("T")
WILD = 1 << 73
NO_ROLE = st.sampled_from([SPARE, FAULTY, JOURNAL])
LEVELS = st.sampled_from([-1, 0, 1, 4, 5, 6, 10])
ANY_LEVEL = st.sampled_from([-5, -4, 77])
COPIES = st.sampled_from([0x102, 0x103, 0x201, 0x301, 0x10201, 0x20201, 0x40201, 0x20202, 0x10202])
ANY_LAYOUT = st.integers(0, 21) | st.integers(0, (1 << 32) - 1)
CHUNKS = st.sampled_from([4096, 65536])
ANY_CHUNK = st.sampled_from([0, 512]) | st.integers(0, 1 << 41)
SIZES = st.sampled_from([65536 * 10, 65536 * 9 + 512, 1 << 40])
ANY_SIZE = st.none() | st.integers(0, WILD)


def mostly(usual: st.SearchStrategy[T], else_: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """One time in ten the other one."""
    return st.integers(0, 9).flatmap(lambda n: usual if n else else_)


def layouts(level: int) -> st.SearchStrategy[int]:
    usual = {10: COPIES, 0: st.integers(0, 2), 5: st.integers(0, 5)}.get(level, st.sampled_from([0, 2, 5, 9, 18]))
    return mostly(usual, ANY_LAYOUT)


@st.composite
def reshape_claims(draw: st.DrawFn, level: int) -> ReshapeClaim | None:
    if draw(st.integers(0, 1)):
        return None
    unit = draw(st.sampled_from([512, 65536, 65536 * 6]))
    return ReshapeClaim(
        position=draw(mostly(st.integers(0, 40).map(lambda n: n * unit), st.integers(0, WILD))),
        delta_disks=draw(st.integers(-1, 1)),
        new_level=draw(mostly(st.just(level), LEVELS | ANY_LEVEL)),
        new_layout=draw(layouts(level)),
        new_chunk_size=draw(mostly(CHUNKS, ANY_CHUNK)),
        backwards=draw(st.booleans()),
        new_offset=draw(mostly(st.sampled_from([-131072, 0, 131072]), st.integers(-(1 << 21), 1 << 21))),
    )


@st.composite
def any_claims(draw: st.DrawFn) -> list[Claimed]:
    """Members that agree by and large, with a wild value here and there."""
    level = draw(mostly(LEVELS, ANY_LEVEL))
    roles = draw(mostly(st.just([0, 1, 2, 3, 4]), st.lists(st.integers(0, 4) | NO_ROLE, max_size=6)))
    first = replace(
        PLAIN,
        level=level,
        layout=draw(layouts(level)),
        chunk_size=draw(mostly(CHUNKS, ANY_CHUNK)),
        raid_disks=draw(mostly(st.integers(3, 5), st.integers(-1, 1920))),
        component_size=None if level in (-1, 0) else draw(mostly(SIZES, ANY_SIZE)),
        device_roles=tuple(roles),
        resync_offset=draw(st.none() | st.integers(0, WILD)),
        reshape=draw(reshape_claims(level)),
        last_reshape=draw(reshape_claims(level)),
    )
    found = []
    for number in range(draw(st.integers(1, 5))):
        claim = replace(
            first,
            device_number=draw(mostly(st.just(number), st.integers(0, 6))),
            events=draw(st.integers(38, 40)),
            intact=draw(st.integers(0, 9)) > 0,
            data_offset=draw(mostly(st.just(1 << 20), st.integers(0, WILD))),
            data_size=draw(mostly(SIZES, ANY_SIZE)),
            superblock_offset=draw(st.sampled_from([4096, 1 << 22])),
            recovery_offset=draw(mostly(st.none(), st.integers(0, WILD))),
            replacement=draw(st.integers(0, 9)) == 0,
        )
        if draw(st.integers(0, 5)) == 0:
            claim = replace(claim, reshape=draw(reshape_claims(level)), chunk_size=draw(CHUNKS))
        found.append(Claimed(f"sd{'abcde'[number]}", draw(st.integers(0, 1 << 41)), claim))
    return found


@settings(max_examples=400)
@given(any_claims())
def test_any_claims_give_an_array_or_an_error(claims: list[Claimed]) -> None:
    try:
        description = assemble(claims).description
        sections = sections_of(description)
    except RaidfsError:
        return
    edges = [0, *(section.array_stop for section in sections)]
    assert [section.array_start for section in sections] == edges[:-1]
    assert edges[-1] == description.size
    assert all(0 <= role < description.n_roles for role, _, _, _ in doubtful_places(description))
    for extents in (
        at_risk_bytes(description),
        touched_rows(description),
        *(each.where for each in doubts_of(description)),
    ):
        assert not extents or int(extents.array[0, 0]) >= 0


def test_a_size_that_cannot_be_is_refused_before_it_is_reckoned_with() -> None:
    claim = replace(PLAIN, level=-1, raid_disks=1, component_size=None, data_size=1 << 63, resync_offset=0)
    with pytest.raises(InconsistentDescription, match="component size is 9223372036854775808 bytes, which cannot be"):
        assemble([Claimed("sda", 0, claim)])


def test_a_position_that_cannot_be_is_refused_before_it_is_reckoned_with() -> None:
    told = replace(GROWTH, position=1 << 63)
    with pytest.raises(InconsistentDescription, match="reshape position is 9223372036854775808 bytes, which cannot be"):
        assemble([Claimed("sda", 1 << 40, replace(PLAIN, reshape=told))])
