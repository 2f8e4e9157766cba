"""A description is complete and does not contradict itself, or it does not exist."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape, State
from raidfs.array.shape import Level, Shape
from raidfs.errors import InconsistentDescription
from raidfs.extents import Extents
from tests.oracle.at_risk import Reshape as Recorded
from tests.support.reshapes import described, reshapes
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe, plain_description, with_member

FOUR = Shape(Level.RAID5, "left-symmetric", 4096, 4)
FIVE = Shape(Level.RAID5, "left-symmetric", 4096, 5)
STRIPE = FIVE.stripe_size


def growing(position: int = 2 * STRIPE, **changes: object) -> ArrayDescription:
    reshape = Reshape(FOUR, FIVE, position, Direction.FORWARD)
    plain = plain_description(raid_disks=5)
    return replace(plain, reshape=reshape, size=8 * FOUR.stripe_size, **changes)  # type: ignore[arg-type]  # its fields


def test_two_members_cannot_serve_one_role() -> None:
    with pytest.raises(InconsistentDescription, match="two members serve the same role"):
        with_member(plain_description(), 1, role=2)
    apart = with_member(plain_description(), 1, role=2, state=State.DUPLICATE)
    assert (sorted(apart.serving), apart.missing_roles) == ([0, 2, 3], (1,))


@pytest.mark.parametrize("role", [4, -1, None])
def test_roles_lie_in_the_array(role: int | None) -> None:
    with pytest.raises(InconsistentDescription, match=f"disk1.img has role {role} in an array of 4 roles"):
        with_member(plain_description(), 1, role=role)


def test_during_a_reshape_both_shapes_have_their_roles() -> None:
    assert growing().n_roles == 5
    assert growing().shapes == (FOUR, FIVE)
    assert plain_description().shapes == (plain_description().shape,)
    shrinking = replace(growing(), shape=FOUR, reshape=Reshape(FIVE, FOUR, 2 * FOUR.stripe_size, Direction.BACKWARD))
    assert (shrinking.n_roles, shrinking.missing_roles) == (5, ())


@pytest.mark.parametrize("size", [0, -4096])
def test_a_component_has_bytes(size: int) -> None:
    with pytest.raises(InconsistentDescription, match=f"{size} bytes"):
        replace(plain_description(), component_size=size)


def test_the_size_follows_from_the_shapes() -> None:
    with pytest.raises(InconsistentDescription, match="its shape holds 98304"):
        replace(plain_description(), size=98304 - 512)
    assert replace(plain_description(), component_size=8 * 4096 + 3584).size == 98304


@pytest.mark.parametrize("position", [1, 4096, STRIPE + 512, -STRIPE])
def test_a_position_lies_between_whole_new_stripes(position: int) -> None:
    with pytest.raises(InconsistentDescription, match="position"):
        growing(position)


def test_a_reshape_ends_in_the_shape_of_the_array() -> None:
    with pytest.raises(InconsistentDescription, match="not the shape of the array"):
        growing(shape=Shape(Level.RAID5, "right-symmetric", 4096, 5))
    six = Shape(Level.RAID6, "left-symmetric", 4096, 5)
    with pytest.raises(InconsistentDescription, match="does not change the level"):
        replace(growing(), reshape=Reshape(six, FIVE, 0, Direction.FORWARD))


@pytest.mark.parametrize(
    "changes",
    [
        {"data_offset": -512},
        {"new_data_offset": -512},
        {"data_offset": 1 << 62},
        {"new_data_offset": 1 << 62},
        {"recovered_to": -1},
        {"recovered_to": 1 << 62},
    ],
    ids=str,
)
def test_offsets_can_be(changes: dict[str, int]) -> None:
    with pytest.raises(InconsistentDescription, match=r"an offset of disk2.img is -?\d+ bytes, which cannot be"):
        with_member(plain_description(), 2, **changes)
    with_member(plain_description(), 2, state=State.FOREIGN, **changes)  # what is set apart may say anything


def test_sizes_can_be() -> None:
    huge = 1 << 62
    with pytest.raises(InconsistentDescription, match="component size is"):
        replace(plain_description(), component_size=huge, size=huge * 3)
    with pytest.raises(InconsistentDescription, match="an offset of unsynced is -1 bytes"):
        replace(plain_description(), unsynced=Extents([(-1, 5)]))
    with pytest.raises(InconsistentDescription, match="reshape position is"):
        growing(huge // STRIPE * STRIPE)


def test_a_component_that_holds_no_chunk_of_a_shape_is_refused() -> None:
    """With a shape or with two: there would be no byte to serve."""
    tall = Shape(Level.RAID5, "left-symmetric", 65536, 5)
    with pytest.raises(InconsistentDescription):
        replace(growing(), shape=tall, reshape=Reshape(FOUR, tall, 0, Direction.FORWARD), size=0)
    with pytest.raises(InconsistentDescription):
        replace(plain_description(), component_size=512, size=0)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_size_is_the_oracles(name: str) -> None:
    assert describe(sample(name)).usable_size == sample(name).size


@settings(max_examples=100)
@given(reshapes(component_size=97 * 1024, chunks=(4096, 8192, 16384)))
def test_the_size_during_a_reshape_is_the_oracles(reshape: Recorded) -> None:
    description = described(reshape)
    assert description.usable_size == description.size == reshape.size
    assert description.missing_roles == ()


def test_only_some_states_serve() -> None:
    assert [state.value for state in State if state.serves] == ["in-sync", "recovering", "damaged"]
    assert Member("x", None, State.SPARE, 0, 0).recovered_to is None
