"""What raidfs does not guess about: one sentence that names the member, the field and its value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raidfs.cli import main
from tests.oracle.labels import Label, Placement
from tests.oracle.layouts import Geometry
from tests.oracle.writer import write_array

FIVE = Geometry(5, 2, 3, 4096)
CLUSTERED, UNKNOWN = 256, 1 << 15


def marked(folder: Path, numbers: range, metadata: str = "1.2", **changes: Any) -> list[str]:
    """An array of three members; the superblocks of some of them say something else."""
    array = write_array(FIVE, 16 * 4096, data_offset=0 if metadata == "0.90" else 65536, metadata=metadata)
    paths = array.save(folder)
    label: Label[Geometry] = replace(array.label, **changes)
    for number in numbers:
        image = bytearray(paths[number].read_bytes())
        start = array.members[number].data_offset
        for offset, block in label.blocks(Placement(number, start, start, len(image))):
            image[offset : offset + len(block)] = block
        paths[number].write_bytes(image)
    return [str(path) for path in paths]


def geometry(level: int) -> Geometry:
    return replace(FIVE, level=level)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": UNKNOWN}, "feature_map is 0x8000, and its bits 0x8000 are unknown to raidfs"),
        ({"features": UNKNOWN | 2 << 15}, "feature_map is 0x18000, and its bits 0x18000 are unknown to raidfs"),
        ({"features": CLUSTERED}, "feature_map is 0x100: a clustered array (bit 0x100), which raidfs does not read"),
        ({"geometry": geometry(-4)}, "level is -4 (multipath): each path holds the whole data, so read one of them"),
        ({"geometry": geometry(-5)}, "level is -5, which is no RAID level that raidfs knows"),
        ({"after": geometry(-4)}, "new_level is -4 (multipath)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", [["examine"], ["export", "--force"], ["explain", "--at", "0"]], ids=lambda c: c[0])
def test_the_whole_array_is_refused(
    command: list[str], changes: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = marked(tmp_path, range(3), **changes)
    target = [str(tmp_path / "copy.img")] if command[0] == "export" else []
    assert main([*command, *paths, *target]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"raidfs: {paths[0]}: superblock 1.2 at 4096 bytes (sector 8): {told}")
    assert not (tmp_path / "copy.img").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"features": UNKNOWN}, "feature_map is 0x8000"), ({"features": CLUSTERED}, "feature_map is 0x100")],
    ids=str,
)
def test_one_member_is_set_apart(
    changes: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = marked(tmp_path, range(2, 3), **changes)
    assert main(["examine", *paths]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"{paths[2]} cannot be used: superblock 1.2 at 4096 bytes (sector 8): {told}" in out


def test_a_multipath_of_the_oldest_format_is_refused_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = marked(tmp_path, range(3), "0.90", geometry=geometry(-4))
    assert main(["examine", *paths]) == 1
    assert f"raidfs: {paths[0]}: superblock 0.90 at" in capsys.readouterr().err
