"""Patches over a source: they win over its bytes and its losses, and nothing under them is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource, read_exact
from raidfs.errors import SourceChanged
from raidfs.extents import Extents
from raidfs.image.patched import PatchedSource
from raidfs.image.raw import RawImage
from raidfs.linear import Piece, piece_of
from tests.support.contract import assert_contract
from tests.support.sources import BadSectors

DATA = bytes(range(256)) * 5


@pytest.mark.parametrize(
    ("patches", "losses"),
    [
        ([], []),
        ([(0, b"abc")], []),
        ([(3, b"abc"), (6, b"def"), (5, b"XX"), (100, b"")], [(0, 4), (7, 20), (1279, 1280)]),
        ([(1270, bytes(20))], [(1200, 1275)]),
        ([(1300, b"beyond"), (1302, b"!")], [(5, 6)]),
        ([(0, bytes(1280))], [(0, 1280)]),
    ],
)
def test_keeps_the_contract(patches: list[tuple[int, bytes]], losses: list[tuple[int, int]]) -> None:
    truth = bytearray(DATA)
    for offset, data in patches:
        truth += bytes(max(0, offset + len(data) - len(truth)))
        truth[offset : offset + len(data)] = data
    patched = Extents([(offset, offset + len(data)) for offset, data in patches])
    gone = Extents([*losses, (len(DATA), len(truth))]).difference(patched)
    source = PatchedSource(MemorySource(DATA, Extents(losses)), [piece_of(*each) for each in patches])
    assert source.patched == patched
    assert_contract(source, bytes(truth), gone)


@given(st.lists(st.tuples(st.integers(0, 1400), st.binary(max_size=60)), max_size=8), st.integers(0, 1 << 20))
def test_later_patches_win(patches: list[tuple[int, bytes]], seed: int) -> None:
    truth = bytearray(DATA)
    for offset, data in patches:
        truth += bytes(max(0, offset + len(data) - len(truth)) if data else 0)
        truth[offset : offset + len(data)] = data
    patched = Extents([(offset, offset + len(data)) for offset, data in patches])
    gone = Extents.span(len(DATA), len(truth)).difference(patched)
    source = PatchedSource(MemorySource(DATA), [piece_of(*each) for each in patches])
    assert_contract(source, bytes(truth), gone, seed)


def test_pieces_may_be_lost_too() -> None:
    other = MemorySource(b"0123456789" * 10, Extents([(13, 15), (40, 60)]))
    pieces = [Piece(100, 10, other, 10), Piece(105, 20, other, 35), Piece(1275, 10, other, 0)]
    truth = bytearray(DATA + bytes(5))
    for piece in pieces:
        truth[piece.start : piece.stop] = (b"0123456789" * 10)[piece.place : piece.place + piece.length]
    source = PatchedSource(MemorySource(DATA, Extents.span(110, 130)), pieces)
    lost = Extents([(103, 105), (110, 130)])
    assert source.known_losses(0, source.size) == lost
    assert_contract(source, bytes(truth), lost)


def test_what_lies_under_a_patch_is_not_asked_for() -> None:
    under = BadSectors(bytes(4096), Extents.span(512, 1024))
    source = PatchedSource(under, [piece_of(512, b"x" * 512)])
    assert read_exact(source, 0, 4096) == (bytes(512) + b"x" * 512 + bytes(3072), Extents())
    assert not under.asked.overlaps(512, 1024)


def test_what_lies_under_it_is_watched(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(DATA)
    with RawImage(str(path)) as image:
        under, over = PatchedSource(image, []), PatchedSource(MemorySource(DATA), [Piece(0, 3, image, 0)])
        for source in (under, over):
            source.assert_unchanged()
        path.write_bytes(DATA + DATA)
        for source in (under, over):
            with pytest.raises(SourceChanged):
                source.assert_unchanged()
    PatchedSource(MemorySource(DATA), []).assert_unchanged()
