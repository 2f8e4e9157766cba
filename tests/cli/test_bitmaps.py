"""Write-intent bitmaps from end to end: only what they name is unproven, and what is served is the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.engine.health import Policy
from raidfs.extents import Extents
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array

CHUNK = 4096
ROWS = 24


def torn_array(metadata: str, bitmap_chunk: int, after: Geometry | None = None) -> Simulation:
    """An array that crashed while it was written at some places, with the write hole in each of them."""
    offset = 0 if metadata == "0.90" else 65536
    geometry = Geometry(5, 2, 4, CHUNK)
    array = write_array(geometry, ROWS * CHUNK, metadata=metadata, data_offset=offset, seed=5)
    if after is not None:
        array.start_reshape(after, [offset] * 5)
        array.advance(4 * after.stripe_size)
    array.keep_bitmap(bitmap_chunk)
    array.user_write(0, array.random.randbytes(9000))
    array.settle()
    for row in (9, 10, 17):
        start = row * geometry.stripe_size + 512
        array.user_write(start, array.random.randbytes(1024), landed=lambda _, role: role != geometry.stripe(row).p)  # noqa: B023  # called at once
    array.resync_offset = 0
    array.checkpoint()
    return array


@pytest.mark.parametrize("metadata", ["0.90", "1.0", "1.1", "1.2"])
@pytest.mark.parametrize("bitmap_chunk", [512, 4096, 16384])
def test_only_what_the_bitmap_names_is_unproven(metadata: str, bitmap_chunk: int, tmp_path: Path) -> None:
    array = torn_array(metadata, bitmap_chunk)
    assert array.bitmap is not None
    for role in range(4):
        folder = tmp_path / str(role)
        folder.mkdir()
        paths = [str(path) for path in array.save(folder, without=[role])]
        missing = [at for at in range(0, array.size, 512) if role_of(array, at) == role]
        dirty = [at for at in missing if not array.bitmap.is_clear(component(array, at))]
        with open_array(paths) as opened:
            assert (opened.account().unproven, opened.account().rebuilt) == (
                len(dirty) * 512,
                (len(missing) - len(dirty)) * 512,
            )
        with open_array(paths, Options(policy=Policy(strict=True))) as opened:
            content, lost = read_exact(opened.source, 0, array.size)
        assert lost == Extents([(at, at + 512) for at in dirty])
        right = np.frombuffer(content, np.uint8) == np.frombuffer(array.truth, np.uint8)
        for start, stop in lost:
            right[start:stop] = True
        assert right.all()


def test_it_narrows_both_sides_of_a_reshape(tmp_path: Path) -> None:
    array = torn_array("1.2", 4096, Geometry(5, 2, 5, CHUNK))
    assert array.bitmap is not None
    with open_array(
        [str(path) for path in array.save(tmp_path, without=[1])], Options(policy=Policy(strict=True))
    ) as opened:
        account = opened.account()
        content, lost = read_exact(opened.source, 0, array.size)
    assert 0 < account.unproven < account.rebuilt
    assert not any(content[at] != array.truth[at] for at in range(array.size) if not lost.overlaps(at, at + 1))


def test_a_bitmap_in_a_file_is_found_among_the_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = torn_array("1.2", 4096)
    assert array.bitmap is not None
    bitmap, array.bitmap = array.bitmap, None
    array.checkpoint()
    array.save(tmp_path, without=[1])
    (tmp_path / "bitmap").write_bytes(bitmap.build(array.array_uuid, array.events))
    assert main(["examine", "--json", str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert 0 < said["account"]["unproven"] < said["account"]["rebuilt"]
    assert said["array"]["clean"] is False
    assert f"{tmp_path / 'bitmap'} is a file with a write-intent bitmap" in [
        each["message"] for each in said["findings"]
    ]
    (tmp_path / "bitmap").write_bytes(bitmap.build(array.array_uuid, array.events - 1))
    assert main(["examine", "--json", str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["account"]["rebuilt"] == 0 < said["account"]["unproven"]
    assert any("the bitmap is out of date" in each["message"] for each in said["findings"])


def role_of(array: Simulation, array_offset: int) -> int:
    number = array_offset // CHUNK
    return array.geometry.stripe(number // 3).data[number % 3]


def component(array: Simulation, array_offset: int) -> int:
    return array_offset // array.geometry.stripe_size * CHUNK + array_offset % CHUNK
