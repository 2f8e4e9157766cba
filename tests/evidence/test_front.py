"""How far a reshape came is proven only by what it would have overwritten first, never by what merely looks alike."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raidfs.block import read_exact
from raidfs.cli.session import open_array
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation, write_array

K, MIB = 1 << 10, 1 << 20
OLD, NEW = Geometry(5, 2, 4, 64 * K), Geometry(5, 3, 4, 64 * K)
COMPONENT = 6 * MIB
ROOM = 2 * MIB
POSITION = 3 * 2560 * K


def crashed(content: bytes, progress: int) -> Simulation:
    return write_array(
        OLD,
        COMPONENT,
        after=NEW,
        position=POSITION,
        progress=progress,
        data_offset=4 * MIB,
        new_data_offset=4 * MIB - ROOM,
        data=content,
    )


def served(simulation: Simulation, folder: Path, without: int | None = None) -> tuple[int, int]:
    """Return (bytes that are served wrong, bytes that are withheld)."""
    members = [str(path) for role, path in enumerate(simulation.save(folder)) if role != without]
    with open_array(members) as array:
        data, lost = read_exact(array.source, 0, array.source.size)
    truth, wrong, at = bytes(simulation.truth), 0, 0
    for start, stop in [*lost, (len(data), len(data))]:
        wrong += sum(a != b for a, b in zip(data[at:start], truth[at:start], strict=True))
        at = stop
    return wrong, lost.total


@pytest.mark.parametrize("without", [None, 1, 3])
def test_old_copies_that_are_whole_prove_that_the_position_is_exact(without: int | None, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(OLD.capacity(COMPONENT))
    assert served(crashed(content, POSITION), tmp_path, without) == (0, 0)


def test_a_reshape_that_went_on_unrecorded_is_found(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(OLD.capacity(COMPONENT))
    assert served(crashed(content, 2 * POSITION), tmp_path) == (0, 0)


@pytest.mark.parametrize("period", [4 * K, 64 * K, 256 * K])
def test_content_that_repeats_itself_proves_nothing(period: int, tmp_path: Path) -> None:
    once = random.Random(3).randbytes(period)
    size = OLD.capacity(COMPONENT)
    content = bytearray(random.Random(4).randbytes(size))
    content[POSITION - 8 * MIB if POSITION > 8 * MIB else 0 : POSITION + 8 * MIB] = (once * (size // period + 1))[
        : min(size, POSITION + 8 * MIB) - (POSITION - 8 * MIB if POSITION > 8 * MIB else 0)
    ]
    wrong, withheld = served(crashed(bytes(content[:size]), 2 * POSITION), tmp_path)
    assert wrong == 0
    assert withheld > 0


def test_content_of_zeros_proves_nothing(tmp_path: Path) -> None:
    wrong, withheld = served(crashed(bytes(OLD.capacity(COMPONENT)), POSITION), tmp_path)
    assert wrong == 0
    assert withheld > 0
