"""The oracle's superblocks: what is built reads back, and what real mdadm and Linux wrote is rebuilt to the byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.oracle.scan import parse_bad_block_log, parse_v0, parse_v1, scan
from tests.oracle.superblock import (
    FAULTY,
    SPARE,
    ReshapeFields,
    Superblock,
    build_bad_block_log,
    build_v0,
    build_v1,
    superblock_offset,
)
from tests.support.golden import Case, golden_cases

RESHAPE = ReshapeFields(3 << 20, 1, 5, 3, 131072, -196608, backwards=False)
PLAIN = Superblock(
    level=5,
    layout=2,
    chunk=65536,
    raid_disks=4,
    component_size=1 << 30,
    device_number=2,
    device_roles=(0, FAULTY, 1, SPARE, 3),
    data_offset=1 << 20,
    data_size=1 << 30,
    events=0x1_0000_0002,
    name=b"host:array".ljust(32, b"\0"),
    created=1_600_000_000_123_456,
    updated=1_700_000_000_654_321,
    bad_block_offset=4096,
    bad_block_size=4096,
)


@pytest.mark.parametrize(
    "changed",
    [
        PLAIN,
        replace(PLAIN, reshape=RESHAPE),
        replace(PLAIN, reshape=replace(RESHAPE, delta_disks=-1, new_offset=4096, backwards=True)),
        replace(PLAIN, reshape=replace(RESHAPE, delta_disks=0, new_offset=0, backwards=True)),
        replace(PLAIN, recovery_offset=1 << 21, resync_offset=0, max_dev=5),
        replace(PLAIN, bitmap_offset=-8192, bad_block_offset=-4096, features=16, device_flags=1),
    ],
)
def test_version_1_reads_back(changed: Superblock) -> None:
    padding = (SPARE,) * (changed.max_dev - len(changed.device_roles))
    assert parse_v1(build_v1(changed, 4096)) == replace(changed, device_roles=changed.device_roles + padding)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("reshape", [None, replace(RESHAPE, new_offset=0, position=5 << 40)])
def test_version_0_reads_back(order: str, reshape: ReshapeFields | None) -> None:
    sb = Superblock(5, 2, 65536, 4, 1 << 30, 1, (0, 1, FAULTY, 3), 0, 1 << 30, 0x1_0000_0002, reshape=reshape)
    raw = build_v0(sb, "<" if order == "<" else ">")
    assert replace(parse_v0(raw, "<" if order == "<" else ">"), device_uuid=sb.device_uuid) == sb


def test_bad_block_log_splits_long_runs() -> None:
    sb = replace(PLAIN, bad_blocks=((1 << 20, 600 * 512), (1 << 22, 512)))
    log = build_bad_block_log(sb)
    assert len(log) == 4096
    assert parse_bad_block_log(log, 0) == (
        (1 << 20, 512 * 512),
        ((1 << 20) + 512 * 512, 88 * 512),
        (1 << 22, 512),
    )


@pytest.mark.golden
@pytest.mark.parametrize("case", golden_cases(part=1), ids=lambda case: case.name)
def test_real_superblocks_are_rebuilt_to_the_byte(case: Case) -> None:
    for image in case.members():
        metadata, raw, sb = scan(image)
        if metadata == "0.90":
            assert build_v0(sb) == raw
        else:
            built = build_v1(sb, superblock_offset(metadata, image.stat().st_size))
            assert built == raw[: len(built)]
