"""LVM2: what LVM wrote is read as LVM says it, from any copy of the metadata; what is missing is lost and named."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from raidfs.volume.lvm import Device, recognise
from raidfs.volume.volume import Volume, Volumes
from tests.support.golden import cases_here
from tests.support.lvm_writer import (
    AREA,
    AREA_SIZE,
    EXTENT,
    group,
    logical,
    physical,
    sample,
    segment,
    tagged,
)
from tests.support.sources import BadSectors

U0, U1 = "A" * 32, "B" * 32
START = 128 << 10
PLAIN = logical("data", segment(0, 2, "striped", ("pv0", 0)))


def found(*images: bytes, losses: Extents = Extents()) -> Volumes:
    return recognise([Device(f"d{at}", BadSectors(image, losses)) for at, image in enumerate(images)])


def named(volumes: Volumes) -> dict[str, Volume]:
    return {each.name: each for each in volumes.volumes}


def bytes_of(volume: Volume) -> tuple[bytes, Extents]:
    return read_exact(volume.source, 0, volume.source.size)


# ------------------------------------------------------------------------------------------------- what LVM itself says

LINES = {
    "one/lin": [(0, 0, 5), (1, 0, 7)],
    "one/other": [(0, 5, 3)],
    "two/a.b+c_d": [(3, 0, 8)],
}
"""What `lvs --segments -o +seg_pe_ranges` printed: (physical volume, extent, number of extents of 1 MiB)."""
STRIPES = {"one/str": (16 << 10, 9, [(0, 8), (1, 7), (2, 0)]), "one/str2": (64 << 10, 10, [(1, 10), (2, 3)])}
"""Stripe size [bytes], extents, (physical volume, first extent)."""


def sectors_of(name: str) -> list[bytes]:
    """The sectors of a volume, by definition."""
    if name in LINES:
        runs = [(number, START + first * EXTENT, count * EXTENT) for number, first, count in LINES[name]]
        return [tagged(number, at + start) for number, start, length in runs for at in range(0, length, 512)]
    size, extents, columns = STRIPES[name]
    sectors = []
    for at in range(0, extents * EXTENT, 512):
        stripe = at // size
        number, first = columns[stripe % len(columns)]
        sectors.append(tagged(number, START + first * EXTENT + stripe // len(columns) * size + at % size))
    return sectors


def test_volumes_are_where_lvm_says() -> None:
    volumes = found(*(sample(number) for number in (2, 0, 3, 1)))
    assert not volumes.findings
    assert sorted(named(volumes)) == sorted([*LINES, *STRIPES])
    for name, volume in named(volumes).items():
        data, lost = bytes_of(volume)
        assert not lost
        assert data == b"".join(sectors_of(name)), name


def test_what_lies_on_a_missing_one_is_lost_and_named() -> None:
    volumes = found(sample(1), sample(2))
    data, lost = bytes_of(named(volumes)["one/lin"])
    assert lost == Extents.span(0, 5 * EXTENT)
    assert data[5 * EXTENT :] == b"".join(sectors_of("one/lin")[5 * EXTENT // 512 :])
    data, lost = bytes_of(named(volumes)["one/str"])
    truth = sectors_of("one/str")
    assert lost == named(volumes)["one/str"].source.known_losses(0, len(data))
    assert lost == Extents((at, at + (16 << 10)) for at in range(0, 9 * EXTENT, 48 << 10))
    assert all(
        data[at * 512 : at * 512 + 512] == truth[at]
        for at in range(len(truth))
        if not lost.contains(at * 512, at * 512 + 512)
    )
    messages = [finding.message for finding in volumes.findings]
    assert sum("physical volume pv0" in message and "last seen as /dev/" in message for message in messages) == 4
    assert not bytes_of(named(volumes)["one/str2"])[1]


def test_a_group_on_several_arrays_is_shown_once_and_its_namesake_apart() -> None:
    both = group(
        "vg", [U0, U1], logical("data", segment(0, 1, "striped", ("pv0", 1)), segment(1, 1, "striped", ("pv1", 1)))
    )
    alone = group("vg", ["C" * 32], logical("own", segment(0, 1, "striped", ("pv0", 1))), identity="H" * 32)
    one, other, third = (
        Device(name, MemorySource(image))
        for name, image in (("a", physical(U0, both)), ("b", physical(U1, both)), ("c", physical("C" * 32, alone)))
    )
    first = recognise([one], (), [other, third])
    assert list(named(first)) == ["vg/data"]
    assert bytes_of(named(first)["vg/data"]) == (b"d" * 2 * EXTENT, Extents())
    assert not first.findings
    second = recognise([other], [one], [third])
    assert not second.volumes
    assert [each.message for each in second.findings] == ["volume group vg lies in part on a, and is shown there"]
    assert list(named(recognise([third], [one, other]))) == ["vg/own"]


@pytest.mark.golden
def test_a_real_group_on_a_real_array() -> None:
    for case in cases_here("k-r5-3to4-lvm"):
        with open_array([str(path) for path in case.members()]) as array:
            volumes = recognise([Device("array", array.source)])
            marks = {each.name: read_exact(each.source, 0, 2048)[0] for each in volumes.volumes}
        assert not volumes.findings
        assert marks["vglab/lva"][1024 + 0x38 : 1024 + 0x3A] == b"\x53\xef"
        assert marks["vglab/lvb"][:4] == b"XFSB"


# -------------------------------------------------------------------------------------------------- copies of metadata


@pytest.mark.parametrize("offset", [512, 4096, AREA_SIZE - 512, AREA_SIZE - 100])
def test_the_text_goes_round_the_end_of_its_area(offset: int) -> None:
    assert list(named(found(physical(U0, group("vg", [U0], PLAIN), offset=offset)))) == ["vg/data"]


def test_the_newest_text_of_any_volume_counts() -> None:
    old, new = (
        group("vg", [U0, U1], PLAIN, 3),
        group("vg", [U0, U1], logical("newer", segment(0, 1, "striped", ("pv1", 1))), 4),
    )
    for images in ((physical(U0, old), physical(U1, new)), (physical(U0, new), physical(U1, old))):
        volumes = found(*images)
        assert list(named(volumes)) == ["vg/newer"]
        assert not volumes.findings


@pytest.mark.parametrize("offset", [512, AREA_SIZE - 512])
@pytest.mark.parametrize("lost", [Extents.span(AREA, AREA + 512), Extents.span(512, 1024)])
def test_a_lost_header_or_label_is_got_round(lost: Extents, offset: int) -> None:
    image = physical(U0, group("vg", [U0], PLAIN), offset=offset)
    volumes = found(image, losses=lost)
    assert bytes_of(named(volumes)["vg/data"]) == (b"d" * 2 * EXTENT, Extents())
    assert any("is lost" in each.message or "is damaged" in each.message for each in volumes.findings)


def test_a_damaged_text_gives_way_to_that_of_another_volume() -> None:
    text = group("vg", [U0, U1], PLAIN)
    image = bytearray(physical(U0, text))
    image[AREA + 512 + 20] ^= 1
    volumes = found(bytes(image), physical(U1, text))
    assert list(named(volumes)) == ["vg/data"]
    assert "are damaged" in volumes.findings[0].message


def test_two_groups_of_one_name_keep_apart() -> None:
    images = [physical(uuid, group("vg", [uuid], PLAIN, identity=uuid)) for uuid in (U0, U1)]
    assert sorted(named(found(*images))) == ["vg-AAAAAA/data", "vg-BBBBBB/data"]


def test_a_volume_that_is_there_twice_counts_once() -> None:
    image = physical(U0, group("vg", [U0], PLAIN))
    volumes = found(image, image)
    assert list(named(volumes)) == ["vg/data"]
    assert "the same physical volume as d0" in volumes.findings[0].message


def test_nothing_is_found_in_nothing() -> None:
    assert found(bytes(1 << 20), b"", bytes(700)) == Volumes()


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kind", "word"), [("raid1", "raid1"), ("thin", "thin"), ("cache+METADATA_FORMAT", "cache"), ("vdo", "vdo")]
)
def test_what_is_more_than_stripes_is_named_and_not_shown(kind: str, word: str) -> None:
    told = PLAIN + logical("odd", f'start_extent = 0\nextent_count = 2\ntype = "{kind}"')
    volumes = found(physical(U0, group("vg", [U0], told)))
    assert list(named(volumes)) == ["vg/data"]
    assert volumes.refused == (("vg/odd", f"vg/odd is a logical volume of type {word}, which raidfs cannot read"),)


def test_a_snapshot_is_refused_and_its_origin_shown() -> None:
    told = PLAIN + logical("snap", segment(0, 1, "striped", ("pv0", 2)))
    told += logical(
        "snapshot0",
        'start_extent = 0\nextent_count = 2\ntype = "snapshot"\norigin = "data"\ncow_store = "snap"',
        visible=False,
    )
    volumes = found(physical(U0, group("vg", [U0], told)))
    assert list(named(volumes)) == ["vg/data"]
    assert volumes.refused == (("vg/snap", "vg/snap is a snapshot of data; raidfs cannot read snapshots"),)


def test_hidden_volumes_are_not_shown() -> None:
    told = PLAIN + logical("pool_tdata", segment(0, 1, "striped", ("pv0", 2)), visible=False)
    assert list(named(found(physical(U0, group("vg", [U0], told))))) == ["vg/data"]


@pytest.mark.parametrize(
    "volume",
    [
        logical("odd", segment(0, 2, "striped", ("pv7", 0))),
        logical("odd", segment(1, 2, "striped", ("pv0", 0))),
        logical("odd", segment(0, 2, "striped", ("pv0", 0), ("pv0", 1), more="stripe_size = 0")),
        logical("odd", segment(0, 3, "striped", ("pv0", 0), ("pv0", 2), more="stripe_size = 3000")),
        logical("odd", segment(0, 1 << 61, "striped", ("pv0", 0))),
        logical("odd"),
    ],
)
def test_nonsense_is_a_finding(volume: str) -> None:
    volumes = found(physical(U0, group("vg", [U0], PLAIN + volume)))
    assert list(named(volumes)) == ["vg/data"]
    assert "logical volume vg/odd cannot be built" in volumes.findings[0].message


def test_parts_that_are_zero_or_nothing() -> None:
    told = logical("odd", segment(0, 1, "zero"), segment(1, 1, "error"), segment(2, 1, "striped", ("pv0", 0)))
    data, lost = bytes_of(named(found(physical(U0, group("vg", [U0], told))))["vg/odd"])
    assert (data[:EXTENT], lost) == (bytes(EXTENT), Extents.span(EXTENT, 2 * EXTENT))


# --------------------------------------------------------------------------------------------------------------- fuzz


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 60))
def test_garbage_ends_in_volumes_or_findings(seed: int) -> None:
    chance = Random(seed)
    image = bytearray(sample(chance.choice((0, 3)), 1 << 20))
    places = [512, AREA, *(AREA + 512 + chance.randrange(AREA_SIZE - 512) // 512 * 512 for _ in range(20))]
    for _ in range(chance.choice((1, 10, 200))):
        image[chance.choice(places) + chance.randrange(512)] ^= 1 << chance.randrange(8)
    losses = Extents((at, at + 512) for at in chance.sample(places, chance.choice((0, 2))))
    for volume in recognise([Device("d", MemorySource(bytes(image), losses))]).volumes:
        part = min(4096, volume.source.size)
        assert len(read_exact(volume.source, volume.source.size - part, part)[0]) == part
