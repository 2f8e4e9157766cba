"""Recorded positions that are wrong: too early in all superblocks, or not the same in all of them."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from raidfs.array.description import ArrayDescription
from raidfs.block import read_exact
from raidfs.cli.session import open_array
from raidfs.errors import NoSuperblock
from raidfs.finding import Severity
from tests.oracle.copied import write_copied
from tests.oracle.places import Copies
from tests.support.golden import Case, golden_cases
from tests.support.positions import record

Bytes = NDArray[np.uint8]


@cache
def reshaping() -> tuple[Case, ...]:
    """The real arrays that were reshaped when they crashed, each on images of its own."""
    return tuple(
        case
        for case in golden_cases()
        if not case.is_partitioned and not case.uuid and not case.is_disputed and "reshape position" in told(case)
    )


def told(case: Case) -> str:
    return case.examine_text.lower().replace("reshape pos'n", "reshape position") + str(case.data["before_crash"])


def read(paths: list[Path]) -> tuple[ArrayDescription, Bytes, NDArray[np.bool_], list[str]]:
    """Read what is served of an array by default: it, its bytes, which of them are there, and the errors told."""
    with open_array([str(path) for path in paths]) as array:
        content, lost = read_exact(array.source, 0, array.description.size)
        there = np.ones(len(content), dtype=np.bool_)
        for start, stop in lost:
            there[start:stop] = False
        errors = [each.message for each in array.findings if each.severity is Severity.ERROR]
        return array.description, np.frombuffer(content, np.uint8), there, errors


def earlier(description: ArrayDescription, share: float) -> int:
    """A position that lies so far on the way to the recorded one [array bytes]."""
    reshape = description.reshape
    assert reshape is not None
    unit = max(reshape.before.chunk_size, reshape.after.chunk_size) * (
        reshape.after.n_data if reshape.after.has_parity else 12
    )
    if reshape.direction.is_forward:
        return int(reshape.position * share) // unit * unit
    sizes = description.component_sizes
    begin = min(shape.array_size(sizes[: shape.raid_disks]) for shape in description.shapes) // unit * unit
    return begin + -int((begin - reshape.position) * share) // unit * unit


def record_all(paths: list[Path], position: int) -> None:
    for path in paths:
        with suppress(LookupError):  # a journal, or a member without a superblock
            record(path, position)


@pytest.mark.golden
@pytest.mark.parametrize("case", reshaping(), ids=lambda case: case.name)
def test_a_position_that_is_too_early_serves_nothing_wrong(case: Case, tmp_path: Path) -> None:
    """And nothing speaks against the one that was recorded."""
    paths = case.copies(tmp_path)
    with suppress(NoSuperblock):
        description, truth, there, errors = read(paths)
        assert not any("begun anew" in text or "different positions" in text for text in errors)
        for share in (0.0, 0.6):
            if description.reshape is None or (position := earlier(description, share)) == description.reshape.position:
                continue
            record_all(paths, position)
            _, content, served, errors = read(paths)
            both = there & served
            assert np.array_equal(content[both], truth[both])
            assert served.any() or any("begun anew" in text for text in errors)


CASES = [case for case in reshaping() if case.name in ("a-r5-3to4-12-64k-40", "r-r10-o2-to-n2", "h-r6-4to6-12-64k")]


@pytest.mark.golden
@pytest.mark.parametrize("share", [0.9, 0.97])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_two_positions_at_equal_events_leave_open_what_lies_between(case: Case, share: float, tmp_path: Path) -> None:
    paths = case.copies(tmp_path)
    description, truth, _, _ = read(paths)
    assert description.reshape is not None
    high, low = description.reshape.position, earlier(description, share)
    assert low < high
    for behind in ([paths[0]], paths[1:]):
        record_all(paths, high)
        record_all(behind, low)
        _, content, served, errors = read(paths)
        assert np.array_equal(content[served], truth[served])
        (text,) = [each for each in errors if "different positions" in each]
        assert all(re.search(rf"\b{at}\b", text) for at in (low, high))
        assert all(str(path) in text for path in paths)
        left_out = np.flatnonzero(~served)
        stripe = 2 * max(shape.chunk_size * shape.raid_disks**2 for shape in description.shapes)
        assert not len(left_out) or (left_out[0] >= low - stripe and left_out[-1] < high + stripe)
        with open_array([str(path) for path in paths]) as array:
            account = array.account()
        assert account.doubtful == len(left_out)


def test_what_new_members_held_before_they_were_added_is_no_evidence(tmp_path: Path) -> None:
    """Where the array was grown onto the same members once before, and shrunk again, they hold its pages there."""
    chunk, component = 65536, 4 << 20
    old, new = Copies(0x102, 4, chunk, component), Copies(0x102, 6, chunk, component)
    written = write_copied(
        old, [component] * 6, after=new, position=6 * chunk, data_offset=20 * chunk, new_data_offset=16 * chunk
    )
    for start in range(12 * chunk, written.size, chunk):
        for role, offset in new.places(start):
            if role >= old.raid_disks:
                at = written.new_data_offsets[role] + offset
                written.images[role][at : at + chunk] = written.truth[start : start + chunk]
    paths = written.save(tmp_path)
    _, content, served, errors = read(paths)
    assert served.all()
    assert content.tobytes() == written.truth
    assert not errors
