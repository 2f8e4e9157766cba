"""Structures of file systems tell how far a reshape came where there is no parity, and nothing occurs twice."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raidfs.block import MemorySource, read_exact
from raidfs.cli.session import open_array
from raidfs.evidence.belonging import belonging
from raidfs.extents import Extents
from raidfs.superblock.crc32c import crc32c
from tests.evidence.test_unlike import COMPONENT, POSITION, RAID0, RAID5, raid0_that_grows
from tests.support.golden import Case, cases_here

BLOCK = 4096
SIZE = RAID0.capacity(COMPONENT)


def directory_block(address: int, content: bytes) -> bytes:
    """One of XFS, that says where it lies (`xfs_da_format.h: struct xfs_dir3_blk_hdr`)."""
    body = b"XDB3" + bytes(4) + struct.pack(">Q", address // 512) + content
    blank = body[:BLOCK].ljust(BLOCK, b"\0")
    return blank[:4] + struct.pack("<I", crc32c(0xFFFFFFFF, blank) ^ 0xFFFFFFFF) + blank[8:]


def file_system(places: list[int], seed: int = 3) -> bytes:
    """An XFS that holds nothing but directory blocks in some places."""
    content, random = bytearray(SIZE), Random(seed)
    content[:12] = struct.pack(">4sIQ", b"XFSB", BLOCK, SIZE // BLOCK)[:12]
    content[84:92] = struct.pack(">II", SIZE // BLOCK, 1)
    content[102:104] = struct.pack(">H", 512)
    for place in places:
        content[place : place + BLOCK] = directory_block(place, random.randbytes(3000))
    return bytes(content)


def test_what_lies_where_it_says_in_one_reading_only_tells() -> None:
    places = [BLOCK * number for number in (5, 9, 100, 200)]
    whole = file_system(places)
    new, old = bytearray(whole), bytearray(whole)
    old[places[1] : places[1] + BLOCK] = new[places[2] : places[2] + BLOCK]
    new[places[3] + 3000] ^= 1
    everywhere = Extents.span(0, SIZE)
    found = belonging(MemorySource(bytes(new)), MemorySource(bytes(old)), everywhere)
    assert [each.position for each in found.moved] == [places[1]]
    assert [each.position for each in found.kept] == [places[3]]
    assert not belonging(MemorySource(whole), MemorySource(whole), everywhere)
    assert not belonging(MemorySource(bytes(new)), MemorySource(bytes(old)), Extents.span(0, BLOCK))


@settings(max_examples=30)
@given(st.integers(0, 8 * BLOCK - 1))
def test_no_block_lies_where_it_says_after_a_flip(bit: int) -> None:
    content = bytearray(file_system([5 * BLOCK]))
    content[5 * BLOCK + bit // 8] ^= 1 << bit % 8
    assert not belonging(MemorySource(bytes(content)), MemorySource(bytes(SIZE)), Extents.span(5 * BLOCK, 6 * BLOCK))


@pytest.mark.parametrize("without", [None, 1])
def test_a_reshape_of_sparse_content_is_found_by_its_structures(without: int | None, tmp_path: Path) -> None:
    """All around is zeros: no parity of the old geometry, and rows of one page each."""
    random = Random(5)
    places = sorted(random.sample(range(1, SIZE // BLOCK), SIZE // BLOCK // 5))
    array = raid0_that_grows(file_system([BLOCK * place for place in places]), POSITION + 40 * RAID5.stripe_size)
    with open_array([str(path) for path in array.save(tmp_path, without=() if without is None else (without,))]) as it:
        content, lost = read_exact(it.source, 0, array.size)
        assert it.description.reshape is not None
        assert it.description.reshape.front is not None
        told = [proof.sentence for proof in it.description.reshape.front.proofs]
    differ = np.frombuffer(content, np.uint8) != np.frombuffer(array.truth, np.uint8)
    sectors = np.flatnonzero(differ.reshape(-1, 512).any(axis=1)) * 512
    assert all(lost.contains(at, at + 512) for at in sectors.tolist())
    if without is None:
        assert any("where it belongs in the new geometry" in each for each in told)


@pytest.mark.parametrize("case", cases_here("r-r0-to-r5"), ids=lambda case: case.name)
def test_bitmaps_of_a_real_array_were_moved(case: Case) -> None:
    with open_array([str(path) for path in case.members()]) as array:
        assert array.description.reshape is not None
        assert array.description.reshape.front is not None
        told = [proof.sentence for proof in array.description.reshape.front.proofs]
    assert any(
        "a structure of a file system is where it belongs in the new geometry: written in part" in x for x in told
    )
