"""The report for three o'clock in the morning: short, true, and the next command at its end."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.array.description import ArrayDescription, Direction, Member, Reshape, State
from raidfs.array.shape import Level, Shape
from raidfs.cli.advice import findings_of_array
from raidfs.engine.account import Account
from raidfs.extents import Extents
from raidfs.finding import Finding, Severity
from raidfs.report.facts import Facts, gather
from raidfs.report.text import MOST_LINES, render_text, sentence
from tests.support.samples import SAMPLES, sample
from tests.support.simulated import describe, plain_description, with_member

NEXT = "raidfs mount a b c /mnt/rescue"


def healthy(description: ArrayDescription) -> Account:
    return Account(description.size, 0, 0, 0, 0)


def lines_of(description: ArrayDescription, account: Account | None = None, *findings: Finding) -> list[str]:
    facts = gather(description, account or healthy(description), findings)
    text = render_text(facts, NEXT)
    assert text.endswith("\n")
    return text.splitlines()


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Draw what might have to be told: 3 to 40 members in any state, any findings, any account."""
    count = draw(st.integers(3, 40))
    description = plain_description(raid_disks=count)
    spoilt = draw(st.lists(st.tuples(st.integers(0, count - 1), st.sampled_from(list(State))), max_size=count))
    for role, state in dict(spoilt).items():
        note = draw(st.sampled_from(["", "is stale: its events are 3"]))
        description = with_member(description, role, state=state, note=note if state is not State.IN_SYNC else "")
    extra = draw(st.integers(0, 5))
    spares = tuple(Member(f"spare{n}", None, State.SPARE, 0, 0, note="is a spare") for n in range(extra))
    description = replace(description, members=(*description.members, *spares))
    if draw(st.integers(0, 3)) == 0:
        description = describe(sample(draw(st.sampled_from(SAMPLES))))
    severities = draw(st.lists(st.sampled_from(list(Severity)), max_size=60))
    findings = [Finding(each, f"disk{n}.img", f"number {n} is odd") for n, each in enumerate(severities)]
    weights = draw(st.lists(st.integers(0, 10), min_size=5, max_size=5).filter(any))
    parts = [description.size * weight // sum(weights) for weight in weights]
    worst = max(number for number, weight in enumerate(weights) if weight)
    parts[worst] += description.size - sum(parts)
    return gather(description, Account(*parts), findings)


@settings(max_examples=200)
@given(facts())
def test_at_most_twenty_lines_whatever_there_is_to_say(told: Facts) -> None:
    lines = render_text(told, NEXT).splitlines()
    assert len(lines) <= MOST_LINES == 20
    assert lines[-1] == f"Next      {NEXT}"
    assert lines[0].startswith("Array     ")
    assert not any(line != line.rstrip() for line in lines)
    account = told.account
    served = account.good + account.rebuilt + account.unproven
    (readable,) = [line for line in lines if line.startswith("Readable  ")]
    assert ("everything" in readable) == (served == account.total)
    assert "100 %" not in readable
    assert any(line.startswith("Withheld  ") for line in lines) == (served < account.total)
    if told.findings:
        assert any(line.startswith("Findings  ") for line in lines)
        shown = [finding for finding in told.findings if any(finding.message in line for line in lines)]
        assert list(told.findings[: len(shown)]) == shown
        assert len(shown) == len(told.findings) or any("more findings (-v shows them)" in line for line in lines)


@settings(max_examples=50)
@given(facts())
def test_verbose_tells_all(told: Facts) -> None:
    text = render_text(told, NEXT, verbose=True)
    members = [member for member in told.description.members if member.state is not State.BACKUP]
    assert all(member.path in text for member in members)
    assert all(finding.message in text for finding in told.findings)
    assert text.splitlines()[-1] == f"Next      {NEXT}"


@pytest.mark.parametrize("lost", [1, 512, 1 << 20])
@pytest.mark.parametrize("size", [1 << 30, 1 << 50])
def test_never_100_percent_when_something_is_withheld(lost: int, size: int) -> None:
    description = plain_description(Level.RAID5, "left-symmetric", 3, 65536, size // 131072)
    for account in (Account(size - lost, 0, 0, 0, lost), Account(0, size - lost, 0, lost, 0)):
        text = "\n".join(lines_of(description, account))
        (percent,) = re.findall(r"Readable  ([0-9.]+) % of the array", text)
        assert 0 < float(percent) < 100
    (percent,) = re.findall(
        r"Readable  ([0-9.]+) %", "\n".join(lines_of(description, Account(lost, 0, 0, 0, size - lost)))
    )
    assert 0 < float(percent) < 100


def test_when_nothing_can_be_read() -> None:
    description = plain_description()
    lines = lines_of(description, Account(0, 0, 0, 0, description.size))
    assert "Readable  0 % of the array: 0 bytes good" in lines
    assert "Withheld  96 KiB lost: reading these bytes fails (EIO)" in lines


def test_a_healthy_array() -> None:
    assert lines_of(plain_description()) == [
        "Array     (no name), raid5, 96 KiB (98304 bytes), metadata 1.2, uuid 0001",
        "Shape     4 members, left-symmetric, chunk 4 KiB; no reshape; clean",
        "Members   role 0  in-sync      data at sector 128, events 0: disk0.img",
        "          role 1  in-sync      data at sector 128, events 0: disk1.img",
        "          role 2  in-sync      data at sector 128, events 0: disk2.img",
        "          role 3  in-sync      data at sector 128, events 0: disk3.img",
        "Readable  everything: 96 KiB good",
        f"Next      {NEXT}",
    ]


def test_an_array_that_is_not_clean() -> None:
    def shape_with(unsynced: Extents) -> str:
        return lines_of(replace(plain_description(), clean=False, unsynced=unsynced))[1]

    assert shape_with(Extents.span(0, 32768)).endswith("; NOT CLEAN: parity may be stale")
    assert shape_with(Extents.span(0, 8192)).endswith("; NOT CLEAN: parity may be stale in 8 KiB of each member")
    assert shape_with(Extents()).endswith("; not clean, but nothing was being written")


@pytest.mark.parametrize("name", ["growing", "shrinking", "in-place"])
def test_both_geometries_and_the_position(name: str) -> None:
    array = sample(name)
    assert array.after is not None
    text = "\n".join(lines_of(describe(array)))
    assert f"Reshape   from {array.geometry.raid_disks} members, " in text
    assert f"          to   {array.after.raid_disks} members, " in text
    assert f"Position  {array.position} bytes (sector {array.position // 512}, " in text
    assert ("new shape from there on" if array.backwards else "new shape below") in text
    assert ("NOT exact" in text) == (name == "in-place")
    member = array.members[0]
    assert (f", new at {member.new_data_offset // 512}" in text) == (member.new_data_offset != member.data_offset)


def test_write_mostly_is_told() -> None:
    description = with_member(plain_description(raid_disks=30), 7, write_mostly=True)
    lines = lines_of(description)
    assert "Members   in sync: roles 0-6, 8-29" in lines
    assert any(line.endswith("in-sync      data at sector 128, write-mostly, events 0: disk7.img") for line in lines)


def test_many_healthy_members_take_one_line() -> None:
    description = plain_description(raid_disks=30)
    lines = lines_of(with_member(description, 7, state=State.STALE, note="is stale"))
    assert "Members   in sync: roles 0-6, 8-29" in lines
    assert any("role 7  stale" in line and "set apart" in line for line in lines)


@pytest.mark.parametrize(
    ("level", "layout", "chunk", "source"),
    [
        (Level.RAID5, "left-symmetric", 4096, "parity"),
        (Level.RAID10, "near=2", 4096, "copies"),
        (Level.RAID1, "mirrored", 0, "copies"),
    ],
)
def test_what_was_rebuilt_is_said_to_come_from_what_there_is(
    level: Level, layout: str, chunk: int, source: str
) -> None:
    shape = Shape(level, layout, chunk, 4)
    size = shape.array_size([32768] * 4)
    description = replace(plain_description(), shape=shape, component_size=32768, size=size, clean=False)
    description = replace(description, unsynced=Extents.span(0, 4096))
    text = "\n".join(lines_of(description, Account(size - 4096, 4096, 0, 0, 0)))
    assert f"4 KiB rebuilt from {source}" in text
    assert f"NOT CLEAN: {source} may be stale" in text
    without = replace(description, members=description.members[1:])
    said = [finding.message for finding in findings_of_array(without, Account(size, 0, 0, 0, 0))]
    assert any(each.startswith(f"no image serves role 0: rebuilt where {source} allow") for each in said)


def test_a_parity_disk_that_is_not_there_hides_nothing() -> None:
    description = plain_description(Level.RAID4, "parity-last", 4)
    account = Account(description.size, 0, 0, 0, 0)
    for gone, word in ((3, "role 3: it holds nothing but parity"), (2, "role 2: rebuilt where parity allows")):
        members = tuple(each for each in description.members if each.role != gone)
        said = [finding.message for finding in findings_of_array(replace(description, members=members), account)]
        assert any(word in each for each in said)


def test_what_has_no_redundancy_is_not_said_to_be_rebuilt() -> None:
    description = plain_description(Level.RAID0, "original", 4)
    said = findings_of_array(
        replace(description, members=description.members[1:]), Account(description.size, 0, 0, 0, 0)
    )
    assert "no image serves role 0: lost" in [finding.message for finding in said]


def test_so_few_members_that_they_may_be_old_are_told() -> None:
    description = plain_description()
    for n_missing, is_told in ((1, False), (2, True)):
        few = replace(description, members=description.members[n_missing:])
        said = findings_of_array(few, Account(description.size, 0, 0, 0, 0))
        assert any("what they hold is out of date" in finding.message for finding in said) is is_told


def test_a_member_that_a_reshape_cannot_have_filled_so_far_is_told() -> None:
    description = plain_description(raid_disks=4)
    before = replace(description.shape, layout="right-symmetric")
    description = replace(description, reshape=Reshape(before, description.shape, 12288, Direction.FORWARD))
    for filled, is_told in ((4096, False), (8192, False), (8704, True)):
        array = with_member(description, 3, state=State.RECOVERING, recovered_to=filled)
        said = findings_of_array(array, Account(description.size, 0, 0, 0, 0))
        assert any("which a reshape at position 12288 has not filled" in finding.message for finding in said) is is_told


def test_where_no_member_is_healthy_none_is_called_so() -> None:
    description = plain_description(raid_disks=30)
    for role in range(30):
        description = with_member(description, role, state=State.DAMAGED, note="is damaged")
    assert not any("in sync" in line for line in lines_of(description))


def test_a_sentence_names_its_subject_once() -> None:
    assert sentence(Finding(Severity.NOTE, "array", "it is late")) == "it is late"
    assert sentence(Finding(Severity.NOTE, "sda", "sda is late")) == "sda is late"
    assert sentence(Finding(Severity.NOTE, "sda", "it is late")) == "sda: it is late"


def test_severities_are_marked() -> None:
    findings = [Finding(each, "array", f"this is a {each.word}") for each in reversed(Severity)]
    assert [line[10:] for line in lines_of(plain_description(), None, *findings)][-4:-1] == [
        "!! this is a error",
        "!  this is a warning",
        "-  this is a note",
    ]
