"""Where a byte is said to be, it is."""

from __future__ import annotations

import json

import pytest

from raidfs.block import read_exact
from raidfs.cli import main
from raidfs.cli.session import open_array
from tests.support.golden import golden_case

pytestmark = pytest.mark.golden
GROWN = golden_case("a-r5-3to4-12-64k-40")
POSITION = 56448 * 512


@pytest.mark.parametrize("offset", [0, 1080, POSITION - 1, POSITION, POSITION + 70000, GROWN.array_size - 1])
@pytest.mark.parametrize("without", [None, 0, 1, 2, 3])
def test_the_sum_of_the_places_named_is_the_byte(
    offset: int, without: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [str(path) for index, path in enumerate(GROWN.members()) if index != without]
    assert main(["explain", "--json", *members, "--at", str(offset)]) == 0
    said = json.loads(capsys.readouterr().out)
    total = 0
    for place in said["used"]:
        assert place["coefficient"] == 1
        with open(place["path"], "rb") as image:
            image.seek(place["image_offset"])
            total ^= image.read(1)[0]
    with open_array(members) as array:
        data, lost = read_exact(array.source, offset, 1)
    assert not lost
    assert bytes([total]) == data
    assert said["geometry"] == ("after" if offset < POSITION else "before")
    assert said["health"] == ("good" if said["own"]["coefficient"] else "rebuilt")


def test_a_lost_byte_is_called_lost_with_the_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *map(str, GROWN.members()[2:]), "--at", "0"]) == 0
    text = capsys.readouterr().out
    assert "lost: nothing holds it" in text
    assert "no image" in text


def test_a_byte_beyond_the_array_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *map(str, GROWN.members()), "--at", str(GROWN.array_size)]) == 2
    assert "the array ends at 48234496 bytes (sector 94208)" in capsys.readouterr().err
