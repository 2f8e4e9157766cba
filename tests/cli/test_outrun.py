"""An image whose superblock cannot be read may hold a later state of the array than those that can."""

from __future__ import annotations

from pathlib import Path

import pytest

from raidfs.cli import main
from raidfs.cli.opening import Options
from raidfs.cli.session import open_array
from raidfs.extents import Extents
from tests.support.damaged import write_map
from tests.support.golden import golden_case

SUPERBLOCK = Extents.span(4096, 4608)


def maps(folder: Path, members: list[Path], mute: set[int]) -> tuple[str, ...]:
    found = []
    for number in mute:
        write_map(folder / f"{number}.map", members[number].stat().st_size, SUPERBLOCK)
        found.append(f"{members[number]}={folder / f'{number}.map'}")
    return tuple(found)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "mute", "is_open"),
    [
        ("s-r1-3-10", {0}, False),  # its superblock is at the end: this sector says nothing
        ("s-r1-2", {0}, True),
        ("s-r1-2", {1}, True),
        ("s-r10-n2-4", {0}, False),  # its neighbour would have to be there
        ("s-r10-n2-4", {0, 2}, True),
        ("s-r5-ls", {0}, False),  # one member is never enough
        ("s-r6-ls", {0, 1}, False),
    ],
)
def test_who_may_be_outrun_is_unproven(name: str, mute: set[int], is_open: bool, tmp_path: Path) -> None:
    case = golden_case(name)
    members = case.members()
    options = Options(mapfiles=maps(tmp_path, members, mute))
    with open_array([str(path) for path in members], options) as array:
        account = array.account()
        said = [
            each.message for each in array.findings if "cannot be read, and the array may have gone on" in each.message
        ]
    assert bool(said) is is_open
    assert account.unproven == (array.source.size if is_open else 0)
    assert account.doubtful == account.lost == 0


@pytest.mark.golden
def test_an_image_that_is_left_out_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = golden_case("s-r1-2")
    members = case.members()
    (told,) = maps(tmp_path, members, {1})
    given = ["examine", "--mapfile", told, *map(str, members)]
    assert main(given) == 0
    assert "unproven" in capsys.readouterr().out
    assert main(["examine", "--exclude", str(members[1]), str(members[0]), str(members[1])]) == 0
    assert "unproven" not in capsys.readouterr().out
