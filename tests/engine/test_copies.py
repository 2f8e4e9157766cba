"""Old copies behind a reshape position: all that are left are compared, and exactly those that differ are told."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.array_source import ArraySource
from raidfs.engine.copies import Copies, compare_copies, copies_of
from raidfs.engine.damage import known_flaws
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array
from tests.support.simulated import describe, images_of, memory_sources, seated

START = 512 * 1024
SIZE = 96 * 1024
STEP = 4096 * 3
SECTOR = 512


def grown(position: int, shift: int, *, backwards: bool = False, seed: int = 0) -> Simulation:
    """3 members become 4, or 4 become 3; the data offset moves by `shift`."""
    three, four = Geometry(5, 2, 3, 4096), Geometry(5, 2, 4, 4096)
    before, after = (four, three) if backwards else (three, four)
    return write_array(
        before,
        SIZE,
        after=after,
        position=position,
        data_offset=START,
        new_data_offset=START + (-shift if not backwards else shift),
        seed=seed,
    )


def compare(array: Simulation, *, without: tuple[int, ...] = (), damage: dict[int, int] | None = None) -> Copies | None:
    """Compare to the end; `damage`: role -> image byte that is changed."""
    description = describe(array, without=without)
    images = images_of(array, description)
    for role, at in (damage or {}).items():
        images[role] = images[role][:at] + bytes([images[role][at] ^ 1]) + images[role][at + 1 :]
    sources = memory_sources(images)
    roles = [role for role, _ in sources]
    flaws = known_flaws(description, description.of_roles(roles), [source.size for _, source in sources])
    copies = copies_of(description)
    if copies is None:
        return None
    served = ArraySource(description, seated(description, sources))
    *_, result = compare_copies(
        description, description.of_roles(roles), flaws, [source for _, source in sources], served, copies
    )
    served.close()
    return result


@settings(max_examples=30)
@given(st.integers(1, 8), st.booleans(), st.integers(0, 1 << 20))
def test_where_nothing_was_overwritten_every_copy_is_compared(steps: int, backwards: bool, seed: int) -> None:
    position = steps * STEP if not backwards else 2 * SIZE - steps * 4096 * 2
    array = grown(position, 256 * 1024, backwards=backwards, seed=seed)
    copies = compare(array)
    assert copies is not None
    behind = array.size - position if backwards else position
    assert (copies.compared, copies.differing_bytes, copies.overtaken) == (behind, 0, 0)


@settings(max_examples=30)
@given(st.integers(2, 8), st.booleans(), st.data())
def test_what_was_written_since_differs(steps: int, backwards: bool, data: st.DataObject) -> None:
    position = steps * STEP if not backwards else 2 * SIZE - steps * 4096 * 2
    array = grown(position, 256 * 1024, backwards=backwards)
    low, high = (position, array.size) if backwards else (0, position)
    at = data.draw(st.integers(low, high - 2000))
    array.user_write(at, bytes(each ^ 0xFF for each in array.truth[at : at + 2000]))
    copies = compare(array)
    assert copies is not None
    touched = (at // SECTOR * SECTOR, -(-(at + 2000) // SECTOR) * SECTOR)
    assert copies.differing == (touched,)
    assert copies.differing_bytes == touched[1] - touched[0]


@settings(max_examples=30)
@given(st.integers(1, 10), st.integers(1, 5))
def test_places_that_were_rewritten_are_no_copies(steps: int, shift: int) -> None:
    position = steps * STEP
    array = grown(position, shift * 4096)
    copies = compare(array)
    assert copies is not None
    rewritten = Extents.span(0, max(0, steps * 4096 - shift * 4096) * 2)  # two data chunks a row, all of them gone
    assert copies.compared == Extents.span(0, position).difference(rewritten).total
    assert copies.differing == ()


def test_a_damaged_copy_differs_whichever_side_it_is_on() -> None:
    array = grown(3 * STEP, 256 * 1024)
    copies = compare(array, damage={0: START})
    assert copies is not None
    assert copies.differing == ((0, 512),)
    copies = compare(array, damage={0: START - 256 * 1024})
    assert copies is not None
    assert copies.differing == ((0, 512),)


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_with_a_member_missing_the_copies_of_the_others_are_compared(missing: int) -> None:
    array = grown(6 * STEP, 256 * 1024)
    copies = compare(array, without=(missing,))
    assert copies is not None
    assert copies.compared == 6 * STEP if missing == 3 else copies.compared < 6 * STEP
    assert copies.compared % 4096 == 0
    assert copies.differing_bytes == 0


def test_in_place_and_without_a_reshape_nothing_is_held_twice() -> None:
    assert compare(write_array(Geometry(5, 2, 3, 4096), SIZE, data_offset=START)) is None
    array = grown(0, 0)
    assert compare(array) is None


def test_a_comparison_can_be_gone_on_with() -> None:
    array = grown(6 * STEP, 256 * 1024)
    random = Random(1)
    array.user_write(0, random.randbytes(700))
    whole = compare(array)
    description = describe(array)
    sources = memory_sources(images_of(array, description))
    flaws = known_flaws(description, description.of_roles([0, 1, 2, 3]), [source.size for _, source in sources])
    served = ArraySource(description, seated(description, sources))
    begun = copies_of(description)
    assert begun is not None
    assert whole is not None
    half = Copies(0, begun.stop, 4096, compared=4096, differing=((0, 1024),), differing_bytes=1024)
    *_, resumed = compare_copies(
        description, description.of_roles([0, 1, 2, 3]), flaws, [each for _, each in sources], served, half
    )
    served.close()
    assert resumed == whole
