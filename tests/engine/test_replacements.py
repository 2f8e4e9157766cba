"""A replacement in an array with parity is believed where it looks filled only if something bears it out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from raidfs.array.description import State
from raidfs.block import MemorySource, read_exact
from raidfs.engine.array_source import ArraySource
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import write_array
from tests.support.simulated import describe, images_of

START = 64 * 1024
SIZE = 40960
FOUR = Geometry(5, 2, 4, 4096)
FIVE = Geometry(6, 2, 5, 4096)
BY_PARITY = "filled, and parity disagrees: this was never copied"
BY_COPY = "filled, and another copy holds data: this was never copied"
Ranges = Mapping[str, tuple[int, int]]
NOWHERE: Ranges = MappingProxyType({})

both = pytest.mark.parametrize("geometry", [FOUR, FIVE], ids=str)


def read(
    geometry: Geometry,
    *,
    filled: Ranges,
    bad: Ranges = NOWHERE,
    missing: Collection[int] = (),
    spoiled: str = "",
    policy: Policy = Policy(),
    data: bytes | None = None,
) -> tuple[bool, Extents, dict[tuple[str, str], list[tuple[int, int]]]]:
    """Read an array whose member 1 was being replaced.

    Args:
        geometry: of the array.
        filled: component bytes that were never copied, by `old` (member 1), `new` (the replacement), or a role.
        bad: component bytes that cannot be read.
        missing: roles.
        spoiled: of which the byte 700 is wrong.
        policy: what is served.
        data: of the array.

    Returns:
        Whether all that is served is the truth; what is not served; what was learned [component bytes].
    """
    array = write_array(geometry, SIZE, data_offset=START, data=data, seed=3)
    description = describe(array, without=missing)
    images = {str(role): bytearray(image) for role, image in images_of(array, description).items()}
    images["new"] = bytearray(images["1"])
    names = {"old": "1"}
    for name, (start, stop) in filled.items():
        images[names.get(name, name)][START + start : START + stop] = bytes(stop - start)
    if spoiled:
        images[names.get(spoiled, spoiled)][START + 700] ^= 1
    old = description.serving[1]
    new = replace(old, path="new", state=State.REPLACEMENT, recovered_to=SIZE, device_number=9)
    description = replace(description, members=(*description.members, new))
    worse = {names.get(name, name): Extents.span(START + low, START + high) for name, (low, high) in bad.items()}
    order = ["new" if member.path == "new" else str(member.role) for member in description.sources]
    sources = [MemorySource(bytes(images[name]), worse.get(name, Extents())) for name in order]
    source = ArraySource(description, list(zip(description.sources, sources, strict=True)), policy)
    try:
        content, lost = read_exact(source, 0, source.size)
        learned = {
            (order[each.source], each.reason): [(start - START, stop - START) for start, stop in each.extents]
            for each in source.learned
        }
    finally:
        source.close()
    served = Extents.span(0, source.size).difference(lost)
    return all(content[start:stop] == array.truth[start:stop] for start, stop in served), lost, learned


@both
def test_a_filled_member_gives_way_to_its_replacement(geometry: Geometry) -> None:
    assert read(geometry, filled={"old": (4096, 8192)}) == (True, Extents(), {("1", BY_PARITY): [(4096, 8192)]})


@both
def test_a_filled_replacement_takes_no_place_of_a_bad_member(geometry: Geometry) -> None:
    right, lost, learned = read(geometry, filled={"new": (0, 12288)}, bad={"old": (4096, 8192)})
    assert (right, lost) == (True, Extents())
    assert learned == {("1", "could not be read"): [(4096, 8192)], ("new", BY_PARITY): [(0, 12288)]}


@both
def test_where_both_are_filled_parity_rebuilds(geometry: Geometry) -> None:
    right, lost, learned = read(geometry, filled={"old": (0, 8192), "new": (4096, 12288)})
    assert (right, lost) == (True, Extents())
    assert learned == {("1", BY_PARITY): [(0, 8192)], ("new", BY_PARITY): [(4096, 12288)]}


@pytest.mark.parametrize("which", ["old", "new"])
def test_without_parity_the_two_are_compared(which: str) -> None:
    right, lost, learned = read(FOUR, filled={which: (4096, 8192)}, missing=[3], policy=Policy(check=True))
    assert (right, lost) == (True, Extents())
    assert learned == {({"old": "1"}.get(which, which), BY_COPY): [(4096, 8192)]}


@both
def test_a_wrong_replacement_does_not_bring_its_row_into_dispute(geometry: Geometry) -> None:
    right, lost, learned = read(geometry, filled={}, spoiled="new", policy=Policy(check=True))
    assert (right, lost) == (True, Extents())
    assert [name for name, _ in learned] == ["new"]


def test_another_member_that_is_filled_too_leaves_it_open() -> None:
    right, lost, _ = read(FOUR, filled={"new": (4096, 8192), "0": (4096, 8192)}, bad={"old": (4096, 8192)})
    assert right
    assert lost.total == 2 * 4096


def test_zeros_that_were_written_are_zeros() -> None:
    assert read(FOUR, filled={}, data=bytes(FOUR.capacity(SIZE))) == (True, Extents(), {})
