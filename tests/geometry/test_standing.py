"""What is known of rows, applied to bytes: every byte comes from the better of its two places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription
from raidfs.array.front import Front
from raidfs.extents import Extents
from raidfs.geometry.geometry import zone_of
from raidfs.geometry.reshape import Side, lag_limit, likely_by_front, rows_of_reshape, sections_of, undecided_by_front
from raidfs.geometry.standing import Standing, cells_of, data_of
from tests.oracle.at_risk import Reshape
from tests.oracle.layouts import locate
from tests.support.reshapes import described, reshapes

PAGE = 4096


@st.composite
def fronts(draw: st.DrawFn) -> tuple[Reshape, ArrayDescription]:
    """Draw a reshape whose rows, page by page, are anything."""
    reshape = draw(reshapes(component_size=64 * 1024, is_odd=False))
    description = described(reshape)
    low, high = sorted(each // reshape.after.data_disks for each in (reshape.position, lag_limit(description)))
    pages = range(low, high, PAGE)
    states = [draw(st.sampled_from(["written", "likely_written", "open", "likely_left", "left"])) for _ in pages]
    rows = {
        name: Extents([(page, page + PAGE) for page, state in zip(pages, states, strict=True) if state == name])
        for name in ("written", "likely_written", "likely_left", "left")
    }
    agreed = draw(st.lists(st.integers(0, max(0, reshape.size // PAGE - 1)), max_size=3))
    front = Front(
        cut=reshape.position,
        written=rows["written"],
        likely_written=rows["likely_written"],
        likely_left=rows["likely_left"],
        left=rows["left"],
        agreed=Extents([(at * PAGE, at * PAGE + PAGE) for at in agreed]),
    )
    assert description.reshape is not None
    return reshape, replace(description, reshape=replace(description.reshape, front=front))


def standing(description: ArrayDescription, row: int, *, new: bool) -> Standing:
    rows = rows_of_reshape(description)
    assert rows is not None
    told = rows.as_new() if new else rows.as_old()
    return next(worth for extents, worth in told if extents.overlaps(row, row + 1))


def standings(reshape: Reshape, description: ArrayDescription) -> Iterator[tuple[int, Standing, Standing]]:
    """The worth of the new and of the old place of every page, one by one."""
    for at in range(0, reshape.size // PAGE * PAGE, PAGE):
        _, row = locate(reshape.after, at)
        old_role, old_row = locate(reshape.before, at)
        new = standing(description, row, new=True)
        old = Standing.SURE
        if old_role < reshape.after.raid_disks:
            before, after = reshape.offsets[old_role]
            place = old_row + before - after
            inside = 0 <= place < reshape.component_size
            old = standing(description, place, new=False) if inside else Standing.SURE
        yield at, new, old


@settings(max_examples=150)
@given(fronts())
def test_every_byte_comes_from_the_better_of_its_places(drawn: tuple[Reshape, ArrayDescription]) -> None:
    reshape, description = drawn
    sections = sections_of(description)
    assert [each.array_start for each in sections] == [0, *(each.array_stop for each in sections[:-1])]
    assert sections[-1].array_stop == reshape.size
    undecided, likely = undecided_by_front(description), likely_by_front(description)
    told = description.reshape
    assert told is not None
    assert told.front is not None
    for at, new, old in standings(reshape, description):
        side = next(each.side for each in sections if each.array_start <= at < each.array_stop)
        if new != old:
            assert (side is Side.AFTER) == (new < old), (at, new, old)
        elif new <= Standing.LIKELY:
            assert side is Side.AFTER
        is_open = min(new, old) >= Standing.OPEN and not told.front.agreed.overlaps(at, at + 1)
        assert undecided.overlaps(at, at + 1) == is_open
        is_likely = min(new, old) is Standing.LIKELY and not told.front.agreed.overlaps(at, at + 1)
        assert likely.overlaps(at, at + 1) == is_likely


@settings(max_examples=100)
@given(reshapes(component_size=64 * 1024), st.lists(st.tuples(st.integers(0, 1 << 17), st.integers(1, 1 << 15))))
def test_cells_and_data_are_inverse(reshape: Reshape, ranges: list[tuple[int, int]]) -> None:
    zone = zone_of(described(reshape).shape, reshape.component_size)
    extents = Extents([(start, start + length) for start, length in ranges]).clip(0, zone.array_stop)
    cells = cells_of(zone, extents)
    assert sum(each.total for each in cells.values()) == extents.total
    assert data_of(zone, cells) == extents


@settings(max_examples=50)
@given(reshapes(component_size=64 * 1024), st.integers(0, 1 << 16), st.integers(0, 1 << 16))
def test_the_data_of_whole_rows_are_found(reshape: Reshape, start: int, length: int) -> None:
    zone = zone_of(described(reshape).shape, reshape.component_size)
    rows = Extents.span(start, min(start + length, zone.component_stop))
    found = data_of(zone, dict.fromkeys(range(reshape.after.raid_disks), rows))
    assert found.total == rows.total * zone.table.n_data
