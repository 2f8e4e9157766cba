"""Arrays with parity in memory whose copies get fills by hand, and what is read of them then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, read_exact
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry, locate
from tests.oracle.writer import Simulation, write_array
from tests.support.fills import filled
from tests.support.simulated import describe, images_of, memory_sources, seated
from tests.support.worth import SECTOR

START = 64 * 1024
"""Where the data of a member begin [member bytes]."""
FOUR = Geometry(5, 2, 4, 4096)
FIVE = Geometry(6, 2, 5, 4096)
NEVER_COPIED = "filled, and parity disagrees: this was never copied"


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
