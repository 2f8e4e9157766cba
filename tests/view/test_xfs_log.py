"""Whether an XFS log ends with an unmount record, on logs written by the rules of the format."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raidfs.block import MemorySource
from raidfs.extents import Extents
from raidfs.view.probe import probe
from raidfs.view.xfs_log import log_is_clean
from tests.view import disks

BLOCK = 512
START = 3 * BLOCK


class Log:
    """A ring of blocks, written as `xfs_log.c` does: the pass is in each header, and first in each other block."""

    def __init__(self, n_blocks: int, first_pass: int = 1) -> None:
        """Begin at block 0 of pass `first_pass`, over whole earlier passes."""
        self.blocks = [struct.pack(">I", first_pass - 1).ljust(BLOCK, b"\0") for _ in range(n_blocks)]
        self.head, self.number = 0, first_pass

    def _append(self, block: bytes, *, header: bool = False) -> None:
        if header:
            block = struct.pack(">II", 0xFEEDBABE, self.number) + block[8:]
        else:
            block = struct.pack(">I", self.number) + block[4:]
        self.blocks[self.head] = block.ljust(BLOCK, b"\0")
        self.head += 1
        if self.head == len(self.blocks):
            self.head, self.number = 0, self.number + 1

    def record(self, n_blocks: int, operations: int = 5, flags: int = 0, size: int = 32 << 10) -> None:
        """Append a record with `n_blocks` of operations."""
        n_headers = max(1, size >> 15)
        header = bytearray(BLOCK)
        struct.pack_into(">II", header, 8, 2, n_blocks * BLOCK)
        struct.pack_into(">I", header, 40, operations)
        struct.pack_into(">I", header, 320, size)
        self._append(bytes(header), header=True)
        for _ in range(n_headers - 1):
            self._append(bytes(BLOCK))
        operation = struct.pack(">IIBB", 0, 8, 0xAA, flags)
        for _ in range(n_blocks):
            self._append(operation + b"\xff" * (BLOCK - len(operation)))

    def unmount(self, n_blocks: int = 1, size: int = 32 << 10) -> None:
        """Append an unmount record."""
        self.record(n_blocks, 1, 0x20, size)

    def tear(self, behind_head: int) -> None:
        """Let a block near the head be as it was one pass before, as if its write had not landed."""
        at = self.head - behind_head
        self.blocks[at] = struct.pack(">I", self.number - 1) + self.blocks[at][4:]

    def is_clean(self, losses: Extents | None = None) -> bool | None:
        """Ask raidfs."""
        data = bytes(START) + b"".join(self.blocks)
        return log_is_clean(MemorySource(data, losses), START, len(self.blocks) * BLOCK)


def test_a_new_log_is_clean() -> None:
    log = Log(100)
    assert log.is_clean() is True
    log.unmount()
    assert log.is_clean() is True


def test_anything_after_the_unmount_needs_replay() -> None:
    log = Log(100)
    log.unmount()
    log.record(3)
    assert log.is_clean() is False
    log.unmount()
    assert log.is_clean() is True


@given(
    n_blocks=st.integers(60, 200),
    lengths=st.lists(st.integers(1, 20), max_size=60),
    first_pass=st.integers(1, 3),
    unmounted=st.booleans(),
    size=st.sampled_from([32 << 10, 256 << 10]),
)
def test_wherever_the_head_is(n_blocks: int, lengths: list[int], first_pass: int, unmounted: bool, size: int) -> None:
    log = Log(n_blocks, first_pass)
    log.unmount()
    for length in lengths:
        log.record(length, size=size)
    if unmounted:
        log.unmount(size=size)
    assert log.is_clean() is (unmounted or not lengths)


def test_an_unmount_record_padded_to_the_stripe_unit() -> None:
    log = Log(200, 4)
    log.record(20)
    log.unmount(63)
    assert log.is_clean() is True


@pytest.mark.parametrize("first_pass", [1, 2, 9])
def test_a_log_whose_last_writes_did_not_all_land_ends_before_the_hole(first_pass: int) -> None:
    log = Log(300, first_pass)
    log.record(30)
    log.unmount()
    log.record(10)
    log.tear(11)
    # all that was written since the unmount comes after a hole, so the unmount is the end
    assert log.is_clean() is True
    log.record(10)
    log.tear(3)
    assert log.is_clean() is True


def test_a_torn_unmount_is_none() -> None:
    log = Log(300, 2)
    log.record(30)
    log.unmount(8)
    log.tear(4)
    assert log.is_clean() is False


def test_what_cannot_be_told() -> None:
    log = Log(100)
    log.unmount()
    assert log.is_clean(Extents.span(START, START + 1)) is None
    source = MemorySource(bytes(100 * BLOCK))
    assert log_is_clean(source, 0, 0) is None
    assert log_is_clean(source, 0, 101 * BLOCK) is None
    assert log_is_clean(source, -BLOCK, 4 * BLOCK) is None
    # of one pass all over, and no record in it
    assert log_is_clean(MemorySource(struct.pack(">I", 7).ljust(BLOCK, b"\0") * 50), 0, 50 * BLOCK) is None


@given(st.binary(min_size=2 * BLOCK, max_size=8 * BLOCK), st.integers(0, 3))
def test_any_bytes_give_an_answer(noise: bytes, magics: int) -> None:
    data = bytearray(noise[: len(noise) // BLOCK * BLOCK])
    for block in range(min(magics, len(data) // BLOCK)):
        struct.pack_into(">I", data, block * BLOCK, 0xFEEDBABE)
    assert log_is_clean(MemorySource(data), 0, len(data)) in (True, False, None)


@pytest.mark.parametrize("unmounted", [True, False])
def test_a_file_system_is_as_dirty_as_its_log(unmounted: bool) -> None:
    log = Log(disks.XFS_LOG_BLOCKS * 8, 3)
    log.record(5)
    if unmounted:
        log.unmount()
    found = probe(MemorySource(disks.xfs(b"".join(log.blocks))))
    assert (found.kind, found.dirty) == ("xfs", not unmounted)
