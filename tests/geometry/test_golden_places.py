"""Real arrays read by nothing but their zones: no redundancy, no plan, one read for each run of bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.array.assemble import assemble
from raidfs.array.description import ArrayDescription
from raidfs.block import BlockSource, one_request
from raidfs.cli.opening import Options, open_members
from raidfs.geometry.reshape import Section, Side, sections_of
from tests.support.golden import Case, golden_cases

pytestmark = pytest.mark.golden

CASES = [case for case in golden_cases() if case.part == 3 and not case.stale]
LONGEST = 1 << 20


def uuid_of(case: Case) -> str:
    """Of the array that the truth is about, as `mdadm --examine` printed it."""
    found = re.search(r"^ +(?:Array )?UUID : (\S+)", case.examine_text, re.MULTILINE)
    assert found
    return found[1]


def read_naively(description: ArrayDescription, sources: Mapping[str, BlockSource]) -> NDArray[np.uint8]:
    """Read every byte from its own place."""
    content = np.zeros(description.size, dtype=np.uint8)
    for section in sections_of(description):
        start = section.array_start
        while start < section.array_stop:
            stop = end_of_run(section, start)
            (role,), (component_offset,) = section.zone.locate(np.array([start]))
            member = description.serving[role]
            offset = member.new_data_offset if section.side is Side.AFTER else member.data_offset
            request = one_request(int(component_offset) + offset, stop - start)
            assert not sources[member.path].read_into(request, content[start:stop])
            assert section.zone.locate_inverse(role, int(component_offset)) == start
            start = stop
    return content


def end_of_run(section: Section, start: int) -> int:
    """Where the bytes of a chunk end; long chunks are read in pieces."""
    chunk = section.zone.chunk_size
    border = start + chunk - (start - section.zone.array_start) % chunk
    return min(border, start + LONGEST, section.array_stop)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_byte_is_where_the_zones_say(case: Case) -> None:
    with ExitStack() as stack:
        opened = open_members([str(path) for path in case.members()], Options(), stack)
        description = assemble(opened.claimed, uuid_of(case)).description
        content = read_naively(description, opened.members)
    assert description.size == case.array_size
    assert hashlib.sha256(content.data).hexdigest() == case.expected_sha256, case.wrong_blocks(content)
