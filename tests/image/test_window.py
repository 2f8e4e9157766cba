"""A partition of an image is a block source like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from raidfs.block import read_exact
from raidfs.errors import SourceChanged
from raidfs.extents import Extents
from raidfs.image.raw import RawImage
from raidfs.image.window import Window
from tests.support.contract import assert_contract

BASE, SIZE = 12800, 40960


@pytest.fixture
def image(tmp_path: Path) -> Iterator[RawImage]:
    (tmp_path / "disk.img").write_bytes(Random(1).randbytes(65536))
    image = RawImage(str(tmp_path / "disk.img"))
    yield image
    image.close()


def test_it_keeps_the_contract(image: RawImage) -> None:
    content = Path(image.path).read_bytes()[BASE : BASE + SIZE]
    image.declare_lost(Extents([(BASE + 512, BASE + 1024), (BASE - 512, BASE)]))
    assert_contract(Window(image, "2", BASE, SIZE), content, Extents.span(512, 1024))


def test_its_bytes_are_in_the_file_from_its_base_on(image: RawImage) -> None:
    window = Window(image, "2", BASE, SIZE)
    assert window.path == f"{image.path}#2"
    data, lost = read_exact(window, 100, 1000)
    assert not lost
    with open(window.fd, "rb", closefd=False) as file:
        file.seek(window.base + 100)
        assert file.read(1000) == data


def test_it_changes_with_its_image(image: RawImage) -> None:
    window = Window(image, "2", BASE, SIZE)
    window.assert_unchanged()
    with open(image.path, "ab") as file:
        file.write(b"more")
    with pytest.raises(SourceChanged):
        window.assert_unchanged()
