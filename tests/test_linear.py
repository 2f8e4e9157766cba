"""Maps of pieces give what a naive model gives, byte for byte and loss for loss, however they are nested and read."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import BlockSource, MemorySource, read_exact
from raidfs.extents import Extents
from raidfs.linear import MISSING, ZEROS, LinearMap, Piece, overlaid, piece_of, window
from tests.support.contract import assert_contract
from tests.support.sources import BadSectors

SIZE = 600
Model = list[int | None]
"""What every byte is; None where it is lost."""


class Counted(MemorySource):
    """Counts how often it is asked; reads at once, but never at places that are lost."""

    n_asked = 0

    def read_into(self, requests, out):  # type: ignore[no-untyped-def]
        self.n_asked += 1
        return super().read_into(requests, out)

    def try_read_into(self, offset: int, out: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> bool:
        return not super().read_into(np.array([[offset, len(out), 0]]), out)


def memory(chance: Random, size: int) -> tuple[BlockSource, Model]:
    data = chance.randbytes(size)
    losses = Extents((start, min(size, start + chance.randint(1, 20))) for start in chance.sample(range(size), k=3))
    model: Model = list(data)
    for start, stop in losses:
        model[start:stop] = [None] * (stop - start)
    return chance.choice((MemorySource, Counted))(data, losses), model


def random_map(chance: Random, depth: int) -> tuple[BlockSource, Model]:
    """A map of random pieces of random sources, some of them maps; and its naive model."""
    if depth == 0:
        return memory(chance, chance.randint(30, 200))
    below = [random_map(chance, chance.randint(0, depth - 1)) for _ in range(3)]
    pieces: list[Piece] = []
    truth: Model = [None] * SIZE
    for _ in range(chance.randint(0, 12)):
        start = chance.randint(0, SIZE)
        length = chance.randint(0, min(150, SIZE - start))
        plain: list[tuple[BlockSource, Model]] = [(ZEROS, [0] * 300), (MISSING, [])]
        source, model = chance.choice([*below, *plain])
        place = chance.randint(0, len(model) + 5)
        held = (model[place:] + [None] * length)[:length]
        truth[start : start + length] = held if source is not ZEROS else [0] * length
        pieces.append(Piece(start, length, source, place))
    return LinearMap(SIZE, pieces), truth


def lost_of(model: Model) -> Extents:
    return Extents((at, at + 1) for at, value in enumerate(model) if value is None)


@given(st.integers(0, 1 << 60))
def test_a_map_is_what_the_model_says(seed: int) -> None:
    source, model = random_map(Random(seed), 3)
    assert_contract(source, bytes(value or 0 for value in model), lost_of(model), seed)


@given(st.integers(0, 1 << 60), st.integers(0, SIZE), st.integers(0, SIZE))
def test_reading_at_once_gives_the_same_or_nothing(seed: int, start: int, stop: int) -> None:
    source, model = random_map(Random(seed), 2)
    assert isinstance(source, LinearMap)
    start, stop = sorted((start, stop))
    out = np.zeros(stop - start, dtype=np.uint8)
    answered = source.try_read_into(start, out)
    parts = list(source.pieces(start, stop))
    assert [part.start for part in parts] == [start, *(part.stop for part in parts[:-1])][: len(parts)]
    assert not any(isinstance(part.source, LinearMap) for part in parts)
    can = all(isinstance(part.source, Counted) or part.source is ZEROS for part in parts)
    assert answered == (can and None not in model[start:stop])
    if answered:
        assert list(out) == model[start:stop]


def test_a_map_over_maps_is_one_map() -> None:
    disk = Counted(bytes(range(256)) * 16)
    partition = window(disk, 512, 3000)
    volume = LinearMap(2000, [Piece(0, 1000, partition, 1000), Piece(1000, 1000, partition, 0)])
    file = LinearMap(600, [Piece(0, 300, volume, 850), Piece(300, 100, ZEROS, 0), Piece(400, 200, volume, 0)])
    assert [(part.start, part.length, part.place) for part in file.pieces() if part.source is disk] == [
        (0, 150, 512 + 1850),
        (150, 150, 512),
        (400, 200, 512 + 1000),
    ]
    data, lost = read_exact(file, 0, 600)
    assert not lost
    assert disk.n_asked == 1
    assert data[140:160] == bytes((512 + 1850 + at) & 255 for at in range(140, 150)) + bytes(range(10))


def test_runs_that_go_on_are_one_piece() -> None:
    disk = MemorySource(bytes(1000))
    joined = LinearMap(600, [Piece(0, 300, disk, 100), Piece(300, 200, disk, 400), Piece(500, 100, ZEROS, 0)])
    assert [part.length for part in joined.pieces()] == [500, 100]
    assert [part.length for part in window(disk, 900, 300).pieces()] == [100, 200]


def test_what_lies_under_a_piece_is_not_read() -> None:
    under = BadSectors(bytes(4096), Extents.span(512, 1024))
    source = overlaid(under, [piece_of(512, b"x" * 512)])
    assert read_exact(source, 0, 4096) == (bytes(512) + b"x" * 512 + bytes(3072), Extents())
    assert not under.asked.overlaps(512, 1024)


def test_many_pieces_over_one_are_laid_in_order() -> None:
    under = MemorySource(bytes(1 << 16))
    pieces = [piece_of(start, bytes([1 + start % 255]) * 64) for start in range(0, (1 << 16) - 64, 32)]
    data, lost = read_exact(overlaid(under, pieces), 0, 1 << 16)
    truth = bytearray(1 << 16)
    for piece in pieces:
        truth[piece.start : piece.stop] = bytes([1 + piece.start % 255]) * 64
    assert data == truth
    assert not lost


@pytest.mark.parametrize("piece", [(-1, 5, 0), (0, 101, 0), (100, 1, 0), (0, 5, -1), (0, -1, 0)])
def test_pieces_outside_are_refused(piece: tuple[int, int, int]) -> None:
    start, length, place = piece
    with pytest.raises(ValueError, match="outside a map"):
        LinearMap(100, [Piece(start, length, MemorySource(bytes(9)), place)])
    with pytest.raises(ValueError, match="outside a map"):
        LinearMap(100, []).try_read_into(99, np.zeros(2, dtype=np.uint8))
