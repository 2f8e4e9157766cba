"""Reshapes as they can be recorded, drawn by hypothesis; in the oracle's words and in raidfs's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Direction, Member, State
from raidfs.array.description import Reshape as Described
from tests.oracle.at_risk import Reshape, furthest_progress, overwritten
from tests.oracle.layouts import LAYOUT_NAMES, Geometry
from tests.support.simulated import shape

START = 256 * 1024
"""Data offset of every member in the old geometry [member bytes]."""


@st.composite
def geometries(draw: st.DrawFn, level: int, most_disks: int = 6, chunks: tuple[int, ...] = (4096, 8192)) -> Geometry:
    """Draw a geometry of a level."""
    layout = draw(st.sampled_from(sorted(LAYOUT_NAMES[level])))
    disks = draw(st.integers(4 if level == 6 else 3, most_disks))
    return Geometry(level, layout, disks, draw(st.sampled_from(chunks)))


@st.composite
def reshapes(
    draw: st.DrawFn,
    component_size: int = 96 * 1024,
    most_disks: int = 6,
    chunks: tuple[int, ...] = (4096, 8192),
    moves: tuple[int, int] = (-24, 24),
    is_odd: bool = True,
) -> Reshape:
    """Draw a reshape as recorded.

    Args:
        draw: hypothesis's.
        component_size: [bytes].
        most_disks: members at most.
        chunks: chunk sizes to choose from [bytes].
        moves: of the data offset of a member: least and most [units of 4096 bytes].
        is_odd: the data of a member may move in the direction of travel too, which md refuses.
    """
    level = draw(st.sampled_from([4, 5, 6]))
    before = draw(geometries(level, most_disks, chunks))
    after = draw(geometries(level, most_disks, chunks))
    growth = after.raid_disks - before.raid_disks
    backwards = growth < 0 or (growth == 0 and draw(st.booleans()))
    roles = range(max(before.raid_disks, after.raid_disks))
    most = max(abs(each) for each in moves)
    allowed = moves if is_odd else (0, most) if backwards else (-most, 0)
    move = st.integers(*allowed).map(lambda units: units * 4096)
    shifts = draw(st.lists(move, min_size=len(roles), max_size=len(roles)))
    offsets = {role: (START, START + shift) for role, shift in zip(roles, shifts, strict=True)}
    drawn = Reshape(before, after, component_size, 0, backwards, offsets)
    step = drawn.step * after.data_disks
    steps = min(drawn.size, after.capacity(drawn.used_size)) // step
    return replace(drawn, position=draw(st.integers(0, steps)) * step)


def furthest(reshape: Reshape) -> int:
    """How far the reshape may have come: by the kernel's rule, with and without the room that it may not know of."""
    unmoved = replace(reshape, offsets=dict.fromkeys(reshape.offsets, (0, 0)))
    limits = [furthest_progress(each) for each in (reshape, unmoved)]
    return min(limits) if reshape.backwards else max(limits)


def windows(reshape: Reshape) -> Mapping[int, tuple[int, int]]:
    """The member bytes, by role, that may have been overwritten by then."""
    unmoved = replace(reshape, offsets=dict.fromkeys(reshape.offsets, (0, 0)))
    known = furthest_progress(reshape) == furthest(reshape)
    found = overwritten(reshape if known else unmoved)
    return {
        role: (start, stop) if known else (start + reshape.offsets[role][1], stop + reshape.offsets[role][1])
        for role, (start, stop) in found.items()
    }


def described(reshape: Reshape) -> ArrayDescription:
    """Describe the array of a reshape; all its members serve."""
    members = tuple(
        Member(f"disk{role}.img", role, State.IN_SYNC, old, new) for role, (old, new) in sorted(reshape.offsets.items())
    )
    before, after = shape(reshape.before), shape(reshape.after)
    direction = Direction.BACKWARD if reshape.backwards else Direction.FORWARD
    return ArrayDescription(
        uuid="0001",
        name=None,
        metadata="1.2",
        shape=after,
        component_size=reshape.component_size,
        size=reshape.size,
        members=members,
        reshape=Described(before, after, reshape.position, direction),
    )
