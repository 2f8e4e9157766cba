"""What is explained is what is done: the places that are named give the byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.engine.chart import chart_sections
from raidfs.engine.damage import Flaw, known_flaws
from raidfs.engine.explain import explain_byte
from raidfs.engine.health import Health, Trust
from raidfs.extents import Extents
from raidfs.geometry.reshape import Side
from tests.oracle.layouts import locate
from tests.oracle.parity import gf_mul
from tests.support.samples import EXACT, sample
from tests.support.simulated import describe


@settings(max_examples=150)
@given(st.data(), st.sampled_from(EXACT))
def test_the_named_places_give_the_byte(data: st.DataObject, name: str) -> None:
    array = sample(name)
    gone = data.draw(st.sets(st.sampled_from(sorted(array.roles)), max_size=2))
    description = describe(array, without=gone)
    roles = sorted(description.serving)
    flaws = known_flaws(description, description.of_roles(roles), [array.size_of_device] * len(roles))
    charts = chart_sections(description, description.of_roles(roles), flaws)
    at = data.draw(st.integers(0, array.size - 1))
    found = explain_byte(charts, flaws, at)
    ((_, _, geometry, new),) = array.array().sections(at, at + 1)
    role, component = locate(geometry, at)
    assert (found.own.role, found.own.component_offset) == (role, component)
    assert (found.stripe_number, found.chunk_offset) == (at // geometry.stripe_size, at % geometry.chunk)
    assert found.symbol == f"D{at // geometry.chunk % geometry.data_disks}"
    assert (found.side is Side.AFTER) == (new and array.after is not None)
    places = (*found.used, *found.unused)
    here = [place for place in places if place.side is found.side and place.component_offset == component]
    assert sorted(place.role for place in here) == list(range(geometry.raid_disks))
    # both geometries of a reshape are one code: where the stripe does not suffice cells of others may take part
    others = [place for place in places if place.side is found.side and place not in here]
    assert all(place.coefficient for place in others)
    n_lost = len(gone & set(range(geometry.raid_disks)))
    assert not others or (name == "growing" and n_lost > geometry.raid_disks - geometry.data_disks)
    assert {place.side for place in (*found.used, *found.unused)} <= {found.side, Side.BEFORE}
    if found.health > Health.UNPROVEN:
        assert all(place.flaws for place in here if place.source is None)
        assert (found.used == ()) == (found.health is Health.LOST)
        return
    value = 0
    for place in found.used:
        assert place.source is not None
        assert place.image_offset is not None
        member = array.roles[roles[place.source]]
        offset = member.new_data_offset if place.side is Side.AFTER else member.data_offset
        assert place.image_offset == offset + place.component_offset
        assert place.flaws == ()
        value ^= gf_mul(place.coefficient, member.image[place.image_offset])
    assert value == array.truth[at]
    assert found.health is (Health.GOOD if role in roles else Health.REBUILT)


def test_what_is_not_used_is_named_with_its_reasons() -> None:
    array = sample("raid6")
    description = describe(array, without=(1,))
    place = array.members[2].data_offset
    flaws = (
        Flaw(1, Extents.span(place, place + 512), Trust.NONE, "could not be read"),
        Flaw(1, Extents.span(place, place + 512), Trust.DOUBTFUL, "looks odd"),
    )
    charts = chart_sections(description, description.of_roles([0, 2, 3, 4, 5]), flaws)
    found = explain_byte(charts, flaws, 0)
    against = {each.role: each.flaws for each in (*found.used, *found.unused)}
    assert against[1] == ("no image serves this role",)
    assert against[2] == ("could not be read", "looks odd")
    assert against[0] == ()
    assert found.symbol == "D0"
    assert {each.symbol for each in (*found.used, *found.unused)} == {"D0", "D1", "D2", "D3", "P", "Q"}
