"""The JSON has the keys of the contract, all sizes in bytes, and is the same in every run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raidfs.array.description import ArrayDescription
from raidfs.engine.account import account_of
from raidfs.engine.chart import chart_sections
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.report.facts import gather
from raidfs.report.json import as_data, render_json
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe, plain_description, with_member

ARRAY = {"uuid", "name", "level", "layout", "chunk_size", "raid_disks", "size", "metadata"}
RESHAPE = {"position", "position_source", "direction", "before", "after", "front"}
MEMBER = {"path", "role", "state", "data_offset", "new_data_offset", "events"}


def data_of(description: ArrayDescription, *findings: Finding) -> dict[str, Any]:
    account = account_of(chart_sections(description, description.of_roles(sorted(description.serving)), ()))
    return as_data(gather(description, account, findings))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_keys_of_the_contract(name: str) -> None:
    array = sample(name)
    data = data_of(describe(array), Finding(Severity.ERROR, "array", "m"))
    assert data["schema_version"] == 1
    assert data["array"].keys() >= ARRAY
    assert data["array"]["size"] == array.size
    assert sum(data["account"].values()) == array.size
    assert list(data["account"]) == ["good", "rebuilt", "unproven", "doubtful", "lost"]
    assert data["findings"] == [{"severity": "error", "subject": "array", "message": "m"}]
    assert all(member.keys() >= MEMBER for member in data["members"])
    assert [member["role"] for member in data["members"]] == sorted(array.roles)
    for member in data["members"]:
        simulated = array.roles[member["role"]]
        assert (member["data_offset"], member["new_data_offset"]) == (simulated.data_offset, simulated.new_data_offset)
    assert (data["reshape"] is None) == (array.after is None)


@pytest.mark.parametrize("name", ["growing", "shrinking", "in-place", "becoming-six"])
def test_the_front_of_a_reshape_covers_the_array_once(name: str) -> None:
    array = sample(name)
    data = data_of(describe(array))["reshape"]
    assert data.keys() >= RESHAPE
    assert data["position"] == array.position
    assert data["direction"] == ("backward" if array.backwards else "forward")
    assert data["before"]["raid_disks"] == array.geometry.raid_disks
    assert array.after is not None
    assert data["after"]["chunk_size"] == array.after.chunk
    front = data["front"]
    assert list(front) == ["proven_new", "likely", "undecided", "proven_old", "evidence"]
    assert front.pop("evidence") == []
    parts = [Extents([tuple(each) for each in ranges]) for ranges in front.values()]
    assert sum(part.total for part in parts) == array.size
    assert Extents().union(*parts) == Extents.span(0, array.size)
    new = Extents.span(array.position, array.size) if array.backwards else Extents.span(0, array.position)
    assert parts[0] == new
    assert not parts[1]
    assert bool(parts[2]) == (name == "in-place")


def test_what_is_missing_or_wrong_is_told() -> None:
    description = with_member(describe(sample("raid5"), without=(1,)), 2, bad_blocks=Extents.span(0, 1024))
    data = data_of(description)
    assert data["array"]["missing_roles"] == [1]
    assert data["members"][1]["bad_block_bytes"] == 1024
    assert data["array"]["clean"] is True


def test_write_mostly_is_told() -> None:
    data = data_of(with_member(describe(sample("raid5")), 2, write_mostly=True))
    assert [member["write_mostly"] for member in data["members"]] == [False, False, True, False]


def test_it_is_plain_json_and_the_same_every_time() -> None:
    description = plain_description()
    facts = gather(description, account_of(chart_sections(description, description.of_roles([0, 1, 2, 3]), ())), [])
    text = render_json(facts)
    assert text == render_json(facts)
    assert text.endswith("}\n")
    assert json.loads(text) == as_data(facts)

    def keys(value: object) -> list[str]:
        if isinstance(value, dict):
            return [*value, *(key for each in value.values() for key in keys(each))]
        return [key for each in value for key in keys(each)] if isinstance(value, list) else []

    assert all(key == key.lower() and key.isidentifier() for key in keys(json.loads(text)))
