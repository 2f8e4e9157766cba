"""What a write journal would change, against arrays of the oracle that crashed while they wrote through one."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import BlockSource, MemorySource, Requests, read_exact
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.zone import Zone
from raidfs.image.patched import PatchedSource
from raidfs.linear import Piece
from raidfs.replay.journal import Replay, parity_of_cached, replay_journal
from raidfs.replay.patch import Component, Patch
from raidfs.superblock import claim_of, scan
from raidfs.superblock.journal import BLOCK, JournalEnd, LoggedData, LoggedFlush, LoggedParity, read_journal
from tests.oracle.journal import Journaled
from tests.oracle.layouts import Geometry
from tests.oracle.member import OLD
from tests.oracle.parity import fill
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import shape

CHUNK = 8192
ROWS = 4
START = 65536


def zone(array: Simulation) -> Zone:
    return zone_of(shape(array.geometry), array.component_size)


def replayed(journaled: Journaled) -> tuple[Replay, MemorySource]:
    journal = MemorySource(journaled.device())
    return replay_journal(
        zone(journaled.array), read_journal(journal, claim_of(scan(journal, "sdj").found[0]))
    ), journal


def laid_over(array: Simulation, patches: list[Patch], without: int | None = None) -> dict[int, BlockSource]:
    """The images of the members with patches over them."""
    found: dict[int, BlockSource] = {}
    for role, member in array.roles.items():
        mine = [patch.piece for patch in patches if patch.role == role]
        moved = [Piece(START + piece.start, piece.length, piece.source, piece.place) for piece in mine]
        if role != without:
            found[role] = PatchedSource(MemorySource(bytes(member.image)), moved)
    return found


class Content:
    """The array as it is told to be, with losses; for reading what data were before."""

    def __init__(self, content: bytes, losses: Extents = Extents()) -> None:
        self._under = MemorySource(content, losses)
        self.size = len(content)

    def read_into(self, requests: Requests, out: object) -> Extents:
        """Fill `out`."""
        return self._under.read_into(requests, out)  # type: ignore[arg-type]  # an array of bytes

    def known_losses(self, start: int, stop: int) -> Extents:
        """Return the losses."""
        return self._under.known_losses(start, stop)


def components(sources: Mapping[int, BlockSource]) -> dict[int, Component]:
    return {role: Component(source, START) for role, source in sources.items()}


def former(array: Simulation, sources: Mapping[int, BlockSource]) -> bytes:
    """The array without what is cached, by the definition of its layout; all members are there."""
    found = []
    for number in range(array.size // CHUNK):
        row, k = divmod(number, array.geometry.data_disks)
        role = array.geometry.stripe(row).data[k]
        found.append(read_exact(sources[role], START + row * CHUNK, CHUNK)[0])
    return b"".join(found)


def right(array: Simulation, row: int) -> dict[int, bytes]:
    """What every role is to hold in a row."""
    first = row * array.geometry.stripe_size
    places = range(first, first + array.geometry.stripe_size, CHUNK)
    return fill(array.geometry.stripe(row), [bytes(array.content[OLD][at : at + CHUNK]) for at in places])


@st.composite
def journaled(draw: st.DrawFn) -> Journaled:
    """Draw an array that crashed while it wrote through its journal, in either mode."""
    level = draw(st.sampled_from([4, 5, 6]))
    geometry = Geometry(level, draw(st.sampled_from([0, 2, 3, 5])) if level > 4 else 0, draw(st.integers(4, 6)), CHUNK)
    random = Random(draw(st.integers(0, 1 << 20)))
    array = write_array(geometry, ROWS * CHUNK, data_offset=START, seed=random.randrange(1 << 20))
    told = Journaled(array, head=draw(st.integers(0, 399)))
    heights = range(0, ROWS * CHUNK, BLOCK)

    def landed(_role: int) -> bool:
        return random.random() < 0.5

    for what in draw(st.lists(st.sampled_from(["through", "back", "back", "out", "flush"]), min_size=1, max_size=10)):
        chunks = sorted(random.sample(range(geometry.data_disks), random.randint(1, geometry.data_disks)))
        if what == "through":
            told.write_through(random.choice(heights), chunks, landed)
        elif what == "back":
            told.cache(random.choice(heights), chunks)
        elif told.cached:
            told.write_out(random.choice([*told.cached]), landed, flush=what == "flush")
    return told


@settings(max_examples=60)
@given(journaled())
def test_every_cell_is_as_it_was_acknowledged(told: Journaled) -> None:
    array = told.array
    replay, journal = replayed(told)
    assert (replay.end, replay.doubtful) == (JournalEnd(), frozenset())
    assert replay.cached.keys() == told.cached.keys()
    complete = replay.complete(journal)
    sources = laid_over(array, complete)
    array_before = Content(former(array, sources))
    parity, gone = parity_of_cached(zone(array), replay, journal, components(sources), array_before)
    assert gone == []
    sources = laid_over(array, [*complete, *replay.newest(journal), *parity])
    for row in range(ROWS):
        for role, block in right(array, row).items():
            assert read_exact(sources[role], START + row * CHUNK, CHUNK)[0] == block, (row, role)


@settings(max_examples=30)
@given(journaled(), st.data())
def test_a_torn_last_entry_changes_nothing(told: Journaled, data: st.DataObject) -> None:
    before, _ = replayed(told)
    content = bytes(told.array.content[OLD])
    cached = {height: set(chunks) for height, chunks in told.cached.items()}
    told.cache(0, [0, 1])
    spoilt = (told.ring.entries[-1] + data.draw(st.integers(1, 2))) % told.ring.n_blocks
    told.ring.blocks[spoilt] = bytes(BLOCK)
    told.array.content[OLD][:] = content
    told.cached = cached
    after, _ = replayed(told)
    assert (after.written, after.cached, after.doubtful) == (before.written, before.cached, before.doubtful)
    assert after.end == JournalEnd(is_torn=True)


GEOMETRY = Geometry(5, 2, 4, CHUNK)
PLAIN = zone_of(shape(GEOMETRY), ROWS * CHUNK)
P, D0, D1 = GEOMETRY.stripe(0).p, GEOMETRY.stripe(0).data[0], GEOMETRY.stripe(0).data[1]


def follow(*entries: LoggedData | LoggedParity | LoggedFlush) -> Replay:
    return replay_journal(PLAIN, [*entries, JournalEnd()])


def test_data_alone_are_cached_and_the_newest_counts() -> None:
    replay = follow(LoggedData(0, 100), LoggedData(CHUNK, 200), LoggedData(0, 300))
    assert (replay.written, replay.cached) == ({}, {0: {D0: (300, 0), D1: (200, CHUNK)}})


def test_parity_completes_its_stripe() -> None:
    replay = follow(LoggedData(BLOCK, 100), LoggedParity(BLOCK, (200,)))
    assert (replay.written, replay.cached) == ({(D0, BLOCK): 100, (P, BLOCK): 200}, {})


def test_parity_alone_says_nothing() -> None:
    assert follow(LoggedParity(0, (200,))).written == {}


def test_data_after_parity_begin_anew() -> None:
    replay = follow(LoggedData(0, 100), LoggedParity(0, (200,)), LoggedData(CHUNK, 300))
    assert (replay.written, replay.cached) == ({(D0, 0): 100, (P, 0): 200}, {0: {D1: (300, CHUNK)}})
    replay = follow(LoggedData(0, 100), LoggedParity(0, (200,)), LoggedData(CHUNK, 300), LoggedParity(0, (400,)))
    assert replay.written == {(D0, 0): 100, (D1, 0): 300, (P, 0): 400}


def test_a_flush_forgets_the_stripe() -> None:
    first = LoggedData(0, 100), LoggedParity(0, (200,))
    assert follow(*first, LoggedFlush((0,))).written == {}
    assert follow(*first, LoggedData(CHUNK, 300), LoggedParity(0, (400,)), LoggedFlush((0, BLOCK))).written == {}
    assert follow(*first, LoggedFlush((BLOCK,))).written == {(D0, 0): 100, (P, 0): 200}


def test_what_cannot_be_had_is_doubtful_on_the_members() -> None:
    assert follow(LoggedData(0, None)).doubtful == {(D0, 0), (P, 0)}  # and parity says what was before
    assert follow(LoggedData(0, None), LoggedParity(0, (200,))).doubtful == {(D0, 0)}  # and parity knows better
    assert follow(LoggedData(0, 100), LoggedParity(0, (None,))).doubtful == {(P, 0)}
    assert follow(LoggedData(0, None), LoggedParity(0, (None,))).doubtful == {(D0, 0), (P, 0)}


def test_what_comes_later_may_settle_it() -> None:
    assert follow(LoggedData(0, None), LoggedData(0, 100)).doubtful == frozenset()
    assert follow(LoggedData(0, None), LoggedParity(0, (None,)), LoggedFlush((0,))).doubtful == frozenset()
    lost = LoggedData(0, None), LoggedParity(0, (None,))
    assert follow(*lost, LoggedData(0, 100), LoggedParity(0, (200,))).doubtful == frozenset()
    assert follow(*lost, LoggedData(CHUNK, 100), LoggedParity(0, (200,))).doubtful == {(D0, 0)}
    replay = follow(*lost, LoggedData(0, 100))
    assert (set(replay.doubtful), replay.cached) == ({(P, 0)}, {0: {D0: (100, 0)}})


@pytest.mark.parametrize(
    "entry",
    [
        LoggedData(512, 100),
        LoggedData(ROWS * 3 * CHUNK, 100),
        LoggedData(1 << 72, 100),
        LoggedParity(512, (100,)),
        LoggedParity(ROWS * CHUNK, (100,)),
        LoggedParity(0, (100, 200)),
    ],
)
def test_what_this_array_does_not_have_ends_the_replay(entry: LoggedData | LoggedParity) -> None:
    replay = follow(LoggedData(0, 100), entry, LoggedData(CHUNK, 200))
    assert "names blocks that this array does not have" in replay.end.problem
    assert replay.cached == {0: {D0: (100, 0)}}


def test_parity_of_which_the_former_data_are_lost_is_gone() -> None:
    array = write_array(GEOMETRY, ROWS * CHUNK, data_offset=START)
    journal = MemorySource(array.random.randbytes(4 * BLOCK))
    replay = follow(LoggedData(0, BLOCK))
    lost = Extents([(512, 1024)])
    sources = laid_over(array, [])
    parity, gone = parity_of_cached(PLAIN, replay, journal, components(sources), Content(array.truth, lost))
    assert gone == [(P, lost)]
    assert [(patch.role, patch.piece.start, patch.piece.length) for patch in parity] == [
        (P, 0, 512),
        (P, 1024, BLOCK - 1024),
    ]


def test_parity_that_is_lost_itself_stays_so() -> None:
    array = write_array(GEOMETRY, ROWS * CHUNK, data_offset=START)
    journal = MemorySource(array.random.randbytes(4 * BLOCK))
    there = {P: Component(MemorySource(bytes(array.roles[P].image)), START, Extents([(0, 512)]))}
    parity, gone = parity_of_cached(PLAIN, follow(LoggedData(0, BLOCK)), journal, there, Content(array.truth))
    assert (gone, [patch.piece.start for patch in parity]) == ([], [512])
    parity, gone = parity_of_cached(PLAIN, follow(LoggedData(0, BLOCK)), journal, {}, Content(array.truth))
    assert (gone, parity) == ([], [])


def test_doubtful_parity_is_not_worked_out() -> None:
    array = write_array(GEOMETRY, ROWS * CHUNK, data_offset=START)
    replay = follow(LoggedData(0, None), LoggedData(CHUNK, BLOCK))
    journal, there = MemorySource(bytes(4 * BLOCK)), components(laid_over(array, []))
    assert parity_of_cached(PLAIN, replay, journal, there, Content(array.truth)) == ([], [])
