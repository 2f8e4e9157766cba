"""The digest is that of hashlib, however the bytes come, and wherever it is left and taken up."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.image import sha256
from raidfs.image.sha256 import BLOCK, Sha256, is_resumable


def as_array(content: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(content, dtype=np.uint8)


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=6))
def test_any_pieces_give_the_digest_of_all(content: bytes, cuts: list[int]) -> None:
    found, length = Sha256(), 0
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, stop in pairwise(edges):
        found.update(as_array(content[start:stop]))
        length = stop
        assert bool(found.state) == (is_resumable() and length > 0 and length % BLOCK == 0)
        if found.state:
            found = Sha256(found.state, length)
    assert found.hexdigest() == hashlib.sha256(content).hexdigest()


def test_a_length_that_needs_more_than_32_bits_counts() -> None:
    """Its padding tells of it: two states that are alike but for the length give other digests."""
    state = "01" * 32
    assert Sha256(state, 1 << 29).hexdigest() != Sha256(state, 1 << 30).hexdigest()
    found = Sha256(state, (1 << 40) - BLOCK)
    found.update(as_array(bytes(BLOCK)))
    assert Sha256(found.state, 1 << 40).hexdigest() == found.hexdigest()


@pytest.mark.parametrize(("state", "length"), [("00", 64), ("00" * 32, 0), ("00" * 32, 63), ("00" * 32, -64), ("", 64)])
def test_what_is_no_state_is_refused(state: str, length: int) -> None:
    with pytest.raises(ValueError, match="no state"):
        Sha256(state, length)


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where hashlib stands on something else than OpenSSL."""

    def missing(_: str) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    sha256._library.cache_clear()
    yield
    sha256._library.cache_clear()


@pytest.mark.usefixtures("without_library")
def test_without_the_library_there_is_a_digest_and_no_state() -> None:
    found = Sha256()
    found.update(as_array(bytes(BLOCK)))
    assert (is_resumable(), found.state) == (False, "")
    assert found.hexdigest() == hashlib.sha256(bytes(BLOCK)).hexdigest()
    with pytest.raises(ValueError, match="no state"):
        Sha256("00" * 32, BLOCK)
