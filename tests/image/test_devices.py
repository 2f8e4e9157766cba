"""A real block device with bad sectors: a loop device over a file that fails."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.extents import Extents
from raidfs.image.raw import RawImage
from tests.support.cli import run
from tests.support.faulty import faulty_members

pytestmark = pytest.mark.fuse

DATA = random.Random(5).randbytes(1 << 20)
BAD = Extents([(9 * 512, 10 * 512), (16 * 4096, 18 * 4096 + 512), ((1 << 20) - 512, 1 << 20)])


@pytest.mark.parametrize("window", [1 << 20, 64 << 10, 512])
def test_of_a_page_with_a_bad_sector_the_other_seven_are_had(window: int, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(DATA)
    with faulty_members(tmp_path / "faulty", {tmp_path / "disk.img": BAD}) as (member,):
        device = run("losetup", "--read-only", "--find", "--show", member).strip()
        try:
            with RawImage(device) as image:
                got, lost = b"", Extents()
                for start in range(0, image.size, window):
                    raw, gone = read_exact(image, start, window)
                    got, lost = got + raw, lost.union(gone.shift(start))
                assert image.found.bad == image.known_losses(0, image.size) == BAD
                assert not image.is_budget_used_up
        finally:
            run("losetup", "--detach", device)
    assert lost == BAD
    expected = bytearray(DATA)
    for start, stop in BAD:
        expected[start:stop] = bytes(stop - start)
    assert got == bytes(expected)
