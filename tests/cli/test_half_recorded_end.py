"""A reshape whose end was recorded by half: the superblocks have the old layout or chunk, and the data the new one.

Real arrays, of which the superblocks are made to say so, or to keep so little of an earlier reshape that they are
right all the same.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import read_exact
from raidfs.cli.session import OpenArray, open_array
from tests.oracle.superblock import checksum_v1
from tests.support.golden import golden_case
from tests.support.truth import truth

Recorded = tuple[int, int]
"""Layout and chunk size [bytes], as a superblock has them."""

_AT = {"1.1": 0, "1.2": 4096}
_STEP = 12 << 17
"""A multiple of all stripes [array bytes]."""


def record(path: Path, metadata: str, said: Recorded, kept: Recorded, position: int) -> None:
    """Make the superblock say one shape, and keep another of a reshape to it that is over at a position."""
    with path.open("r+b") as file:
        file.seek(_AT[metadata])
        raw = bytearray(file.read(4096))
        level, _, size, _ = struct.unpack_from("<iIQI", raw, 72)
        struct.pack_into("<iIQI", raw, 72, level, said[0], size, said[1] // 512)
        struct.pack_into("<IQiII", raw, 100, level, position // 512, 0, kept[0], kept[1] // 512)
        struct.pack_into("<I", raw, 216, 0)
        struct.pack_into("<I", raw, 216, checksum_v1(raw))
        file.seek(_AT[metadata])
        file.write(raw)


def wrong_and_withheld(array: OpenArray, whole: bytes) -> tuple[int, int]:
    """Return how many sectors are served that are wrong, and how many bytes are not served."""
    n = min(array.source.size, len(whole))
    content, lost = read_exact(array.source, 0, n)
    differ = np.frombuffer(content, np.uint8) != np.frombuffer(whole, np.uint8)[:n]
    sectors = np.flatnonzero(differ.reshape(-1, 512).any(axis=1)).tolist()
    return sum(not lost.contains(at * 512, at * 512 + 512) for at in sectors), lost.total


@pytest.mark.golden
@pytest.mark.parametrize("is_recorded", [False, True], ids=["recorded by half", "recorded, another kept"])
@pytest.mark.parametrize("share", [0, 0.3, 0.98])
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("s-r5-ls", (2, 131072)),
        ("s-r5-ls", (2, 16384)),
        ("s-r5-ls", (3, 65536)),
        ("s-r5-ra", (0, 16384)),
        ("s-r6-ls", (18, 65536)),
        ("s-r6-ls6", (2, 65536)),
        ("s-r6-ls", (2, 32768)),
    ],
)
def test_the_data_say_which_of_two_shapes_they_have(
    tmp_path: Path, name: str, other: Recorded, share: float, is_recorded: bool
) -> None:
    case = golden_case(name)
    told, images = case.data["before_crash"], case.copies(tmp_path)
    mine = (int(told["layout"]), int(told["chunk_size"]))
    said, kept = (mine, other) if is_recorded else (other, mine)
    position = int(case.array_size * share) // 512 * 512
    for image in images:
        record(image, told["metadata_version"], said, kept, position)
    with open_array([str(image) for image in images]) as array:
        wrong, withheld = wrong_and_withheld(array, truth(case))
        findings = " ".join(finding.message for finding in array.findings)
    assert (wrong, withheld) == (0, 0)
    assert "only the first of the two updates of its end was written" in findings
    with open_array([str(image) for image in images[1:]]) as array:
        assert wrong_and_withheld(array, truth(case)) == (0, 0)


def record_earlier(path: Path, metadata: str, old: Recorded, new: Recorded, position: int, shift: int) -> None:
    """Make the superblock say, one event before, that a reshape is at a position, and moves data by `shift` bytes."""
    with path.open("r+b") as file:
        file.seek(_AT[metadata])
        raw = bytearray(file.read(4096))
        (features,) = struct.unpack_from("<I", raw, 8)
        struct.pack_into("<I", raw, 8, features | 4 | (64 if shift else 0))
        level, _, size, _ = struct.unpack_from("<iIQI", raw, 72)
        struct.pack_into("<iIQI", raw, 72, level, old[0], size, old[1] // 512)
        struct.pack_into("<IQiII", raw, 100, level, position // 512, 0, new[0], new[1] // 512)
        struct.pack_into("<i", raw, 124, shift // 512)
        begin, room = struct.unpack_from("<QQ", raw, 128)
        struct.pack_into("<QQ", raw, 128, begin - shift // 512, room + min(0, shift) // 512)
        (events,) = struct.unpack_from("<Q", raw, 200)
        struct.pack_into("<Q", raw, 200, events - 1)
        struct.pack_into("<I", raw, 216, 0)
        struct.pack_into("<I", raw, 216, checksum_v1(raw))
        file.seek(_AT[metadata])
        file.write(raw)


@pytest.mark.golden
@pytest.mark.parametrize("shift", [0, -(1 << 19)], ids=["in place", "moved"])
@pytest.mark.parametrize(
    ("name", "other"),
    [("s-r5-ls", (2, 131072)), ("s-r5-ls", (3, 65536)), ("s-r6-ls", (18, 65536)), ("s-r6-ls", (2, 32768))],
)
def test_members_that_missed_the_first_of_the_two_updates_serve_with_those_that_did_not(
    tmp_path: Path, name: str, other: Recorded, shift: int
) -> None:
    case = golden_case(name)
    told, whole = case.data["before_crash"], truth(case)
    mine = (int(told["layout"]), int(told["chunk_size"]))
    n = len(case.members())
    at = int(case.array_size * 0.98) // _STEP * _STEP
    for earlier in ({0, 2}, {n - 1}, set(range(1, n))):
        folder = tmp_path / "".join(map(str, earlier))
        folder.mkdir()
        images = case.copies(folder)
        for number, image in enumerate(images):
            if number in earlier:
                record_earlier(image, told["metadata_version"], other, mine, at, shift)
            else:
                record(image, told["metadata_version"], other, mine, at)
        with open_array([str(image) for image in images]) as array:
            wrong, withheld = wrong_and_withheld(array, whole)
            assert wrong == 0
            # behind the last position these arrays hold next to nothing that could tell
            assert withheld <= case.array_size - at
            assert all(member.state.serves for member in array.description.members)
        with open_array([str(image) for image in images[:1] + images[2:]]) as array:
            assert wrong_and_withheld(array, whole)[0] == 0
