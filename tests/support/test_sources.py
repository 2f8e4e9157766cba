"""The fakes keep the contract that they stand in for."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from raidfs.block import one_request, read_exact
from raidfs.errors import SourceChanged, SourceError
from raidfs.extents import Extents
from tests.support.contract import assert_contract
from tests.support.sources import BadSectors, Changing, Going, Hanging

DATA = random.Random(4).randbytes(9000)
BAD = Extents([(512, 1024), (4096, 5632)])


def test_bad_sectors_are_found_by_reading() -> None:
    source = BadSectors(DATA, BAD)
    assert source.known_losses(0, len(DATA)) == Extents()
    assert read_exact(source, 600, 10) == (bytes(10), Extents([(0, 10)]))
    assert source.known_losses(0, len(DATA)) == Extents([(600, 610)])
    assert source.asked == Extents([(600, 610)])
    assert_contract(BadSectors(DATA, BAD), DATA, BAD)


def test_what_hangs_answers_in_the_end() -> None:
    source = Hanging(DATA)
    source.may_answer.set()
    assert_contract(source, DATA)
    assert source.asked.is_set()


def test_what_goes_stays_gone() -> None:
    source = Going(DATA, 1)
    assert read_exact(source, 0, 10) == (DATA[:10], Extents())
    for _ in range(2):
        with pytest.raises(SourceError):
            read_exact(source, 0, 10)
    assert_contract(Going(DATA, 1000), DATA)


def test_what_changes_says_so(tmp_path: Path) -> None:
    with (tmp_path / "empty").open("wb+") as file:
        source = Changing(DATA, file.fileno())
        assert_contract(source, DATA)
        source.assert_unchanged()
        source.change()
        with pytest.raises(SourceChanged):
            source.assert_unchanged()
        out = np.zeros(10, dtype=np.uint8)
        source.read_into(one_request(0, 10), out)
        assert out.tobytes() != DATA[:10]
