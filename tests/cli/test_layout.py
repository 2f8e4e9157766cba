"""A layout that the superblocks leave open: both readings are offered, the data choose, and the user may."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import OpenArray, open_array
from raidfs.errors import UsageError
from raidfs.extents import Extents
from tests.evidence.test_structures import content
from tests.oracle.copied import Written, write_copied
from tests.oracle.places import ALTERNATE, ORIGINAL, Striped
from tests.support.golden import Case, cases_here
from tests.support.truth import truth

CHUNK = 65536
ROWS = 159
"""Rows of the first zone: three members have it. The next one begins at an odd chunk, so that the layouts differ."""
NAMES = {ORIGINAL: "original", ALTERNATE: "alternate"}

both = pytest.mark.parametrize("layout", [ORIGINAL, ALTERNATE], ids=["original", "alternate"])


def write(folder: Path, layout: int, data: bytes | None = None) -> tuple[Written, list[str]]:
    """Write a RAID0 whose superblocks do not declare the layout; its second zone begins before half of the array."""
    chunks = -(-len(data) // CHUNK) if data else 3 * ROWS + 20
    long = ROWS + -(-(chunks - 3 * ROWS) // 2)
    sizes = (ROWS * CHUNK, long * CHUNK, long * CHUNK)
    array = Striped(sizes, CHUNK, layout)
    written = write_copied(array, sizes, data_offset=CHUNK, data=data and data.ljust(array.size, b"\0"))
    written.features.clear()
    return written, [str(path) for path in written.save(folder)]


def sentences(array: OpenArray) -> str:
    return "\n".join(finding.message for finding in array.findings)


@pytest.mark.golden
@both
def test_what_lies_where_it_says_decides(tmp_path: Path, layout: int) -> None:
    """A disk with two partitions; the second, XFS, begins behind the start of the zone that differs."""
    written, paths = write(tmp_path, layout, content("k-r5-3to4-gpt"))
    other = NAMES[ALTERNATE if layout == ORIGINAL else ORIGINAL]
    with open_array(paths) as array:
        assert array.description.shape.layout == NAMES[layout]
        assert array.description.alternatives == ()
        assert read_exact(array.source, 0, array.source.size) == (written.truth, Extents())
        said = sentences(array)
        assert "1 XFS allocation group" in said
        assert "1 backup partition table lie where raid0, " + NAMES[layout] in said
        assert f"--layout {other} reads it otherwise" in said
    with open_array(paths, Options(layout=other)) as array:
        assert array.description.shape.layout == other
        assert read_exact(array.source, 0, array.source.size)[0] != written.truth
    file = tmp_path / "a.toml"
    assert main(["examine", "-q", "-o", str(file), *paths]) == 0
    file.write_text(file.read_text().replace(f'layout = "{NAMES[layout]}"', 'layout = "undeclared"'))
    with open_array([], Options(array=str(file))) as array:  # whoever writes this leaves it open, too
        assert read_exact(array.source, 0, array.source.size) == (written.truth, Extents())
        assert array.description.shape.layout == NAMES[layout]


@pytest.mark.golden
@both
def test_where_both_readings_have_something_nothing_is_decided(tmp_path: Path, layout: int) -> None:
    data = content("k-r5-3to4-gpt")
    written, paths = write(tmp_path, layout, data)
    end = (len(data) - 1) // CHUNK  # the chunk with the backup of the partition table; now the other reading has it
    place = written.data_offsets[1] + (ROWS + (end - 3 * ROWS) // 2) * CHUNK
    shift = written.data_offsets[2] - written.data_offsets[1]
    images = [bytearray(Path(path).read_bytes()) for path in paths]
    one, other = images[1][place : place + CHUNK], images[2][place + shift : place + shift + CHUNK]
    assert (b"EFI PART" in one) != (b"EFI PART" in other)
    images[1][place : place + CHUNK], images[2][place + shift : place + shift + CHUNK] = other, one
    for path, image in zip(paths, images, strict=True):
        Path(path).write_bytes(image)
    with open_array(paths) as array:
        assert array.description.shape.layout == "undeclared"
        assert array.account().doubtful == array.source.size - 3 * ROWS * CHUNK
        assert "that decides nothing" in sentences(array)
        lost = read_exact(array.source, 0, array.source.size)[1]
        assert list(lost) == [(3 * ROWS * CHUNK, array.source.size)]


@both
def test_where_nothing_tells_the_user_decides(tmp_path: Path, layout: int, capsys: pytest.CaptureFixture[str]) -> None:
    written, paths = write(tmp_path, layout)
    assert main(["examine", *paths]) == 4
    assert "are doubtful, unless --layout original or --layout alternate tells" in " ".join(
        capsys.readouterr().out.split()
    )
    out = tmp_path / "out.img"
    given = ["--layout", NAMES[layout], *paths]
    assert main(["export", "-q", *given, str(out)]) == 0
    assert out.read_bytes() == written.truth
    assert main(["verify", "-q", *given]) == 0
    assert main(["examine", *given]) == 0
    assert f"raidfs mount --layout {NAMES[layout]}" in capsys.readouterr().out
    with open_array(paths, Options(layout=f"{NAMES[layout]},64K")) as array:
        assert read_exact(array.source, 0, array.source.size) == (written.truth, Extents())
        assert "is taken, as asked" in sentences(array)


@pytest.mark.parametrize("word", ["left-symmetric", "original,128K", "original,", ",", "", "original," + "9" * 5000])
def test_layouts_that_are_not_open(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, paths = write(tmp_path, ORIGINAL)
    with (
        pytest.raises(UsageError, match="this layout is not open; this raid0 has original or alternate"),
        open_array(paths, Options(layout=word)),
    ):
        pass
    assert main(["examine", "--layout", word, *paths]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_layout_that_is_declared_may_be_said_again(tmp_path: Path) -> None:
    sizes = (CHUNK, 2 * CHUNK)  # mdadm declares none for equal members
    paths = [str(path) for path in write_copied(Striped(sizes, CHUNK, ALTERNATE), sizes).save(tmp_path)]
    with open_array(paths, Options(layout="alternate")) as array:
        assert array.findings == ()
    with pytest.raises(UsageError, match="this raid0 has alternate"), open_array(paths, Options(layout="original")):
        pass


@pytest.mark.parametrize("case", cases_here("s-r0", "s-r0-zones", "s-r0-zones-alt"), ids=lambda case: case.name)
def test_what_a_missing_member_gave_is_not_guessed(case: Case) -> None:
    """Real arrays, equal and unequal members: where others are gone, nobody knows where a zone ends."""
    members, whole = [str(path) for path in case.members()], np.frombuffer(truth(case), np.uint8)
    for n_missing in range(1, len(members)):
        for gone in combinations(members, n_missing):
            with open_array([path for path in members if path not in gone]) as array:
                content, lost = read_exact(array.source, 0, min(array.source.size, len(whole)))
            differ = np.frombuffer(content, np.uint8) != whole[: len(content)]
            sectors = np.flatnonzero(differ.reshape(-1, 512).any(axis=1))
            assert all(lost.contains(at * 512, at * 512 + 512) for at in sectors.tolist()), gone
