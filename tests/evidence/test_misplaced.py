"""Structures of file systems tell of a second run where parity stays in its place, and no sum is read as data."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest

from tests.evidence.test_belonging import BLOCK, directory_block
from tests.oracle.layouts import Geometry
from tests.oracle.writer import Simulation
from tests.support.restarts import COMPONENT, K, Kind, begun, run_again, served

KINDS = {
    "left": Kind(Geometry(5, 2, 4, 32 * K), Geometry(5, 0, 4, 32 * K), room=0),
    "right": Kind(Geometry(5, 1, 5, 64 * K), Geometry(5, 3, 5, 64 * K), room=0),
    "raid4, chunk": Kind(Geometry(4, 5, 4, 32 * K), Geometry(4, 5, 4, 64 * K), room=0),
}
BETWEEN = 16 * K


def file_system(kind: Kind, between: int = BETWEEN) -> bytes:
    """An XFS that holds directory blocks all over, and what tells nothing."""
    random = Random(4)
    content = bytearray(random.randbytes(kind.before.capacity(COMPONENT)))
    n_blocks = len(content) // BLOCK
    content[:12] = struct.pack(">4sIQ", b"XFSB", BLOCK, n_blocks)[:12]
    content[84:92] = struct.pack(">II", n_blocks, 1)
    content[102:104] = struct.pack(">H", 512)
    for place in range(between, len(content), between):
        content[place : place + BLOCK] = directory_block(place, random.randbytes(3000))
    return bytes(content)


def moved(kind: Kind, first: float, content: bytes) -> tuple[Simulation, bytes]:
    array = begun(kind, first, content)
    return array, bytes(array.truth)


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.5), (0.5, 0.4)])
@pytest.mark.parametrize("name", KINDS)
def test_a_second_run_is_recognised_by_where_blocks_lie(name: str, first: float, second: float, tmp_path: Path) -> None:
    array, truth = moved(KINDS[name], first, file_system(KINDS[name]))
    run_again(array, second)
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert withheld == len(truth)
    assert "XFS metadata blocks lie where they would after two runs" in said


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_said_of_one_run(name: str, tmp_path: Path) -> None:
    array, truth = moved(KINDS[name], 0.5, file_system(KINDS[name]))
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert withheld < len(truth)
    assert "two runs" not in said


def test_blocks_that_were_copied_tell_nothing_while_others_between_them_lie_right(tmp_path: Path) -> None:
    """Some were restored to where two runs would have put them, and lie there beside others that are where they say."""
    kind = KINDS["left"]
    content = bytearray(file_system(kind, between=kind.before.capacity(COMPONENT)))
    random, chunk = Random(5), kind.before.chunk
    stripe = 5 * 3 * chunk  # of this one two runs turn the three chunks round
    for number in range(0, 8, 2):
        says, lies = stripe + number * BLOCK, stripe + chunk + number * BLOCK
        content[lies : lies + BLOCK] = directory_block(says, random.randbytes(3000))
        right = says + BLOCK
        content[right : right + BLOCK] = directory_block(right, random.randbytes(3000))
    array, truth = moved(kind, 0.5, bytes(content))
    wrong, withheld, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert withheld < len(truth)
    assert "two runs" not in said


def test_nothing_is_said_where_nothing_has_been_moved_for_sure(tmp_path: Path) -> None:
    array, truth = moved(KINDS["left"], 0.0, file_system(KINDS["left"]))
    wrong, _, said = served(array.save(tmp_path), truth)
    assert wrong == 0
    assert "two runs" not in said
