"""A position behind what the array held before it grew, with a member missing: nothing crashes, all is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli.session import open_array
from tests.support.golden import golden_case
from tests.support.positions import record


@pytest.mark.golden
@pytest.mark.parametrize(("name", "step"), [("a-r5-3to4-12-64k-40", 3 << 16), ("h-r6-4to6-12-64k", 4 << 16)])
def test_a_position_beyond_the_old_size(name: str, step: int, tmp_path: Path) -> None:
    case = golden_case(name)
    images = case.copies(tmp_path)
    for n_steps in (1, 10, 60):
        for image in images:
            record(image, (case.array_size // step + n_steps) * step)
        for gone in (None, 1):
            with open_array([str(path) for number, path in enumerate(images) if number != gone]) as array:
                assert array.source.size >= case.array_size
                read_exact(array.source, 0, 1 << 20)
                read_exact(array.source, case.array_size - (1 << 20), 1 << 20)
